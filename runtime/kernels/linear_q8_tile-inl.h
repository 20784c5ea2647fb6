// Products of activations quantized to 8 bits (quantize.h) with block-quantized
// weights, in 16-bit multiplications that every vector unit has. Instantiated by
// linear_q8_*.cpp; included once per Highway target.
#if defined(CLEAVE_KERNELS_LINEAR_Q8_TILE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef CLEAVE_KERNELS_LINEAR_Q8_TILE_INL_H
#undef CLEAVE_KERNELS_LINEAR_Q8_TILE_INL_H
#else
#define CLEAVE_KERNELS_LINEAR_Q8_TILE_INL_H
#endif

#include "runtime/kernels/linear.h"
#include "runtime/kernels/quantize.h"
#include "runtime/kernels/weights-inl.h"

#include <hwy/cache_control.h>

#include <algorithm>

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

/// Half a block of 32 values, or less.
using ShortTag = hn::CappedTag<int16_t, 16>;

// A weight type here is a struct with
//   blockLength and blockBytes as in the table of element types,
//   scaleColumns: how many columns share a scale, 32 or 16,
//   hasMinimum,
//   Group, what the columns of a block of activations have in common and where they are:
//     scales[32 / scaleColumns], and with a minimum it,
//   group(row, b): of columns 32 * b and on,
//   load(d, group, j): values j .. j + Lanes(d) of the group, without the scale.

struct IntegersQ8_0 {
  static constexpr int64_t blockLength = 32, blockBytes = sizeof(BlockQ8_0), scaleColumns = 32;
  static constexpr bool hasMinimum = false;
  struct Group {
    const int8_t *values;
    float scales[1];
  };
  static HWY_INLINE Group group(const uint8_t *row, int64_t b) {
    const BlockQ8_0 &block = reinterpret_cast<const BlockQ8_0 *>(row)[b];
    return {block.values, {halfToFloat(block.scale)}};
  }
  static HWY_INLINE hn::Vec<ShortTag> load(ShortTag d, const Group &group, size_t j) {
    const hn::Rebind<int8_t, ShortTag> di8;
    return hn::PromoteTo(d, hn::LoadU(di8, group.values + j));
  }
};

/// Unsigned bytes.
HWY_INLINE hn::Vec<ShortTag> loadShorts(ShortTag d, const uint8_t *bytes) {
  const hn::Rebind<uint8_t, ShortTag> du8;
  return hn::PromoteTo(d, hn::LoadU(du8, bytes));
}

struct IntegersQ4_0 {
  static constexpr int64_t blockLength = 32, blockBytes = sizeof(BlockQ4_0), scaleColumns = 32;
  static constexpr bool hasMinimum = false;
  struct Group {
    const uint8_t *nibbles;
    float scales[1];
  };
  static HWY_INLINE Group group(const uint8_t *row, int64_t b) {
    const BlockQ4_0 &block = reinterpret_cast<const BlockQ4_0 *>(row)[b];
    return {block.nibbles, {halfToFloat(block.scale)}};
  }
  static HWY_INLINE hn::Vec<ShortTag> load(ShortTag d, const Group &group, size_t j) {
    const auto bytes = loadShorts(d, group.nibbles + (j & 15));
    const auto values = j < 16 ? hn::And(bytes, hn::Set(d, 15)) : hn::ShiftRight<4>(bytes);
    return hn::Sub(values, hn::Set(d, 8));
  }
};

struct IntegersQ4_K {
  static constexpr int64_t blockLength = 256, blockBytes = sizeof(BlockQ4_K), scaleColumns = 32;
  static constexpr bool hasMinimum = true;
  struct Group {
    const uint8_t *nibbles;
    int shift;
    float scales[1];
    float minimum;
  };
  static HWY_INLINE Group group(const uint8_t *row, int64_t b) {
    const BlockQ4_K &block = reinterpret_cast<const BlockQ4_K *>(row)[b / 8];
    const int s = static_cast<int>(b % 8);
    const SubBlock sub = subBlock(block.packed, s);
    return {block.nibbles + s / 2 * 32,
            s % 2 * 4,
            {halfToFloat(block.scale) * sub.scale},
            halfToFloat(block.minimum) * sub.minimum};
  }
  static HWY_INLINE hn::Vec<ShortTag> load(ShortTag d, const Group &group, size_t j) {
    const auto bytes = hn::ShiftRightSame(loadShorts(d, group.nibbles + j), group.shift);
    return hn::And(bytes, hn::Set(d, 15));
  }
};

