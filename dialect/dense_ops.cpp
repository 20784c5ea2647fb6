// Checks, sharding rules and localization of products of matrices, norms, reductions and
// what goes along one dimension.
#include "dialect/op_checks.h"

using namespace mlir;
using namespace cleave;

static bool areDims(ArrayRef<int64_t> dims, int64_t rank) {
  return llvm::all_of(dims, [&](int64_t dim) { return dim >= 0 && dim < rank; });
}

static LogicalResult expectDim(Operation *op, Value x, int64_t dim) {
  if (areDims(dim, tensorOf(x).getRank()))
    return success();
  return op->emitOpError("has dim ") << dim << " of " << x.getType();
}

/// Element by element, but that these dims of x are whole.
static ShardingRule ruleAlong(Value x, ArrayRef<int64_t> whole) {
  ShardingRule rule;
  ShardingRule::Dims dims;
  for (int64_t size : tensorOf(x).getShape()) {
    dims.push_back(one(rule.factors.size()));
    rule.factors.push_back({size});
  }
  for (int64_t dim : whole)
    rule.factors[dim].kind = FactorKind::whole;
  rule.operands = {dims};
  rule.results = {dims};
  return rule;
}

/// A reduction of the result's `dims` of x: they have size 1 there, or are not there.
static LogicalResult verifyReduced(Operation *op, Value x, ArrayRef<int64_t> dims, Value result) {
  int64_t rank = tensorOf(x).getRank(), left = rank - static_cast<int64_t>(dims.size());
  RankedTensorType type = tensorOf(result);
  bool keeps = type.getRank() == rank;
  bool fits = keeps || type.getRank() == left;
  for (int64_t dim = 0, at = 0; fits && dim < rank; ++dim) {
    if (!llvm::is_contained(dims, dim))
      fits = sameDim(result, at++, x, dim);
    else if (keeps)
      fits = type.getDimSize(at++) == 1;
  }
  if (fits)
    return success();
  return op->emitOpError("does not make ") << type << " of " << x.getType() << " along dims ["
                                           << dims << "], which become 1 or are left out";
}

/// The rule of a reduction, its reduced factors being of `kind`.
static ShardingRule reductionRule(Value x, ArrayRef<int64_t> dims, Value result, FactorKind kind) {
  ShardingRule rule = ruleAlong(x, {});
  ShardingRule::Dims left;
  bool keeps = tensorOf(result).getRank() == tensorOf(x).getRank();
  for (int64_t dim = 0; dim < tensorOf(x).getRank(); ++dim) {
    if (!llvm::is_contained(dims, dim)) {
      left.push_back(one(dim));
      continue;
    }
    // Which elements a share of a run-time size has is not known when ranks are proved.
    rule.factors[dim].kind = tensorOf(x).isDynamicDim(dim) ? FactorKind::whole : kind;
    if (keeps) {
      left.push_back(one(rule.factors.size()));
      rule.factors.push_back({1, FactorKind::whole});
    }
  }
  rule.results = {left};
  return rule;
}

/// Whether a value's elements are of such a type.
template <typename TypeT> static bool isOf(Value value) {
  return isa<TypeT>(tensorOf(value).getElementType());
}

static LogicalResult expectElementsOf(Operation *op, Value x, Value result) {
  if (tensorOf(x).getElementType() == tensorOf(result).getElementType())
    return success();
  return op->emitOpError("makes ")
         << result.getType() << " of " << x.getType() << ", expected the same element type";
}

// ---- matmul ----

