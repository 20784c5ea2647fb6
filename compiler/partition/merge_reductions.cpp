// cleave-merge-reductions: where partial sums are reduced one by one and then added up,
// they are added up first and reduced once.
#include "compiler/passes.h"
#include "dialect/dialect.h"

#include "mlir/IR/Builders.h"

namespace cleave {
#define GEN_PASS_DEF_MERGEREDUCTIONSPASS
#include "compiler/Passes.h.inc"
} // namespace cleave

using namespace mlir;
using namespace cleave;

/// The reshard that `value` comes from, if it adds up a partial sum, whole or in shares, and
/// has no other reader.
static ReshardOp getReduction(Value value) {
  auto reshard = value.getDefiningOp<ReshardOp>();
  if (!reshard || !reshard->hasOneUse())
    return {};
  ShardingAttr from = getSharding(reshard.getX()), to = getSharding(reshard.getResult());
  if (!from || !to || from.getPartial().empty() || !to.getPartial().empty() ||
      from.getPartialKind() != ReductionKind::Sum)
    return {};
  return reshard;
}

/// Which operand of `add` is a reduction; the other is `rest`.
static ReshardOp getReduction(AddOp add, Value &rest) {
  if (add.getX().getType() != add.getY().getType())
    return {};
  if (ReshardOp reduction = getReduction(add.getY())) {
    rest = add.getX();
    return reduction;
  }
  rest = add.getY();
  return getReduction(add.getX());
}

/// Whether a stage begins between two ops of one block: a partial sum would then have to
/// cross beside the value that crosses anyway.
static bool isCutBetween(Operation *first, Operation *last) {
  for (Operation *op = first; op != last; op = op->getNextNode())
    if (isa<CutOp>(op))
      return true;
  return false;
}

/// Whether partial sums that are `first` and `second` may be added up before `sum`, and lie alike
/// there. Not those of 16 bits, each of which would be rounded.
static bool canAdd(ReshardOp first, ReshardOp second, AddOp sum) {
  return first != second && first->getBlock() == sum->getBlock() &&
         second->getBlock() == sum->getBlock() && !isCutBetween(first, sum) &&
         getSharding(first.getX()) == getSharding(second.getX()) &&
         getSharding(first.getResult()) == getSharding(second.getResult()) &&
         !sum.getShardingRule().linearIn.empty();
}

/// reduce a + reduce b becomes reduce (a + b). Propagation leaves such sums only where they are
/// wanted in shares.
static bool mergeOperands(AddOp add) {
  ReshardOp first = getReduction(add.getX()), second = getReduction(add.getY());
  if (!first || !second || add.getX().getType() != add.getY().getType() ||
      !canAdd(first, second, add) || isCutBetween(second, add))
    return false;
  OpBuilder builder(add);
  auto sum = cast<AddOp>(builder.clone(*add));
  sum.getXMutable().assign(first.getX());
  sum.getYMutable().assign(second.getX());
  sum->setAttr(CleaveDialect::shardingAttrName, builder.getArrayAttr({getSharding(first.getX())}));
  auto reduced = cast<ReshardOp>(builder.clone(*second));
  reduced.getXMutable().assign(sum);
  reduced->setAttr(CleaveDialect::nameAttrName, builder.getStringAttr(getModelName(add)));
  add.replaceAllUsesWith(reduced.getResult());
  add.erase();
  first.erase();
  second.erase();
  return true;
}

/// (x + reduce a) + reduce b, with no other reader of the inner sum, becomes x + reduce (a + b).
static void merge(AddOp outer) {
  Value innerValue, x;
  ReshardOp second = getReduction(outer, innerValue);
  auto inner = innerValue ? innerValue.getDefiningOp<AddOp>() : AddOp();
  if (!second || !inner || !inner->hasOneUse() || inner->getBlock() != outer->getBlock())
    return;
  ReshardOp first = getReduction(inner, x);
  if (!first || !canAdd(first, second, outer))
    return;

  OpBuilder builder(outer);
  auto sum = builder.create<AddOp>(outer.getLoc(), first.getX(), second.getX());
  sum->setAttr(CleaveDialect::shardingAttrName, builder.getArrayAttr({getSharding(first.getX())}));
  auto reduced = cast<ReshardOp>(builder.clone(*second));
  reduced.getXMutable().assign(sum);
  // A name of its own: this is no value of the model.
  auto name = builder.getStringAttr(getModelName(first) + " + " + getModelName(second));
  sum->setAttr(CleaveDialect::nameAttrName, name);
  reduced->setAttr(CleaveDialect::nameAttrName, name);
  outer.getXMutable().assign(x);
  outer.getYMutable().assign(reduced);
  inner.erase();
  first.erase();
  second.erase();
}

namespace {
struct MergeReductionsPass : public cleave::impl::MergeReductionsPassBase<MergeReductionsPass> {
  void runOnOperation() override {
    SmallVector<AddOp> adds;
    getOperation().walk([&](AddOp add) { adds.push_back(add); });
    // In program order: a merge erases an add that was visited before, and what it leaves can
    // be the inner sum of the next.
    for (AddOp add : adds)
      if (!mergeOperands(add))
        merge(add);
  }
};
} // namespace
