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

/// Shares of a size that varies from run to run: its place among the dimensions, and the
/// group whose members hold them.
struct RunTimeCut {
  const char *name;
  U group;
  uint32_t dim;
};

class RunTimeShares : public testing::TestWithParam<RunTimeCut> {};

TEST_P(RunTimeShares, AreTakenScatteredAndGathered) {
  const auto &[name, group, dim] = GetParam();
  constexpr int64_t inner = 2;
  auto count = static_cast<int64_t>(group.size());
  auto dims = [&](int64_t width) { return dim == 0 ? Dims{width, inner} : Dims{3, width, inner}; };
  auto placeOf = [&](uint32_t rank) {
    return std::find(group.begin(), group.end(), rank) - group.begin();
  };
  // Each member adds its share of its own x to its share of the sum: so the whole shows
  // who had what.
  auto build = [&](ProgramBuilder &b) {
    int64_t t = b.symbol("tokens"), place = placeOf(b.rank);
    if (place == count)
      return;
    int64_t share = b.share("share", t, static_cast<uint32_t>(place), group.size());
    uint32_t x = b.input("x", dims(t));
    uint32_t own = b.activation(dims(share)), sum = b.activation(dims(share));
    uint32_t y = b.activation(dims(t));
    b.add(fb::CreateSlice(b.fbb, dim, 0), {x}, {own});
    b.add(fb::CreateReduceScatterDirect(b.fbb, &group, dim), {x}, {sum});
    uint32_t both = b.binary(BinaryKind::add, sum, own, dims(share));
    b.add(fb::CreateAllGatherDirect(b.fbb, &group, dim), {both}, {y});
    b.output("y", y);
  };
  runPrograms(4, {.bounds = {{"tokens", 9}}}, build, [&](uint32_t rank, Engine &engine) {
    for (int64_t tokens : {7, 1, 0, 4, 9, 3}) {
      engine.setSymbol("tokens", tokens);
      engine.setSymbol("share", 1); // is no size of its own
      if (placeOf(rank) == count) {
        engine.run();
        continue;
      }
      int64_t elements = (dim == 0 ? 1 : 3) * tokens * inner;
      std::vector<float> expected(elements);
      for (uint32_t member : group)
        for (int64_t i = 0; i < elements; ++i)
          expected[i] += wholeValue(elements, member)[i];
      for (int64_t i = 0; i < elements; ++i) {
        int64_t token = i / inner % tokens, owner = 0;
        while (token >= shareBegin(tokens, owner + 1, count))
          ++owner;
        expected[i] += wholeValue(elements, group[owner])[i];
      }
      setInput(engine, "x", wholeValue(elements, rank));
      engine.run();
      EXPECT_EQ(getOutput(engine, "y"), expected) << "rank " << rank << ", tokens " << tokens;
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Engine, RunTimeShares,
                         testing::Values(RunTimeCut{"Rows", {0, 1, 2, 3}, 0},
                                         RunTimeCut{"RowsReordered", {2, 0, 1}, 0},
                                         RunTimeCut{"Inner", {0, 1, 2, 3}, 1},
                                         RunTimeCut{"InnerOfTwo", {3, 1}, 1}),
                         [](const auto &info) { return std::string(info.param.name); });

TEST(Communication, SharesAreEvenAndTheFirstHaveOneMore) {
  for (int64_t size : {0, 1, 5, 8, 11})
    for (int64_t count : {1, 2, 3, 8}) {
      EXPECT_EQ(shareBegin(size, 0, count), 0);
      EXPECT_EQ(shareBegin(size, count, count), size);
      for (int64_t index = 0; index < count; ++index)
        EXPECT_EQ(shareSize(size, index, count), size / count + (index < size % count ? 1 : 0));
    }
}

TEST(Communication, IndicesOfAShareAreCheckedInWhole) {
  // On all ranks alike, so that none waits for one that has stopped.
  auto build = [](ProgramBuilder &b) {
    int64_t t = b.symbol("tokens");
    int64_t share = b.share("share", t, b.rank, 2);
    uint32_t table = b.weight("table", {3, 2}, {1, 2, 3, 4, 5, 6});
    uint32_t ids = b.input("ids", {t}, ElementType::i32);
    uint32_t own = b.activation({share}, ElementType::i32), rows = b.activation({share, 2}),
             y = b.activation({t, 2});
    U group{0, 1};
    b.add(fb::CreateSlice(b.fbb), {ids}, {own});
    b.add(fb::CreateGather(b.fbb), {table, own}, {rows});
    b.add(fb::CreateAllGatherDirect(b.fbb, &group), {rows}, {y});
    b.output("y", y);
  };
  runPrograms(2, {.bounds = {{"tokens", 3}}}, build, [](uint32_t rank, Engine &engine) {
    setInput<int32_t>(engine, "ids", {2, 0, 1});
    engine.run();
    EXPECT_THAT(getOutput(engine, "y"), testing::ElementsAre(5, 6, 1, 2, 3, 4));
    setInput<int32_t>(engine, "ids", {2, 0, 3}); // rank 1's token
    try {
      engine.run();
      ADD_FAILURE() << "row 3 of 3 was looked up";
    } catch (const std::runtime_error &error) {
      EXPECT_THAT(error.what(), HasSubstr("input 'ids' has the value 3 at index 2"))
          << "rank " << rank;
    }
  });
}

TEST(Communication, AllReduceLeavesAnInputAndAValueInUseAlone) {
  auto build = [](ProgramBuilder &b) {
    U group{0, 1, 2};
    int64_t t = b.symbol("t");
    uint32_t x = b.input("x", {t, 2});
    uint32_t ofInput = b.activation({t, 2}), ofUsed = b.activation({t, 2}),
             ofDying = b.activation({t, 2});
    uint32_t doubled = b.binary(BinaryKind::add, x, x, {t, 2});
    b.add(fb::CreateAllReduceDirect(b.fbb, &group), {x}, {ofInput});
    b.add(fb::CreateAllReduceDirect(b.fbb, &group), {doubled}, {ofUsed});
    uint32_t all = b.binary(BinaryKind::add, ofUsed, doubled, {t, 2});
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

TEST(Communication, SeveralSumsGoInOneMessage) {
  auto build = [](ProgramBuilder &b) {
    U group{0, 1, 2};
    int64_t t = b.symbol("t");
    uint32_t x = b.input("x", {t, 2}), y = b.input("y", {3});
    uint32_t dying = b.binary(BinaryKind::add, y, y, {3});
    uint32_t ofX = b.activation({t, 2}), ofY = b.activation({3}), again = b.activation({t, 2});
    b.add(fb::CreateAllReduceDirect(b.fbb, &group), {x, dying, x}, {ofX, ofY, again});
    b.output("x", ofX);
    b.output("y", ofY);
    b.output("again", again);
  };
  runPrograms(3, {.bounds = {{"t", 4}}}, build, [](uint32_t rank, Engine &engine) {
    for (int64_t t : {1, 0}) {
      engine.setSymbol("t", t);
      if (t > 0)
        setInput<float>(engine, "x", {1.0f + rank, 10});
      setInput<float>(engine, "y", {1, 2, 3.0f * rank});
      engine.run();
      EXPECT_THAT(getOutput(engine, "y"), testing::ElementsAre(6, 12, 18));
      if (t > 0) {
        EXPECT_THAT(getOutput(engine, "x"), testing::ElementsAre(6, 30));
        EXPECT_THAT(getOutput(engine, "again"), testing::ElementsAre(6, 30));
      }
    }
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
    uint32_t twice = b.binary(BinaryKind::add, alone, alone, {rows, 6, 2});
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

/// A sum with its residual and norm gives the bits of the three instructions, whatever
/// happens to its operands afterwards, and so does what one rank does alone.
TEST(Communication, SumResidualAndNormHaveTheBitsOfThree) {
  constexpr int64_t width = 19;
  auto build = [](ProgramBuilder &b) {
    U group{0, 1};
    int64_t t = b.symbol("t");
    ProgramBuilder::Dims dims{t, width};
    uint32_t x = b.input("x", dims), residual = b.input("residual", dims);
    std::vector<float> weights(width);
    for (int64_t i = 0; i < width; ++i)
      weights[i] = 0.5f + static_cast<float>(i) / 7;
    uint32_t weight = b.weight("weight", {width}, weights);
    uint32_t reduced = b.activation(dims), normed = b.activation(dims);
    b.add(fb::CreateAllReduceDirect(b.fbb, &group), {x}, {reduced});
    uint32_t sum = b.binary(BinaryKind::add, residual, reduced, dims);
    b.add(fb::CreateRmsNorm(b.fbb, 1e-5f), {sum, weight}, {normed});
    b.output("sum", sum);
    b.output("normed", normed);
    // Of an input, of a value that is needed no more, and of one that is the residual too.
    uint32_t dying = b.silu(x, dims), both = b.silu(x, dims);
    auto fused = [&](const std::string &name, uint32_t of, uint32_t with) {
      uint32_t sum = b.activation(dims), normed = b.activation(dims);
      b.add(fb::CreateAllReduceAddDirect(b.fbb, &group, 1e-5f), {of, with, weight}, {sum, normed});
      b.output(name, sum);
      b.output(name + " normed", normed);
    };
    fused("input", x, residual);
    uint32_t of = b.activation(dims), ofAdded = b.activation(dims), unused = b.activation(dims);
    b.add(fb::CreateAllReduceDirect(b.fbb, &group), {dying}, {of});
    b.output("dying expected", b.binary(BinaryKind::add, residual, of, dims));
    fused("dying", dying, residual);
    b.output("both expected", b.binary(BinaryKind::add, both, of, dims));
    fused("both", both, both);
    b.add(fb::CreateAllReduceAddDirect(b.fbb, &group), {x, residual}, {unused});
    b.output("without", unused);
    uint32_t local = b.activation(dims);
    b.add(fb::CreateAddNorm(b.fbb, 1e-5f), {residual, reduced, weight}, {ofAdded, local});
    b.output("local", ofAdded);
    b.output("local normed", local);
  };
  runPrograms(2, {.threads = 2, .bounds = {{"t", 2000}}}, build, [](uint32_t rank, Engine &engine) {
    for (int64_t t : {1, 1800, 0}) { // by one thread, and by two
      engine.setSymbol("t", t);
      std::vector<float> x(t * width), residual(t * width);
      for (size_t i = 0; i < x.size(); ++i) {
        x[i] = static_cast<float>(static_cast<int>((i + rank) * 37 % 101) - 50) / 13;
        residual[i] = static_cast<float>(static_cast<int>(i * 53 % 97) - 48) / 11;
      }
      setInput<float>(engine, "x", x);
      setInput<float>(engine, "residual", residual);
      engine.run();
      for (std::string name : {"input", "local"}) {
        EXPECT_EQ(getOutput(engine, name), getOutput(engine, "sum")) << name;
        EXPECT_EQ(getOutput(engine, name + " normed"), getOutput(engine, "normed")) << name;
      }
      EXPECT_EQ(getOutput(engine, "without"), getOutput(engine, "sum"));
      EXPECT_EQ(getOutput(engine, "dying"), getOutput(engine, "dying expected"));
      EXPECT_EQ(getOutput(engine, "both"), getOutput(engine, "both expected"));
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
    uint32_t y = b.binary(BinaryKind::add, x, x, {t, 2});
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
  void allToAll(const void *from, std::span<const int> sendCounts, std::span<const int> sendOffsets,
                void *to, std::span<const int> recvCounts, std::span<const int> recvOffsets,
                ElementType, GroupId) override {
    sent = from;
    received = to;
    counts.assign(sendCounts.begin(), sendCounts.end());
    offsets.assign(sendOffsets.begin(), sendOffsets.end());
    receivedCounts.assign(recvCounts.begin(), recvCounts.end());
    receivedOffsets.assign(recvOffsets.begin(), recvOffsets.end());
  }
  void broadcast(void *, size_t, ElementType, int, GroupId) override {}
  void barrier() override {}
  [[noreturn]] void abort(const char *message) override { throw std::runtime_error(message); }

  std::vector<U> made;
  std::pair<size_t, size_t> reserved;
  const void *sent = nullptr;
  void *received = nullptr;
  std::vector<int> counts, offsets, receivedCounts, receivedOffsets;
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

TEST(Communication, OuterDimensionsAreExchangedWhereTheyLie) {
  U group{0, 1, 2};
  Ranges held{0, 2, 2, 3, 3, 7}, wanted{0, 1, 1, 3, 2, 5};
  auto run = [&](bool cutsOuter, Recorder &recorder) {
    ProgramBuilder b(0, 3);
    Dims xDims = cutsOuter ? Dims{5, 2} : Dims{2, 5}, yDims = cutsOuter ? Dims{1, 7} : Dims{7, 1};
    uint32_t x = b.input("x", xDims), y = b.activation(yDims);
    b.add(fb::CreateAllToAllDirect(b.fbb, &group, cutsOuter ? 0 : 1, &wanted, cutsOuter ? 1 : 0,
                                   &held),
          {x}, {y});
    b.output("y", y);
    LoadedProgram loaded = b.load(testFolder());
    Engine engine(*loaded.program, *loaded.weights, recorder, {});
    engine.run();
    EXPECT_EQ(recorder.sent == engine.input("x").data(), cutsOuter);
    EXPECT_EQ(recorder.received == engine.output("y").data(), !cutsOuter);
  };
  Recorder outer, inner;
  run(true, outer);
  EXPECT_THAT(outer.counts, testing::ElementsAre(2, 4, 6));
  EXPECT_THAT(outer.offsets, testing::ElementsAre(0, 2, 4)); // rows 2 is sent to two
  EXPECT_THAT(outer.receivedCounts, testing::ElementsAre(2, 1, 4));
  EXPECT_THAT(outer.receivedOffsets, testing::ElementsAre(0, 2, 3));
  run(false, inner);
  EXPECT_THAT(inner.counts, testing::ElementsAre(2, 4, 6));
  EXPECT_THAT(inner.offsets, testing::ElementsAre(0, 2, 6));
  EXPECT_THAT(inner.receivedOffsets, testing::ElementsAre(0, 2, 3));
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
