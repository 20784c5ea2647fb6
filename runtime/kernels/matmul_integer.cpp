// Products of pairs of 16-bit integers, added to 32-bit sums. Tiles of rows and columns share what
// they read.
#include "runtime/kernels/matmul_integer.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/matmul_integer.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/wrapping_sum-inl.h"

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using ShortTag = hn::ScalableTag<int16_t>;
using SumTag = hn::ScalableTag<int32_t>;

constexpr int tileRows = 4;
constexpr int tileColumns = 2;

HWY_INLINE hn::Vec<ShortTag> load(const int16_t *from) {
  return hn::LoadU(ShortTag(), from);
}
template <class T> HWY_INLINE hn::Vec<ShortTag> load(const T *from) {
  return hn::PromoteTo(ShortTag(), hn::LoadU(hn::Rebind<T, ShortTag>(), from));
}

/// `Rows` rows of a times `Columns` of b; rows of either are `inner` elements apart.
template <int Rows, int Columns, class A, class B>
HWY_INLINE void tile(const A *a, const B *b, int64_t inner, int32_t *c, int64_t cStride) {
  const SumTag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(ShortTag()));
  hn::Vec<SumTag> sums[Rows][Columns], more[Rows][Columns];
  for (int i = 0; i < Rows; ++i)
    for (int j = 0; j < Columns; ++j)
      sums[i][j] = more[i][j] = hn::Zero(d);
  int64_t l = 0;
  for (; l + lanes <= inner; l += lanes) {
    hn::Vec<ShortTag> ofB[Columns];
    for (int j = 0; j < Columns; ++j)
      ofB[j] = load(b + j * inner + l);
    for (int i = 0; i < Rows; ++i) {
      const auto ofA = load(a + i * inner + l);
      for (int j = 0; j < Columns; ++j)
        sums[i][j] = hn::ReorderWidenMulAccumulate(d, ofA, ofB[j], sums[i][j], more[i][j]);
    }
  }
  for (int i = 0; i < Rows; ++i)
    for (int j = 0; j < Columns; ++j) {
      auto sum = static_cast<uint32_t>(wrappingSum(d, hn::Add(sums[i][j], more[i][j])));
      for (int64_t rest = l; rest < inner; ++rest)
        sum += static_cast<uint32_t>(int32_t{a[i * inner + rest]} * b[j * inner + rest]);
      c[i * cStride + j] = static_cast<int32_t>(sum);
    }
}

template <int Rows, class A, class B>
HWY_INLINE void rowsOfTiles(const A *a, const B *b, const IntegerMatMulArgs &args,
                            PartRange columns, int32_t *c) {
  int64_t j = columns.begin;
  for (; j + tileColumns <= columns.end; j += tileColumns)
    tile<Rows, tileColumns>(a, b + j * args.inner, args.inner, c + j, args.columns);
  for (; j < columns.end; ++j)
    tile<Rows, 1>(a, b + j * args.inner, args.inner, c + j, args.columns);
}

template <class A, class B> void multiply(const IntegerMatMulArgs &args, Part part) {
  constexpr int64_t block = 64; // columns, whose rows of b stay in a cache
  const int64_t blocks = (args.columns + block - 1) / block;
  const int64_t rowTiles = (args.rows + tileRows - 1) / tileRows;
  int64_t count = blocks * rowTiles;
  for (int i = 0; i < args.batchRank; ++i)
    count *= args.batches[i];
  const PartRange range = partRange(count, part);
  for (int64_t item = range.begin; item < range.end; ++item) {
    const int64_t batch = item / (blocks * rowTiles);
    const int64_t row = item % rowTiles * tileRows, first = item / rowTiles % blocks * block;
    int64_t rest = batch, ofA = 0, ofB = 0;
    for (int i = args.batchRank - 1; i >= 0; --i) {
      ofA += rest % args.batches[i] * args.aStrides[i];
      ofB += rest % args.batches[i] * args.bStrides[i];
      rest /= args.batches[i];
    }
    const A *a = static_cast<const A *>(args.a) + (ofA * args.rows + row) * args.inner;
    const B *b = static_cast<const B *>(args.b) + ofB * args.columns * args.inner;
    int32_t *c = args.c + (batch * args.rows + row) * args.columns;
    const PartRange columns{first, std::min(args.columns, first + block)};
    if (row + tileRows <= args.rows) {
      rowsOfTiles<tileRows>(a, b, args, columns, c);
      continue;
    }
    for (int64_t i = 0; row + i < args.rows; ++i)
      rowsOfTiles<1>(a + i * args.inner, b, args, columns, c + i * args.columns);
  }
}

template <class A> void multiplyBy(const IntegerMatMulArgs &args, Part part) {
  if (args.bType == ElementType::i8)
    return multiply<A, int8_t>(args, part);
  if (args.bType == ElementType::u8)
    return multiply<A, uint8_t>(args, part);
  return multiply<A, int16_t>(args, part);
}

void integerMatMul(const IntegerMatMulArgs &args, Part part) {
  if (args.aType == ElementType::i8)
    return multiplyBy<int8_t>(args, part);
  if (args.aType == ElementType::u8)
    return multiplyBy<uint8_t>(args, part);
  return multiplyBy<int16_t>(args, part);
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(integerMatMul);

void integerMatMul(const IntegerMatMulArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(integerMatMul)(args, part);
}

} // namespace cleave::rt
#endif
