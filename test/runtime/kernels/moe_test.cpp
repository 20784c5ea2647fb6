// The kernels of a mixture of experts against plain loops: the choice, the weights, the
// rows of each expert, their products and their sums.
#include "reference.h"
#include "test_support.h"

#include "runtime/kernels/moe.h"
#include "runtime/kernels/quantize.h"
#include "runtime/kernels/route.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <numeric>

namespace cleave::rt {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::FloatNear;

// ---- route ----

std::vector<int32_t> routeOf(const std::vector<float> &logits, int64_t experts, int64_t perToken,
                             int parts = 1) {
  RouteArgs args;
  args.logits = logits.data();
  args.experts = experts;
  args.tokens = static_cast<int64_t>(logits.size()) / experts;
  args.perToken = perToken;
  std::vector<int32_t> chosen(static_cast<size_t>(args.tokens * perToken), -7);
  args.chosen = chosen.data();
  runParts(route, args, parts);
  return chosen;
}

TEST(Route, TakesTheLargestInOrder) {
  Random random(1);
  const int64_t tokens = 9, experts = 13;
  const std::vector<float> logits = random.floats(tokens * experts);
  for (int64_t perToken : {1, 2, 8, 13}) {
    std::vector<int32_t> expected;
    for (int64_t t = 0; t < tokens; ++t) {
      std::vector<int32_t> order(experts);
      std::iota(order.begin(), order.end(), 0);
      std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
        return logits[t * experts + a] > logits[t * experts + b];
      });
      expected.insert(expected.end(), order.begin(), order.begin() + perToken);
    }
    for (int parts : partCounts)
      EXPECT_EQ(routeOf(logits, experts, perToken, parts), expected);
  }
}

TEST(Route, OfEqualsTakesTheLowerNumber) {
  EXPECT_THAT(routeOf({1, 3, 3, 1, 3}, 5, 4), ElementsAre(1, 2, 4, 0));
}

TEST(Route, GivesDistinctNumbersWhateverTheLogits) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_THAT(routeOf({nan, nan, nan}, 3, 3), ElementsAre(0, 1, 2));
  EXPECT_THAT(routeOf({nan, -infinity, 1, nan}, 4, 4), ElementsAre(2, 1, 0, 3));
  EXPECT_THAT(routeOf({-infinity, infinity, -infinity}, 3, 2), ElementsAre(1, 0));
}

// ---- routeWeights ----

std::vector<float> weightsOf(const std::vector<float> &logits, const std::vector<int32_t> &chosen,
                             int64_t experts, int64_t perToken, bool normalized, float scale,
                             int parts = 1) {
  RouteWeightsArgs args;
  args.logits = logits.data();
  args.chosen = chosen.data();
  args.experts = experts;
  args.tokens = static_cast<int64_t>(logits.size()) / experts;
  args.perToken = perToken;
  args.normalized = normalized;
  args.scale = scale;
  std::vector<float> weights(chosen.size(), 77.0f);
  args.weights = weights.data();
  runParts(routeWeights, args, parts);
  return weights;
}

TEST(RouteWeights, AreTheSoftmaxAtTheChosen) {
  Random random(2);
  const int64_t tokens = 5, experts = 11, perToken = 3;
  std::vector<float> logits = random.floats(tokens * experts);
  for (float &logit : logits)
    logit *= 50; // the largest exponential overflows unless the maximum is taken off
  const std::vector<int32_t> chosen = routeOf(logits, experts, perToken);
  for (bool normalized : {false, true})
    for (int parts : partCounts) {
      const std::vector<float> weights =
          weightsOf(logits, chosen, experts, perToken, normalized, 2.5f, parts);
      for (int64_t t = 0; t < tokens; ++t) {
        auto exponential = [&](int64_t n) {
          return std::exp(static_cast<long double>(logits[t * experts + n]));
        };
        long double sum = 0;
        for (int64_t n = 0; n < experts; ++n)
          if (!normalized ||
              std::count(chosen.begin() + t * perToken, chosen.begin() + (t + 1) * perToken, n))
            sum += exponential(n);
        for (int64_t j = 0; j < perToken; ++j) {
          const auto expected =
              static_cast<float>(2.5L * exponential(chosen[t * perToken + j]) / sum);
          EXPECT_NEAR(weights[t * perToken + j], expected, 1e-6f);
        }
      }
    }
}

