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
  for (auto [number, product] : llvm::enumerate(getProducts()))
    if (StringAttr name = getName(*this, number))
      setName(product, name);
}
