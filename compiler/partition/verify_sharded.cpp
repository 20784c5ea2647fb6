// cleave-verify-sharded: shardings fit their types, the mesh and the ops' rules, and
// stages meet only at transfers.
#include "compiler/partition/sharded_form.h"

#include "compiler/partition/mesh.h"
#include "compiler/passes.h"

#include "mlir/Interfaces/FunctionInterfaces.h"

namespace cleave {
#define GEN_PASS_DEF_VERIFYSHARDEDPASS
#include "compiler/Passes.h.inc"
} // namespace cleave

using namespace mlir;
using namespace cleave;

/// As many as a program can name.
static constexpr int64_t maxRanks = 65536;

namespace {

class ShardedVerifier {
public:
  explicit ShardedVerifier(const Mesh &mesh) : mesh(mesh) {}

  LogicalResult verifyValue(Value value);
  LogicalResult verifyRule(ShardingRuleOpInterface op);
  LogicalResult verifyStages(Operation *op);
  LogicalResult verifyDeclared(Operation *op);
  LogicalResult verifyMove(Operation *op);

private:
  LogicalResult verifyAxes(Value value, ArrayRef<StringAttr> axes);
  LogicalResult verifyRanges(Value value, unsigned dim, SmallVector<ElementRange> ranges,
                             int64_t shares);

  const Mesh &mesh;
};

} // namespace

LogicalResult ShardedVerifier::verifyAxes(Value value, ArrayRef<StringAttr> axes) {
  for (StringAttr axis : axes)
    if (!mesh.getAxisSize(axis))
      return emitError(value.getLoc())
             << "a value is sharded over axis " << axis << ", which the mesh does not have";
  return success();
}

LogicalResult ShardedVerifier::verifyValue(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type)
    return emitError(value.getLoc())
           << "a value has type " << value.getType() << ", expected a ranked tensor";
  if (hasDimShare(type))
    return emitError(value.getLoc())
           << "a value has type " << type << ", a share, which has no place in the sharded form";
  ShardingAttr sharding = getSharding(value);
  if (!sharding)
    return emitError(value.getLoc()) << "a value of type " << type << " has no sharding";
  if (failed(verifyAxes(value, sharding.getPartial())))
    return failure();
  for (auto [number, dim] : llvm::enumerate(sharding.getDims())) {
    if (failed(verifyAxes(value, dim.getAxes())))
      return failure();
    if (type.isDynamicDim(number) && dim.hasRanges())
      return emitError(value.getLoc()) << "run-time dim " << number << " of " << type
                                       << " has ranges; it can be split evenly only";
    if (!dim.isSplit() || type.isDynamicDim(number))
      continue;
    int64_t size = type.getDimSize(number), shares = mesh.getNumShares(dim.getAxes());
    if (!dim.hasRanges()) {
      if (size % shares != 0)
        return emitError(value.getLoc())
               << "dim " << number << " of size " << size << " is split evenly into " << shares
               << " shares, which does not go; give ranges";
      continue;
    }
    if (failed(verifyRanges(value, number, getRanges(dim.getRanges()), shares)))
      return failure();
  }
  return success();
}

/// A range for each share, all inside the dim and together all of it.
LogicalResult ShardedVerifier::verifyRanges(Value value, unsigned dim,
                                            SmallVector<ElementRange> ranges, int64_t shares) {
  int64_t size = cast<RankedTensorType>(value.getType()).getDimSize(dim);
  if (static_cast<int64_t>(ranges.size()) != shares)
    return emitError(value.getLoc())
           << "dim " << dim << " has " << ranges.size() << " ranges for " << shares << " shares";
  llvm::sort(ranges, [](ElementRange a, ElementRange b) { return a.begin < b.begin; });
  int64_t covered = 0;
  for (ElementRange range : ranges) {
    if (range.end > size)
      return emitError(value.getLoc()) << "range " << range.begin << ":" << range.end
                                       << " lies outside dim " << dim << " of size " << size;
    if (range.size() > 0 && range.begin > covered)
      break;
    covered = std::max(covered, range.end);
  }
  if (covered != size)
    return emitError(value.getLoc()) << "dim " << dim << " of size " << size
                                     << " has ranges that cover it up to " << covered << " only";
  return success();
}

/// Weights and states lie as they are declared.
LogicalResult ShardedVerifier::verifyDeclared(Operation *op) {
  Operation *holder = nullptr;
  std::optional<ShardingAttr> declared;
  if (auto use = dyn_cast<UseOp>(op)) {
    auto weight = SymbolTable::lookupNearestSymbolFrom<WeightOp>(op, use.getWeightAttr());
    declared = weight.getSharding();
    holder = weight;
  } else if (auto update = dyn_cast<StateUpdateOp>(op)) {
    auto state = SymbolTable::lookupNearestSymbolFrom<StateOp>(op, update.getStateAttr());
    declared = state.getSharding();
    holder = state;
  }
  ShardingAttr own = holder ? getSharding(op->getResult(0)) : ShardingAttr();
  if (!holder || declared == own)
    return success();
  InFlightDiagnostic error = op->emitOpError("is sharded as ")
                             << own << ", which is not how its "
                             << (isa<WeightOp>(holder) ? "weight" : "state") << " is declared";
  error.attachNote(holder->getLoc()) << "the declaration is here";
  return error;
}

