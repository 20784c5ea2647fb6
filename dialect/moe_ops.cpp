// Checks, sharding rules and localization of the ops of a mixture of experts.
#include "dialect/dialect.h"
#include "dialect/op_checks.h"

using namespace mlir;
using namespace cleave;

// ---- route ----

LogicalResult RouteOp::verify() {
  if (failed(expectRank(*this, getLogits(), "logits", 2)) ||
      failed(expectRank(*this, getResult(), "a result", 2)) ||
      failed(expectSameDim(*this, getResult(), 0, "the result", getLogits(), 0, "the logits")))
    return failure();
  int64_t experts = dimOf(getLogits(), 1), chosen = dimOf(getResult(), 1);
  if (chosen < 1 || chosen > experts)
    return emitOpError("chooses from the experts of ")
           << getLogits().getType() << " as many as " << getType()
           << " has columns, expected 1 to all of them, both known";
  return success();
}

ShardingRule RouteOp::getShardingRule() {
  enum { t, e, k };
  ShardingRule rule;
  rule.factors = {{dimOf(getLogits(), 0)},
                  {dimOf(getLogits(), 1), FactorKind::whole},
                  {dimOf(getResult(), 1), FactorKind::whole}};
  rule.operands = {{one(t), one(e)}};
  rule.results = {{one(t), one(k)}};
  return rule;
}

// ---- route_weights ----

LogicalResult RouteWeightsOp::verify() {
  if (failed(expectRank(*this, getLogits(), "logits", 2)) ||
      failed(expectRank(*this, getChosen(), "chosen experts", 2)) ||
      failed(expectRank(*this, getResult(), "a result", 2)))
    return failure();
  if (failed(expectSameDim(*this, getChosen(), 0, "the chosen experts", getLogits(), 0,
                           "the logits")) ||
      failed(
          expectSameDim(*this, getResult(), 0, "the result", getChosen(), 0, "the chosen experts")))
    return failure();
  return expectSameDim(*this, getResult(), 1, "the result", getChosen(), 1, "the chosen experts");
}

ShardingRule RouteWeightsOp::getShardingRule() {
  enum { t, e, k };
  ShardingRule rule;
  rule.factors = {{dimOf(getLogits(), 0)},
                  {dimOf(getLogits(), 1), FactorKind::whole},
                  {dimOf(getChosen(), 1), FactorKind::whole}};
  rule.operands = {{one(t), one(e)}, {one(t), one(k)}};
  rule.results = {{one(t), one(k)}};
  return rule;
}

// ---- moe ----

LogicalResult MoeOp::verify() {
  struct Expected {
    Value value;
    const char *what;
    int64_t rank;
  };
  for (auto [value, what, rank] :
       {Expected{getX(), "x", 2}, Expected{getChosen(), "chosen experts", 2},
        Expected{getWeights(), "weights of experts", 2}, Expected{getGate(), "a gate weight", 3},
        Expected{getUp(), "an up weight", 3}, Expected{getDown(), "a down weight", 3},
        Expected{getResult(), "a result", 2}})
    if (failed(expectRank(*this, value, what, rank)))
      return failure();
  struct Same {
    Value a;
    unsigned dimA;
    const char *whatA;
    Value b;
    unsigned dimB;
    const char *whatB;
  };
  for (const Same &same :
       {Same{getChosen(), 0, "the chosen experts", getX(), 0, "x"},
        Same{getWeights(), 0, "the weights of experts", getX(), 0, "x"},
        Same{getWeights(), 1, "the weights of experts", getChosen(), 1, "the chosen experts"},
        Same{getResult(), 0, "the result", getX(), 0, "x"},
        Same{getResult(), 1, "the result", getDown(), 1, "the down weight"},
        Same{getGate(), 2, "the gate weight", getX(), 1, "x"},
        Same{getUp(), 0, "the up weight", getGate(), 0, "the gate weight"},
        Same{getUp(), 1, "the up weight", getGate(), 1, "the gate weight"},
        Same{getUp(), 2, "the up weight", getGate(), 2, "the gate weight"},
        Same{getDown(), 0, "the down weight", getGate(), 0, "the gate weight"}})
    if (failed(expectSameDim(*this, same.a, same.dimA, same.whatA, same.b, same.dimB, same.whatB)))
      return failure();
  if (!tensorOf(getGate()).hasStaticShape() || !tensorOf(getDown()).hasStaticShape() ||
      tensorOf(getChosen()).isDynamicDim(1))
    return emitOpError(
               "expects weights of static size and a known number of chosen experts, found ")
           << getGate().getType() << ", " << getDown().getType() << " and "
           << getChosen().getType();
  if (getFirstExpert() < 0)
    return emitOpError("has the negative first_expert ") << getFirstExpert();
  int64_t length = blockLengthOf(getDown()), before = getPadBefore();
  int64_t padding = dimOf(getDown(), 2) - dimOf(getGate(), 1);
  if (before < 0 || before >= length || padding < before || padding - before >= length)
    return emitOpError("has a down weight of ")
           << dimOf(getDown(), 2) << " columns for " << dimOf(getGate(), 1)
           << " inner features with pad_before = " << before << ": at most " << length - 1
           << " columns before them and after them may meet zero";
  return success();
}

ShardingRule MoeOp::getShardingRule() {
  enum { t, k, e, f, d, o };
  ShardingRule rule;
  rule.factors = {{dimOf(getX(), 0)},
                  {dimOf(getChosen(), 1), FactorKind::whole},
                  {dimOf(getGate(), 0), FactorKind::sum},
                  {dimOf(getGate(), 1), FactorKind::sum, blockLengthOf(getDown())},
                  {dimOf(getX(), 1), FactorKind::whole},
                  {dimOf(getDown(), 1)}};
  ShardingRule::Dims inner = {one(e), one(f), one(d)}, perChoice = {one(t), one(k)};
  rule.operands = {{one(t), one(d)}, perChoice, perChoice, inner, inner, {one(e), one(o), one(f)}};
  rule.results = {{one(t), one(o)}};
  rule.experts = e;
  return rule;
}

void MoeOp::localize(const LocalRanges &ranges) {
  enum { gate = 3, down = 5 };
  setFirstExpert(ranges.operands[gate][0].begin);
  setPadBefore(ranges.operands[gate][1].begin - ranges.operands[down][2].begin);
}

SmallVector<StringRef, 2> MoeOp::getLocalAttributes() {
  return {getFirstExpertAttrName(), getPadBeforeAttrName()};
}
