// all_to_all in a program: from any dimension to any other or to itself, with uneven, empty
// and overlapping shares.
#include "test/runtime/engine/engine_test_util.h"

#include <gtest/gtest.h>

namespace cleave::rt {
namespace {

using Dims = ProgramBuilder::Dims;
using U = std::vector<uint32_t>;
using Ranges = std::vector<int64_t>;

/// Which dimensions an all_to_all's value has, and where: rows (a symbol), the one that is
/// joined and the one that is cut.
struct Arrangement {
  const char *name;
  std::vector<char> dims; // 'r', 'j' and 'c'
};

const Arrangement arrangements[] = {
    {"JoinedCut", {'j', 'c'}},
    {"CutJoined", {'c', 'j'}},
    {"RowsJoinedCut", {'r', 'j', 'c'}},
    {"JoinedRowsCut", {'j', 'r', 'c'}},
    {"CutRowsJoined", {'c', 'r', 'j'}},
    {"CutJoinedRows", {'c', 'j', 'r'}},
    {"JoinedCutRows", {'j', 'c', 'r'}},
    {"RowsCutJoined", {'r', 'c', 'j'}},
    {"RowsSame", {'r', 's'}},
    {"SameRows", {'s', 'r'}},
    {"Same", {'s'}},
};

/// How the members hold the one dimension and want the other (or the same).
struct Exchange {
  const char *name;
  U group;
  Ranges held;
  int64_t joined;
  Ranges wanted;
};

const Exchange exchanges[] = {
    {"Even", {0, 1, 2}, {0, 2, 2, 4, 4, 6}, 6, {0, 2, 2, 4, 4, 6}},
    {"Uneven", {0, 1, 2}, {0, 1, 1, 2, 2, 7}, 7, {0, 4, 4, 6, 6, 7}},
    {"EmptyShares", {0, 1, 2}, {0, 4, 4, 4, 4, 5}, 5, {0, 0, 0, 2, 2, 5}},
    {"Reordered", {2, 0, 1}, {3, 5, 0, 1, 1, 3}, 5, {4, 5, 2, 4, 0, 2}},
    {"HeldTwice", {0, 1, 2}, {0, 4, 2, 6, 4, 8}, 8, {0, 3, 3, 6, 6, 8}},
    {"WantedTwice", {0, 1, 2}, {0, 3, 3, 6, 6, 8}, 8, {0, 4, 2, 6, 4, 8}},
    {"NotAllWanted", {0, 1, 2}, {1, 2, 0, 5, 4, 6}, 6, {1, 2, 4, 5, 5, 5}},
    {"TwoOfThree", {2, 0}, {0, 1, 1, 4}, 4, {0, 3, 3, 4}},
    {"OneAlone", {1}, {0, 3}, 3, {1, 3}},
};

class AllToAll : public testing::TestWithParam<std::tuple<Exchange, Arrangement>> {
protected:
  uint32_t find(char kind) const {
    const std::vector<char> &dims = std::get<1>(GetParam()).dims;
    auto it = std::find(dims.begin(), dims.end(), kind);
    return static_cast<uint32_t>(
        (it == dims.end() ? std::find(dims.begin(), dims.end(), 's') : it) - dims.begin());
  }
  /// The dimensions of a value of which one is `size` wide along `dim`.
  Dims with(Dims dims, uint32_t dim, int64_t size) const {
    dims[dim] = size;
    return dims;
  }
  Dims whole(int64_t rows) const {
    const auto &[exchange, arrangement] = GetParam();
    Dims dims;
    for (char kind : arrangement.dims)
      dims.push_back(kind == 'r' ? rows : kind == 'c' ? 8 : exchange.joined);
    return dims;
  }
  /// The elements of `value` between two places of one dimension.
  std::vector<float> cut(const std::vector<float> &value, const Dims &dims, uint32_t dim,
                         int64_t begin, int64_t end) const {
    if (value.empty())
      return {};
    int64_t inner = 1;
    for (size_t i = dim + 1; i < dims.size(); ++i)
      inner *= dims[i];
    return part(value, dims[dim], inner, begin, end);
  }
};

TEST_P(AllToAll, MembersGetWhatTheyWantOfAll) {
  const Exchange &exchange = std::get<0>(GetParam());
  const uint32_t split = find('c'), concat = find('j');
  const auto place = [&](uint32_t rank) {
    return std::find(exchange.group.begin(), exchange.group.end(), rank) - exchange.group.begin();
  };
  const auto isMember = [&](uint32_t rank) {
    return place(rank) < static_cast<int64_t>(exchange.group.size());
  };
  auto build = [&](ProgramBuilder &b) {
    Dims dims = whole(b.symbol("rows"));
    if (!isMember(b.rank))
      return;
    int64_t m = place(b.rank);
    int64_t held = exchange.held[2 * m + 1] - exchange.held[2 * m];
    int64_t wanted = exchange.wanted[2 * m + 1] - exchange.wanted[2 * m];
    uint32_t x = b.input("x", with(dims, concat, held));
    uint32_t y = b.activation(with(dims, split, wanted));
    b.add(fb::CreateAllToAllDirect(b.fbb, &exchange.group, split, &exchange.wanted, concat,
                                   &exchange.held),
          {x}, {y});
    b.output("y", y);
  };
  runPrograms(3, {.bounds = {{"rows", 5}}}, build, [&](uint32_t rank, Engine &engine) {
    for (int64_t rows : {3, 1, 0, 5}) {
      engine.setSymbol("rows", rows);
      if (isMember(rank)) {
        int64_t m = place(rank);
        Dims dims = whole(rows);
        int64_t elements =
            std::accumulate(dims.begin(), dims.end(), int64_t{1}, std::multiplies<>());
        std::vector<float> all = wholeValue(elements, 0);
        std::vector<float> x =
            cut(all, dims, concat, exchange.held[2 * m], exchange.held[2 * m + 1]);
        if (!x.empty())
          setInput(engine, "x", x);
        engine.run();
        std::vector<float> y =
            cut(all, dims, split, exchange.wanted[2 * m], exchange.wanted[2 * m + 1]);
        if (!y.empty()) {
          EXPECT_EQ(getOutput(engine, "y"), y) << "rank " << rank << ", rows " << rows;
        }
      } else {
        engine.run();
      }
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Engine, AllToAll,
                         testing::Combine(testing::ValuesIn(exchanges),
                                          testing::ValuesIn(arrangements)),
                         [](const auto &info) {
                           return std::string(std::get<0>(info.param).name) + "Of" +
                                  std::get<1>(info.param).name;
                         });

} // namespace
} // namespace cleave::rt
