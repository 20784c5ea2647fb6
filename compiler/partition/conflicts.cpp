// Axes that cut nothing, and states that two annotations want otherwise. What a single
// weight's split cannot be is found where it is applied, see propagate_shardings.cpp and
// op_sharding.cpp.
#include "compiler/partition/conflicts.h"

#include "compiler/partition/op_sharding.h"

#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;
using namespace cleave;

WeightOp cleave::findOrigin(ModuleOp module, DimKey key, const Provenance &provenance) {
  llvm::DenseSet<DimKey> seen;
  for (auto it = provenance.reasons.find(key);
       it != provenance.reasons.end() && seen.insert(key).second; it = provenance.reasons.find(key))
    key = it->second.from;
  for (WeightOp weight : module.getOps<WeightOp>())
    if (weight.getOperation() == key.first)
      return weight;
  return {};
}

/// Ranks along an axis that cuts nothing would all do the same.
static LogicalResult checkAxes(ModuleOp module) {
  llvm::DenseSet<StringAttr> used;
  auto visit = [&](Value value) {
    if (ShardingAttr sharding = getSharding(value))
      for (DimShardingAttr dim : sharding.getDims())
        used.insert(dim.getAxes().begin(), dim.getAxes().end());
  };
  module.walk([&](Operation *op) {
    llvm::for_each(op->getResults(), visit);
    if (auto function = dyn_cast<FunctionOpInterface>(op))
      llvm::for_each(function.getArguments(), visit);
  });
  for (MeshOp mesh : module.getOps<MeshOp>())
    for (auto [axis, size] :
         llvm::zip_equal(mesh.getAxes().getAsRange<StringAttr>(), mesh.getSizes()))
      if (size > 1 && !used.contains(axis))
        return emitError(getAxisLoc(mesh, axis))
               << "axis '" << axis.getValue() << "' of size " << size
               << " is given, but nothing is split over it, so all ranks along it would do the "
                  "same; "
                  "split weights over it, as in --split 'PATTERN=column@"
               << axis.getValue() << "', or leave it out";
  return success();
}

namespace {

class ConflictFinder {
public:
  ConflictFinder(ModuleOp module, CutAnalysis &cuts, const Provenance &provenance)
      : module(module), cuts(cuts), provenance(provenance) {}

  LogicalResult check(ShardingRuleOpInterface op);

private:
  LogicalResult report(ShardingRuleOpInterface op, Value held, ShardingAttr needed);

  ModuleOp module;
  CutAnalysis &cuts;
  const Provenance &provenance;
};

} // namespace

static std::string describeAxes(ArrayRef<StringAttr> axes) {
  if (axes.empty())
    return "not cut";
  std::string text = axes.size() == 1 ? "cut over axis " : "cut over axes ";
  llvm::raw_string_ostream os(text);
  llvm::interleaveComma(axes, os, [&](StringAttr axis) { os << "'" << axis.getValue() << "'"; });
  return text;
}

/// `held`, a weight's or a state's value, does not lie as `op` needs it.
LogicalResult ConflictFinder::report(ShardingRuleOpInterface op, Value held, ShardingAttr needed) {
  ShardingAttr carried = getSharding(held);
  size_t dim = 0;
  while (carried.getDims()[dim] == needed.getDims()[dim] && dim + 1 < carried.getDims().size())
    ++dim;
  ArrayRef<StringAttr> wanted = needed.getDims()[dim].getAxes();
  WeightOp origin = findOrigin(module, {getHolder(held), dim}, provenance);
  // Who wants it otherwise: another value of the op, a dim of which has the same factor.
  ShardingRule rule = op.getShardingRule();
  unsigned factor = 0;
  for (auto [operand, dims] : llvm::zip_equal(op->getOperands(), rule.operands))
    if (operand == held)
      factor = dims[dim].front();
  WeightOp other;
  std::string otherName;
  auto consider = [&](Value value, const ShardingRule::Dims &dims) {
    for (auto [index, factors] : llvm::enumerate(dims))
      if (ShardingAttr sharding = getSharding(value);
          otherName.empty() && value != held && factors.front() == factor &&
          sharding.getDims()[index].getAxes() == wanted) {
        otherName = describeHolder(value);
        other = findOrigin(module, {getHolder(value), index}, provenance);
      }
  };
  for (auto [value, dims] : llvm::zip_equal(op->getOperands(), rule.operands))
    consider(value, dims);
  for (auto [value, dims] : llvm::zip_equal(op->getResults(), rule.results))
    consider(value, dims);

  InFlightDiagnostic error = emitError(origin ? origin.getLoc() : op->getLoc())
                             << "'" << getModelName(op) << "' reads " << describeHolder(held)
                             << ", which is " << describeAxes(carried.getDims()[dim].getAxes());
  if (origin)
    error << " by weight '" << origin.getSymName() << "'";
  if (wanted == carried.getDims()[dim].getAxes())
    error << " as " << carried << ", but needs " << needed;
  else if (otherName.empty())
    error << ", but needs it " << describeAxes(wanted);
  else
    error << ", together with " << otherName << ", which is " << describeAxes(wanted);
  error << "; it cannot be moved at run time";
  if (origin && other && origin != other) {
    error << ", so split both weights over the same axes";
    error.attachNote(other.getLoc())
        << "weight '" << other.getSymName() << "' is " << describeAxes(wanted) << " here";
  }
  return error;
}

LogicalResult ConflictFinder::check(ShardingRuleOpInterface op) {
  FailureOr<OpSharding> sharding =
      getOpSharding(op, cuts, [](Value value) { return getSharding(value); });
  if (failed(sharding))
    return failure();
  for (auto [operand, needed] : llvm::zip_equal(op->getOperands(), sharding->operands)) {
    bool isHeld = operand.getDefiningOp<UseOp>() || operand.getDefiningOp<StateUpdateOp>();
    if (isHeld && getSharding(operand) != needed)
      return report(op, operand, needed);
  }
  return success();
}

LogicalResult cleave::checkSplits(ModuleOp module, CutAnalysis &cuts,
                                  const Provenance &provenance) {
  if (failed(checkAxes(module)))
    return failure();
  ConflictFinder finder(module, cuts, provenance);
  WalkResult result = module.walk([&](ShardingRuleOpInterface op) {
    return failed(finder.check(op)) ? WalkResult::interrupt() : WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}
