// Products of f32 activations with weights of one type (weights-inl.h), in tiles
// of rows x tokens that stay in registers. The linear_f32_*.cpp files instantiate
// it; it is included once per Highway target.
#if defined(CLEAVE_KERNELS_LINEAR_TILE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef CLEAVE_KERNELS_LINEAR_TILE_INL_H
#undef CLEAVE_KERNELS_LINEAR_TILE_INL_H
#else
#define CLEAVE_KERNELS_LINEAR_TILE_INL_H
#endif

#include "runtime/kernels/linear.h"
#include "runtime/kernels/weights-inl.h"

#include <hwy/cache_control.h>

#include <algorithm>

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

/// acc[r][t] += the products of the group of columns from `column`; row r of the weights
/// is r * rowBytes further, token t of x is t * xStride further.
template <class W, int R, int T, class D, class V = hn::Vec<D>>
HWY_INLINE void addGroup(D d, const uint8_t *rows, int64_t rowBytes, int64_t column, const float *x,
                         int64_t xStride, V (&acc)[R][T]) {
  typename W::template Group<D> groups[R];
  HWY_UNROLL(8)
  for (int r = 0; r < R; ++r)
    groups[r] = W::group(d, rows + r * rowBytes, column);
  HWY_UNROLL(8)
  for (size_t j = 0; j < groupColumns; j += hn::MaxLanes(d)) {
    V weights[R];
    HWY_UNROLL(8)
    for (int r = 0; r < R; ++r)
      weights[r] = W::load(d, groups[r], j);
    HWY_UNROLL(8)
    for (int t = 0; t < T; ++t) {
      const V values = hn::LoadU(d, x + t * xStride + j);
      HWY_UNROLL(8)
      for (int r = 0; r < R; ++r)
        acc[r][t] = hn::MulAdd(weights[r], values, acc[r][t]);
    }
  }
}

/// The same for a group of which x has columns [begin, end) only, `x` pointing at
/// the first of them: the others count as zero, and are not read.
template <class W, int R, int T, class D, class V = hn::Vec<D>>
HWY_INLINE void addEdge(D d, const uint8_t *rows, int64_t rowBytes, int64_t column, const float *x,
                        int64_t xStride, int64_t begin, int64_t end, V (&acc)[R][T]) {
  alignas(64) float values[T * groupColumns] = {};
  for (int t = 0; t < T; ++t)
    std::memcpy(values + t * groupColumns + begin, x + t * xStride, (end - begin) * sizeof(float));
  if constexpr (W::blockLength == 1) {
    // The row may end within the group.
    alignas(64) uint8_t weights[R * groupColumns * W::blockBytes] = {};
    for (int r = 0; r < R; ++r)
      std::memcpy(weights + (r * groupColumns + begin) * W::blockBytes,
                  rows + r * rowBytes + (column + begin) * W::blockBytes,
                  (end - begin) * W::blockBytes);
    addGroup<W>(d, weights, groupColumns * W::blockBytes, 0, values, groupColumns, acc);
  } else {
    addGroup<W>(d, rows, rowBytes, column, values, groupColumns, acc);
  }
}

/// R rows of y for T tokens. Each sum has one accumulator and one order, whatever the
/// tile, so that a token's result does not depend on its neighbours.
template <class W, int R, int T>
HWY_NOINLINE void linearTile(const LinearArgs &args, const uint8_t *rows, int64_t rowBytes,
                             const float *x, float *y) {
  const FloatTag d;
  hn::Vec<FloatTag> acc[R][T];
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t)
      acc[r][t] = hn::Zero(d);

  // Columns are the weight's. Plain weights begin a group at the first that counts,
  // so that only the row's end is ragged.
  const int64_t begin = args.padBefore;
  const int64_t end = args.padBefore + args.xColumns;
  int64_t column = W::blockLength == 1 ? begin : begin / groupColumns * groupColumns;
  constexpr int64_t groupBytes = groupColumns * W::blockBytes / W::blockLength;
  if (column < begin) {
    const int64_t last = std::min(end, column + groupColumns);
    addEdge<W>(d, rows, rowBytes, column, x, args.xStride, begin - column, last - column, acc);
    column += groupColumns;
  }
  for (; column + groupColumns <= end; column += groupColumns) {
    if constexpr (T == 1) {
      // One token streams the weights from memory: fetch the next tile's rows.
      const uint8_t *next = rows + R * rowBytes + column * W::blockBytes / W::blockLength;
      HWY_UNROLL(8)
      for (int r = 0; r < R; ++r) {
        hwy::Prefetch(next + r * rowBytes);
        if constexpr (groupBytes > 64)
          hwy::Prefetch(next + r * rowBytes + 64);
      }
    }
    addGroup<W>(d, rows, rowBytes, column, x + (column - begin), args.xStride, acc);
  }
  if (column < end)
    addEdge<W>(d, rows, rowBytes, column, x + (column - begin), args.xStride, 0, end - column, acc);

  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t)
      y[t * args.yStride + r] = sumLanes(d, acc[r][t]);
}

/// R rows of y for all tokens from `first` to `last`.
template <class W, int R>
HWY_INLINE void linearRows(const LinearArgs &args, int64_t row, int64_t rowBytes, int64_t first,
                           int64_t last) {
  constexpr int T = HWY_TARGET <= HWY_AVX3 ? 4 : 2; // as many accumulators as registers allow
  const uint8_t *rows = static_cast<const uint8_t *>(args.weight) + row * rowBytes;
  int64_t t = first;
  for (; t + T <= last; t += T)
    linearTile<W, R, T>(args, rows, rowBytes, args.x + t * args.xStride,
                        args.y + t * args.yStride + row);
  for (; t < last; ++t)
    linearTile<W, R, 1>(args, rows, rowBytes, args.x + t * args.xStride,
                        args.y + t * args.yStride + row);
}

/// All of a part's rows.
template <class W> HWY_INLINE void linearFloat(const LinearArgs &args, Part part) {
  constexpr int R = 4;
  // Activations that are used again for each tile of rows should stay in L2.
  constexpr int64_t cacheFloats = 96 * 1024;
  const int64_t tokenChunk =
      std::max<int64_t>(16, cacheFloats / std::max<int64_t>(1, args.xColumns) / 4 * 4);
  const int64_t rowBytes = args.inputs / W::blockLength * W::blockBytes;
  const PartRange range = partRange(args.outputs, part, R);
  for (int64_t first = 0; first < args.tokens; first += tokenChunk) {
    const int64_t last = std::min(args.tokens, first + tokenChunk);
    int64_t row = range.begin;
    for (; row + R <= range.end; row += R)
      linearRows<W, R>(args, row, rowBytes, first, last);
    for (; row < range.end; ++row)
      linearRows<W, 1>(args, row, rowBytes, first, last);
  }
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
