// Pooling and transposed convolution against loops over every pair of elements; resizing by
// cases whose answers are known.
#include "test_support.h"

#include "runtime/kernels/conv_transpose.h"
#include "runtime/kernels/pool.h"
#include "runtime/kernels/resize.h"

#include <limits>

namespace cleave::rt {
namespace {

using Three = std::array<int64_t, 3>;

int64_t product(const int64_t (&sizes)[3]) {
  return sizes[0] * sizes[1] * sizes[2];
}

/// Calls f(i, j, k, flat number) for all places in `sizes`.
template <class F> void forEachPlace(const int64_t (&sizes)[3], const F &f) {
  int64_t number = 0;
  for (int64_t i = 0; i < sizes[0]; ++i)
    for (int64_t j = 0; j < sizes[1]; ++j)
      for (int64_t k = 0; k < sizes[2]; ++k)
        f(Three{i, j, k}, number++);
}

struct PoolCase {
  int64_t sizes[3], window[3], strides[3], before[3], after[3], dilations[3], more[3];
};

const PoolCase pools[] = {
    {{1, 1, 9}, {1, 1, 3}, {1, 1, 2}, {0, 0, 0}, {0, 0, 0}, {1, 1, 1}, {0, 0, 0}},
    {{1, 7, 8}, {1, 3, 2}, {1, 2, 3}, {0, 1, 0}, {0, 2, 1}, {1, 2, 1}, {0, 0, 0}},
    {{4, 5, 3}, {2, 5, 3}, {2, 1, 2}, {1, 2, 1}, {1, 2, 1}, {1, 1, 2}, {0, 0, 0}},
    {{1, 6, 6}, {1, 3, 3}, {1, 2, 2}, {0, 0, 0}, {0, 0, 0}, {1, 1, 1}, {0, 1, 1}},
    {{1, 4, 4}, {1, 2, 2}, {1, 3, 3}, {0, 0, 1}, {0, 0, 1}, {1, 1, 1}, {0, 1, 1}},
};

/// What is expected of one output of channel c.
struct Pooled {
  double sum = 0, largest = -std::numeric_limits<double>::infinity();
  int64_t inside = 0, padded = 0;
};

Pooled poolOne(const PoolArgs &args, int64_t plane, Three output, int64_t c) {
  Pooled result;
  forEachPlace(args.window, [&](Three tap, int64_t) {
    int64_t place = plane;
    bool isInside = true, isPadded = true;
    for (int i = 0; i < 3; ++i) {
      const int64_t at =
          output[i] * args.strides[i] + tap[i] * args.dilations[i] - args.padsBefore[i];
      isInside &= at >= 0 && at < args.sizes[i];
      isPadded &= at < args.sizes[i] + args.padsAfter[i];
      place = place * args.sizes[i] + at;
    }
    result.padded += isPadded;
    if (!isInside)
      return;
    ++result.inside;
    result.sum += args.x[place * args.inner + c];
    result.largest = std::max<double>(result.largest, args.x[place * args.inner + c]);
  });
  return result;
}

void checkPool(PoolArgs args) {
  Random random(1);
  const int64_t outputs = product(args.outputs);
  const std::vector<float> x = random.floats(3 * product(args.sizes) * args.inner);
  args.x = x.data();
  for (int parts : partCounts) {
    std::vector<float> y(3 * outputs * args.inner, 77.0f);
    args.y = y.data();
    runParts(pool, args, parts);
    for (int64_t plane = 0; plane < 3; ++plane)
      forEachPlace(args.outputs, [&](Three output, int64_t number) {
        for (int64_t c = 0; c < args.inner; ++c) {
          const Pooled expected = poolOne(args, plane, output, c);
          const double mean =
              expected.sum /
              std::max<double>(args.countsPads ? expected.padded : expected.inside, 1);
          const float found = y[(plane * outputs + number) * args.inner + c];
          ASSERT_TRUE(found == expected.largest || !args.isMax);
          ASSERT_TRUE(std::abs(found - mean) < 1e-5 || args.isMax);
        }
      });
  }
}

TEST(Pool, MatchesReference) {
  forEachTarget([] {
    for (const PoolCase &test : pools)
      for (int64_t inner : {1, 7, 85})
        for (auto [isMax, countsPads] : {std::pair(true, false), {false, true}, {false, false}}) {
          PoolArgs args;
          args.planes = 3;
          args.inner = inner;
          for (int i = 0; i < 3; ++i) {
            args.sizes[i] = test.sizes[i];
            args.window[i] = test.window[i];
            args.strides[i] = test.strides[i];
            args.padsBefore[i] = test.before[i];
            args.padsAfter[i] = test.after[i];
            args.dilations[i] = test.dilations[i];
            const int64_t reach = (test.window[i] - 1) * test.dilations[i] + 1;
            args.outputs[i] =
                (test.sizes[i] + test.before[i] + test.after[i] - reach) / test.strides[i] + 1 +
                test.more[i];
          }
          args.isMax = isMax;
          args.countsPads = countsPads;
          checkPool(args);
        }
  });
}

TEST(Pool, KeepsWhatIsNoNumber) {
  forEachTarget([] {
    std::vector<float> x(4 * 33, 1.0f), y(33);
    x[33 + 5] = std::numeric_limits<float>::quiet_NaN();
    PoolArgs args{x.data(), y.data(), 1, 33, {1, 1, 4}, {1, 1, 1}, {1, 1, 4}};
    args.isMax = true;
    pool(args, Part{});
    for (int64_t c = 0; c < 33; ++c)
      EXPECT_EQ(std::isnan(y[c]), c == 5) << c;
  });
}

struct TransposeCase {
  int64_t channels, outputChannels, groups;
  int64_t sizes[3], kernel[3], strides[3], before[3], after[3], dilations[3], more[3];
};

const TransposeCase transposes[] = {
    {3, 2, 1, {1, 1, 5}, {1, 1, 3}, {1, 1, 2}, {0, 0, 1}, {0, 0, 0}, {1, 1, 1}, {0, 0, 1}},
    {4, 6, 2, {1, 3, 4}, {1, 2, 3}, {1, 1, 1}, {0, 1, 0}, {0, 0, 2}, {1, 2, 1}, {0, 0, 0}},
    {2, 2, 2, {2, 3, 2}, {3, 1, 2}, {2, 3, 1}, {1, 0, 0}, {1, 0, 0}, {1, 1, 3}, {1, 2, 0}},
    {3, 0, 1, {1, 1, 2}, {1, 1, 2}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}, {1, 1, 1}, {0, 0, 0}},
    {0, 4, 1, {1, 1, 2}, {1, 1, 2}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}, {1, 1, 1}, {0, 0, 0}},
};

