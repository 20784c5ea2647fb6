// Products of matrices, norms, reductions, attention over plain values, and what goes along one
// dimension, against loops in double.
#include "reference.h"
#include "test_support.h"

#include "runtime/kernels/affine.h"
#include "runtime/kernels/along.h"
#include "runtime/kernels/dot_product_attention.h"
#include "runtime/kernels/layer_norm.h"
#include "runtime/kernels/matmul.h"
#include "runtime/kernels/reduce.h"
#include "runtime/kernels/softmax.h"

#include <limits>
#include <numeric>

namespace cleave::rt {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

int64_t product(const std::vector<int64_t> &sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
}

// ---- Products of matrices ----

/// Where batch `index` of the broadcast batches lies among those of one operand.
int64_t placeOf(int64_t index, const std::vector<int64_t> &whole, const std::vector<int64_t> &own) {
  int64_t place = 0, stride = 1;
  for (size_t i = whole.size(); i-- > 0; index /= whole[i]) {
    place += own[i] == 1 ? 0 : index % whole[i] * stride;
    stride *= own[i];
  }
  return place;
}

void checkMatMul(MatMuls &matmuls, const MatMulShape &shape) {
  Random random(5);
  const std::vector<float> a = random.floats(product(shape.aBatch) * shape.m * shape.k);
  const std::vector<float> b = random.floats(product(shape.bBatch) * shape.k * shape.n);
  std::vector<int64_t> batch;
  for (size_t i = 0; i < shape.aBatch.size(); ++i)
    batch.push_back(shape.aBatch[i] == 1 ? shape.bBatch[i] : shape.aBatch[i]);
  std::vector<float> c(product(batch) * shape.m * shape.n, 77.0f);
  auto made = matmuls.get(shape);
  matmuls.run(*made, {a.data(), b.data(), c.data()});
  for (int64_t i = 0; i < static_cast<int64_t>(c.size()); ++i) {
    const int64_t number = i / (shape.m * shape.n), row = i / shape.n % shape.m,
                  column = i % shape.n;
    const float *ofA = a.data() + placeOf(number, batch, shape.aBatch) * shape.m * shape.k;
    const float *ofB = b.data() + placeOf(number, batch, shape.bBatch) * shape.k * shape.n;
    double sum = 0, magnitude = 0;
    for (int64_t j = 0; j < shape.k; ++j) {
      const double term = double{ofA[shape.transposeA ? j * shape.m + row : row * shape.k + j]} *
                          ofB[shape.transposeB ? column * shape.k + j : j * shape.n + column];
      sum += term;
      magnitude += std::abs(term);
    }
    ASSERT_NEAR(c[i], sum, reference::roundingBound(shape.k + 1) * magnitude) << "element " << i;
  }
}

TEST(MatMul, MatchesReference) {
  MatMuls matmuls;
  for (bool transposeA : {false, true})
    for (bool transposeB : {false, true})
      for (auto [aBatch, bBatch] :
           std::vector<std::pair<std::vector<int64_t>, std::vector<int64_t>>>{
               {{}, {}},
               {{3}, {3}},
               {{2, 3}, {2, 3}},
               {{2, 3}, {1, 1}},
               {{1, 1}, {2, 3}},
               {{2, 3}, {2, 1}},
               {{2, 1, 3}, {1, 4, 3}},
               {{0}, {1}}})
        for (auto [m, n, k] : {std::array<int64_t, 3>{1, 1, 1},
                               {5, 7, 3},
                               {1, 33, 64},
                               {48, 17, 40},
                               {4, 0, 3},
                               {4, 3, 0}}) {
          SCOPED_TRACE(testing::PrintToString(aBatch) + testing::PrintToString(bBatch) +
                       std::to_string(m) + "x" + std::to_string(k) + "x" + std::to_string(n) +
                       (transposeA ? " transposed a" : "") + (transposeB ? " transposed b" : ""));
          checkMatMul(matmuls, {aBatch, bBatch, m, n, k, transposeA, transposeB});
        }
}

/// A packed matrix serves any number of rows, whichever it was packed for.
TEST(MatMul, PackedMatrices) {
  MatMuls matmuls;
  Random random(6);
  for (bool transposeB : {false, true})
    for (bool adds : {false, true})
      for (auto [packedFor, n, k] :
           {std::array<int64_t, 3>{1, 1, 1}, {40, 33, 64}, {128, 70, 17}, {16, 256, 100}}) {
        const std::vector<float> b = random.floats(n * k), factor = random.floats(n),
                                 bias = random.floats(n);
        MatMulShape shape{.m = packedFor,
                          .n = n,
                          .k = k,
                          .transposeB = transposeB,
                          .hasBias = true,
                          .epilogue = {adds, Activation{UnaryKind::relu, {}}}};
        auto packed = matmuls.pack(shape, b.data(), factor.data());
        for (int64_t m : {int64_t{1}, int64_t{5}, packedFor, 3 * packedFor}) {
          SCOPED_TRACE(std::to_string(m) + "x" + std::to_string(k) + "x" + std::to_string(n));
          const std::vector<float> a = random.floats(m * k), before = random.floats(m * n);
          std::vector<float> c = before;
          shape.m = m;
          auto made = matmuls.get(shape, packed.get());
          matmuls.run(*made, {.a = a.data(), .c = c.data(), .bias = bias.data()}, packed.get());
          for (int64_t i = 0; i < m * n; ++i) {
            double sum = bias[i % n] + (adds ? before[i] : 0);
            for (int64_t j = 0; j < k; ++j)
              sum += double{a[i / n * k + j]} * factor[i % n] *
                     b[transposeB ? i % n * k + j : j * n + i % n];
            ASSERT_NEAR(c[i], std::max(sum, 0.0), 1e-4) << "element " << i;
          }
        }
      }
}

TEST(MatMul, KeepsProductsThatAreInUse) {
  MatMuls matmuls;
  const MatMulShape shape{{}, {}, 2, 2, 2};
  auto first = matmuls.get(shape);
  EXPECT_EQ(matmuls.get(shape), first);
  for (int64_t k = 3; k < 303; ++k)
    matmuls.get({{}, {}, 1, 1, k});
  const float a[] = {1, 2, 3, 4}, b[] = {1, 0, 0, 1};
  float c[4];
  matmuls.run(*first, {a, b, c});
  EXPECT_TRUE(std::equal(a, a + 4, c));
}

// ---- What follows an exchange ----

TEST(Affine, MatchesReference) {
  forEachTarget([] {
    for (int64_t columns : {1, 7, 64, 83})
      for (int mask = 0; mask < 16; ++mask)
        for (int parts : partCounts) {
          Random random(mask);
          constexpr int64_t rows = 5;
          const std::vector<float> before = random.floats(rows * columns),
                                   factor = random.floats(columns), offset = random.floats(columns),
                                   residual = random.floats(rows * columns);
          std::vector<float> y = before;
          AffineArgs args{y.data(),
                          mask & 1 ? factor.data() : nullptr,
                          mask & 2 ? offset.data() : nullptr,
                          mask & 4 ? residual.data() : nullptr,
                          rows,
                          columns,
                          (mask & 8) != 0};
          runParts(affine, args, parts);
          for (int64_t i = 0; i < rows * columns; ++i) {
            double expected = before[i];
            if (args.factor)
              expected *= factor[i % columns];
            if (args.offset)
              expected += offset[i % columns];
            if (args.residual)
              expected += residual[i];
            if (args.isRelu)
              expected = std::max(expected, 0.0);
            ASSERT_NEAR(y[i], expected, 1e-6);
          }
        }
  });
}

// ---- Softmax ----

TEST(Softmax, MatchesReference) {
  for (auto [outer, length, inner] : {std::array<int64_t, 3>{1, 1, 1},
                                      {3, 7, 1},
                                      {5, 64, 1},
                                      {2, 201, 1},
                                      {2, 5, 3},
                                      {3, 4, 37},
                                      {1, 9, 130},
                                      {2, 0, 3},
                                      {0, 4, 4}}) {
    Random random(2);
    std::vector<float> x = random.floats(outer * length * inner);
    for (float &each : x)
      each *= 30;
    for (bool logarithm : {false, true})
      forEachTarget([&] {
        for (int parts : partCounts) {
          std::vector<float> y(x.size(), 77.0f);
          runParts(softmax, SoftmaxArgs{x.data(), y.data(), outer, length, inner, logarithm},
                   parts);
          for (int64_t i = 0; i < static_cast<int64_t>(y.size()); ++i) {
            const int64_t first = i / (length * inner) * length * inner + i % inner;
            double maximum = -infinity, sum = 0;
            for (int64_t j = 0; j < length; ++j)
              maximum = std::max<double>(maximum, x[first + j * inner]);
            for (int64_t j = 0; j < length; ++j)
              sum += std::exp(x[first + j * inner] - maximum);
            const double value =
                logarithm ? x[i] - maximum - std::log(sum) : std::exp(x[i] - maximum) / sum;
            // An exponential's argument of up to 60 is rounded once.
            ASSERT_NEAR(y[i], value, logarithm ? 2e-5 : 2e-5 * value + 1e-37)
                << outer << "x" << length << "x" << inner << " element " << i;
          }
        }
      });
  }
}

TEST(Softmax, Extremes) {
  forEachTarget([] {
    for (int64_t inner : {1, 3}) {
      auto of = [&](std::vector<float> row) {
        std::vector<float> x, y(row.size() * inner);
        for (float each : row)
          x.insert(x.end(), inner, each);
        softmax({x.data(), y.data(), 1, static_cast<int64_t>(row.size()), inner, false}, {});
        return y;
      };
      EXPECT_EQ(of({-infinity, 3, -infinity}).at(inner), 1);
      EXPECT_EQ(of({-infinity, 3, -infinity}).at(0), 0);
      EXPECT_FLOAT_EQ(of({3e38f, 3e38f}).at(0), 0.5f);
      EXPECT_TRUE(std::isnan(of({-infinity, -infinity}).at(0)));
      for (float each : of({1, nan, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9}))
        EXPECT_TRUE(std::isnan(each));
    }
  });
}

// ---- Layer normalization ----

TEST(LayerNorm, MatchesReference) {
  for (int64_t rows : {0, 1, 5})
    for (int64_t columns : {1, 7, 64, 301})
      for (bool hasWeight : {false, true})
        for (bool hasBias : {false, true}) {
          Random random(3);
          std::vector<float> x = random.floats(rows * columns);
          for (float &each : x)
            each += 100; // the variance must not drown in the mean
          const std::vector<float> weight = random.floats(columns), bias = random.floats(columns);
          forEachTarget([&] {
            for (int parts : partCounts) {
              std::vector<float> y(x.size(), 77.0f);
              runParts(layerNorm,
                       LayerNormArgs{x.data(), hasWeight ? weight.data() : nullptr,
                                     hasBias ? bias.data() : nullptr, y.data(), rows, columns,
                                     1e-3f},
                       parts);
              for (int64_t i = 0; i < static_cast<int64_t>(x.size()); ++i) {
                const float *row = x.data() + i / columns * columns;
                double mean = 0, variance = 0;
                for (int64_t c = 0; c < columns; ++c)
                  mean += row[c] / static_cast<double>(columns);
                for (int64_t c = 0; c < columns; ++c)
                  variance += (row[c] - mean) * (row[c] - mean) / static_cast<double>(columns);
                double value = (x[i] - mean) / std::sqrt(variance + 1e-3);
                value = value * (hasWeight ? weight[i % columns] : 1) +
                        (hasBias ? bias[i % columns] : 0);
                // The mean of 100 is known to a few units of 2^-18.
                ASSERT_NEAR(y[i], value, 2e-3 / (columns == 1 ? 1 : 5)) << rows << "x" << columns;
              }
            }
          });
        }
}

// ---- Reductions ----

double combine(Reduction kind, const std::vector<double> &x) {
  double result = kind == Reduction::prod  ? 1
                  : kind == Reduction::max ? -infinity
                  : kind == Reduction::min ? infinity
                                           : 0;
  double maximum = -infinity;
  for (double each : x)
    maximum = std::max(maximum, each);
  for (double each : x)
    switch (kind) {
    case Reduction::sum:
    case Reduction::mean:
      result += each;
      break;
    case Reduction::max:
      result = std::max(result, each);
      break;
    case Reduction::min:
      result = std::min(result, each);
      break;
    case Reduction::prod:
      result *= each;
      break;
    case Reduction::l1:
      result += std::abs(each);
      break;
    case Reduction::sumSquare:
      result += each * each;
      break;
    case Reduction::logSumExp:
      result += std::exp(each - maximum);
      break;
    }
  if (kind == Reduction::mean)
    return result / static_cast<double>(std::max<size_t>(x.size(), 1));
  return kind == Reduction::logSumExp ? maximum + std::log(result) : result;
}

TEST(Reduce, MatchesReference) {
  const std::vector<int64_t> shapes[] = {{5},           {3, 70},   {70, 3},   {2, 3, 4},
                                         {4, 1, 37, 2}, {3, 0, 2}, {2, 3, 65}};
  for (const std::vector<int64_t> &shape : shapes)
    for (int set = 0; set < 1 << shape.size(); ++set) {
      ReduceArgs args;
      std::vector<int64_t> kept;
      int64_t count = 1;
      for (size_t i = 0; i < shape.size(); ++i) {
        const bool reduced = set >> i & 1;
        args.add(shape[i], reduced);
        kept.push_back(reduced ? 1 : shape[i]);
        count *= reduced ? shape[i] : 1;
      }
      args.count = static_cast<double>(std::max<int64_t>(count, 1));
      Random random(9);
      const std::vector<float> x = random.floats(product(shape));
      std::vector<std::vector<double>> groups(product(kept));
      for (int64_t i = 0; i < static_cast<int64_t>(x.size()); ++i)
        groups[placeOf(i, shape, kept)].push_back(x[i]);
      for (int kind = 0; kind <= static_cast<int>(Reduction::logSumExp); ++kind)
        forEachTarget([&] {
          for (int parts : {1, 3}) {
            std::vector<float> y(groups.size(), 77.0f);
            args.x = x.data();
            args.y = y.data();
            args.kind = static_cast<Reduction>(kind);
            runParts(reduce, args, parts);
            for (size_t i = 0; i < y.size(); ++i) {
              const double expected = combine(args.kind, groups[i]);
              if (std::isinf(expected)) {
                ASSERT_EQ(y[i], expected);
              } else {
                ASSERT_NEAR(y[i], expected, 3e-5)
                    << testing::PrintToString(shape) << " set " << set << " kind " << kind;
              }
            }
          }
        });
    }
}

TEST(Reduce, Extremes) {
  forEachTarget([] {
    for (int64_t inner : {1, 3}) {
      auto of = [&](Reduction kind, std::vector<float> row) {
        std::vector<float> x, y(inner);
        for (float each : row)
          x.insert(x.end(), inner, each);
        ReduceArgs args;
        args.x = x.data();
        args.y = y.data();
        args.add(static_cast<int64_t>(row.size()), true);
        args.add(inner, false);
        args.kind = kind;
        reduce(args, {});
        return y[0];
      };
      std::vector<float> many(40, 1.0f);
      many[3] = nan;
      EXPECT_TRUE(std::isnan(of(Reduction::max, many)));
      EXPECT_TRUE(std::isnan(of(Reduction::min, many)));
      EXPECT_TRUE(std::isnan(of(Reduction::logSumExp, many)));
      EXPECT_EQ(of(Reduction::logSumExp, {-infinity, -infinity}), -infinity);
      EXPECT_EQ(of(Reduction::logSumExp, {0, infinity}), infinity);
      EXPECT_FLOAT_EQ(of(Reduction::logSumExp, {1000, 1000}), 1000 + std::log(2.0f));
    }
  });
}

// ---- Along one dimension ----

TEST(ArgReduce, FirstOrLastOfEqualsAndNaNs) {
  auto of = [](std::vector<float> x, bool smallest, bool last) {
    int64_t y[2];
    std::vector<float> pairs; // the same twice, side by side
    for (float each : x)
      pairs.insert(pairs.end(), 2, each);
    argReduce<float>({pairs.data(), y, 1, static_cast<int64_t>(x.size()), 2, smallest, last}, {});
    EXPECT_EQ(y[0], y[1]);
    return y[0];
  };
  EXPECT_EQ(of({1, 3, 3, 0, 0}, false, false), 1);
  EXPECT_EQ(of({1, 3, 3, 0, 0}, false, true), 2);
  EXPECT_EQ(of({1, 3, 3, 0, 0}, true, false), 3);
  EXPECT_EQ(of({1, 3, 3, 0, 0}, true, true), 4);
  EXPECT_EQ(of({1, nan, infinity, nan}, false, false), 1);
  EXPECT_EQ(of({1, nan, infinity, nan}, true, true), 3);
  EXPECT_EQ(of({nan, 1}, false, false), 0);
}

TEST(TopElements, MatchesSorting) {
  for (auto [outer, length, inner] :
       {std::array<int64_t, 3>{1, 1, 1}, {3, 40, 1}, {2, 17, 3}, {0, 4, 2}})
    for (int64_t count : {int64_t{0}, int64_t{1}, length / 2, length})
      for (bool smallest : {false, true}) {
        Random random(4);
        std::vector<float> x;
        for (int64_t i = 0; i < outer * length * inner; ++i)
          x.push_back(i % 13 == 5 ? nan : static_cast<float>(random.integer(-5, 5)));
        std::vector<float> values(outer * count * inner, 77.0f);
        std::vector<int64_t> indices(values.size(), -1);
        runParts(topElements<float>,
                 TopElementsArgs<float>{x.data(), values.data(), indices.data(), outer, length,
                                        inner, count, smallest},
                 2);
        for (int64_t line = 0; line < outer * inner; ++line) {
          const float *from = x.data() + line / inner * length * inner + line % inner;
          std::vector<int64_t> order(length);
          std::iota(order.begin(), order.end(), 0);
          auto key = [&](int64_t i) { // NaN is the largest
            const float value = from[i * inner];
            return std::isnan(value) ? std::pair(1, 0.0f) : std::pair(0, value);
          };
          std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
            return smallest ? key(a) < key(b) : key(b) < key(a);
          });
          for (int64_t i = 0; i < count; ++i) {
            const int64_t at = (line / inner * count + i) * inner + line % inner;
            ASSERT_EQ(indices[at], order[i]);
            ASSERT_EQ(std::isnan(values[at]), std::isnan(from[order[i] * inner]));
            if (!std::isnan(values[at])) {
              ASSERT_EQ(values[at], from[order[i] * inner]);
            }
          }
        }
      }
}

