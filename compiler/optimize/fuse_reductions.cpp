// cleave-fuse-reductions: what follows a sum over the ranks row by row, the residual's addition
// and the norm, becomes one op with it; add and norm without a sum become one as well.
#include "compiler/optimize/fusing.h"
#include "compiler/passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace cleave {
#define GEN_PASS_DEF_FUSEREDUCTIONSPASS
#include "compiler/Passes.h.inc"
} // namespace cleave

using namespace mlir;
using namespace cleave;

static bool hasRows(RankedTensorType type) {
  return type.getRank() == 2 && !type.isDynamicDim(1) && type.getElementType().isF32();
}

/// The norm of `add`'s sum that can be computed with it at `place`, or null. It does not pass
/// an op that communicates: a message would wait for it.
static RmsNormOp findNorm(AddOp add, Operation *place) {
  for (Operation *op = add->getNextNode(); op && !communicates(op); op = op->getNextNode())
    if (auto norm = dyn_cast<RmsNormOp>(op); norm && !norm.getPerHead() &&
                                             norm.getX() == add.getResult() &&
                                             canStandBefore(norm.getWeight(), place))
      return norm;
  return {};
}

/// The addition that alone reads the sum, before anything else is communicated, and adds what
/// is there before the sum is.
static AddOp findAdd(AllReduceOp reduce) {
  if (reduce.getKind() != ReductionKind::Sum || !reduce->hasOneUse())
    return {};
  auto add = dyn_cast<AddOp>(*reduce->getUsers().begin());
  if (!add || !add.getRepeats().empty() || add.getX().getType() != add.getY().getType())
    return {};
  for (Operation *op = reduce->getNextNode(); op != add; op = op->getNextNode())
    if (communicates(op))
      return {};
  Value residual = add.getX() == reduce.getResult() ? add.getY() : add.getX();
  return hasRows(add.getType()) && canStandBefore(residual, reduce) ? add : AddOp();
}

static void fuse(AllReduceOp reduce, AddOp add) {
  RmsNormOp norm = findNorm(add, reduce);
  Value residual = add.getX() == reduce.getResult() ? add.getY() : add.getX();
  bringBefore(residual, reduce);
  SmallVector<Operation *> parts{reduce, add};
  SmallVector<Type> types{add.getType()};
  if (norm) {
    bringBefore(norm.getWeight(), reduce);
    parts.push_back(norm);
    types.push_back(norm.getType());
  }
  OpBuilder builder(reduce);
  auto fused = builder.create<AllReduceAddOp>(
      getFusedLoc(parts), types, reduce.getX(), residual, norm ? norm.getWeight() : Value(),
      reduce.getGroup(), norm ? norm.getEpsilonAttr() : FloatAttr(), getNames(parts));
  add.getResult().replaceAllUsesWith(fused.getSum());
  if (norm) {
    norm.getResult().replaceAllUsesWith(fused.getNormed());
    norm.erase();
  }
  add.erase();
  reduce.erase();
}

static void fuse(AddOp add) {
  bool canFuse = add.getX().getType() == add.getY().getType() && add.getRepeats().empty() &&
                 hasRows(add.getType());
  RmsNormOp norm = canFuse ? findNorm(add, add) : RmsNormOp();
  if (!norm)
    return;
  bringBefore(norm.getWeight(), add);
  SmallVector<Operation *> parts{add, norm};
  SmallVector<Type> types{add.getType(), norm.getType()};
  OpBuilder builder(add);
  auto fused = builder.create<AddNormOp>(getFusedLoc(parts), types, add.getX(), add.getY(),
                                         norm.getWeight(), norm.getEpsilonAttr(), getNames(parts));
  add.getResult().replaceAllUsesWith(fused.getSum());
  norm.getResult().replaceAllUsesWith(fused.getNormed());
  norm.erase();
  add.erase();
}

namespace {
struct FuseReductionsPass : public cleave::impl::FuseReductionsPassBase<FuseReductionsPass> {
  void runOnOperation() override {
    SmallVector<AllReduceOp> reduces;
    getOperation().walk([&](AllReduceOp reduce) { reduces.push_back(reduce); });
    for (AllReduceOp reduce : reduces)
      if (AddOp add = findAdd(reduce))
        fuse(reduce, add);
    SmallVector<AddOp> adds;
    getOperation().walk([&](AddOp add) { adds.push_back(add); });
    for (AddOp add : adds)
      fuse(add);
  }
};
} // namespace
