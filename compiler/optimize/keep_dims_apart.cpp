// cleave-keep-dims-apart: dimensions that a reshape merges and a later one takes apart again are
// left as they are by what lies between: merged, batch and heads could not be cut.
#include "compiler/optimize/spelling.h"
#include "compiler/passes.h"
#include "runtime/program/element_type.h"

#include "mlir/IR/IRMapping.h"

namespace cleave {
#define GEN_PASS_DEF_KEEPDIMSAPARTPASS
#include "compiler/Passes.h.inc"
} // namespace cleave

using namespace mlir;
using namespace cleave;

namespace {

/// For each dimension of a value how many dimensions of the value apart it is made of.
using Parts = SmallVector<unsigned, 4>;

/// One way back from a reshape to those that merged what it takes apart.
class Separation {
public:
  Separation(ReshapeOp root, PatternRewriter &rewriter)
      : root(root), ops{root}, rewriter(rewriter) {}

  /// Whether it takes apart what was merged: the elements then move in smaller groups.
  bool find() {
    std::optional<RankedTensorType> apart = typeApart(root.getX());
    if (!apart || !canJoin(ops))
      return false;
    groups = findReshapeGroups(*apart, root.getType());
    return groups && groups->size() > root.getGroups().size();
  }

  void rewrite() {
    Value x = make(root.getX());
    for (auto [value, merged] : merges)
      value.replaceAllUsesWith(merged);
    bool isMade = made.contains(x.getDefiningOp());
    if (x.getType() != root.getType() ||
        (!isMade && root->hasAttr(CleaveDialect::shardingAttrName))) {
      rewriter.setInsertionPoint(root);
      replaceSpelling<ReshapeOp>(rewriter, root, root.getType(), x,
                                 rewriter.getDenseI64ArrayAttr(*groups));
      return;
    }
    if (isMade) // it takes the root's place, and name
      x.getDefiningOp()->setDiscardableAttrs(root->getDiscardableAttrDictionary());
    rewriter.replaceOp(root, x);
  }

private:
  /// What a value is with its dimensions apart, or nothing where that is not known.
  std::optional<RankedTensorType> typeApart(Value value);
  std::optional<RankedTensorType> typeOfMerged(ReshapeOp merge);
  std::optional<RankedTensorType> typeOfProduct(MatMulOp product);
  std::optional<RankedTensorType> typeOfBinary(Operation *op);
  std::optional<RankedTensorType> typeOfUnary(Operation *op);
  Value make(Value value);

  ReshapeOp root;
  SmallVector<Operation *> ops;
  PatternRewriter &rewriter;
  std::optional<SmallVector<int64_t>> groups;
  llvm::DenseMap<Value, std::pair<RankedTensorType, Parts>> known;
  llvm::DenseSet<Value> unknown;
  llvm::DenseMap<Value, Value> values;
  llvm::DenseSet<Operation *> made;
  SmallVector<std::pair<Value, Value>> merges;
};

} // namespace

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

namespace {
/// The sizes of a type to be, with their names.
struct Sizes {
  SmallVector<int64_t> shape;
  SmallVector<StringAttr> names;

  void add(RankedTensorType from, unsigned begin, unsigned count) {
    for (unsigned dim = begin; dim < begin + count; ++dim) {
      shape.push_back(from.getDimSize(dim));
      names.push_back(getDimName(from, dim));
    }
  }
  void add(int64_t size) {
    shape.push_back(size);
    names.push_back({});
  }
  RankedTensorType of(Type elementType) const { return getTensorType(shape, elementType, names); }
};
} // namespace

/// Where each dimension's parts begin.
static SmallVector<unsigned> getBegins(const Parts &parts) {
  SmallVector<unsigned> begins;
  unsigned begin = 0;
  for (unsigned count : parts) {
    begins.push_back(begin);
    begin += count;
  }
  return begins;
}

