// Checks, sharding rules and localization of the ops over images.
#include "dialect/op_checks.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace cleave;

/// Larger strides, dilations and pads than this are a mistake in the file.
static constexpr int64_t maxExtent = 32768;

LogicalResult ConvOp::verify() {
  int64_t rank = tensorOf(getX()).getRank(), spatial = rank - 2;
  if (spatial < 1 || spatial > 3)
    return emitOpError("expects an x of rank 3 to 5, found ") << getX().getType();
  if (failed(expectRank(*this, getFilter(), "a filter", rank)) ||
      failed(expectRank(*this, getResult(), "a result", rank)))
    return failure();
  auto isStatic = [](Value value, int64_t from) {
    return !ShapedType::isDynamicShape(tensorOf(value).getShape().drop_front(from));
  };
  if (!isStatic(getX(), 1) || !isStatic(getFilter(), 0) || !isStatic(getResult(), 1))
    return emitOpError("expects channels and spatial dims of static size, found ")
           << getX().getType() << " and " << getFilter().getType();
  if (failed(expectSameDim(*this, getResult(), 0, "the result", getX(), 0, "x")) ||
      failed(expectSameDim(*this, getResult(), 1, "the result", getFilter(), 0, "the filter")))
    return failure();

  int64_t channels = dimOf(getX(), 1), each = dimOf(getFilter(), 1);
  if (!getGrouped() && channels != each)
    return emitOpError("has a filter for ")
           << each << " input channels, but x has " << channels << "; did you mean 'grouped'?";
  if (getGrouped() && (each == 0 || channels % each != 0))
    return emitOpError("has ") << channels << " input channels, expected whole groups of " << each;
  if (int64_t groups = getGrouped() ? channels / each : 1;
      groups == 0 ? dimOf(getFilter(), 0) != 0 : dimOf(getFilter(), 0) % groups != 0)
    return emitOpError("has ") << dimOf(getFilter(), 0) << " output channels for " << groups
                               << " groups, expected as many for each";

  if (Value bias = getBias()) {
    if (failed(expectRank(*this, bias, "a bias", 1)) ||
        failed(expectSameDim(*this, bias, 0, "the bias", getFilter(), 0, "the filter")))
      return failure();
  } else if (getOmitsBias()) {
    return emitOpError("has no bias to omit");
  }

  auto expectNumbers = [&](StringRef what, ArrayRef<int64_t> numbers, int64_t count,
                           int64_t least) -> LogicalResult {
    if (static_cast<int64_t>(numbers.size()) != count)
      return emitOpError("has ") << numbers.size() << " " << what << " for " << spatial
                                 << " spatial dims, expected " << count;
    for (int64_t number : numbers)
      if (number < least || number > maxExtent)
        return emitOpError("has ")
               << number << " among its " << what << ", expected " << least << " to " << maxExtent;
    return success();
  };
  if (failed(expectNumbers("strides", getStrides(), spatial, 1)) ||
      failed(expectNumbers("pads", getPads(), 2 * spatial, 0)) ||
      failed(expectNumbers("dilations", getDilations(), spatial, 1)))
    return failure();
  for (int64_t i = 0; i < spatial; ++i) {
    // Sizes may be anything here: nothing may overflow.
    uint64_t padded =
        static_cast<uint64_t>(dimOf(getX(), 2 + i)) + getPads()[i] + getPads()[spatial + i];
    int64_t taps = dimOf(getFilter(), 2 + i);
    uint64_t reach =
        llvm::SaturatingMultiplyAdd<uint64_t>(getDilations()[i], std::max<int64_t>(taps, 1) - 1, 1);
    if (taps < 1 || reach > padded)
      return emitOpError("has a filter of ")
             << taps << " elements, which with its dilation reach over " << reach
             << ", for spatial dim " << i << " of " << padded << " elements with its pads";
    uint64_t size = (padded - reach) / getStrides()[i] + 1;
    if (static_cast<uint64_t>(dimOf(getResult(), 2 + i)) != size)
      return emitOpError("expects a result of ")
             << size << " elements in spatial dim " << i << ", found " << getResult().getType();
  }
  return success();
}

ShardingRule cleave::convolutionRule(Value x, Value filter, Value result, bool isGrouped,
                                     bool isTransposed) {
  ShardingRule rule;
  auto add = [&](int64_t size, FactorKind kind) {
    rule.factors.push_back({size, kind});
    return static_cast<unsigned>(rule.factors.size() - 1);
  };
  const int64_t inSize = dimOf(x, 1), outSize = dimOf(result, 1);
  unsigned n = add(dimOf(x, 0), FactorKind::parallel);
  // The filter's first dim has all channels of one side, its second those of the other side, of
  // one group.
  ShardingRule::Dim in, out, inner;
  ShardingRule::Dim &first = isTransposed ? in : out, &second = isTransposed ? out : in;
  if (isGrouped) {
    int64_t ofSecond = dimOf(filter, 1);
    int64_t groups = ofSecond ? (isTransposed ? outSize : inSize) / ofSecond : 0;
    int64_t ofFirst = groups ? dimOf(filter, 0) / groups : 0;
    in = out = one(add(groups, FactorKind::parallel));
    inner = one(add(ofSecond, FactorKind::whole));
    // Groups of equal size are one list of factors, so that their cuts are one.
    if (ofSecond != 1)
      second.push_back(inner.front());
    if (ofFirst != 1)
      first.push_back(ofFirst == ofSecond ? inner.front() : add(ofFirst, FactorKind::whole));
  } else {
    in = one(add(inSize, FactorKind::sum));
    out = one(add(outSize, FactorKind::parallel));
    inner = second;
  }
  rule.operands = {{one(n), in}, {first, inner}};
  rule.results = {{one(n), out}};
  // A share of an image would need its neighbours' borders.
  auto addSpatial = [&](ShardingRule::Dims &dims, Value value) {
    for (int64_t size : tensorOf(value).getShape().drop_front(2))
      dims.push_back(one(add(size, FactorKind::whole)));
  };
  addSpatial(rule.operands[0], x);
  addSpatial(rule.operands[1], filter);
  addSpatial(rule.results[0], result);
  rule.linearIn = {0};
  return rule;
}

ShardingRule ConvOp::getShardingRule() {
  ShardingRule rule =
      convolutionRule(getX(), getFilter(), getResult(), getGrouped(), /*isTransposed=*/false);
  if (getBias()) {
    rule.operands.push_back({rule.results[0][1]});
    rule.linearIn.clear(); // summands of x would each get the bias
  }
  return rule;
}

/// The bias is added by the rank that has the first input channel.
void ConvOp::localize(const LocalRanges &ranges) {
  ElementRange channels = ranges.operands[0][1];
  bool hasFirst = channels.begin == 0 && (channels.size() > 0 || ranges.operandSizes[0][1] == 0);
  if (getBias() && !getGrouped() && !hasFirst)
    setOmitsBias(true);
}

SmallVector<StringRef, 2> ConvOp::getLocalAttributes() {
  return {getOmitsBiasAttrName()};
}
