// Kernels that move elements by numbers, and the strided copy, against loops over coordinates.
#include "test_support.h"

#include "runtime/kernels/indexing.h"
#include "runtime/kernels/range.h"
#include "runtime/kernels/transpose.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

namespace cleave::rt {
namespace {

template <typename T> std::vector<T> counted(size_t count, int first = 1) {
  std::vector<T> result(count);
  for (size_t i = 0; i < count; ++i)
    result[i] = static_cast<T>(first + static_cast<int>(i));
  return result;
}

/// Calls the kernel with each part of `parts`, the last one first.
template <typename Args>
void runInParts(void (*kernel)(const Args &, Part), const Args &args, int parts) {
  for (int part = parts; part-- > 0;)
    kernel(args, {part, parts});
}

template <typename T> class MovesElements : public testing::Test {};
using Moved = testing::Types<uint8_t, uint16_t, float, int64_t>;
TYPED_TEST_SUITE(MovesElements, Moved);

TYPED_TEST(MovesElements, TakesSlices) {
  // x [2, 5, 3] at the indices along dim 1
  const auto x = counted<TypeParam>(30);
  const std::vector<int32_t> indices = {4, 0, -1, -5, 2, 2, 3};
  std::vector<TypeParam> y(2 * 7 * 3);
  for (int parts : {1, 2, 5, 40}) {
    std::fill(y.begin(), y.end(), TypeParam());
    TakeArgs args{x.data(), y.data(), {indices.data(), false}, 2, 5, 7, 3 * sizeof(TypeParam),
                  0,        5};
    runInParts(take, args, parts);
    for (size_t o = 0; o < 2; ++o)
      for (size_t i = 0; i < 7; ++i)
        for (size_t k = 0; k < 3; ++k) {
          const auto row = static_cast<size_t>((indices[i] + 5) % 5);
          ASSERT_EQ(y[(o * 7 + i) * 3 + k], x[(o * 5 + row) * 3 + k]) << o << " " << i;
        }
  }
}

TYPED_TEST(MovesElements, TakesWhatIsInAShareAndElseZeros) {
  // x [2, 3, 2] has items 4 to 6 of 9.
  const auto x = counted<TypeParam>(12);
  const std::vector<int64_t> indices = {4, 3, 6, 7, 8, 0, -9, -1, -5, -3, -2, -6};
  std::vector<TypeParam> y(2 * indices.size() * 2);
  for (int parts : {1, 4, 30}) {
    std::fill(y.begin(), y.end(), TypeParam(77));
    TakeArgs args{.x = x.data(),
                  .y = y.data(),
                  .indices = {indices.data(), true},
                  .outer = 2,
                  .limit = 3,
                  .count = static_cast<int64_t>(indices.size()),
                  .bytes = 2 * sizeof(TypeParam),
                  .offset = 4,
                  .whole = 9};
    runInParts(take, args, parts);
    for (size_t o = 0; o < 2; ++o)
      for (size_t i = 0; i < indices.size(); ++i)
        for (size_t k = 0; k < 2; ++k) {
          const auto item = static_cast<size_t>((indices[i] + 9) % 9);
          const bool isHere = item >= 4 && item < 7;
          ASSERT_EQ(y[(o * indices.size() + i) * 2 + k],
                    isHere ? x[(o * 3 + item - 4) * 2 + k] : TypeParam())
              << o << " " << indices[i];
        }
  }
}

TEST(Indexing, TakesRowsOfAnInterleavedMatrix) {
  // Rows 2 to 20 of 30: more than a group of rows, of an odd number of halves.
  constexpr int64_t rows = 19, columns = 7;
  const auto x = counted<uint16_t>(rows * columns);
  std::vector<uint8_t> bytes(x.size() * 2);
  std::memcpy(bytes.data(), x.data(), bytes.size());
  const GuardedBytes matrix(packed(ElementType::f16, bytes, rows));
  const std::vector<int32_t> indices = {2, 20, 1, 21, -28, -10, -9, 17, 18, 5};
  std::vector<uint16_t> y(indices.size() * columns);
  for (int parts : {1, 3}) {
    std::fill(y.begin(), y.end(), uint16_t{7777});
    TakeArgs args{.x = matrix.data(),
                  .y = y.data(),
                  .indices = {indices.data(), false},
                  .outer = 1,
                  .limit = rows,
                  .count = static_cast<int64_t>(indices.size()),
                  .bytes = columns * 2,
                  .offset = 2,
                  .whole = 30,
                  .layout = Layout::interleaved,
                  .type = ElementType::f16};
    runInParts(take, args, parts);
    for (size_t i = 0; i < indices.size(); ++i)
      for (size_t k = 0; k < columns; ++k) {
        const int64_t row = (indices[i] + 30) % 30 - 2;
        const bool isHere = row >= 0 && row < rows;
        ASSERT_EQ(y[i * columns + k], isHere ? x[static_cast<size_t>(row) * columns + k] : 0)
            << indices[i];
      }
  }
}

/// y [2, 3, 70] of x [4, 3, 9] along dim 2, and along dim 0 with fewer columns than x has.
ElementPlaces placesAlong(int dim, const std::vector<int64_t> &indices, int64_t bytes) {
  ElementPlaces places;
  places.indices = {indices.data(), true};
  places.rank = 3;
  places.dim = dim;
  places.limit = dim == 2 ? 9 : 4;
  places.elementBytes = bytes;
  places.dims = {2, 3, dim == 2 ? 70 : 8};
  places.strides = {27, 9, 1};
  return places;
}

TYPED_TEST(MovesElements, GathersElements) {
  const auto x = counted<TypeParam>(108);
  for (int dim : {0, 2}) {
    std::vector<int64_t> indices(dim == 2 ? 420 : 48);
    const int64_t limit = dim == 2 ? 9 : 4;
    for (size_t i = 0; i < indices.size(); ++i)
      indices[i] = static_cast<int64_t>(i * 7 % static_cast<size_t>(2 * limit)) - limit;
    std::vector<TypeParam> y(indices.size());
    GatherElementsArgs args{x.data(), y.data(), placesAlong(dim, indices, sizeof(TypeParam))};
    for (int parts : {1, 3, 9}) {
      std::fill(y.begin(), y.end(), TypeParam());
      runInParts(gatherElements, args, parts);
      const size_t columns = indices.size() / 6;
      for (size_t i = 0; i < indices.size(); ++i) {
        size_t at[3] = {i / columns / 3, i / columns % 3, i % columns};
        at[dim] = static_cast<size_t>((indices[i] + limit) % limit);
        ASSERT_EQ(y[i], x[at[0] * 27 + at[1] * 9 + at[2]]) << dim << " " << i;
      }
    }
  }
}

TYPED_TEST(MovesElements, GathersByTuples) {
  // x [2, 4, 5, 3], tuples [2, 6, 2] in dims 1 and 2
  const auto x = counted<TypeParam>(120);
  std::vector<int64_t> indices(24);
  for (size_t i = 0; i < 24; ++i)
    indices[i] = i % 2 ? static_cast<int64_t>(i % 10) - 5 : static_cast<int64_t>(i % 8) - 4;
  std::vector<TypeParam> y(36);
  GatherNdArgs args{x.data(), y.data(), {}};
  args.places.indices = {indices.data(), true};
  args.places.batches = 2;
  args.places.count = 6;
  args.places.batchStride = 60;
  args.places.items = 3;
  args.places.elementBytes = sizeof(TypeParam);
  args.places.length = 2;
  args.places.limits = {4, 5};
  args.places.strides = {15, 3};
  runInParts(gatherNd, args, 5);
  for (size_t i = 0; i < 12; ++i)
    for (size_t k = 0; k < 3; ++k) {
      const auto a = static_cast<size_t>((indices[2 * i] + 4) % 4);
      const auto b = static_cast<size_t>((indices[2 * i + 1] + 5) % 5);
      ASSERT_EQ(y[i * 3 + k], x[i / 6 * 60 + a * 15 + b * 3 + k]) << i;
    }
}

TYPED_TEST(MovesElements, AtDistancesThatAreNoneOrNegative) {
  // [3, 2, 4]: x [2, 4] repeated, its rows in reverse
  const auto x = counted<TypeParam>(8);
  std::vector<TypeParam> y(24);
  TransposeArgs args{x.data() + 4, y.data(), sizeof(TypeParam), 3, {3, 2, 4}, {0, -4, 1}};
  runInParts(transpose, args, 4);
  for (size_t i = 0; i < 24; ++i)
    ASSERT_EQ(y[i], x[(1 - i / 4 % 2) * 4 + i % 4]);
}

template <typename T>
std::vector<T> scatteredInto(std::vector<T> y, ScatterKind kind, ElementType type,
                             std::vector<T> updates) {
  const std::vector<int32_t> indices = {1, -1, 1};
  ElementPlaces places;
  places.indices = {indices.data(), false};
  places.rank = 1;
  places.limit = static_cast<int64_t>(y.size());
  places.elementBytes = sizeof(T);
  places.dims = {3};
  places.strides = {1};
  scatterElements(updates.data(), y.data(), places, kind, type);
  return y;
}

TEST(Scatter, ComputesInTheOrderOfUpdates) {
  using V = std::vector<float>;
  const V x = {1, 2, 3};
  const V updates = {5, 7, -4};
  EXPECT_EQ(scatteredInto(x, ScatterKind::set, ElementType::f32, updates), (V{1, -4, 7}));
  EXPECT_EQ(scatteredInto(x, ScatterKind::add, ElementType::f32, updates), (V{1, 3, 10}));
  EXPECT_EQ(scatteredInto(x, ScatterKind::mul, ElementType::f32, updates), (V{1, -40, 21}));
  EXPECT_EQ(scatteredInto(x, ScatterKind::max, ElementType::f32, updates), (V{1, 5, 7}));
  EXPECT_EQ(scatteredInto(x, ScatterKind::min, ElementType::f32, updates), (V{1, -4, 3}));
}

TEST(Scatter, KnowsSigns) {
  EXPECT_EQ(scatteredInto<int8_t>({1, -2, 3}, ScatterKind::max, ElementType::i8, {-5, 7, -1}),
            (std::vector<int8_t>{1, -1, 7}));
  EXPECT_EQ(scatteredInto<uint8_t>({1, 200, 3}, ScatterKind::max, ElementType::u8, {5, 7, 201}),
            (std::vector<uint8_t>{1, 201, 7}));
  EXPECT_EQ(scatteredInto<int16_t>({1, -2, 3}, ScatterKind::min, ElementType::i16, {-5, 7, -1}),
            (std::vector<int16_t>{1, -5, 3}));
  EXPECT_EQ(scatteredInto<uint16_t>({1, 40000, 3}, ScatterKind::mul, ElementType::u16, {2, 7, 1}),
            (std::vector<uint16_t>{1, 80000 - 65536, 21}));
  EXPECT_EQ(scatteredInto<double>({1, -2, 3}, ScatterKind::add, ElementType::f64, {0.5, 7, -1}),
            (std::vector<double>{1, -2.5, 10}));
  EXPECT_EQ(scatteredInto<int64_t>({1, -2, 3}, ScatterKind::min, ElementType::i64, {-5, 7, -1}),
            (std::vector<int64_t>{1, -5, 3}));
  EXPECT_EQ(scatteredInto<int32_t>({1, 1 << 30, 3}, ScatterKind::mul, ElementType::i32, {4, 7, 1}),
            (std::vector<int32_t>{1, 0, 21}));
}

TEST(Scatter, WritesSlicesByTuples) {
  std::vector<int32_t> y(12), updates = counted<int32_t>(4);
  const std::vector<int64_t> indices = {1, 2, -2, 0};
  TuplePlaces places;
  places.indices = {indices.data(), true};
  places.count = 2;
  places.items = 2;
  places.elementBytes = 4;
  places.length = 2;
  places.limits = {2, 3};
  places.strides = {6, 2};
  scatterNd(updates.data(), y.data(), places, ScatterKind::set, ElementType::i32);
  scatterNd(updates.data(), y.data(), places, ScatterKind::add, ElementType::i32);
  EXPECT_EQ(y, (std::vector<int32_t>{6, 8, 0, 0, 0, 0, 0, 0, 0, 0, 2, 4}));
}

TEST(Range, CountsInAnyType) {
  float floats[3];
  range(floats, 3, -1, 3, ElementType::f32);
  EXPECT_EQ(std::vector(floats, floats + 3), (std::vector<float>{-1, 2, 5}));
  int64_t wide[2];
  range(wide, 2, int64_t{1} << 40, -1, ElementType::i64);
  EXPECT_EQ(wide[1], (int64_t{1} << 40) - 1);
  double doubles[2];
  range(doubles, 2, 7, -9, ElementType::f64);
  EXPECT_EQ(doubles[1], -2);
  int8_t bytes[2];
  range(bytes, 2, 127, 1, ElementType::i8);
  EXPECT_EQ(bytes[1], -128);
}

} // namespace
} // namespace cleave::rt
