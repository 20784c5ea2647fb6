// What fused ops stand for, and their checks.
#include "dialect/dialect.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace cleave;

OwningOpRef<ModuleOp> cleave::cloneExpanded(ModuleOp module, IRMapping &values) {
  OwningOpRef<ModuleOp> copy = cast<ModuleOp>(module->clone(values));
  module.walk([&](FusedOpInterface op) {
    auto fused = cast<FusedOpInterface>(values.lookup(op.getOperation()));
    OpBuilder builder(fused);
    for (auto [mine, result, expanded] :
         llvm::zip_equal(op->getResults(), fused->getResults(), fused.expand(builder))) {
      result.replaceAllUsesWith(expanded);
      values.map(mine, expanded);
    }
    fused.erase();
  });
  return copy;
}

std::string cleave::getJoinedName(FusedOpInterface op) {
  std::string joined;
  if (ArrayAttr names = op.getNamesAttr())
    for (auto name : names.getAsRange<StringAttr>())
      if (!name.empty())
        joined += (joined.empty() ? "" : " + ") + name.str();
  return joined.empty() ? op->getName().getStringRef().str() : joined;
}

/// The name of the `number`-th op that `op` stands for, or null.
static StringAttr getName(FusedOpInterface op, unsigned number) {
  ArrayAttr names = op.getNamesAttr();
  auto name = names ? cast<StringAttr>(names[number]) : StringAttr();
  return name && !name.empty() ? name : StringAttr();
}

/// Makes the `number`-th op that `op` stands for.
template <typename OpT, typename... Args>
static OpT createPart(OpBuilder &builder, FusedOpInterface op, unsigned number, Args &&...args) {
  auto part = builder.create<OpT>(op.getLoc(), std::forward<Args>(args)...);
  if (StringAttr name = getName(op, number))
    part->setAttr(CleaveDialect::nameAttrName, name);
  return part;
}

/// Results are named after the last ops that `op` stands for: those give them.
static void setNames(FusedOpInterface op, OpAsmSetValueNameFn setName) {
  ArrayAttr names = op.getNamesAttr();
  if (!names || names.size() < op->getNumResults())
    return;
  unsigned first = names.size() - op->getNumResults();
  for (OpResult result : op->getResults())
    if (StringAttr name = getName(op, first + result.getResultNumber()))
      setName(result, name);
}

static LogicalResult verifyNames(FusedOpInterface op, size_t parts) {
  ArrayAttr names = op.getNamesAttr();
  if (names && names.size() != parts)
    return op->emitOpError("has ") << names.size() << " names for " << parts << " ops";
  return success();
}

// ---- joined_linear ----

LogicalResult JoinedLinearOp::verify() {
  size_t count = getWeights().size();
  if (count < 2 || count >= maxOperands)
    return emitOpError("has ") << count << " weights, expected 2 to " << maxOperands - 1;
  if (getProducts().size() != count)
    return emitOpError("has ") << getProducts().size() << " results for " << count << " weights";
  auto columnsOf = [](Value weight) {
    return cast<RankedTensorType>(weight.getType()).getShape().back();
  };
  for (auto [weight, product] : llvm::zip_equal(getWeights(), getProducts())) {
    if (failed(verifyLinear(*this, getX(), weight, product, getPadBefore())))
      return failure();
    if (columnsOf(weight) != columnsOf(getWeights().front()))
      return emitOpError("has weights of ")
             << columnsOf(getWeights().front()) << " and of " << columnsOf(weight) << " columns";
  }
  return verifyNames(*this, count);
}

SmallVector<Value> JoinedLinearOp::expand(OpBuilder &builder) {
  SmallVector<Value> products;
  for (auto [number, weight, product] : llvm::enumerate(getWeights(), getProducts()))
    products.push_back(createPart<LinearOp>(builder, *this, number, product.getType(), getX(),
                                            weight, getPadBefore()));
  return products;
}

void JoinedLinearOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setNames(*this, setName);
}

// ---- add_norm ----

/// Rows of a width that is known.
static LogicalResult verifyRows(Operation *op, Value x) {
  auto type = cast<RankedTensorType>(x.getType());
  if (type.getRank() == 2 && !type.isDynamicDim(1))
    return success();
  return op->emitOpError("expects an x of rank 2 and static width, found ") << type;
}

LogicalResult AddNormOp::verify() {
  if (failed(verifyRows(*this, getX())) || failed(verifyRmsNorm(*this, getX(), getWeight())))
    return failure();
  return verifyNames(*this, 2);
}

SmallVector<Value> AddNormOp::expand(OpBuilder &builder) {
  auto sum = createPart<AddOp>(builder, *this, 0, getSum().getType(), getX(), getY());
  auto normed = createPart<RmsNormOp>(builder, *this, 1, getNormed().getType(), sum, getWeight(),
                                      getEpsilonAttr(), UnitAttr());
  return {sum, normed};
}

void AddNormOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setNames(*this, setName);
}

// ---- all_reduce_add ----

LogicalResult AllReduceAddOp::verify() {
  if (failed(verifyRows(*this, getX())) || failed(verifyGroup(*this, getGroup())))
    return failure();
  bool norms = getWeight() != nullptr;
  if (norms != (getNormed() != nullptr) || norms != getEpsilon().has_value())
    return emitOpError("expects a weight, an epsilon and a second result, or none of them");
  if (norms && getNormed().getType() != getSum().getType())
    return emitOpError("expects two results of one type, found ")
           << getSum().getType() << " and " << getNormed().getType();
  if (norms && failed(verifyRmsNorm(*this, getX(), getWeight())))
    return failure();
  return verifyNames(*this, norms ? 3 : 2);
}

SmallVector<Value> AllReduceAddOp::expand(OpBuilder &builder) {
  Type type = getSum().getType();
  auto reduced =
      createPart<AllReduceOp>(builder, *this, 0, type, ReductionKind::Sum, getX(), getGroup());
  SmallVector<Value> results{createPart<AddOp>(builder, *this, 1, type, getResidual(), reduced)};
  if (getWeight())
    results.push_back(createPart<RmsNormOp>(builder, *this, 2, type, results.front(), getWeight(),
                                            getEpsilonAttr(), UnitAttr()));
  return results;
}

void AllReduceAddOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setNames(*this, setName);
}

// ---- merged_all_reduce ----

LogicalResult MergedAllReduceOp::verify() {
  size_t count = getValues().size();
  if (count < 2 || count > maxOperands)
    return emitOpError("has ") << count << " values, expected 2 to " << maxOperands;
  if (TypeRange(getValues()) != TypeRange(getSums()))
    return emitOpError("expects a result for each value, of its type");
  if (failed(verifyGroup(*this, getGroup())))
    return failure();
  return verifyNames(*this, count);
}

SmallVector<Value> MergedAllReduceOp::expand(OpBuilder &builder) {
  SmallVector<Value> sums;
  for (auto [number, value] : llvm::enumerate(getValues())) {
    auto sum = createPart<AllReduceOp>(builder, *this, number, value.getType(), ReductionKind::Sum,
                                       value, getGroup());
    sum->setAttr(CleaveDialect::placeInMessageAttrName, builder.getI64IntegerAttr(number));
    sums.push_back(sum);
  }
  return sums;
}

void MergedAllReduceOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setNames(*this, setName);
}