TEST(RouteWeights, OfAChoiceThatIsNoExpertAreZero) {
  EXPECT_THAT(weightsOf({1, 1}, {-1, 0, 2, 1}, 2, 4, true, 1), ElementsAre(0, 0.5f, 0, 0.5f));
  EXPECT_THAT(weightsOf({1, 1}, {INT32_MIN, INT32_MAX}, 2, 2, true, 1), Each(0.0f));
}

TEST(RouteWeights, HideNoNan) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(weightsOf({nan, 1}, {1, 0}, 2, 2, true, 1)[0]));
}

// ---- moeRows ----

struct Rows {
  Rows(const std::vector<int32_t> &chosen, int64_t perToken, int64_t firstExpert, int64_t experts)
      : begins(experts + 1, -7), tokenOfRow(chosen.size(), -7), rowOfChoice(chosen.size(), -7) {
    MoeRowsArgs args;
    args.chosen = chosen.data();
    args.begins = begins.data();
    args.tokenOfRow = tokenOfRow.data();
    args.rowOfChoice = rowOfChoice.data();
    args.perToken = perToken;
    args.tokens = static_cast<int64_t>(chosen.size()) / perToken;
    args.firstExpert = firstExpert;
    args.experts = experts;
    moeRows(args);
  }
  std::vector<int32_t> begins, tokenOfRow, rowOfChoice;
};

TEST(MoeRows, AreInTheExpertsOrderAndWithinInTheTokens) {
  const Rows rows({3, 0, 1, 3, 0, 1}, 2, 0, 4);
  EXPECT_THAT(rows.begins, ElementsAre(0, 2, 4, 4, 6));
  EXPECT_THAT(rows.tokenOfRow, ElementsAre(0, 2, 1, 2, 0, 1));
  EXPECT_THAT(rows.rowOfChoice, ElementsAre(4, 0, 2, 5, 1, 3));
}

TEST(MoeRows, LeaveOutOtherRanksExperts) {
  const Rows rows({3, 0, 1, 3, INT32_MIN, INT32_MAX}, 2, 1, 2);
  EXPECT_THAT(rows.begins, ElementsAre(0, 1, 1));
  EXPECT_EQ(rows.tokenOfRow[0], 1);
  EXPECT_EQ(rows.tokenOfRow[1], -7) << "written behind the rows";
  EXPECT_THAT(rows.rowOfChoice, ElementsAre(-1, -1, 0, -1, -1, -1));
}

TEST(MoeRows, MayBeNone) {
  EXPECT_THAT(Rows({0, 1}, 1, 0, 0).begins, ElementsAre(0));
  EXPECT_THAT(Rows({}, 2, 0, 3).begins, Each(0));
}

// ---- Copies, products, sums ----

TEST(MoeCopy, CopiesTheRowsTokens) {
  const std::vector<float> x{1, 2, 3, 4, 5, 6};
  const std::vector<int32_t> tokens{2, 0, 2};
  for (int parts : partCounts) {
    std::vector<float> y(8, 77.0f);
    MoeCopyArgs args;
    args.x = reinterpret_cast<const std::byte *>(x.data());
    args.y = reinterpret_cast<std::byte *>(y.data());
    args.tokenOfRow = tokens.data();
    args.rows = 3;
    args.rowBytes = 8;
    runParts(moeCopy, args, parts);
    EXPECT_THAT(y, ElementsAre(5, 6, 1, 2, 5, 6, 77, 77));
  }
}

class MoeLinear : public testing::TestWithParam<ElementType> {};

