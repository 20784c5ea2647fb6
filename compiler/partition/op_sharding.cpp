// From the shardings of values to the factors of an op, and back.
#include "compiler/partition/op_sharding.h"

using namespace mlir;
using namespace cleave;

static bool isWeight(Value value) {
  return value.getDefiningOp<UseOp>() != nullptr;
}

bool cleave::overlaps(DimShardingAttr dim) {
  SmallVector<ElementRange> ranges = getRanges(dim.getRanges());
  llvm::erase_if(ranges, [](ElementRange range) { return range.size() == 0; });
  llvm::sort(ranges, [](ElementRange a, ElementRange b) { return a.begin < b.begin; });
  for (size_t i = 1; i < ranges.size(); ++i)
    if (ranges[i].begin < ranges[i - 1].end)
      return true;
  return false;
}

/// Operands that are all partial sums over the same axes give results that are.
static Axes getPassedPartial(Operation *op, const ShardingRule &rule,
                             function_ref<ShardingAttr(Value)> current) {
  Axes passed;
  for (auto [i, operand] : llvm::enumerate(rule.linearIn)) {
    ShardingAttr sharding = current(op->getOperand(operand));
    Axes partial;
    if (sharding && sharding.getPartialKind() == ReductionKind::Sum)
      partial.assign(sharding.getPartial().begin(), sharding.getPartial().end());
    if (i == 0)
      passed = partial;
    else if (passed != partial)
      return {};
  }
  return passed;
}

static WeightOp getWeight(UseOp use) {
  return SymbolTable::lookupNearestSymbolFrom<WeightOp>(use, use.getWeightAttr());
}

/// The weight of `use` is cut as `proposed`, and so `dim`, which is of `factor`: the op cannot
/// cut it like that. `deciders` are the weights that had their say before, and the factors
/// they cut, which `sharding` tells.
static LogicalResult reportMisfit(ShardingRuleOpInterface op, UseOp use, ShardingAttr proposed,
                                  DimShardingAttr dim, unsigned factor, const OpSharding &sharding,
                                  ArrayRef<std::pair<WeightOp, unsigned>> deciders) {
  FactorKind kind = op.getShardingRule().factors[factor].kind;
  WeightOp weight = getWeight(use);
  InFlightDiagnostic error = weight.emitError()
                             << "'" << getModelName(op) << "' cannot work with weight '"
                             << use.getWeight() << "' split as " << proposed << ": ";
  WeightOp other;
  unsigned otherFactor = factor;
  for (auto [decider, cut] : deciders) {
    bool sharesAxis = llvm::any_of(dim.getAxes(), [&](StringAttr axis) {
      return llvm::is_contained(sharding.factors[cut], axis);
    });
    if (decider != weight && (cut == factor || sharesAxis)) {
      other = decider;
      otherFactor = cut;
    }
  }
  if (kind == FactorKind::whole) {
    error << "it needs that dim whole; split another dim, or nothing ('none')";
  } else if (other) {
    error << "it reads weight '" << other.getSymName() << "', too, which is "
          << (otherFactor == factor ? "split otherwise along the same dim"
                                    : "split over the same axis along another dim")
          << "; split both alike";
    error.attachNote(other.getLoc()) << "weight '" << other.getSymName() << "' is split here";
  } else if (isReduced(kind) && overlaps(dim)) {
    error << "it would sum over shares that overlap, as key heads do; split its output features "
             "('column') or nothing";
  } else {
    error << "it needs that dim whole, or split otherwise";
  }
  error.attachNote(op->getLoc()) << "'" << getModelName(op) << "' reads it here";
  return error;
}

