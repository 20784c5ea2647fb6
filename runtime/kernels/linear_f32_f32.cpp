// f32 activations times f32 weights, which stay in rows; products and sums in f32. Tiles of rows x
// tokens stay in registers. Many tokens are oneDNN's where it has them (linear_dense.h).
#include "runtime/kernels/linear.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/linear_f32_f32.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/weights-inl.h"

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

/// acc[r][t] += the products of groupColumns columns; row r of the weights is `stride` further,
/// token t of x xStride.
template <int R, int T, class D, class V = hn::Vec<D>>
HWY_INLINE void addGroup(D d, const float *rows, int64_t stride, const float *x, int64_t xStride,
                         V (&acc)[R][T]) {
  HWY_UNROLL(8)
  for (size_t j = 0; j < groupColumns; j += hn::MaxLanes(d)) {
    V weights[R];
    HWY_UNROLL(8)
    for (int r = 0; r < R; ++r)
      weights[r] = hn::LoadU(d, rows + r * stride + j);
    HWY_UNROLL(8)
    for (int t = 0; t < T; ++t) {
      const V values = hn::LoadU(d, x + t * xStride + j);
      HWY_UNROLL(8)
      for (int r = 0; r < R; ++r)
        acc[r][t] = hn::MulAdd(weights[r], values, acc[r][t]);
    }
  }
}

/// The same for the last `count` columns of rows, behind which nothing is read.
template <int R, int T, class D, class V = hn::Vec<D>>
HWY_INLINE void addRest(D d, const float *rows, int64_t stride, const float *x, int64_t xStride,
                        int64_t count, V (&acc)[R][T]) {
  alignas(64) float values[T * groupColumns] = {}, weights[R * groupColumns] = {};
  for (int t = 0; t < T; ++t)
    std::memcpy(values + t * groupColumns, x + t * xStride, count * sizeof(float));
  for (int r = 0; r < R; ++r)
    std::memcpy(weights + r * groupColumns, rows + r * stride, count * sizeof(float));
  addGroup(d, weights, groupColumns, values, groupColumns, acc);
}

/// R rows of y for T tokens. Each sum has one accumulator and one order, whatever the
/// tile, so that a token's result does not depend on its neighbours.
template <int R, int T>
HWY_NOINLINE void linearTile(const LinearArgs &args, const float *rows, const float *x, float *y) {
  const FloatTag d;
  hn::Vec<FloatTag> acc[R][T];
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t)
      acc[r][t] = hn::Zero(d);
  int64_t column = 0;
  for (; column + groupColumns <= args.xColumns; column += groupColumns) {
    if constexpr (T == 1) {
      // One token streams the weights from memory: fetch the next tile's rows.
      const float *next = rows + R * args.inputs + column;
      HWY_UNROLL(8)
      for (int r = 0; r < R; ++r) {
        hwy::Prefetch(next + r * args.inputs);
        hwy::Prefetch(next + r * args.inputs + groupColumns / 2);
      }
    }
    addGroup(d, rows + column, args.inputs, x + column, args.xStride, acc);
  }
  if (column < args.xColumns)
    addRest(d, rows + column, args.inputs, x + column, args.xStride, args.xColumns - column, acc);
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t)
      y[t * args.yStride + r] = sumLanes(d, acc[r][t]);
}

/// R rows of y for all tokens from `first` to `last`.
template <int R>
HWY_INLINE void linearRows(const LinearArgs &args, int64_t row, int64_t first, int64_t last) {
  constexpr int T = HWY_TARGET <= HWY_AVX3 ? 4 : 2; // as many accumulators as registers allow
  const float *rows = static_cast<const float *>(args.weight) + row * args.inputs + args.padBefore;
  int64_t t = first;
  for (; t + T <= last; t += T)
    linearTile<R, T>(args, rows, args.x + t * args.xStride, args.y + t * args.yStride + row);
  for (; t < last; ++t)
    linearTile<R, 1>(args, rows, args.x + t * args.xStride, args.y + t * args.yStride + row);
}

void linear_f32_f32(const LinearArgs &args, Part part) {
  constexpr int R = 4;
  // Activations that are used again for each tile of rows should stay in L2.
  constexpr int64_t cacheFloats = 96 * 1024;
  const int64_t tokenChunk =
      std::max<int64_t>(16, cacheFloats / std::max<int64_t>(1, args.xColumns) / 4 * 4);
  const PartRange range = partRange(args.outputs, part, R);
  for (int64_t first = 0; first < args.tokens; first += tokenChunk) {
    const int64_t last = std::min(args.tokens, first + tokenChunk);
    int64_t row = range.begin;
    for (; row + R <= range.end; row += R)
      linearRows<R>(args, row, first, last);
    for (; row < range.end; ++row)
      linearRows<1>(args, row, first, last);
  }
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(linear_f32_f32);

void linear_f32_f32(const LinearArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(linear_f32_f32)(args, part);
}

} // namespace cleave::rt
#endif
