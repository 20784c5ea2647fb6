// Checks and sharding rules of the ops that change shapes.
#include "dialect/op_checks.h"

#include "llvm/Support/MathExtras.h"

#include <numeric>

using namespace mlir;
using namespace cleave;

// ---- transpose ----

LogicalResult TransposeOp::verify() {
  RankedTensorType x = tensorOf(getX()), result = tensorOf(getResult());
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
  for (int64_t size : tensorOf(getX()).getShape()) {
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
  unsigned from, fromEnd; ///< dims of x
  unsigned to, toEnd;     ///< dims of the result
};

} // namespace

/// The groups of a reshape; nothing where they do not take in all dims.
static std::optional<SmallVector<DimGroup>> splitGroups(ReshapeOp op) {
  int64_t from = 0, fromEnd = tensorOf(op.getX()).getRank();
  int64_t to = 0, toEnd = tensorOf(op.getResult()).getRank();
  SmallVector<DimGroup> groups;
  for (auto [before, after] : cleave::getRanges(op.getGroups())) {
    if (before < 0 || after < 0 || before > fromEnd - from || after > toEnd - to)
      return std::nullopt;
    groups.push_back({static_cast<unsigned>(from), static_cast<unsigned>(from + before),
                      static_cast<unsigned>(to), static_cast<unsigned>(to + after)});
    from += before;
    to += after;
  }
  if (from != fromEnd || to != toEnd || op.getGroups().size() % 2 != 0)
    return std::nullopt;
  return groups;
}

/// The product of dims `begin` to `end`; nothing where one is a share or it is too large.
static MaybeSize getProduct(RankedTensorType type, unsigned begin, unsigned end) {
  MaybeSize product = SizeExpression(1);
  for (unsigned dim = begin; dim < end; ++dim)
    product = sizeProduct(product, getDimSize(type, dim));
  return product;
}

/// Whether the group is one dim that stays.
static bool isOneDim(const DimGroup &group) {
  return group.fromEnd - group.from == 1 && group.toEnd - group.to == 1;
}

static bool fits(const DimGroup &group, RankedTensorType x, RankedTensorType result) {
  if (isOneDim(group))
    return x.getDimSize(group.from) == result.getDimSize(group.to) &&
           getDimName(x, group.from) == getDimName(result, group.to);
  MaybeSize before = getProduct(x, group.from, group.fromEnd);
  return before && before == getProduct(result, group.to, group.toEnd);
}

LogicalResult ReshapeOp::verify() {
  RankedTensorType x = tensorOf(getX()), result = tensorOf(getResult());
  std::optional<SmallVector<DimGroup>> groups = splitGroups(*this);
  if (groups && x.getElementType() == result.getElementType() &&
      llvm::all_of(*groups, [&](const DimGroup &group) { return fits(group, x, result); }))
    return success();
  return emitOpError("does not make ")
         << result << " of " << x
         << ": expected groups that take in all dims, each with the same elements before and after";
}

std::optional<SmallVector<int64_t>> cleave::findReshapeGroups(RankedTensorType x,
                                                              RankedTensorType result) {
  SmallVector<int64_t> groups;
  auto isUnit = [](RankedTensorType type, unsigned dim) {
    return dim < type.getRank() && type.getDimSize(dim) == 1;
  };
  unsigned from = 0, to = 0;
  while (from < x.getRank() || to < result.getRank()) {
    if (isUnit(x, from) != isUnit(result, to)) {
      bool isOfX = isUnit(x, from);
      groups.append({isOfX, !isOfX});
      ++(isOfX ? from : to);
      continue;
    }
    // The fewest dims whose products are equal; of two products the one that divides the
    // other grows.
    unsigned fromEnd = from + 1, toEnd = to + 1;
    while (fromEnd <= x.getRank() && toEnd <= result.getRank()) {
      DimGroup group{from, fromEnd, to, toEnd};
      if (fits(group, x, result))
        break;
      MaybeSize before = getProduct(x, from, fromEnd), after = getProduct(result, to, toEnd);
      if (!before || !after)
        return std::nullopt;
      bool grows = sizeQuotient(after, before).has_value();
      if (!grows && !sizeQuotient(before, after)) {
        SizeExpression difference = sizeDifference(after, before).value_or(0);
        grows = fromEnd < x.getRank() && difference.isNonNegative();
      }
      ++(grows ? fromEnd : toEnd);
    }
    if (fromEnd > x.getRank() || toEnd > result.getRank()) {
      // The rest is one group, if anything.
      fromEnd = x.getRank();
      toEnd = result.getRank();
      if (!fits({from, fromEnd, to, toEnd}, x, result))
        return std::nullopt;
    }
    groups.append({fromEnd - from, toEnd - to});
    from = fromEnd;
    to = toEnd;
  }
  return groups;
}

