// partition-tool --explain.
#include "compiler/partition/explain.h"

#include "compiler/partition/reshard_lowering.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;
using namespace cleave;

std::string cleave::describeHolder(Value value) {
  if (auto use = value.getDefiningOp<UseOp>())
    return ("weight '" + use.getWeight() + "'").str();
  if (auto update = value.getDefiningOp<StateUpdateOp>())
    return ("state '" + update.getState() + "'").str();
  if (Operation *op = value.getDefiningOp())
    return ("'" + getModelName(op) + "'").str();
  return "argument " + std::to_string(cast<BlockArgument>(value).getArgNumber());
}

namespace {

class Explainer {
public:
  Explainer(ModuleOp module, const Provenance &provenance, raw_ostream &os)
      : module(module), mesh(Mesh::of(module)), planner(mesh), provenance(provenance), os(os) {}

  void explainHeld(Operation *holder, StringRef what, StringRef name, RankedTensorType type,
                   ShardingAttr sharding);
  void explainOp(Operation *op);

private:
  void printDims(const void *holder, ShardingAttr sharding);
  void printParts(RankedTensorType type, ShardingAttr sharding, ArrayRef<int64_t> stages);
  void printReshard(ReshardOp reshard);
  std::string getAxes(ArrayRef<StringAttr> axes);
  std::string getAnnotation(WeightOp weight);

  ModuleOp module;
  Mesh mesh;
  ReshardPlanner planner;
  const Provenance &provenance;
  raw_ostream &os;
};

} // namespace

std::string Explainer::getAxes(ArrayRef<StringAttr> axes) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  llvm::interleaveComma(axes, stream, [&](StringAttr axis) { stream << axis.getValue(); });
  return text;
}

/// Who said how the weight is split. A plan's entry left its place on the weight.
std::string Explainer::getAnnotation(WeightOp weight) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (!weight.getSplits())
    return "no split is asked for";
  llvm::interleaveComma(weight.getSplitsAttr().getAsRange<SplitAttr>(), stream,
                        [&](SplitAttr split) { stream << stringifySplitKind(split.getKind()); });
  auto place = weight.getLoc()->findInstanceOf<FileLineColLoc>();
  // The default plan's splits stand where the mesh was given.
  bool isDefault = llvm::any_of(module.getOps<MeshOp>(), [&](MeshOp grid) {
    return isa<OpaqueLoc>(grid.getLoc()) && grid.getLoc() == weight.getLoc();
  });
  if (place && isa<OpaqueLoc>(weight.getLoc()) && !isDefault)
    stream << ", by the plan's entry at " << place.getFilename().getValue() << ":"
           << place.getLine() << ":" << place.getColumn();
  else if (place && !isDefault)
    stream << ", by the model at " << place.getFilename().getValue() << ":" << place.getLine();
  else
    stream << ", by the default plan";
  return text;
}

/// For each dim that is cut, the way back to what was cut to begin with.
void Explainer::printDims(const void *holder, ShardingAttr sharding) {
  for (auto [dim, split] : llvm::enumerate(sharding.getDims())) {
    if (!split.isSplit())
      continue;
    os << "  dim " << dim << " is cut over " << getAxes(split.getAxes()) << ":\n";
    DimKey key(holder, dim);
    llvm::DenseSet<DimKey> seen;
    std::string name;
    for (auto it = provenance.find(key); it != provenance.end() && seen.insert(key).second;
         it = provenance.find(key)) {
      const CutReason &reason = it->second;
      os << "    as dim " << reason.from.second << " of " << reason.fromName << ", through "
         << reason.op->getName().stripDialect() << " '" << getModelName(reason.op) << "' (factor "
         << reason.factor << ")\n";
      key = reason.from;
    }
    for (WeightOp weight : module.getOps<WeightOp>())
      if (weight.getOperation() == key.first)
        os << "    weight '" << weight.getSymName() << "' is split " << getAnnotation(weight)
           << "\n";
  }
  if (!sharding.getPartial().empty())
    os << "  is " << describePartial(sharding.getPartialKind()) << " over "
       << getAxes(sharding.getPartial()) << "\n";
}

/// Each rank's type and ranges; one line where all have the whole.
void Explainer::printParts(RankedTensorType type, ShardingAttr sharding, ArrayRef<int64_t> stages) {
  if (sharding.isReplicated()) {
    os << "  whole on every rank of stage ";
    llvm::interleaveComma(stages, os);
    os << "\n";
    return;
  }
  for (int64_t stage : stages)
    for (int64_t at = 0; at < mesh.getNumCoordinates(); ++at) {
      os << "  rank " << RankPlace{stage, at}.getRank(mesh) << ": [";
      for (unsigned dim = 0; dim < type.getRank(); ++dim) {
        os << (dim ? ", " : "");
        if (type.isDynamicDim(dim)) {
          os << "?";
          continue;
        }
        ElementRange range = getShare(mesh, at, sharding.getDims()[dim], type.getDimSize(dim));
        os << range.begin << ":" << range.end;
      }
      os << "]"
         << (sharding.getPartial().empty()                     ? ""
             : sharding.getPartialKind() == ReductionKind::Sum ? ", its summand"
                                                               : ", its candidates")
         << "\n";
    }
}

