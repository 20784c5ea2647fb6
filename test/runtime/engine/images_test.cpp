// Images between convolutions, which lie with their channels last, and what follows convolutions
// and products and is computed with them: against plain loops, and against the same programs
// with every value an output, which keeps each instruction apart.
#include "runtime/engine/profile.h"
#include "test/runtime/engine/engine_test_util.h"
#include "test/runtime/kernels/reference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace cleave::rt {
namespace {

using Dims = ProgramBuilder::Dims;
using testing::ElementsAre;

std::vector<float> randomFloats(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> result(static_cast<size_t>(count));
  for (float &element : result)
    element = static_cast<float>(static_cast<int>(random() % 2001) - 1000) / 1000.0f;
  return result;
}

int64_t product(const Dims &dims) {
  int64_t result = 1;
  for (int64_t dim : dims)
    result *= dim;
  return result;
}

/// Programs over images [2, c, 6, 5]: what follows one another. With `keepsAll` every value is an
/// output.
struct Images {
  Images(ProgramBuilder &b, bool keepsAll) : b(b), keepsAll(keepsAll) {}

  ProgramBuilder &b;
  bool keepsAll;
  uint32_t values = 0;

  uint32_t keep(uint32_t value) {
    if (keepsAll)
      b.output("v" + std::to_string(values++), value);
    return value;
  }
  uint32_t weight(const Dims &dims) {
    std::string name = "w" + std::to_string(seed);
    return b.weight(name, dims, randomFloats(product(dims), seed++));
  }
  uint32_t conv(uint32_t x, int64_t from, int64_t to, bool bias = false) {
    uint32_t y = b.activation({2, to, 6, 5});
    const std::vector<uint32_t> ones = {1, 1}, pads = {1, 1, 1, 1};
    std::vector<uint32_t> operands = {x, weight({to, from, 3, 3})};
    if (bias)
      operands.push_back(weight({to}));
    b.add(fb::CreateConvDirect(b.fbb, &ones, &pads, &ones), operands, {y}, "conv");
    return keep(y);
  }
  uint32_t unary(UnaryKind kind, uint32_t x, const Dims &dims) {
    uint32_t y = b.activation(dims);
    b.add(fb::CreateUnary(b.fbb, static_cast<uint8_t>(kind)), {x}, {y}, "unary");
    return keep(y);
  }
  uint32_t binary(BinaryKind kind, uint32_t x, uint32_t y, const Dims &dims) {
    return keep(b.binary(kind, x, y, dims));
  }
  uint32_t reshape(uint32_t x, const Dims &dims) {
    uint32_t y = b.activation(dims);
    b.add(fb::CreateReshape(b.fbb), {x}, {y}, "reshape");
    return y;
  }

  /// A weight [c], reshaped for images.
  uint32_t channels(int64_t c) { return reshape(weight({c}), {c, 1, 1}); }

private:
  uint32_t seed = 1;
};

using Build = std::function<uint32_t(Images &, uint32_t x)>;

/// The result of x [2, 3, 6, 5] and the kinds of ops that ran.
std::pair<std::vector<float>, std::vector<std::string>> runOn(const Build &build, bool keepsAll,
                                                              int threads = 1) {
  ProgramBuilder b;
  Images images(b, keepsAll);
  uint32_t x = b.input("x", {2, 3, 6, 5});
  b.output("y", build(images, x));
  Profiler profiler(1000);
  SingleRank one(b, {.threads = threads, .profiler = &profiler});
  setInput(one.engine, "x", randomFloats(2 * 3 * 6 * 5, 99));
  for (int run = 0; run < 2; ++run) // nothing of a run may be left in the next
    one.engine.run();
  std::vector<std::string> kinds;
  for (const OpName &op : profiler.take().ops)
    kinds.push_back(op.kind);
  return {getOutput(one.engine, "y"), kinds};
}

void expectSame(const Build &build, const std::vector<std::string> &ops) {
  const auto [found, kinds] = runOn(build, /*keepsAll=*/false);
  EXPECT_EQ(kinds, ops);
  const auto [expected, all] = runOn(build, /*keepsAll=*/true);
  EXPECT_GE(all.size(), ops.size());
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i)
    ASSERT_NEAR(found[i], expected[i], 1e-4) << "element " << i;
  EXPECT_EQ(runOn(build, false, 2).first.size(), found.size());
}

