// Checks and sharding rules of the ops that read and write elements by numbers in tensors.
#include "dialect/op_checks.h"

using namespace mlir;
using namespace cleave;

/// A dimension of a value.
using DimOf = std::pair<Value, unsigned>;

static SmallVector<DimOf> dimsOf(Value value, unsigned begin, unsigned end) {
  SmallVector<DimOf> dims;
  for (unsigned dim = begin; dim < end; ++dim)
    dims.push_back({value, dim});
  return dims;
}

/// `value` has x's element type and these dimensions, in order.
static LogicalResult expectShape(Operation *op, StringRef what, Value value, Value x,
                                 ArrayRef<DimOf> dims) {
  bool fits = tensorOf(value).getElementType() == tensorOf(x).getElementType() &&
              tensorOf(value).getRank() == static_cast<int64_t>(dims.size());
  for (unsigned d = 0; fits && d < dims.size(); ++d)
    fits = sameDim(value, d, dims[d].first, dims[d].second);
  if (fits)
    return success();
  SmallVector<int64_t> shape;
  SmallVector<StringAttr> names;
  for (auto [from, dim] : dims) {
    shape.push_back(dimOf(from, dim));
    names.push_back(getDimName(tensorOf(from), dim));
  }
  return op->emitOpError("expects ")
         << what << " of type " << getTensorType(shape, tensorOf(x).getElementType(), names)
         << ", found " << value.getType();
}

static LogicalResult expectDim(Operation *op, int64_t dim, Value x) {
  if (dim >= 0 && dim < tensorOf(x).getRank())
    return success();
  return op->emitOpError("has dim ") << dim << " of " << x.getType();
}

namespace {

/// Collects factors while dims are named one by one.
class RuleBuilder {
public:
  unsigned add(Value value, unsigned dim, FactorKind kind) {
    rule.factors.push_back({dimOf(value, dim), kind});
    return rule.factors.size() - 1;
  }
  ShardingRule rule;
};

} // namespace

// ---- take ----

static SmallVector<DimOf> getTakenDims(TakeOp op) {
  unsigned dim = op.getDim();
  SmallVector<DimOf> dims = dimsOf(op.getX(), 0, dim);
  dims.append(dimsOf(op.getIndices(), 0, tensorOf(op.getIndices()).getRank()));
  dims.append(dimsOf(op.getX(), dim + 1, tensorOf(op.getX()).getRank()));
  return dims;
}

LogicalResult TakeOp::verify() {
  if (failed(expectDim(*this, getDim(), getX())))
    return failure();
  if (failed(expectShape(*this, "a result", getResult(), getX(), getTakenDims(*this))))
    return failure();
  if (!isMasked()) {
    if (getOffset() != 0)
      return emitOpError("has offset ") << getOffset() << " but is not masked";
    return success();
  }
  int64_t size = dimOf(getX(), getDim());
  if (ShapedType::isDynamic(size))
    return emitOpError("is masked along dim ")
           << getDim() << " of " << getX().getType() << ", which is of a run-time size";
  if (getOffset() < 0 || size > getWhole() || getOffset() > getWhole() - size)
    return emitOpError("has ") << size << " slices from " << getOffset() << " of " << getWhole();
  return success();
}

/// Of a table that is cut each rank looks up in its share, and the results are summed. Of a value
/// of the run a share has not all that may be chosen: it is joined once for all that choose from
/// it (queries, keys and values of one product), where each of them would be a sum.
static FactorKind getTakenKind(TakeOp op) {
  RankedTensorType x = tensorOf(op.getX());
  bool isTable = op.getX().getDefiningOp<UseOp>() && !x.isDynamicDim(op.getDim());
  return isTable && !x.getElementType().isInteger(1) ? FactorKind::sum : FactorKind::whole;
}

ShardingRule TakeOp::getShardingRule() {
  RuleBuilder builder;
  builder.rule.operands.resize(2);
  builder.rule.results.emplace_back();
  for (int64_t d = 0; d < tensorOf(getX()).getRank(); ++d)
    builder.rule.operands[0].push_back(
        one(builder.add(getX(), d, d == getDim() ? getTakenKind(*this) : FactorKind::parallel)));
  for (int64_t d = 0; d < tensorOf(getIndices()).getRank(); ++d)
    builder.rule.operands[1].push_back(one(builder.add(getIndices(), d, FactorKind::parallel)));
  ArrayRef<ShardingRule::Dim> ofX(builder.rule.operands[0]), ofIndices(builder.rule.operands[1]);
  ShardingRule::Dims &result = builder.rule.results[0];
  result.append(ofX.begin(), ofX.begin() + getDim());
  result.append(ofIndices.begin(), ofIndices.end());
  result.append(ofX.begin() + getDim() + 1, ofX.end());
  builder.rule.linearIn = {0};
  return builder.rule;
}

