// Checks, types and sharding rules of the ops that compute element by element, family by
// family.
#include "dialect/dialect.h"
#include "dialect/op_checks.h"

#include <cmath>

using namespace mlir;
using namespace cleave;

static ElementType elementTypeOf(Value value) {
  return getElementTypeInfo(tensorOf(value).getElementType())->type;
}

// ---- one element ----

LogicalResult cleave::verifyUnary(UnaryOpInterface op) {
  const UnaryInfo &info = *findUnary(static_cast<uint8_t>(op.getKind()));
  std::array<float, 2> parameters = op.getFunctionParameters();
  bool mustBeFinite = info.kind != UnaryKind::clip;
  for (float parameter : ArrayRef(parameters).take_front(info.parameters))
    if (std::isnan(parameter) || (mustBeFinite && std::isinf(parameter)))
      return op->emitOpError("has the parameter ")
             << parameter << ", expected " << (mustBeFinite ? "a finite number" : "a number");
  return success();
}

/// Each dim a factor.
static ShardingRule getElementwiseRule(RankedTensorType type) {
  ShardingRule rule;
  ShardingRule::Dims dims;
  for (int64_t size : type.getShape()) {
    dims.push_back(one(rule.factors.size()));
    rule.factors.push_back({size});
  }
  rule.operands = {dims};
  rule.results = {dims};
  return rule;
}

ShardingRule cleave::getUnaryRule(UnaryOpInterface op) {
  Value x = op->getOperand(0);
  ShardingRule rule = getElementwiseRule(tensorOf(x));
  if (findUnary(static_cast<uint8_t>(op.getKind()))->isLinear && passesSums(elementTypeOf(x)))
    rule.linearIn = {0};
  return rule;
}

// ---- broadcasting ----

LogicalResult cleave::inferBroadcast(StringRef opName, std::optional<Location> location,
                                     ValueRange operands, Type elementType,
                                     SmallVectorImpl<Type> &types) {
  int64_t rank = 0;
  for (Value operand : operands) {
    if (!isa<RankedTensorType>(operand.getType()))
      return failure(); // an error of its own
    rank = std::max(rank, tensorOf(operand).getRank());
  }
  SmallVector<int64_t> shape(rank, 1);
  SmallVector<StringAttr> names(rank);
  for (Value operand : operands) {
    RankedTensorType type = tensorOf(operand);
    for (int64_t dim = 0; dim < type.getRank(); ++dim) {
      int64_t at = rank - type.getRank() + dim, size = type.getDimSize(dim);
      StringAttr name = getDimName(type, dim);
      if (size == 1 || (size == shape[at] && name == names[at]))
        continue;
      if (shape[at] != 1) {
        if (!location)
          return failure();
        auto error = emitError(*location)
                     << "'" << opName << "' op expects sizes that are equal or 1, found ";
        llvm::interleaveComma(operands.getTypes(), error);
        return error << ", which differ in dim " << at - rank << " (from the end)";
      }
      shape[at] = size;
      names[at] = name;
    }
  }
  types.push_back(getTensorType(shape, elementType, names));
  return success();
}

LogicalResult cleave::verifyBroadcast(BroadcastOpInterface op) {
  // The last two are what is computed with; a condition comes before them.
  auto [x, y] = std::pair(op->getOperand(op->getNumOperands() - 2), op->getOperands().back());
  if (tensorOf(x).getElementType() != tensorOf(y).getElementType())
    return op->emitOpError("expects operands of one element type, found ")
           << x.getType() << " and " << y.getType();
  ArrayRef<int64_t> repeats = op.getRepeats();
  int64_t rank = tensorOf(op->getResult(0)).getRank();
  for (size_t i = 0; i < repeats.size(); i += 2) {
    bool isPair = i + 1 < repeats.size() && repeats[i] >= 0 &&
                  repeats[i] < static_cast<int64_t>(op->getNumOperands());
    int64_t behind = isPair ? rank - repeats[i + 1] : 0; // dims from there to the end
    if (isPair && repeats[i + 1] >= 0 && behind > 0) {
      RankedTensorType type = tensorOf(op->getOperand(repeats[i]));
      if (behind <= type.getRank() && type.getDimSize(type.getRank() - behind) == 1)
        continue;
    }
    return op->emitOpError("repeats [")
           << repeats << "], expected pairs of an operand and a dim in which its size is 1";
  }
  return success();
}

