// Checks and sharding rules of pooling, transposed convolution and resizing.
#include "dialect/op_checks.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace cleave;

/// Larger strides, dilations, windows and pads than this are a mistake in the file.
static constexpr int64_t maxExtent = 32768;

/// x is [n, c, s...] with one to three spatial dims; all but n are static. The result is like
/// it, with the same n.
static LogicalResult verifyImages(Operation *op, Value x, Value result) {
  int64_t rank = tensorOf(x).getRank();
  if (rank < 3 || rank > 5)
    return op->emitOpError("expects an x of rank 3 to 5, found ") << x.getType();
  if (failed(expectRank(op, result, "a result", rank)))
    return failure();
  for (Value value : {x, result})
    if (ShapedType::isDynamicShape(tensorOf(value).getShape().drop_front()))
      return op->emitOpError("expects channels and spatial dims of static size, found ")
             << value.getType();
  return expectSameDim(op, result, 0, "the result", x, 0, "x");
}

static LogicalResult verifyNumbers(Operation *op, StringRef what, ArrayRef<int64_t> numbers,
                                   int64_t count, int64_t least) {
  if (static_cast<int64_t>(numbers.size()) != count)
    return op->emitOpError("has ") << numbers.size() << " " << what << ", expected " << count;
  for (int64_t number : numbers)
    if (number < least || number > maxExtent)
      return op->emitOpError("has ")
             << number << " among its " << what << ", expected " << least << " to " << maxExtent;
  return success();
}

/// How far a window of `taps` elements reaches; they are at least 1.
static uint64_t getReach(int64_t taps, int64_t dilation) {
  return llvm::SaturatingMultiplyAdd<uint64_t>(dilation, taps - 1, 1);
}

// ---- pool, pool_indices ----

/// The window of a pool fits its images, and the result's sizes follow.
template <typename OpT> static LogicalResult verifyWindow(OpT op) {
  Value x = op.getX(), result = op.getResult();
  if (failed(verifyImages(op, x, result)) ||
      failed(expectSameDim(op, result, 1, "the result", x, 1, "x")))
    return failure();
  int64_t spatial = tensorOf(x).getRank() - 2;
  if (failed(verifyNumbers(op, "sizes of its window", op.getWindow(), spatial, 1)) ||
      failed(verifyNumbers(op, "strides", op.getStrides(), spatial, 1)) ||
      failed(verifyNumbers(op, "pads", op.getPads(), 2 * spatial, 0)) ||
      failed(verifyNumbers(op, "dilations", op.getDilations(), spatial, 1)))
    return failure();
  for (int64_t i = 0; i < spatial; ++i) {
    uint64_t padded =
        static_cast<uint64_t>(dimOf(x, 2 + i)) + op.getPads()[i] + op.getPads()[spatial + i];
    uint64_t reach = getReach(op.getWindow()[i], op.getDilations()[i]), stride = op.getStrides()[i];
    if (reach > padded)
      return op.emitOpError("has a window that reaches over ")
             << reach << " elements, for spatial dim " << i << " of " << padded
             << " elements with its pads";
    uint64_t down = (padded - reach) / stride + 1;
    uint64_t up = (padded - reach + stride - 1) / stride + 1;
    auto found = static_cast<uint64_t>(dimOf(result, 2 + i));
    if (found != down && found != up)
      return op.emitOpError("expects a result of ")
             << down << (up != down ? " or one more" : "") << " elements in spatial dim " << i
             << ", found " << result.getType();
  }
  return success();
}

/// A share of an image would need its neighbours' borders: batches and channels can be cut.
static ShardingRule windowRule(Value x, Value result) {
  ShardingRule rule;
  rule.factors = {{dimOf(x, 0)}, {dimOf(x, 1)}};
  rule.operands = {{one(0), one(1)}};
  rule.results = {{one(0), one(1)}};
  for (auto [dims, value] : {std::pair(&rule.operands[0], x), std::pair(&rule.results[0], result)})
    for (int64_t size : tensorOf(value).getShape().drop_front(2)) {
      dims->push_back(one(rule.factors.size()));
      rule.factors.push_back({size, FactorKind::whole});
    }
  return rule;
}

LogicalResult PoolOp::verify() {
  if (getCountsPads() && getKind() != PoolKind::Average)
    return emitOpError("counts pads but is no average");
  return verifyWindow(*this);
}

ShardingRule PoolOp::getShardingRule() {
  ShardingRule rule = windowRule(getX(), getResult());
  if (getKind() == PoolKind::Average)
    rule.linearIn = {0};
  return rule;
}

LogicalResult PoolIndicesOp::verify() {
  return verifyWindow(*this);
}

ShardingRule PoolIndicesOp::getShardingRule() {
  return windowRule(getX(), getResult());
}

