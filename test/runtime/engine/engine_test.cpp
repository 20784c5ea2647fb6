// Programs of one rank against numbers computed here, by hand or by plain loops.
#include "test/runtime/engine/engine_test_util.h"

#include "runtime/kernels/quantize.h"
#include "runtime/program/block_formats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

namespace cleave::rt {
namespace {

using testing::ElementsAre;
using testing::FloatNear;
using testing::HasSubstr;
using testing::Pointwise;

std::string messageOf(const std::function<void()> &action) {
  try {
    action();
  } catch (const std::runtime_error &error) {
    return error.what();
  }
  return "(nothing was thrown)";
}

std::vector<float> randomFloats(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> result(count);
  for (float &element : result)
    element = static_cast<float>(static_cast<int>(random() % 2001) - 1000) / 1000.0f;
  return result;
}

TEST(Engine, ComputesLinearAddAndMul) {
  ProgramBuilder b;
  int64_t t = b.symbol("tokens");
  uint32_t x = b.input("x", {t, 3});
  uint32_t w = b.weight("w", {2, 3}, {1, 2, 3, 4, 5, 6});
  uint32_t bias = b.weight("bias", {2}, {10, 20});
  uint32_t y = b.linear(x, w, {t, 2});
  uint32_t z = b.binary(BinaryKind::add, y, bias, {t, 2});
  b.output("z", b.binary(BinaryKind::mul, z, y, {t, 2}));
  SingleRank one(b, {.bounds = {{"tokens", 4}}});
  one.engine.setSymbol("tokens", 2);
  setInput<float>(one.engine, "x", {1, 0, 0, 1, 1, 1});
  one.engine.run();
  // y = (1, 4), (6, 15)
  EXPECT_THAT(getOutput(one.engine, "z"), ElementsAre(11, 96, 96, 525));
}

TEST(Engine, LinearMeetsOnlyItsColumnsOfThePaddedWeight) {
  ProgramBuilder b;
  uint32_t x = b.input("x", {1, 2});
  uint32_t w = b.weight("w", {1, 5}, {1, 10, 100, 1000, 10000});
  b.output("y", b.linear(x, w, {1, 1}, /*padBefore=*/2));
  SingleRank one(b);
  setInput<float>(one.engine, "x", {1, 2});
  one.engine.run();
  EXPECT_THAT(getOutput(one.engine, "y"), ElementsAre(2100));
}

TEST(Engine, EmptySharesGiveZeros) {
  ProgramBuilder b;
  uint32_t x = b.input("x", {2, 0});
  uint32_t w = b.weight("w", {3, 0}, {});
  b.output("y", b.linear(x, w, {2, 3}));
  uint32_t q = b.matrix("q", ElementType::q8_0, {3, 0}, {});
  b.output("z", b.linear(x, q, {2, 3}));
  SingleRank one(b);
  one.engine.run();
  EXPECT_THAT(getOutput(one.engine, "y"), ElementsAre(0, 0, 0, 0, 0, 0));
  EXPECT_THAT(getOutput(one.engine, "z"), ElementsAre(0, 0, 0, 0, 0, 0));
}

TEST(Engine, NormalizesAndAppliesSilu) {
  ProgramBuilder b;
  uint32_t x = b.input("x", {1, 2});
  uint32_t w = b.weight("w", {2}, {1, 2});
  uint32_t y = b.activation({1, 2});
  b.add(fb::CreateRmsNorm(b.fbb, 0.5f), {x, w}, {y});
  b.output("y", y);
  b.output("s", b.silu(x, {1, 2}));
  SingleRank one(b);
  setInput<float>(one.engine, "x", {3, 4});
  one.engine.run();
  float scale = 1.0f / std::sqrt(12.5f + 0.5f);
  EXPECT_THAT(getOutput(one.engine, "y"),
              ElementsAre(FloatNear(3 * scale, 1e-6f), FloatNear(8 * scale, 1e-6f)));
  EXPECT_THAT(getOutput(one.engine, "s"), ElementsAre(FloatNear(3 / (1 + std::exp(-3.0f)), 1e-6f),
                                                      FloatNear(4 / (1 + std::exp(-4.0f)), 1e-6f)));
}

TEST(Engine, NormalizesHeadsByThemselves) {
  ProgramBuilder b;
  int64_t t = b.symbol("tokens");
  uint32_t x = b.input("x", {t, 4});
  uint32_t none = b.input("none", {t, 0});
  uint32_t w = b.weight("w", {2}, {1, 2});
  uint32_t y = b.activation({t, 4}), empty = b.activation({t, 0});
  b.add(fb::CreateRmsNorm(b.fbb, 0.5f), {x, w}, {y});
  b.output("y", y);
  b.add(fb::CreateRmsNorm(b.fbb, 0.5f), {none, w}, {empty});
  b.output("empty", empty);
  SingleRank one(b, {.bounds = {{"tokens", 2}}});
  one.engine.setSymbol("tokens", 2);
  setInput<float>(one.engine, "x", {3, 4, 1, 0, 0, 0, 30, 40});
  one.engine.run();
  auto pair = [](float a, float b) {
    float scale = 1.0f / std::sqrt((a * a + b * b) / 2 + 0.5f);
    return std::vector{FloatNear(a * scale, 1e-6f), FloatNear(2 * b * scale, 1e-6f)};
  };
  std::vector<testing::Matcher<float>> expected;
  for (auto [a, b] : {std::pair(3.0f, 4.0f), {1.0f, 0.0f}, {0.0f, 0.0f}, {30.0f, 40.0f}})
    for (const auto &element : pair(a, b))
      expected.push_back(element);
  EXPECT_THAT(getOutput(one.engine, "y"), testing::ElementsAreArray(expected));
  EXPECT_THAT(getOutput(one.engine, "empty"), testing::IsEmpty());
}

TEST(Engine, GathersRowsMaskedAndNot) {
  ProgramBuilder b;
  int64_t t = b.symbol("tokens");
  uint32_t ids = b.input("ids", {t}, ElementType::i32);
  uint32_t table = b.weight("table", {3, 2}, {1, 2, 3, 4, 5, 6});
  uint32_t masked = b.activation({t, 2}), strict = b.activation({t, 2});
  b.add(fb::CreateGather(b.fbb, 10, true), {table, ids}, {masked});
  b.output("masked", masked);
  b.add(fb::CreateGather(b.fbb, 10, false), {table, ids}, {strict});
  b.output("strict", strict);
  SingleRank one(b, {.bounds = {{"tokens", 4}}});
  one.engine.setSymbol("tokens", 2);
  setInput<int32_t>(one.engine, "ids", {12, 10});
  one.engine.run();
  EXPECT_THAT(getOutput(one.engine, "strict"), ElementsAre(5, 6, 1, 2));
  EXPECT_THAT(getOutput(one.engine, "masked"), ElementsAre(5, 6, 1, 2));
  for (int32_t outside : {9, 13, -1, INT32_MIN, INT32_MAX}) {
    setInput<int32_t>(one.engine, "ids", {10, outside});
    EXPECT_EQ(messageOf([&] { one.engine.run(); }),
              "input 'ids' has the value " + std::to_string(outside) +
                  " at index 1, but weight 'table' (rows) has 10 to 12");
  }
}

TEST(Engine, MaskedGatherGivesZerosOutside) {
  ProgramBuilder b;
  uint32_t ids = b.input("ids", {4}, ElementType::i32);
  uint32_t table = b.weight("table", {2, 1}, {7, 8});
  uint32_t y = b.activation({4, 1});
  b.add(fb::CreateGather(b.fbb, 5, true), {table, ids}, {y});
  b.output("y", y);
  SingleRank one(b);
  setInput<int32_t>(one.engine, "ids", {4, 5, 6, 7});
  one.engine.run();
  EXPECT_THAT(getOutput(one.engine, "y"), ElementsAre(0, 7, 8, 0));
}

TEST(Engine, TakesOfAShareAreChecked) {
  ProgramBuilder b;
  uint32_t ids = b.input("ids", {3}, ElementType::i64);
  uint32_t table = b.weight("table", {2, 1}, {7, 8});
  uint32_t y = b.activation({3, 1});
  b.add(fb::CreateTake(b.fbb, 0, 5, 9), {table, ids}, {y});
  b.output("y", y);
  SingleRank one(b);
  setInput<int64_t>(one.engine, "ids", {-4, 8, 6});
  one.engine.run();
  EXPECT_THAT(getOutput(one.engine, "y"), ElementsAre(7, 0, 8));
  setInput<int64_t>(one.engine, "ids", {-9, 4, -3});
  one.engine.run();
  EXPECT_THAT(getOutput(one.engine, "y"), ElementsAre(0, 0, 8));
  for (int64_t outside : {int64_t{9}, int64_t{-10}, INT64_MIN, INT64_MAX}) {
    setInput<int64_t>(one.engine, "ids", {0, outside, 0});
    EXPECT_EQ(messageOf([&] { one.engine.run(); }),
              "input 'ids' has the value " + std::to_string(outside) +
                  " at index 1, but dimension 0 of weight 'table' has -9 to 8");
  }
}

TEST(Engine, GathersRowsOfAnActivationOfVaryingLength) {
  ProgramBuilder b;
  int64_t t = b.symbol("tokens");
  uint32_t x = b.input("x", {t, 1});
  uint32_t rows = b.input("rows", {1}, ElementType::i32);
  uint32_t y = b.activation({1, 1});
  b.add(fb::CreateGather(b.fbb), {x, rows}, {y});
  b.output("y", y);
  SingleRank one(b, {.bounds = {{"tokens", 8}}});
  one.engine.setSymbol("tokens", 3);
  setInput<float>(one.engine, "x", {5, 6, 7});
  setInput<int32_t>(one.engine, "rows", {2});
  one.engine.run();
  EXPECT_THAT(getOutput(one.engine, "y"), ElementsAre(7));
  setInput<int32_t>(one.engine, "rows", {3}); // within the bound, not within the step
  EXPECT_THAT(messageOf([&] { one.engine.run(); }), HasSubstr("input 'rows' has the value 3"));
}

TEST(Engine, TurnsPairsByPosition) {
  ProgramBuilder b;
  uint32_t x = b.input("x", {2, 4});
  uint32_t positions = b.input("positions", {2}, ElementType::i32);
  uint32_t factors = b.weight("factors", {1}, {2});
  uint32_t y = b.activation({2, 4}), z = b.activation({2, 4});
  b.add(fb::CreateRope(b.fbb, 4, 4, 100.0f, 1.0f, fb::RopeStyle::Interleaved), {x, positions}, {y});
  b.output("y", y);
  b.add(fb::CreateRope(b.fbb, 4, 2, 100.0f, 1.0f, fb::RopeStyle::Halves), {x, positions, factors},
        {z});
  b.output("z", z);
  SingleRank one(b);
  setInput<float>(one.engine, "x", {1, 2, 3, 4, 1, 0, 0, 1});
  setInput<int32_t>(one.engine, "positions", {0, 3});
  one.engine.run();
  auto near = [](double value) { return FloatNear(static_cast<float>(value), 1e-6f); };
  // The second pair turns by 3 * 100^(-2/4) = 0.3.
  EXPECT_THAT(getOutput(one.engine, "y"),
              ElementsAre(1, 2, 3, 4, near(std::cos(3.0)), near(std::sin(3.0)),
                          near(-std::sin(0.3)), near(std::cos(0.3))));
  EXPECT_THAT(getOutput(one.engine, "z"),
              ElementsAre(1, 2, 3, 4, near(std::cos(1.5)), near(std::sin(1.5)), 0, 1));
}

TEST(Engine, SlicesInnerAndOuterDimensions) {
  ProgramBuilder b;
  int64_t t = b.symbol("t");
  uint32_t x = b.input("x", {2, 3, t});
  uint32_t inner = b.activation({2, 2, t}), outer = b.activation({1, 3, t});
  b.add(fb::CreateSlice(b.fbb, 1, 1), {x}, {inner});
  b.add(fb::CreateSlice(b.fbb, 0, 1), {x}, {outer});
  b.output("inner", inner);
  b.output("outer", outer);
  SingleRank one(b, {.bounds = {{"t", 5}}});
  one.engine.setSymbol("t", 2);
  setInput<float>(one.engine, "x", {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  one.engine.run();
  EXPECT_THAT(getOutput(one.engine, "inner"), ElementsAre(2, 3, 4, 5, 8, 9, 10, 11));
  EXPECT_THAT(getOutput(one.engine, "outer"), ElementsAre(6, 7, 8, 9, 10, 11));
}

TEST(Engine, TransposesAndReshapes) {
  ProgramBuilder b;
  int64_t t = b.symbol("t");
  uint32_t x = b.input("x", {t, 6});
  uint32_t parts = b.activation({t, 2, 3}), turned = b.activation({3, t, 2});
  uint32_t scaled = b.activation({3, t, 2}), flat = b.activation({3, t, 1, 2});
  std::vector<uint32_t> permutation{2, 0, 1};
  b.add(fb::CreateReshape(b.fbb), {x}, {parts});
  b.add(fb::CreateTransposeDirect(b.fbb, &permutation), {parts}, {turned});
  b.add(fb::CreateUnary(b.fbb, static_cast<uint8_t>(UnaryKind::scale), 10), {turned}, {scaled});
  b.add(fb::CreateReshape(b.fbb), {scaled}, {flat});
  b.output("turned", turned);
  b.output("flat", flat);
  SingleRank one(b, {.bounds = {{"t", 5}}});
  one.engine.setSymbol("t", 2);
  setInput<float>(one.engine, "x", {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  for (int run = 0; run < 2; ++run) { // nothing is overwritten that is still needed
    one.engine.run();
    EXPECT_THAT(getOutput(one.engine, "turned"), ElementsAre(0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11));
    EXPECT_THAT(getOutput(one.engine, "flat"),
                ElementsAre(0, 30, 60, 90, 10, 40, 70, 100, 20, 50, 80, 110));
  }
}

// ---- States ----

/// One query head pair over one key head, two slots of four positions.
struct AttentionProgram {
  ProgramBuilder b;
  explicit AttentionProgram(ElementType type = ElementType::f32) {
    int64_t t = b.symbol("tokens"), context = b.symbol("context");
    uint32_t q = b.input("q", {t, 4});
    uint32_t k = b.input("k", {t, 2});
    uint32_t v = b.input("v", {t, 2});
    uint32_t slots = b.input("slots", {t}, ElementType::i32);
    uint32_t positions = b.input("positions", {t}, ElementType::i32);
    uint32_t keys = b.state("keys", {2, context, 2}, type);
    uint32_t values = b.state("values", {2, context, 2}, type);
    b.add(fb::CreateStateUpdate(b.fbb), {keys, k, slots, positions}, {});
    b.add(fb::CreateStateUpdate(b.fbb), {values, v, slots, positions}, {});
    uint32_t y = b.activation({t, 4});
    b.add(fb::CreateAttention(b.fbb, 2, 2, 0, 0.5f), {q, keys, values, slots, positions}, {y});
    b.output("y", y);
  }
  EngineOptions options() const { return {.bounds = {{"tokens", 4}, {"context", 4}}}; }
};

/// softmax(0.5 q . k) v over keys and values of two elements.
std::vector<float> attend(const std::vector<float> &q, const std::vector<float> &k,
                          const std::vector<float> &v) {
  std::vector<double> y(q.size());
  for (size_t head = 0; head < q.size(); head += 2) {
    double sum = 0;
    for (size_t key = 0; key < k.size(); key += 2) {
      double weight = std::exp(0.5 * (q[head] * k[key] + q[head + 1] * k[key + 1]));
      sum += weight;
      y[head] += weight * v[key];
      y[head + 1] += weight * v[key + 1];
    }
    y[head] /= sum;
    y[head + 1] /= sum;
  }
  return {y.begin(), y.end()};
}

TEST(Engine, AttendsToWhatEarlierStepsWrote) {
  for (ElementType type : {ElementType::f32, ElementType::f16}) {
    AttentionProgram program;
    EngineOptions options = program.options();
    options.cacheType = type;
    SingleRank one(program.b, options);
    // 2 slots of 2 elements: values for 4 positions, keys for a panel of 32.
    EXPECT_EQ(one.engine.stateBytes(), type == ElementType::f32 ? 64 + 512 : 64 + 256);
    EXPECT_EQ(one.engine.stateBytesOfPosition(), type == ElementType::f32 ? 16 : 8);
    one.engine.setSymbol("tokens", 3);
    // Two tokens of slot 0, one of slot 1.
    setInput<float>(one.engine, "q", std::vector<float>(12, 1));
    setInput<float>(one.engine, "k", {1, 0, 0, 2, 3, 3});
    setInput<float>(one.engine, "v", {1, 2, 3, 4, 5, 6});
    setInput<int32_t>(one.engine, "slots", {0, 0, 1});
    setInput<int32_t>(one.engine, "positions", {0, 1, 0});
    one.engine.run();
    std::vector<float> y = getOutput(one.engine, "y");
    EXPECT_THAT(std::vector<float>(y.begin(), y.begin() + 4), ElementsAre(1, 2, 1, 2));
    EXPECT_THAT(std::vector<float>(y.begin() + 4, y.begin() + 8),
                Pointwise(FloatNear(1e-6f), attend({1, 1, 1, 1}, {1, 0, 0, 2}, {1, 2, 3, 4})));
    EXPECT_THAT(std::vector<float>(y.begin() + 8, y.end()), ElementsAre(5, 6, 5, 6));

    one.engine.setSymbol("tokens", 1);
    setInput<float>(one.engine, "q", {1, 2, -1, 0.5});
    setInput<float>(one.engine, "k", {0.5, 0.25});
    setInput<float>(one.engine, "v", {-1, 8});
    setInput<int32_t>(one.engine, "slots", {0});
    setInput<int32_t>(one.engine, "positions", {2});
    one.engine.run();
    EXPECT_THAT(getOutput(one.engine, "y"),
                Pointwise(FloatNear(1e-6f),
                          attend({1, 2, -1, 0.5}, {1, 0, 0, 2, 0.5, 0.25}, {1, 2, 3, 4, -1, 8})));

    one.engine.clearStates();
    setInput<int32_t>(one.engine, "positions", {1});
    one.engine.run(); // position 0 is zero again
    EXPECT_THAT(
        getOutput(one.engine, "y"),
        Pointwise(FloatNear(1e-6f), attend({1, 2, -1, 0.5}, {0, 0, 0.5, 0.25}, {0, 0, -1, 8})));
  }
}

TEST(Engine, AttendsToStatesThatAreKeysAndValues) {
  ProgramBuilder b;
  const int64_t t = b.symbol("tokens"), context = b.symbol("context");
  const uint32_t q = b.input("q", {t, 4}), x = b.input("x", {t, 2});
  const uint32_t slots = b.input("slots", {t}, ElementType::i32);
  const uint32_t positions = b.input("positions", {t}, ElementType::i32);
  const uint32_t both = b.state("both", {2, context, 2}, ElementType::f32);
  b.add(fb::CreateStateUpdate(b.fbb), {both, x, slots, positions}, {});
  const uint32_t y = b.activation({t, 4});
  b.add(fb::CreateAttention(b.fbb, 2, 2, 0, 0.5f), {q, both, both, slots, positions}, {y});
  b.output("y", y);
  SingleRank one(b, {.bounds = {{"tokens", 4}, {"context", 4}}});
  const std::vector<float> queries = {1, 2, -1, 0.5, 3, 1, 0.5, -2}, rows = {1, 0, 0.5, -2};
  one.engine.setSymbol("tokens", 2);
  setInput<float>(one.engine, "q", queries);
  setInput<float>(one.engine, "x", rows);
  setInput<int32_t>(one.engine, "slots", {1, 1});
  setInput<int32_t>(one.engine, "positions", {0, 1});
  one.engine.run();
  std::vector<float> expected =
      attend({queries.begin(), queries.begin() + 4}, {rows.begin(), rows.begin() + 2},
             {rows.begin(), rows.begin() + 2});
  for (float value : attend({queries.begin() + 4, queries.end()}, rows, rows))
    expected.push_back(value);
  EXPECT_THAT(getOutput(one.engine, "y"), Pointwise(FloatNear(1e-6f), expected));
}

TEST(Engine, FillsStatesWithFiniteNumbers) {
  for (ElementType type : {ElementType::f32, ElementType::f16}) {
    AttentionProgram program;
    EngineOptions options = program.options();
    options.cacheType = type;
    SingleRank one(program.b, options);
    one.engine.fillStates();
    one.engine.setSymbol("tokens", 1);
    setInput<float>(one.engine, "q", {0, 0, 0, 0});
    setInput<float>(one.engine, "k", {0, 0});
    setInput<float>(one.engine, "v", {8, -8});
    setInput<int32_t>(one.engine, "slots", {1});
    setInput<int32_t>(one.engine, "positions", {3});
    one.engine.run(); // the mean of three that were filled in, and the fourth
    std::vector<float> y = getOutput(one.engine, "y");
    for (float sum : {y[0] * 4 - 8, y[1] * 4 + 8}) {
      EXPECT_GT(std::abs(sum), 0.01f);
      EXPECT_LT(std::abs(sum), 3.0f);
    }
  }
}

TEST(Engine, RefusesPlacesOutsideOfStates) {
  AttentionProgram program;
  SingleRank one(program.b, program.options());
  one.engine.setSymbol("tokens", 2);
  auto attempt = [&](std::vector<int32_t> slots, std::vector<int32_t> positions) {
    setInput<int32_t>(one.engine, "slots", slots);
    setInput<int32_t>(one.engine, "positions", positions);
    return messageOf([&] { one.engine.run(); });
  };
  EXPECT_EQ(attempt({0, 2}, {0, 1}), "input 'slots' has the value 2 at index 1, but state 'keys' "
                                     "(slots) has 0 to 1");
  EXPECT_EQ(attempt({0, 0}, {-1, 1}), "input 'positions' has the value -1 at index 0, but state "
                                      "'keys' (positions) has 0 to 3");
  EXPECT_THAT(attempt({0, 0}, {0, 4}), HasSubstr("input 'positions' has the value 4 at index 1"));
  EXPECT_EQ(attempt({1, 1}, {3, 3}), "input 'slots' and input 'positions' give two tokens the same "
                                     "place: slot 1, position 3");
  EXPECT_EQ(attempt({1, 0}, {3, 3}), "(nothing was thrown)");
}

// ---- Quantized weights ----

/// Blocks of q8_0 with scale 1 whose elements are whole numbers.
std::vector<std::byte> wholeBlocks(const std::vector<int8_t> &elements) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i < elements.size(); i += 32) {
    BlockQ8_0 block;
    block.scale = 0x3c00; // 1.0 as a half
    std::memcpy(block.values, elements.data() + i, 32);
    const auto *raw = reinterpret_cast<const std::byte *>(&block);
    bytes.insert(bytes.end(), raw, raw + sizeof block);
  }
  return bytes;
}

TEST(Engine, QuantizedInputsMeetTheirColumns) {
  ProgramBuilder b;
  int64_t t = b.symbol("tokens");
  std::vector<int8_t> elements(2 * 64);
  for (size_t i = 0; i < elements.size(); ++i)
    elements[i] = static_cast<int8_t>(static_cast<int>(i * 7 % 41) - 20);
  uint32_t x = b.input("x", {t, 40});
  uint32_t w = b.matrix("w", ElementType::q8_0, {2, 64}, wholeBlocks(elements));
  b.output("a", b.linear(x, w, {t, 2}, 0));
  b.output("b", b.linear(x, w, {t, 2}, 0));
  b.output("c", b.linear(x, w, {t, 2}, 24));
  std::vector<float> in(3 * 40);
  for (size_t i = 0; i < in.size(); ++i)
    in[i] = i % 8 == 0 ? 127.0f : static_cast<float>(i % 100); // every block's scale is 1
  auto expected = [&](int64_t pad) {
    std::vector<float> y;
    for (int64_t row = 0; row < 3; ++row)
      for (int64_t o = 0; o < 2; ++o) {
        float sum = 0;
        for (int64_t j = 0; j < 40; ++j)
          sum += in[row * 40 + j] * elements[o * 64 + pad + j];
        y.push_back(sum);
      }
    return y;
  };
  FileBytes bytes = b.finish();
  std::unique_ptr<WeightFile> file = b.writeWeights(testFolder());
  Program program(std::move(bytes), "test.program", b.identity());
  ThreadHub hub(1);
  int64_t arena[2];
  for (Activations activations : {Activations::quantized, Activations::f32}) {
    Engine engine(program, *file, hub.communicator(0),
                  {.bounds = {{"tokens", 3}}, .activations = activations});
    setInput<float>(engine, "x", in);
    engine.run();
    EXPECT_EQ(getOutput(engine, "a"), expected(0));
    EXPECT_EQ(getOutput(engine, "b"), expected(0));
    EXPECT_EQ(getOutput(engine, "c"), expected(24));
    arena[activations == Activations::f32] = engine.activationBytes();
  }
  // The two quantized forms do not live together: they take one place.
  EXPECT_EQ(arena[0] - arena[1], 3 * q8RowBytes(64));
}

/// Weights of all kinds in one instruction give the bits that they give alone, for any
/// number of threads: threads share the rows of all as if they were one weight's.
TEST(Engine, ProductsOfOneInputAreIndependent) {
  constexpr int64_t columns = 128, tokens = 40;
  struct Weight {
    ElementType type;
    int64_t outputs;
  };
  const Weight kinds[] = {{ElementType::q8_0, 200}, {ElementType::f32, 40},
                          {ElementType::q8_0, 0},   {ElementType::f32, 3},
                          {ElementType::q8_0, 7},   {ElementType::q8_0, 50}};
  std::vector<float> in = randomFloats(tokens * columns, 1);
  std::vector<std::vector<float>> alone;
  for (bool joined : {false, true})
    for (int threads : {1, 2, 3}) {
      ProgramBuilder b;
      int64_t t = b.symbol("tokens");
      uint32_t x = b.input("x", {t, columns});
      std::vector<uint32_t> operands{x}, results;
      for (size_t i = 0; i < std::size(kinds); ++i) {
        auto [type, outputs] = kinds[i];
        std::string name = "w" + std::to_string(i);
        std::vector<int8_t> elements(outputs * columns);
        for (size_t j = 0; j < elements.size(); ++j)
          elements[j] = static_cast<int8_t>(static_cast<int>((j + i) * 7 % 255) - 127);
        operands.push_back(
            type == ElementType::f32
                ? b.weight(name, {outputs, columns}, randomFloats(outputs * columns, 2 + i))
                : b.matrix(name, type, {outputs, columns}, wholeBlocks(elements)));
        if (joined)
          results.push_back(b.activation({t, outputs}));
        else
          results.push_back(b.linear(x, operands.back(), {t, outputs}));
        b.output("y" + std::to_string(i), results.back());
      }
      if (joined)
        b.add(fb::CreateLinear(b.fbb), operands, results, "joined");
      SingleRank one(b, {.threads = threads, .bounds = {{"tokens", tokens}}});
      for (int64_t count : {tokens, int64_t{1}}) {
        one.engine.setSymbol("tokens", count);
        setInput<float>(one.engine, "x",
                        std::vector<float>(in.begin(), in.begin() + count * columns));
        one.engine.run();
        std::vector<float> all;
        for (size_t i = 0; i < std::size(kinds); ++i) {
          std::vector<float> y = getOutput(one.engine, "y" + std::to_string(i));
          all.insert(all.end(), y.begin(), y.end());
        }
        if (!joined && threads == 1)
          alone.push_back(all);
        else
          EXPECT_EQ(all, alone[count == 1]) << threads << " threads, joined: " << joined;
      }
    }
}

TEST(Engine, DenseProductsOfManyTokens) {
  constexpr int64_t tokens = 85, inputs = 24, outputs = 40;
  ProgramBuilder b;
  int64_t t = b.symbol("tokens");
  std::vector<float> w = randomFloats(outputs * inputs, 1), in = randomFloats(tokens * inputs, 2);
  uint32_t x = b.input("x", {t, inputs});
  b.output("y", b.linear(x, b.weight("w", {outputs, inputs}, w), {t, outputs}));
  SingleRank one(b, {.threads = 2, .bounds = {{"tokens", 100}}});
  for (int64_t count : {tokens, int64_t{16}, int64_t{15}, int64_t{0}}) {
    one.engine.setSymbol("tokens", count);
    std::vector<float> some(in.begin(), in.begin() + count * inputs), expected;
    setInput<float>(one.engine, "x", some);
    one.engine.run();
    for (int64_t row = 0; row < count; ++row)
      for (int64_t o = 0; o < outputs; ++o) {
        double sum = 0;
        for (int64_t j = 0; j < inputs; ++j)
          sum += double{in[row * inputs + j]} * w[o * inputs + j];
        expected.push_back(static_cast<float>(sum));
      }
    EXPECT_THAT(getOutput(one.engine, "y"), Pointwise(FloatNear(1e-5f), expected));
  }
}

// ---- Memory ----

/// Random graphs against an evaluation that keeps every value: no buffer is reused
/// or overwritten too early.
TEST(Engine, RandomGraphsKeepTheirValues) {
  constexpr int64_t width = 5, rows = 3;
  for (uint32_t seed = 0; seed < 40; ++seed) {
    std::mt19937 random(seed);
    ProgramBuilder b;
    ProgramBuilder::Dims dims{b.symbol("rows"), width};
    std::vector<std::vector<float>> expected; // by value
    auto define = [&](uint32_t number, std::vector<float> elements) {
      ASSERT_EQ(number, expected.size());
      expected.push_back(std::move(elements));
    };
    define(b.input("x", dims), randomFloats(rows * width, seed));
    std::vector<float> w = randomFloats(width * width, seed + 100);
    uint32_t weight = b.weight("w", {width, width}, w);
    define(weight, {});
    std::vector<uint32_t> outputs;
    for (int i = 0; i < 30; ++i) {
      auto pick = [&] {
        // Mostly recent values, so that others die.
        uint32_t number =
            static_cast<uint32_t>(expected.size() - 1 - random() % std::min<size_t>(4, i + 1));
        return number == weight ? 0 : number;
      };
      uint32_t x = pick(), y = pick();
      std::vector<float> result(rows * width);
      switch (random() % 4) {
      case 0:
        for (size_t j = 0; j < result.size(); ++j)
          result[j] = expected[x][j] / (1 + std::exp(-expected[x][j]));
        define(b.silu(x, dims), result);
        break;
      case 1:
        for (size_t j = 0; j < result.size(); ++j)
          result[j] = expected[x][j] + expected[y][j];
        define(b.binary(BinaryKind::add, x, y, dims), result);
        break;
      case 2:
        for (size_t j = 0; j < result.size(); ++j)
          result[j] = expected[x][j] * expected[y][j];
        define(b.binary(BinaryKind::mul, x, y, dims), result);
        break;
      default:
        for (size_t r = 0; r < rows; ++r)
          for (size_t o = 0; o < width; ++o)
            for (size_t j = 0; j < width; ++j)
              result[r * width + o] += expected[x][r * width + j] * w[o * width + j] / 2;
        for (float &element : result)
          element *= 2;
        define(b.linear(x, weight, dims), result);
      }
      if (random() % 6 == 0)
        outputs.push_back(static_cast<uint32_t>(expected.size() - 1));
    }
    for (uint32_t number : outputs)
      b.output("v" + std::to_string(number), number);
    SingleRank one(b, {.bounds = {{"rows", rows}}});
    for (int step = 0; step < 2; ++step) {
      setInput<float>(one.engine, "x", expected[0]);
      one.engine.run();
      for (uint32_t number : outputs) {
        std::vector<float> found = getOutput(one.engine, "v" + std::to_string(number));
        ASSERT_EQ(found.size(), expected[number].size());
        for (size_t j = 0; j < found.size(); ++j)
          EXPECT_NEAR(found[j], expected[number][j],
                      1e-4f * std::max(1.0f, std::fabs(expected[number][j])))
              << "seed " << seed << ", value " << number;
      }
    }
  }
}

TEST(Engine, SharedAnglesLastUntilTheirLastUse) {
  ProgramBuilder b;
  ProgramBuilder::Dims dims{1, 16};
  uint32_t x = b.input("x", dims), positions = b.input("positions", {1}, ElementType::i32);
  auto rope = [&](uint32_t from) {
    uint32_t y = b.activation(dims);
    b.add(fb::CreateRope(b.fbb, 16, 16, 100.0f, 1.0f), {from, positions}, {y});
    return y;
  };
  b.output("first", rope(x));
  // Values of the angles' size, which would take their place.
  uint32_t y = x;
  for (int i = 0; i < 4; ++i)
    y = b.binary(BinaryKind::add, b.silu(y, dims), b.silu(x, dims), dims);
  b.output("sums", y);
  b.output("second", rope(x));
  SingleRank one(b);
  setInput(one.engine, "x", randomFloats(16, 5));
  setInput<int32_t>(one.engine, "positions", {3});
  one.engine.run();
  EXPECT_EQ(getOutput(one.engine, "second"), getOutput(one.engine, "first"));
}

TEST(Engine, ComputesInPlaceWhereAValueDies) {
  ProgramBuilder b;
  uint32_t x = b.input("x", {1, 16});
  for (int i = 0; i < 10; ++i)
    x = b.silu(x, {1, 16});
  b.output("y", x);
  SingleRank one(b);
  EXPECT_EQ(one.engine.activationBytes(), 2 * 64); // the input, and one buffer for the rest
}

// ---- What a user may ask for ----

TEST(Engine, RefusesWhatCannotBe) {
  AttentionProgram program;
  LoadedProgram loaded = program.b.load(testFolder());
  ThreadHub hub(1);
  auto make = [&](const EngineOptions &options) {
    return messageOf(
        [&] { Engine(*loaded.program, *loaded.weights, hub.communicator(0), options); });
  };
  EngineOptions good = program.options();
  EXPECT_EQ(make(good), "(nothing was thrown)");
  EngineOptions bad = good;
  bad.bounds.erase("context");
  EXPECT_THAT(make(bad), HasSubstr("the size 'context' varies at run time, and no bound is given"));
  bad = good;
  bad.bounds["context"] = -1;
  EXPECT_THAT(make(bad), HasSubstr("the bound of 'context', -1, is negative"));
  bad.bounds["context"] = int64_t{1} << 42; // more than any machine has
  EXPECT_THAT(make(bad), HasSubstr("the states (the cache of keys and values) at tokens = 4, "
                                   "context = 4398046511104"));
  bad.bounds["context"] = int64_t{1} << 62;
  EXPECT_THAT(make(bad), HasSubstr("need more than 2^48 bytes"));
  bad = good;
  bad.bounds["tokens"] = int64_t{1} << 62;
  EXPECT_THAT(make(bad), HasSubstr("input 'q' would need more than 2^48 bytes"));
  bad = good;
  bad.cacheType = ElementType::q8_0;
  EXPECT_THAT(make(bad), HasSubstr("a cache of q8_0 is not possible"));
  bad = good;
  bad.threads = 0;
  EXPECT_THAT(make(bad), HasSubstr("0 threads"));
  bad = good;
  bad.entry = "encode";
  EXPECT_THAT(make(bad), HasSubstr("has no entry 'encode'"));
  ThreadHub two(2);
  EXPECT_THAT(
      messageOf([&] { Engine(*loaded.program, *loaded.weights, two.communicator(1), good); }),
      HasSubstr("is for rank 0 of 1, but this is rank 1 of 2"));
}

TEST(Engine, RefusesAnotherWeightFile) {
  ProgramBuilder b, empty;
  b.weight("w", {64}, std::vector<float>(64));
  Program program = b.prove();
  std::unique_ptr<WeightFile> weights = empty.writeWeights(testFolder());
  ThreadHub hub(1);
  EXPECT_THAT(messageOf([&] { Engine(program, *weights, hub.communicator(0), {}); }),
              HasSubstr("rank-0.weights: has 4096 bytes, and weight 'w' is not within them"));
}

TEST(Engine, SymbolsStayWithinTheirBounds) {
  AttentionProgram program;
  SingleRank one(program.b, program.options());
  EXPECT_THAT(messageOf([&] { one.engine.setSymbol("tokens", 5); }),
              HasSubstr("the size 'tokens' cannot be 5: its bound is 4"));
  EXPECT_THAT(messageOf([&] { one.engine.setSymbol("tokens", -1); }), HasSubstr("cannot be -1"));
  one.engine.setSymbol("unknown", 99);
  EXPECT_EQ(one.engine.input("q").size(), 4 * 4 * sizeof(float));
  one.engine.setSymbol("tokens", 1);
  EXPECT_EQ(one.engine.input("q").size(), 4 * sizeof(float));
  EXPECT_TRUE(one.engine.input("unknown").empty());
  EXPECT_TRUE(one.engine.output("unknown").empty());
}

} // namespace
} // namespace cleave::rt
