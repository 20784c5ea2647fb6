// Plans: what YAML and flags mean, which of them wins, and where each error points.
#include "compiler/plan/plan.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include <fstream>
#include <random>

using namespace cleave::plan;
using llvm::toString;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

namespace {

llvm::Expected<Plan> parse(const std::string &text) {
  return parsePlan(std::make_shared<Source>(Source{"plan.yaml", text}));
}

/// The plan of a file's text with flags over it, checked.
llvm::Expected<Plan> load(const std::string &text, const PlanFlags &flags = {}) {
  llvm::Expected<Plan> plan = parse(text);
  if (!plan)
    return plan.takeError();
  if (llvm::Error e = applyFlags(*plan, flags))
    return e;
  if (llvm::Error e = checkPlan(*plan))
    return e;
  return plan;
}

std::string errorOf(llvm::Expected<Plan> plan) {
  return plan ? "" : toString(plan.takeError());
}
std::string errorOf(const std::string &text, const PlanFlags &flags = {}) {
  return errorOf(load(text, flags));
}
std::string errorOf(const PlanFlags &flags) {
  return errorOf("", flags);
}

std::vector<std::string> axesOf(const Plan &plan) {
  std::vector<std::string> result;
  for (const MeshAxis &axis : plan.mesh)
    result.push_back(axis.name + "=" + std::to_string(axis.size));
  return result;
}

std::vector<std::string> cutsOf(const Plan &plan) {
  std::vector<std::string> result;
  for (const Cut &cut : plan.cuts)
    result.push_back(cut.name);
  return result;
}

std::vector<std::string> partsOf(const Split &split) {
  std::vector<std::string> result;
  for (const SplitPart &part : split.parts)
    result.push_back(splitTypeName(part.type).str() + "@" + part.axis);
  return result;
}

const char *fullPlan = R"(# a plan
mesh: {tp: 3, data: 2}
cut: [blk.11]
split:
  - {weights: "blk.*.attn_{q,k,v}.weight", type: head}
  - weights: 'blk.*.attn_output.weight'
    type: row
    axis: data
  - {weights: token_embd.weight, type: none}
shares:
  tp: [2, 1, 3]
sequence: tp
)";

TEST(Plan, ReadsEveryField) {
  Plan plan = llvm::cantFail(load(fullPlan));
  EXPECT_THAT(axesOf(plan), ElementsAre("tp=3", "data=2"));
  EXPECT_THAT(cutsOf(plan), ElementsAre("blk.11"));
  EXPECT_FALSE(plan.stages);
  EXPECT_EQ(plan.stageCount(), 2);
  EXPECT_EQ(plan.meshSize(), 6);
  EXPECT_EQ(plan.rankCount(), 12);
  ASSERT_EQ(plan.splits.size(), 3u);
  EXPECT_THAT(partsOf(plan.splits[0]), ElementsAre("head@"));
  EXPECT_THAT(partsOf(plan.splits[1]), ElementsAre("row@data"));
  EXPECT_THAT(partsOf(plan.splits[2]), ElementsAre("none@"));
  ASSERT_EQ(plan.shares.size(), 1u);
  EXPECT_THAT(plan.shares[0].parts, ElementsAre(2, 1, 3));
  ASSERT_TRUE(plan.sequence);
  EXPECT_EQ(plan.sequence->axis, "tp");
}

TEST(Plan, KeepsWhereEachEntryWasWritten) {
  Plan plan = llvm::cantFail(load(fullPlan));
  auto place = [](const Location &location) {
    return location.file().str() + ":" + std::to_string(location.line()) + ":" +
           std::to_string(location.column());
  };
  EXPECT_EQ(place(plan.mesh[1].location), "plan.yaml:2:15");
  EXPECT_EQ(place(plan.cuts[0].location), "plan.yaml:3:7");
  EXPECT_EQ(place(plan.splits[0].location), "plan.yaml:5:15");
  EXPECT_EQ(place(plan.splits[1].parts[0].axisLocation), "plan.yaml:8:11");
  EXPECT_EQ(place(plan.shares[0].location), "plan.yaml:11:3");
  EXPECT_EQ(place(plan.sequence->location), "plan.yaml:12:11");
  EXPECT_EQ(plan.cuts[0].location.describe("no such block"), "plan.yaml:3:7: error: no such block\n"
                                                             "cut: [blk.11]\n"
                                                             "      ^");
}

