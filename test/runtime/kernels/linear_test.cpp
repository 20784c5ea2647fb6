// Linear kernels against the reference: every type, variant and vector unit, on odd
// sizes, with padding, empty shares and uneven parts.
#include "reference.h"
#include "test_support.h"

#include "runtime/kernels/linear.h"
#include "runtime/kernels/linear_dense.h"
#include "runtime/kernels/quantize.h"

#include <cmath>
#include <limits>
#include <memory>
#include <span>

namespace cleave::rt {
namespace {

struct Shape {
  int64_t tokens;
  int64_t outputs;
  int64_t inputs;
  int64_t padBefore = 0;
  int64_t padAfter = 0;
};

/// A product's operands with gaps between rows, which a kernel must leave alone.
struct Problem {
  Problem(ElementType type, const Shape &shape, uint32_t seed)
      : random(seed), type(type), shape(shape) {
    xColumns = shape.inputs - shape.padBefore - shape.padAfter;
    weight = makeWeight(type, shape.outputs * shape.inputs, random);
    setWeightBytes();
    args.tokens = shape.tokens;
    args.outputs = shape.outputs;
    args.inputs = shape.inputs;
    args.xColumns = xColumns;
    args.padBefore = shape.padBefore;
    args.xStride = xColumns + 3;
    args.yStride = shape.outputs + 5;
    x = random.floats(shape.tokens * args.xStride);
    args.x = x.data();
  }

  void setWeightBytes() {
    guarded = std::make_unique<GuardedBytes>(packed(type, weight.bytes, shape.outputs));
    args.weight = guarded->data();
  }

  std::vector<float> run(LinearKernel kernel, int parts) {
    std::vector<float> y(shape.tokens * args.yStride, 77.0f);
    args.y = y.data();
    runParts(kernel, args, parts);
    return y;
  }

  /// The exact numbers of x, without gaps.
  std::vector<double> exactX() const {
    std::vector<double> values;
    for (int64_t t = 0; t < shape.tokens; ++t)
      values.insert(values.end(), x.begin() + t * args.xStride,
                    x.begin() + t * args.xStride + xColumns);
    return values;
  }

  void expectNear(const std::vector<float> &y, const std::vector<reference::Sum> &expected,
                  int64_t operations) const {
    for (int64_t t = 0; t < shape.tokens; ++t)
      for (int64_t o = 0; o < args.yStride; ++o) {
        const float value = y[t * args.yStride + o];
        if (o >= shape.outputs) {
          ASSERT_EQ(value, 77.0f) << "written behind row " << t;
          continue;
        }
        const reference::Sum &sum = expected[t * shape.outputs + o];
        ASSERT_NEAR(value, sum.value, reference::roundingBound(operations) * sum.magnitude)
            << "token " << t << ", output " << o;
      }
  }

