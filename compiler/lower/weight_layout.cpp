// Weights' uses decide their layouts.
#include "compiler/lower/weight_layout.h"

using namespace mlir;
using namespace cleave;

/// Whether the use is a matrix of a product.
static bool isMatrix(OpOperand &use) {
  Operation *op = use.getOwner();
  if (auto moe = dyn_cast<MoeOp>(op))
    return llvm::is_contained({moe.getGate(), moe.getUp(), moe.getDown()}, use.get());
  return isa<LinearOp, JoinedLinearOp>(op) && use.getOperandNumber() > 0;
}

llvm::StringMap<Layout> cleave::chooseLayouts(ModuleOp module) {
  llvm::StringMap<Layout> layouts;
  for (WeightOp weight : module.getOps<WeightOp>())
    layouts[weight.getSymName()] = Layout::rows;
  module.walk([&](UseOp use) {
    if (llvm::any_of(use->getUses(), isMatrix))
      layouts[use.getWeight()] =
          matrixLayout(getElementTypeInfo(use.getType().getElementType())->type);
  });
  return layouts;
}

uint64_t cleave::packedBytes(RankedTensorType type, Layout layout) {
  return layoutBytes(layout, *getElementTypeInfo(type.getElementType()), type.getShape()).value();
}
