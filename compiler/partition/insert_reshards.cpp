// cleave-insert-reshards: where a value is not sharded as an op needs it, or an op gives
// other than the value carries, a reshard.
#include "compiler/partition/op_sharding.h"
#include "compiler/partition/sharded_form.h"
#include "compiler/passes.h"

#include "mlir/IR/Builders.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

namespace cleave {
#define GEN_PASS_DEF_INSERTRESHARDSPASS
#include "compiler/Passes.h.inc"
} // namespace cleave

using namespace mlir;
using namespace cleave;

namespace {

class Resharding {
public:
  explicit Resharding(ModuleOp module)
      : module(module), cuts(module), builder(module.getContext()) {}

  LogicalResult run() {
    SmallVector<Operation *> ops;
    module.walk([&](Operation *op) { ops.push_back(op); });
    for (Operation *op : ops) {
      LogicalResult result = success();
      if (auto compute = dyn_cast<ShardingRuleOpInterface>(op))
        result = reshardOp(compute);
      else if (op->hasTrait<OpTrait::ReturnLike>())
        result = reshardReturn(op);
      if (failed(result))
        return failure();
    }
    return success();
  }

private:
  /// `value` as `wanted`. One reshard serves all that want the same.
  FailureOr<Value> reshard(Value value, ShardingAttr wanted, Operation *user) {
    if (getSharding(value) == wanted)
      return value;
    if (value.getDefiningOp<UseOp>() || value.getDefiningOp<StateUpdateOp>())
      return user->emitError() << "'" << getModelName(user) << "' needs "
                               << (value.getDefiningOp<UseOp>() ? "a weight" : "a state")
                               << " sharded as " << wanted << ", but it lies as "
                               << getSharding(value) << " and cannot be moved at run time";
    Value &known = made[{value, wanted}];
    if (!known) {
      builder.setInsertionPointAfterValue(value);
      known = create(value, wanted);
    }
    return known;
  }

  Value create(Value value, ShardingAttr sharding) {
    auto op = builder.create<ReshardOp>(value.getLoc(), value);
    op->setAttr(CleaveDialect::shardingAttrName, builder.getArrayAttr({sharding}));
    if (Operation *producer = value.getDefiningOp())
      if (auto name = producer->getAttrOfType<StringAttr>(CleaveDialect::nameAttrName))
        op->setAttr(CleaveDialect::nameAttrName, name);
    return op;
  }

  LogicalResult reshardOp(ShardingRuleOpInterface op) {
    FailureOr<OpSharding> sharding =
        getOpSharding(op, cuts, [](Value value) { return getSharding(value); });
    if (failed(sharding))
      return failure();
    for (auto [operand, needed] : llvm::zip_equal(op->getOpOperands(), sharding->operands)) {
      FailureOr<Value> value = reshard(operand.get(), needed, op);
      if (failed(value))
        return failure();
      operand.set(*value);
    }
    SmallVector<Attribute> given;
    for (auto [result, raw] : llvm::zip_equal(op->getResults(), sharding->results)) {
      given.push_back(raw);
      ShardingAttr carried = getSharding(result);
      if (carried == raw)
        continue;
      if (isa<StateUpdateOp>(op))
        return op->emitError() << "'" << getModelName(op) << "' gives a state sharded as " << raw
                               << ", which is declared as " << carried;
      builder.setInsertionPointAfter(op);
      Value moved = create(result, carried);
      result.replaceAllUsesExcept(moved, moved.getDefiningOp());
    }
    op->setAttr(CleaveDialect::shardingAttrName, builder.getArrayAttr(given));
    return success();
  }

  /// A function's results are whole.
  LogicalResult reshardReturn(Operation *op) {
    for (OpOperand &operand : op->getOpOperands()) {
      auto type = dyn_cast<RankedTensorType>(operand.get().getType());
      if (!type)
        continue;
      FailureOr<Value> value = reshard(
          operand.get(), ShardingAttr::getReplicated(builder.getContext(), type.getRank()), op);
      if (failed(value))
        return failure();
      operand.set(*value);
    }
    return success();
  }

  ModuleOp module;
  CutAnalysis cuts;
  OpBuilder builder;
  llvm::DenseMap<std::pair<Value, Attribute>, Value> made;
};

struct InsertReshardsPass : public cleave::impl::InsertReshardsPassBase<InsertReshardsPass> {
  void runOnOperation() override {
    if (failed(verifyShardings(getOperation())) || failed(Resharding(getOperation()).run()))
      signalPassFailure();
  }
};

} // namespace