TEST(Plan, IsEmptyWithoutAnything) {
  for (const char *text : {"", "\n \n", "# nothing\n", "{}"}) {
    Plan plan = llvm::cantFail(load(text));
    EXPECT_EQ(plan.rankCount(), 1) << text;
    EXPECT_TRUE(plan.splits.empty());
  }
}

TEST(Plan, MatchesPatternsAcrossDots) {
  Plan plan = llvm::cantFail(load(fullPlan));
  EXPECT_EQ(plan.findSplit({"blk.0.attn_q.weight"}), &plan.splits[0]);
  EXPECT_EQ(plan.findSplit({"blk.21.attn_v.weight"}), &plan.splits[0]);
  EXPECT_EQ(plan.findSplit({"blk.0.attn_o.weight"}), nullptr);
  EXPECT_EQ(plan.findSplit({"xblk.0.attn_q.weight"}), nullptr);
  EXPECT_EQ(plan.findSplit({"blk.0.attn_output.weight"}), &plan.splits[1]);
  NamePattern all = llvm::cantFail(NamePattern::create("*"));
  EXPECT_TRUE(all.matches("a.b.c"));
  NamePattern one = llvm::cantFail(NamePattern::create("blk.?.x"));
  NamePattern copy = one;
  one = all;
  EXPECT_TRUE(copy.matches("blk.7.x"));
  EXPECT_FALSE(copy.matches("blk.17.x"));
  EXPECT_EQ(copy.text(), "blk.?.x");
}

TEST(Plan, ReadsFlags) {
  PlanFlags flags;
  flags.mesh = "tp=2,data=4";
  flags.stages = "2";
  flags.cuts = {"blk.3"};
  flags.splits = {"a=b.*=column@tp", "*=none"};
  flags.shares = {"tp=2,1"};
  Plan plan = llvm::cantFail(load("", flags));
  EXPECT_THAT(axesOf(plan), ElementsAre("tp=2", "data=4"));
  EXPECT_EQ(plan.stageCount(), 2);
  EXPECT_THAT(cutsOf(plan), ElementsAre("blk.3"));
  ASSERT_EQ(plan.splits.size(), 2u);
  EXPECT_EQ(plan.splits[0].weights.text(), "a=b.*");
  EXPECT_THAT(partsOf(plan.splits[0]), ElementsAre("column@tp"));
  EXPECT_THAT(partsOf(plan.splits[1]), ElementsAre("none@"));
  EXPECT_THAT(plan.shares[0].parts, ElementsAre(2, 1));
  EXPECT_EQ(plan.splits[1].location.describe("x"), "command line:1:9: error: x\n"
                                                   "--split *=none\n"
                                                   "        ^");
}

TEST(Plan, ReadsSplitsOverSeveralAxes) {
  auto parts = [](const std::string &entry) {
    Plan plan =
        llvm::cantFail(load("mesh: {tp: 2, data: 2}\nsplit: [{weights: a, " + entry + "}]"));
    // It is printed as it is read.
    Plan again = llvm::cantFail(load(printPlan(plan)));
    EXPECT_EQ(partsOf(again.splits[0]), partsOf(plan.splits[0]));
    return partsOf(plan.splits[0]);
  };
  EXPECT_THAT(parts("type: column, axis: [data, tp]"), ElementsAre("column@data", "column@tp"));
  EXPECT_THAT(parts("type: [column, row], axis: [tp, data]"), ElementsAre("column@tp", "row@data"));
  EXPECT_THAT(parts("type: [row], axis: [tp]"), ElementsAre("row@tp"));
  EXPECT_THAT(parts("axis: tp, type: [head]"), ElementsAre("head@tp"));

  PlanFlags flags;
  flags.mesh = "tp=2,data=2";
  flags.splits = {"a+b=column@tp+row@data"};
  Plan plan = llvm::cantFail(load("", flags));
  EXPECT_EQ(plan.splits[0].weights.text(), "a+b");
  EXPECT_THAT(partsOf(plan.splits[0]), ElementsAre("column@tp", "row@data"));
  EXPECT_EQ(printPlan(plan), "mesh: {tp: 2, data: 2}\nsplit:\n"
                             "  - {weights: \"a+b\", type: [column, row], axis: [tp, data]}\n");
  EXPECT_EQ(plan.splits[0].parts[1].axisLocation.describe("x"),
            "command line:1:27: error: x\n--split a+b=column@tp+row@data\n"
            "                          ^");
  flags.splits = {"a=column@data+column@tp"};
  EXPECT_THAT(printPlan(llvm::cantFail(load("", flags))),
              HasSubstr("{weights: \"a\", type: column, axis: [data, tp]}"));
}