LogicalResult MatMulOp::verify() {
  int64_t rankA = tensorOf(getA()).getRank(), rankB = tensorOf(getB()).getRank();
  int64_t rank = std::max(rankA, rankB);
  if (rankA < 2 || rankB < 2)
    return emitOpError("expects matrices, found ")
           << getA().getType() << " and " << getB().getType();
  bool isFloat = isOf<Float32Type>(getA()) && isOf<Float32Type>(getB());
  bool isInteger = isOf<IntegerType>(getA()) && isOf<IntegerType>(getB());
  if ((!isFloat && !isInteger) || isInteger != isOf<IntegerType>(getResult()) ||
      (isInteger && (getTransposeA() || !getTransposeB())))
    return emitOpError("makes ") << getResult().getType() << " of " << getA().getType() << " and "
                                 << getB().getType()
                                 << ", expected f32, or i32 of integers with transpose_b alone";
  if (failed(expectRank(*this, getResult(), "a result", rank)) ||
      failed(expectSameDim(*this, getA(), rankA - (getTransposeA() ? 2 : 1), "a", getB(),
                           rankB - (getTransposeB() ? 1 : 2), "b")) ||
      failed(expectSameDim(*this, getResult(), rank - 2, "the result", getA(),
                           rankA - (getTransposeA() ? 1 : 2), "a")) ||
      failed(expectSameDim(*this, getResult(), rank - 1, "the result", getB(),
                           rankB - (getTransposeB() ? 2 : 1), "b")))
    return failure();
  for (int64_t dim = 0; dim < rank - 2; ++dim) {
    bool isMade = false, fits = true;
    for (Value operand : {getA(), getB()}) {
      int64_t at = dim - (rank - tensorOf(operand).getRank());
      if (at < 0)
        continue;
      bool isSame = sameDim(getResult(), dim, operand, at);
      isMade |= isSame;
      fits &= isSame || dimOf(operand, at) == 1;
    }
    if (!isMade || !fits)
      return emitOpError("has a result ")
             << getResult().getType() << " whose dim " << dim << " is not that of "
             << getA().getType() << " and " << getB().getType() << " broadcast";
  }
  return success();
}

ShardingRule MatMulOp::getShardingRule() {
  enum { m, n, k };
  ShardingRule rule;
  int64_t rankA = tensorOf(getA()).getRank(), rankB = tensorOf(getB()).getRank();
  int64_t rank = std::max(rankA, rankB);
  int64_t sizeK = dimOf(getA(), rankA - (getTransposeA() ? 2 : 1));
  rule.factors = {{dimOf(getResult(), rank - 2)},
                  {dimOf(getResult(), rank - 1)},
                  {sizeK, ShapedType::isDynamic(sizeK) ? FactorKind::whole : FactorKind::sum}};
  ShardingRule::Dims batch;
  for (int64_t dim = 0; dim < rank - 2; ++dim) {
    batch.push_back(one(rule.factors.size()));
    rule.factors.push_back({dimOf(getResult(), dim)});
  }
  auto dimsOf = [&](Value operand, bool isTransposed, unsigned rows, unsigned columns) {
    ShardingRule::Dims dims;
    int64_t missing = rank - tensorOf(operand).getRank();
    for (int64_t dim = 0; dim < tensorOf(operand).getRank() - 2; ++dim) {
      if (sameDim(operand, dim, getResult(), missing + dim)) {
        dims.push_back(batch[missing + dim]);
        continue;
      }
      dims.push_back(one(rule.factors.size()));
      rule.factors.push_back({1, FactorKind::whole});
    }
    dims.push_back(one(isTransposed ? columns : rows));
    dims.push_back(one(isTransposed ? rows : columns));
    return dims;
  };
  rule.operands = {dimsOf(getA(), getTransposeA(), m, k), dimsOf(getB(), getTransposeB(), k, n)};
  batch.push_back(one(m));
  batch.push_back(one(n));
  rule.results = {batch};
  rule.linearIn = {0}; // in b as well, but not in both together
  return rule;
}

// ---- softmax ----

LogicalResult SoftmaxOp::verify() {
  return expectDim(*this, getX(), getDim());
}
LogicalResult LogSoftmaxOp::verify() {
  return expectDim(*this, getX(), getDim());
}
ShardingRule SoftmaxOp::getShardingRule() {
  return ruleAlong(getX(), getDim());
}
ShardingRule LogSoftmaxOp::getShardingRule() {
  return ruleAlong(getX(), getDim());
}

// ---- layer_norm ----

LogicalResult LayerNormOp::verify() {
  int64_t rank = tensorOf(getX()).getRank(), dims = getDims();
  if (dims < 1 || dims > rank)
    return emitOpError("has dims = ") << dims << " for " << getX().getType();
  const std::pair<Value, StringRef> vectors[] = {{getWeight(), "the weight"},
                                                 {getBias(), "the bias"}};
  for (auto [value, what] : vectors) {
    if (!value)
      continue;
    if (failed(expectRank(*this, value, what, dims)))
      return failure();
    for (int64_t dim = 0; dim < dims; ++dim)
      if (failed(expectSameDim(*this, value, dim, what, getX(), rank - dims + dim, "x")))
        return failure();
  }
  return success();
}