/// A reshape that merges: what it is given, but that [a, n] as [a * n / d, d] is [a, n / d, d].
std::optional<RankedTensorType> Separation::typeOfMerged(ReshapeOp merge) {
  RankedTensorType from = typeOf(merge.getX()), to = merge.getType();
  Sizes sizes;
  Parts parts;
  unsigned at = 0;
  bool merges = false;
  for (auto [before, after] : cleave::getRanges(merge.getGroups())) {
    if (after == 1) {
      sizes.add(from, at, before);
      parts.push_back(before);
      merges |= before > 1;
    } else if (before == 2 && after == 2) {
      int64_t width = from.getDimSize(at + 1), kept = to.getDimSize(parts.size() + 1);
      if (ShapedType::isDynamic(width) || ShapedType::isDynamic(kept) || kept == 0 ||
          width % kept != 0)
        return std::nullopt;
      sizes.add(from, at, 1);
      sizes.add(width / kept);
      sizes.add(kept);
      parts.append({2, 1});
      merges = true;
    } else {
      return std::nullopt;
    }
    at += before;
  }
  RankedTensorType apart = sizes.of(from.getElementType());
  if (!merges || apart.getRank() > static_cast<int64_t>(maxValueDims))
    return std::nullopt;
  known[merge.getResult()] = {apart, parts};
  return apart;
}

/// A product of matrices whose other dimensions are apart alike.
std::optional<RankedTensorType> Separation::typeOfProduct(MatMulOp product) {
  std::optional<RankedTensorType> a = typeApart(product.getA()), b = typeApart(product.getB());
  if (!a || !b)
    return std::nullopt;
  auto [typeA, partsA] = known[product.getA()];
  auto [typeB, partsB] = known[product.getB()];
  unsigned rank = partsA.size();
  if (rank < 3 || partsA != partsB || partsA[rank - 1] != 1 || partsA[rank - 2] != 1 ||
      typeA.getRank() != typeB.getRank())
    return std::nullopt;
  unsigned batch = typeA.getRank() - 2;
  for (unsigned dim = 0; dim < batch; ++dim)
    if (typeA.getDimSize(dim) != typeB.getDimSize(dim) ||
        getDimName(typeA, dim) != getDimName(typeB, dim))
      return std::nullopt;
  Sizes sizes;
  sizes.add(typeA, 0, batch);
  sizes.add(product.getType(), rank - 2, 2);
  RankedTensorType apart = sizes.of(product.getType().getElementType());
  known[product.getResult()] = {apart, partsA};
  return apart;
}

/// A function of two values' elements: both are apart alike, or one is and the other has no more
/// than one element along what is merged, and what lies before.
std::optional<RankedTensorType> Separation::typeOfBinary(Operation *op) {
  if (auto repeats = op->getAttrOfType<DenseI64ArrayAttr>("repeats"); repeats && !repeats.empty())
    return std::nullopt;
  RankedTensorType result = typeOf(op->getResult(0));
  SmallVector<Value, 2> apart, others;
  for (Value operand : op->getOperands()) {
    size_t before = ops.size();
    bool isApart = typeOf(operand).getRank() == result.getRank() && typeApart(operand);
    if (!isApart)
      ops.truncate(before);
    (isApart ? apart : others).push_back(operand);
  }
  if (apart.empty())
    return std::nullopt;
  auto [type, parts] = known[apart.front()];
  SmallVector<unsigned> begins = getBegins(parts);
  for (Value each : apart) {
    auto [otherType, otherParts] = known[each];
    if (otherParts != parts)
      return std::nullopt;
    for (auto [begin, count] : llvm::zip_equal(begins, parts))
      for (unsigned dim = begin; count > 1 && dim < begin + count; ++dim)
        if (otherType.getDimSize(dim) != type.getDimSize(dim) ||
            getDimName(otherType, dim) != getDimName(type, dim))
          return std::nullopt;
  }
  int64_t lastMerged = static_cast<int64_t>(parts.size()) - 1;
  while (lastMerged >= 0 && parts[lastMerged] == 1)
    --lastMerged;
  for (Value each : others) {
    RankedTensorType other = typeOf(each);
    for (int64_t dim = 0; dim < other.getRank(); ++dim)
      if (result.getRank() - other.getRank() + dim <= lastMerged && other.getDimSize(dim) != 1)
        return std::nullopt;
  }
  Sizes sizes;
  for (auto [dim, count] : llvm::enumerate(parts))
    count > 1 ? sizes.add(type, begins[dim], count) : sizes.add(result, dim, 1);
  RankedTensorType made = sizes.of(result.getElementType());
  known[op->getResult(0)] = {made, parts};
  return made;
}

