// Damaged programs: cut off at every length, and with single bytes changed. Each
// is refused with std::runtime_error, or is proved and then runs without harm (the
// sanitizers watch).
#include "test/runtime/engine/engine_test_util.h"

#include <gtest/gtest.h>

#include <random>

namespace cleave::rt {
namespace {

/// Every operation once; rank 0 of one.
void buildEverything(ProgramBuilder &b) {
  int64_t t = b.symbol("tokens"), context = b.symbol("context");
  ProgramBuilder::Dims dims{t, 32};
  std::vector<uint32_t> self{0};
  std::vector<int64_t> ranges{0, 32};
  uint32_t ids = b.input("ids", {t}, ElementType::i32);
  uint32_t slots = b.input("slots", {t}, ElementType::i32);
  uint32_t positions = b.input("positions", {t}, ElementType::i32);
  uint32_t table = b.weight("table", ElementType::q8_0, {4, 32}, std::vector<std::byte>(4 * 34));
  uint32_t norm = b.weight("norm", {32}, std::vector<float>(32, 1));
  uint32_t w = b.matrix("w", ElementType::q4_0, {32, 64}, std::vector<std::byte>(64 * 18));
  uint32_t dense = b.weight("dense", {32, 32}, std::vector<float>(1024, 1));
  uint32_t factors = b.weight("factors", {4}, {1, 1, 2, 2});
  uint32_t keys = b.state("keys", {2, context, 16});
  auto make = [&](auto op, std::vector<uint32_t> operands, const ProgramBuilder::Dims &result) {
    uint32_t y = b.activation(result);
    b.add(op, operands, {y}, "op");
    return y;
  };
  uint32_t x = make(fb::CreateGather(b.fbb, 1, false), {table, ids}, dims);
  x = make(fb::CreateAllReduceDirect(b.fbb, &self), {x}, dims);
  x = make(fb::CreateRmsNorm(b.fbb, 1e-5f), {x, norm}, dims);
  uint32_t q = make(fb::CreateRope(b.fbb, 8, 8, 1e4f, 1.0f), {x, positions, factors}, dims);
  uint32_t k = make(fb::CreateSlice(b.fbb, 1, 16), {q}, {t, 16});
  b.add(fb::CreateStateUpdate(b.fbb), {keys, k, slots, positions}, {});
  uint32_t a =
      make(fb::CreateAttention(b.fbb, 8, 2, 0, 0.3f), {q, keys, keys, slots, positions}, dims);
  uint32_t y = make(fb::CreateLinear(b.fbb, 16), {a, w}, dims);
  y = make(fb::CreateLinear(b.fbb), {y, dense}, dims);
  uint32_t z = b.activation(dims);
  b.add(fb::CreateLinear(b.fbb), {y, dense, dense}, {b.activation(dims), z}, "two");
  y = z;
  uint32_t sum = b.activation(dims), normed = b.activation(dims);
  b.add(fb::CreateAddNorm(b.fbb, 1e-5f), {y, x, norm}, {sum, normed}, "add");
  y = b.activation(dims);
  b.add(fb::CreateAllReduceAddDirect(b.fbb, &self, 1e-5f), {normed, sum, norm},
        {b.activation(dims), y}, "sum");
  z = b.activation(dims);
  b.add(fb::CreateAllReduceDirect(b.fbb, &self), {y, sum}, {b.activation(dims), z}, "sums");
  y = z;
  y = make(fb::CreateUnary(b.fbb), {y}, dims);
  y = make(fb::CreateBinary(b.fbb, static_cast<uint8_t>(BinaryKind::mul)), {y, norm}, dims);
  y = make(fb::CreateAllGatherDirect(b.fbb, &self, 1, &ranges), {y}, dims);
  y = make(fb::CreateReduceScatterDirect(b.fbb, &self, 1, &ranges), {y}, dims);
  y = make(fb::CreateAllToAllDirect(b.fbb, &self, 1, &ranges, 1, &ranges), {y}, dims);
  y = make(fb::CreateBroadcastDirect(b.fbb, &self), {y}, dims);
  uint32_t experts =
      b.matrix("experts", ElementType::q8_0, {3, 32, 32}, std::vector<std::byte>(96 * 34));
  uint32_t chosen = b.activation({t, 2}, ElementType::i32);
  b.add(fb::CreateRoute(b.fbb), {y}, {chosen}, "op");
  uint32_t weights = make(fb::CreateRouteWeights(b.fbb, true, 1.0f), {y, chosen}, {t, 2});
  y = make(fb::CreateMoe(b.fbb, 1, 0), {y, chosen, weights, experts, experts, experts}, dims);
  b.output("y", y);
  std::vector<uint32_t> strides{2}, pads{1, 0}, dilations{1};
  uint32_t images = b.input("images", {t, 4, 6});
  uint32_t filter = b.weight("filter", {2, 2, 3}, std::vector<float>(12, 1));
  uint32_t bias = b.weight("bias", {2}, {1, 2});
  b.output("z", make(fb::CreateConvDirect(b.fbb, &strides, &pads, &dilations),
                     {images, filter, bias}, {t, 2, 3}));
}

class HostileProgram : public testing::Test {
protected:
  void SetUp() override {
    buildEverything(builder);
    original = builder.finish();
    weights = builder.writeWeights(testFolder());
  }

