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

/// A block's scales, each for scaleColumns columns, and where it has them its minimums,
/// for 32 columns each.
template <int count, bool hasMinimum> struct Scales {
  float scales[count];
  float minimums[hasMinimum ? 8 : 1];
};

// A weight type here is a struct with
//   its Block, and how many groups of 32 columns are in it,
//   scaleColumns: how many columns share a scale, 32 or 16,
//   hasMinimum,
//   scales(block), and
//   load(d, block, s, j): columns j .. j + Lanes(d) of group s, without the scale.

struct IntegersQ8_0 {
  using Block = BlockQ8_0;
  static constexpr int groups = 1, scaleColumns = 32;
  static constexpr bool hasMinimum = false;
  static HWY_INLINE Scales<1, false> scales(const Block &block) {
    return {{halfToFloat(block.scale)}, {}};
  }
  static HWY_INLINE hn::Vec<ShortTag> load(ShortTag d, const Block &block, int, size_t j) {
    const hn::Rebind<int8_t, ShortTag> di8;
    return hn::PromoteTo(d, hn::LoadU(di8, block.values + j));
  }
};

/// Unsigned bytes.
HWY_INLINE hn::Vec<ShortTag> loadShorts(ShortTag d, const uint8_t *bytes) {
  const hn::Rebind<uint8_t, ShortTag> du8;
  return hn::PromoteTo(d, hn::LoadU(du8, bytes));
}

/// Bits `shift` and on of unsigned bytes, those that `mask` has.
HWY_INLINE hn::Vec<ShortTag> loadBits(ShortTag d, const uint8_t *bytes, int shift, int16_t mask) {
  return hn::And(hn::ShiftRightSame(loadShorts(d, bytes), shift), hn::Set(d, mask));
}

struct IntegersQ4_0 {
  using Block = BlockQ4_0;
  static constexpr int groups = 1, scaleColumns = 32;
  static constexpr bool hasMinimum = false;
  static HWY_INLINE Scales<1, false> scales(const Block &block) {
    return {{halfToFloat(block.scale)}, {}};
  }
  static HWY_INLINE hn::Vec<ShortTag> load(ShortTag d, const Block &block, int, size_t j) {
    const auto bytes = loadShorts(d, block.nibbles + (j & 15));
    const auto values = j < 16 ? hn::And(bytes, hn::Set(d, 15)) : hn::ShiftRight<4>(bytes);
    return hn::Sub(values, hn::Set(d, 8));
  }
};

/// Of blocks of q4_k and q5_k.
template <class Block> HWY_INLINE Scales<8, true> scalesWithMinimums(const Block &block) {
  const SubBlocks integers = subBlocks(block.packed);
  const float scale = halfToFloat(block.scale), minimum = halfToFloat(block.minimum);
  Scales<8, true> result;
  for (int s = 0; s < 8; ++s) {
    result.scales[s] = scale * integers.scales[s];
    result.minimums[s] = minimum * integers.minimums[s];
  }
  return result;
}

struct IntegersQ4_K {
  using Block = BlockQ4_K;
  static constexpr int groups = 8, scaleColumns = 32;
  static constexpr bool hasMinimum = true;
  static HWY_INLINE Scales<8, true> scales(const Block &block) { return scalesWithMinimums(block); }
  static HWY_INLINE hn::Vec<ShortTag> load(ShortTag d, const Block &block, int s, size_t j) {
    return loadBits(d, block.nibbles + s / 2 * 32 + j, s % 2 * 4, 15);
  }
};

struct IntegersQ5_K {
  using Block = BlockQ5_K;
  static constexpr int groups = 8, scaleColumns = 32;
  static constexpr bool hasMinimum = true;
  static HWY_INLINE Scales<8, true> scales(const Block &block) { return scalesWithMinimums(block); }
  static HWY_INLINE hn::Vec<ShortTag> load(ShortTag d, const Block &block, int s, size_t j) {
    return hn::Or(loadBits(d, block.nibbles + s / 2 * 32 + j, s % 2 * 4, 15),
                  hn::ShiftLeft<4>(loadBits(d, block.highBits + j, s, 1)));
  }
};

