// cleave-choose-splits: the default plan of a graph of no known family, from the sharding rules
// alone. Pairs of matrix products, as in a feed-forward or an attention block, are found by
// following what a cut of the first one's output features does to the values behind it.
#include "compiler/partition/cut_analysis.h"
#include "compiler/partition/propagation.h"
#include "compiler/passes.h"

#include "mlir/IR/Builders.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

namespace cleave {
#define GEN_PASS_DEF_CHOOSESPLITSPASS
#include "compiler/Passes.h.inc"
} // namespace cleave

using namespace mlir;
using namespace cleave;

/// A table of fewer bytes is not worth the sum over ranks that looking up in its shares costs.
static constexpr int64_t leastSplitTableBytes = 1 << 16;
/// Nor is one that is so many times smaller than the largest: beside an embedding, the sines of
/// positions, which each layer looks up again.
static constexpr int64_t mostTimesSmaller = 16;

namespace {

class SplitChoice {
public:
  SplitChoice(ModuleOp module, MeshOp mesh) : module(module), mesh(mesh), cuts(module) {}

  LogicalResult run();

private:
  LogicalResult findAxis();
  bool canCut(const void *holder, unsigned dim);
  bool isNeededWhole(WeightOp weight);
  std::optional<unsigned> findCutFactor(ShardingRuleOpInterface op, const ShardingRule &rule);
  std::optional<unsigned> splitWeight(ShardingRuleOpInterface op, const ShardingRule &rule);
  bool canSplit(WeightOp weight);
  void split(WeightOp weight, SplitKind kind);
  void follow(ShardingRuleOpInterface op);
  void completeSum(ArrayRef<WeightOp> tables);
  void completeSums();
  void choose();
  bool works(ArrayRef<StringAttr> split);
  StringAttr findRefused();

  ModuleOp module;
  MeshOp mesh;
  CutAnalysis cuts;
  StringAttr axis;
  /// The dims that are cut over the axis, of weights, states and values.
  llvm::DenseMap<const void *, unsigned> cutDims;
  llvm::DenseSet<StringAttr> refused; ///< weights that stay whole
  int64_t largestTable = 0;           ///< in bytes
};

} // namespace

static WeightOp getWeight(UseOp use) {
  return SymbolTable::lookupNearestSymbolFrom<WeightOp>(use, use.getWeightAttr());
}

/// Whether an op with this rule looks up in an operand with these dims: it gives a summand of
/// what it gives where it has a share of the rows.
static bool isLookUp(const ShardingRule &rule, const ShardingRule::Dims &dims) {
  return dims.size() >= 2 && isReduced(rule.factors[dims[0].front()].kind) &&
         rule.experts != dims[0].front();
}

/// The table in which an op looks up, if it does.
static WeightOp findTable(ShardingRuleOpInterface op, const ShardingRule &rule) {
  for (auto [value, dims] : llvm::zip_equal(op->getOperands(), rule.operands))
    if (auto use = value.getDefiningOp<UseOp>(); use && isLookUp(rule, dims))
      return getWeight(use);
  return {};
}

/// `tp`, or the only axis.
LogicalResult SplitChoice::findAxis() {
  ArrayRef<StringAttr> axes = cuts.getMesh().getAxes();
  auto tp = llvm::find_if(axes, [](StringAttr name) { return name == "tp"; });
  if (tp == axes.end() && axes.size() != 1) {
    auto split =
        llvm::find_if(axes, [&](StringAttr name) { return *cuts.getMesh().getAxisSize(name) > 1; });
    return emitError(getAxisLoc(mesh, *split))
           << "axis " << *split << " of size " << *cuts.getMesh().getAxisSize(*split)
           << " is given, but no weight is split; say how with --split or in a plan (the default "
              "plan is for axis 'tp' or for a mesh of one axis)";
  }
  axis = tp == axes.end() ? axes.front() : *tp;
  return success();
}

bool SplitChoice::canCut(const void *holder, unsigned dim) {
  return succeeded(cuts.getDimSharding({holder, dim}, {axis}));
}

/// Whether some op that reads the weight cannot work with a share of its first dim.
bool SplitChoice::isNeededWhole(WeightOp weight) {
  WalkResult result = module.walk([&](ShardingRuleOpInterface op) {
    for (auto [value, dims] : llvm::zip_equal(op->getOperands(), op.getShardingRule().operands))
      if (getHolder(value) == weight.getOperation() &&
          op.getShardingRule().factors[dims[0].front()].kind == FactorKind::whole)
        return WalkResult::interrupt();
    return WalkResult::advance();
  });
  return result.wasInterrupted();
}

