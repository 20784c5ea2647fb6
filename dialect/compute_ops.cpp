// Checks, sharding rules and localization of the ops that compute.
#include "dialect/dialect.h"
#include "dialect/op_checks.h"
#include "runtime/program/candidates.h"

#include "mlir/IR/Builders.h"

#include <limits>

using namespace mlir;
using namespace cleave;

// ---- gather ----

LogicalResult GatherOp::verify() {
  if (failed(expectRank(*this, getSource(), "a source", 2)) ||
      failed(expectRank(*this, getIndices(), "indices", 1)) ||
      failed(expectRank(*this, getResult(), "a result", 2)) ||
      failed(expectSameDim(*this, getResult(), 0, "the result", getIndices(), 0, "the indices")) ||
      failed(expectSameDim(*this, getResult(), 1, "the result", getSource(), 1, "the source")))
    return failure();
  if (getOffset() < 0)
    return emitOpError("has the negative offset ") << getOffset();
  if (getOffset() != 0 && !getMasked())
    return emitOpError("has offset ") << getOffset() << " but is not masked";
  return success();
}

ShardingRule GatherOp::getShardingRule() {
  enum { t, v, d };
  ShardingRule rule;
  rule.factors = {
      {dimOf(getIndices(), 0)}, {dimOf(getSource(), 0), FactorKind::sum}, {dimOf(getSource(), 1)}};
  rule.factors[d].grain = blockLengthOf(getSource());
  // Rows that are known only at run time (a step's tokens) cannot be numbered by ranges.
  if (tensorOf(getSource()).isDynamicDim(0))
    rule.factors[v].kind = FactorKind::whole;
  rule.operands = {{one(v), one(d)}, {one(t)}};
  rule.results = {{one(t), one(d)}};
  rule.linearIn = {0};
  return rule;
}

void GatherOp::localize(const LocalRanges &ranges) {
  ElementRange rows = ranges.operands[0][0];
  int64_t all = ranges.operandSizes[0][0];
  if (ShapedType::isDynamic(all) || rows.size() == all)
    return;
  setOffset(getOffset() + rows.begin);
  setMasked(true);
}

SmallVector<StringRef, 2> GatherOp::getLocalAttributes() {
  return {getOffsetAttrName(), getMaskedAttrName()};
}

// ---- linear ----

LogicalResult cleave::verifyLinear(Operation *op, Value x, Value weight, Value result,
                                   int64_t padBefore) {
  int64_t last = tensorOf(x).getRank() - 1;
  if (last < 0)
    return op->emitOpError("expects an x of rank 1 at least, found ") << x.getType();
  if (failed(expectRank(op, weight, "a weight", 2)) ||
      failed(expectRank(op, result, "a result", last + 1)) ||
      failed(expectSameDim(op, result, last, "the result", weight, 0, "the weight")))
    return failure();
  for (int64_t dim = 0; dim < last; ++dim)
    if (failed(expectSameDim(op, result, dim, "the result", x, dim, "x")))
      return failure();
  int64_t length = blockLengthOf(weight);
  if (tensorOf(x).isDynamicDim(last) || tensorOf(weight).isDynamicDim(1))
    return op->emitOpError("expects input features of static size, found ")
           << x.getType() << " and " << weight.getType();
  int64_t padding = dimOf(weight, 1) - dimOf(x, last);
  if (padBefore < 0 || padBefore >= length || padding < padBefore || padding - padBefore >= length)
    return op->emitOpError("has a weight of ")
           << dimOf(weight, 1) << " columns for an x of " << dimOf(x, last)
           << " with pad_before = " << padBefore << ": at most " << length - 1
           << " columns before it and after it may meet zero";
  return success();
}

LogicalResult LinearOp::verify() {
  return verifyLinear(*this, getX(), getWeight(), getResult(), getPadBefore());
}

ShardingRule LinearOp::getShardingRule() {
  enum { o, i };
  ShardingRule rule;
  ArrayRef<int64_t> x = tensorOf(getX()).getShape();
  rule.factors = {{dimOf(getWeight(), 0)}, {x.back(), FactorKind::sum}};
  rule.factors[i].grain = blockLengthOf(getWeight());
  ShardingRule::Dims rows;
  for (int64_t size : x.drop_back()) {
    rows.push_back(one(rule.factors.size()));
    rule.factors.push_back({size});
  }
  rule.operands = {rows, {one(o), one(i)}};
  rule.operands.front().push_back(one(i));
  rule.results = {rows};
  rule.results.front().push_back(one(o));
  rule.linearIn = {0};
  return rule;
}

void LinearOp::localize(const LocalRanges &ranges) {
  setPadBefore(ranges.operands[0].back().begin - ranges.operands[1].back().begin);
}

SmallVector<StringRef, 2> LinearOp::getLocalAttributes() {
  return {getPadBeforeAttrName()};
}

// ---- rms_norm ----

