// Exact arithmetic on integers against plain loops: products of matrices, reductions, what goes
// along one dimension, and the places of windows' largest elements.
#include "test_support.h"

#include "runtime/kernels/along.h"
#include "runtime/kernels/matmul_integer.h"
#include "runtime/kernels/plain_types.h"
#include "runtime/kernels/pool_indices.h"
#include "runtime/kernels/reduce.h"

#include <limits>

namespace cleave::rt {
namespace {

template <typename T> std::vector<T> integers(size_t count, int seed) {
  Random random(seed);
  std::vector<T> result(count);
  for (T &each : result)
    each = static_cast<T>(
        random.integer(std::numeric_limits<int>::min(), std::numeric_limits<int>::max()));
  return result;
}

template <typename A, typename B>
void checkProduct(ElementType aType, ElementType bType, int64_t rows, int64_t columns,
                  int64_t inner) {
  // Three matrices a with one b, and the other way round.
  for (bool repeatsA : {false, true}) {
    const int64_t ofA = repeatsA ? 1 : 3, ofB = repeatsA ? 3 : 1;
    const std::vector<A> a = integers<A>(ofA * rows * inner, 1);
    const std::vector<B> b = integers<B>(ofB * columns * inner, 2);
    std::vector<int32_t> c(3 * rows * columns, 77);
    IntegerMatMulArgs args{.a = a.data(),
                           .b = b.data(),
                           .c = c.data(),
                           .aType = aType,
                           .bType = bType,
                           .batchRank = 1,
                           .batches = {3},
                           .aStrides = {repeatsA ? 0 : 1},
                           .bStrides = {repeatsA ? 1 : 0},
                           .rows = rows,
                           .columns = columns,
                           .inner = inner};
    runParts(integerMatMul, args, 3);
    for (int64_t i = 0; i < static_cast<int64_t>(c.size()); ++i) {
      const int64_t batch = i / (rows * columns), row = i / columns % rows, column = i % columns;
      uint32_t sum = 0;
      for (int64_t l = 0; l < inner; ++l)
        sum += static_cast<uint32_t>(a[((repeatsA ? 0 : batch) * rows + row) * inner + l] *
                                     b[((repeatsA ? batch : 0) * columns + column) * inner + l]);
      ASSERT_EQ(c[i], static_cast<int32_t>(sum)) << rows << " " << columns << " " << inner;
    }
  }
}

TEST(IntegerMatMul, IsExactForEveryTypeOnEveryTarget) {
  forEachTarget([] {
    for (auto [rows, columns, inner] : {std::array<int64_t, 3>{1, 1, 1},
                                        {5, 3, 70},
                                        {4, 65, 129},
                                        {9, 2, 32},
                                        {0, 4, 3},
                                        {2, 3, 0}}) {
      checkProduct<int8_t, int8_t>(ElementType::i8, ElementType::i8, rows, columns, inner);
      checkProduct<uint8_t, int8_t>(ElementType::u8, ElementType::i8, rows, columns, inner);
      checkProduct<uint8_t, uint8_t>(ElementType::u8, ElementType::u8, rows, columns, inner);
      checkProduct<int16_t, uint8_t>(ElementType::i16, ElementType::u8, rows, columns, inner);
      checkProduct<int16_t, int16_t>(ElementType::i16, ElementType::i16, rows, columns, inner);
    }
  });
}

// ---- Reductions ----

template <typename T>
std::vector<T> reduced(ElementType type, Reduction kind, const std::vector<T> &x,
                       const std::vector<std::pair<int64_t, bool>> &dims) {
  IntegerReduceArgs args;
  int64_t count = 1;
  for (auto [size, isReduced] : dims) {
    args.add(size, isReduced);
    count *= isReduced ? 1 : size;
  }
  std::vector<T> y(count, 77);
  args.x = x.data();
  args.y = y.data();
  args.kind = kind;
  args.type = type;
  runParts(reduceIntegers, args, 2);
  return y;
}

TEST(IntegerReduce, EveryKind) {
  using V = std::vector<int64_t>;
  constexpr int64_t wide = int64_t{1} << 53; // an f64 does not have wide + 1
  const V x = {wide, 1, -3, 4, -5, 6};
  auto of = [&](Reduction kind) {
    return reduced<int64_t>(ElementType::i64, kind, x, {{2, false}, {3, true}});
  };
  EXPECT_EQ(of(Reduction::sum), V({wide - 2, 5}));
  EXPECT_EQ(of(Reduction::max), V({wide, 6}));
  EXPECT_EQ(of(Reduction::min), V({-3, -5}));
  EXPECT_EQ(of(Reduction::prod), V({-3 * wide, -120}));
  EXPECT_EQ(of(Reduction::l1), V({wide + 4, 15}));
  EXPECT_EQ(reduced<int64_t>(ElementType::i64, Reduction::sumSquare, {1, -3, 4, -5},
                             {{2, true}, {2, false}}),
            V({17, 34}));
  // 2 x 3 x 2, of which the outer dimensions go, and of nothing.
  EXPECT_EQ(reduced<int64_t>(ElementType::i64, Reduction::sum, {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3},
                             {{2, true}, {3, false}, {2, true}}),
            V({18, 17, 16}));
  EXPECT_EQ(reduced<int64_t>(ElementType::i64, Reduction::max, {}, {{1, false}, {0, true}}),
            V({std::numeric_limits<int64_t>::lowest()}));
}

TEST(IntegerReduce, Unsigned) {
  using V = std::vector<uint32_t>;
  const V x = {0x80000000u, 0x80000001u};
  auto of = [&](Reduction kind) {
    return reduced<uint32_t>(ElementType::u32, kind, x, {{2, true}});
  };
  EXPECT_EQ(of(Reduction::max), V({0x80000001u}));
  EXPECT_EQ(of(Reduction::l1), V({1}));
  EXPECT_EQ(of(Reduction::sum), V({1}));
}

// ---- Along one dimension ----

TEST(Along, WideIntegersAreExact) {
  constexpr int64_t wide = int64_t{1} << 53;
  const std::vector<int64_t> x = {wide, wide + 1, -wide, wide};
  int64_t place = -1;
  argReduce<int64_t>({x.data(), &place, 1, 4, 1, false, false}, {});
  EXPECT_EQ(place, 1);
  argReduce<int64_t>({x.data(), &place, 1, 4, 1, true, false}, {});
  EXPECT_EQ(place, 2);
  std::vector<int64_t> values(2), places(2), sums(4);
  topElements<int64_t>({x.data(), values.data(), places.data(), 1, 4, 1, 2, false}, {});
  EXPECT_EQ(values, std::vector<int64_t>({wide + 1, wide}));
  EXPECT_EQ(places, std::vector<int64_t>({1, 0}));
  cumulativeSum<int64_t>({x.data(), sums.data(), 1, 4, 1, false, false}, {});
  EXPECT_EQ(sums, std::vector<int64_t>({wide, 2 * wide + 1, wide + 1, 2 * wide + 1}));
  const std::vector<uint32_t> y = {0xffffffffu, 2};
  std::vector<uint32_t> wrapped(2);
  cumulativeSum<uint32_t>({y.data(), wrapped.data(), 1, 2, 1, false, false}, {});
  EXPECT_EQ(wrapped, std::vector<uint32_t>({0xffffffffu, 1}));
}

// ---- Windows ----

TEST(PoolIndices, FirstOfEqualsInEitherOrder) {
  // Two planes of 3 x 4.
  const std::vector<float> x = {1, 5, 2, 5, 9, 0, 9, 3, 4, 4, 4, 8, //
                                7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7};
  auto of = [&](bool columnMajor) {
    std::vector<int64_t> y(8, 77);
    runParts(poolIndices,
             PoolIndicesArgs{.x = x.data(),
                             .y = y.data(),
                             .planes = 2,
                             .sizes = {1, 3, 4},
                             .outputs = {1, 2, 2},
                             .window = {1, 2, 3},
                             .strides = {1, 2, 2},
                             .pads = {0, 1, 1},
                             .dilations = {1, 1, 1},
                             .columnMajor = columnMajor},
             2);
    return y;
  };
  using V = std::vector<int64_t>;
  EXPECT_EQ(of(false), V({1, 1, 4, 6, 0, 1, 4, 5}));
  EXPECT_EQ(of(true), V({3, 3, 1, 7, 0, 3, 1, 4}));
}

} // namespace
} // namespace cleave::rt