/// The factor of the op along which what it reads is cut already. A weight decides, since it
/// cannot be moved at run time.
std::optional<unsigned> SplitChoice::findCutFactor(ShardingRuleOpInterface op,
                                                   const ShardingRule &rule) {
  std::optional<unsigned> found;
  for (auto [value, dims] : llvm::zip_equal(op->getOperands(), rule.operands)) {
    auto cut = cutDims.find(getHolder(value));
    if (cut == cutDims.end())
      continue;
    unsigned factor = dims[cut->second].front();
    if (rule.factors[factor].kind == FactorKind::whole)
      continue; // it is joined in front of this op
    if (value.getDefiningOp<UseOp>())
      return factor;
    if (!found)
      found = factor;
  }
  return found;
}

/// Where the op multiplies what is whole with a weight, or looks up in it, the weight is split
/// along its first dim (with experts: between them). Returns this dim's factor.
std::optional<unsigned> SplitChoice::splitWeight(ShardingRuleOpInterface op,
                                                 const ShardingRule &rule) {
  for (auto [value, dims] : llvm::zip_equal(op->getOperands(), rule.operands)) {
    auto use = value.getDefiningOp<UseOp>();
    if (!use || dims.size() < 2)
      continue;
    WeightOp weight = getWeight(use);
    unsigned rows = dims[0].front(), columns = dims[1].front();
    // What only one operand has is not multiplied: there the op looks up along its columns.
    const bool isProduct = rule.factors[rows].kind == FactorKind::parallel &&
                           isReduced(rule.factors[columns].kind) &&
                           llvm::count_if(rule.operands, [&](const ShardingRule::Dims &each) {
                             return llvm::is_contained(each, dims[1]);
                           }) > 1;
    const bool isExperts = rule.experts == rows;
    if (!isProduct && !isLookUp(rule, dims) && !isExperts)
      continue;
    int64_t bytes = getTensorBytes(weight.getTensorType());
    if (isLookUp(rule, dims) &&
        (bytes < leastSplitTableBytes || bytes < largestTable / mostTimesSmaller))
      continue;
    if (weight.getTensorType().getDimSize(0) < *cuts.getMesh().getAxisSize(axis) ||
        !canSplit(weight))
      continue;
    split(weight, isExperts ? SplitKind::Expert : SplitKind::Column);
    return rows;
  }
  return std::nullopt;
}

/// Whether the weight can be split along its first dim.
bool SplitChoice::canSplit(WeightOp weight) {
  return canCut(weight, 0) && !isNeededWhole(weight) && !refused.contains(weight.getSymNameAttr());
}

void SplitChoice::split(WeightOp weight, SplitKind kind) {
  auto split = SplitAttr::get(module.getContext(), kind, axis);
  weight.setSplitsAttr(ArrayAttr::get(module.getContext(), {split}));
  weight->setLoc(getAxisLoc(mesh, axis)); // what is wrong with the split is wrong there
}

/// Look-ups that are added are summed over the ranks once, however many they are, but only if
/// all are of tables that are cut. So where one of several tables of some size is, all are.
void SplitChoice::completeSum(ArrayRef<WeightOp> tables) {
  auto isCut = [&](WeightOp table) {
    auto cut = cutDims.find(table);
    return cut != cutDims.end() && cut->second == 0;
  };
  int64_t large = llvm::count_if(tables, [](WeightOp table) {
    return getTensorBytes(table.getTensorType()) >= leastSplitTableBytes;
  });
  if (large < 2 || llvm::none_of(tables, isCut) ||
      !llvm::all_of(tables, [&](WeightOp table) { return isCut(table) || canSplit(table); }))
    return;
  for (WeightOp table : tables)
    if (cutDims.try_emplace(table, 0).second)
      split(table, SplitKind::Column);
}

void SplitChoice::completeSums() {
  // Of values that are sums of look-ups, and used for nothing but a larger sum: the tables.
  llvm::DenseMap<Value, SmallVector<WeightOp>> sums;
  SmallVector<Value> order;
  module.walk([&](ShardingRuleOpInterface op) {
    ShardingRule rule = op.getShardingRule();
    SmallVector<WeightOp> tables;
    if (WeightOp table = findTable(op, rule)) {
      tables = {table};
    } else if (!rule.linearIn.empty() && llvm::all_of(rule.linearIn, [&](unsigned operand) {
                 return op->getOperand(operand).hasOneUse() &&
                        sums.contains(op->getOperand(operand));
               })) {
      for (unsigned operand : rule.linearIn) {
        SmallVector<WeightOp> more = std::move(sums[op->getOperand(operand)]);
        sums.erase(op->getOperand(operand));
        if (more.size() > tables.size())
          std::swap(more, tables);
        tables.append(more);
      }
    } else {
      return;
    }
    order.push_back(op->getResult(0));
    sums[op->getResult(0)] = std::move(tables);
  });
  for (Value value : order)
    if (auto found = sums.find(value); found != sums.end())
      completeSum(found->second);
}

