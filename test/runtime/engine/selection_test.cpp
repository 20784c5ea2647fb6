// Engines that give some of their program's outputs: what serves only the others is left out,
// on all ranks alike.
#include "runtime/engine/selection.h"
#include "test/runtime/engine/engine_test_util.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>

namespace cleave::rt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using U = std::vector<uint32_t>;
using Ranges = std::vector<int64_t>;

/// Counts what goes through a communicator.
class CountingCommunicator : public Communicator {
public:
  explicit CountingCommunicator(Communicator &inner) : inner(inner) {}

  int reductions = 0, gathers = 0, messages = 0;
  size_t gathered = 0; ///< elements that this rank has sent to be gathered

  int rank() const override { return inner.rank(); }
  int size() const override { return inner.size(); }
  GroupId makeGroup(std::span<const uint32_t> ranks) override { return inner.makeGroup(ranks); }
  void reserveSends(size_t maxBytes, size_t maxPending) override {
    inner.reserveSends(maxBytes, maxPending);
  }
  void send(const void *data, size_t count, ElementType type, int peer, int tag) override {
    ++messages;
    inner.send(data, count, type, peer, tag);
  }
  void recv(void *data, size_t count, ElementType type, int peer, int tag) override {
    ++messages;
    inner.recv(data, count, type, peer, tag);
  }
  void allReduce(void *data, size_t count, ElementType type, GroupId group) override {
    ++reductions;
    inner.allReduce(data, count, type, group);
  }
  void allGather(const void *send, void *recv, std::span<const int> counts,
                 std::span<const int> offsets, ElementType type, GroupId group) override {
    ++gathers;
    gathered += static_cast<size_t>(counts[static_cast<size_t>(rank())]);
    inner.allGather(send, recv, counts, offsets, type, group);
  }
  void reduceScatter(const void *send, void *recv, std::span<const int> counts, ElementType type,
                     GroupId group) override {
    inner.reduceScatter(send, recv, counts, type, group);
  }
  void allToAll(const void *send, std::span<const int> sendCounts, std::span<const int> sendOffsets,
                void *recv, std::span<const int> recvCounts, std::span<const int> recvOffsets,
                ElementType type, GroupId group) override {
    inner.allToAll(send, sendCounts, sendOffsets, recv, recvCounts, recvOffsets, type, group);
  }
  void broadcast(void *data, size_t count, ElementType type, int root, GroupId group) override {
    inner.broadcast(data, count, type, root, group);
  }
  void barrier() override { inner.barrier(); }
  [[noreturn]] void abort(const char *message) override {
    inner.abort(message);
    std::abort(); // which GCC does not see of a virtual function
  }

  /// Forgets what loading has exchanged.
  void reset() { reductions = gathers = messages = 0, gathered = 0; }

private:
  Communicator &inner;
};

/// Builds a program for each of two ranks, and runs `body` on both engines, each with the
/// outputs that `wanted` says for its rank.
void runTwo(const std::function<void(ProgramBuilder &)> &build,
            const std::function<WantedOutputs(uint32_t)> &wanted,
            const std::function<void(uint32_t, Engine &, CountingCommunicator &)> &body) {
  std::filesystem::path folder = testFolder();
  std::vector<LoadedProgram> loaded;
  for (uint32_t rank = 0; rank < 2; ++rank) {
    ProgramBuilder b(rank, 2);
    build(b);
    loaded.push_back(b.load(folder));
  }
  runRanks(2, [&](Communicator &threads) {
    CountingCommunicator communicator(threads);
    auto rank = static_cast<uint32_t>(communicator.rank());
    Engine engine(*loaded[rank].program, *loaded[rank].weights, communicator,
                  {.outputs = wanted(rank)});
    communicator.reset();
    body(rank, engine, communicator);
  });
}

WantedOutputs only(std::string name) {
  return std::vector<std::string>{std::move(name)};
}

TEST(Selection, OneRankLeavesOutWhatServesOtherOutputs) {
  for (bool all : {true, false}) {
    ProgramBuilder b;
    uint32_t x = b.input("x", {1000});
    b.output("twice", b.binary(BinaryKind::add, x, x, {1000}));
    uint32_t square = b.binary(BinaryKind::mul, x, x, {1000});
    b.output("fourth", b.binary(BinaryKind::mul, square, square, {1000}));
    SingleRank one(b, {.outputs = all ? WantedOutputs() : only("twice")});
    setInput(one.engine, "x", std::vector<float>(1000, 3.0f));
    one.engine.run();
    EXPECT_EQ(getOutput(one.engine, "twice"), std::vector<float>(1000, 6.0f));
    if (all)
      EXPECT_EQ(getOutput(one.engine, "fourth"), std::vector<float>(1000, 81.0f));
    else
      EXPECT_THAT(one.engine.output("fourth"), IsEmpty());
    // The input and one output, or the input and two.
    EXPECT_EQ(one.engine.activationBytes() < 3 * 4000, !all);
  }
}