TEST(Plan, LetsFlagsWin) {
  PlanFlags flags;
  flags.tp = "2";
  flags.shares = {"tp=1,3"};
  Plan plan = llvm::cantFail(load(fullPlan, flags));
  EXPECT_THAT(axesOf(plan), ElementsAre("tp=2", "data=2"));
  ASSERT_EQ(plan.shares.size(), 1u);
  EXPECT_THAT(plan.shares[0].parts, ElementsAre(1, 3));

  flags = {};
  flags.mesh = "x=2,tp=3,data=1";
  EXPECT_THAT(axesOf(llvm::cantFail(load(fullPlan, flags))), ElementsAre("x=2", "tp=3", "data=1"));

  flags = {};
  flags.splits = {"*=column", "blk.*=row"};
  plan = llvm::cantFail(load(fullPlan, flags));
  ASSERT_EQ(plan.splits.size(), 5u);
  EXPECT_EQ(plan.findSplit({"blk.0.attn_q.weight"}), &plan.splits[0]);
  EXPECT_THAT(partsOf(plan.splits[2]), ElementsAre("head@"));

  flags = {};
  flags.tp = "4";
  EXPECT_THAT(axesOf(llvm::cantFail(load("mesh: {data: 2}", flags))),
              ElementsAre("data=2", "tp=4"));
}

TEST(Plan, LetsCutAndStageFlagsReplaceTheFiles) {
  PlanFlags flags;
  flags.cuts = {"blk.1", "blk.2"};
  EXPECT_THAT(cutsOf(llvm::cantFail(load("{cut: [blk.7], stages: 2}", flags))),
              ElementsAre("blk.1", "blk.2"));
  flags = {};
  flags.stages = "3";
  Plan plan = llvm::cantFail(load("cut: [blk.7]", flags));
  EXPECT_EQ(plan.stageCount(), 3);
  EXPECT_TRUE(plan.cuts.empty());
  flags.stages = "2";
  plan = llvm::cantFail(load("cut: [blk.7]", flags));
  EXPECT_EQ(plan.stageCount(), 2);
  EXPECT_THAT(cutsOf(plan), ElementsAre("blk.7"));
}