LogicalResult cleave::verifyRmsNorm(Operation *op, Value x, Value weight) {
  if (failed(expectRank(op, x, "x", 2)) || failed(expectRank(op, weight, "a weight", 1)))
    return failure();
  return expectSameDim(op, x, 1, "x", weight, 0, "the weight");
}

LogicalResult RmsNormOp::verify() {
  int64_t last = tensorOf(getX()).getRank() - 1;
  if (last < 0)
    return emitOpError("expects an x of rank 1 at least, found ") << getX().getType();
  if (failed(expectRank(*this, getWeight(), "a weight", 1)))
    return failure();
  if (!getPerHead())
    return expectSameDim(*this, getX(), last, "x", getWeight(), 0, "the weight");
  int64_t width = dimOf(getX(), last), headDim = dimOf(getWeight(), 0);
  if (headDim < 1 || width < 0 || width % headDim != 0)
    return emitOpError("expects an x of whole heads of the weight's size, found ")
           << getX().getType() << " and " << getWeight().getType();
  return success();
}

ShardingRule RmsNormOp::getShardingRule() {
  enum { element, head };
  ShardingRule rule;
  ArrayRef<int64_t> x = tensorOf(getX()).getShape();
  int64_t normed = dimOf(getWeight(), 0);
  rule.factors = {{normed, FactorKind::whole}};
  ShardingRule::Dim last = one(element);
  if (getPerHead()) {
    rule.factors.push_back({x.back() / normed});
    last = {head, element};
  }
  ShardingRule::Dims dims;
  for (int64_t size : x.drop_back()) {
    dims.push_back(one(rule.factors.size()));
    rule.factors.push_back({size});
  }
  dims.push_back(last);
  rule.operands = {dims, {one(element)}};
  rule.results = {dims};
  return rule;
}

// ---- rope ----

LogicalResult RopeOp::verify() {
  if (failed(expectRank(*this, getX(), "x", 2)) ||
      failed(expectRank(*this, getPositions(), "positions", 1)) ||
      failed(expectSameDim(*this, getX(), 0, "x", getPositions(), 0, "the positions")))
    return failure();
  int64_t headDim = getHeadDim(), rotaryDim = getRotaryDim();
  if (headDim < 1 || tensorOf(getX()).isDynamicDim(1) || dimOf(getX(), 1) % headDim != 0)
    return emitOpError("expects an x of whole heads of ")
           << headDim << ", found " << getX().getType();
  if (rotaryDim < 0 || rotaryDim > headDim || rotaryDim % 2 != 0)
    return emitOpError("has rotary_dim ")
           << rotaryDim << ", expected an even number of at most head_dim = " << headDim;
  if (Value factors = getFactors())
    if (tensorOf(factors).getRank() != 1 || dimOf(factors, 0) != rotaryDim / 2)
      return emitOpError("expects ") << rotaryDim / 2 << " factors, found " << factors.getType();
  return success();
}

ShardingRule RopeOp::getShardingRule() {
  enum { t, head, headElement, f };
  ShardingRule rule;
  rule.factors = {
      {dimOf(getX(), 0)}, {dimOf(getX(), 1) / getHeadDim()}, {getHeadDim(), FactorKind::whole}};
  ShardingRule::Dims x = {one(t), {head, headElement}};
  rule.operands = {x, {one(t)}};
  if (Value factors = getFactors()) {
    rule.factors.push_back({dimOf(factors, 0), FactorKind::whole});
    rule.operands.push_back({one(f)});
  }
  rule.results = {x};
  rule.linearIn = {0};
  return rule;
}

// ---- state_update ----

LogicalResult StateUpdateOp::verify() {
  if (failed(expectRank(*this, getX(), "x", 2)) ||
      failed(expectRank(*this, getSlots(), "slots", 1)) ||
      failed(expectRank(*this, getPositions(), "positions", 1)) ||
      failed(expectRank(*this, getResult(), "a result", 3)) ||
      failed(expectSameDim(*this, getX(), 0, "x", getSlots(), 0, "the slots")) ||
      failed(expectSameDim(*this, getX(), 0, "x", getPositions(), 0, "the positions")))
    return failure();
  return expectSameDim(*this, getResult(), 2, "the result", getX(), 1, "x");
}

ShardingRule StateUpdateOp::getShardingRule() {
  enum { t, s, c, d };
  ShardingRule rule;
  // Tokens are whole: a state that is not cut over slots needs all rows.
  rule.factors = {{dimOf(getX(), 0), FactorKind::whole},
                  {dimOf(getResult(), 0), FactorKind::whole},
                  {dimOf(getResult(), 1), FactorKind::whole},
                  {dimOf(getX(), 1)}};
  rule.operands = {{one(t), one(d)}, {one(t)}, {one(t)}};
  rule.results = {{one(s), one(c), one(d)}};
  return rule;
}

// ---- attention ----