/// A transfer keeps the sharding, a reshard makes no partial sum, and results are whole.
LogicalResult ShardedVerifier::verifyMove(Operation *op) {
  if (op->hasTrait<OpTrait::ReturnLike>())
    for (Value operand : op->getOperands())
      if (!getSharding(operand).isReplicated())
        return op->emitOpError("gives a value sharded as ")
               << getSharding(operand) << ", expected a whole one";
  if (auto transfer = dyn_cast<TransferOp>(op);
      transfer && getSharding(transfer.getX()) != getSharding(transfer))
    return op->emitOpError("changes the sharding ")
           << getSharding(transfer.getX()) << " to " << getSharding(transfer);
  if (auto reshard = dyn_cast<ReshardOp>(op)) {
    ShardingAttr from = getSharding(reshard.getX()), to = getSharding(reshard);
    for (StringAttr axis : to.getPartial())
      if (from.getPartialKind() != to.getPartialKind() ||
          !llvm::is_contained(from.getPartial(), axis))
        return op->emitOpError("makes ") << describePartial(to.getPartialKind()) << " over axis "
                                         << axis << " of a value that is none";
  }
  return success();
}

/// Dims of the same factors lie alike; what is whole to the op is not cut; a dim that has
/// only the leading factors of another is cut over the same axes.
LogicalResult ShardedVerifier::verifyRule(ShardingRuleOpInterface op) {
  ShardingRule rule = op.getShardingRule();
  SmallVector<std::pair<const ShardingRule::Dim *, DimShardingAttr>> seen;
  llvm::DenseSet<StringAttr> reduced;
  ReductionKind kind = ReductionKind::Sum;
  auto check = [&](Value value, const ShardingRule::Dims &dims, bool operand) -> LogicalResult {
    for (auto [split, factors] : llvm::zip_equal(getSharding(value).getDims(), dims)) {
      const Factor &leading = rule.factors[factors.front()];
      bool isSummedAtRunTime =
          leading.kind == FactorKind::sum && ShapedType::isDynamic(leading.size);
      if (split.isSplit() && (leading.kind == FactorKind::whole || isSummedAtRunTime))
        return op->emitOpError("is given a value of type ")
               << value.getType() << " sharded as " << getSharding(value)
               << ", but needs that dim whole";
      if (operand && isReduced(leading.kind) && split.isSplit()) {
        reduced.insert(split.getAxes().begin(), split.getAxes().end());
        kind = getReduction(leading.kind);
      }
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
    ShardingAttr sharding = getSharding(value);
    ArrayRef<StringAttr> partial = sharding.getPartial();
    if (partial.empty())
      continue;
    bool linear = llvm::is_contained(rule.linearIn, number) &&
                  sharding.getPartialKind() == ReductionKind::Sum;
    for (unsigned other : rule.linearIn)
      linear &= getSharding(op->getOperand(other)).hasSamePartial(sharding);
    if (!linear)
      return op->emitOpError("reads ") << describePartial(sharding.getPartialKind()) << " "
                                       << sharding << " as a whole value";
    reduced.insert(partial.begin(), partial.end());
  }
  for (Value result : op->getResults()) {
    ShardingAttr sharding = getSharding(result);
    if (sharding.getPartial().size() != reduced.size() || sharding.getPartialKind() != kind ||
        !llvm::all_of(sharding.getPartial(),
                      [&](StringAttr axis) { return reduced.contains(axis); }))
      return op->emitOpError("gives ")
             << describePartial(kind) << " over " << reduced.size()
             << " axes, but its result is sharded as " << getSharding(result);
  }
  return success();
}

LogicalResult ShardedVerifier::verifyStages(Operation *op) {
  if (op->hasTrait<OpTrait::IsTerminator>())
    return success();
  auto transfer = dyn_cast<TransferOp>(op);
  int64_t last = transfer ? transfer.getTo() : getStage(op),
          stages = maxRanks / mesh.getNumCoordinates();
  if (getStage(op) < 0 || last >= stages)
    return op->emitOpError("has stage ")
           << (getStage(op) < 0 ? getStage(op) : last) << ", expected 0 to " << stages - 1;
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

LogicalResult cleave::verifyShardings(ModuleOp module) {
  Mesh mesh = Mesh::of(module);
  ShardedVerifier verifier(mesh);
  auto verifyAll = [&](ValueRange values) {
    return llvm::all_of(values,
                        [&](Value value) { return succeeded(verifier.verifyValue(value)); });
  };
  for (auto function : module.getOps<FunctionOpInterface>()) {
    WalkResult result = function.walk([&](Operation *op) {
      if (op == function)
        return WalkResult::advance();
      return verifyAll(op->getResults()) ? WalkResult::advance() : WalkResult::interrupt();
    });
    if (!verifyAll(ValueRange(function.getArguments())) || result.wasInterrupted())
      return failure();
  }
  return success();
}

LogicalResult cleave::verifyShardedForm(ModuleOp module) {
  if (failed(verifyShardings(module)))
    return failure();
  Mesh mesh = Mesh::of(module);
  ShardedVerifier verifier(mesh);
  for (auto function : module.getOps<FunctionOpInterface>()) {
    WalkResult result = function.walk([&](Operation *op) {
      if (op == function)
        return WalkResult::advance();
      if (communicates(op) || isa<FusedOpInterface>(op)) {
        op->emitOpError("has no place in the sharded form");
        return WalkResult::interrupt();
      }
      auto compute = dyn_cast<ShardingRuleOpInterface>(op);
      if ((compute && failed(verifier.verifyRule(compute))) || failed(verifier.verifyStages(op)) ||
          failed(verifier.verifyDeclared(op)) || failed(verifier.verifyMove(op)))
        return WalkResult::interrupt();
      return WalkResult::advance();
    });
    if (result.wasInterrupted())
      return failure();
  }
  return success();
}

namespace {
struct VerifyShardedPass : public cleave::impl::VerifyShardedPassBase<VerifyShardedPass> {
  void runOnOperation() override {
    markAllAnalysesPreserved();
    if (failed(verifyShardedForm(getOperation())))
      signalPassFailure();
  }
};
} // namespace