TEST(Plan, LocatesErrorsInTheFile) {
  EXPECT_EQ(errorOf("mesh: {tp: 2}\nsplits: []\n"),
            "plan.yaml:2:1: error: unknown key 'splits'; expected mesh, stages, cut, split, "
            "shares or sequence\nsplits: []\n^");
  EXPECT_THAT(errorOf("split:\n  - {weights: a, type: colum}"),
              StartsWith("plan.yaml:2:24: error: unknown split type 'colum'; expected column, row, "
                         "head, expert or none"));
  EXPECT_THAT(errorOf("split: [{weights: a, kind: row}]"),
              StartsWith("plan.yaml:1:22: error: unknown key 'kind'"));
  EXPECT_THAT(errorOf("split: [{weights: a}]"), HasSubstr("1:19: error: this entry has no 'type'"));
  EXPECT_THAT(errorOf("split: [{type: row}]"), HasSubstr("error: this entry has no 'weights'"));
  EXPECT_THAT(errorOf("split: [{weights: \"a{b\", type: row}]"),
              StartsWith("plan.yaml:1:19: error: cannot read the pattern 'a{b'"));
  EXPECT_THAT(errorOf("split: [{weights: \"\", type: row}]"), HasSubstr("the pattern is empty"));
  EXPECT_THAT(errorOf("split:\n  - weights: *.weight\n    type: row"), HasSubstr("needs quotes"));
  EXPECT_THAT(errorOf("split: [{weights: [a], type: row}]"),
              HasSubstr("found a list; expected the value of 'weights', a text"));
  EXPECT_THAT(errorOf("split: {weights: a, type: row}"), HasSubstr("found a mapping; expected a"));
  EXPECT_THAT(errorOf("split: [{weights: a, type: row, axis: 'a b'}]"),
              HasSubstr("'a b' is not an axis's name"));
  auto splitError = [](const std::string &entry) {
    return errorOf("mesh: {tp: 2, d: 2}\nsplit: [{weights: a, " + entry + "}]");
  };
  EXPECT_THAT(splitError("type: [column, row], axis: tp"),
              StartsWith("plan.yaml:2:29: error: 2 types, but the number of axes is 1; expected an "
                         "axis for each type"));
  EXPECT_THAT(splitError("type: [column, row]"), HasSubstr("the number of axes is 0"));
  EXPECT_THAT(splitError("type: [column, none], axis: [tp, d]"),
              HasSubstr("'none' says that the weight is not split; it stands alone"));
  EXPECT_THAT(splitError("type: none, axis: tp"),
              StartsWith("plan.yaml:2:40: error: 'none' cuts nothing, so it has no axis; leave "
                         "'tp' out"));
  EXPECT_THAT(splitError("type: column, axis: [tp, tp]"),
              StartsWith("plan.yaml:2:47: error: axis 'tp' stands here twice"));
  EXPECT_THAT(splitError("type: column, axis: [tp, e]"),
              StartsWith("plan.yaml:2:47: error: the mesh has no axis 'e'"));
  EXPECT_THAT(splitError("type: []"), StartsWith("plan.yaml:2:29: error: found no type"));
  EXPECT_THAT(splitError("type: row, axis: []"), HasSubstr("found no axis; expected one"));
  EXPECT_THAT(splitError("type: [[row]]"), HasSubstr("found a list; expected a split type"));
  EXPECT_THAT(splitError("type: {row: tp}"), HasSubstr("found a mapping; expected a split type"));
  EXPECT_THAT(splitError("type: row, axis: [{tp: 1}]"), HasSubstr("expected the name of an axis"));
  EXPECT_THAT(errorOf("mesh: 2"), HasSubstr("1:7: error: found a value; expected a mapping of"));
  EXPECT_THAT(errorOf("mesh: {tp: two}"),
              HasSubstr("1:12: error: the size of axis 'tp' is 'two'; expected a whole number"));
  EXPECT_THAT(errorOf("mesh: {tp: 0}"), HasSubstr("from 1 to 4096"));
  EXPECT_THAT(errorOf("mesh: {tp: 4097}"), HasSubstr("from 1 to 4096"));
  EXPECT_THAT(errorOf("mesh: {tp: -1}"), HasSubstr("'-1'"));
  EXPECT_THAT(errorOf("mesh: {tp: 2.5}"), HasSubstr("'2.5'"));
  EXPECT_THAT(errorOf("mesh: {tp: 99999999999999999999}"), HasSubstr("from 1 to 4096"));
  EXPECT_THAT(errorOf("mesh: {tp: [2]}"), HasSubstr("found a list; expected the axis's size"));
  EXPECT_THAT(errorOf("mesh:\n  tp: 2\n  tp: 3"), StartsWith("plan.yaml:3:3: error: 'tp' stands"));
  EXPECT_THAT(errorOf("mesh: {1tp: 2}"), HasSubstr("'1tp' is not an axis's name"));
  EXPECT_THAT(errorOf("stages: 0"), HasSubstr("1:9: error: the number of stages is '0'"));
  EXPECT_THAT(errorOf("stages: []"), HasSubstr("found a list; expected a number of stages"));
  EXPECT_THAT(errorOf("cut: blk.1"), HasSubstr("found a value; expected a list of names"));
  EXPECT_THAT(errorOf("cut: [blk.1, blk.1]"),
              HasSubstr("1:14: error: the cut at 'blk.1' is given"));
  EXPECT_THAT(errorOf("cut:"), HasSubstr("found nothing; expected a list of names"));
  EXPECT_THAT(errorOf("cut: [blk.1]\nstages: 3"),
              HasSubstr("2:9: error: 3 stages, but the number of cuts is 1, which makes 2"));
  EXPECT_THAT(errorOf("mesh: {tp: 2}\nshares: {tp: [2, x]}"),
              HasSubstr("2:18: error: a share is 'x'"));
  EXPECT_THAT(errorOf("mesh: {tp: 2}\nshares: {tp: [0, 0]}"),
              HasSubstr("a share is '0'; expected a whole number from 1"));
  EXPECT_THAT(errorOf("mesh: {tp: 2}\nshares: {tp: [2, 1, 1]}"),
              HasSubstr("2:10: error: 3 shares of axis 'tp', which has size 2"));
  EXPECT_THAT(errorOf("shares: {tp: [2, 1]}"),
              HasSubstr("shares of axis 'tp', which the mesh does not have"));
  EXPECT_THAT(errorOf("mesh: {tp: 2}\nsequence: [tp]"),
              HasSubstr("2:12: error: found a list; expected an axis of the mesh"));
  EXPECT_THAT(errorOf("mesh: {tp: 2}\nsequence: t-p"),
              HasSubstr("2:11: error: 't-p' is not an axis's name"));
  EXPECT_THAT(errorOf("mesh: {tp: 2}\nsequence: data"),
              HasSubstr("2:11: error: the mesh has no axis 'data'"));
  EXPECT_THAT(errorOf("mesh: {tp: 2}\nsplit: [{weights: a, type: row, axis: dp}]"),
              HasSubstr("2:39: error: the mesh has no axis 'dp'"));
  EXPECT_THAT(errorOf("mesh: {a: 4096, b: 17}"), HasSubstr("asks for 69632 ranks"));
  EXPECT_THAT(errorOf("just text"), HasSubstr("found a value; expected a mapping with the keys"));
  EXPECT_THAT(errorOf("mesh: {tp: 2}\n---\nmesh: {tp: 2}"), HasSubstr("more than one YAML"));
}