  Random random;
  ElementType type;
  Shape shape;
  int64_t xColumns;
  TestWeight weight;
  std::unique_ptr<GuardedBytes> guarded;
  std::vector<float> x;
  LinearArgs args;
};

std::ostream &operator<<(std::ostream &out, const Shape &shape) {
  return out << shape.tokens << " tokens, " << shape.outputs << " outputs, " << shape.inputs
             << " inputs, padding " << shape.padBefore << " and " << shape.padAfter;
}

const Shape blockShapes[] = {
    {14, 33, 3104, 5, 3}, {1, 1, 32},         {2, 3, 64},         {3, 7, 96},
    {5, 172, 160},        {17, 9, 352},       {1, 172, 2048},     {0, 4, 64},
    {3, 0, 64},           {2, 5, 32, 7, 9},   {4, 6, 64, 16, 16}, {5, 6, 64, 40, 8},
    {6, 5, 128, 0, 33},   {1, 8, 160, 33, 1}, {2, 4, 64, 30, 30}, {1, 4, 64, 64, 0},
    {4, 4, 96, 32, 32},   {9, 4, 96, 1, 0},   {521, 17, 64},
};

const Shape wideShapes[] = {
    {14, 33, 3328, 5, 3}, {1, 1, 256},           {2, 3, 512},         {3, 7, 768},
    {17, 9, 512},         {1, 172, 1024},        {0, 4, 256},         {3, 0, 256},
    {2, 5, 256, 7, 9},    {4, 6, 512, 100, 156}, {5, 6, 512, 255, 1}, {6, 5, 768, 0, 200},
    {1, 8, 512, 33, 250}, {1, 4, 256, 256, 0},   {9, 4, 768, 1, 0},   {521, 17, 256},
};

const Shape plainShapes[] = {
    {1, 1, 1},          {2, 3, 5},         {3, 7, 172},       {5, 172, 33},
    {17, 9, 172},       {1, 64, 64},       {1, 6, 2048},      {0, 4, 64},
    {3, 0, 64},         {2, 2, 0},         {4, 4, 16},        {4, 4, 31},
    {3, 5, 172, 7, 9},  {5, 3, 64, 32, 0}, {1, 3, 40, 39, 1}, {107, 50, 611, 37, 9},
    {9, 17, 64, 64, 0},
};

std::span<const Shape> shapesOf(ElementType type) {
  switch (elementTypeInfo(type).blockLength) {
  case 1:
    return plainShapes;
  case 32:
    return blockShapes;
  default:
    return wideShapes;
  }
}

/// The kernels for activations of f32, for few tokens and for many, of the vector unit that is
/// chosen now.
std::vector<LinearKernel> exactKernels(ElementType type) {
  const LinearChoice choice = chooseLinear(type, 256, /*quantizedActivations=*/false).value();
  std::vector<LinearKernel> kernels = {choice.few.kernel};
  if (choice.many.kernel != choice.few.kernel)
    kernels.push_back(choice.many.kernel);
  return kernels;
}

class LinearFloat : public testing::TestWithParam<ElementType> {};

TEST_P(LinearFloat, MatchesReference) {
  for (const Shape &shape : shapesOf(GetParam())) {
    SCOPED_TRACE(testing::PrintToString(shape));
    Problem problem(GetParam(), shape, 1);
    const auto expected = reference::linear(problem.exactX(), problem.weight.values,
                                            problem.weight.magnitudes, shape.tokens, shape.outputs,
                                            shape.inputs, problem.xColumns, shape.padBefore);
    forEachTarget([&] {
      for (LinearKernel kernel : exactKernels(GetParam())) {
        const std::vector<float> y = problem.run(kernel, 1);
        // Each product is rounded and added once.
        problem.expectNear(y, expected, problem.xColumns + 1);
        for (int parts : partCounts)
          ASSERT_EQ(problem.run(kernel, parts), y) << parts << " parts";
      }
    });
  }
}

/// The row of y of a token does not depend on how many tokens come with it.
TEST_P(LinearFloat, TokensAreIndependent) {
  Problem problem(GetParam(), {23, 11, 3 * std::max(32u, elementTypeInfo(GetParam()).blockLength)},
                  2);
  forEachTarget([&] {
    for (LinearKernel kernel : exactKernels(GetParam())) {
      const std::vector<float> together = problem.run(kernel, 1);
      for (int64_t t = 0; t < 23; ++t) {
        LinearArgs args = problem.args;
        std::vector<float> y(args.yStride, 77.0f);
        args.tokens = 1;
        args.x += t * args.xStride;
        args.y = y.data();
        kernel(args, Part{});
        for (int64_t o = 0; o < args.outputs; ++o)
          ASSERT_EQ(y[o], together[t * args.yStride + o]) << "token " << t;
      }
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Types, LinearFloat, testing::ValuesIn(weightTypes()), typeName);

/// Quantized activations, and the numbers they stand for.
struct QuantizedX {
  explicit QuantizedX(const Problem &problem) {
    QuantizeArgs args;
    args.x = problem.args.x;
    args.tokens = problem.shape.tokens;
    args.columns = problem.shape.inputs;
    args.xColumns = problem.xColumns;
    args.padBefore = problem.shape.padBefore;
    args.xStride = problem.args.xStride;
    const int64_t rowBytes = q8RowBytes(args.columns);
    bytes.resize(args.tokens * rowBytes);
    args.y = bytes.data();
    quantizeQ8(args, Part{});
    for (int64_t t = 0; t < args.tokens; ++t) {
      const Q8Row row(bytes.data(), t, args.columns);
      for (int64_t j = 0; j < args.columns; ++j)
        values.push_back(double{row.scales[j / 32]} * row.values[j]);
    }
  }
  std::vector<std::byte> bytes;
  std::vector<double> values;
};

/// Runs `body` with each kernel for activations of 8 bits: Highway's on every vector unit, and the
/// variants of this CPU.
template <class Body> void forEachQ8(ElementType type, Body body) {
  forEachTarget([&] { body(linear_q8(type)); });
  for (LinearKernel variant :
       {linear_q8_avx2(type), linear_q8_avxvnni(type), linear_q8_avx512vnni(type)})
    if (variant && !testing::Test::HasFatalFailure())
      body(variant);
}

class LinearQuantized : public testing::TestWithParam<ElementType> {};

TEST_P(LinearQuantized, MatchesReference) {
  for (const Shape &shape : shapesOf(GetParam())) {
    SCOPED_TRACE(testing::PrintToString(shape));
    Problem problem(GetParam(), shape, 3);
    const QuantizedX x(problem);
    problem.args.quantized = x.bytes.data();
    problem.args.x = nullptr;
    const auto expected =
        reference::linear(x.values, problem.weight.values, problem.weight.shifted, shape.tokens,
                          shape.outputs, shape.inputs, shape.inputs, 0);
    forEachQ8(GetParam(), [&](LinearKernel kernel) {
      const std::vector<float> y = problem.run(kernel, 1);
      // A block's integer sum is exact; then come products of scales and of the minimum,
      // and sums over at most four terms a block.
      problem.expectNear(y, expected, shape.inputs / 8 + 4);
      for (int parts : partCounts)
        ASSERT_EQ(problem.run(kernel, parts), y) << parts << " parts";
    });
  }
}

TEST_P(LinearQuantized, TokensAreIndependent) {
  Problem problem(GetParam(), {23, 11, 3 * elementTypeInfo(GetParam()).blockLength}, 4);
  const QuantizedX x(problem);
  problem.args.quantized = x.bytes.data();
  forEachQ8(GetParam(), [&](LinearKernel kernel) {
    const std::vector<float> together = problem.run(kernel, 1);
    for (int64_t t = 0; t < 23; ++t) {
      LinearArgs args = problem.args;
      std::vector<float> y(args.yStride, 77.0f);
      args.tokens = 1;
      args.quantized += t * q8RowBytes(args.inputs);
      args.y = y.data();
      kernel(args, Part{});
      for (int64_t o = 0; o < args.outputs; ++o)
        ASSERT_EQ(y[o], together[t * args.yStride + o]) << "token " << t;
    }
  });
}

/// The largest products that there are fit the integer sums.
TEST_P(LinearQuantized, ExtremesDoNotOverflow) {
  const ElementTypeInfo &info = elementTypeInfo(GetParam());
  const int64_t inputs = 2 * info.blockLength;
  Problem problem(GetParam(), {1, 4, inputs}, 5);
  // Blocks of bits that are all clear or all set, but for the scale.
  for (int64_t block = 0; block < 4 * 2; ++block) {
    uint8_t *bytes = problem.weight.bytes.data() + block * info.blockBytes;
    double *values = problem.weight.values.data() + block * info.blockLength;
    const bool set = block % 2;
    double low = 0, high = 0, lowMinimum = 0, highMinimum = 0; // the latter is subtracted
    size_t scaleAt = 0, minimumAt = 0;
    switch (GetParam()) {
    case ElementType::q8_0:
      low = -128;
      high = 127;
      break;
    case ElementType::q4_0:
      low = -8;
      high = 7;
      break;
    case ElementType::q4_1:
      high = 15;
      minimumAt = 2;
      lowMinimum = highMinimum = -1;
      break;
    case ElementType::q5_0:
      low = -16;
      high = 15;
      break;
    case ElementType::q5_1:
      high = 31;
      minimumAt = 2;
      lowMinimum = highMinimum = -1;
      break;
    case ElementType::q4_k:
      high = 63 * 15;
      minimumAt = 2;
      highMinimum = 63;
      break;
    case ElementType::q5_k:
      high = 63 * 31;
      minimumAt = 2;
      highMinimum = 63;
      break;
    default: // a sub-block's scale of -128
      low = 128 * 32;
      high = -128 * 31;
      scaleAt = 208;
    }
    uint16_t scale;
    std::memcpy(&scale, bytes + scaleAt, 2);
    uint16_t minimumScale;
    std::memcpy(&minimumScale, bytes + minimumAt, 2);
    std::memset(bytes, set ? 0xff : 0, info.blockBytes);
    if (GetParam() == ElementType::q8_0)
      std::memset(bytes + 2, set ? 127 : -128, 32);
    if (GetParam() == ElementType::q6_k)
      std::memset(bytes + 192, -128, 16);
    double minimum = 0;
    if (minimumAt) {
      std::memcpy(bytes + minimumAt, &minimumScale, 2);
      minimum = (set ? highMinimum : lowMinimum) * halfValue(minimumScale);
    }
    std::memcpy(bytes + scaleAt, &scale, 2);
    // Integers are shifted to be without sign.
    const double offset = std::abs(halfValue(scale)) * 128 * 32;
    for (uint32_t i = 0; i < info.blockLength; ++i) {
      const double value = halfValue(scale) * (set ? high : low);
      values[i] = value - minimum;
      problem.weight.shifted[block * info.blockLength + i] =
          std::abs(value) + std::abs(minimum) + 2 * offset;
    }
  }
  problem.setWeightBytes();
  std::fill(problem.x.begin(), problem.x.end(), -1.0f);
  const QuantizedX x(problem);
  problem.args.quantized = x.bytes.data();
  const auto expected = reference::linear(x.values, problem.weight.values, problem.weight.shifted,
                                          1, 4, inputs, inputs, 0);
  forEachQ8(GetParam(), [&](LinearKernel kernel) {
    problem.expectNear(problem.run(kernel, 1), expected, inputs / 8 + 4);
  });
}

INSTANTIATE_TEST_SUITE_P(Types, LinearQuantized, testing::ValuesIn(blockTypes()), typeName);

// ---- Many tokens and weights of 16 bits ----

/// Tokens with a tile's every remainder, rows with one and two groups, several panels.
const Shape manyShapes[] = {
    {8, 1, 32},          {9, 16, 64},        {13, 33, 3104, 5, 3}, {23, 48, 352},
    {200, 17, 96},       {11, 7, 64, 40, 8}, {8, 3, 64, 64, 0},    {12, 20, 1600},
    {10, 5, 128, 0, 33}, {17, 0, 64},        {9, 31, 512},         {535, 17, 96},
};

std::vector<std::byte> inForm(const Problem &problem, ActivationForm form) {
  const int64_t columns = problem.shape.inputs;
  std::vector<std::byte> bytes(problem.shape.tokens * activationRowBytes(form, columns));
  quantizeKernel(form)({problem.args.x, bytes.data(), problem.shape.tokens, columns,
                        problem.xColumns, problem.shape.padBefore, problem.args.xStride},
                       Part{});
  return bytes;
}

/// A kernel for many tokens in 16-bit integers, and a type of weight.
struct Q16Variant {
  const char *name;
  LinearKernel (*kernelOf)(ElementType);
  ElementType type;
};

class LinearQ16 : public testing::TestWithParam<Q16Variant> {
protected:
  void SetUp() override {
    kernel = GetParam().kernelOf(GetParam().type);
    if (!kernel)
      GTEST_SKIP() << "this CPU lacks its instructions";
  }
  LinearKernel kernel = nullptr;
};

INSTANTIATE_TEST_SUITE_P(
    Variants, LinearQ16,
    testing::Values(Q16Variant{"avx2", linear_q16_avx2, ElementType::f16},
                    Q16Variant{"avx2", linear_q16_avx2, ElementType::bf16},
                    Q16Variant{"avx512vnni", linear_q16_avx512vnni, ElementType::f16},
                    Q16Variant{"avx512vnni", linear_q16_avx512vnni, ElementType::bf16}),
    [](const auto &info) {
      return std::string(elementTypeInfo(info.param.type).name) + "_" + info.param.name;
    });

/// Integers of 14 bits for each 32 columns, of x and of the weight: at most half a step off.
TEST_P(LinearQ16, MatchesTheReference) {
  for (const Shape &shape : manyShapes) {
    SCOPED_TRACE(testing::PrintToString(shape));
    Problem problem(GetParam().type, shape, 11);
    const std::vector<double> exactX = problem.exactX();
    const auto expected =
        reference::linear(exactX, problem.weight.values, problem.weight.magnitudes, shape.tokens,
                          shape.outputs, shape.inputs, problem.xColumns, shape.padBefore);
    const std::vector<std::byte> x = inForm(problem, ActivationForm::q16);
    problem.args.quantized = x.data();
    const std::vector<float> y = problem.run(kernel, 1);
    for (int64_t t = 0; t < shape.tokens; ++t)
      for (int64_t o = 0; o < problem.args.yStride; ++o) {
        if (o >= shape.outputs) {
          ASSERT_EQ(y[t * problem.args.yStride + o], 77.0f) << "written behind row " << t;
          continue;
        }
        double bound = 0;
        for (int64_t first = 0; first < shape.inputs; first += 32) {
          double wMost = 0, wSum = 0, xMost = 0, xSum = 0;
          for (int64_t j = first; j < first + 32; ++j) {
            const double w = std::abs(problem.weight.values[o * shape.inputs + j]);
            const int64_t column = j - shape.padBefore;
            const double v = column >= 0 && column < problem.xColumns
                                 ? std::abs(exactX[t * problem.xColumns + column])
                                 : 0.0;
            wMost = std::max(wMost, w);
            wSum += w;
            xMost = std::max(xMost, v);
            xSum += v;
          }
          const double half = 0.5 / q16Largest * (1 + 0x1p-10);
          bound += half * (wMost * xSum + xMost * wSum) + 32 * half * half * wMost * xMost;
        }
        const reference::Sum &sum = expected[t * shape.outputs + o];
        ASSERT_NEAR(y[t * problem.args.yStride + o], sum.value,
                    bound + reference::roundingBound(shape.inputs / 8 + 4) * sum.magnitude)
            << "token " << t << ", output " << o;
      }
    for (int parts : partCounts)
      ASSERT_EQ(problem.run(kernel, parts), y) << parts << " parts";
  }
}

/// The largest integers that there are fit their sums.
TEST_P(LinearQ16, LargestIntegersDoNotOverflow) {
  Problem problem(GetParam().type, {8, 2, 64}, 12);
  const uint16_t two = 0xc000; // -2, as f16 and as bf16
  for (size_t i = 0; i < problem.weight.bytes.size(); i += 2)
    std::memcpy(problem.weight.bytes.data() + i, &two, 2);
  problem.setWeightBytes();
  std::fill(problem.x.begin(), problem.x.end(), -3.0f);
  const std::vector<std::byte> x = inForm(problem, ActivationForm::q16);
  problem.args.quantized = x.data();
  EXPECT_NEAR(problem.run(kernel, 1)[0], 64 * 6, 1e-3);
}

TEST_P(LinearQ16, NotFiniteWeightsAreNotHidden) {
  const bool isF16 = GetParam().type == ElementType::f16;
  for (uint16_t bits : {isF16 ? 0x7c00 : 0x7f80, isF16 ? 0x7e00 : 0x7fc0}) {
    Problem problem(GetParam().type, {8, 1, 64}, 13);
    std::memcpy(problem.weight.bytes.data() + 40, &bits, 2);
    problem.setWeightBytes();
    const std::vector<std::byte> x = inForm(problem, ActivationForm::q16);
    problem.args.quantized = x.data();
    EXPECT_FALSE(std::isfinite(problem.run(kernel, 1)[0]));
  }
}

/// Zeros, and numbers whose scale has no reciprocal, beside others that have one.
TEST_P(LinearQ16, WeightsWithoutReciprocalAreZero) {
  Problem problem(GetParam().type, {8, 1, 64}, 15);
  const uint16_t bits = GetParam().type == ElementType::f16 ? 0 : 0x05d5; // 2e-35
  for (int j = 0; j < 32; ++j) {
    std::memcpy(problem.weight.bytes.data() + 2 * j, &bits, 2);
    problem.x[j] = 1e37f;
  }
  problem.setWeightBytes();
  const std::vector<std::byte> x = inForm(problem, ActivationForm::q16);
  problem.args.quantized = x.data();
  double expected = 0;
  for (int j = 32; j < 64; ++j)
    expected += problem.x[j] * problem.weight.values[j];
  EXPECT_NEAR(problem.run(kernel, 1)[0], expected, 1e-2);
}

TEST(LinearMany, BF16MatchesTheReference) {
  const LinearKernel kernel = linear_bf16_bf16_avx512bf16();
  if (!kernel)
    GTEST_SKIP() << "this CPU has no AVX-512 BF16";
  for (const Shape &shape : manyShapes) {
    SCOPED_TRACE(testing::PrintToString(shape));
    Problem problem(ElementType::bf16, shape, 14);
    const std::vector<std::byte> x = inForm(problem, ActivationForm::bf16);
    std::vector<double> values;
    for (int64_t t = 0; t < shape.tokens; ++t)
      for (int64_t j = 0; j < shape.inputs; ++j) {
        uint16_t high;
        std::memcpy(&high, x.data() + t * bf16RowBytes(shape.inputs) + 2 * j, 2);
        const uint32_t bits = uint32_t{high} << 16;
        float value;
        std::memcpy(&value, &bits, 4);
        values.push_back(value);
        // To nearest: 8 significant bits.
        const int64_t column = j - shape.padBefore;
        const float exact = column >= 0 && column < problem.xColumns
                                ? problem.x[t * problem.args.xStride + column]
                                : 0.0f;
        ASSERT_NEAR(value, exact, std::abs(exact) * 0x1p-8);
      }
    const auto expected =
        reference::linear(values, problem.weight.values, problem.weight.magnitudes, shape.tokens,
                          shape.outputs, shape.inputs, shape.inputs, 0);
    problem.args.quantized = x.data();
    const std::vector<float> y = problem.run(kernel, 1);
    problem.expectNear(y, expected, shape.inputs + 1);
    for (int parts : partCounts)
      ASSERT_EQ(problem.run(kernel, parts), y) << parts << " parts";
  }
}

TEST(ChooseLinear, KnowsWhatThereIs) {
  EXPECT_FALSE(chooseLinear(ElementType::i32, 64, false));
  EXPECT_EQ(chooseLinear(ElementType::f32, 64, true)->few.form, ActivationForm::f32);
  // Rows that are no whole number of blocks of 32 stay with floats.
  EXPECT_EQ(chooseLinear(ElementType::f16, 48, true)->many.form, ActivationForm::f32);
  for (const ElementTypeInfo &info : elementTypes)
    if (isBlockType(info)) {
      EXPECT_EQ(chooseLinear(info.type, 256, true)->few.form, ActivationForm::q8) << info.name;
      EXPECT_EQ(chooseLinear(info.type, 256, false)->many.form, ActivationForm::f32) << info.name;
    }
}

TEST(Quantize, RoundsToNearestAndPads) {
  for (const Shape &shape : blockShapes) {
    SCOPED_TRACE(testing::PrintToString(shape));
    Problem problem(ElementType::q8_0, shape, 6);
    forEachTarget([&] {
      const QuantizedX x(problem);
      for (int64_t t = 0; t < shape.tokens; ++t)
        for (int64_t b = 0; b < shape.inputs / 32; ++b) {
          const Q8Row row(x.bytes.data(), t, shape.inputs);
          float sums[2] = {};
          for (int i = 0; i < 32; ++i)
            sums[i / 16] += row.values[b * 32 + i];
          ASSERT_EQ(row.halfSums[2 * b], row.scales[b] * sums[0]) << "block " << b;
          ASSERT_EQ(row.halfSums[2 * b + 1], row.scales[b] * sums[1]) << "block " << b;
          ASSERT_EQ(row.sums[b], row.scales[b] * (sums[0] + sums[1])) << "block " << b;
        }
      for (int64_t t = 0; t < shape.tokens; ++t)
        for (int64_t j = 0; j < shape.inputs; ++j) {
          const int64_t column = j - shape.padBefore;
          const double value = x.values[t * shape.inputs + j];
          if (column < 0 || column >= problem.xColumns) {
            ASSERT_EQ(value, 0) << "column " << j;
            continue;
          }
          const float scale = Q8Row(x.bytes.data(), t, shape.inputs).scales[j / 32];
          // Half a step, and the rounding of scale, reciprocal and product of a value
          // of up to 127 steps.
          ASSERT_NEAR(value, problem.x[t * problem.args.xStride + column],
                      scale * (0.5 + 127 * 4 * 0x1p-24));
        }
    });
  }
}

TEST(Quantize, PartsAgreeAndFillTheRow) {
  Problem problem(ElementType::q8_0, {3, 1, 96, 5, 2}, 7);
  const QuantizedX whole(problem);
  for (int parts : partCounts) {
    std::vector<std::byte> bytes(3 * q8RowBytes(96), std::byte{0x55});
    QuantizeArgs args{problem.args.x, bytes.data(), 3, 96, 96 - 7, 5, problem.args.xStride};
    runParts(quantizeQ8, args, parts);
    for (int64_t t = 0; t < 3; ++t)
      EXPECT_EQ(std::memcmp(bytes.data() + t * q8RowBytes(96),
                            whole.bytes.data() + t * q8RowBytes(96), 96),
                0);
    // Between the values, scales and sums there is padding, which is nobody's.
    for (int64_t t = 0; t < 3; ++t) {
      const Q8Row<const std::byte> row(bytes.data(), t, 96), expected(whole.bytes.data(), t, 96);
      for (int64_t b = 0; b < 3; ++b) {
        EXPECT_EQ(row.scales[b], expected.scales[b]);
        EXPECT_EQ(row.sums[b], expected.sums[b]);
        EXPECT_EQ(row.halfSums[2 * b], expected.halfSums[2 * b]);
        EXPECT_EQ(row.halfSums[2 * b + 1], expected.halfSums[2 * b + 1]);
      }
    }
  }
}

TEST(Quantize, ZeroTinyAndBrokenBlocks) {
  std::vector<float> x(128, 0.0f);
  x[33] = 1e-38f;
  x[70] = std::numeric_limits<float>::infinity();
  x[100] = std::numeric_limits<float>::quiet_NaN();
  forEachTarget([&] {
    std::vector<std::byte> bytes(q8RowBytes(128));
    quantizeQ8({x.data(), bytes.data(), 1, 128, 128, 0, 128}, Part{});
    float scales[4];
    std::memcpy(scales, Q8Row(bytes.data(), 0, 128).scales, sizeof(scales));
    EXPECT_EQ(scales[0], 0);
    EXPECT_EQ(scales[1], 0);
    for (int i = 0; i < 64; ++i)
      EXPECT_EQ(bytes[i], std::byte{0});
    EXPECT_TRUE(std::isnan(scales[2]));
    EXPECT_TRUE(std::isnan(scales[3]));
  });
}

TEST(DenseLinear, MatchesReference) {
  const Shape shape = {16 + 64 + 16 + 5, 37, 172};
  Problem problem(ElementType::f32, shape, 8);
  DenseLinear dense(shape.inputs, shape.outputs, problem.args.xStride, problem.args.yStride, 200);
  std::vector<std::byte> scratch(dense.scratchBytes() + 64);
  auto *aligned =
      reinterpret_cast<std::byte *>((reinterpret_cast<uintptr_t>(scratch.data()) + 63) / 64 * 64);
  std::vector<float> y(shape.tokens * problem.args.yStride, 77.0f);
  problem.args.y = y.data();
  const int64_t done = dense.run(problem.args, aligned);
  EXPECT_EQ(done, 96);
  LinearArgs rest = problem.args;
  rest.tokens -= done;
  rest.x += done * rest.xStride;
  rest.y += done * rest.yStride;
  linear_f32_f32(rest, Part{});
  problem.expectNear(y,
                     reference::linear(problem.exactX(), problem.weight.values,
                                       problem.weight.magnitudes, shape.tokens, shape.outputs,
                                       shape.inputs, shape.inputs, 0),
                     shape.inputs + 1);
}

TEST(DenseLinear, LeavesFewTokensAndEmptySharesAlone) {
  LinearArgs args;
  args.tokens = 15;
  EXPECT_EQ(DenseLinear(64, 64, 64, 64, 256).run(args, nullptr), 0);
  args.tokens = 64;
  EXPECT_EQ(DenseLinear(64, 0, 64, 64, 256).run(args, nullptr), 0);
}

} // namespace
} // namespace cleave::rt
