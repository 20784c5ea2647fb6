// Mixtures of experts as instructions, against loops in double over every type of weight.
#include "test/runtime/engine/engine_test_util.h"
#include "test/runtime/kernels/test_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace cleave::rt {
namespace {

using testing::ElementsAre;

TEST(Moe, RoutesAndWeighs) {
  ProgramBuilder b;
  int64_t t = b.symbol("tokens");
  uint32_t logits = b.input("logits", {t, 4});
  uint32_t chosen = b.activation({t, 2}, ElementType::i32), weights = b.activation({t, 2});
  b.add(fb::CreateRoute(b.fbb), {logits}, {chosen});
  b.add(fb::CreateRouteWeights(b.fbb, true, 3.0f), {logits, chosen}, {weights});
  b.output("chosen", chosen);
  b.output("weights", weights);
  SingleRank one(b, {.bounds = {{"tokens", 4}}});
  one.engine.setSymbol("tokens", 2);
  const float two = std::log(2.0f);
  setInput<float>(one.engine, "logits", {0, two, -9, -9, 5, 4, 3, 5});
  one.engine.run();
  std::span<const std::byte> bytes = one.engine.output("chosen");
  std::vector<int32_t> numbers(bytes.size() / sizeof(int32_t));
  std::memcpy(numbers.data(), bytes.data(), bytes.size());
  EXPECT_THAT(numbers, ElementsAre(1, 0, 0, 3));
  EXPECT_THAT(getOutput(one.engine, "weights"), ElementsAre(2, 1, 1.5f, 1.5f));
}

struct Shape {
  int64_t tokens, perToken, experts, inner, width, outputs;
  int64_t firstExpert = 0, padBefore = 0, padAfter = 0;
};

/// A mixture in a program of one rank, and its exact result.
class Mixture {
public:
  Mixture(const Shape &shape, ElementType gateType, ElementType upType, ElementType downType,
          Activations activations, int threads)
      : shape(shape), random(1), gate(weightOf(gateType, shape.inner, shape.width)),
        up(weightOf(upType, shape.inner, shape.width)),
        down(weightOf(downType, shape.outputs, shape.padBefore + shape.inner + shape.padAfter)) {
    int64_t t = b.symbol("tokens");
    const ProgramBuilder::Dims inner{shape.experts, shape.inner, shape.width};
    const ProgramBuilder::Dims outer{shape.experts, shape.outputs,
                                     shape.padBefore + shape.inner + shape.padAfter};
    uint32_t x = b.input("x", {t, shape.width});
    uint32_t chosen = b.input("chosen", {t, shape.perToken}, ElementType::i32);
    uint32_t weights = b.input("weights", {t, shape.perToken});
    auto add = [&](const char *name, ElementType type, const ProgramBuilder::Dims &dims,
                   const TestWeight &weight) {
      return b.matrix(name, type, dims, std::as_bytes(std::span(weight.bytes)));
    };
    uint32_t y = b.activation({t, shape.outputs});
    b.add(fb::CreateMoe(b.fbb, shape.firstExpert, static_cast<uint32_t>(shape.padBefore)),
          {x, chosen, weights, add("gate", gateType, inner, gate), add("up", upType, inner, up),
           add("down", downType, outer, down)},
          {y}, "experts");
    b.output("y", y);
    EngineOptions options{.bounds = {{"tokens", std::max<int64_t>(1, shape.tokens)}}};
    options.activations = activations;
    options.threads = threads;
    one = std::make_unique<SingleRank>(b, options);
  }

  std::vector<float> run(const std::vector<float> &x, const std::vector<int32_t> &chosen,
                         const std::vector<float> &weights) {
    one->engine.setSymbol("tokens", shape.tokens);
    setInput(one->engine, "x", x);
    setInput(one->engine, "chosen", chosen);
    setInput(one->engine, "weights", weights);
    one->engine.run();
    return getOutput(one->engine, "y");
  }

  std::vector<double> exact(const std::vector<float> &x, const std::vector<int32_t> &chosen,
                            const std::vector<float> &weights) const {
    std::vector<double> y(shape.tokens * shape.outputs);
    const int64_t columns = shape.padBefore + shape.inner + shape.padAfter;
    for (int64_t choice = 0; choice < shape.tokens * shape.perToken; ++choice) {
      const int64_t n = chosen[choice] - shape.firstExpert, t = choice / shape.perToken;
      if (n < 0 || n >= shape.experts)
        continue;
      auto product = [&](const TestWeight &weight, int64_t row) {
        double sum = 0;
        for (int64_t c = 0; c < shape.width; ++c)
          sum += x[t * shape.width + c] * weight.values[(n * shape.inner + row) * shape.width + c];
        return sum;
      };
      for (int64_t i = 0; i < shape.inner; ++i) {
        const double g = product(gate, i), h = g / (1 + std::exp(-g)) * product(up, i);
        for (int64_t o = 0; o < shape.outputs; ++o)
          y[t * shape.outputs + o] +=
              weights[choice] * h *
              down.values[(n * shape.outputs + o) * columns + shape.padBefore + i];
      }
    }
    return y;
  }

private:
  TestWeight weightOf(ElementType type, int64_t rows, int64_t columns) {
    return makeWeight(type, shape.experts * rows * columns, random);
  }