SmallVector<int64_t> cleave::findRepeats(BroadcastOpInterface op, const LocalRanges &ranges) {
  SmallVector<int64_t> repeats;
  int64_t rank = tensorOf(op->getResult(0)).getRank();
  auto sizeOf = [&](unsigned operand, int64_t dim) {
    ArrayRef<int64_t> sizes = ranges.operandSizes[operand];
    int64_t missing = rank - static_cast<int64_t>(sizes.size());
    return dim < missing ? 1 : sizes[dim - missing];
  };
  for (unsigned operand = 0; operand < op->getNumOperands(); ++operand) {
    int64_t own = tensorOf(op->getOperand(operand)).getRank();
    for (int64_t dim = rank - own; dim < rank; ++dim) {
      bool isCut = llvm::any_of(llvm::seq<unsigned>(0, op->getNumOperands()),
                                [&](unsigned other) { return sizeOf(other, dim) != 1; });
      if (sizeOf(operand, dim) == 1 && isCut && dimOf(op->getResult(0), dim) == 1)
        repeats.append({operand, dim});
    }
  }
  return repeats;
}

/// In which operands the op is linear together.
static SmallVector<unsigned, 2> getLinearOperands(Operation *op) {
  if (isa<WhereOp>(op)) // what is selected is not changed
    return {1, 2};
  auto binary = cast<BinaryOpInterface>(op);
  ElementType type = elementTypeOf(op->getOperand(0));
  const BinaryInfo &info = *findBinary(static_cast<uint8_t>(binary.getKind()));
  bool isRounded = info.kind == BinaryKind::div && isIntegerType(type);
  if (!passesSums(type) || isRounded)
    return {};
  switch (info.linearity) {
  case Linearity::none:
    return {};
  case Linearity::first: // in y as well, but a rule names what is partial together
    return {0};
  case Linearity::both:
    return {0, 1};
  }
  llvm_unreachable("all are listed");
}

ShardingRule cleave::getBroadcastRule(BroadcastOpInterface op) {
  RankedTensorType result = tensorOf(op->getResult(0));
  ShardingRule rule = getElementwiseRule(result);
  ShardingRule::Dims all = rule.operands.front();
  rule.operands.clear();
  for (auto [number, operand] : llvm::enumerate(op->getOperands())) {
    RankedTensorType type = tensorOf(operand);
    int64_t missing = result.getRank() - type.getRank();
    ShardingRule::Dims &dims = rule.operands.emplace_back();
    auto isListed = [&](int64_t dim) {
      ArrayRef<int64_t> repeats = op.getRepeats();
      for (size_t i = 0; i + 1 < repeats.size(); i += 2)
        if (repeats[i] == static_cast<int64_t>(number) && repeats[i + 1] == dim)
          return true;
      return false;
    };
    for (int64_t dim = missing; dim < result.getRank(); ++dim) {
      int64_t size = type.getDimSize(dim - missing);
      bool isRepeated = size == 1 && (result.getDimSize(dim) != 1 || isListed(dim));
      if (isRepeated)
        rule.factors.push_back({1, FactorKind::whole});
      dims.push_back(isRepeated ? one(rule.factors.size() - 1) : all[dim]);
    }
  }
  rule.linearIn = getLinearOperands(op);
  return rule;
}

// ---- cast ----

LogicalResult CastOp::verify() {
  RankedTensorType x = tensorOf(getX()), result = tensorOf(getResult());
  if (x.getShape() == result.getShape() && x.getEncoding() == result.getEncoding())
    return success();
  return emitOpError("expects a result of x's shape, found ") << x << " and " << result;
}

ShardingRule CastOp::getShardingRule() {
  return getElementwiseRule(tensorOf(getX()));
}
