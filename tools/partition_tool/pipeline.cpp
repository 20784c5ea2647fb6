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
  WalkResult sharded = module.walk([&](Operation *op) {
    return op->hasAttr(CleaveDialect::shardingAttrName) ? WalkResult::interrupt()
                                                        : WalkResult::advance();
  });
  return sharded.wasInterrupted() ? Form::sharded : Form::logical;
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
      passes.addPass(createFindTransposePass());
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