  Shape shape;
  Random random;
  TestWeight gate, up, down;
  ProgramBuilder b;
  std::unique_ptr<SingleRank> one;
};

const Shape shapes[] = {
    {1, 2, 4, 32, 64, 64},           // one token
    {7, 2, 5, 64, 32, 32},           // several for an expert
    {40, 3, 4, 32, 32, 64},          // more than a chunk
    {6, 2, 3, 40, 64, 32, 2, 5, 19}, // some experts, part of the features of each
    {3, 1, 0, 32, 32, 32, 4},        // no expert
    {3, 2, 4, 0, 32, 32},            // no feature
    {0, 2, 4, 32, 32, 32},           // no token
};

/// Of experts firstExpert - 1 to firstExpert + experts, so that some are not here.
std::vector<int32_t> someChoices(const Shape &shape, Random &random) {
  std::vector<int32_t> chosen;
  const auto first = static_cast<int>(shape.firstExpert);
  for (int64_t i = 0; i < shape.tokens * shape.perToken; ++i)
    chosen.push_back(random.integer(first - 1, first + static_cast<int>(shape.experts)));
  return chosen;
}

void expectExact(const Shape &shape, ElementType gate, ElementType up, ElementType down) {
  SCOPED_TRACE(std::string(elementTypeInfo(gate).name) + ", " +
               std::string(elementTypeInfo(down).name) + ", " + std::to_string(shape.tokens) +
               " tokens");
  Random random(2);
  const std::vector<float> x = random.floats(shape.tokens * shape.width);
  const std::vector<int32_t> chosen = someChoices(shape, random);
  const std::vector<float> weights = random.floats(chosen.size());
  Mixture exact(shape, gate, up, down, Activations::f32, 1);
  Mixture quantized(shape, gate, up, down, Activations::quantized, 1);
  Mixture threaded(shape, gate, up, down, Activations::quantized, 3);
  const std::vector<double> expected = exact.exact(x, chosen, weights);
  const std::vector<float> found = exact.run(x, chosen, weights);
  const std::vector<float> rounded = quantized.run(x, chosen, weights);
  EXPECT_EQ(rounded, threaded.run(x, chosen, weights));
  double largest = 0;
  for (double value : expected)
    largest = std::max(largest, std::abs(value));
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    ASSERT_NEAR(found[i], expected[i], 1e-5 * largest);
    // 8 bits of x and of the inner features.
    ASSERT_NEAR(rounded[i], expected[i], 0.05 * largest);
  }
}

TEST(Moe, IsExactForEveryTypeAndShape) {
  for (const Shape &shape : shapes)
    for (ElementType type : weightTypes()) {
      const ElementTypeInfo &info = elementTypeInfo(type);
      // A down matrix of elements has no padding.
      if (info.blockLength <= 32 && (isBlockType(info) || shape.padAfter == 0))
        expectExact(shape, type, type, type);
    }
}

TEST(Moe, TakesBlocksOf256) {
  for (ElementType type : blockTypes()) {
    if (elementTypeInfo(type).blockLength != 256)
      continue;
    expectExact({5, 2, 3, 256, 256, 32}, type, type, type);
    expectExact({5, 2, 3, 100, 256, 32, 2, 60, 96}, type, type, type);
  }
}

TEST(Moe, MayMixTypes) {
  expectExact(shapes[1], ElementType::q8_0, ElementType::f16, ElementType::q4_0);
  expectExact(shapes[3], ElementType::f32, ElementType::q4_0, ElementType::q8_0);
}

/// A run does not depend on what another left in scratch memory.
TEST(Moe, ForgetsTheLastRun) {
  const Shape &shape = shapes[1];
  Random random(3);
  Mixture mixture(shape, ElementType::f32, ElementType::f32, ElementType::f32, Activations::f32, 1);
  const std::vector<float> x = random.floats(shape.tokens * shape.width);
  const std::vector<int32_t> chosen = someChoices(shape, random);
  const std::vector<float> weights = random.floats(chosen.size());
  const std::vector<float> first = mixture.run(x, chosen, weights);
  mixture.run(x, std::vector<int32_t>(chosen.size(), 3), weights);
  EXPECT_EQ(mixture.run(x, std::vector<int32_t>(chosen.size(), 99), weights),
            std::vector<float>(first.size()));
  EXPECT_EQ(mixture.run(x, chosen, weights), first);
}

} // namespace
} // namespace cleave::rt