TEST(Images, AConvolutionIsWhatItsOpSays) {
  const auto [found, kinds] =
      runOn([](Images &images, uint32_t x) { return images.conv(x, 3, 4, true); }, false);
  EXPECT_THAT(kinds, ElementsAre("reorder", "conv", "reorder"));
  // The same with channels last, by loops.
  const std::vector<float> plain = randomFloats(2 * 3 * 30, 99);
  std::vector<float> x(plain.size());
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t c = 0; c < 3; ++c)
      for (int64_t at = 0; at < 30; ++at)
        x[(n * 30 + at) * 3 + c] = plain[(n * 3 + c) * 30 + at];
  const std::vector<float> filter = randomFloats(4 * 3 * 9, 1), bias = randomFloats(4, 2);
  const ConvolutionShape shape{3,
                               4,
                               1,
                               {6, 5},
                               {3, 3},
                               {6, 5},
                               {1, 1},
                               {1, 1},
                               {1, 1},
                               {1, 1},
                               /*isTransposed=*/false,
                               /*hasBias=*/true};
  const auto expected =
      reference::convolution(shape, {x.data(), bias.data(), nullptr, 2}, filter.data());
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t c = 0; c < 4; ++c)
      for (int64_t at = 0; at < 30; ++at)
        ASSERT_NEAR(found[(n * 4 + c) * 30 + at], expected[(n * 30 + at) * 4 + c].value, 1e-5);
}

TEST(Images, NormsResidualsAndActivationsAreComputedWithConvolutions) {
  const Dims dims{2, 4, 6, 5};
  auto block = [&](Images &images, uint32_t x, int64_t from) {
    uint32_t y = images.conv(x, from, 4);
    y = images.binary(BinaryKind::mul, y, images.channels(4), dims);
    return images.binary(BinaryKind::add, images.channels(4), y, dims);
  };
  expectSame(
      [&](Images &images, uint32_t x) {
        x = images.unary(UnaryKind::relu, block(images, x, 3), dims);
        uint32_t y = images.unary(UnaryKind::silu, block(images, x, 4), dims);
        y = images.binary(BinaryKind::add, block(images, y, 4), x, dims); // x is there already
        return images.unary(UnaryKind::relu, y, dims);
      },
      {"reorder", "conv", "conv", "conv", "reorder"});
  // Of two branches the later one takes the sum.
  expectSame(
      [&](Images &images, uint32_t x) {
        uint32_t y = block(images, x, 3), z = block(images, x, 3);
        return images.unary(UnaryKind::relu, images.binary(BinaryKind::add, y, z, dims), dims);
      },
      {"reorder", "conv", "conv", "reorder"});
}

TEST(Images, WhatIsStillReadIsNoResidual) {
  const Dims dims{2, 4, 6, 5};
  expectSame(
      [&](Images &images, uint32_t x) {
        x = images.conv(x, 3, 4);
        uint32_t sum = images.binary(BinaryKind::add, images.conv(x, 4, 4), x, dims);
        return images.binary(BinaryKind::mul, sum, x, dims);
      },
      {"reorder", "conv", "conv", "add", "mul", "reorder"});
  // Nor is the convolution's own input.
  expectSame(
      [&](Images &images, uint32_t x) {
        x = images.conv(x, 3, 4);
        return images.binary(BinaryKind::add, images.conv(x, 4, 4), x, dims);
      },
      {"reorder", "conv", "conv", "add", "reorder"});
}

TEST(Images, SeveralReadersOrRowsKeepInstructionsApart) {
  const Dims dims{2, 4, 6, 5};
  expectSame(
      [&](Images &images, uint32_t x) {
        uint32_t y = images.conv(x, 3, 4, true);
        return images.binary(BinaryKind::mul, images.unary(UnaryKind::relu, y, dims), y, dims);
      },
      {"reorder", "conv", "relu", "mul", "reorder"});
  // A number for each column is none for each channel; a row of an image is plain.
  expectSame(
      [&](Images &images, uint32_t x) {
        uint32_t y = images.conv(x, 3, 4);
        return images.binary(BinaryKind::add, y, images.weight({5}), dims);
      },
      {"reorder", "conv", "add", "reorder"});
  expectSame(
      [&](Images &images, uint32_t x) {
        uint32_t y = images.conv(x, 3, 4);
        return images.binary(BinaryKind::mul, y, images.weight({4, 6, 1}), dims);
      },
      {"reorder", "conv", "reorder", "mul"});
}

