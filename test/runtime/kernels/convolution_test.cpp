// Convolution against loops in double: one to three spatial dimensions, strides, pads,
// dilations, groups, batches of every chunk, and empty shares.
#include "reference.h"
#include "test_support.h"

#include "runtime/kernels/convolution.h"

namespace cleave::rt {
namespace {

/// A shape with the output sizes that its other numbers give. Pads, strides and dilations
/// have one number for each spatial dimension.
ConvolutionShape shapeOf(int64_t inputs, int64_t outputs, int64_t groups,
                         std::vector<int64_t> sizes, std::vector<int64_t> kernel,
                         std::vector<int64_t> strides, std::vector<int64_t> before,
                         std::vector<int64_t> after, std::vector<int64_t> dilations, bool hasBias) {
  ConvolutionShape shape{inputs,  outputs, groups, sizes,     kernel, {},
                         strides, before,  after,  dilations, false,  hasBias};
  for (size_t i = 0; i < sizes.size(); ++i)
    shape.outputSizes.push_back(
        (sizes[i] + before[i] + after[i] - dilations[i] * (kernel[i] - 1) - 1) / strides[i] + 1);
  return shape;
}

struct Problem {
  Problem(const ConvolutionShape &shape, int64_t images) : shape(shape), random(3) {
    const int64_t in = product(shape.inputSizes), out = product(shape.outputSizes);
    const int64_t inGroup = shape.groups ? shape.inputChannels / shape.groups : 0;
    x = random.floats(images * shape.inputChannels * in);
    filter = random.floats(shape.outputChannels * inGroup * product(shape.kernelSizes));
    bias = random.floats(shape.outputChannels);
    y.assign(images * shape.outputChannels * out, 77.0f);
    args = {x.data(), shape.hasBias ? bias.data() : nullptr, y.data(), images};
  }

  static int64_t product(const std::vector<int64_t> &sizes) {
    int64_t result = 1;
    for (int64_t size : sizes)
      result *= size;
    return result;
  }

  void run(Convolution &convolution, const float *factor = nullptr) {
    std::vector<std::byte> scratch(convolution.scratchBytes() + 64);
    auto *aligned =
        reinterpret_cast<std::byte *>((reinterpret_cast<uintptr_t>(scratch.data()) + 63) / 64 * 64);
    auto packed = convolution.makeFilter();
    convolution.pack(filter.data(), factor, *packed);
    convolution.run(args, *packed, aligned);
  }

  void check() {
    const auto expected = reference::convolution(shape, args, filter.data());
    ASSERT_EQ(expected.size(), y.size());
    const int64_t terms =
        filter.size() / std::max<int64_t>(1, shape.outputChannels) + 2; // and the bias
    for (size_t i = 0; i < y.size(); ++i)
      ASSERT_NEAR(y[i], expected[i].value,
                  reference::roundingBound(terms) * expected[i].magnitude + 1e-30)
          << "element " << i;
  }

