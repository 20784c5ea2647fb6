// cleave-merge-all-reduces: sums over one group that follow each other, none of them needed for
// the next, go in one message. All members of a group do it alike.
#include "compiler/optimize/exchanges.h"
#include "compiler/optimize/fusing.h"
#include "compiler/passes.h"

#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace cleave {
#define GEN_PASS_DEF_MERGEALLREDUCESPASS
#include "compiler/Passes.h.inc"
} // namespace cleave

using namespace mlir;
using namespace cleave;

static Operation *getNextCommunication(Operation *op) {
  do
    op = op->getNextNode();
  while (op && !communicates(op));
  return op;
}

/// Whether `op` may be executed later: it neither has effects nor reads a state, which a later
/// op may change.
static bool canSink(Operation *op) {
  return isMemoryEffectFree(op) && llvm::none_of(op->getOperands(), [](Value operand) {
           return operand.getDefiningOp<StateUpdateOp>();
         });
}

/// The ops between `sums`, of one rank, and `last` that need one of the sums and must stand
/// behind `last` when all are one message; failure where that cannot be.
static FailureOr<SmallVector<Operation *>> findDependent(ArrayRef<Operation *> sums,
                                                         Operation *last) {
  llvm::SmallPtrSet<Operation *, 16> dependent(sums.begin(), sums.end());
  auto depends = [&](Operation *op) {
    return llvm::any_of(op->getOperands(),
                        [&](Value operand) { return dependent.contains(operand.getDefiningOp()); });
  };
  SmallVector<Operation *> moved;
  for (Operation *op = sums.front()->getNextNode(); op != last; op = op->getNextNode()) {
    if (!depends(op))
      continue;
    if (!canSink(op))
      return failure();
    dependent.insert(op);
    moved.push_back(op);
  }
  if (depends(last))
    return failure();
  return moved;
}

static bool isF32(AllReduceOp reduce) {
  return reduce.getType().getElementType().isF32();
}

namespace {
/// Exchanges that become one message: a column for each member.
struct Message {
  SmallVector<const Exchange *> exchanges;

  SmallVector<Operation *> sumsOf(size_t member) const {
    SmallVector<Operation *> sums;
    for (const Exchange *exchange : exchanges)
      sums.push_back((*exchange)[member]);
    return sums;
  }

  /// Whether `next` follows on every member and needs none of the sums.
  bool canTake(const Exchange &next) const {
    const Exchange &last = *exchanges.back();
    auto reduce = dyn_cast<AllReduceOp>(next.front());
    if (!reduce || reduce.getKind() != ReductionKind::Sum || next.size() != last.size() ||
        exchanges.size() >= static_cast<size_t>(maxOperands) ||
        reduce.getGroup() != cast<AllReduceOp>(last.front()).getGroup() || !isF32(reduce))
      return false;
    for (size_t member = 0; member < next.size(); ++member)
      if (getNextCommunication(last[member]) != next[member] ||
          failed(findDependent(sumsOf(member), next[member])))
        return false;
    return true;
  }

  void merge() const {
    for (size_t member = 0; member < exchanges.front()->size(); ++member)
      merge(sumsOf(member));
  }

private:
  static void merge(ArrayRef<Operation *> sums) {
    Operation *last = sums.back();
    FailureOr<SmallVector<Operation *>> dependent = findDependent(sums.drop_back(), last);
    for (Operation *op : llvm::reverse(*dependent))
      op->moveAfter(last);
    OpBuilder builder(last);
    SmallVector<Value> operands;
    SmallVector<Type> types;
    for (Operation *sum : sums) {
      operands.push_back(sum->getOperand(0));
      types.push_back(sum->getResult(0).getType());
    }
    auto merged = builder.create<MergedAllReduceOp>(
        getFusedLoc(sums), types, operands, cast<AllReduceOp>(last).getGroup(), getNames(sums));
    for (auto [sum, result] : llvm::zip_equal(sums, merged.getSums())) {
      sum->getResult(0).replaceAllUsesWith(result);
      sum->erase();
    }
  }
};

struct MergeAllReducesPass : public cleave::impl::MergeAllReducesPassBase<MergeAllReducesPass> {
  void runOnOperation() override {
    for (auto &[name, entry] : findEntries(getOperation())) {
      FailureOr<std::vector<Exchange>> exchanges = findExchanges(entry);
      if (failed(exchanges))
        continue;
      llvm::DenseMap<Operation *, const Exchange *> exchangeOf;
      for (const Exchange &exchange : *exchanges)
        for (Operation *op : exchange)
          exchangeOf[op] = &exchange;
      // In the order of each rank's ops; an exchange is met first on one of its members.
      llvm::DenseSet<const Exchange *> taken;
      std::vector<Message> messages;
      for (const Exchange &first : *exchanges) {
        auto reduce = dyn_cast<AllReduceOp>(first.front());
        if (!reduce || reduce.getKind() != ReductionKind::Sum || !isF32(reduce) ||
            !taken.insert(&first).second)
          continue;
        Message message{{&first}};
        while (Operation *next = getNextCommunication(message.exchanges.back()->front())) {
          const Exchange *exchange = exchangeOf.lookup(next);
          if (taken.contains(exchange) || !message.canTake(*exchange))
            break;
          taken.insert(exchange);
          message.exchanges.push_back(exchange);
        }
        if (message.exchanges.size() > 1)
          messages.push_back(std::move(message));
      }
      for (const Message &message : messages)
        message.merge();
    }
  }
};
} // namespace
