// The planner's choices: which steps, over which axes and dims, and that they lead where
// they should.
#include "compiler/partition/reshard_plan.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/IR/MLIRContext.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

using namespace cleave;
using namespace mlir;

namespace {

std::string describe(const ReshardStep &step) {
  std::string text;
  switch (step.kind) {
  case ReshardStep::Kind::slice:
    return "slice " + std::to_string(step.dim);
  case ReshardStep::Kind::allReduce:
    text = "all_reduce";
    break;
  case ReshardStep::Kind::allGather:
    text = "all_gather " + std::to_string(step.dim);
    break;
  case ReshardStep::Kind::reduceScatter:
    text = "reduce_scatter " + std::to_string(step.dim);
    break;
  case ReshardStep::Kind::allToAll:
    text = "all_to_all " + std::to_string(step.joined) + " to " + std::to_string(step.dim);
    break;
  }
  text += " over";
  for (StringAttr axis : step.axes)
    text += " " + axis.str();
  return text;
}

class ReshardPlanTest : public testing::Test {
protected:
  ReshardPlanTest() { context.loadDialect<CleaveDialect>(); }

  void setMesh(ArrayRef<std::pair<const char *, int64_t>> mesh) {
    for (auto [name, size] : mesh) {
      axes.push_back(StringAttr::get(&context, name));
      sizes.push_back(size);
    }
  }

  ShardingAttr sharding(const std::string &text) {
    return cast<ShardingAttr>(parseAttribute("#cleave.sharding<" + text + ">", &context));
  }

  std::string plan(ArrayRef<int64_t> shape, const std::string &from, const std::string &to) {
    SmallVector<StringAttr> names(shape.size(), StringAttr::get(&context, "tokens"));
    Mesh mesh(axes, sizes);
    ReshardPlanner planner(mesh);
    const ReshardPlan *found = planner.plan(getTensorType(shape, Float32Type::get(&context), names),
                                            sharding(from), sharding(to));
    if (!found)
      return "none";
    steps = *found;
    if (!steps.empty()) {
      EXPECT_EQ(steps.back().result, sharding(to));
    }
    std::string text;
    for (const ReshardStep &step : steps)
      text += (text.empty() ? "" : ", ") + describe(step);
    return text;
  }

