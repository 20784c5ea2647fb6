// cleave-verify-sharded: shardings fit their types, the mesh and the ops' rules, and
// stages meet only at transfers.
#include "compiler/partition/mesh.h"
#include "compiler/passes.h"

#include "mlir/Interfaces/FunctionInterfaces.h"

namespace cleave {
#define GEN_PASS_DEF_VERIFYSHARDEDPASS
#include "compiler/Passes.h.inc"
} // namespace cleave

using namespace mlir;
using namespace cleave;

namespace {

class ShardedVerifier {
public:
  explicit ShardedVerifier(const Mesh &mesh) : mesh(mesh) {}

  LogicalResult verifyValue(Value value);
  LogicalResult verifyRule(ShardingRuleOpInterface op);
  LogicalResult verifyStages(Operation *op);

private:
  LogicalResult verifyAxes(Value value, ArrayRef<StringAttr> axes);

  const Mesh &mesh;
};

} // namespace

LogicalResult ShardedVerifier::verifyAxes(Value value, ArrayRef<StringAttr> axes) {
  for (StringAttr axis : axes)
    if (!mesh.getAxisSize(axis))
      return emitError(value.getLoc()) << "a value is sharded over axis " << axis
                                       << ", which the mesh does not have";
  return success();
}

LogicalResult ShardedVerifier::verifyValue(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  ShardingAttr sharding = getSharding(value);
  if (!sharding)
    return emitError(value.getLoc()) << "a value of type " << type << " has no sharding";
  if (failed(verifyAxes(value, sharding.getPartial())))
    return failure();
  for (auto [number, dim] : llvm::enumerate(sharding.getDims())) {
    if (failed(verifyAxes(value, dim.getAxes())))
      return failure();
    if (!dim.isSplit() || type.isDynamicDim(number))
      continue;
    int64_t size = type.getDimSize(number), shares = mesh.getNumShares(dim.getAxes());
    if (!dim.hasRanges()) {
      if (size % shares != 0)
        return emitError(value.getLoc()) << "dim " << number << " of size " << size
                                         << " is split evenly into " << shares
                                         << " shares, which does not go; give ranges";
      continue;
    }
    SmallVector<ElementRange> ranges = getRanges(dim.getRanges());
    if (static_cast<int64_t>(ranges.size()) != shares)
      return emitError(value.getLoc()) << "dim " << number << " has " << ranges.size()
                                       << " ranges for " << shares << " shares";
    for (ElementRange range : ranges)
      if (range.end > size)
        return emitError(value.getLoc()) << "range " << range.begin << ":" << range.end
                                         << " lies outside dim " << number << " of size " << size;
  }
  return success();
}

/// Dims of the same factors lie alike; what is whole to the op is not cut; a dim that has
/// only the leading factors of another is cut over the same axes.
LogicalResult ShardedVerifier::verifyRule(ShardingRuleOpInterface op) {
  ShardingRule rule = op.getShardingRule();
  SmallVector<std::pair<const ShardingRule::Dim *, DimShardingAttr>> seen;
  llvm::DenseSet<StringAttr> summed;
  auto check = [&](Value value, const ShardingRule::Dims &dims, bool operand) -> LogicalResult {
    for (auto [split, factors] : llvm::zip_equal(getSharding(value).getDims(), dims)) {
      const Factor &leading = rule.factors[factors.front()];
      if (split.isSplit() && leading.kind == FactorKind::whole)
        return op->emitOpError("is given a value of type ")
               << value.getType() << " sharded as " << getSharding(value)
               << ", but needs that dim whole";
      if (operand && leading.kind == FactorKind::sum)
        summed.insert(split.getAxes().begin(), split.getAxes().end());
      for (auto &[other, otherSplit] : seen) {
        bool same = *other == factors;
        if (other->front() != factors.front() ||
            (same ? otherSplit == split : otherSplit.getAxes() == split.getAxes()))
          continue;
        return op->emitOpError("has dims that must be cut alike, but one is ")
               << otherSplit << " and another " << split;
      }
      seen.push_back({&factors, split});
    }
    return success();
  };
  for (auto [value, dims] : llvm::zip_equal(op->getOperands(), rule.operands))
    if (failed(check(value, dims, true)))
      return failure();
  for (auto [value, dims] : llvm::zip_equal(op->getResults(), rule.results))
    if (failed(check(value, dims, false)))
      return failure();
  // Partial operands: only where the op is linear, and then all of them and the result.
  for (auto [number, value] : llvm::enumerate(op->getOperands())) {
    ArrayRef<StringAttr> partial = getSharding(value).getPartial();
    if (partial.empty())
      continue;
    bool linear = llvm::is_contained(rule.linearIn, number);
    for (unsigned other : rule.linearIn)
      linear &= getSharding(op->getOperand(other)).getPartial() == partial;
    if (!linear)
      return op->emitOpError("reads a partial sum ") << getSharding(value) << " as a whole value";
    summed.insert(partial.begin(), partial.end());
  }
  for (Value result : op->getResults()) {
    ArrayRef<StringAttr> partial = getSharding(result).getPartial();
    if (partial.size() != summed.size() ||
        !llvm::all_of(partial, [&](StringAttr axis) { return summed.contains(axis); }))
      return op->emitOpError("gives partial sums over ")
             << summed.size() << " axes, but its result is sharded as " << getSharding(result);
  }
  return success();
}

LogicalResult ShardedVerifier::verifyStages(Operation *op) {
  if (op->hasTrait<OpTrait::IsTerminator>())
    return success();
  for (Value operand : op->getOperands()) {
    Operation *producer = operand.getDefiningOp();
    if (!producer)
      continue;
    auto transfer = dyn_cast<TransferOp>(producer);
    int64_t known = transfer ? transfer.getTo() : getStage(producer);
    if (known == getStage(op))
      continue;
    InFlightDiagnostic error = op->emitOpError("of stage ")
                               << getStage(op) << " reads a value of stage " << known
                               << " without a transfer";
    error.attachNote(producer->getLoc()) << "the value is made here";
    return error;
  }
  return success();
}

namespace {
struct VerifyShardedPass : public cleave::impl::VerifyShardedPassBase<VerifyShardedPass> {
  void runOnOperation() override {
    markAllAnalysesPreserved();
    Mesh mesh = Mesh::of(getOperation());
    ShardedVerifier verifier(mesh);
    for (auto function : getOperation().getOps<FunctionOpInterface>()) {
      for (BlockArgument argument : function.getArguments())
        if (failed(verifier.verifyValue(argument)))
          return signalPassFailure();
      WalkResult result = function.walk([&](Operation *op) {
        if (op == function)
          return WalkResult::advance();
        for (Value value : op->getResults())
          if (failed(verifier.verifyValue(value)))
            return WalkResult::interrupt();
        auto compute = dyn_cast<ShardingRuleOpInterface>(op);
        if ((compute && failed(verifier.verifyRule(compute))) || failed(verifier.verifyStages(op)))
          return WalkResult::interrupt();
        return WalkResult::advance();
      });
      if (result.wasInterrupted())
        return signalPassFailure();
    }
  }
};
} // namespace