/// Each expert's rows meet its own matrix, and an expert without rows is not read: it lies
/// behind readable memory.
TEST_P(MoeLinear, MultipliesEachExpertsRowsByItsMatrix) {
  const int64_t outputs = 5, experts = 3;
  const int64_t inputs = std::max<int64_t>(64, elementTypeInfo(GetParam()).blockLength);
  const std::vector<int32_t> begins{0, 1, 4, 4}, counts{1, 3};
  Random random(3);
  const TestWeight weight = makeWeight(GetParam(), 2 * outputs * inputs, random);
  const std::vector<uint8_t> matrices = packed(GetParam(), weight.bytes, outputs, 2);
  const GuardedBytes guarded(matrices);
  const std::vector<float> x = random.floats(4 * inputs);
  forEachTarget([&] {
    for (bool isQuantized : {false, true}) {
      MoeLinearArgs args;
      const LinearVariant variant = chooseLinear(GetParam(), inputs, isQuantized).value().few;
      if (isQuantized != (variant.form == ActivationForm::q8))
        continue;
      args.kernel = variant.kernel;
      std::vector<std::byte> quantized(4 * q8RowBytes(inputs) + 64);
      auto *aligned = reinterpret_cast<std::byte *>(
          (reinterpret_cast<uintptr_t>(quantized.data()) + 63) / 64 * 64);
      if (isQuantized) {
        quantizeQ8({x.data(), aligned, 4, inputs, inputs, 0, inputs}, Part{});
        args.linear.quantized = aligned;
      } else {
        args.linear.x = x.data();
      }
      args.linear.weight = guarded.data();
      args.linear.outputs = outputs;
      args.linear.yStride = outputs + 2;
      args.linear.inputs = args.linear.xColumns = args.linear.xStride = inputs;
      args.begins = begins.data();
      args.experts = experts;
      args.expertBytes = static_cast<int64_t>(matrices.size()) / 2;
      for (int parts : partCounts) {
        std::vector<float> y(4 * (outputs + 2), 77.0f);
        args.linear.y = y.data();
        runParts(moeLinear, args, parts);
        int64_t row = 0;
        for (int64_t n = 0; n < 2; ++n)
          for (int64_t i = 0; i < counts[n]; ++i, ++row) {
            // The same as the linear kernel by itself, bit by bit.
            LinearArgs one = args.linear;
            std::vector<float> expected(outputs);
            one.tokens = 1;
            one.x = isQuantized ? nullptr : x.data() + row * inputs;
            one.quantized = isQuantized ? aligned + row * q8RowBytes(inputs) : nullptr;
            one.weight = guarded.data() + n * args.expertBytes;
            one.y = expected.data();
            args.kernel(one, Part{});
            for (int64_t o = 0; o < outputs; ++o)
              ASSERT_EQ(y[row * (outputs + 2) + o], expected[o]) << "row " << row;
            ASSERT_EQ(y[row * (outputs + 2) + outputs], 77.0f);
          }
      }
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Types, MoeLinear, testing::ValuesIn(weightTypes()), typeName);

TEST(MoeSum, AddsEachChoicesRowByItsWeight) {
  const std::vector<float> rows{1, 2, 3, 10, 20, 30, 100, 200, 300};
  const std::vector<float> weights{0.5f, 2, 1, 4, 1, 1};
  const std::vector<int32_t> rowOfChoice{1, 0, -1, 2, -1, -1};
  for (int parts : partCounts) {
    std::vector<float> y(9, 77.0f);
    MoeSumArgs args;
    args.rows = rows.data();
    args.weights = weights.data();
    args.rowOfChoice = rowOfChoice.data();
    args.y = y.data();
    args.tokens = 3;
    args.perToken = 2;
    args.columns = 3;
    runParts(moeSum, args, parts);
    EXPECT_THAT(y, ElementsAre(7, 14, 21, 400, 800, 1200, 0, 0, 0));
  }
}

} // namespace
} // namespace cleave::rt
