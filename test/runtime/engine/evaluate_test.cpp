// Programs in memory, their ranks as threads.
#include "runtime/engine/evaluate.h"
#include "test/runtime/program/program_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace cleave::rt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

RankInMemory inMemory(ProgramBuilder &builder, std::span<const std::byte> payload = {}) {
  builder.packageId = std::string(evaluationPackageId);
  RankInMemory rank;
  rank.weights = FileBytes(weightFileHeaderBytes + payload.size());
  std::ranges::copy(payload, rank.weights.data() + weightFileHeaderBytes);
  rank.program = builder.finish();
  return rank;
}

std::vector<std::byte> bytesOf(const std::vector<float> &elements) {
  auto bytes = std::as_bytes(std::span(elements));
  return {bytes.begin(), bytes.end()};
}

std::vector<float> floatsOf(const std::vector<std::byte> &bytes) {
  std::vector<float> elements(bytes.size() / sizeof(float));
  std::memcpy(elements.data(), bytes.data(), bytes.size());
  return elements;
}

/// Two ranks with half of a product's inputs each: rank `owner` gives the sum.
std::vector<RankInMemory> makeSplitProduct(uint32_t owner) {
  std::vector<RankInMemory> ranks;
  for (uint32_t rank : {0u, 1u}) {
    ProgramBuilder b(rank, 2);
    int64_t tokens = b.symbol("tokens");
    uint32_t x = b.input("x" + std::to_string(rank), {tokens, 2});
    std::vector<float> elements = rank == 0 ? std::vector<float>{1, 2} : std::vector<float>{10, 20};
    uint32_t w = b.weight("w", {1, 2}, elements);
    uint32_t y = b.linear(x, w, {tokens, 1});
    uint32_t sum = b.activation({tokens, 1});
    std::vector<uint32_t> group{0, 1};
    b.add(fb::CreateAllReduceDirect(b.fbb, &group), {y}, {sum});
    b.output("y", sum, owner);
    ranks.push_back(inMemory(b, std::as_bytes(std::span(elements))));
  }
  return ranks;
}

TEST(Evaluate, RanksMeetAndOwnersGiveOutputs) {
  NamedArrays inputs{{"x0", bytesOf({1, 1, 2, 0})}, {"x1", bytesOf({1, 0, 0, 1})}};
  for (uint32_t owner : {0u, 1u}) {
    NamedArrays outputs = evaluate(makeSplitProduct(owner), inputs, {.sizes = {{"tokens", 2}}});
    ASSERT_EQ(outputs.size(), 1u);
    EXPECT_THAT(floatsOf(outputs.at("y")), ElementsAre(13, 22));
  }
}

TEST(Evaluate, StatesAreOfTheTypeAskedFor) {
  auto run = [](std::optional<ElementType> type) {
    ProgramBuilder b;
    int64_t slots = b.symbol("slots"), context = b.symbol("context");
    uint32_t x = b.input("x", {1, 8}), at = b.input("at", {1}, ElementType::i32);
    uint32_t state = b.state("k", {slots, context, 8}, ElementType::f16);
    b.add(fb::CreateStateUpdate(b.fbb), {state, x, at, at}, {});
    uint32_t y = b.activation({1, 8});
    b.add(fb::CreateAttention(b.fbb, /*head_dim=*/8, /*group=*/1, /*first_head=*/0, /*scale=*/1.0f),
          {x, state, state, at, at}, {y});
    b.output("y", y);
    std::vector<RankInMemory> ranks;
    ranks.push_back(inMemory(b));
    NamedArrays inputs{{"x", bytesOf(std::vector<float>(8, 1.0f + 0x1p-20f))},
                       {"at", std::vector<std::byte>(4)}};
    return floatsOf(evaluate(std::move(ranks), inputs,
                             {.sizes = {{"slots", 1}, {"context", 2}}, .stateType = type})
                        .at("y"));
  };
  EXPECT_EQ(run(std::nullopt)[0], 1.0f);
  EXPECT_EQ(run(ElementType::f32)[0], 1.0f + 0x1p-20f);
}

void expectRefusal(const NamedArrays &inputs, const EvaluationOptions &options,
                   const std::string &message) {
  try {
    evaluate(makeSplitProduct(0), inputs, options);
    FAIL() << "nothing is thrown";
  } catch (const std::runtime_error &error) {
    EXPECT_THAT(error.what(), HasSubstr(message));
  }
}

TEST(Evaluate, RefusesWhatIsMissingOrOfAnotherSize) {
  std::vector<std::byte> two = bytesOf({1, 1});
  expectRefusal({{"x0", two}}, {.sizes = {{"tokens", 1}}}, "no value is given for the input 'x1'");
  expectRefusal({{"x0", two}, {"x1", bytesOf({1})}}, {.sizes = {{"tokens", 1}}},
                "the input 'x1' has 8 bytes, but 4 are given");
  expectRefusal({{"x0", two}, {"x1", two}}, {}, "'tokens' varies at run time, and no bound");
}

TEST(Evaluate, RefusesProgramsThatAreNone) {
  std::vector<RankInMemory> ranks(1);
  ranks[0].program = FileBytes(64);
  ranks[0].weights = FileBytes(weightFileHeaderBytes);
  EXPECT_THROW(evaluate(std::move(ranks), {}, {}), std::runtime_error);
}

} // namespace
} // namespace cleave::rt