  MLIRContext context;
  SmallVector<StringAttr> axes;
  SmallVector<int64_t> sizes;
  ReshardPlan steps;
};

TEST_F(ReshardPlanTest, OneStepWhereOneDoes) {
  setMesh({{"tp", 4}});
  EXPECT_EQ(plan({8, 8}, "[{}, {}]", "[{}, {}]"), "");
  EXPECT_EQ(plan({8, 8}, "[{}, {}]", "[{}, {\"tp\"}]"), "slice 1");
  EXPECT_EQ(plan({8, 8}, "[{}, {\"tp\"}]", "[{}, {}]"), "all_gather 1 over tp");
  EXPECT_EQ(plan({8, 8}, "[{}, {}], partial = {\"tp\" : sum}", "[{}, {}]"), "all_reduce over tp");
  EXPECT_EQ(plan({8, 8}, "[{}, {}], partial = {\"tp\" : sum}", "[{\"tp\"}, {}]"),
            "reduce_scatter 0 over tp");
  EXPECT_EQ(
      plan({8, 8}, "[{}, {}], partial = {\"tp\" : sum}", "[{}, {\"tp\" : [0:5, 3:5, 5:8, 8:8]}]"),
      "reduce_scatter 1 over tp");
}

TEST_F(ReshardPlanTest, NothingWhereEveryRankHasItsPart) {
  setMesh({{"one", 1}, {"tp", 2}});
  EXPECT_EQ(plan({8, 8}, "[{\"one\"}, {\"tp\"}]", "[{}, {\"tp\" : [0:4, 4:8]}]"), "");
  EXPECT_EQ(plan({8, 8}, "[{\"tp\" : [0:8, 0:8]}, {}], partial = {\"one\" : sum}", "[{}, {}]"), "");
}

TEST_F(ReshardPlanTest, NoWholeValueBecomesASummand) {
  setMesh({{"tp", 2}});
  EXPECT_EQ(plan({8, 8}, "[{}, {}]", "[{}, {}], partial = {\"tp\" : sum}"), "none");
}

TEST_F(ReshardPlanTest, CandidatesAreReducedBeforeTheyAreCut) {
  setMesh({{"a", 2}, {"b", 2}});
  EXPECT_EQ(plan({8, 4, 2}, "[{}, {}, {}], partial = {\"a\" : top}", "[{}, {\"b\"}, {}]"),
            "all_reduce over a, slice 1");
  EXPECT_EQ(plan({8, 4, 2}, "[{}, {}, {}], partial = {\"a\" : top}", "[{\"b\"}, {}, {}]"),
            "slice 0, all_reduce over a");
  EXPECT_EQ(plan({8, 4, 2}, "[{}, {}, {}], partial = {\"a\" : top}", "[{\"a\"}, {}, {}]"),
            "all_reduce over a, slice 0");
}

TEST_F(ReshardPlanTest, MinorAxesAreJoinedAlone) {
  setMesh({{"a", 2}, {"b", 3}});
  EXPECT_EQ(plan({12, 8}, "[{\"a\", \"b\"}, {}]", "[{\"a\"}, {}]"), "all_gather 0 over b");
  EXPECT_EQ(plan({12, 8}, "[{\"b\", \"a\"}, {}]", "[{\"b\"}, {}]"), "all_gather 0 over a");
  EXPECT_EQ(plan({12, 8}, "[{\"a\", \"b\"}, {}]", "[{}, {}]"), "all_gather 0 over a b");
  // What minor ranks have together has gaps.
  EXPECT_EQ(plan({12, 8}, "[{\"a\", \"b\"}, {}]", "[{\"b\"}, {}]"), "all_to_all 0 to 0 over a b");
  EXPECT_EQ(plan({12, 8}, "[{\"a\"}, {}]", "[{\"a\", \"b\"}, {}]"), "slice 0");
}

TEST_F(ReshardPlanTest, SharesOfOneDimBecomeSharesOfAnother) {
  setMesh({{"a", 2}, {"b", 2}, {"tp", 8}});
  EXPECT_EQ(plan({16, 64}, "[{\"tp\"}, {}]", "[{}, {\"tp\"}]"), "all_to_all 0 to 1 over tp");
  EXPECT_EQ(plan({4, 16, 64}, "[{}, {}, {\"tp\"}]", "[{}, {\"tp\"}, {}]"),
            "all_to_all 2 to 1 over tp");
  // The minor axis moves, the major one stays.
  EXPECT_EQ(plan({16, 64}, "[{\"a\", \"b\"}, {}]", "[{\"a\"}, {\"b\"}]"),
            "all_to_all 0 to 1 over b");
  // The major axis cannot move alone: what is left would have gaps.
  EXPECT_EQ(plan({16, 64}, "[{\"a\", \"b\"}, {}]", "[{\"b\"}, {\"a\"}]"),
            "all_to_all 0 to 1 over a b, slice 0");
  EXPECT_EQ(plan({16, 64}, "[{\"a\"}, {\"b\"}], partial = {\"tp\" : sum}",
                 "[{}, {\"b\", \"a\"}], partial = {\"tp\" : sum}"),
            "all_to_all 0 to 1 over a");
}

TEST_F(ReshardPlanTest, OtherRangesOfADim) {
  setMesh({{"a", 2}, {"b", 2}});
  EXPECT_EQ(plan({8, 64}, "[{\"a\" : [0:3, 3:8]}, {}]", "[{\"a\" : [0:5, 5:8]}, {}]"),
            "all_to_all 0 to 0 over a");
  EXPECT_EQ(plan({8, 64}, "[{\"a\"}, {}]", "[{\"b\"}, {}]"), "all_to_all 0 to 0 over a");
  // Where ranges only shrink nothing travels.
  EXPECT_EQ(plan({8, 64}, "[{\"a\" : [0:6, 2:8]}, {}]", "[{\"a\"}, {}]"), "slice 0");
  EXPECT_EQ(plan({8, 64}, "[{\"a\", \"b\"}, {}]", "[{\"b\", \"a\"}, {}]"),
            "all_to_all 0 to 0 over a b");
}

TEST_F(ReshardPlanTest, SumsAreMadeOfTheLeast) {
  setMesh({{"a", 2}, {"b", 2}});
  // Cut first, then sum half as much.
  EXPECT_EQ(plan({8, 8}, "[{}, {}], partial = {\"a\" : sum}", "[{}, {\"b\"}]"),
            "slice 1, all_reduce over a");
  EXPECT_EQ(plan({512, 512}, "[{}, {}], partial = {\"a\" : sum, \"b\" : sum}", "[{}, {\"a\"}]"),
            "reduce_scatter 1 over a, all_reduce over b");
  EXPECT_EQ(plan({8, 8}, "[{}, {}], partial = {\"a\" : sum, \"b\" : sum}", "[{}, {}]"),
            "all_reduce over a b");
  EXPECT_EQ(plan({8, 8}, "[{}, {}], partial = {\"a\" : sum, \"b\" : sum}", "[{}, {\"b\", \"a\"}]"),
            "reduce_scatter 1 over a b");
  // One sum stays.
  EXPECT_EQ(plan({8, 8}, "[{}, {}], partial = {\"a\" : sum, \"b\" : sum}",
                 "[{\"a\"}, {}], partial = {\"b\" : sum}"),
            "reduce_scatter 0 over a");
  EXPECT_EQ(steps[0].result, sharding("[{\"a\"}, {}], partial = {\"b\" : sum}"));
  // Half is summed, and only then joined.
  EXPECT_EQ(plan({8, 8}, "[{}, {\"b\"}], partial = {\"a\" : sum}", "[{}, {}]"),
            "all_reduce over a, all_gather 1 over b");
}

TEST_F(ReshardPlanTest, OverlapsAreSlicedWhereTheyHoldIt) {
  setMesh({{"tp", 3}});
  EXPECT_EQ(plan({4, 32}, "[{}, {\"tp\" : [0:16, 8:24, 24:32]}]",
                 "[{}, {\"tp\" : [0:12, 12:24, 24:32]}]"),
            "slice 1");
}

TEST_F(ReshardPlanTest, RunTimeDimsAreCutToo) {
  setMesh({{"a", 2}, {"b", 3}});
  int64_t tokens = ShapedType::kDynamic;
  EXPECT_EQ(plan({tokens, 8}, "[{}, {}], partial = {\"a\" : sum}", "[{\"a\"}, {}]"),
            "reduce_scatter 0 over a");
  EXPECT_EQ(plan({tokens, 8}, "[{\"a\"}, {}]", "[{}, {}]"), "all_gather 0 over a");
  EXPECT_EQ(plan({tokens, 8}, "[{}, {}]", "[{\"a\"}, {}]"), "slice 0");
  // A share of a run-time share is not a share of the whole.
  EXPECT_EQ(plan({tokens, 8}, "[{\"a\", \"b\"}, {}]", "[{\"a\"}, {}]"),
            "all_gather 0 over a b, slice 0");
}

TEST_F(ReshardPlanTest, ManyAxesAndDimsStaySmall) {
  setMesh({{"a", 2}, {"b", 2}, {"c", 2}, {"d", 2}, {"e", 2}, {"f", 2}});
  EXPECT_EQ(plan({64, 64, 64, 64}, "[{\"a\"}, {\"b\"}, {\"c\"}, {\"d\"}]", "[{}, {}, {}, {\"d\"}]"),
            "all_gather 0 over a, all_gather 1 over b, all_gather 2 over c");
  EXPECT_EQ(plan({64, 64, 64, 64}, "[{\"a\", \"e\", \"f\"}, {\"b\"}, {\"c\"}, {\"d\"}]",
                 "[{\"a\", \"e\", \"f\"}, {\"b\"}, {}, {\"d\"}]"),
            "all_gather 2 over c");
}

} // namespace