ShardingRule ReshapeOp::getShardingRule() {
  RankedTensorType x = tensorOf(getX()), y = tensorOf(getResult());
  ShardingRule rule;
  ShardingRule::Dims operand, result;
  auto add = [&](int64_t size, FactorKind kind) {
    rule.factors.push_back({size, kind});
    return static_cast<unsigned>(rule.factors.size() - 1);
  };
  SmallVector<DimGroup> groups = *splitGroups(*this);
  for (const DimGroup &group : groups) {
    ArrayRef<int64_t> from = x.getShape().slice(group.from, group.fromEnd - group.from);
    ArrayRef<int64_t> to = y.getShape().slice(group.to, group.toEnd - group.to);
    // Shares of products of run-time sizes are no products of shares.
    bool isStatic =
        llvm::none_of(from, ShapedType::isDynamic) && llvm::none_of(to, ShapedType::isDynamic);
    if (!isStatic && !isOneDim(group)) {
      for (int64_t size : from)
        operand.push_back(one(add(size, FactorKind::whole)));
      for (int64_t size : to)
        result.push_back(one(add(size, FactorKind::whole)));
      continue;
    }
    // What is behind the first dims is never cut. The first dims are one factor times the
    // least that makes rows of equal length of what is behind: a rank's shares have the same.
    bool isCut = !from.empty() && !to.empty();
    int64_t inner[2] = {1, 1};
    if (isCut && isStatic) {
      int64_t behind[2] = {*getProduct(x, group.from + 1, group.fromEnd)->constant(),
                           *getProduct(y, group.to + 1, group.toEnd)->constant()};
      int64_t common = std::max<int64_t>(std::gcd(behind[0], behind[1]), 1);
      inner[0] = behind[1] / common;
      inner[1] = behind[0] / common;
    }
    int64_t size = isCut ? from.front() : 1;
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
    addDims(from, inner[0], operand);
    addDims(to, inner[1], result);
  }
  rule.operands = {operand};
  rule.results = {result};
  rule.linearIn = {0};
  return rule;
}

// ---- slice ----

/// A number, or an expression in its canonical form.
static LogicalResult verifyBegin(Operation *op, StringRef what, std::optional<StringRef> size) {
  if (!size)
    return success();
  std::string why;
  MaybeSize begin = SizeExpression::parse(*size, &why);
  if (!begin)
    return op->emitOpError("has ") << what << " \"" << *size << "\", which is no size: " << why;
  if (begin->constant() || begin->text() != *size)
    return op->emitOpError("has ") << what << " \"" << *size << "\", expected it to be written "
                                   << (begin->constant() ? "as a number: " : "") << begin->text();
  return success();
}

LogicalResult SliceOp::verify() {
  RankedTensorType x = tensorOf(getX()), result = tensorOf(getResult());
  int64_t dim = getDim(), begin = getBegin();
  if (x.getRank() != result.getRank() || dim < 0 || dim >= x.getRank() ||
      x.getElementType() != result.getElementType())
    return emitOpError("has dim ") << dim << " of " << x << " and result " << result;
  for (int64_t d = 0; d < x.getRank(); ++d)
    if (d != dim && !sameDim(getX(), d, getResult(), d))
      return emitOpError("changes dim ") << d << " of " << x << " in result " << result;
  if (failed(verifyBegin(*this, "the begin", getBeginSize())))
    return failure();
  if (getStep() == 0)
    return emitOpError("has step 0");
  MaybeSize whole = getDimSize(x, dim), part = getDimSize(result, dim);
  if (!whole || !part)
    return emitOpError("cannot slice dim ")
           << dim << " of " << x << " into that of " << result << ": a share";
  std::optional<int64_t> size = whole->constant(), count = part->constant();
  if (!size || !count || getBeginSize())
    return success(); // the run knows
  int64_t last = begin;
  bool lies = begin >= 0 && begin <= *size - (*count != 0);
  if (*count > 0)
    lies &= !llvm::MulOverflow(*count - 1, getStep(), last) &&
            !llvm::AddOverflow(last, begin, last) && last >= 0 && last < *size;
  if (!lies)
    return emitOpError("takes ") << *count << " elements from " << begin << " on of dim " << dim
                                 << " of " << x;
  return success();
}

bool SliceOp::isConstantRange() {
  return !getBeginSize() && getStep() == 1 && !tensorOf(getX()).isDynamicDim(getDim()) &&
         !tensorOf(getResult()).isDynamicDim(getDim());
}

