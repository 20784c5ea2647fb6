// Names, locations and operands of ops that take the place of several.
#include "compiler/optimize/fusing.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace cleave;

ArrayAttr cleave::getNames(ArrayRef<Operation *> ops) {
  SmallVector<StringRef> names;
  for (Operation *op : ops) {
    auto name = op->getAttrOfType<StringAttr>(CleaveDialect::nameAttrName);
    names.push_back(name ? name.getValue() : "");
  }
  if (llvm::all_of(names, [](StringRef name) { return name.empty(); }))
    return {};
  return Builder(ops.front()->getContext()).getStrArrayAttr(names);
}

Location cleave::getFusedLoc(ArrayRef<Operation *> ops) {
  SmallVector<Location> places;
  for (Operation *op : ops)
    places.push_back(op->getLoc());
  return FusedLoc::get(ops.front()->getContext(), places);
}

bool cleave::canStandBefore(Value value, Operation *op) {
  Operation *source = value.getDefiningOp();
  return !source || isa<UseOp>(source) || source->isBeforeInBlock(op);
}

void cleave::bringBefore(Value value, Operation *op) {
  if (auto use = value.getDefiningOp<UseOp>(); use && op->isBeforeInBlock(use))
    use->moveBefore(op);
}