void TakeOp::localize(const LocalRanges &ranges) {
  ElementRange held = ranges.operands[0][getDim()];
  int64_t all = ranges.operandSizes[0][getDim()];
  if (ShapedType::isDynamic(all) || held.size() == all)
    return;
  setOffset(getOffset() + held.begin);
  setWhole(isMasked() ? getWhole() : all);
}

SmallVector<StringRef, 2> TakeOp::getLocalAttributes() {
  return {getOffsetAttrName(), getWholeAttrName()};
}

// ---- gather_elements ----

/// The indices have x's rank, and x is no smaller but along `dim`.
static LogicalResult verifyElements(Operation *op, Value x, Value indices, int64_t dim) {
  if (failed(expectDim(op, dim, x)))
    return failure();
  bool fits = tensorOf(x).getRank() == tensorOf(indices).getRank();
  for (int64_t d = 0; fits && d < tensorOf(x).getRank(); ++d) {
    MaybeSize left = sizeDifference(getDimSize(tensorOf(x), d), getDimSize(tensorOf(indices), d));
    fits = d == dim || sameDim(x, d, indices, d) || (left && left->isNonNegative());
  }
  if (fits)
    return success();
  return op->emitOpError("has indices ")
         << indices.getType() << ", which do not lie in " << x.getType() << " but for dim " << dim;
}

/// Dims of x and of the indices: shared where they are alike, else whole; along `dim` x is
/// whole and the indices are of `alongDim`.
static ShardingRule elementsRule(Value x, Value indices, int64_t dim, FactorKind alongDim) {
  RuleBuilder builder;
  ShardingRule::Dims ofX, ofIndices;
  for (int64_t d = 0; d < tensorOf(x).getRank(); ++d) {
    bool isShared = d != dim && sameDim(x, d, indices, d);
    ofX.push_back(one(builder.add(x, d, isShared ? FactorKind::parallel : FactorKind::whole)));
    ofIndices.push_back(
        isShared ? ofX.back()
                 : one(builder.add(indices, d, d == dim ? alongDim : FactorKind::whole)));
  }
  builder.rule.operands = {ofX, ofIndices};
  return builder.rule;
}

LogicalResult GatherElementsOp::verify() {
  if (failed(verifyElements(*this, getX(), getIndices(), getDim())))
    return failure();
  return expectShape(*this, "a result", getResult(), getX(),
                     dimsOf(getIndices(), 0, tensorOf(getIndices()).getRank()));
}

ShardingRule GatherElementsOp::getShardingRule() {
  ShardingRule rule = elementsRule(getX(), getIndices(), getDim(), FactorKind::parallel);
  rule.results = {rule.operands[1]};
  rule.linearIn = {0};
  return rule;
}

// ---- gather_nd ----

/// The length of the tuples, or an error.
static FailureOr<int64_t> getTupleLength(Operation *op, Value x, Value indices, int64_t batchDims) {
  RankedTensorType type = tensorOf(indices);
  int64_t rank = tensorOf(x).getRank();
  if (batchDims < 0 || type.getRank() <= batchDims || rank <= batchDims)
    return op->emitOpError("has ")
           << batchDims << " batch dims of " << x.getType() << " and " << indices.getType();
  int64_t length = type.getShape().back();
  if (ShapedType::isDynamic(length) || length < 1 || length > rank - batchDims)
    return op->emitOpError("expects tuples of 1 to ")
           << rank - batchDims << " numbers for " << x.getType() << ", found " << type;
  for (int64_t d = 0; d < batchDims; ++d)
    if (failed(expectSameDim(op, indices, d, "the indices", x, d, "x")))
      return failure();
  return length;
}

LogicalResult GatherNdOp::verify() {
  FailureOr<int64_t> length = getTupleLength(*this, getX(), getIndices(), getBatchDims());
  if (failed(length))
    return failure();
  SmallVector<DimOf> dims = dimsOf(getIndices(), 0, tensorOf(getIndices()).getRank() - 1);
  dims.append(dimsOf(getX(), getBatchDims() + *length, tensorOf(getX()).getRank()));
  return expectShape(*this, "a result", getResult(), getX(), dims);
}