TEST(Images, OpsThatKnowNoOrderHaveACopy) {
  expectSame(
      [&](Images &images, uint32_t x) {
        uint32_t y = images.conv(x, 3, 4), z = images.conv(x, 3, 5);
        uint32_t joined = images.b.activation({2, 9, 6, 5});
        images.b.add(fb::CreateConcat(images.b.fbb, 1), {y, z}, {joined});
        images.keep(joined);
        const std::vector<uint32_t> permutation = {0, 3, 1, 2};
        uint32_t turned = images.b.activation({2, 5, 9, 6}),
                 rows = images.reshape(joined, {2, 270});
        images.b.add(fb::CreateTransposeDirect(images.b.fbb, &permutation), {joined}, {turned});
        return images.binary(BinaryKind::add, images.reshape(turned, {2, 270}), rows, {2, 270});
      },
      {"reorder", "conv", "conv", "concat", "reorder", "reshape", "transpose", "add"});
}

TEST(Images, PoolsOfConvolutionsAndOfInputs) {
  for (bool ofConvolution : {false, true})
    expectSame(
        [&](Images &images, uint32_t x) {
          const int64_t c = ofConvolution ? 4 : 3;
          if (ofConvolution)
            x = images.conv(x, 3, 4);
          const std::vector<uint32_t> window = {3, 2}, strides = {2, 1}, pads = {1, 0, 1, 1},
                                      ones = {1, 1};
          uint32_t y = images.b.activation({2, c, 3, 5});
          images.b.add(fb::CreatePoolDirect(images.b.fbb, fb::PoolKind::Average, &window, &strides,
                                            &pads, &ones),
                       {x}, {y});
          return images.keep(y);
        },
        ofConvolution ? std::vector<std::string>{"reorder", "conv", "pool", "reorder"}
                      : std::vector<std::string>{"pool"});
}

/// Of images from convolutions and of plain ones, which have other kernels.
TEST(Images, ResizedAndTransposedConvolutions) {
  auto build = [](bool isPlain) {
    return [isPlain](Images &images, uint32_t x) {
      uint32_t y = images.conv(x, 3, 4);
      if (isPlain)
        y = images.reshape(images.reshape(y, {2, 4, 30}), {2, 4, 6, 5});
      uint32_t wide = images.b.activation({2, 4, 6, 9}), up = images.b.activation({2, 6, 13, 10});
      uint32_t filter = images.weight({4, 3, 4, 2}); // for two groups
      fb::ResizeBuilder resize(images.b.fbb);
      resize.add_mode(fb::ResizeMode::Linear);
      resize.add_dim(3);
      resize.add_scale(9.0 / 5);
      images.b.add(resize.Finish(), {y}, {wide});
      const std::vector<uint32_t> strides = {2, 1}, pads = {1, 0, 0, 0}, ones = {1, 1};
      images.b.add(fb::CreateConvTransposeDirect(images.b.fbb, &strides, &pads, &ones),
                   {wide, filter}, {up});
      return images.keep(up);
    };
  };
  const auto [last, kinds] = runOn(build(false), false);
  const auto [plain, plainKinds] = runOn(build(true), false);
  EXPECT_THAT(kinds, ElementsAre("reorder", "conv", "resize", "conv_transpose", "reorder"));
  EXPECT_THAT(plainKinds, ElementsAre("reorder", "conv", "reorder", "resize", "reorder",
                                      "conv_transpose", "reorder"));
  ASSERT_EQ(last.size(), plain.size());
  for (size_t i = 0; i < last.size(); ++i)
    ASSERT_NEAR(last[i], plain[i], 1e-4) << "element " << i;
}