/// More query heads for one key head than this are a mistake in the file.
static constexpr int64_t maxGroup = 65536;

LogicalResult AttentionOp::verify() {
  if (failed(expectRank(*this, getQ(), "q", 2)) || failed(expectRank(*this, getK(), "k", 3)) ||
      failed(expectRank(*this, getSlots(), "slots", 1)) ||
      failed(expectRank(*this, getPositions(), "positions", 1)) ||
      failed(expectSameDim(*this, getQ(), 0, "q", getSlots(), 0, "the slots")) ||
      failed(expectSameDim(*this, getQ(), 0, "q", getPositions(), 0, "the positions")))
    return failure();
  int64_t headDim = getHeadDim(), group = getGroup(), first = getFirstHead();
  int64_t q = dimOf(getQ(), 1), k = dimOf(getK(), 2);
  if (headDim < 1 || q < 0 || k < 0 || q % headDim != 0 || k % headDim != 0)
    return emitOpError("expects whole heads of ")
           << headDim << ", found q " << getQ().getType() << " and k " << getK().getType();
  int64_t heads = q / headDim, keyHeads = k / headDim;
  if (group < 1 || group > maxGroup || first < 0 || first >= group)
    return emitOpError("has group ") << group << " and first_head " << first
                                     << ", expected 0 <= first_head < group <= " << maxGroup;
  if (getWindow() < 0 || getWindow() > std::numeric_limits<int32_t>::max())
    return emitOpError("has window ") << getWindow() << ", expected 0 (none) to 2147483647";
  // Every key head is read, and every query head's key head exists.
  int64_t needed = heads == 0 ? 0 : (first + heads - 1) / group + 1;
  if (needed != keyHeads)
    return emitOpError("has ") << heads << " query heads in groups of " << group << " from place "
                               << first << ", which read " << needed << " key heads, but k has "
                               << keyHeads;
  return success();
}

ShardingRule AttentionOp::getShardingRule() {
  enum { t, s, c, keyHead, inGroup, headElement };
  int64_t headDim = getHeadDim(), group = getGroup();
  ShardingRule rule;
  rule.factors = {{dimOf(getQ(), 0)},
                  {dimOf(getK(), 0), FactorKind::whole},
                  {dimOf(getK(), 1), FactorKind::whole},
                  {dimOf(getK(), 2) / headDim},
                  {group},
                  {headDim, FactorKind::whole}};
  ShardingRule::Dims q = {one(t), {keyHead, inGroup, headElement}};
  ShardingRule::Dims k = {one(s), one(c), {keyHead, headElement}};
  rule.operands = {q, k, k, {one(t)}, {one(t)}};
  rule.results = {q};
  return rule;
}

void AttentionOp::localize(const LocalRanges &ranges) {
  int64_t headDim = getHeadDim();
  int64_t firstQuery = ranges.operands[0][1].begin / headDim;
  int64_t firstKey = ranges.operands[1][2].begin / headDim;
  setFirstHead(firstQuery - firstKey * getGroup());
}

SmallVector<StringRef, 2> AttentionOp::getLocalAttributes() {
  return {getFirstHeadAttrName()};
}

// ---- top_k ----

LogicalResult TopKOp::verify() {
  if (failed(expectRank(*this, getX(), "x", 2)) ||
      failed(expectRank(*this, getResult(), "a result", 3)) ||
      failed(expectSameDim(*this, getResult(), 0, "the result", getX(), 0, "x")))
    return failure();
  RankedTensorType x = tensorOf(getX()), result = tensorOf(getResult());
  if (x.isDynamicDim(1))
    return emitOpError("expects rows of static size, found ") << x;
  if (result.getDimSize(2) != 2 || result.getDimSize(1) < 1 || result.getDimSize(1) > maxCandidates)
    return emitOpError("expects a result [r, k, 2] with 1 <= k <= ")
           << maxCandidates << ", found " << result;
  if (getOffset() < 0 || getOffset() > maxCandidateColumns - x.getDimSize(1))
    return emitOpError("has ") << x.getDimSize(1) << " columns from " << getOffset()
                               << " on, expected them in 0:" << maxCandidateColumns;
  return success();
}

ShardingRule TopKOp::getShardingRule() {
  enum { r, v, candidate, pair };
  ShardingRule rule;
  rule.factors = {{dimOf(getX(), 0)},
                  {dimOf(getX(), 1), FactorKind::top},
                  {dimOf(getResult(), 1), FactorKind::whole},
                  {2, FactorKind::whole}};
  rule.operands = {{one(r), one(v)}};
  rule.results = {{one(r), one(candidate), one(pair)}};
  return rule;
}

void TopKOp::localize(const LocalRanges &ranges) {
  setOffset(getOffset() + ranges.operands[0][1].begin);
}

SmallVector<StringRef, 2> TopKOp::getLocalAttributes() {
  return {getOffsetAttrName()};
}