  ConvolutionShape shape;
  Random random;
  std::vector<float> x, filter, bias, y;
  ConvolutionArgs args;
};

const ConvolutionShape shapes[] = {
    shapeOf(3, 5, 1, {7, 9}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, true),
    shapeOf(4, 6, 2, {8, 5}, {3, 2}, {2, 1}, {0, 1}, {2, 0}, {1, 2}, false),
    shapeOf(8, 8, 8, {6, 6}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, true),
    shapeOf(6, 12, 6, {6, 6}, {3, 3}, {2, 2}, {1, 1}, {1, 1}, {1, 1}, true),
    shapeOf(16, 32, 1, {10, 10}, {1, 1}, {1, 1}, {0, 0}, {0, 0}, {1, 1}, false),
    shapeOf(2, 3, 1, {11}, {4}, {3}, {5}, {2}, {2}, true),
    shapeOf(2, 4, 2, {4, 5, 3}, {2, 3, 1}, {1, 2, 1}, {1, 0, 0}, {0, 2, 1}, {2, 1, 3}, true),
    shapeOf(1, 1, 1, {1, 1}, {1, 1}, {7, 7}, {0, 0}, {0, 0}, {5, 5}, false),
    shapeOf(3, 2, 1, {2, 2}, {2, 2}, {1, 1}, {9, 9}, {0, 0}, {1, 1}, true), // pads alone
};

TEST(Convolution, MatchesReference) {
  for (size_t number = 0; number < std::size(shapes); ++number) {
    SCOPED_TRACE("shape " + std::to_string(number));
    Convolution convolution(shapes[number], 40);
    for (int64_t images : {1, 2, 21, 0}) {
      SCOPED_TRACE(std::to_string(images) + " images");
      Problem problem(shapes[number], images);
      problem.run(convolution);
      problem.check();
    }
  }
}

/// Factors go into the filter; what y holds is added, and then the function is taken.
TEST(Convolution, Epilogues) {
  for (const ConvolutionShape &plain : shapes)
    for (bool adds : {false, true})
      for (std::optional<Activation> activation :
           {std::optional<Activation>(), std::optional(Activation{UnaryKind::relu, {}}),
            std::optional(Activation{UnaryKind::clip, {-0.5f, 1.5f}})}) {
        ConvolutionShape shape = plain;
        shape.epilogue = {adds, activation};
        Problem problem(shape, 5);
        const std::vector<float> before = problem.random.floats(problem.y.size()),
                                 factor = problem.random.floats(shape.outputChannels);
        problem.y = before;
        problem.args.y = problem.y.data();
        Convolution convolution(shape, 5);
        problem.run(convolution, factor.data());
        const int64_t ofOutput = problem.filter.size() / shape.outputChannels;
        for (size_t i = 0; i < problem.filter.size(); ++i)
          problem.filter[i] *= factor[i / ofOutput];
        const auto expected = reference::convolution(shape, problem.args, problem.filter.data());
        for (size_t i = 0; i < expected.size(); ++i) {
          double value = expected[i].value + (adds ? before[i] : 0);
          if (activation && activation->kind == UnaryKind::relu)
            value = std::max(value, 0.0);
          else if (activation)
            value = std::clamp(value, -0.5, 1.5);
          ASSERT_NEAR(problem.y[i], value, 1e-4) << "element " << i;
        }
      }
}

/// What is expected of a transposed convolution: its products, added where they go.
std::vector<double> transposed(const ConvolutionShape &shape, const std::vector<float> &x,
                               const std::vector<float> &filter, int64_t images) {
  const int64_t inputs = shape.inputChannels, outputs = shape.outputChannels,
                ofGroup = outputs / shape.groups, inGroup = inputs / shape.groups;
  const int64_t in = Problem::product(shape.inputSizes), out = Problem::product(shape.outputSizes),
                taps = Problem::product(shape.kernelSizes);
  std::vector<double> y(images * out * outputs);
  for (int64_t from = 0; from < images * in; ++from)
    for (int64_t tap = 0; tap < taps; ++tap) {
      int64_t place = 0, stride = 1, restOfFrom = from % in, restOfTap = tap;
      bool isInside = true;
      for (size_t d = shape.inputSizes.size(); d-- > 0;) {
        const int64_t at = restOfFrom % shape.inputSizes[d] * shape.strides[d] +
                           restOfTap % shape.kernelSizes[d] * shape.dilations[d] -
                           shape.padsBefore[d];
        restOfFrom /= shape.inputSizes[d];
        restOfTap /= shape.kernelSizes[d];
        isInside &= at >= 0 && at < shape.outputSizes[d];
        place += at * stride;
        stride *= shape.outputSizes[d];
      }
      for (int64_t c = 0; isInside && c < inputs; ++c)
        for (int64_t o = 0; o < ofGroup; ++o)
          y[(from / in * out + place) * outputs + c / inGroup * ofGroup + o] +=
              double{x[from * inputs + c]} * filter[(c * ofGroup + o) * taps + tap];
    }
  return y;
}

TEST(Convolution, Transposed) {
  struct Case {
    int64_t inputs, outputs, groups;
    std::vector<int64_t> sizes, kernel, strides, before, after, dilations;
  };
  const Case cases[] = {
      {3, 5, 1, {6, 4}, {3, 2}, {2, 1}, {1, 0}, {1, 0}, {1, 1}},
      {4, 6, 2, {5, 5}, {3, 3}, {3, 2}, {0, 1}, {-2, 0}, {1, 2}}, // more behind the products
      {8, 8, 8, {7}, {4}, {2}, {1}, {-1}, {1}},
      {2, 3, 1, {2, 3, 2}, {2, 1, 3}, {2, 3, 1}, {1, 0, 0}, {0, 0, 1}, {1, 1, 2}},
      {32, 17, 1, {4, 4}, {2, 2}, {2, 2}, {0, 0}, {0, 0}, {1, 1}},
  };
  for (const Case &test : cases) {
    ConvolutionShape shape{
        test.inputs,          test.outputs, test.groups, test.sizes,     test.kernel, {},
        test.strides,         test.before,  test.after,  test.dilations,
        /*isTransposed=*/true};
    for (size_t i = 0; i < test.sizes.size(); ++i)
      shape.outputSizes.push_back((test.sizes[i] - 1) * test.strides[i] +
                                  (test.kernel[i] - 1) * test.dilations[i] + 1 - test.before[i] -
                                  test.after[i]);
    for (int64_t images : {1, 5}) {
      Problem problem(shape, images);
      problem.filter = problem.random.floats(test.inputs * test.outputs / test.groups *
                                             Problem::product(test.kernel));
      Convolution convolution(shape, 5);
      problem.run(convolution);
      const auto expected = transposed(shape, problem.x, problem.filter, images);
      ASSERT_EQ(expected.size(), problem.y.size());
      for (size_t i = 0; i < expected.size(); ++i)
        ASSERT_NEAR(problem.y[i], expected[i], 1e-4) << "element " << i;
    }
  }
}

/// A rank may have no input channels, no output channels, or no groups.
TEST(Convolution, EmptyShares) {
  for (bool hasBias : {false, true})
    for (auto [inputs, outputs, groups] : {std::array<int64_t, 3>{0, 4, 1}, {4, 0, 1}, {0, 0, 0}}) {
      const ConvolutionShape shape =
          shapeOf(inputs, outputs, groups, {4, 4}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, hasBias);
      Problem problem(shape, 3);
      Convolution convolution(shape, 3);
      EXPECT_EQ(convolution.scratchBytes(), 0u);
      problem.run(convolution);
      problem.check();
    }
}

TEST(Convolution, RefusesWhatIsTooLargeToCount) {
  EXPECT_THROW(
      Convolution(
          shapeOf(1 << 16, 1, 1, {1 << 15, 1}, {1, 1}, {1, 1}, {0, 0}, {0, 0}, {1, 1}, false), 1),
      std::runtime_error);
  // One channel to one, packed as blocks of them.
  EXPECT_THROW(Convolution(shapeOf(1, 1, 1, {1 << 12, 1 << 10}, {1 << 12, 1 << 10}, {1, 1}, {0, 0},
                                   {0, 0}, {1, 1}, false),
                           1),
               std::runtime_error);
}

} // namespace
} // namespace cleave::rt