FailureOr<OpSharding> cleave::getOpSharding(ShardingRuleOpInterface op, CutAnalysis &cuts,
                                            function_ref<ShardingAttr(Value)> current) {
  MLIRContext *context = op->getContext();
  ShardingRule rule = op.getShardingRule();
  OpSharding sharding;
  sharding.factors.resize(rule.factors.size());
  SmallVector<bool> decided(rule.factors.size(), false);
  SmallVector<std::pair<WeightOp, unsigned>> deciders; // weights that did, and the factor
  llvm::DenseSet<StringAttr> used;

  // A state cannot be moved: tokens give way to the heads between which it is cut.
  llvm::DenseSet<StringAttr> ofStates;
  for (Value operand : op->getOperands())
    if (ShardingAttr state = current(operand); state && operand.getDefiningOp<StateUpdateOp>())
      for (DimShardingAttr dim : state.getDims())
        ofStates.insert(dim.getAxes().begin(), dim.getAxes().end());

  // A value proposes for the leading factor of each of its dims.
  auto propose = [&](Value value, const ShardingRule::Dims &dims, bool binding) -> LogicalResult {
    ShardingAttr proposed = current(value);
    if (!proposed)
      return success();
    for (auto [dim, factors] : llvm::zip_equal(proposed.getDims(), dims)) {
      unsigned factor = factors.front();
      ArrayRef<StringAttr> axes = dim.getAxes();
      FactorKind kind = rule.factors[factor].kind;
      bool isCountedTwice = isReduced(kind) && overlaps(dim);
      bool possible =
          kind != FactorKind::whole && !isCountedTwice && llvm::none_of(axes, [&](StringAttr axis) {
            return used.contains(axis) ||
                   (ShapedType::isDynamic(rule.factors[factor].size) && ofStates.contains(axis));
          });
      if (decided[factor]) {
        possible = ArrayRef<StringAttr>(sharding.factors[factor]) == axes;
      } else if (possible && (binding || !axes.empty())) {
        sharding.factors[factor].assign(axes.begin(), axes.end());
        used.insert(axes.begin(), axes.end());
        decided[factor] = true;
        if (auto use = value.getDefiningOp<UseOp>())
          deciders.push_back({getWeight(use), factor});
      }
      if (binding && !axes.empty() && !possible)
        return reportMisfit(op, value.getDefiningOp<UseOp>(), proposed, dim, factor, sharding,
                            deciders);
    }
    return success();
  };
  for (auto [value, dims] : llvm::zip_equal(op->getOperands(), rule.operands))
    if (isWeight(value) && failed(propose(value, dims, /*binding=*/true)))
      return failure();
  for (auto [value, dims] : llvm::zip_equal(op->getResults(), rule.results))
    (void)propose(value, dims, /*binding=*/false);
  // A sum that is wanted whole, of a summand that is whole and one that is cut, is not cut and
  // joined: it is the summand that is joined, which others may need as well.
  SmallVector<bool> isHeld(rule.factors.size(), false), isWhole(rule.factors.size(), false);
  auto markWhole = [&](Value value, const ShardingRule::Dims &dims, SmallVector<bool> &marks) {
    if (ShardingAttr sharding = current(value))
      for (auto [dim, factors] : llvm::zip_equal(sharding.getDims(), dims))
        marks[factors.front()] = marks[factors.front()] || !dim.isSplit();
  };
  if (rule.linearIn.size() > 1) {
    for (auto [value, dims] : llvm::zip_equal(op->getResults(), rule.results))
      markWhole(value, dims, isHeld);
    for (auto [value, dims] : llvm::zip_equal(op->getOperands(), rule.operands))
      if (!isWeight(value))
        markWhole(value, dims, isWhole);
  }
  for (unsigned factor = 0; factor < rule.factors.size(); ++factor)
    if (isHeld[factor] && isWhole[factor])
      decided[factor] = true;
  for (auto [value, dims] : llvm::zip_equal(op->getOperands(), rule.operands))
    if (!isWeight(value))
      (void)propose(value, dims, /*binding=*/false);

  Axes passed = getPassedPartial(op, rule, current);
  llvm::erase_if(passed, [&](StringAttr axis) { return used.contains(axis); });
  Axes partial = passed;
  ReductionKind partialKind = ReductionKind::Sum;
  for (auto [factor, axes] : llvm::zip_equal(rule.factors, sharding.factors))
    if (isReduced(factor.kind) && !axes.empty()) {
      partial.append(axes.begin(), axes.end());
      partialKind = getReduction(factor.kind);
    }

  auto shardingOf = [&](Value value, const ShardingRule::Dims &dims, ArrayRef<StringAttr> partial,
                        ReductionKind kind) -> FailureOr<ShardingAttr> {
    SmallVector<DimShardingAttr> result;
    for (auto [dim, factors] : llvm::enumerate(dims)) {
      FailureOr<DimShardingAttr> split =
          cuts.getDimSharding({getHolder(value), dim}, sharding.factors[factors.front()]);
      if (failed(split))
        return op->emitError() << "'" << getModelName(op) << "': dim " << dim << " of "
                               << value.getType() << " has too few heads of "
                               << cuts.getUnit({getHolder(value), dim}) << " for the mesh";
      result.push_back(*split);
    }
    return ShardingAttr::get(context, result, partial, kind);
  };
  for (auto [number, value, dims] : llvm::zip_equal(llvm::seq<unsigned>(0, op->getNumOperands()),
                                                    op->getOperands(), rule.operands)) {
    bool mayBePartial = llvm::is_contained(rule.linearIn, number);
    FailureOr<ShardingAttr> operand =
        shardingOf(value, dims, mayBePartial ? passed : Axes(), ReductionKind::Sum);
    if (failed(operand))
      return failure();
    sharding.operands.push_back(*operand);
  }
  for (auto [value, dims] : llvm::zip_equal(op->getResults(), rule.results)) {
    FailureOr<ShardingAttr> result = shardingOf(value, dims, partial, partialKind);
    if (failed(result))
      return failure();
    sharding.results.push_back(*result);
  }
  return sharding;
}