/// Rows behind the last products by a stride or more are none of oneDNN's.
TEST(Images, TransposedConvolutionsThatReachFurther) {
  auto build = [](int64_t rows) {
    return [rows](Images &images, uint32_t x) {
      uint32_t y = images.b.activation({2, 2, rows, 5}), filter = images.weight({3, 2, 2, 1});
      const std::vector<uint32_t> ones = {1, 1}, dilations = {3, 1}, pads = {0, 0, 0, 0};
      images.b.add(fb::CreateConvTransposeDirect(images.b.fbb, &ones, &pads, &dilations),
                   {x, filter}, {y});
      return images.keep(y);
    };
  };
  const auto [expected, kinds] = runOn(build(9), false);
  const auto [found, foundKinds] = runOn(build(10), false);
  EXPECT_THAT(kinds, ElementsAre("reorder", "conv_transpose", "reorder"));
  EXPECT_THAT(foundKinds, ElementsAre("conv_transpose"));
  for (size_t i = 0; i < found.size(); ++i)
    ASSERT_NEAR(found[i], i % 50 < 45 ? expected[i / 50 * 45 + i % 50] : 0, 1e-5)
        << "element " << i;
}

/// One channel, or one element of each, lies the same either way.
TEST(Images, NothingIsCopiedWhereTheOrdersAreOne) {
  expectSame(
      [&](Images &images, uint32_t x) {
        uint32_t one = images.b.activation({2, 1, 6, 5});
        images.b.add(fb::CreateSlice(images.b.fbb, 1, 1), {x}, {one});
        return images.conv(one, 1, 1);
      },
      {"slice", "conv"});
}

TEST(Images, BiasAndActivationOfProducts) {
  const Dims dims{2, 18, 7};
  expectSame(
      [&](Images &images, uint32_t x) {
        x = images.reshape(x, {2, 18, 5});
        uint32_t y = images.keep(images.b.linear(x, images.weight({7, 5}), dims));
        y = images.binary(BinaryKind::add, images.weight({7}), y, dims);
        y = images.unary(UnaryKind::gelu, y, dims);
        uint32_t z = images.keep(images.b.linear(y, images.weight({7, 7}), dims));
        z = images.binary(BinaryKind::add, z, images.weight({1}), dims);
        uint32_t sum = images.keep(images.b.linear(z, images.weight({7, 7}), dims));
        return images.binary(BinaryKind::add, sum, y, dims);
      },
      {"reshape", "linear", "linear", "linear"});
}

/// With one member a sum is a copy, which shows what its place holds.
TEST(Images, WhatFollowsAnExchangeIsOnePass) {
  const std::vector<uint32_t> alone = {0};
  for (bool isImage : {true, false}) {
    const Dims dims = isImage ? Dims{2, 4, 6, 5} : Dims{2, 18, 5};
    auto exchange = [&](Images &images, uint32_t x) {
      uint32_t y = images.b.activation(dims);
      images.b.add(fb::CreateAllReduceDirect(images.b.fbb, &alone), {x}, {y});
      return images.keep(y);
    };
    auto start = [&](Images &images, uint32_t x) {
      return isImage ? images.conv(x, 3, 4)
                     : images.unary(UnaryKind::silu, images.reshape(x, dims), dims);
    };
    auto scale = [&](Images &images) { return isImage ? images.channels(4) : images.weight({5}); };
    const std::vector<std::string> before = isImage ? std::vector<std::string>{"reorder", "conv"}
                                                    : std::vector<std::string>{"reshape", "silu"};
    auto ops = [&](std::vector<std::string> after) {
      after.insert(after.begin(), before.begin(), before.end());
      if (isImage)
        after.push_back("reorder");
      return after;
    };
    expectSame(
        [&](Images &images, uint32_t x) {
          x = start(images, x);
          uint32_t half = images.unary(UnaryKind::silu, x, dims);
          uint32_t y = images.binary(BinaryKind::mul, exchange(images, half), scale(images), dims);
          y = images.binary(BinaryKind::add, y, images.weight({1}), dims);
          y = images.unary(UnaryKind::relu, images.binary(BinaryKind::add, x, y, dims), dims);
          return images.binary(BinaryKind::mul, y, x, dims); // x is read once more
        },
        ops({"silu", "all_reduce", "affine", "mul"}));
    // What is exchanged may be overwritten, and is no residual.
    expectSame(
        [&](Images &images, uint32_t x) {
          x = start(images, x);
          return images.binary(BinaryKind::add, exchange(images, x), x, dims);
        },
        ops({"all_reduce", "add"}));
    // Of functions only relu is computed in the pass.
    expectSame(
        [&](Images &images, uint32_t x) {
          uint32_t y = exchange(images, start(images, x));
          return images.unary(UnaryKind::tanh, y, dims);
        },
        ops({"all_reduce", "tanh"}));
  }
}

