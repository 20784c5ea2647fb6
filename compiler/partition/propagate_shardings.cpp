// cleave-propagate-shardings: from the splits of some weights, and what is said of some other
// values, to a sharding for every value. Knows ops by their sharding rules alone.
#include "compiler/partition/conflicts.h"
#include "compiler/partition/op_sharding.h"
#include "compiler/partition/propagation.h"
#include "compiler/passes.h"

#include "mlir/IR/Builders.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

namespace cleave {
#define GEN_PASS_DEF_PROPAGATESHARDINGSPASS
#include "compiler/Passes.h.inc"
} // namespace cleave

using namespace mlir;
using namespace cleave;

namespace {

/// What is known so far of a holder's sharding.
struct Assignment {
  SmallVector<Axes, 3> dims;
  Axes partial;
  ReductionKind partialKind = ReductionKind::Sum;
  bool fixed = false; ///< the user said so: nothing may be added
};

class Propagation {
public:
  /// `provenance` is told how each dim came to be cut.
  Propagation(ModuleOp module, Provenance &provenance)
      : module(module), cuts(module), builder(module.getContext()), provenance(provenance) {}

  LogicalResult run();

private:
  Assignment &assignmentOf(Value value);
  LogicalResult applySplit(WeightOp weight, SplitAttr split);
  LogicalResult reportTooFewHeads(WeightOp weight, DimKey key, ArrayRef<StringAttr> axes);
  FailureOr<unsigned> getSplitDim(WeightOp weight, SplitAttr split);
  LogicalResult readValue(Value value, StringRef name);
  LogicalResult readValues();
  void findJoined();
  bool spread(ShardingRuleOpInterface op);
  void spreadAll();
  ShardingAttr getCurrent(Value value);
  FailureOr<OpSharding> getOpSharding(ShardingRuleOpInterface op);
  void findPartials();
  LogicalResult cutSequence();
  LogicalResult write();
  FailureOr<ShardingAttr> getSharding(const void *holder, const Assignment &assignment);

  ModuleOp module;
  CutAnalysis cuts;
  Builder builder;
  Provenance &provenance;
  llvm::DenseMap<const void *, Assignment> assignments;
  SmallVector<ShardingRuleOpInterface> ops;
  /// Dims of values that some op needs whole.
  llvm::DenseSet<std::pair<Value, unsigned>> joined;
};

} // namespace

Assignment &Propagation::assignmentOf(Value value) {
  Assignment &assignment = assignments[getHolder(value)];
  if (assignment.dims.empty())
    assignment.dims.resize(cast<RankedTensorType>(value.getType()).getRank());
  return assignment;
}

/// The dim that a split cuts. Weights are stored [output features, input features], those of
/// experts [experts, output features, input features].
FailureOr<unsigned> Propagation::getSplitDim(WeightOp weight, SplitAttr split) {
  int64_t rank = weight.getTensorType().getRank();
  bool hasExperts = rank > 0 && cuts.isExperts({weight.getOperation(), 0});
  switch (split.getKind()) {
  case SplitKind::Column:
    return hasExperts ? 1 : 0;
  case SplitKind::Row:
    if (rank >= 2)
      return hasExperts ? 2 : 1;
    return weight.emitError() << "weight '" << weight.getSymName() << "' of type "
                              << weight.getType()
                              << " has no input features, so it cannot be split 'row'";
  case SplitKind::Head:
    for (unsigned dim = 0; dim < std::min<int64_t>(rank, 2); ++dim)
      if (cuts.getUnit({weight.getOperation(), dim}) > 1)
        return dim;
    return weight.emitError()
           << "weight '" << weight.getSymName()
           << "' has no attention heads along its input or output features, so it "
              "cannot be split 'head'";
  case SplitKind::Expert:
    if (hasExperts)
      return 0;
    return weight.emitError() << "weight '" << weight.getSymName()
                              << "' has no experts, so it cannot be split 'expert'";
  case SplitKind::None:
    break;
  }
  llvm_unreachable("none cuts no dim");
}

