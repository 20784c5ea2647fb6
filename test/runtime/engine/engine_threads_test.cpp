// Engines of several threads: the bits of one thread, whatever pieces are shared and which are
// not, and errors that reach the caller from wherever they arose.
#include "test/runtime/engine/engine_test_util.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>

namespace cleave::rt {
namespace {

using testing::HasSubstr;

constexpr int64_t width = 192, maxTokens = 70, contextSize = 400;

std::vector<float> randomFloats(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> result(count);
  for (float &element : result)
    element = static_cast<float>(static_cast<int>(random() % 2001) - 1000) / 1000.0f;
  return result;
}

/// Two decoder layers, of one rank or more: what is one piece of work for the first thread
/// with one token is shared with many. Values die early, so that threads that do not wait
/// for each other find another's in their place.
void buildLayers(ProgramBuilder &b, const std::vector<uint32_t> &ranks) {
  int64_t t = b.symbol("tokens"), context = b.symbol("context");
  ProgramBuilder::Dims dims{t, width};
  uint32_t ids = b.input("ids", {t}, ElementType::i32);
  uint32_t slots = b.input("slots", {t}, ElementType::i32);
  uint32_t positions = b.input("positions", {t}, ElementType::i32);
  uint32_t seed = 1;
  auto weight = [&](const std::string &name, const ProgramBuilder::Dims &of) {
    int64_t count = 1;
    for (int64_t dim : of)
      count *= dim;
    return b.weight(name, of, randomFloats(static_cast<size_t>(count), seed++));
  };
  uint32_t x = b.activation(dims);
  b.add(fb::CreateGather(b.fbb), {weight("table", {10, width}), ids}, {x});
  for (std::string layer : {"0", "1"}) {
    uint32_t n = b.activation(dims), k = b.activation(dims), q = b.activation(dims),
             a = b.activation(dims);
    uint32_t keys = b.state("keys" + layer, {1, context, width});
    uint32_t norm = weight("norm" + layer, {width});
    b.add(fb::CreateRmsNorm(b.fbb, 1e-5f), {x, norm}, {n});
    b.add(fb::CreateRope(b.fbb, 48, 48, 1e4f, 1.0f),
          {b.linear(n, weight("k" + layer, {width, width}), dims), positions}, {k});
    b.add(fb::CreateRope(b.fbb, 48, 48, 1e4f, 1.0f),
          {b.linear(n, weight("q" + layer, {width, width}), dims), positions}, {q});
    b.add(fb::CreateStateUpdate(b.fbb), {keys, k, slots, positions}, {});
    b.add(fb::CreateAttention(b.fbb, 48, 1, 0, 0.1f), {q, keys, keys, slots, positions}, {a});
    uint32_t part = b.linear(a, weight("o" + layer, {width, width}), dims);
    if (ranks.size() > 1) {
      uint32_t sum = b.activation(dims);
      b.add(fb::CreateAllReduceDirect(b.fbb, &ranks), {part}, {sum});
      part = sum;
    }
    uint32_t added = b.activation(dims), normed = b.activation(dims);
    b.add(fb::CreateAddNorm(b.fbb, 1e-5f), {part, x, norm}, {added, normed});
    uint32_t chosen = b.activation({t, 2}, ElementType::i32), shares = b.activation({t, 2});
    uint32_t mixed = b.activation(dims);
    uint32_t experts = weight("experts" + layer, {3, width, width});
    b.add(fb::CreateRoute(b.fbb), {normed}, {chosen});
    b.add(fb::CreateRouteWeights(b.fbb, true, 1.0f), {normed, chosen}, {shares});
    b.add(fb::CreateMoe(b.fbb), {normed, chosen, shares, experts, experts, experts}, {mixed});
    x = b.binary(BinaryKind::add, added, b.silu(mixed, dims), dims);
  }
  uint32_t best = b.activation({t, 4, 2});
  b.add(fb::CreateTopK(b.fbb), {x}, {best});
  b.output("best", best);
  b.output("y", x);
}

void setTokens(Engine &engine, int64_t tokens, int32_t first) {
  engine.setSymbol("tokens", tokens);
  std::vector<int32_t> ids(static_cast<size_t>(tokens)), slots(ids.size()), positions(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    ids[i] = static_cast<int32_t>((i * 7 + static_cast<size_t>(first)) % 10);
    positions[i] = first + static_cast<int32_t>(i);
  }
  setInput(engine, "ids", ids);
  setInput(engine, "slots", slots);
  setInput(engine, "positions", positions);
}

/// Prompts that oneDNN has a part in, one that it has none in, and enough single tokens that
/// threads get into each other's way where they may.
std::vector<float> generate(Engine &engine) {
  std::vector<float> all;
  int32_t position = 0;
  std::vector<int64_t> counts{maxTokens, 15, 1, 0, 33};
  counts.resize(60, 1);
  for (int64_t tokens : counts) {
    setTokens(engine, tokens, position);
    position += static_cast<int32_t>(tokens);
    engine.run();
    for (const char *name : {"best", "y"}) {
      std::vector<float> output = getOutput(engine, name);
      all.insert(all.end(), output.begin(), output.end());
    }
  }
  return all;
}

EngineOptions optionsOf(int threads) {
  return {.threads = threads, .bounds = {{"tokens", maxTokens}, {"context", contextSize}}};
}

TEST(EngineThreads, ResultsHaveTheBitsOfOneThread) {
  std::vector<float> alone;
  for (int threads : {1, 2, 3, 7}) {
    ProgramBuilder b;
    buildLayers(b, {0});
    SingleRank one(b, optionsOf(threads));
    for (int round = 0; round < 3; ++round) {
      std::vector<float> found = generate(one.engine);
      if (alone.empty())
        alone = found;
      EXPECT_EQ(found, alone) << threads << " threads, round " << round;
    }
  }
}

TEST(EngineThreads, RanksOfSeveralThreadsCommunicate) {
  std::vector<float> alone;
  for (int threads : {1, 3}) {
    std::vector<std::vector<float>> found(2);
    runPrograms(
        2, optionsOf(threads), [](ProgramBuilder &b) { buildLayers(b, {0, 1}); },
        [&](uint32_t rank, Engine &engine) {
          found[rank] = generate(engine);
          EXPECT_GT(engine.times().communication, 0);
          EXPECT_LE(engine.times().communication, engine.times().total);
        });
    if (alone.empty())
      alone = found[0];
    EXPECT_EQ(found[0], alone) << threads << " threads";
    EXPECT_EQ(found[1], alone) << threads << " threads";
  }
}

TEST(EngineThreads, AFailingCheckEndsTheRunOnAllThreads) {
  ProgramBuilder b;
  buildLayers(b, {0});
  SingleRank one(b, optionsOf(3));
  std::vector<float> before = generate(one.engine);
  for (int64_t tokens : {int64_t{1}, maxTokens}) {
    for (int32_t bad : {10, -1}) {
      setTokens(one.engine, tokens, 0);
      std::vector<int32_t> ids(static_cast<size_t>(tokens));
      ids.back() = bad;
      setInput(one.engine, "ids", ids);
      try {
        one.engine.run();
        FAIL() << "nothing was thrown";
      } catch (const std::runtime_error &error) {
        EXPECT_THAT(error.what(), HasSubstr("input 'ids' has the value " + std::to_string(bad)));
      }
    }
  }
  EXPECT_EQ(generate(one.engine), before); // nothing was left behind
}

TEST(EngineThreads, AFailingRankEndsAllThreadsOfTheOthers) {
  try {
    runPrograms(
        2, optionsOf(3), [](ProgramBuilder &b) { buildLayers(b, {0, 1}); },
        [](uint32_t rank, Engine &engine) {
          if (rank == 0)
            throw std::runtime_error("gone");
          generate(engine);
        });
    FAIL() << "nothing was thrown";
  } catch (const std::runtime_error &error) {
    EXPECT_THAT(error.what(), HasSubstr("gone"));
  }
}

} // namespace
} // namespace cleave::rt
