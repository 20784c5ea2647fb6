// cleave-remove-dead-communication: what no result and no state depends on, on any rank, goes;
// what one rank needs stays on all that take part in it.
#include "compiler/optimize/exchanges.h"
#include "compiler/passes.h"

#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace cleave {
#define GEN_PASS_DEF_REMOVEDEADCOMMUNICATIONPASS
#include "compiler/Passes.h.inc"
} // namespace cleave

using namespace mlir;
using namespace cleave;

/// The ops of all ranks that a result or a state depends on. An exchange that one rank needs
/// is needed on all of them, with what its ops read.
static llvm::DenseSet<Operation *> findLive(EntryOfRanks &entry, ArrayRef<Exchange> exchanges) {
  llvm::DenseMap<Operation *, const Exchange *> exchangeOf;
  for (const Exchange &exchange : exchanges)
    for (Operation *op : exchange)
      exchangeOf[op] = &exchange;

  llvm::DenseSet<Operation *> live;
  SmallVector<Operation *> next;
  auto mark = [&](Operation *op) {
    if (live.insert(op).second)
      next.push_back(op);
  };
  for (auto &[rank, function] : entry)
    for (Operation &op : function.getFunctionBody().front())
      if (!communicates(&op) && !isMemoryEffectFree(&op))
        mark(&op);
      else if (op.hasTrait<OpTrait::IsTerminator>())
        mark(&op);
  while (!next.empty()) {
    Operation *op = next.pop_back_val();
    for (Value operand : op->getOperands())
      if (Operation *source = operand.getDefiningOp())
        mark(source);
    if (auto it = exchangeOf.find(op); it != exchangeOf.end())
      llvm::for_each(*it->second, mark);
  }
  return live;
}

namespace {
struct RemoveDeadCommunicationPass
    : public cleave::impl::RemoveDeadCommunicationPassBase<RemoveDeadCommunicationPass> {
  void runOnOperation() override {
    for (auto &[name, entry] : findEntries(getOperation())) {
      FailureOr<std::vector<Exchange>> exchanges = findExchanges(entry);
      if (failed(exchanges))
        continue;
      llvm::DenseSet<Operation *> live = findLive(entry, *exchanges);
      for (auto &[rank, function] : entry)
        for (Operation &op :
             llvm::make_early_inc_range(llvm::reverse(function.getFunctionBody().front())))
          if (!live.contains(&op))
            op.erase();
    }
  }
};
} // namespace
