// cleave-verify-logical: the form that importers make and partitioning starts from.
#include "compiler/passes.h"
#include "dialect/dialect.h"

#include "mlir/Interfaces/FunctionInterfaces.h"

namespace cleave {
#define GEN_PASS_DEF_VERIFYLOGICALPASS
#include "compiler/Passes.h.inc"
} // namespace cleave

using namespace mlir;
using namespace cleave;

/// As verifyValueType; and sizes are whole, since there are no ranks to share them yet.
static LogicalResult verifyLogicalType(Operation *op, Type type) {
  if (failed(verifyValueType(op, type)))
    return failure();
  if (hasDimShare(cast<RankedTensorType>(type)))
    return op->emitOpError("has a value of type ")
           << type << ", a share, which has no place in the logical form";
  return success();
}

/// What the user says of a value are axes. Where they cut follows from heads and shares, and
/// which sums are put off from the ops.
static LogicalResult verifyGiven(Operation *op, ShardingAttr sharding) {
  if (sharding && !sharding.getPartial().empty())
    return op->emitOpError("has a value that is to be ")
           << sharding << ", a partial sum, which has no place in the logical form";
  if (sharding && llvm::any_of(sharding.getDims(), [](auto dim) { return dim.hasRanges(); }))
    return op->emitOpError("has a value that is to be ")
           << sharding << ", with ranges, which follow from heads and shares; give axes alone";
  return success();
}

static LogicalResult verifyFunction(FunctionOpInterface function) {
  if (function.isExternal())
    return function.emitOpError("has no body");
  if (!llvm::hasSingleElement(function.getFunctionBody()))
    return function.emitOpError("has control flow, expected one block");
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    if (failed(verifyLogicalType(function, function.getArgumentTypes()[i])))
      return failure();
    if (failed(verifyGiven(function, cleave::getSharding(function.getArgument(i)))))
      return failure();
    if (!function.getArgAttr(i, CleaveDialect::inputAttrName))
      return function.emitOpError("argument ")
             << i << " has no name; give it {" << CleaveDialect::inputAttrName << " = \"...\"}";
  }
  for (unsigned i = 0; i < function.getNumResults(); ++i)
    if (!function.getResultAttr(i, CleaveDialect::outputAttrName))
      return function.emitOpError("result ")
             << i << " has no name; give it {" << CleaveDialect::outputAttrName << " = \"...\"}";
  return success();
}

static LogicalResult verifyOp(Operation *op) {
  if (communicates(op) || isa<ReshardOp, TransferOp, ShareOp, FusedOpInterface>(op))
    return op->emitOpError("has no place in the logical form");
  if (isa<ModuleOp>(op) && op->getParentOp())
    return op->emitOpError("stands inside a module, expected the logical form");
  for (Type type : op->getResultTypes())
    if (failed(verifyLogicalType(op, type)))
      return failure();
  if (!op->hasAttr(CleaveDialect::shardingAttrName))
    return success();
  if (isa<UseOp, StateUpdateOp>(op))
    return op->emitOpError("has a sharding, but gives a ")
           << (isa<UseOp>(op) ? "weight, which lies as its 'split' says"
                              : "state, which lies as the weights behind it are split");
  if (!isa<ShardingRuleOpInterface>(op))
    return op->emitOpError("has a sharding, but no rule by which to follow it");
  for (Value result : op->getResults())
    if (failed(verifyGiven(op, getSharding(result))))
      return failure();
  return success();
}

namespace {
struct VerifyLogicalPass : public cleave::impl::VerifyLogicalPassBase<VerifyLogicalPass> {
  void runOnOperation() override {
    markAllAnalysesPreserved();
    bool failedAny = false;
    getOperation()->walk([&](Operation *op) {
      if (op == getOperation())
        return;
      auto function = dyn_cast<FunctionOpInterface>(op);
      failedAny |= failed(function ? verifyFunction(function) : verifyOp(op));
    });
    if (getOperation().getOps<FunctionOpInterface>().empty()) {
      getOperation().emitError("has no function to execute");
      failedAny = true;
    }
    if (failedAny)
      signalPassFailure();
  }
};
} // namespace