ShardingRule LayerNormOp::getShardingRule() {
  int64_t rank = tensorOf(getX()).getRank();
  SmallVector<int64_t> whole = llvm::to_vector(llvm::seq<int64_t>(rank - getDims(), rank));
  ShardingRule rule = ruleAlong(getX(), whole);
  ShardingRule::Dims last(llvm::drop_begin(rule.results.front(), rank - getDims()));
  for (Value value : {getWeight(), getBias()})
    if (value)
      rule.operands.push_back(last);
  return rule;
}

// ---- reduce ----

bool ReduceOp::keepsDims() {
  return tensorOf(getResult()).getRank() == tensorOf(getX()).getRank();
}

/// The factors of sums can be cut.
static bool isSum(ReduceKind kind) {
  return kind == ReduceKind::Sum || kind == ReduceKind::Mean || kind == ReduceKind::L1 ||
         kind == ReduceKind::SumSquare;
}

LogicalResult ReduceOp::verify() {
  ArrayRef<int64_t> dims = getDims();
  bool rises = llvm::is_sorted(dims) && std::adjacent_find(dims.begin(), dims.end()) == dims.end();
  if (dims.empty() || !rises || !areDims(dims, tensorOf(getX()).getRank()))
    return emitOpError("has dims [")
           << dims << "], expected rising ones of " << getX().getType() << ", at least one";
  if (std::optional<int64_t> count = getCount(); count && getKind() != ReduceKind::Mean)
    return emitOpError("has a count but is no mean");
  else if (count && *count < 1)
    return emitOpError("has count ") << *count << ", expected at least 1";
  bool isOfFloats = getKind() == ReduceKind::Mean || getKind() == ReduceKind::LogSumExp;
  if (isOfFloats && !isOf<Float32Type>(getX()))
    return emitOpError("is a ") << stringifyReduceKind(getKind()) << " of " << getX().getType()
                                << ", expected f32";
  if (failed(expectElementsOf(*this, getX(), getResult())))
    return failure();
  return verifyReduced(*this, getX(), dims, getResult());
}

ShardingRule ReduceOp::getShardingRule() {
  FactorKind kind = isSum(getKind()) ? FactorKind::sum : FactorKind::whole;
  // A mean divides by a number: all that it counts is static, or nothing is cut.
  if (getKind() == ReduceKind::Mean &&
      llvm::any_of(getDims(), [&](int64_t dim) { return tensorOf(getX()).isDynamicDim(dim); }))
    kind = FactorKind::whole;
  ShardingRule rule = reductionRule(getX(), getDims(), getResult(), kind);
  if (getKind() == ReduceKind::Sum || getKind() == ReduceKind::Mean)
    rule.linearIn = {0};
  return rule;
}

void ReduceOp::localize(const LocalRanges &ranges) {
  if (getKind() != ReduceKind::Mean)
    return;
  int64_t all = 1;
  bool isCut = false;
  for (int64_t dim : getDims()) {
    int64_t size = ranges.operandSizes[0][dim];
    if (ShapedType::isDynamic(size))
      return; // and so whole
    all *= size;
    isCut |= ranges.operands[0][dim].size() != size;
  }
  if (isCut && !getCount())
    setCount(all);
}

SmallVector<StringRef, 2> ReduceOp::getLocalAttributes() {
  return {getCountAttrName()};
}

// ---- arg_max, arg_min, top_elements ----

template <typename OpT> static LogicalResult verifyArg(OpT op) {
  if (failed(expectDim(op, op.getX(), op.getDim())))
    return failure();
  if (dimOf(op.getX(), op.getDim()) == 0)
    return op.emitOpError("looks for an element along empty dim ")
           << op.getDim() << " of " << op.getX().getType();
  return verifyReduced(op, op.getX(), op.getDim(), op.getResult());
}