TEST(Plan, LocatesSyntaxErrors) {
  EXPECT_THAT(errorOf("mesh: {tp: 2}\ncut: [a]]\n"), StartsWith("plan.yaml:2:9: error: not YAML:"));
  EXPECT_THAT(errorOf("mesh: {tp: 2\n"), HasSubstr("error: not YAML:"));
  EXPECT_THAT(errorOf("\"abc"), HasSubstr("not YAML"));
  EXPECT_THAT(errorOf("mesh: \xff\xfe"), HasSubstr("error:"));
}

TEST(Plan, LocatesErrorsInFlags) {
  auto with = [](auto member, auto value) {
    PlanFlags flags;
    flags.*member = value;
    return errorOf(flags);
  };
  using List = std::vector<std::string>;
  EXPECT_EQ(with(&PlanFlags::splits, List{"blk.*=colum"}),
            "command line:1:15: error: unknown split type 'colum'; expected column, row, head, "
            "expert or none\n--split blk.*=colum\n              ^");
  EXPECT_THAT(with(&PlanFlags::splits, List{"blk"}),
              HasSubstr("1:9: error: expected PATTERN=TYPE"));
  EXPECT_THAT(with(&PlanFlags::splits, List{"=row"}), HasSubstr("the pattern is empty"));
  EXPECT_THAT(with(&PlanFlags::splits, List{"a=row@"}),
              HasSubstr("1:15: error: '' is not an axis"));
  EXPECT_THAT(with(&PlanFlags::splits, List{"a=row@tp"}),
              HasSubstr("1:15: error: the mesh has no"));
  EXPECT_THAT(with(&PlanFlags::splits, List{"a=column@tp+row"}),
              HasSubstr("1:21: error: 'row' has no axis; expected TYPE@AXIS for each"));
  EXPECT_THAT(with(&PlanFlags::splits, List{"a=column@tp+"}),
              HasSubstr("1:21: error: unknown split type ''"));
  EXPECT_THAT(with(&PlanFlags::splits, List{"a=column@tp+row@tp"}),
              HasSubstr("1:25: error: axis 'tp' stands here twice"));
  EXPECT_THAT(with(&PlanFlags::splits, List{"a=none@tp"}),
              HasSubstr("1:16: error: 'none' cuts nothing"));
  EXPECT_THAT(with(&PlanFlags::mesh, "tp"), HasSubstr("1:8: error: expected AXIS=SIZE"));
  EXPECT_THAT(with(&PlanFlags::mesh, "tp=2,tp=3"),
              HasSubstr("1:13: error: the mesh has axis 'tp'"));
  EXPECT_THAT(with(&PlanFlags::mesh, "tp=2,d=x"), HasSubstr("1:15: error: the size of axis 'd'"));
  EXPECT_THAT(with(&PlanFlags::mesh, "tp=2,"), HasSubstr("1:13: error: expected AXIS=SIZE"));
  EXPECT_THAT(with(&PlanFlags::tp, "0"), HasSubstr("1:6: error: the number of ranks is '0'"));
  EXPECT_THAT(with(&PlanFlags::stages, "many"), HasSubstr("1:10: error: the number of stages is"));
  EXPECT_THAT(with(&PlanFlags::cuts, List{""}), HasSubstr("the cut's name is empty"));
  EXPECT_THAT(with(&PlanFlags::cuts, List{"a", "a"}), HasSubstr("the cut at 'a' is given twice"));
  EXPECT_THAT(with(&PlanFlags::shares, List{"tp"}), HasSubstr("expected AXIS=SHARE"));
  EXPECT_THAT(with(&PlanFlags::shares, List{"tp=1,-2"}), HasSubstr("1:15: error: a share is '-2'"));
  EXPECT_THAT(with(&PlanFlags::shares, List{"tp=1,1", "tp=2,1"}), HasSubstr("are given twice"));
  EXPECT_THAT(with(&PlanFlags::sequence, std::string("a b")),
              HasSubstr("1:12: error: 'a b' is not an axis's name"));

  PlanFlags flags;
  flags.mesh = "tp=4";
  flags.tp = "2";
  EXPECT_THAT(errorOf(flags), HasSubstr("--mesh gives axis 'tp' the size 4"));
  flags = {};
  flags.stages = "3";
  flags.cuts = {"blk.1"};
  EXPECT_THAT(errorOf(flags), HasSubstr("3 stages, but the number of cuts is 1"));
  flags = {};
  flags.tp = "4";
  EXPECT_THAT(errorOf("mesh: {tp: 2}\nshares: {tp: [2, 1]}", flags),
              HasSubstr("plan.yaml:2:10: error: 2 shares of axis 'tp', which has size 4"));
}