ShardingRule GatherNdOp::getShardingRule() {
  RuleBuilder builder;
  ShardingRule::Dims ofX, ofIndices, ofResult;
  int64_t outer = tensorOf(getIndices()).getRank() - 1, length = dimOf(getIndices(), outer);
  for (int64_t d = 0; d < tensorOf(getX()).getRank(); ++d) {
    bool isChosen = d >= getBatchDims() && d < getBatchDims() + length;
    ofX.push_back(one(builder.add(getX(), d, isChosen ? FactorKind::whole : FactorKind::parallel)));
  }
  for (int64_t d = 0; d < outer; ++d) {
    ofIndices.push_back(
        d < getBatchDims() ? ofX[d] : one(builder.add(getIndices(), d, FactorKind::parallel)));
    ofResult.push_back(ofIndices.back());
  }
  ofIndices.push_back(one(builder.add(getIndices(), outer, FactorKind::whole)));
  ofResult.append(ofX.begin() + getBatchDims() + length, ofX.end());
  builder.rule.operands = {ofX, ofIndices};
  builder.rule.results = {ofResult};
  builder.rule.linearIn = {0};
  return builder.rule;
}

// ---- scatter_elements ----

/// Kinds that compute do so with numbers that a kernel knows.
static LogicalResult verifyKind(Operation *op, ScatterKind kind, Value x) {
  Type type = tensorOf(x).getElementType();
  if (kind == ScatterKind::Set || isComputedInPlace(type))
    return success();
  return op->emitOpError("cannot ") << stringifyScatterKind(kind) << " elements of " << type
                                    << ", expected f32, f64 or integers";
}

/// Operands are the updates, x and the indices; the result is linear in the first two.
static ShardingRule scatterRule(ScatterKind kind, ShardingRule::Dims updates, ShardingRule::Dims x,
                                ShardingRule::Dims indices, ShardingRule rule) {
  rule.operands = {updates, x, indices};
  rule.results = {x};
  if (kind == ScatterKind::Set || kind == ScatterKind::Add)
    rule.linearIn = {0, 1};
  return rule;
}

LogicalResult ScatterElementsOp::verify() {
  if (failed(verifyElements(*this, getX(), getIndices(), getDim())) ||
      failed(verifyKind(*this, getKind(), getX())))
    return failure();
  return expectShape(*this, "updates", getUpdates(), getX(),
                     dimsOf(getIndices(), 0, tensorOf(getIndices()).getRank()));
}

ShardingRule ScatterElementsOp::getShardingRule() {
  ShardingRule rule = elementsRule(getX(), getIndices(), getDim(), FactorKind::whole);
  return scatterRule(getKind(), rule.operands[1], rule.operands[0], rule.operands[1], rule);
}

// ---- scatter_nd ----

LogicalResult ScatterNdOp::verify() {
  FailureOr<int64_t> length = getTupleLength(*this, getX(), getIndices(), /*batchDims=*/0);
  if (failed(length) || failed(verifyKind(*this, getKind(), getX())))
    return failure();
  SmallVector<DimOf> dims = dimsOf(getIndices(), 0, tensorOf(getIndices()).getRank() - 1);
  dims.append(dimsOf(getX(), *length, tensorOf(getX()).getRank()));
  return expectShape(*this, "updates", getUpdates(), getX(), dims);
}

ShardingRule ScatterNdOp::getShardingRule() {
  RuleBuilder builder;
  ShardingRule::Dims ofX, ofIndices, ofUpdates;
  int64_t outer = tensorOf(getIndices()).getRank() - 1, length = dimOf(getIndices(), outer);
  for (int64_t d = 0; d <= outer; ++d)
    ofIndices.push_back(one(builder.add(getIndices(), d, FactorKind::whole)));
  for (int64_t d = 0; d < tensorOf(getX()).getRank(); ++d)
    ofX.push_back(
        one(builder.add(getX(), d, d < length ? FactorKind::whole : FactorKind::parallel)));
  ofUpdates.append(ofIndices.begin(), ofIndices.end() - 1);
  ofUpdates.append(ofX.begin() + length, ofX.end());
  return scatterRule(getKind(), ofUpdates, ofX, ofIndices, builder.rule);
}