  /// Whether the program is proved. If so, runs it where it is small.
  bool loads(std::string_view text) {
    FileBytes bytes(text.size());
    std::memcpy(bytes.data(), text.data(), text.size());
    std::unique_ptr<Program> program;
    try {
      program = std::make_unique<Program>(std::move(bytes), "p", builder.identity());
    } catch (const std::runtime_error &) {
      return false;
    }
    try {
      ThreadHub hub(1);
      Engine engine(*program, *weights, hub.communicator(0),
                    {.bounds = {{"tokens", 4}, {"context", 8}}});
      if (engine.activationBytes() + engine.stateBytes() > 1 << 22)
        return true;
      // Distinct tokens and places in range: 1, 2, 3, 4, all in slot 1.
      for (const fb::Port *port : *program->entry("").inputs()) {
        std::span<std::byte> input = engine.input(port->name()->string_view());
        std::memset(input.data(), 0, input.size());
        for (size_t i = 0; i + 4 <= input.size(); i += 4)
          input[i] = static_cast<std::byte>(port->value() == 1 ? 1 : i / 4 + 1);
      }
      engine.run();
      ++runs;
    } catch (const std::runtime_error &) {
      // A bound that the damaged program asks for, an index it cannot have.
    }
    return true;
  }

  ProgramBuilder builder;
  FileBytes original;
  std::unique_ptr<WeightFile> weights;
  int runs = 0;
};

TEST_F(HostileProgram, UndamagedItRuns) {
  EXPECT_TRUE(loads(original.text()));
  EXPECT_EQ(runs, 1);
}

TEST_F(HostileProgram, CutOffAnywhereItIsRefusedOrRuns) {
  // The last bytes may be padding.
  for (size_t size = 0; size < original.size(); ++size)
    EXPECT_TRUE(!loads(original.text().substr(0, size)) || size + 8 > original.size())
        << "the first " << size << " bytes";
}

TEST_F(HostileProgram, WithAByteChangedItIsRefusedOrRuns) {
  std::mt19937 random(42);
  int proved = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string text(original.text());
    size_t at = random() % text.size();
    text[at] = static_cast<char>(random() % 3 == 0 ? random() : text[at] ^ (1 << random() % 8));
    proved += loads(text);
  }
  // Both happen: names and epsilons may change, sizes and indices may not.
  EXPECT_GT(proved, 500);
  EXPECT_LT(proved, 15000);
  EXPECT_GT(runs, 500);
}

TEST_F(HostileProgram, WithAWordChangedItIsRefusedOrRuns) {
  std::mt19937 random(43);
  constexpr uint32_t interesting[] = {0,          1,          0x7fffffff, 0x80000000,
                                      0xffffffff, 0xfffffffe, 0x10000};
  for (int round = 0; round < 5000; ++round) {
    std::string text(original.text());
    size_t at = random() % (text.size() / 4) * 4;
    uint32_t word = interesting[random() % std::size(interesting)];
    std::memcpy(text.data() + at, &word, sizeof word);
    loads(text);
  }
}

} // namespace
} // namespace cleave::rt