TEST(Plan, RefusesNestingWithoutEnd) {
  for (const char *start : {"", "mesh: ", "cut: ", "split: ", "? "})
    for (const char *opening : {"[", "{", "- ", "? "}) {
      std::string text = start;
      for (int i = 0; i < 200000; ++i)
        text += opening;
      EXPECT_NE(errorOf(text), "") << start << opening;
    }
}

TEST(Plan, SurvivesRandomMutations) {
  const std::string text = fullPlan;
  std::mt19937 random(11);
  const std::string letters = "{}[]:,-*&!|>'\"%@`#? \n\tax0\x01\xff";
  for (int trial = 0; trial < 5000; ++trial) {
    std::string mutated = text;
    for (unsigned i = 0, n = 1 + random() % 4; i < n; ++i) {
      size_t at = random() % mutated.size();
      if (random() % 3 == 0)
        mutated.erase(at, 1 + random() % 5);
      else
        mutated[at] = letters[random() % letters.size()];
    }
    errorOf(mutated);
  }
  for (size_t length = 0; length < text.size(); ++length)
    errorOf(text.substr(0, length));
}

TEST(Plan, WritesWhatItReads) {
  EXPECT_EQ(printPlan(llvm::cantFail(load(fullPlan))),
            "mesh: {tp: 3, data: 2}\n"
            "cut: [\"blk.11\"]\n"
            "split:\n"
            "  - {weights: \"blk.*.attn_{q,k,v}.weight\", type: head}\n"
            "  - {weights: \"blk.*.attn_output.weight\", type: row, axis: data}\n"
            "  - {weights: \"token_embd.weight\", type: none}\n"
            "shares: {tp: [2, 1, 3]}\n"
            "sequence: tp\n");
  EXPECT_EQ(printPlan(Plan()), "");
  PlanFlags flags;
  flags.stages = "2";
  flags.cuts = {"a \"quoted\" \\ name: {\t\xc3\xa4"};
  flags.splits = {"*.\"x\"?\\*=none"};
  std::string text = printPlan(llvm::cantFail(load(fullPlan, flags)));
  Plan again = llvm::cantFail(load(text));
  EXPECT_EQ(printPlan(again), text);
  EXPECT_EQ(again.cuts[0].name, flags.cuts[0]);
  EXPECT_EQ(again.splits[0].weights.text(), "*.\"x\"?\\*");
}

TEST(Plan, LoadsFiles) {
  EXPECT_THAT(errorOf(loadPlan("/nonexistent/plan.yaml", {})),
              HasSubstr("error: cannot open the plan '/nonexistent/plan.yaml'"));
  EXPECT_THAT(errorOf(loadPlan("/dev/zero", {})), HasSubstr("is not a regular file"));
  std::string path = testing::TempDir() + "cleave-plan-test.yaml";
  std::ofstream(path) << fullPlan;
  PlanFlags flags;
  flags.stages = "4";
  EXPECT_EQ(llvm::cantFail(loadPlan(path, flags)).rankCount(), 24);
  std::ofstream(path) << std::string(2000000, '#');
  EXPECT_THAT(errorOf(loadPlan(path, {})), HasSubstr("has 2000000 bytes; expected at most"));
  std::remove(path.c_str());
  EXPECT_EQ(llvm::cantFail(loadPlan("", {})).rankCount(), 1);
}

} // namespace
