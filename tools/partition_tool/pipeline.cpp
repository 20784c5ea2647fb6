// Passes in their order.
#include "tools/partition_tool/pipeline.h"

#include "compiler/passes.h"
#include "dialect/dialect.h"

#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace cleave;

Form cleave::getForm(ModuleOp module) {
  if (!module.getOps<ModuleOp>().empty())
    return Form::ranks;
  // In the logical form some values may say how they want to lie, in the sharded form all do.
  bool isSaid = false, isOpen = false, moves = false;
  module.walk([&](Operation *op) {
    moves |= isa<ReshardOp, TransferOp>(op);
    bool isComputed = isa<UseOp, ShardingRuleOpInterface>(op);
    for (Value result : op->getResults())
      (getSharding(result) ? isSaid : isOpen) |= isComputed;
    if (auto function = dyn_cast<FunctionOpInterface>(op))
      for (BlockArgument argument : function.getArguments())
        (getSharding(argument) ? isSaid : isOpen) = true;
  });
  return moves || (isSaid && !isOpen) ? Form::sharded : Form::logical;
}

LogicalResult cleave::runPipeline(ModuleOp module, Form from, Form to, const plan::Plan &plan,
                                  bool optimize, Provenance *provenance) {
  PassManager passes(module.getContext());
  if (from == Form::logical) {
    passes.addPass(createVerifyLogicalPass());
    if (optimize)
      passes.addPass(createFoldConstantsPass());
    passes.addPass(createApplyPlanPass(plan));
    if (optimize) {
      passes.addPass(createFindSiluPass());
      passes.addPass(createFindGeluPass());
      passes.addPass(createFindLayerNormPass());
      passes.addPass(createFindRmsNormPass());
      passes.addPass(createKeepDimsApartPass());
      passes.addPass(createFindAttentionPass());
    }
    passes.addPass(createChooseSplitsPass());
    if (to != Form::logical) {
      passes.addPass(provenance ? createPropagateShardingsPass(*provenance)
                                : createPropagateShardingsPass());
      passes.addPass(createInsertReshardsPass());
      passes.addPass(createMergeReductionsPass());
      passes.addPass(createAssignStagesPass());
    }
  }
  if (from != Form::ranks && to != Form::logical)
    passes.addPass(createVerifyShardedPass());
  if (from != Form::ranks && to == Form::ranks)
    passes.addPass(createSplitRanksPass());
  if (from != Form::ranks && to == Form::ranks && optimize) {
    passes.addPass(createRemoveDeadCommunicationPass());
    passes.addPass(createMergeAllReducesPass());
    passes.addPass(createJoinLinearsPass());
    passes.addPass(createFuseReductionsPass());
  }
  if (to == Form::ranks)
    passes.addPass(createVerifyRanksPass());
  return passes.run(module);
}

OwningOpRef<ModuleOp> cleave::makeWhole(ModuleOp logical) {
  OwningOpRef<ModuleOp> whole = logical.clone();
  SmallVector<Operation *> placing;
  whole->walk([&](Operation *op) {
    if (auto weight = dyn_cast<WeightOp>(op))
      weight.removeSplitsAttr();
    else if (isa<MeshOp, CutOp>(op))
      placing.push_back(op);
    op->removeAttr(CleaveDialect::stageAttrName);
    op->removeAttr(CleaveDialect::shardingAttrName);
    if (auto function = dyn_cast<FunctionOpInterface>(op))
      for (unsigned i = 0; i < function.getNumArguments(); ++i)
        function.removeArgAttr(i, CleaveDialect::shardingAttrName);
  });
  for (Operation *op : placing)
    op->erase();
  if (failed(runPipeline(*whole, Form::logical, Form::ranks, plan::Plan(), /*optimize=*/false)))
    return {};
  return whole;
}