/// Splits a weight of the op if nothing that it reads is cut, and notes what becomes cut.
void SplitChoice::follow(ShardingRuleOpInterface op) {
  ShardingRule rule = op.getShardingRule();
  std::optional<unsigned> factor = findCutFactor(op, rule);
  if (!factor)
    factor = splitWeight(op, rule);
  if (!factor)
    return;
  auto note = [&](Value value, const ShardingRule::Dims &dims) {
    for (auto [dim, factors] : llvm::enumerate(dims))
      if (factors.front() == *factor && canCut(getHolder(value), dim))
        cutDims.try_emplace(getHolder(value), dim);
  };
  for (auto [value, dims] : llvm::zip_equal(op->getOperands(), rule.operands))
    if (value.getDefiningOp<UseOp>())
      note(value, dims);
  for (auto [value, dims] : llvm::zip_equal(op->getResults(), rule.results))
    note(value, dims);
}

/// Whether propagation takes the splits that were chosen for these weights alone.
bool SplitChoice::works(ArrayRef<StringAttr> split) {
  OwningOpRef<ModuleOp> copy = module.clone();
  llvm::DenseSet<StringAttr> kept(split.begin(), split.end());
  for (WeightOp weight : copy->getOps<WeightOp>())
    if (!kept.contains(weight.getSymNameAttr()))
      weight.removeSplitsAttr();
  ScopedDiagnosticHandler quiet(module.getContext(), [](Diagnostic &) { return success(); });
  Provenance provenance;
  return succeeded(propagateShardings(*copy, provenance));
}

/// The first weight whose split does not fit those before it, or null where all fit.
StringAttr SplitChoice::findRefused() {
  SmallVector<StringAttr> split;
  for (WeightOp weight : module.getOps<WeightOp>())
    if (weight.getSplitsAttr())
      split.push_back(weight.getSymNameAttr());
  if (split.empty() || works(split))
    return {};
  size_t fits = 0, fails = split.size(); // so many of them
  while (fails - fits > 1) {
    size_t middle = (fits + fails) / 2;
    (works(ArrayRef(split).take_front(middle)) ? fits : fails) = middle;
  }
  return split[fits];
}

void SplitChoice::choose() {
  module.walk([&](ShardingRuleOpInterface op) { follow(op); });
  completeSums();
}

/// Rules say of each op alone what can be cut, and splits that are chosen one by one may still
/// contradict each other. Nobody asked for them, so that a weight that does not fit stays whole,
/// and the others are chosen anew.
LogicalResult SplitChoice::run() {
  if (failed(findAxis()))
    return failure();
  module.walk([&](ShardingRuleOpInterface op) {
    if (WeightOp table = findTable(op, op.getShardingRule()))
      largestTable = std::max(largestTable, getTensorBytes(table.getTensorType()));
  });
  choose();
  while (StringAttr weight = findRefused()) {
    refused.insert(weight);
    for (WeightOp each : module.getOps<WeightOp>())
      each.removeSplitsAttr();
    cutDims.clear();
    choose();
  }
  if (llvm::any_of(module.getOps<WeightOp>(),
                   [](WeightOp weight) { return weight.getSplitsAttr() != nullptr; }))
    return success();
  return emitError(getAxisLoc(mesh, axis))
         << "axis " << axis << " of size " << *cuts.getMesh().getAxisSize(axis)
         << " is given, but the graph has no weight that can be split over it; a weight that a "
            "matrix product reads can, where it has as many output features, or heads, as there "
            "are ranks";
}

/// Whether someone has said how the module is split.
static bool isPlanned(ModuleOp module) {
  if (llvm::any_of(module.getOps<WeightOp>(),
                   [](WeightOp weight) { return weight.getSplitsAttr() != nullptr; }))
    return true;
  WalkResult result = module.walk([](Operation *op) {
    if (op->hasAttr(CleaveDialect::shardingAttrName))
      return WalkResult::interrupt();
    if (auto function = dyn_cast<FunctionOpInterface>(op))
      for (unsigned i = 0; i < function.getNumArguments(); ++i)
        if (function.getArgAttr(i, CleaveDialect::shardingAttrName))
          return WalkResult::interrupt();
    return WalkResult::advance();
  });
  return result.wasInterrupted();
}

namespace {
struct ChooseSplitsPass : public cleave::impl::ChooseSplitsPassBase<ChooseSplitsPass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto meshes = module.getOps<MeshOp>();
    if (meshes.empty() || (*meshes.begin()).getNumCoordinates() == 1 || isPlanned(module))
      return;
    if (failed(SplitChoice(module, *meshes.begin()).run()))
      signalPassFailure();
  }
};
} // namespace