/// Two ranks have the same results, bit for bit, and those that are expected.
void expectOnBoth(const std::vector<std::vector<float>> &results,
                  const std::vector<float> &expected) {
  EXPECT_EQ(results[0], results[1]);
  ASSERT_EQ(results[0].size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i)
    ASSERT_NEAR(results[0][i], expected[i], 1e-4);
}

/// A summand that is plain on one member makes all sums plain.
TEST(Images, RanksSumInOneOrder) {
  for (bool isOdd : {false, true}) {
    std::vector<std::vector<float>> results(2);
    runPrograms(
        2, {},
        [&](ProgramBuilder &b) {
          Images images(b, false);
          uint32_t x = images.b.input("x", {2, 3, 6, 5});
          uint32_t y = images.conv(x, 3, 4);
          if (isOdd && b.rank == 1) {
            // The same numbers, of which the engine does not know that they are an image.
            y = images.reshape(images.reshape(y, {2, 4, 30}), {2, 4, 6, 5});
          }
          const std::vector<uint32_t> all = {0, 1};
          uint32_t sum = images.b.activation({2, 4, 6, 5});
          images.b.add(fb::CreateAllReduceDirect(images.b.fbb, &all), {y}, {sum});
          b.output("y", images.conv(sum, 4, 2));
        },
        [&](uint32_t rank, Engine &engine) {
          setInput(engine, "x", randomFloats(2 * 3 * 6 * 5, 99));
          engine.run();
          results[rank] = getOutput(engine, "y");
        });
    // Both have summed one value twice.
    const auto [expected, kinds] = runOn(
        [](Images &images, uint32_t x) {
          uint32_t y = images.conv(x, 3, 4);
          return images.conv(images.binary(BinaryKind::add, y, y, {2, 4, 6, 5}), 4, 2);
        },
        false);
    expectOnBoth(results, expected);
  }
}

/// Shares of channels, uneven ones, are cut out and joined where they lie last.
TEST(Images, RanksScatterAndGatherInOneOrder) {
  const std::vector<uint32_t> all = {0, 1};
  const std::vector<int64_t> ranges = {0, 1, 1, 4};
  for (bool isOdd : {false, true}) {
    std::vector<std::vector<float>> results(2);
    runPrograms(
        2, {},
        [&](ProgramBuilder &b) {
          Images images(b, false);
          uint32_t x = b.input("x", {2, 3, 6, 5});
          uint32_t y = images.conv(x, 3, 4);
          if (isOdd && b.rank == 1)
            y = images.reshape(images.reshape(y, {2, 4, 30}), {2, 4, 6, 5});
          const Dims own = {2, b.rank == 0 ? 1 : 3, 6, 5};
          uint32_t share = b.activation(own), whole = b.activation({2, 4, 6, 5});
          b.add(fb::CreateReduceScatterDirect(b.fbb, &all, 1, &ranges), {y}, {share});
          share = images.unary(UnaryKind::relu, share, own);
          b.add(fb::CreateAllGatherDirect(b.fbb, &all, 1, &ranges), {share}, {whole});
          b.output("y", images.conv(whole, 4, 2));
        },
        [&](uint32_t rank, Engine &engine) {
          setInput(engine, "x", randomFloats(2 * 3 * 6 * 5, 99));
          engine.run();
          results[rank] = getOutput(engine, "y");
        });
    const auto [expected, kinds] = runOn(
        [](Images &images, uint32_t x) {
          const Dims dims = {2, 4, 6, 5};
          uint32_t y = images.conv(x, 3, 4);
          y = images.unary(UnaryKind::relu, images.binary(BinaryKind::add, y, y, dims), dims);
          return images.conv(y, 4, 2);
        },
        false);
    expectOnBoth(results, expected);
  }
}

} // namespace
} // namespace cleave::rt
