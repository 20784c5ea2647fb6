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

// A weight type here is a struct with its Block and
//   load(d, block, j): values j .. j + Lanes(d) of the block, without the scale.

struct IntegersQ8_0 {
  using Block = BlockQ8_0;
  static HWY_INLINE hn::Vec<ShortTag> load(ShortTag d, const Block *block, size_t j) {
    const hn::Rebind<int8_t, ShortTag> di8;
    return hn::PromoteTo(d, hn::LoadU(di8, block->values + j));
  }
};

struct IntegersQ4_0 {
  using Block = BlockQ4_0;
  static HWY_INLINE hn::Vec<ShortTag> load(ShortTag d, const Block *block, size_t j) {
    const hn::Rebind<uint8_t, ShortTag> du8;
    const auto bytes = hn::PromoteTo(d, hn::LoadU(du8, block->nibbles + (j & 15)));
    const auto values = j < 16 ? hn::And(bytes, hn::Set(d, 15)) : hn::ShiftRight<4>(bytes);
    return hn::Sub(values, hn::Set(d, 8));
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
  const int64_t blocks = args.inputs / q8BlockLength;
  const int64_t xBytes = q8RowBytes(args.inputs);
  const int64_t scales = q8ScalesOffset(args.inputs);

  hn::Vec<decltype(df)> acc[R][T];
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t)
      acc[r][t] = hn::Zero(df);

  for (int64_t b = 0; b < blocks; ++b) {
    // Sums of products of a block stay below 32 * 128 * 127: exact in 32 bits.
    hn::Vec<decltype(d32)> even[R][T];
    hn::Vec<decltype(d32)> odd[R][T];
    float weightScales[R];
    HWY_UNROLL(8)
    for (int r = 0; r < R; ++r) {
      const typename W::Block *block = rows + r * blocks + b;
      weightScales[r] = halfToFloat(block->scale);
      if constexpr (T == 1)
        hwy::Prefetch(block + R * blocks);
      HWY_UNROLL(8)
      for (int t = 0; t < T; ++t)
        even[r][t] = odd[r][t] = hn::Zero(d32);
    }
    HWY_UNROLL(8)
    for (size_t j = 0; j < q8BlockLength; j += hn::MaxLanes(d16)) {
      hn::Vec<ShortTag> values[T];
      HWY_UNROLL(8)
      for (int t = 0; t < T; ++t) {
        const auto *row = reinterpret_cast<const int8_t *>(x + t * xBytes);
        values[t] = hn::PromoteTo(d16, hn::LoadU(di8, row + b * q8BlockLength + j));
      }
      HWY_UNROLL(8)
      for (int r = 0; r < R; ++r) {
        const auto weights = W::load(d16, rows + r * blocks + b, j);
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
        acc[r][t] = hn::MulAdd(hn::Set(df, weightScales[r] * scale),
                               hn::ConvertTo(df, hn::Add(even[r][t], odd[r][t])), acc[r][t]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t)
      y[t * args.yStride + r] = sumLanes(df, acc[r][t]);
}

/// R rows of y for all tokens from `first` to `last`.
template <class W, int R>
HWY_INLINE void linearRowsQ8(const LinearArgs &args, int64_t row, int64_t first, int64_t last) {
  constexpr int T = 2;
  const int64_t xBytes = q8RowBytes(args.inputs);
  const auto *rows =
      static_cast<const typename W::Block *>(args.weight) + row * (args.inputs / q8BlockLength);
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