LogicalResult ArgMaxOp::verify() {
  return verifyArg(*this);
}
LogicalResult ArgMinOp::verify() {
  return verifyArg(*this);
}
ShardingRule ArgMaxOp::getShardingRule() {
  return reductionRule(getX(), getDim(), getResult(), FactorKind::whole);
}
ShardingRule ArgMinOp::getShardingRule() {
  return reductionRule(getX(), getDim(), getResult(), FactorKind::whole);
}

LogicalResult TopElementsOp::verify() {
  if (failed(expectDim(*this, getX(), getDim())) ||
      failed(expectElementsOf(*this, getX(), getValues())))
    return failure();
  int64_t dim = getDim(), size = dimOf(getX(), dim);
  for (Value result : {getValues(), getIndices()}) {
    if (failed(expectRank(*this, result, "a result", tensorOf(getX()).getRank())))
      return failure();
    for (int64_t other = 0; other < tensorOf(getX()).getRank(); ++other)
      if (other != dim &&
          failed(expectSameDim(*this, result, other, "the result", getX(), other, "x")))
        return failure();
  }
  int64_t count = dimOf(getValues(), dim);
  if (ShapedType::isDynamic(size) || ShapedType::isDynamic(count) || count > size ||
      count != dimOf(getIndices(), dim))
    return emitOpError("takes ") << getValues().getType() << " and " << getIndices().getType()
                                 << " from dim " << dim << " of " << getX().getType();
  return success();
}

ShardingRule TopElementsOp::getShardingRule() {
  ShardingRule rule = ruleAlong(getX(), getDim());
  rule.results.front()[getDim()] = one(rule.factors.size());
  rule.factors.push_back({dimOf(getValues(), getDim()), FactorKind::whole});
  rule.results.push_back(rule.results.front());
  return rule;
}

// ---- cumulative_sum ----

LogicalResult CumulativeSumOp::verify() {
  return expectDim(*this, getX(), getDim());
}

ShardingRule CumulativeSumOp::getShardingRule() {
  ShardingRule rule = ruleAlong(getX(), getDim());
  rule.linearIn = {0};
  return rule;
}

// ---- scaled_dot_product_attention ----

/// More query heads for one key head than this are a mistake in the file.
static constexpr int64_t maxGroup = 65536;

LogicalResult ScaledDotProductAttentionOp::verify() {
  const std::pair<Value, StringRef> values[] = {
      {getQ(), "q"}, {getK(), "k"}, {getV(), "v"}, {getResult(), "a result"}};
  for (auto [value, what] : values)
    if (failed(expectRank(*this, value, what, 4)))
      return failure();
  struct Pair {
    Value a;
    unsigned dimA;
    StringRef whatA;
    Value b;
    unsigned dimB;
    StringRef whatB;
  };
  const Pair pairs[] = {{getK(), 0, "k", getQ(), 0, "q"},
                        {getV(), 0, "v", getK(), 0, "k"},
                        {getV(), 1, "v", getK(), 1, "k"},
                        {getV(), 2, "v", getK(), 2, "k"},
                        {getK(), 3, "k", getQ(), 3, "q"},
                        {getResult(), 0, "the result", getQ(), 0, "q"},
                        {getResult(), 1, "the result", getQ(), 1, "q"},
                        {getResult(), 2, "the result", getQ(), 2, "q"},
                        {getResult(), 3, "the result", getV(), 3, "v"}};
  for (const Pair &pair : pairs)
    if (failed(expectSameDim(*this, pair.a, pair.dimA, pair.whatA, pair.b, pair.dimB, pair.whatB)))
      return failure();
  for (auto [value, what] : ArrayRef(values).drop_back())
    for (int64_t dim : {1, 3})
      if (tensorOf(value).isDynamicDim(dim))
        return emitOpError("expects heads of static number and size, found ") << value.getType();
  int64_t heads = dimOf(getQ(), 1), group = getGroup(), first = getFirstHead();
  if (group < 1 || group > maxGroup || first < 0 || first >= group)
    return emitOpError("has group ") << group << " and first_head " << first
                                     << ", expected 0 <= first_head < group <= " << maxGroup;
  int64_t needed = heads == 0 ? 0 : (first + heads - 1) / group + 1;
  if (needed != dimOf(getK(), 1))
    return emitOpError("has ") << heads << " query heads in groups of " << group << " from place "
                               << first << ", which read " << needed << " key heads, but k has "
                               << dimOf(getK(), 1);
  if (!getScale().isFinite() || !getSoftcap().isFinite() || getSoftcap().isNegative())
    return emitOpError("expects a finite scale, and a softcap that is not negative");
  if (getCausalFromEnd() && !getCausal())
    return emitOpError("has causal_from_end but is not causal");
  Value mask = getMask();
  for (int64_t dim : getMaskRepeats())
    if (!mask || dim < 0 || dim >= tensorOf(mask).getRank() || dimOf(mask, dim) != 1)
      return emitOpError("has mask_repeats [")
             << getMaskRepeats() << "], expected dims in which the mask's size is 1";
  if (!mask)
    return success();
  int64_t rank = tensorOf(mask).getRank();
  bool fits = rank <= 4;
  for (int64_t dim = 0; fits && dim < rank; ++dim) {
    int64_t of = 4 - rank + dim;
    fits = dimOf(mask, dim) == 1 ||
           (of == 3 ? sameDim(mask, dim, getK(), 2) : sameDim(mask, dim, getQ(), of));
  }
  if (fits)
    return success();
  return emitOpError("has a mask ")
         << mask.getType() << " that does not broadcast to the "
         << "products of q " << getQ().getType() << " and k " << getK().getType();
}

