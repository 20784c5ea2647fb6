// Checks and sharding rules of the ops that change shapes.
#include "dialect/dialect.h"

#include "llvm/Support/MathExtras.h"

#include <numeric>

using namespace mlir;
using namespace cleave;

/// The factor list of a dim that is one factor.
static ShardingRule::Dim one(unsigned factor) {
  return {factor};
}

// ---- transpose ----

LogicalResult TransposeOp::verify() {
  auto x = cast<RankedTensorType>(getX().getType());
  auto result = cast<RankedTensorType>(getResult().getType());
  ArrayRef<int64_t> permutation = getPermutation();
  int64_t rank = x.getRank();
  SmallVector<bool> named(rank, false);
  for (int64_t dim : permutation) {
    if (dim < 0 || dim >= rank || named[dim])
      return emitOpError("has permutation [")
             << permutation << "], expected each of the " << rank << " dims of " << x << " once";
    named[dim] = true;
  }
  bool fits = static_cast<int64_t>(permutation.size()) == rank && result.getRank() == rank &&
              x.getElementType() == result.getElementType();
  for (int64_t d = 0; fits && d < rank; ++d)
    fits = result.getDimSize(d) == x.getDimSize(permutation[d]) &&
           getDimName(result, d) == getDimName(x, permutation[d]);
  if (!fits)
    return emitOpError("by [") << permutation << "] does not make " << result << " of " << x;
  return success();
}

ShardingRule TransposeOp::getShardingRule() {
  ShardingRule rule;
  ShardingRule::Dims from, to;
  for (int64_t size : cast<RankedTensorType>(getX().getType()).getShape()) {
    from.push_back(one(rule.factors.size()));
    rule.factors.push_back({size});
  }
  for (int64_t dim : getPermutation())
    to.push_back(from[dim]);
  rule.operands = {from};
  rule.results = {to};
  rule.linearIn = {0};
  return rule;
}

// ---- reshape ----

namespace {

/// Adjacent dims of x that become adjacent dims of the result.
struct DimGroup {
  ArrayRef<int64_t> from, to; ///< their sizes
};

} // namespace

/// The groups of a reshape; nothing where they do not take in all dims.
static std::optional<SmallVector<DimGroup>> splitGroups(ReshapeOp op) {
  ArrayRef<int64_t> from = cast<RankedTensorType>(op.getX().getType()).getShape();
  ArrayRef<int64_t> to = cast<RankedTensorType>(op.getResult().getType()).getShape();
  SmallVector<DimGroup> groups;
  for (auto [before, after] : cleave::getRanges(op.getGroups())) {
    if (before < 0 || after < 0 || before > static_cast<int64_t>(from.size()) ||
        after > static_cast<int64_t>(to.size()))
      return std::nullopt;
    groups.push_back({from.take_front(before), to.take_front(after)});
    from = from.drop_front(before);
    to = to.drop_front(after);
  }
  if (!from.empty() || !to.empty() || op.getGroups().size() % 2 != 0)
    return std::nullopt;
  return groups;
}

/// The product of sizes, nothing where one is run-time or it overflows.
static std::optional<int64_t> getProduct(ArrayRef<int64_t> sizes) {
  int64_t product = 1;
  for (int64_t size : sizes)
    if (ShapedType::isDynamic(size) || llvm::MulOverflow(product, size, product))
      return std::nullopt;
  return product;
}

/// Names of run-time sizes are compared by the caller.
static bool fits(const DimGroup &group) {
  if (group.from.size() == 1 && group.to.size() == 1)
    return group.from == group.to;
  std::optional<int64_t> before = getProduct(group.from), after = getProduct(group.to);
  return before && before == after;
}

LogicalResult ReshapeOp::verify() {
  auto x = cast<RankedTensorType>(getX().getType());
  auto result = cast<RankedTensorType>(getResult().getType());
  auto namesOf = [](RankedTensorType type) {
    auto dims = dyn_cast_or_null<DimsAttr>(type.getEncoding());
    return dims ? dims.getNames() : ArrayRef<StringAttr>();
  };
  std::optional<SmallVector<DimGroup>> groups = splitGroups(*this);
  if (groups && llvm::all_of(*groups, fits) && x.getElementType() == result.getElementType() &&
      namesOf(x) == namesOf(result))
    return success();
  return emitOpError("does not make ")
         << result << " of " << x
         << ": expected groups that take in all dims, each with the same elements before and after";
}

ShardingRule ReshapeOp::getShardingRule() {
  ShardingRule rule;
  ShardingRule::Dims operand, result;
  auto add = [&](int64_t size, FactorKind kind) {
    rule.factors.push_back({size, kind});
    return static_cast<unsigned>(rule.factors.size() - 1);
  };
  SmallVector<DimGroup> groups = *splitGroups(*this);
  for (const DimGroup &group : groups) {
    // What is behind the first dims is never cut. The first dims are one factor times the
    // least that makes rows of equal length of what is behind: a rank's shares have the same.
    bool isCut = !group.from.empty() && !group.to.empty();
    int64_t inner[2] = {1, 1};
    if (isCut && !ShapedType::isDynamic(group.from.front())) {
      int64_t behind[2] = {*getProduct(group.from.drop_front()),
                           *getProduct(group.to.drop_front())};
      int64_t common = std::max<int64_t>(std::gcd(behind[0], behind[1]), 1);
      inner[0] = behind[1] / common;
      inner[1] = behind[0] / common;
    }
    int64_t size = isCut ? group.from.front() : 1;
    if (!ShapedType::isDynamic(size) && inner[0] != 0)
      size /= inner[0];
    unsigned leading = add(size, isCut ? FactorKind::parallel : FactorKind::whole);
    auto addDims = [&](ArrayRef<int64_t> sizes, int64_t inner, ShardingRule::Dims &dims) {
      for (auto [number, size] : llvm::enumerate(sizes)) {
        ShardingRule::Dim &factors = dims.emplace_back();
        if (number == 0)
          factors.push_back(leading);
        if (number != 0)
          factors.push_back(add(size, FactorKind::whole));
        else if (inner != 1)
          factors.push_back(add(inner, FactorKind::whole));
      }
    };
    addDims(group.from, inner[0], operand);
    addDims(group.to, inner[1], result);
  }
  rule.operands = {operand};
  rule.results = {result};
  rule.linearIn = {0};
  return rule;
}