LogicalResult Propagation::applySplit(WeightOp weight, SplitAttr split) {
  Assignment &assignment = assignments[weight.getOperation()];
  assignment.fixed = true;
  if (split.getKind() == SplitKind::None)
    return success();
  FailureOr<unsigned> dim = getSplitDim(weight, split);
  if (failed(dim))
    return failure();
  StringAttr axis = split.getAxis();
  std::optional<int64_t> size = axis ? cuts.getMesh().getAxisSize(axis) : std::nullopt;
  if (!size)
    return weight.emitError() << "weight '" << weight.getSymName() << "' is split over axis '"
                              << (axis ? axis.getValue() : "") << "', which the mesh does not have";
  for (const Axes &axes : assignment.dims)
    if (llvm::is_contained(axes, axis))
      return weight.emitError() << "weight '" << weight.getSymName()
                                << "' is split twice over axis " << axis;
  assignment.dims[*dim].push_back(axis);
  DimKey key(weight.getOperation(), *dim);
  if (succeeded(cuts.getDimSharding(key, assignment.dims[*dim])))
    return success();
  return reportTooFewHeads(weight, key, assignment.dims[*dim]);
}

/// The dim is to go to more ranks than it has heads.
LogicalResult Propagation::reportTooFewHeads(WeightOp weight, DimKey key,
                                             ArrayRef<StringAttr> axes) {
  int64_t heads = cuts.getDecidingSize(key) / cuts.getUnit(key);
  int64_t shares = cuts.getMesh().getNumShares(axes);
  InFlightDiagnostic error = weight.emitError()
                             << "weight '" << weight.getSymName() << "' cannot be split over ";
  if (axes.size() == 1) {
    error << "axis " << axes.front() << " of size " << shares;
  } else {
    error << "axes ";
    llvm::interleaveComma(axes, error);
    error << " into " << shares << " shares";
  }
  error << ": there are " << heads << " heads of " << cuts.getUnit(key) << " to share out; ";
  if (axes.size() == 1)
    error << "the largest axis that works is " << heads;
  else
    error << "the most shares that work are " << heads;
  for (MeshOp mesh : module.getOps<MeshOp>())
    for (StringAttr axis : axes)
      if (Location place = getAxisLoc(mesh, axis); place != weight.getLoc())
        error.attachNote(place) << "axis " << axis << " has size "
                                << *cuts.getMesh().getAxisSize(axis) << " here";
  return error;
}

/// Where the module says how a value that is no weight lies, this is the user's word.
LogicalResult Propagation::readValue(Value value, StringRef name) {
  ShardingAttr sharding = cleave::getSharding(value);
  if (!sharding)
    return success();
  Assignment &assignment = assignmentOf(value);
  assignment.fixed = true;
  provenance.asked[getHolder(value)] = sharding;
  for (auto [dim, given] : llvm::enumerate(sharding.getDims())) {
    ArrayRef<StringAttr> axes = given.getAxes();
    for (StringAttr axis : axes)
      if (!cuts.getMesh().getAxisSize(axis))
        return emitError(value.getLoc())
               << name << " is split over axis " << axis << ", which the mesh does not have";
    assignment.dims[dim].assign(axes.begin(), axes.end());
    DimKey key(getHolder(value), dim);
    if (failed(cuts.getDimSharding(key, axes)))
      return emitError(value.getLoc())
             << name << " of type " << value.getType() << " is to be split into "
             << cuts.getMesh().getNumShares(axes) << " shares along dim " << dim << ", where "
             << cuts.getDecidingSize(key) / cuts.getUnit(key) << " heads of " << cuts.getUnit(key)
             << " lie";
  }
  return success();
}