TEST(CumulativeSum, EveryDirection) {
  const std::vector<float> x = {1, 10, 2, 20, 3, 30};
  auto of = [&](bool exclusive, bool reverse) {
    std::vector<float> y(6);
    runParts(cumulativeSum<float>,
             CumulativeSumArgs<float>{x.data(), y.data(), 1, 3, 2, exclusive, reverse}, 2);
    return y;
  };
  using V = std::vector<float>;
  EXPECT_EQ(of(false, false), V({1, 10, 3, 30, 6, 60}));
  EXPECT_EQ(of(true, false), V({0, 0, 1, 10, 3, 30}));
  EXPECT_EQ(of(false, true), V({6, 60, 5, 50, 3, 30}));
  EXPECT_EQ(of(true, true), V({5, 50, 3, 30, 0, 0}));
}

// ---- Attention ----

enum class Mask { none, added, seen };

struct AttentionCase {
  int64_t batch, heads, keyHeads, group, firstHead, queries, keys, headDim, valueDim;
  Mask mask;
  std::array<bool, 4> repeated; ///< dimensions of the mask
  bool causal;
  int64_t causalOffset;
  float softcap;
};

void checkAttention(const AttentionCase &test) {
  Random random(6);
  const std::vector<float> q = random.floats(test.batch * test.heads * test.queries * test.headDim);
  const std::vector<float> k = random.floats(test.batch * test.keyHeads * test.keys * test.headDim);
  const std::vector<float> v =
      random.floats(test.batch * test.keyHeads * test.keys * test.valueDim);
  const int64_t sizes[] = {test.batch, test.heads, test.queries, test.keys};
  DotProductAttentionArgs args;
  int64_t stride = 1;
  for (int i = 3; i >= 0; --i) {
    args.maskStrides[i] = test.repeated[i] ? 0 : stride;
    stride *= test.repeated[i] ? 1 : sizes[i];
  }
  std::vector<float> added = random.floats(stride);
  std::vector<uint8_t> seen;
  for (float &each : added) {
    seen.push_back(each > -0.3f);
    each = each > 0.8f ? -infinity : each;
  }
  args.q = q.data();
  args.k = k.data();
  args.v = v.data();
  args.mask = test.mask == Mask::added ? added.data() : nullptr;
  args.seen = test.mask == Mask::seen ? seen.data() : nullptr;
  args.batch = test.batch;
  args.heads = test.heads;
  args.keyHeads = test.keyHeads;
  args.queries = test.queries;
  args.keys = test.keys;
  args.headDim = test.headDim;
  args.valueDim = test.valueDim;
  args.group = test.group;
  args.firstHead = test.firstHead;
  args.scale = 1.7f;
  args.softcap = test.softcap;
  args.causal = test.causal;
  args.causalOffset = test.causalOffset;

  std::vector<double> expected;
  for (int64_t row = 0; row < test.batch * test.heads * test.queries; ++row) {
    const int64_t b = row / (test.heads * test.queries), h = row / test.queries % test.heads,
                  t = row % test.queries;
    const int64_t keyHead = b * test.keyHeads + (test.firstHead + h) / test.group;
    std::vector<double> weights;
    double sum = 0;
    for (int64_t s = 0; s < test.keys; ++s) {
      double score = 0;
      for (int64_t j = 0; j < test.headDim; ++j)
        score +=
            double{q[row * test.headDim + j]} * k[(keyHead * test.keys + s) * test.headDim + j];
      score *= double{args.scale};
      if (test.softcap != 0)
        score = test.softcap * std::tanh(score / test.softcap);
      const int64_t at = b * args.maskStrides[0] + h * args.maskStrides[1] +
                         t * args.maskStrides[2] + s * args.maskStrides[3];
      bool isSeen = !test.causal || s <= t + test.causalOffset;
      if (test.mask == Mask::added)
        score += added[at];
      if (test.mask == Mask::seen)
        isSeen &= seen[at] != 0;
      weights.push_back(isSeen ? std::exp(score) : 0);
      sum += weights.back();
    }
    for (int64_t j = 0; j < test.valueDim; ++j) {
      double value = 0;
      for (int64_t s = 0; s < test.keys; ++s)
        value += weights[s] * v[(keyHead * test.keys + s) * test.valueDim + j];
      expected.push_back(sum == 0 ? 0 : value / sum);
    }
  }
  forEachTarget([&] {
    for (int parts : {1, 3}) {
      std::vector<float> y(expected.size(), 77.0f);
      const int64_t bytes = dotProductAttentionScratch(test.headDim, test.valueDim);
      std::vector<float> scratch(bytes / sizeof(float) * parts + 16, nan);
      args.y = y.data();
      args.scratch =
          reinterpret_cast<float *>((reinterpret_cast<uintptr_t>(scratch.data()) + 63) / 64 * 64);
      runParts(dotProductAttention, args, parts);
      for (size_t i = 0; i < y.size(); ++i)
        ASSERT_NEAR(y[i], expected[i], 1e-5) << "element " << i;
    }
  });
}