/// Each rank has half of the columns; the whole rows and their best columns are outputs.
void buildHead(ProgramBuilder &b) {
  U group{0, 1};
  Ranges ranges{0, 500, 500, 1000};
  uint32_t x = b.input("x", {1, 500});
  uint32_t own = b.activation({1, 4, 2}), best = b.activation({1, 4, 2});
  uint32_t all = b.activation({1, 1000});
  b.add(fb::CreateAllGatherDirect(b.fbb, &group, 1, &ranges), {x}, {all});
  b.add(fb::CreateTopK(b.fbb, b.rank * 500), {x}, {own});
  b.add(fb::CreateAllReduceDirect(b.fbb, &group, fb::ReductionKind::Top), {own}, {best});
  b.output("logits", all);
  b.output("candidates", best);
}

TEST(Selection, OnlyWhatIsWantedTravels) {
  struct Expected {
    WantedOutputs wanted;
    int gathers;
    size_t elements;
  };
  for (const Expected &expected : {Expected{std::nullopt, 2, 508}, Expected{only("logits"), 1, 500},
                                   Expected{only("candidates"), 1, 8}})
    runTwo(
        buildHead, [&](uint32_t) { return expected.wanted; },
        [&](uint32_t rank, Engine &engine, CountingCommunicator &communicator) {
          std::vector<float> x(500);
          x[7 + rank] = 1.0f + static_cast<float>(rank);
          setInput(engine, "x", x);
          engine.run();
          EXPECT_EQ(communicator.gathers, expected.gathers);
          EXPECT_EQ(communicator.gathered, expected.elements);
          if (isWanted(expected.wanted, "candidates"))
            EXPECT_THAT(getOutput(engine, "candidates"), ElementsAre(2, 508, 1, 7, 0, 0, 0, 1));
          else
            EXPECT_THAT(engine.output("candidates"), IsEmpty());
          if (isWanted(expected.wanted, "logits"))
            EXPECT_EQ(getOutput(engine, "logits")[508], 2);
          else
            EXPECT_THAT(engine.output("logits"), IsEmpty());
        });
}

// Only the first rank gives `sum`, but the other has to take part in all that goes into it.
// `product`, which only the second gives, needs nobody else.
TEST(Selection, ACollectiveRunsOnAllMembersOrNone) {
  auto build = [](ProgramBuilder &b) {
    U group{0, 1};
    uint32_t x = b.input("x", {2});
    uint32_t first = b.activation({2}), second = b.activation({2});
    b.add(fb::CreateAllReduceDirect(b.fbb, &group), {x}, {first});
    uint32_t product = b.binary(BinaryKind::mul, x, x, {2});
    uint32_t both = b.binary(BinaryKind::add, first, x, {2});
    b.add(fb::CreateAllReduceDirect(b.fbb, &group), {both}, {second});
    if (b.rank == 0)
      b.output("sum", second, 0);
    else
      b.output("product", product, 1);
  };
  for (bool sum : {true, false})
    runTwo(
        build, [&](uint32_t) { return only(sum ? "sum" : "product"); },
        [&](uint32_t rank, Engine &engine, CountingCommunicator &communicator) {
          setInput<float>(engine, "x", {1.0f + static_cast<float>(rank), 3});
          engine.run();
          EXPECT_EQ(communicator.reductions, sum ? 2 : 0);
          std::vector<float> found = getOutput(engine, rank == 0 ? "sum" : "product");
          if (sum != (rank == 0))
            EXPECT_THAT(found, IsEmpty());
          else
            EXPECT_THAT(found, sum ? ElementsAre(9, 18) : ElementsAre(4, 9));
        });
}

// What a message is for shows on the other rank only.
TEST(Selection, MessagesStay) {
  auto build = [](ProgramBuilder &b) {
    if (b.rank == 0) {
      uint32_t x = b.input("x", {2});
      b.add(fb::CreateSend(b.fbb, 1, 0), {b.binary(BinaryKind::add, x, x, {2})}, {});
      b.output("same", x, 0);
    } else {
      uint32_t y = b.activation({2});
      b.add(fb::CreateRecv(b.fbb, 0, 0), {}, {y});
      b.output("y", y, 1);
    }
  };
  runTwo(
      build, [](uint32_t) { return only("same"); },
      [](uint32_t rank, Engine &engine, CountingCommunicator &communicator) {
        if (rank == 0)
          setInput<float>(engine, "x", {1, 2});
        engine.run();
        EXPECT_EQ(communicator.messages, 1);
      });
}

TEST(Selection, RanksThatWantDifferentOutputsAreRefused) {
  for (bool all : {true, false})
    try {
      runTwo(
          buildHead,
          [&](uint32_t rank) {
            return rank == 0 ? only("logits") : all ? WantedOutputs() : only("candidates");
          },
          [](uint32_t, Engine &, CountingCommunicator &) { ADD_FAILURE() << "was loaded"; });
      ADD_FAILURE() << "nothing was thrown";
    } catch (const std::runtime_error &error) {
      EXPECT_THAT(error.what(), HasSubstr("the ranks were asked for different outputs"));
    }
}

TEST(Selection, AnOutputThatNoRankHasIsRefused) {
  try {
    runTwo(
        buildHead, [](uint32_t) { return only("logit"); },
        [](uint32_t, Engine &, CountingCommunicator &) { ADD_FAILURE() << "was loaded"; });
    ADD_FAILURE() << "nothing was thrown";
  } catch (const std::runtime_error &error) {
    EXPECT_THAT(error.what(), HasSubstr("entry 'step' has no output 'logit'"));
  }
}

} // namespace
} // namespace cleave::rt