/// Inputs come whole to every rank; what wants a share of one slices it, which costs
/// nothing. The user may say that all want a share, and how the results of ops lie. That of a
/// state is the state's.
LogicalResult Propagation::readValues() {
  WalkResult result = module.walk([&](Operation *op) {
    if (auto function = dyn_cast<FunctionOpInterface>(op)) {
      if (function.isExternal())
        return WalkResult::advance();
      for (BlockArgument argument : function.getArguments()) {
        if (!isa<RankedTensorType>(argument.getType()))
          continue;
        assignmentOf(argument).fixed = true;
        if (failed(readValue(argument, describeHolder(argument))))
          return WalkResult::interrupt();
      }
    }
    if (isa<ShardingRuleOpInterface>(op) && !isa<StateUpdateOp>(op))
      for (OpResult value : op->getResults()) {
        std::string which = "result " + std::to_string(value.getResultNumber()) + " of ";
        if (failed(
                readValue(value, (op->getNumResults() > 1 ? which : "") + describeHolder(value))))
          return WalkResult::interrupt();
      }
    return WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}

void Propagation::findJoined() {
  for (ShardingRuleOpInterface op : ops) {
    ShardingRule rule = op.getShardingRule();
    for (auto [value, dims] : llvm::zip_equal(op->getOperands(), rule.operands))
      for (auto [dim, factors] : llvm::enumerate(dims))
        if (rule.factors[factors.front()].kind == FactorKind::whole)
          joined.insert({value, dim});
  }
}

/// Gives each leading factor's axes to the dims that have none yet. Whether anything was
/// given.
bool Propagation::spread(ShardingRuleOpInterface op) {
  ShardingRule rule = op.getShardingRule();
  SmallVector<Axes, 6> factors(rule.factors.size());
  // Axes over which a dim's shares overlap (keys of grouped queries) are none to reduce over.
  auto canCut = [&](Value value, unsigned dim, FactorKind kind) {
    if (!isReduced(kind))
      return kind != FactorKind::whole;
    FailureOr<DimShardingAttr> cut =
        cuts.getDimSharding({getHolder(value), dim}, assignmentOf(value).dims[dim]);
    return succeeded(cut) && !overlaps(*cut);
  };
  auto forEachDim = [&](llvm::function_ref<void(Value, unsigned, unsigned)> visit) {
    auto visitValue = [&](Value value, const ShardingRule::Dims &dims) {
      for (auto [dim, list] : llvm::enumerate(dims))
        if (canCut(value, dim, rule.factors[list.front()].kind))
          visit(value, dim, list.front());
    };
    // Weights first: the user's word is theirs.
    for (bool weights : {true, false})
      for (auto [value, dims] : llvm::zip_equal(op->getOperands(), rule.operands))
        if ((value.getDefiningOp<UseOp>() != nullptr) == weights)
          visitValue(value, dims);
    for (auto [value, dims] : llvm::zip_equal(op->getResults(), rule.results))
      visitValue(value, dims);
  };
  SmallVector<std::pair<Value, unsigned>, 6> givers(rule.factors.size());
  // A residual that is joined anyway, as a norm needs it, is added whole: what is added to it may
  // be a partial sum, of which the sum would be cut and joined again for the next norm.
  auto isJoined = [&](Value value, unsigned dim) {
    return rule.linearIn.size() > 1 && value.getDefiningOp() != op && joined.contains({value, dim});
  };
  forEachDim([&](Value value, unsigned dim, unsigned factor) {
    if (!factors[factor].empty() || isJoined(value, dim))
      return;
    factors[factor] = assignmentOf(value).dims[dim];
    givers[factor] = {value, dim};
  });
  bool changed = false;
  forEachDim([&](Value value, unsigned dim, unsigned factor) {
    Assignment &assignment = assignmentOf(value);
    if (assignment.fixed || !assignment.dims[dim].empty() || factors[factor].empty())
      return;
    // Summands over an axis are not cut over it as well.
    if (llvm::any_of(factors[factor],
                     [&](StringAttr axis) { return llvm::is_contained(assignment.partial, axis); }))
      return;
    for (const Axes &axes : assignment.dims)
      for (StringAttr axis : factors[factor])
        if (llvm::is_contained(axes, axis))
          return;
    assignment.dims[dim] = factors[factor];
    changed = true;
    auto [giver, giverDim] = givers[factor];
    provenance.reasons.try_emplace(
        {getHolder(value), dim},
        CutReason{op, factor, {getHolder(giver), giverDim}, describeHolder(giver)});
  });
  return changed;
}

/// Elements of a value, run-time sizes counted as one.
static int64_t staticElements(Value value) {
  int64_t elements = 1;
  for (int64_t size : cast<RankedTensorType>(value.getType()).getShape())
    elements *= ShapedType::isDynamic(size) ? 1 : size;
  return elements;
}

ShardingAttr Propagation::getCurrent(Value value) {
  Assignment &assignment = assignmentOf(value);
  SmallVector<DimShardingAttr> dims;
  for (const Axes &axes : assignment.dims)
    dims.push_back(DimShardingAttr::get(builder.getContext(), axes, {}));
  return ShardingAttr::get(builder.getContext(), dims, assignment.partial, assignment.partialKind);
}

/// What an op makes of the assignments so far. Fails silently: resharding reports why.
FailureOr<OpSharding> Propagation::getOpSharding(ShardingRuleOpInterface op) {
  ScopedDiagnosticHandler quiet(builder.getContext(), [](Diagnostic &) { return success(); });
  return cleave::getOpSharding(op, cuts, [&](Value value) { return getCurrent(value); });
}

/// A partial sum stays one where all that use it are linear in it, together with other
/// partial sums, and do not make it larger: then one reduction comes later instead.
void Propagation::findPartials() {
  // A value whose dims are cut over an axis cannot be a sum over it as well.
  auto isCutOverPartial = [](const Assignment &assignment) {
    return llvm::any_of(assignment.dims, [&](const Axes &axes) {
      return llvm::any_of(
          axes, [&](StringAttr axis) { return llvm::is_contained(assignment.partial, axis); });
    });
  };
  auto setWhole = [](Assignment &assignment) {
    assignment.partial.clear();
    assignment.partialKind = ReductionKind::Sum;
  };
  llvm::DenseSet<const void *> reduced;
  auto mayStay = [&](Value value) {
    if (assignmentOf(value).partialKind != ReductionKind::Sum)
      return false; // no op is linear in anything else
    return llvm::all_of(value.getUses(), [&](OpOperand &use) {
      auto op = dyn_cast<ShardingRuleOpInterface>(use.getOwner());
      if (!op)
        return false;
      ShardingRule rule = op.getShardingRule();
      int64_t before = 0;
      for (unsigned operand : rule.linearIn) {
        if (assignmentOf(op->getOperand(operand)).partial != assignmentOf(value).partial)
          return false;
        before += staticElements(op->getOperand(operand));
      }
      return llvm::is_contained(rule.linearIn, use.getOperandNumber()) &&
             staticElements(op->getResult(0)) <= before;
    });
  };
  for (bool changed = true; changed;) {
    changed = false;
    for (ShardingRuleOpInterface op : ops) {
      FailureOr<OpSharding> sharding = getOpSharding(op);
      if (failed(sharding))
        continue;
      for (auto [result, given] : llvm::zip_equal(op->getResults(), sharding->results)) {
        Assignment &assignment = assignmentOf(result);
        assignment.partial.assign(given.getPartial().begin(), given.getPartial().end());
        assignment.partialKind = given.getPartialKind();
        if (reduced.contains(result.getAsOpaquePointer()) || isCutOverPartial(assignment))
          setWhole(assignment);
      }
    }
    for (ShardingRuleOpInterface op : ops)
      for (Value result : op->getResults())
        if (!assignmentOf(result).partial.empty() && !mayStay(result)) {
          changed |= reduced.insert(result.getAsOpaquePointer()).second;
          setWhole(assignmentOf(result));
        }
  }
}

/// The first run-time dim of a value that is cut over nothing and, where `name` is given, of
/// that name.
static std::optional<unsigned> findRunTimeDim(Value value, ArrayRef<Axes> dims, StringAttr name) {
  auto type = cast<RankedTensorType>(value.getType());
  for (unsigned dim = 0; dim < dims.size(); ++dim)
    if (type.isDynamicDim(dim) && dims[dim].empty() && (!name || getDimName(type, dim) == name))
      return dim;
  return std::nullopt;
}

/// What is summed over the mesh's sequence axis is cut over it along a run-time dim, instead
/// of being whole on each of its ranks; and so is what is computed from it row by row. That
/// dim is the first such sum's: a step's tokens, not the few rows that are chosen of them.
LogicalResult Propagation::cutSequence() {
  auto meshes = module.getOps<MeshOp>();
  StringAttr axis = meshes.empty() ? StringAttr() : (*meshes.begin()).getSequenceAttr();
  if (!axis)
    return success();
  StringAttr size;
  for (ShardingRuleOpInterface op : ops) {
    FailureOr<OpSharding> sharding = getOpSharding(op);
    if (failed(sharding))
      continue;
    for (auto [result, given] : llvm::zip_equal(op->getResults(), sharding->results)) {
      Assignment &assignment = assignmentOf(result);
      std::optional<unsigned> dim = findRunTimeDim(result, assignment.dims, size);
      if (!dim || assignment.fixed || given.getPartialKind() != ReductionKind::Sum ||
          !llvm::is_contained(given.getPartial(), axis) || getCurrent(result).usesAxis(axis))
        continue;
      assignment.dims[*dim].push_back(axis);
      size = getDimName(cast<RankedTensorType>(result.getType()), *dim);
    }
  }
  if (!size && *cuts.getMesh().getAxisSize(axis) > 1)
    return (*meshes.begin()).emitError()
           << "sequence is to be cut over axis " << axis
           << ", but nothing of a size known only at run time is summed over it; split weights "
              "'row' over it, or leave out sequence";
  spreadAll();
  return success();
}

FailureOr<ShardingAttr> Propagation::getSharding(const void *holder, const Assignment &assignment) {
  SmallVector<DimShardingAttr> dims;
  for (auto [dim, axes] : llvm::enumerate(assignment.dims)) {
    FailureOr<DimShardingAttr> sharding = cuts.getDimSharding({holder, dim}, axes);
    if (failed(sharding))
      return failure();
    dims.push_back(*sharding);
  }
  return ShardingAttr::get(builder.getContext(), dims, assignment.partial, assignment.partialKind);
}

LogicalResult Propagation::write() {
  auto getFor = [&](Value value, Location loc) -> FailureOr<ShardingAttr> {
    FailureOr<ShardingAttr> sharding = getSharding(getHolder(value), assignmentOf(value));
    if (failed(sharding))
      return emitError(loc) << "a value of type " << value.getType()
                            << " has too few heads to be split over the mesh";
    return sharding;
  };
  WalkResult result = module.walk([&](Operation *op) {
    if (auto function = dyn_cast<FunctionOpInterface>(op)) {
      for (BlockArgument argument : function.getArguments()) {
        if (!isa<RankedTensorType>(argument.getType()))
          continue;
        FailureOr<ShardingAttr> sharding = getFor(argument, function.getLoc());
        if (failed(sharding))
          return WalkResult::interrupt();
        function.setArgAttr(argument.getArgNumber(), CleaveDialect::shardingAttrName, *sharding);
      }
      return WalkResult::advance();
    }
    if (op->getNumResults() == 0 ||
        op->getDialect() != module->getContext()->getLoadedDialect("cleave"))
      return WalkResult::advance();
    SmallVector<Attribute> shardings;
    for (Value value : op->getResults()) {
      FailureOr<ShardingAttr> sharding = getFor(value, op->getLoc());
      if (failed(sharding))
        return WalkResult::interrupt();
      shardings.push_back(*sharding);
      // Weights and states are declared as they are used.
      Operation *holder = nullptr;
      if (auto use = dyn_cast<UseOp>(op))
        holder = SymbolTable::lookupNearestSymbolFrom(op, use.getWeightAttr());
      else if (auto update = dyn_cast<StateUpdateOp>(op))
        holder = SymbolTable::lookupNearestSymbolFrom(op, update.getStateAttr());
      if (auto weight = dyn_cast_or_null<WeightOp>(holder))
        weight.setShardingAttr(*sharding);
      else if (auto state = dyn_cast_or_null<StateOp>(holder))
        state.setShardingAttr(*sharding);
    }
    op->setAttr(CleaveDialect::shardingAttrName, builder.getArrayAttr(shardings));
    return WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}

void Propagation::spreadAll() {
  for (bool changed = true; changed;) {
    changed = false;
    for (ShardingRuleOpInterface op : ops)
      changed |= spread(op);
    for (ShardingRuleOpInterface op : llvm::reverse(ops))
      changed |= spread(op);
  }
}

LogicalResult Propagation::run() {
  module.walk([&](ShardingRuleOpInterface op) { ops.push_back(op); });
  for (WeightOp weight : module.getOps<WeightOp>()) {
    assignments[weight.getOperation()].dims.resize(weight.getTensorType().getRank());
    for (Attribute split :
         weight.getSplitsAttr() ? weight.getSplitsAttr() : builder.getArrayAttr({}))
      if (failed(applySplit(weight, cast<SplitAttr>(split))))
        return failure();
  }
  if (failed(readValues()))
    return failure();
  findJoined();
  spreadAll();
  findPartials();
  if (failed(cutSequence()) || failed(write()))
    return failure();
  return checkSplits(module, cuts, provenance);
}

LogicalResult cleave::propagateShardings(ModuleOp module, Provenance &provenance) {
  return Propagation(module, provenance).run();
}

namespace {
struct PropagateShardingsPass
    : public cleave::impl::PropagateShardingsPassBase<PropagateShardingsPass> {
  void runOnOperation() override {
    Provenance own;
    if (failed(propagateShardings(getOperation(), provenance ? *provenance : own)))
      signalPassFailure();
  }

  Provenance *provenance = nullptr;
};
} // namespace

std::unique_ptr<Pass> cleave::createPropagateShardingsPass(Provenance &provenance) {
  auto pass = std::make_unique<PropagateShardingsPass>();
  pass->provenance = &provenance;
  return pass;
}