struct IntegersQ5_K {
  static constexpr int64_t blockLength = 256, blockBytes = sizeof(BlockQ5_K), scaleColumns = 32;
  static constexpr bool hasMinimum = true;
  struct Group {
    const uint8_t *nibbles, *highBits;
    int shift, highShift;
    float scales[1];
    float minimum;
  };
  static HWY_INLINE Group group(const uint8_t *row, int64_t b) {
    const BlockQ5_K &block = reinterpret_cast<const BlockQ5_K *>(row)[b / 8];
    const int s = static_cast<int>(b % 8);
    const SubBlock sub = subBlock(block.packed, s);
    return {block.nibbles + s / 2 * 32,
            block.highBits,
            s % 2 * 4,
            s,
            {halfToFloat(block.scale) * sub.scale},
            halfToFloat(block.minimum) * sub.minimum};
  }
  static HWY_INLINE hn::Vec<ShortTag> load(ShortTag d, const Group &group, size_t j) {
    const auto low = hn::ShiftRightSame(loadShorts(d, group.nibbles + j), group.shift);
    const auto high = hn::ShiftRightSame(loadShorts(d, group.highBits + j), group.highShift);
    return hn::Or(hn::And(low, hn::Set(d, 15)), hn::ShiftLeft<4>(hn::And(high, hn::Set(d, 1))));
  }
};

struct IntegersQ6_K {
  static constexpr int64_t blockLength = 256, blockBytes = sizeof(BlockQ6_K), scaleColumns = 16;
  static constexpr bool hasMinimum = false;
  struct Group {
    const uint8_t *nibbles, *highBits;
    int shift, highShift;
    float scales[2];
  };
  static HWY_INLINE Group group(const uint8_t *row, int64_t b) {
    const BlockQ6_K &block = reinterpret_cast<const BlockQ6_K *>(row)[b / 8];
    const int64_t s = b % 8;
    const float scale = halfToFloat(block.scale);
    return {block.nibbles + s / 4 * 64 + s % 2 * 32,
            block.highBits + s / 4 * 32,
            static_cast<int>(s % 4 / 2 * 4),
            static_cast<int>(s % 4 * 2),
            {scale * block.scales[2 * s], scale * block.scales[2 * s + 1]}};
  }
  static HWY_INLINE hn::Vec<ShortTag> load(ShortTag d, const Group &group, size_t j) {
    const auto low = hn::ShiftRightSame(loadShorts(d, group.nibbles + j), group.shift);
    const auto high = hn::ShiftRightSame(loadShorts(d, group.highBits + j), group.highShift);
    const auto values =
        hn::Or(hn::And(low, hn::Set(d, 15)), hn::ShiftLeft<4>(hn::And(high, hn::Set(d, 3))));
    return hn::Sub(values, hn::Set(d, 32));
  }
};