TEST(ConvTranspose, MatchesReference) {
  for (const TransposeCase &test : transposes) {
    ConvTransposeArgs args;
    args.images = 2;
    args.channels = test.channels;
    args.outputChannels = test.outputChannels;
    args.groups = test.groups;
    for (int i = 0; i < 3; ++i) {
      args.sizes[i] = test.sizes[i];
      args.kernel[i] = test.kernel[i];
      args.strides[i] = test.strides[i];
      args.pads[i] = test.before[i];
      args.dilations[i] = test.dilations[i];
      args.outputs[i] = (test.sizes[i] - 1) * test.strides[i] +
                        (test.kernel[i] - 1) * test.dilations[i] + 1 - test.before[i] -
                        test.after[i] + test.more[i];
    }
    Random random(8);
    const int64_t size = product(args.sizes), outputs = product(args.outputs),
                  taps = product(args.kernel), ofGroup = args.outputChannels / args.groups,
                  inGroup = args.channels / args.groups;
    const std::vector<float> x = random.floats(2 * args.channels * size);
    const std::vector<float> filter = random.floats(args.channels * ofGroup * taps);
    std::vector<double> expected(2 * args.outputChannels * outputs);
    for (int64_t image = 0; image < 2; ++image)
      for (int64_t c = 0; c < args.channels; ++c)
        for (int64_t o = 0; o < ofGroup; ++o)
          forEachPlace(args.sizes, [&](Three from, int64_t element) {
            forEachPlace(args.kernel, [&](Three tap, int64_t number) {
              int64_t place = 0;
              for (int i = 0; i < 3; ++i) {
                const int64_t at =
                    from[i] * args.strides[i] + tap[i] * args.dilations[i] - args.pads[i];
                if (at < 0 || at >= args.outputs[i])
                  return;
                place = place * args.outputs[i] + at;
              }
              const int64_t channel = c / inGroup * ofGroup + o;
              expected[(image * args.outputChannels + channel) * outputs + place] +=
                  double{x[(image * args.channels + c) * size + element]} *
                  filter[(c * ofGroup + o) * taps + number];
            });
          });
    args.x = x.data();
    args.filter = filter.data();
    for (int parts : partCounts) {
      std::vector<float> y(expected.size(), 77.0f);
      args.y = y.data();
      runParts(convTranspose, args, parts);
      for (size_t i = 0; i < y.size(); ++i)
        ASSERT_NEAR(y[i], expected[i], 1e-5) << "element " << i;
    }
  }
}