ShardingRule ScaledDotProductAttentionOp::getShardingRule() {
  enum { b, keyHead, inGroup, t, s, d, e };
  ShardingRule rule;
  rule.factors = {{dimOf(getQ(), 0)},
                  {dimOf(getK(), 1)},
                  {static_cast<int64_t>(getGroup())},
                  // A share of the queries would see other keys.
                  {dimOf(getQ(), 2), getCausal() ? FactorKind::whole : FactorKind::parallel},
                  {dimOf(getK(), 2), FactorKind::whole},
                  {dimOf(getQ(), 3), FactorKind::whole},
                  {dimOf(getV(), 3), FactorKind::whole}};
  ShardingRule::Dim heads = one(keyHead);
  if (getGroup() != 1)
    heads.push_back(inGroup);
  rule.operands = {{one(b), heads, one(t), one(d)},
                   {one(b), one(keyHead), one(s), one(d)},
                   {one(b), one(keyHead), one(s), one(e)}};
  rule.results = {{one(b), heads, one(t), one(e)}};
  if (Value mask = getMask()) {
    const ShardingRule::Dim products[] = {one(b), heads, one(t), one(s)};
    int64_t rank = tensorOf(mask).getRank();
    ShardingRule::Dims &dims = rule.operands.emplace_back();
    for (int64_t dim = 0; dim < rank; ++dim) {
      int64_t of = 4 - rank + dim;
      bool isSame = of == 3 ? sameDim(mask, dim, getK(), 2) : sameDim(mask, dim, getQ(), of);
      isSame &= !llvm::is_contained(getMaskRepeats(), dim);
      dims.push_back(isSame ? products[of] : one(rule.factors.size()));
      if (!isSame)
        rule.factors.push_back({1, FactorKind::whole});
    }
  }
  return rule;
}

void ScaledDotProductAttentionOp::localize(const LocalRanges &ranges) {
  setFirstHead(ranges.operands[0][1].begin - ranges.operands[1][1].begin * getGroup());
  if (!getMask())
    return;
  // A share of one head, say, must not be taken for what the mask has of it.
  ArrayRef<int64_t> mask = ranges.operandSizes[3];
  SmallVector<int64_t> repeats;
  for (auto [dim, size] : llvm::enumerate(mask)) {
    int64_t of = 4 - static_cast<int64_t>(mask.size() - dim);
    if (size == 1 && of < 3 && ranges.operandSizes[0][of] != 1 && dimOf(getQ(), of) == 1)
      repeats.push_back(static_cast<int64_t>(dim));
  }
  if (!repeats.empty())
    setMaskRepeats(repeats);
}

SmallVector<StringRef, 2> ScaledDotProductAttentionOp::getLocalAttributes() {
  return {getFirstHeadAttrName(), getMaskRepeatsAttrName()};
}