// ---- conv_transpose ----

LogicalResult ConvTransposeOp::verify() {
  int64_t rank = tensorOf(getX()).getRank(), spatial = rank - 2;
  if (failed(verifyImages(*this, getX(), getResult())) ||
      failed(expectRank(*this, getFilter(), "a filter", rank)))
    return failure();
  if (ShapedType::isDynamicShape(tensorOf(getFilter()).getShape()))
    return emitOpError("expects a filter of static size, found ") << getFilter().getType();
  if (failed(expectSameDim(*this, getFilter(), 0, "the filter", getX(), 1, "x")))
    return failure();
  int64_t channels = dimOf(getX(), 1), outputs = dimOf(getResult(), 1),
          each = dimOf(getFilter(), 1);
  if (!getGrouped() && outputs != each)
    return emitOpError("has a filter for ") << each << " output channels, but a result of "
                                            << outputs << "; did you mean 'grouped'?";
  if (getGrouped() && (each == 0 ? outputs != 0 : outputs % each != 0))
    return emitOpError("has ") << outputs << " output channels, expected whole groups of " << each;
  if (int64_t groups = getGrouped() && each != 0 ? outputs / each : 1;
      groups == 0 ? channels != 0 : channels % groups != 0)
    return emitOpError("has ") << channels << " input channels for " << groups
                               << " groups, expected as many for each";
  if (failed(verifyNumbers(*this, "strides", getStrides(), spatial, 1)) ||
      failed(verifyNumbers(*this, "pads", getPads(), 2 * spatial, 0)) ||
      failed(verifyNumbers(*this, "dilations", getDilations(), spatial, 1)))
    return failure();
  for (int64_t i = 0; i < spatial; ++i) {
    int64_t size = dimOf(getX(), 2 + i), taps = dimOf(getFilter(), 2 + i);
    int64_t pads = getPads()[i] + getPads()[spatial + i];
    int64_t stride = getStrides()[i], dilation = getDilations()[i], reach = 0, whole = 0;
    bool fits = size >= 1 && taps >= 1 && !llvm::MulOverflow(taps - 1, dilation, reach) &&
                !llvm::MulOverflow(size - 1, stride, whole) &&
                !llvm::AddOverflow(whole, reach + 1, whole);
    int64_t least = whole - pads, found = dimOf(getResult(), 2 + i);
    if (!fits || found < std::max<int64_t>(least, 1) || found - least >= std::max(stride, dilation))
      return emitOpError("does not make ")
             << getResult().getType() << " of " << getX().getType() << " and "
             << getFilter().getType() << " in spatial dim " << i;
  }
  return success();
}

ShardingRule ConvTransposeOp::getShardingRule() {
  return convolutionRule(getX(), getFilter(), getResult(), getGrouped(), /*isTransposed=*/true);
}

// ---- resize ----

LogicalResult ResizeOp::verify() {
  int64_t rank = tensorOf(getX()).getRank(), dim = getDim();
  if (failed(expectRank(*this, getResult(), "a result", rank)))
    return failure();
  if (dim < 0 || dim >= rank)
    return emitOpError("has dim ") << dim << " of " << getX().getType();
  for (int64_t other = 0; other < rank; ++other)
    if (other != dim &&
        failed(expectSameDim(*this, getResult(), other, "the result", getX(), other, "x")))
      return failure();
  if (dimOf(getX(), dim) < 1 || tensorOf(getResult()).isDynamicDim(dim))
    return emitOpError("resizes dim ")
           << dim << " of " << getX().getType()
           << ", which must be static and not empty, to that of " << getResult().getType();
  if (!getScale().isFinite() || !(getScale().convertToDouble() > 0))
    return emitOpError("has scale ") << getScaleAttr() << ", expected a positive number";
  if (!getCubicCoefficient().isFinite() || !getCropBegin().isFinite() || !getCropEnd().isFinite() ||
      !getExtrapolation().isFinite())
    return emitOpError("has a number that is not finite");
  return success();
}

ShardingRule ResizeOp::getShardingRule() {
  ShardingRule rule;
  ShardingRule::Dims dims;
  for (int64_t size : tensorOf(getX()).getShape()) {
    dims.push_back(one(rule.factors.size()));
    rule.factors.push_back({size});
  }
  rule.factors[getDim()].kind = FactorKind::whole;
  rule.operands = {dims};
  dims[getDim()] = one(rule.factors.size());
  rule.factors.push_back({dimOf(getResult(), getDim()), FactorKind::whole});
  rule.results = {dims};
  if (getCoordinates() != ResizeCoordinates::TfCropAndResize) // which may give a constant
    rule.linearIn = {0};
  return rule;
}