/// The collectives and slices that a reshard is.
void Explainer::printReshard(ReshardOp reshard) {
  const ReshardPlan *plan =
      planner.plan(cast<RankedTensorType>(reshard.getType()), getSharding(reshard.getX()),
                   getSharding(reshard.getResult()));
  if (!plan || plan->empty()) {
    os << (plan ? "nothing" : "no way to do it");
    return;
  }
  auto print = [&](const ReshardStep &step) {
    std::string over = " over " + getAxes(step.axes);
    switch (step.kind) {
    case ReshardStep::Kind::slice:
      os << "a local slice of dim " << step.dim;
      break;
    case ReshardStep::Kind::allReduce:
      os << "all_reduce" << over
         << (getSharding(reshard.getX()).getPartialKind() == ReductionKind::Sum
                 ? ", which adds up the ranks' summands"
                 : ", which keeps the best of the ranks' candidates");
      break;
    case ReshardStep::Kind::allGather:
      os << "all_gather" << over << ", which joins the shares of dim " << step.dim;
      break;
    case ReshardStep::Kind::reduceScatter:
      os << "reduce_scatter" << over << ", which adds up the ranks' summands and cuts dim "
         << step.dim;
      break;
    }
  };
  llvm::interleave(*plan, os, print, "; then ");
}

void Explainer::explainHeld(Operation *holder, StringRef what, StringRef name,
                            RankedTensorType type, ShardingAttr sharding) {
  os << what << " '" << name << "' : " << type << "\n";
  if (auto weight = dyn_cast<WeightOp>(holder))
    os << "  split " << getAnnotation(weight) << "\n";
  SmallVector<Operation *> users;
  SmallVector<int64_t> stages;
  module.walk([&](Operation *op) {
    auto use = dyn_cast<UseOp>(op);
    auto update = dyn_cast<StateUpdateOp>(op);
    if ((use && use.getWeight() == name && isa<WeightOp>(holder)) ||
        (update && update.getState() == name && isa<StateOp>(holder))) {
      users.append(op->getResult(0).getUsers().begin(), op->getResult(0).getUsers().end());
      if (!llvm::is_contained(stages, getStage(op)))
        stages.push_back(getStage(op));
    }
  });
  if (!sharding) {
    os << "  is used by no op\n";
    return;
  }
  printDims(holder, sharding);
  printParts(type, sharding, stages);
  for (Operation *user : users)
    os << "  read by " << user->getName().stripDialect() << " '" << getModelName(user) << "'\n";
}

void Explainer::explainOp(Operation *op) {
  os << op->getName().stripDialect() << " '" << getModelName(op) << "', stage " << getStage(op)
     << "\n";
  for (OpOperand &operand : op->getOpOperands())
    if (auto reshard = operand.get().getDefiningOp<ReshardOp>()) {
      os << "  input " << operand.getOperandNumber() << ", " << describeHolder(reshard.getX())
         << ": ";
      printReshard(reshard);
      os << "\n";
    }
  ShardingRule rule = cast<ShardingRuleOpInterface>(op).getShardingRule();
  for (auto [operand, dims] : llvm::zip_equal(op->getOperands(), rule.operands))
    for (auto [dim, factors] : llvm::enumerate(dims))
      if (ShardingAttr sharding = getSharding(operand);
          sharding && sharding.getDims()[dim].isSplit() &&
          isReduced(rule.factors[factors.front()].kind))
        os << (rule.factors[factors.front()].kind == FactorKind::sum ? "  sums over dim "
                                                                     : "  takes the best over dim ")
           << dim << " of " << describeHolder(operand) << ", which is cut over "
           << getAxes(sharding.getDims()[dim].getAxes()) << "\n";
  for (Value result : op->getResults()) {
    auto type = cast<RankedTensorType>(result.getType());
    ShardingAttr sharding = getSharding(result);
    os << "  gives " << type << " sharded " << sharding << "\n";
    printDims(getHolder(result), sharding);
    printParts(type, sharding, {getStage(op)});
    for (Operation *user : result.getUsers()) {
      if (auto reshard = dyn_cast<ReshardOp>(user)) {
        os << "  output: ";
        printReshard(reshard);
        for (Operation *reader : reshard.getResult().getUsers())
          os << (reader == *reshard.getResult().getUsers().begin() ? ", for " : ", ") << "'"
             << getModelName(reader) << "'";
        os << "\n";
      } else if (auto transfer = dyn_cast<TransferOp>(user)) {
        os << "  output: sent to stage " << transfer.getTo() << "\n";
      }
    }
  }
}

LogicalResult cleave::explain(ModuleOp module, StringRef name, const Provenance &provenance,
                              raw_ostream &os) {
  Explainer explainer(module, provenance, os);
  bool found = false;
  for (WeightOp weight : module.getOps<WeightOp>())
    if (weight.getSymName() == name) {
      found = true;
      explainer.explainHeld(weight, "weight", name, weight.getTensorType(),
                            weight.getShardingAttr());
    }
  for (StateOp state : module.getOps<StateOp>())
    if (state.getSymName() == name) {
      found = true;
      explainer.explainHeld(state, "state", name, state.getTensorType(), state.getShardingAttr());
    }
  module.walk([&](ShardingRuleOpInterface op) {
    if (op->getAttrOfType<StringAttr>(CleaveDialect::nameAttrName) && getModelName(op) == name) {
      found = true;
      explainer.explainOp(op);
    }
  });
  return success(found);
}
