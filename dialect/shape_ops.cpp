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

/// Adjacent dims of x that become adjacent dims of the result: [begin, end) of each. Their
/// products are equal, and no smaller ones are.
struct DimGroup {
  int64_t fromBegin, fromEnd, toBegin, toEnd;
};

} // namespace

/// The groups of a reshape; nothing where the shapes do not fit.
static std::optional<SmallVector<DimGroup>> getGroups(RankedTensorType from, RankedTensorType to) {
  SmallVector<DimGroup> groups;
  int64_t i = 0, j = 0, ranks[2] = {from.getRank(), to.getRank()};
  auto isRuntime = [](RankedTensorType type, int64_t dim) {
    return dim < type.getRank() && type.isDynamicDim(dim);
  };
  while (i < ranks[0] || j < ranks[1]) {
    DimGroup group{i, i, j, j};
    if (isRuntime(from, i) || isRuntime(to, j)) {
      if (!isRuntime(from, i) || !isRuntime(to, j) || getDimName(from, i) != getDimName(to, j))
        return std::nullopt;
      group.fromEnd = ++i;
      group.toEnd = ++j;
      groups.push_back(group);
      continue;
    }
    // A dim of size 1 stands for itself, so that what follows it can be cut. Otherwise the
    // side whose product is behind takes its next dim.
    bool fromIsOne = i < ranks[0] && from.getDimSize(i) == 1;
    bool toIsOne = !fromIsOne && j < ranks[1] && to.getDimSize(j) == 1;
    int64_t products[2] = {1, 1};
    i += fromIsOne;
    j += toIsOne;
    while (!fromIsOne && !toIsOne &&
           (products[0] != products[1] || i == group.fromBegin || j == group.toBegin)) {
      bool hasFrom = i < ranks[0] && !isRuntime(from, i), hasTo = j < ranks[1] && !isRuntime(to, j);
      if (!hasFrom && !hasTo)
        return std::nullopt;
      bool takeFrom = hasFrom && (products[0] <= products[1] || !hasTo);
      int64_t &product = products[takeFrom ? 0 : 1];
      if (llvm::MulOverflow(product, takeFrom ? from.getDimSize(i++) : to.getDimSize(j++), product))
        return std::nullopt;
    }
    group.fromEnd = i;
    group.toEnd = j;
    groups.push_back(group);
  }
  return groups;
}

LogicalResult ReshapeOp::verify() {
  auto x = cast<RankedTensorType>(getX().getType());
  auto result = cast<RankedTensorType>(getResult().getType());
  if (x.getElementType() == result.getElementType() && getGroups(x, result))
    return success();
  return emitOpError("does not make ")
         << result << " of " << x
         << ": expected the same elements, and the same run-time sizes between equal products of "
            "static ones";
}

ShardingRule ReshapeOp::getShardingRule() {
  auto from = cast<RankedTensorType>(getX().getType());
  auto to = cast<RankedTensorType>(getResult().getType());
  ShardingRule rule;
  ShardingRule::Dims operand, result;
  auto add = [&](int64_t size, FactorKind kind) {
    rule.factors.push_back({size, kind});
    return static_cast<unsigned>(rule.factors.size() - 1);
  };
  SmallVector<DimGroup> groups = *getGroups(from, to);
  for (DimGroup group : groups) {
    int64_t first[2] = {group.fromBegin < group.fromEnd ? from.getDimSize(group.fromBegin) : 1,
                        group.toBegin < group.toEnd ? to.getDimSize(group.toBegin) : 1};
    // What both shapes begin with can be cut in both; what is behind it stays together.
    int64_t common = ShapedType::isDynamic(first[0]) ? first[0] : std::gcd(first[0], first[1]);
    unsigned leading = add(common, FactorKind::parallel);
    auto addDims = [&](RankedTensorType type, int64_t begin, int64_t end,
                       ShardingRule::Dims &dims) {
      for (int64_t dim = begin; dim < end; ++dim) {
        int64_t size = type.getDimSize(dim);
        ShardingRule::Dim &factors = dims.emplace_back();
        if (dim == begin)
          factors.push_back(leading);
        if (dim != begin)
          factors.push_back(add(size, FactorKind::whole));
        else if (size != common)
          factors.push_back(add(size / std::max<int64_t>(common, 1), FactorKind::whole));
      }
    };
    addDims(from, group.fromBegin, group.fromEnd, operand);
    addDims(to, group.toBegin, group.toEnd, result);
  }
  rule.operands = {operand};
  rule.results = {result};
  rule.linearIn = {0};
  return rule;
}