/// Dim d of x and of the result is factor d.
static ShardingRule dimByDim(RankedTensorType x) {
  ShardingRule rule;
  ShardingRule::Dims dims;
  for (int64_t size : x.getShape()) {
    dims.push_back(one(rule.factors.size()));
    rule.factors.push_back({size});
  }
  rule.operands = {dims};
  rule.results = {dims};
  return rule;
}

ShardingRule SliceOp::getShardingRule() {
  // The sliced dim is whole: a share of it would be another slice.
  ShardingRule rule = dimByDim(tensorOf(getX()));
  unsigned sliced = rule.factors.size();
  rule.factors[getDim()].kind = FactorKind::whole;
  rule.factors.push_back({dimOf(getResult(), getDim()), FactorKind::whole});
  rule.results.front()[getDim()] = one(sliced);
  rule.linearIn = {0};
  return rule;
}

// ---- concat ----

LogicalResult ConcatOp::verify() {
  RankedTensorType result = tensorOf(getResult());
  int64_t dim = getDim();
  if (getParts().empty() || getParts().size() > maxOperands)
    return emitOpError("has ") << getParts().size() << " parts, expected 1 to " << maxOperands;
  if (dim < 0 || dim >= result.getRank())
    return emitOpError("has dim ") << dim << " of " << result;
  MaybeSize sum = SizeExpression(0);
  for (auto [number, part] : llvm::enumerate(getParts())) {
    RankedTensorType type = tensorOf(part);
    bool isAlike =
        type.getElementType() == result.getElementType() && type.getRank() == result.getRank();
    for (int64_t d = 0; isAlike && d < type.getRank(); ++d)
      isAlike = d == dim || sameDim(part, d, getResult(), d);
    if (!isAlike)
      return emitOpError("has part ") << number << " of type " << type << ", which is not like "
                                      << result << " but for dim " << dim;
    sum = sizeSum(sum, getDimSize(type, dim));
  }
  if (!sum || sum != getDimSize(result, dim))
    return emitOpError("makes ") << (sum ? sum->text() : "too much") << " of dim " << dim
                                 << ", but the result is " << result;
  return success();
}

ShardingRule ConcatOp::getShardingRule() {
  // A share of the joined dim would be of some parts only.
  ShardingRule rule = dimByDim(tensorOf(getResult()));
  rule.factors[getDim()].kind = FactorKind::whole;
  ShardingRule::Dims dims = rule.operands.front();
  rule.operands.clear();
  for (auto [number, part] : llvm::enumerate(getParts())) {
    dims[getDim()] = one(rule.factors.size());
    rule.factors.push_back({dimOf(part, getDim()), FactorKind::whole});
    rule.operands.push_back(dims);
    rule.linearIn.push_back(number);
  }
  return rule;
}

// ---- expand ----

LogicalResult ExpandOp::verify() {
  RankedTensorType x = tensorOf(getX()), result = tensorOf(getResult());
  int64_t before = result.getRank() - x.getRank();
  bool fits = before >= 0 && x.getElementType() == result.getElementType();
  for (int64_t d = 0; fits && d < x.getRank(); ++d)
    fits = x.getDimSize(d) == 1 || sameDim(getX(), d, getResult(), before + d);
  if (fits)
    return success();
  return emitOpError("cannot repeat ") << x << " to be " << result;
}

ShardingRule ExpandOp::getShardingRule() {
  RankedTensorType x = tensorOf(getX()), y = tensorOf(getResult());
  unsigned before = y.getRank() - x.getRank();
  ShardingRule rule;
  ShardingRule::Dims operand, result;
  for (auto [dim, size] : llvm::enumerate(y.getShape())) {
    bool isOfX = dim >= before, isKept = isOfX && x.getDimSize(dim - before) == size;
    result.push_back(one(rule.factors.size()));
    rule.factors.push_back({size, isKept ? FactorKind::parallel : FactorKind::whole});
    if (isKept) {
      operand.push_back(result.back());
    } else if (isOfX) {
      operand.push_back(one(rule.factors.size()));
      rule.factors.push_back({1, FactorKind::whole});
    }
  }
  rule.operands = {operand};
  rule.results = {result};
  rule.linearIn = {0};
  return rule;
}

// ---- range ----

LogicalResult RangeOp::verify() {
  RankedTensorType type = tensorOf(getResult());
  if (failed(expectRank(*this, getResult(), "a result", 1)) ||
      failed(verifyBegin(*this, "the start", getStartSize())))
    return failure();
  if (!isComputedInPlace(type.getElementType()))
    return emitOpError("makes numbers of f32, f64 or integers, found ") << type;
  return success();
}

ShardingRule RangeOp::getShardingRule() {
  ShardingRule rule;
  rule.factors = {{dimOf(getResult(), 0), FactorKind::whole}};
  rule.results = {{one(0)}};
  return rule;
}