std::vector<float> resized(const std::vector<float> &x, ResizeShape shape) {
  shape.from = static_cast<int64_t>(x.size());
  const ResizeTable table = makeResizeTable(shape);
  // Twice side by side, and two rows of that.
  std::vector<float> pairs, y(shape.to * 4), result;
  for (int row = 0; row < 2; ++row)
    for (float each : x)
      pairs.insert(pairs.end(), 2, each + static_cast<float>(row));
  for (int parts : partCounts)
    runParts(resize, ResizeArgs{pairs.data(), y.data(), 2, 2, shape.from, shape.to, &table}, parts);
  for (int64_t i = 0; i < shape.to; ++i) {
    EXPECT_EQ(y[2 * i], y[2 * i + 1]);
    result.push_back(y[2 * i]);
  }
  return result;
}

void expectNear(const std::vector<float> &found, const std::vector<double> &expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i)
    EXPECT_NEAR(found[i], expected[i], 1e-5) << "element " << i;
}

TEST(Resize, Modes) {
  using C = ResizeCoordinates;
  using M = ResizeMode;
  const std::vector<float> x = {1, 2, 4};
  expectNear(resized(x, {.to = 6, .scale = 2}), {1, 1, 2, 2, 4, 4});
  expectNear(resized(x, {.to = 6, .scale = 2, .mode = M::linear}), {1, 1.25, 1.75, 2.5, 3.5, 4});
  expectNear(
      resized(x, {.to = 5, .scale = 5.0 / 3, .mode = M::linear, .coordinates = C::alignCorners}),
      {1, 1.5, 2, 3, 4});
  // The last corner is where that of 4.5 elements would be.
  expectNear(resized(x, {.to = 4, .scale = 1.5, .mode = M::linear, .coordinates = C::alignCorners}),
             {1, 1 + 4.0f / 7, 2 + 2.0f / 7, 2 + 10.0f / 7});
  expectNear(resized(x, {.to = 6, .scale = 2, .mode = M::linear, .coordinates = C::asymmetric}),
             {1, 1.5, 2, 3, 4, 4});
  expectNear(
      resized(x,
              {.to = 1, .scale = 1.0 / 3, .mode = M::linear, .coordinates = C::pytorchHalfPixel}),
      {1});
  // From half of x to half of x behind its end.
  expectNear(resized(x, {.to = 3,
                         .scale = 1,
                         .mode = M::linear,
                         .coordinates = C::tfCropAndResize,
                         .cropBegin = 0.5,
                         .cropEnd = 1.5,
                         .extrapolation = 9}),
             {2, 4, 9});
}

TEST(Resize, Rounding) {
  using R = ResizeRounding;
  const std::vector<float> x = {0, 1, 2, 3};
  auto of = [&](R rounding) {
    return resized(
        x,
        {.to = 8, .scale = 2, .coordinates = ResizeCoordinates::asymmetric, .rounding = rounding});
  };
  expectNear(of(R::roundPreferFloor), {0, 0, 1, 1, 2, 2, 3, 3});
  expectNear(of(R::roundPreferCeil), {0, 1, 1, 2, 2, 3, 3, 3});
  expectNear(of(R::floor), {0, 0, 1, 1, 2, 2, 3, 3});
  expectNear(of(R::ceil), {0, 1, 1, 2, 2, 3, 3, 3});
}

/// Cubic weights at a half are (-3, 19, 19, -3) / 32 with a = -0.75; a constant stays one.
TEST(Resize, Cubic) {
  const std::vector<float> x = {0, 0, 32, 0, 0};
  const ResizeShape twice{.to = 10,
                          .scale = 2,
                          .mode = ResizeMode::cubic,
                          .coordinates = ResizeCoordinates::asymmetric};
  expectNear(resized(x, twice), {0, -3, 0, 19, 32, 19, 0, -3, 0, 0});
  for (bool excludes : {false, true})
    for (bool antialias : {false, true})
      for (double scale : {0.4, 1.0, 1.7})
        for (ResizeMode mode : {ResizeMode::linear, ResizeMode::cubic})
          for (float each :
               resized(std::vector<float>(9, 5.0f), {.to = static_cast<int64_t>(9 * scale),
                                                     .scale = scale,
                                                     .mode = mode,
                                                     .antialias = antialias,
                                                     .excludesOutside = excludes}))
            EXPECT_NEAR(each, 5, 1e-5);
}

TEST(Resize, AntialiasTakesInWhatItSkips) {
  std::vector<float> x(16);
  for (int i = 0; i < 16; ++i)
    x[i] = i % 2 ? 1.0f : -1.0f;
  const ResizeShape quarter{.to = 4, .scale = 0.25, .mode = ResizeMode::linear};
  ResizeShape smooth = quarter;
  smooth.antialias = true;
  for (float each : resized(x, smooth))
    EXPECT_LT(std::abs(each), 0.2f);
}

TEST(Resize, RefusesWhatTakesTooManyWeights) {
  EXPECT_THROW(
      makeResizeTable(
          {.from = 4, .to = 4, .scale = 1e-12, .mode = ResizeMode::cubic, .antialias = true}),
      std::runtime_error);
}

} // namespace
} // namespace cleave::rt
