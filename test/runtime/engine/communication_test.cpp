// Programs of several ranks, the ranks being threads: collectives over any
// dimension with uneven, empty and overlapping shares, and messages.
#include "test/runtime/engine/engine_test_util.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <numeric>

namespace cleave::rt {
namespace {

using testing::HasSubstr;
using Dims = ProgramBuilder::Dims;
using U = std::vector<uint32_t>;
using Ranges = std::vector<int64_t>;

/// Builds each rank's program, then runs `body` on all ranks' engines at once.
void runPrograms(uint32_t ranks, const EngineOptions &options,
                 const std::function<void(ProgramBuilder &)> &build,
                 const std::function<void(uint32_t, Engine &)> &body) {
  std::filesystem::path folder = testFolder();
  std::vector<LoadedProgram> loaded;
  for (uint32_t rank = 0; rank < ranks; ++rank) {
    ProgramBuilder b(rank, ranks);
    build(b);
    loaded.push_back(b.load(folder));
  }
  runRanks(static_cast<int>(ranks), [&](Communicator &communicator) {
    auto rank = static_cast<uint32_t>(communicator.rank());
    Engine engine(*loaded[rank].program, *loaded[rank].weights, communicator, options);
    body(rank, engine);
  });
}

/// A cut of one dimension, as collectives have it.
struct Cut {
  const char *name;
  U group;
  Ranges ranges; // two a member
  int64_t width;
};

const Cut cuts[] = {
    {"Even", {0, 1, 2}, {0, 2, 2, 4, 4, 6}, 6},
    {"Uneven", {0, 1, 2}, {0, 1, 1, 2, 2, 7}, 7},
    {"EmptyShare", {0, 1, 2}, {0, 4, 4, 4, 4, 5}, 5},
    {"Reordered", {2, 0, 1}, {3, 5, 0, 1, 1, 3}, 5},
    {"Overlapping", {0, 1, 2}, {0, 4, 2, 6, 4, 8}, 8},
    {"AllTheSame", {1, 0, 2}, {0, 3, 0, 3, 0, 3}, 3},
    {"Nested", {0, 1, 2}, {1, 2, 0, 5, 4, 6}, 6},
    {"TwoOfThree", {2, 0}, {0, 1, 1, 4}, 4},
    {"OneAlone", {1}, {0, 3}, 3},
};

/// Where a member stands in the group, or -1.
int64_t placeOf(const Cut &cut, uint32_t rank) {
  for (size_t m = 0; m < cut.group.size(); ++m)
    if (cut.group[m] == rank)
      return static_cast<int64_t>(m);
  return -1;
}

/// The elements of [outer, width, inner] whose middle index is in [begin, end).
std::vector<float> part(const std::vector<float> &whole, int64_t width, int64_t inner,
                        int64_t begin, int64_t end) {
  std::vector<float> result;
  int64_t outer = static_cast<int64_t>(whole.size()) / (width * inner);
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t w = begin; w < end; ++w)
      for (int64_t i = 0; i < inner; ++i)
        result.push_back(whole[(o * width + w) * inner + i]);
  return result;
}

/// Distinct whole numbers, so that sums are exact.
std::vector<float> wholeValue(int64_t elements, uint32_t rank) {
  std::vector<float> whole(elements);
  std::iota(whole.begin(), whole.end(), 1.0f + 1000.0f * static_cast<float>(rank));
  return whole;
}

struct Shape {
  const char *name;
  uint32_t dim;   // that is cut
  bool rowsFirst; // [rows, width, ...] or [width, rows, ...]
  int64_t inner;  // a constant last dimension, or 1 for none
};

const Shape shapes[] = {
    {"Columns", 1, true, 1},
    {"MiddleOfThree", 1, true, 2},
    {"Rows", 0, false, 1},
};

class Collective : public testing::TestWithParam<std::tuple<Cut, Shape>> {
protected:
  /// The value's dimensions, `width` wide along the cut one.
  Dims dims(int64_t rows, int64_t width) const {
    const Shape &shape = std::get<1>(GetParam());
    Dims result = shape.rowsFirst ? Dims{rows, width} : Dims{width, rows};
    if (shape.inner > 1)
      result.push_back(shape.inner);
    return result;
  }
};

std::string collectiveName(const testing::TestParamInfo<std::tuple<Cut, Shape>> &info) {
  return std::string(std::get<0>(info.param).name) + "Of" + std::get<1>(info.param).name;
}

TEST_P(Collective, AllGatherMakesTheWhole) {
  const auto &[cut, shape] = GetParam();
  auto build = [&](ProgramBuilder &b) {
    int64_t rows = b.symbol("rows"), m = placeOf(cut, b.rank);
    if (m < 0)
      return;
    uint32_t x = b.input("x", dims(rows, cut.ranges[2 * m + 1] - cut.ranges[2 * m]));
    uint32_t y = b.activation(dims(rows, cut.width));
    b.add(fb::CreateAllGatherDirect(b.fbb, &cut.group, shape.dim, &cut.ranges), {x}, {y});
    b.output("y", y);
  };
  runPrograms(3, {.bounds = {{"rows", 5}}}, build, [&](uint32_t rank, Engine &engine) {
    int64_t m = placeOf(cut, rank);
    for (int64_t rows : {3, 1, 0, 5}) {
      engine.setSymbol("rows", rows);
      int64_t inner = shape.rowsFirst ? shape.inner : rows;
      std::vector<float> whole = wholeValue(rows * cut.width * shape.inner, 0);
      if (m >= 0 && rows > 0)
        setInput(engine, "x",
                 part(whole, cut.width, inner, cut.ranges[2 * m], cut.ranges[2 * m + 1]));
      engine.run();
      if (m >= 0) {
        EXPECT_EQ(getOutput(engine, "y"), whole) << "rank " << rank << ", rows " << rows;
      }
    }
  });
}

TEST_P(Collective, ReduceScatterKeepsItsShareOfTheSum) {
  const auto &[cut, shape] = GetParam();
  auto build = [&](ProgramBuilder &b) {
    int64_t rows = b.symbol("rows"), m = placeOf(cut, b.rank);
    if (m < 0)
      return;
    uint32_t x = b.input("x", dims(rows, cut.width));
    uint32_t y = b.activation(dims(rows, cut.ranges[2 * m + 1] - cut.ranges[2 * m]));
    b.add(fb::CreateReduceScatterDirect(b.fbb, &cut.group, shape.dim, &cut.ranges), {x}, {y});
    b.output("y", y);
  };
  runPrograms(3, {.bounds = {{"rows", 5}}}, build, [&](uint32_t rank, Engine &engine) {
    int64_t m = placeOf(cut, rank);
    for (int64_t rows : {3, 1, 0, 5}) {
      engine.setSymbol("rows", rows);
      int64_t inner = shape.rowsFirst ? shape.inner : rows;
      int64_t elements = rows * cut.width * shape.inner;
      std::vector<float> sum(elements);
      for (uint32_t member : cut.group)
        for (int64_t i = 0; i < elements; ++i)
          sum[i] += wholeValue(elements, member)[i];
      if (m >= 0)
        setInput(engine, "x", wholeValue(elements, rank));
      engine.run();
      if (m >= 0 && rows > 0) {
        EXPECT_EQ(getOutput(engine, "y"),
                  part(sum, cut.width, inner, cut.ranges[2 * m], cut.ranges[2 * m + 1]))
            << "rank " << rank << ", rows " << rows;
      }
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Engine, Collective,
                         testing::Combine(testing::ValuesIn(cuts), testing::ValuesIn(shapes)),
                         collectiveName);

TEST(Communication, AllReduceLeavesAnInputAndAValueInUseAlone) {
  auto build = [](ProgramBuilder &b) {
    U group{0, 1, 2};
    int64_t t = b.symbol("t");
    uint32_t x = b.input("x", {t, 2});
    uint32_t ofInput = b.activation({t, 2}), ofUsed = b.activation({t, 2}),
             ofDying = b.activation({t, 2});
    uint32_t doubled = b.binary(fb::BinaryKind::Add, x, x, {t, 2});
    b.add(fb::CreateAllReduceDirect(b.fbb, &group), {x}, {ofInput});
    b.add(fb::CreateAllReduceDirect(b.fbb, &group), {doubled}, {ofUsed});
    uint32_t all = b.binary(fb::BinaryKind::Add, ofUsed, doubled, {t, 2});
    b.add(fb::CreateAllReduceDirect(b.fbb, &group), {all}, {ofDying});
    b.output("input", ofInput);
    b.output("used", ofUsed);
    b.output("dying", ofDying);
  };
  runPrograms(3, {.bounds = {{"t", 4}}}, build, [](uint32_t rank, Engine &engine) {
    engine.setSymbol("t", 1);
    setInput<float>(engine, "x", {1.0f + rank, 10});
    for (int step = 0; step < 2; ++step) { // the input is still there the second time
      engine.run();
      EXPECT_THAT(getOutput(engine, "input"), testing::ElementsAre(6, 30));
      EXPECT_THAT(getOutput(engine, "used"), testing::ElementsAre(12, 60));
      // The sum over ranks of 12 + 2 x and 60 + 20.
      EXPECT_THAT(getOutput(engine, "dying"), testing::ElementsAre(48, 240));
    }
    EXPECT_GE(engine.times().communication, 0.0);
    EXPECT_GE(engine.times().total, engine.times().communication);
    engine.setSymbol("t", 0);
    engine.run();
  });
}

// Each rank has a share of the columns, one of them none; all get the best of the whole row.
TEST(Communication, AllReduceTopKeepsTheBestOfAllShares) {
  const int64_t ends[] = {0, 5, 5, 12};
  auto build = [&](ProgramBuilder &b) {
    U group{2, 0, 1};
    int64_t rows = b.symbol("rows"), begin = ends[b.rank], width = ends[b.rank + 1] - begin;
    uint32_t x = b.input("x", {rows, width});
    uint32_t own = b.activation({rows, 6, 2}), kept = b.activation({rows, 6, 2});
    uint32_t best = b.activation({rows, 6, 2}), alone = b.activation({rows, 6, 2});
    b.add(fb::CreateTopK(b.fbb, begin), {x}, {own});
    U self{b.rank};
    b.add(fb::CreateAllReduceDirect(b.fbb, &self, fb::ReductionKind::Top), {own}, {alone});
    b.add(fb::CreateAllReduceDirect(b.fbb, &group, fb::ReductionKind::Top), {own}, {kept});
    // In the place of its operand, which nothing reads after it.
    uint32_t twice = b.binary(fb::BinaryKind::Add, alone, alone, {rows, 6, 2});
    uint32_t half = b.activation({rows, 6, 2});
    b.add(fb::CreateTopK(b.fbb, begin), {x}, {half});
    b.add(fb::CreateAllReduceDirect(b.fbb, &group, fb::ReductionKind::Top), {half}, {best});
    b.output("kept", kept);
    b.output("best", best);
    b.output("alone", twice);
  };
  runPrograms(3, {.bounds = {{"rows", 3}}}, build, [&](uint32_t rank, Engine &engine) {
    for (int64_t rows : {2, 0, 3, 1}) {
      engine.setSymbol("rows", rows);
      // Each row a permutation, so that its best lie in both shares.
      std::vector<float> x, expected;
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t c = ends[rank]; c < ends[rank + 1]; ++c)
          x.push_back(static_cast<float>(c * 7 % 13 + r));
        std::vector<std::pair<float, float>> all;
        for (int64_t c = 0; c < 12; ++c)
          all.emplace_back(static_cast<float>(c * 7 % 13 + r), static_cast<float>(c));
        std::ranges::sort(all, std::greater<>());
        for (int i = 0; i < 6; ++i)
          expected.insert(expected.end(), {all[i].first, all[i].second});
      }
      setInput(engine, "x", x);
      engine.run();
      EXPECT_EQ(getOutput(engine, "kept"), expected) << "rank " << rank << ", rows " << rows;
      EXPECT_EQ(getOutput(engine, "best"), expected) << "rank " << rank << ", rows " << rows;
      if (rank == 1 && rows == 1) {
        std::vector<float> none = getOutput(engine, "alone");
        EXPECT_EQ(none[0], -std::numeric_limits<float>::infinity());
        EXPECT_EQ(none[1], -2);
      }
    }
  });
}

TEST(Communication, BroadcastTakesTheFirstMembersValue) {
  auto build = [](ProgramBuilder &b) {
    U group{2, 0, 1};
    uint32_t x = b.input("x", {3}, ElementType::i32);
    uint32_t y = b.activation({3}, ElementType::i32);
    b.add(fb::CreateBroadcastDirect(b.fbb, &group), {x}, {y});
    b.output("y", y);
  };
  runPrograms(3, {}, build, [](uint32_t rank, Engine &engine) {
    int32_t base = 10 * static_cast<int32_t>(rank);
    setInput<int32_t>(engine, "x", {base, base + 1, base + 2});
    engine.run();
    int32_t found[3];
    std::memcpy(found, engine.output("y").data(), sizeof found);
    EXPECT_THAT(found, testing::ElementsAre(20, 21, 22));
  });
}

TEST(Communication, MessagesPassThroughAllRanksInTurn) {
  auto build = [](ProgramBuilder &b) {
    int64_t t = b.symbol("t");
    uint32_t x;
    if (b.rank == 0) {
      x = b.input("x", {t, 2});
    } else {
      x = b.activation({t, 2});
      b.add(fb::CreateRecv(b.fbb, b.rank - 1, 5), {}, {x});
    }
    uint32_t y = b.binary(fb::BinaryKind::Add, x, x, {t, 2});
    if (b.rank < 2)
      b.add(fb::CreateSend(b.fbb, b.rank + 1, 5), {y}, {});
    else
      b.output("y", y, 2);
  };
  runPrograms(3, {.bounds = {{"t", 8}}}, build, [](uint32_t rank, Engine &engine) {
    for (int64_t t : {2, 8, 1}) {
      engine.setSymbol("t", t);
      std::vector<float> x = wholeValue(2 * t, static_cast<uint32_t>(t));
      if (rank == 0)
        setInput(engine, "x", x);
      engine.run();
      if (rank == 2) {
        for (float &element : x)
          element *= 8;
        EXPECT_EQ(getOutput(engine, "y"), x);
      }
    }
  });
}

TEST(Communication, IndicesFromAnotherRankAreCheckedToo) {
  auto build = [](ProgramBuilder &b) {
    uint32_t ids;
    if (b.rank == 0) {
      ids = b.input("ids", {1}, ElementType::i32);
      b.add(fb::CreateSend(b.fbb, 1, 0), {ids}, {});
    } else {
      ids = b.activation({1}, ElementType::i32);
      b.add(fb::CreateRecv(b.fbb, 0, 0), {}, {ids});
      uint32_t y = b.activation({1, 1});
      b.add(fb::CreateGather(b.fbb), {b.weight("table", {2, 1}, {7, 8}), ids}, {y});
      b.output("y", y, 1);
    }
  };
  runPrograms(2, {}, build, [](uint32_t rank, Engine &engine) {
    for (int32_t id : {1, 2}) {
      if (rank == 0)
        setInput<int32_t>(engine, "ids", {id});
      if (rank == 1 && id == 2) {
        try {
          engine.run();
          ADD_FAILURE() << "row 2 of 2 was read";
        } catch (const std::runtime_error &error) {
          EXPECT_THAT(error.what(), HasSubstr("value 0 has the value 2 at index 0"));
        }
        continue;
      }
      engine.run();
      if (rank == 1) {
        EXPECT_THAT(getOutput(engine, "y"), testing::ElementsAre(8));
      }
    }
  });
}

/// Rank 0 of 3, alone: remembers what it was asked for.
class Recorder : public Communicator {
public:
  int rank() const override { return 0; }
  int size() const override { return 3; }
  GroupId makeGroup(std::span<const uint32_t> ranks) override {
    made.emplace_back(ranks.begin(), ranks.end());
    return static_cast<GroupId>(made.size() - 1);
  }
  void reserveSends(size_t maxBytes, size_t maxPending) override {
    reserved = {maxBytes, maxPending};
  }
  void send(const void *, size_t, ElementType, int, int) override {}
  void recv(void *, size_t, ElementType, int, int) override {}
  void allReduce(void *data, size_t, ElementType, GroupId) override { received = data; }
  void allGather(const void *from, void *to, std::span<const int> newCounts,
                 std::span<const int> newOffsets, ElementType, GroupId) override {
    sent = from;
    received = to;
    counts.assign(newCounts.begin(), newCounts.end());
    offsets.assign(newOffsets.begin(), newOffsets.end());
  }
  void reduceScatter(const void *from, void *to, std::span<const int> newCounts, ElementType,
                     GroupId) override {
    sent = from;
    received = to;
    counts.assign(newCounts.begin(), newCounts.end());
  }
  void broadcast(void *, size_t, ElementType, int, GroupId) override {}
  void barrier() override {}
  [[noreturn]] void abort(const char *message) override { throw std::runtime_error(message); }

  std::vector<U> made;
  std::pair<size_t, size_t> reserved;
  const void *sent = nullptr;
  void *received = nullptr;
  std::vector<int> counts, offsets;
};

TEST(Communication, OneRowIsGatheredAndScatteredWhereItLies) {
  ProgramBuilder b(0, 3);
  U group{0, 1, 2};
  Ranges ranges{0, 2, 2, 3, 3, 7};
  int64_t t = b.symbol("t");
  uint32_t x = b.input("x", {t, 2}), whole = b.input("whole", {t, 7});
  uint32_t y = b.activation({t, 7}), z = b.activation({t, 2});
  b.add(fb::CreateAllGatherDirect(b.fbb, &group, 1, &ranges), {x}, {y});
  b.add(fb::CreateReduceScatterDirect(b.fbb, &group, 1, &ranges), {whole}, {z});
  b.output("y", y);
  b.output("z", z);
  LoadedProgram loaded = b.load(testFolder());
  Recorder recorder;
  Engine engine(*loaded.program, *loaded.weights, recorder, {.bounds = {{"t", 4}}});
  engine.setSymbol("t", 1);
  engine.run();
  // The last call was reduce_scatter's.
  EXPECT_EQ(recorder.sent, engine.input("whole").data());
  EXPECT_EQ(recorder.received, engine.output("z").data());
  EXPECT_THAT(recorder.counts, testing::ElementsAre(2, 1, 4));
  EXPECT_THAT(recorder.offsets, testing::ElementsAre(0, 2, 3));
  engine.setSymbol("t", 4);
  engine.run();
  EXPECT_THAT(recorder.counts, testing::ElementsAre(8, 4, 16));
  EXPECT_THAT(recorder.offsets, testing::ElementsAre(0, 8, 12));
}

TEST(Communication, OverlapsAreGatheredOnce) {
  // MPI forbids to receive an element twice.
  ProgramBuilder b(0, 3);
  U group{0, 1, 2};
  Ranges ranges{2, 6, 0, 4, 4, 8};
  uint32_t x = b.input("x", {1, 4}), y = b.activation({1, 8});
  b.add(fb::CreateAllGatherDirect(b.fbb, &group, 1, &ranges), {x}, {y});
  b.output("y", y);
  LoadedProgram loaded = b.load(testFolder());
  Recorder recorder;
  Engine engine(*loaded.program, *loaded.weights, recorder, {});
  engine.run();
  EXPECT_THAT(recorder.counts, testing::ElementsAre(2, 4, 2));
  EXPECT_THAT(recorder.offsets, testing::ElementsAre(4, 0, 6));
  EXPECT_EQ(recorder.sent, engine.input("x").data() + 2 * sizeof(float));
  EXPECT_EQ(recorder.received, engine.output("y").data());
}

TEST(Communication, GroupsAreMadeOnceAndInOneOrder) {
  ProgramBuilder b(0, 3);
  uint32_t x = b.input("x", {4});
  for (U group : {U{0, 2}, U{2, 0, 1}, U{0}, U{0, 1}, U{0, 2}}) {
    uint32_t y = b.activation({4});
    b.add(fb::CreateAllReduceDirect(b.fbb, &group), {x}, {y});
    x = y;
  }
  b.add(fb::CreateSend(b.fbb, 1, 0), {x}, {});
  b.add(fb::CreateSend(b.fbb, 2, 0), {x}, {});
  LoadedProgram loaded = b.load(testFolder());
  Recorder recorder;
  Engine engine(*loaded.program, *loaded.weights, recorder, {});
  // That of all ranks is the last: in it they agree on what is wanted.
  EXPECT_THAT(recorder.made, testing::ElementsAre(U{0, 1}, U{0, 2}, U{2, 0, 1}, U{0, 1, 2}));
  EXPECT_EQ(recorder.reserved, std::pair(size_t{16}, size_t{2}));
}

TEST(Communication, RefusesMoreElementsThanACollectiveCounts) {
  auto build = [](ProgramBuilder &b) {
    U group{0, 1};
    Ranges ranges{0, 4, 4, 8};
    int64_t t = b.symbol("t");
    uint32_t x = b.input("x", {t, 4}), y = b.activation({t, 8});
    b.add(fb::CreateAllGatherDirect(b.fbb, &group, 1, &ranges), {x}, {y}, "gather");
  };
  try {
    runPrograms(2, {.bounds = {{"t", int64_t{1} << 28}}}, build, [](uint32_t, Engine &) {});
    ADD_FAILURE() << "2^31 elements were accepted";
  } catch (const std::runtime_error &error) {
    EXPECT_THAT(error.what(), HasSubstr("(AllGather 'gather') of entry 'step': gathers more than "
                                        "2^31 elements at once"));
  }
}

} // namespace
} // namespace cleave::rt