struct IntegersQ6_K {
  using Block = BlockQ6_K;
  static constexpr int groups = 8, scaleColumns = 16;
  static constexpr bool hasMinimum = false;
  static HWY_INLINE Scales<16, false> scales(const Block &block) {
    const float scale = halfToFloat(block.scale);
    Scales<16, false> result;
    for (int i = 0; i < 16; ++i)
      result.scales[i] = scale * block.scales[i];
    return result;
  }
  static HWY_INLINE hn::Vec<ShortTag> load(ShortTag d, const Block &block, int s, size_t j) {
    const uint8_t *nibbles = block.nibbles + s / 4 * 64 + s % 2 * 32 + j;
    const uint8_t *highBits = block.highBits + s / 4 * 32 + j;
    const auto values = hn::Or(loadBits(d, nibbles, s % 4 / 2 * 4, 15),
                               hn::ShiftLeft<4>(loadBits(d, highBits, s % 4 * 2, 3)));
    return hn::Sub(values, hn::Set(d, 32));
  }
};

/// R rows of y for T tokens, one accumulator and one order each (as in linearTile).
template <class W, int R, int T>
HWY_NOINLINE void linearTileQ8(const LinearArgs &args, const typename W::Block *rows,
                               const std::byte *x, float *y) {
  const ShortTag d16;
  const hn::RepartitionToWide<ShortTag> d32;
  const hn::RebindToFloat<decltype(d32)> df;
  const hn::Rebind<int8_t, ShortTag> di8;
  const int64_t blocks = args.inputs / q8BlockLength / W::groups;
  const int64_t xBytes = q8RowBytes(args.inputs);
  const int64_t scales = q8ScalesOffset(args.inputs);
  const int64_t sums = q8SumsOffset(args.inputs);

  hn::Vec<decltype(df)> acc[R][T];
  float minimums[R][T] = {};
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t)
      acc[r][t] = hn::Zero(df);

  for (int64_t block = 0; block < blocks; ++block) {
    decltype(W::scales(*rows)) weightScales[R];
    HWY_UNROLL(8)
    for (int r = 0; r < R; ++r) {
      weightScales[r] = W::scales(rows[r * blocks + block]);
      if constexpr (T == 1) // one token streams the weights: fetch the next tile's rows
        for (size_t line = 0; line < sizeof(typename W::Block); line += 64)
          hwy::Prefetch(reinterpret_cast<const char *>(rows + (R + r) * blocks + block) + line);
    }
    for (int s = 0; s < W::groups; ++s) {
      const int64_t b = block * W::groups + s;
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
            const auto weights = W::load(d16, rows[r * blocks + block], s, j);
            HWY_UNROLL(8)
            for (int t = 0; t < T; ++t)
              even[r][t] =
                  hn::ReorderWidenMulAccumulate(d32, weights, values[t], even[r][t], odd[r][t]);
          }
        }
        const int64_t part = (s * q8BlockLength + first) / W::scaleColumns;
        HWY_UNROLL(8)
        for (int t = 0; t < T; ++t) {
          const float scale = reinterpret_cast<const float *>(x + t * xBytes + scales)[b];
          HWY_UNROLL(8)
          for (int r = 0; r < R; ++r)
            acc[r][t] = hn::MulAdd(hn::Set(df, weightScales[r].scales[part] * scale),
                                   hn::ConvertTo(df, hn::Add(even[r][t], odd[r][t])), acc[r][t]);
        }
      }
      if constexpr (W::hasMinimum)
        for (int t = 0; t < T; ++t) {
          const float scale = reinterpret_cast<const float *>(x + t * xBytes + scales)[b];
          const auto *halves = reinterpret_cast<const int16_t *>(x + t * xBytes + sums) + 2 * b;
          const float sum = scale * static_cast<float>(halves[0] + halves[1]);
          for (int r = 0; r < R; ++r)
            minimums[r][t] += weightScales[r].minimums[s] * sum;
        }
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
  const auto *rows = static_cast<const typename W::Block *>(args.weight) +
                     row * (args.inputs / q8BlockLength / W::groups);
  int64_t t = first;
  for (; t + T <= last; t += T)
    linearTileQ8<W, R, T>(args, rows, args.quantized + t * xBytes, args.y + t * args.yStride + row);
  for (; t < last; ++t)
    linearTileQ8<W, R, 1>(args, rows, args.quantized + t * xBytes, args.y + t * args.yStride + row);
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
