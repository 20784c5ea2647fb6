// cleave-assign-stages: cuts become stage numbers, and values that cross them transfers.
#include "compiler/passes.h"
#include "dialect/dialect.h"

#include "mlir/IR/Builders.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

#include <map>
#include <set>

namespace cleave {
#define GEN_PASS_DEF_ASSIGNSTAGESPASS
#include "compiler/Passes.h.inc"
} // namespace cleave

using namespace mlir;
using namespace cleave;

namespace {

class Staging {
public:
  /// `used` is told the stages that have something to compute, `cuts` where each of those
  /// after the first begins.
  Staging(FunctionOpInterface function, std::set<int64_t> &used, SmallVectorImpl<Location> &cuts)
      : function(function), builder(function.getContext()), used(used), allCuts(cuts) {}

  LogicalResult run() {
    if (!llvm::hasSingleElement(function.getFunctionBody()))
      return function.emitError("expects a function of one block, without control flow");
    number();
    repeatUses();
    return insertTransfers();
  }

private:
  Block &body() { return function.getFunctionBody().front(); }

  void setStage(Operation *op, int64_t stage) {
    op->setAttr(CleaveDialect::stageAttrName, builder.getI64IntegerAttr(stage));
  }

  /// What stands after the k-th cut is in stage k.
  void number() {
    int64_t stage = 0;
    for (Operation &op : llvm::make_early_inc_range(body())) {
      if (isa<CutOp>(op)) {
        cuts.push_back(op.getLoc());
        if (cuts.size() > allCuts.size())
          allCuts.push_back(op.getLoc());
        op.erase();
        ++stage;
      } else if (!op.hasTrait<OpTrait::IsTerminator>()) {
        setStage(&op, stage);
        if (isa<ShardingRuleOpInterface>(op))
          used.insert(stage);
      }
    }
  }

  /// A weight is used where its users are, by a `use` of each stage's own.
  void repeatUses() {
    SmallVector<UseOp> uses(body().getOps<UseOp>());
    for (UseOp use : uses) {
      std::map<int64_t, SmallVector<OpOperand *>> byStage;
      for (OpOperand &operand : use->getUses())
        byStage[getStage(operand.getOwner())].push_back(&operand);
      for (auto &[stage, operands] : byStage) {
        builder.setInsertionPoint(use);
        auto own = cast<UseOp>(builder.clone(*use));
        setStage(own, stage);
        for (OpOperand *operand : operands)
          operand->set(own);
        placeBeforeFirstUser(own);
      }
      use.erase();
    }
  }

  static void placeBeforeFirstUser(UseOp use) {
    Operation *first = *use->getUsers().begin();
    for (Operation *user : use->getUsers())
      if (user->isBeforeInBlock(first))
        first = user;
    use->moveBefore(first);
  }

  LogicalResult insertTransfers() {
    SmallVector<Operation *> ops;
    for (Operation &op : body())
      ops.push_back(&op);
    for (Operation *op : ops)
      for (Value result : op->getResults())
        if (failed(transfer(result, getStage(op))))
          return failure();
    return success();
  }

  /// One transfer to each later stage that reads `value`.
  LogicalResult transfer(Value value, int64_t from) {
    std::map<int64_t, SmallVector<OpOperand *>> later;
    for (OpOperand &use : value.getUses())
      if (!use.getOwner()->hasTrait<OpTrait::IsTerminator>() && getStage(use.getOwner()) != from)
        later[getStage(use.getOwner())].push_back(&use);
    if (auto update = value.getDefiningOp<StateUpdateOp>(); update && !later.empty()) {
      Operation *reader = later.begin()->second.front()->getOwner();
      InFlightDiagnostic error = emitError(cuts[from])
                                 << "a cut between '" << getModelName(update) << "' and '"
                                 << getModelName(reader) << "' would part state '"
                                 << update.getState()
                                 << "' from its reader; cut before the first or after the second";
      error.attachNote(update.getLoc()) << "the state is written here";
      return error;
    }
    builder.setInsertionPointAfterValue(value);
    for (auto &[to, uses] : later) {
      auto op = builder.create<TransferOp>(value.getLoc(), value.getType(), value, to);
      setStage(op, from);
      for (StringRef name : {CleaveDialect::shardingAttrName, CleaveDialect::nameAttrName})
        if (Attribute attr = value.getDefiningOp()->getAttr(name))
          op->setAttr(name, attr);
      for (OpOperand *use : uses)
        use->set(op);
      builder.setInsertionPointAfter(op);
    }
    return success();
  }

  FunctionOpInterface function;
  OpBuilder builder;
  SmallVector<Location> cuts; ///< where the k-th was
  std::set<int64_t> &used;
  SmallVectorImpl<Location> &allCuts;
};

/// A state lives in one stage, in all entries: it cannot be moved.
LogicalResult checkStates(ModuleOp module) {
  llvm::StringMap<StateUpdateOp> first;
  WalkResult result = module.walk([&](StateUpdateOp update) {
    StateUpdateOp known = first.try_emplace(update.getState(), update).first->second;
    if (getStage(known) == getStage(update))
      return WalkResult::advance();
    InFlightDiagnostic error = update.emitError()
                               << "state '" << update.getState() << "' is written in stage "
                               << getStage(known) << " and in stage " << getStage(update)
                               << "; cut elsewhere, so that one stage has it";
    error.attachNote(known.getLoc()) << "it is written here, too";
    return WalkResult::interrupt();
  });
  return failure(result.wasInterrupted());
}

/// Ranks of a stage without an op would have nothing to do.
LogicalResult checkStagesAreUsed(const std::set<int64_t> &used, ArrayRef<Location> cuts) {
  for (auto [i, cut] : llvm::enumerate(cuts)) {
    if (i == 0 && !used.contains(0))
      return emitError(cut) << "nothing stands before this cut: stage 0 would have nothing to do";
    if (!used.contains(i + 1))
      return emitError(cut) << "nothing stands between this cut and the "
                            << (i + 1 < cuts.size() ? "next" : "end") << ": stage " << i + 1
                            << " would have nothing to do";
  }
  return success();
}

struct AssignStagesPass : public cleave::impl::AssignStagesPassBase<AssignStagesPass> {
  void runOnOperation() override {
    std::set<int64_t> used;
    SmallVector<Location> cuts;
    for (auto function : getOperation().getOps<FunctionOpInterface>())
      if (!function.isExternal() && failed(Staging(function, used, cuts).run()))
        return signalPassFailure();
    if (failed(checkStagesAreUsed(used, cuts)) || failed(checkStates(getOperation())))
      signalPassFailure();
  }
};

} // namespace