TEST(DotProductAttention, MatchesReference) {
  const std::array<bool, 4> all{}, rows{true, true, false, false}, keys{false, true, true, false};
  const AttentionCase cases[] = {
      {1, 1, 1, 1, 0, 1, 1, 1, 1, Mask::none, all, false, 0, 0},
      {2, 3, 3, 1, 0, 5, 7, 8, 8, Mask::none, all, false, 0, 0},
      {1, 4, 2, 2, 0, 70, 130, 16, 24, Mask::added, all, false, 0, 0},
      {2, 4, 2, 3, 1, 3, 65, 17, 5, Mask::seen, rows, false, 0, 0},
      {2, 2, 1, 2, 0, 66, 66, 64, 64, Mask::none, all, true, 0, 0},
      {1, 2, 2, 1, 0, 4, 140, 12, 3, Mask::added, keys, true, 136, 3.5f},
      {1, 2, 2, 1, 0, 70, 3, 12, 3, Mask::seen, keys, true, -67, 0},
      {1, 2, 2, 1, 0, 2, 0, 4, 4, Mask::none, all, false, 0, 0},
      {0, 2, 2, 1, 0, 2, 2, 4, 4, Mask::none, all, false, 0, 0},
  };
  for (size_t i = 0; i < std::size(cases); ++i) {
    SCOPED_TRACE("case " + std::to_string(i));
    checkAttention(cases[i]);
  }
}

} // namespace
} // namespace cleave::rt