/// R rows of y for T tokens, one accumulator and one order each (as in linearTile).
template <class W, int R, int T>
HWY_NOINLINE void linearTileQ8(const LinearArgs &args, const uint8_t *rows, int64_t rowBytes,
                               const std::byte *x, float *y) {
  const ShortTag d16;
  const hn::RepartitionToWide<ShortTag> d32;
  const hn::RebindToFloat<decltype(d32)> df;
  const hn::Rebind<int8_t, ShortTag> di8;
  const int64_t blocks = args.inputs / q8BlockLength;
  const int64_t xBytes = q8RowBytes(args.inputs);
  const int64_t scales = q8ScalesOffset(args.inputs);
  const int64_t sums = q8SumsOffset(args.inputs);

  hn::Vec<decltype(df)> acc[R][T];
  float minimums[R][T] = {};
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t)
      acc[r][t] = hn::Zero(df);

  for (int64_t b = 0; b < blocks; ++b) {
    typename W::Group groups[R];
    HWY_UNROLL(8)
    for (int r = 0; r < R; ++r) {
      const uint8_t *row = rows + r * rowBytes;
      groups[r] = W::group(row, b);
      if constexpr (T == 1)
        hwy::Prefetch(row + R * rowBytes + b * q8BlockLength * W::blockBytes / W::blockLength);
    }
    HWY_UNROLL(2)
    for (int64_t first = 0; first < q8BlockLength; first += W::scaleColumns) {
      // Sums of products of a block stay below 32 * 128 * 127: exact in 32 bits.
      hn::Vec<decltype(d32)> even[R][T];
      hn::Vec<decltype(d32)> odd[R][T];
      HWY_UNROLL(8)
      for (int r = 0; r < R; ++r)
        HWY_UNROLL(8)
      for (int t = 0; t < T; ++t)
        even[r][t] = odd[r][t] = hn::Zero(d32);
      HWY_UNROLL(8)
      for (int64_t j = first; j < first + W::scaleColumns; j += hn::MaxLanes(d16)) {
        hn::Vec<ShortTag> values[T];
        HWY_UNROLL(8)
        for (int t = 0; t < T; ++t) {
          const auto *row = reinterpret_cast<const int8_t *>(x + t * xBytes);
          values[t] = hn::PromoteTo(d16, hn::LoadU(di8, row + b * q8BlockLength + j));
        }
        HWY_UNROLL(8)
        for (int r = 0; r < R; ++r) {
          const auto weights = W::load(d16, groups[r], j);
          HWY_UNROLL(8)
          for (int t = 0; t < T; ++t)
            even[r][t] =
                hn::ReorderWidenMulAccumulate(d32, weights, values[t], even[r][t], odd[r][t]);
        }
      }
      HWY_UNROLL(8)
      for (int t = 0; t < T; ++t) {
        const float scale = reinterpret_cast<const float *>(x + t * xBytes + scales)[b];
        HWY_UNROLL(8)
        for (int r = 0; r < R; ++r)
          acc[r][t] = hn::MulAdd(hn::Set(df, groups[r].scales[first / W::scaleColumns] * scale),
                                 hn::ConvertTo(df, hn::Add(even[r][t], odd[r][t])), acc[r][t]);
      }
    }
    if constexpr (W::hasMinimum)
      for (int t = 0; t < T; ++t) {
        const float scale = reinterpret_cast<const float *>(x + t * xBytes + scales)[b];
        const auto *halves = reinterpret_cast<const int16_t *>(x + t * xBytes + sums) + 2 * b;
        const float sum = scale * static_cast<float>(halves[0] + halves[1]);
        for (int r = 0; r < R; ++r)
          minimums[r][t] += groups[r].minimum * sum;
      }
  }
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t)
      y[t * args.yStride + r] = sumLanes(df, acc[r][t]) - minimums[r][t];
}

/// R rows of y for all tokens from `first` to `last`.
template <class W, int R>
HWY_INLINE void linearRowsQ8(const LinearArgs &args, int64_t row, int64_t first, int64_t last) {
  constexpr int T = 2;
  const int64_t xBytes = q8RowBytes(args.inputs);
  const int64_t rowBytes = args.inputs / W::blockLength * W::blockBytes;
  const uint8_t *rows = static_cast<const uint8_t *>(args.weight) + row * rowBytes;
  int64_t t = first;
  for (; t + T <= last; t += T)
    linearTileQ8<W, R, T>(args, rows, rowBytes, args.quantized + t * xBytes,
                          args.y + t * args.yStride + row);
  for (; t < last; ++t)
    linearTileQ8<W, R, 1>(args, rows, rowBytes, args.quantized + t * xBytes,
                          args.y + t * args.yStride + row);
}

/// All of a part's rows.
template <class W> HWY_INLINE void linearQuantized(const LinearArgs &args, Part part) {
  constexpr int R = 4;
  constexpr int64_t cacheBytes = 384 * 1024; // of activations that stay in L2
  const int64_t tokenChunk = std::max<int64_t>(16, cacheBytes / (args.inputs + 1) / 4 * 4);
  const PartRange range = partRange(args.outputs, part, R);
  for (int64_t first = 0; first < args.tokens; first += tokenChunk) {
    const int64_t last = std::min(args.tokens, first + tokenChunk);
    int64_t row = range.begin;
    for (; row + R <= range.end; row += R)
      linearRowsQ8<W, R>(args, row, first, last);
    for (; row < range.end; ++row)
      linearRowsQ8<W, 1>(args, row, first, last);
  }
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