/// Transposes, softmax along one dimension, and functions of elements.
std::optional<RankedTensorType> Separation::typeOfUnary(Operation *op) {
  Value x = op->getOperand(0);
  if (!typeApart(x))
    return std::nullopt;
  auto [type, parts] = known[x];
  auto softmax = dyn_cast<SoftmaxOp>(op);
  if (softmax && parts[softmax.getDim()] != 1)
    return std::nullopt;
  Sizes sizes;
  Parts own;
  if (auto transpose = dyn_cast<TransposeOp>(op)) {
    SmallVector<unsigned> begins = getBegins(parts);
    for (int64_t dim : transpose.getPermutation()) {
      sizes.add(type, begins[dim], parts[dim]);
      own.push_back(parts[dim]);
    }
  } else {
    sizes.add(type, 0, type.getRank());
    own = parts;
  }
  RankedTensorType made = sizes.of(typeOf(op->getResult(0)).getElementType());
  known[op->getResult(0)] = {made, own};
  return made;
}

std::optional<RankedTensorType> Separation::typeApart(Value value) {
  if (auto it = known.find(value); it != known.end())
    return it->second.first;
  // Between merging and taking apart there is little.
  constexpr size_t most = 32;
  Operation *op = value.getDefiningOp();
  if (!op || ops.size() == most)
    unknown.insert(value);
  if (unknown.contains(value))
    return std::nullopt;
  ops.push_back(op);
  std::optional<RankedTensorType> type;
  if (auto merge = dyn_cast<ReshapeOp>(op))
    type = typeOfMerged(merge);
  else if (auto product = dyn_cast<MatMulOp>(op))
    type = typeOfProduct(product);
  else if (isa<BinaryOpInterface>(op))
    type = typeOfBinary(op);
  else if (isa<TransposeOp, SoftmaxOp, UnaryOpInterface>(op))
    type = typeOfUnary(op);
  if (!type)
    unknown.insert(value);
  return type;
}

/// The value apart. Others that read it will read it merged from that, so that it is made once.
Value Separation::make(Value value) {
  if (Value there = values.lookup(value))
    return there;
  Operation *op = value.getDefiningOp();
  auto [type, parts] = known[value];
  if (auto merge = dyn_cast<ReshapeOp>(op)) {
    if (type == merge.getX().getType())
      return values[value] = merge.getX();
    rewriter.setInsertionPoint(op);
    auto split = rewriter.create<ReshapeOp>(
        op->getLoc(), type, merge.getX(),
        rewriter.getDenseI64ArrayAttr(*findReshapeGroups(typeOf(merge.getX()), type)));
    placeLike(split, op);
    return values[value] = split;
  }
  IRMapping mapping;
  // Of lower rank is what another op reads apart.
  for (Value operand : op->getOperands())
    if (known.contains(operand) &&
        (!isa<BinaryOpInterface>(op) || typeOf(operand).getRank() == typeOf(value).getRank()))
      mapping.map(operand, make(operand));
  rewriter.setInsertionPoint(op);
  Operation *copy = rewriter.clone(*op, mapping);
  copy->getResult(0).setType(type);
  placeLike(copy, op);
  made.insert(copy);
  SmallVector<unsigned> begins = getBegins(parts);
  if (auto softmax = dyn_cast<SoftmaxOp>(copy))
    softmax.setDim(begins[softmax.getDim()]);
  if (auto transpose = dyn_cast<TransposeOp>(copy)) {
    const Parts &before = known[op->getOperand(0)].second;
    SmallVector<unsigned> from = getBegins(before);
    SmallVector<int64_t> order;
    for (int64_t dim : cast<TransposeOp>(op).getPermutation())
      for (unsigned part = 0; part < before[dim]; ++part)
        order.push_back(from[dim] + part);
    transpose.setPermutation(order);
  }
  SmallVector<int64_t> merging;
  for (unsigned count : parts)
    merging.append({count, 1});
  auto merged = rewriter.create<ReshapeOp>(op->getLoc(), value.getType(), copy->getResult(0),
                                           rewriter.getDenseI64ArrayAttr(merging));
  merged->setDiscardableAttrs(op->getDiscardableAttrDictionary());
  merges.push_back({value, merged});
  return values[value] = copy->getResult(0);
}

namespace {

struct KeepDimsApart : OpRewritePattern<ReshapeOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ReshapeOp root, PatternRewriter &rewriter) const override {
    Separation separation(root, rewriter);
    if (!separation.find())
      return failure();
    separation.rewrite();
    return success();
  }
};

struct KeepDimsApartPass : public cleave::impl::KeepDimsApartPassBase<KeepDimsApartPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<KeepDimsApart>(&getContext());
    applySpellings(getOperation(), std::move(patterns));
  }
};

} // namespace
