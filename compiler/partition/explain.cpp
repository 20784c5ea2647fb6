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
      : module(module), mesh(Mesh::of(module)), cuts(module), planner(mesh), provenance(provenance),
        os(os) {}

  void explainHeld(Operation *holder, StringRef what, StringRef name, RankedTensorType type,
                   ShardingAttr sharding);
  void explainOp(Operation *op);
  void explainInput(BlockArgument argument, StringRef name);
  void explainOutput(OpOperand &operand, StringRef name);

private:
  void printDims(const void *holder, ShardingAttr sharding);
  void printParts(RankedTensorType type, ShardingAttr sharding, ArrayRef<int64_t> stages);
  void printReshard(ReshardOp reshard);
  std::string getAxes(ArrayRef<StringAttr> axes);
  std::string getAnnotation(WeightOp weight);
  std::string getPlaces(DimKey key, ArrayRef<StringAttr> axes);
  void printReaders(Value value);

  ModuleOp module;
  Mesh mesh;
  CutAnalysis cuts;
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
                        [&](SplitAttr split) {
                          stream << stringifySplitKind(split.getKind());
                          if (split.getAxis())
                            stream << " over " << split.getAxis().getValue();
                        });
  auto place = weight.getLoc()->findInstanceOf<FileLineColLoc>();
  // The default plan's splits stand where the axis was given.
  bool isDefault = llvm::any_of(module.getOps<MeshOp>(), [&](MeshOp grid) {
    return llvm::any_of(mesh.getAxes(), [&](StringAttr axis) {
      Location given = getAxisLoc(grid, axis);
      return isa<OpaqueLoc>(given) && given == weight.getLoc();
    });
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

/// Where a dim is cut: what is not, or better not, cut inside, and unequal shares.
std::string Explainer::getPlaces(DimKey key, ArrayRef<StringAttr> axes) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (int64_t unit = cuts.getUnit(key); unit > 1)
    stream << ", between heads of " << unit;
  for (MeshOp grid : module.getOps<MeshOp>())
    for (StringAttr axis : axes)
      if (auto shares = grid.getShares() ? grid.getShares()->getAs<DenseI64ArrayAttr>(axis)
                                         : DenseI64ArrayAttr()) {
        stream << ", in proportion ";
        llvm::interleave(shares.asArrayRef(), stream, ":");
        if (axes.size() > 1)
          stream << " over " << axis.getValue();
      }
  return text;
}

/// For each dim that is cut, the way back to what was cut to begin with.
void Explainer::printDims(const void *holder, ShardingAttr sharding) {
  for (auto [dim, split] : llvm::enumerate(sharding.getDims())) {
    if (!split.isSplit())
      continue;
    DimKey key(holder, dim);
    os << "  dim " << dim << " is cut over " << getAxes(split.getAxes())
       << getPlaces(key, split.getAxes()) << "\n";
    llvm::DenseSet<DimKey> seen;
    std::string name = "it";
    for (auto it = provenance.reasons.find(key);
         it != provenance.reasons.end() && seen.insert(key).second;
         it = provenance.reasons.find(key)) {
      const CutReason &reason = it->second;
      name = reason.fromName;
      os << "    as dim " << reason.from.second << " of " << name << ", through "
         << reason.op->getName().stripDialect() << " '" << getModelName(reason.op) << "'\n";
      key = reason.from;
    }
    if (auto asked = provenance.asked.find(key.first); asked != provenance.asked.end())
      os << "    " << name << " is to be " << asked->second << ", by the model\n";
    for (WeightOp weight : module.getOps<WeightOp>())
      if (weight.getOperation() == key.first && weight.getOperation() != holder)
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
          ArrayRef<StringAttr> axes = sharding.getDims()[dim].getAxes();
          os << "?";
          if (int64_t shares = mesh.getNumShares(axes); shares > 1)
            os << " share " << mesh.getShareIndex(at, axes) << " of " << shares;
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
    case ReshardStep::Kind::allToAll:
      os << "all_to_all" << over;
      if (step.joined == step.dim)
        os << ", which cuts dim " << step.dim << " elsewhere";
      else
        os << ", which joins the shares of dim " << step.joined << " and cuts dim " << step.dim;
      break;
    }
  };
  llvm::interleave(*plan, os, print, "; then ");
}

/// What an op, a stage or an output is called where it reads a value.
static std::string describeReader(OpOperand &use) {
  Operation *reader = use.getOwner();
  if (auto transfer = dyn_cast<TransferOp>(reader))
    return "stage " + std::to_string(transfer.getTo());
  if (auto function = dyn_cast<func::FuncOp>(reader->getParentOp());
      function && reader->hasTrait<OpTrait::ReturnLike>())
    if (auto name = function.getResultAttrOfType<StringAttr>(use.getOperandNumber(),
                                                             CleaveDialect::outputAttrName))
      return ("output '" + name.getValue() + "'").str();
  return ("'" + getModelName(reader) + "'").str();
}

/// Uses in the order of the graph; MLIR lists the last first.
static SmallVector<OpOperand *> getUses(Value value) {
  SmallVector<OpOperand *> uses;
  for (OpOperand &use : value.getUses())
    uses.insert(uses.begin(), &use);
  return uses;
}

/// Who reads a value as it is, and for whom it is moved, and how.
void Explainer::printReaders(Value value) {
  for (OpOperand *use : getUses(value)) {
    auto reshard = dyn_cast<ReshardOp>(use->getOwner());
    if (!reshard) {
      os << (isa<TransferOp>(use->getOwner()) ? "  sent to " : "  read by ") << describeReader(*use)
         << "\n";
      continue;
    }
    os << "  output: ";
    printReshard(reshard);
    bool isFirst = true;
    for (OpOperand *reader : getUses(reshard.getResult())) {
      os << (isFirst ? ", for " : ", ") << describeReader(*reader);
      isFirst = false;
    }
    os << "\n";
  }
}

void Explainer::explainInput(BlockArgument argument, StringRef name) {
  os << "input '" << name << "' : " << argument.getType() << ", given to every rank whole\n";
  if (ShardingAttr sharding = getSharding(argument); sharding && !sharding.isReplicated()) {
    os << "  of which each takes its share\n";
    printDims(getHolder(argument), sharding);
  }
  printReaders(argument);
}

void Explainer::explainOutput(OpOperand &operand, StringRef name) {
  Value value = operand.get();
  os << "output '" << name << "' : " << value.getType() << "\n";
  auto reshard = value.getDefiningOp<ReshardOp>();
  Value made = reshard ? reshard.getX() : value;
  os << "  made by " << describeHolder(made);
  if (Operation *op = made.getDefiningOp())
    os << " in stage " << getStage(op);
  if (reshard) {
    os << ", then ";
    printReshard(reshard);
  }
  int64_t stage = value.getDefiningOp() ? getStage(value.getDefiningOp()) : 0;
  os << "\n  whole on every rank of stage " << stage << "\n";
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
  if (stages.size() > 1)
    os << "  is held by several stages, which all read it\n";
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
    } else if (auto transfer = operand.get().getDefiningOp<TransferOp>()) {
      os << "  input " << operand.getOperandNumber() << ", " << describeHolder(transfer)
         << ": received from stage " << getStage(transfer) << "\n";
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
    if (op->hasTrait<IsDecision>() && mesh.getNumCoordinates() > 1)
      os << "  output: a broadcast, since one rank decides for all that have the same share\n";
    printReaders(result);
  }
}

namespace {
/// Something of the module that a name may mean.
struct Named {
  StringRef what, name;
};
} // namespace

/// All inputs and outputs: `visitInput(argument, name)`, `visitOutput(operand, name)`.
static void forEachPort(ModuleOp module, function_ref<void(BlockArgument, StringRef)> visitInput,
                        function_ref<void(OpOperand &, StringRef)> visitOutput) {
  for (auto function : module.getOps<func::FuncOp>()) {
    for (BlockArgument argument : function.getArguments())
      if (auto name = function.getArgAttrOfType<StringAttr>(argument.getArgNumber(),
                                                            CleaveDialect::inputAttrName))
        visitInput(argument, name.getValue());
    for (OpOperand &operand : function.getFunctionBody().front().getTerminator()->getOpOperands())
      if (auto name = function.getResultAttrOfType<StringAttr>(operand.getOperandNumber(),
                                                               CleaveDialect::outputAttrName))
        visitOutput(operand, name.getValue());
  }
}

std::string cleave::suggestName(ModuleOp module, StringRef name) {
  SmallVector<Named> all;
  for (WeightOp weight : module.getOps<WeightOp>())
    all.push_back({"weight", weight.getSymName()});
  for (StateOp state : module.getOps<StateOp>())
    all.push_back({"state", state.getSymName()});
  module.walk([&](ShardingRuleOpInterface op) {
    if (op->hasAttr(CleaveDialect::nameAttrName))
      all.push_back({"op", getModelName(op)});
  });
  forEachPort(
      module, [&](BlockArgument, StringRef port) { all.push_back({"input", port}); },
      [&](OpOperand &, StringRef port) { all.push_back({"output", port}); });
  std::string text;
  llvm::raw_string_ostream os(text);
  // What it begins: a block's name.
  size_t inside = llvm::count_if(
      all, [&](const Named &each) { return each.name.starts_with((name + ".").str()); });
  if (inside > 0) {
    os << "; " << inside << " names begin with '" << name << ".', as ";
    size_t told = 0;
    for (const Named &each : all)
      if (each.name.starts_with((name + ".").str()) && told < 3)
        os << (told++ ? ", " : "") << each.what << " '" << each.name << "'";
  } else if (!all.empty()) {
    auto nearest = llvm::min_element(all, [&](const Named &a, const Named &b) {
      return a.name.edit_distance(name) < b.name.edit_distance(name);
    });
    os << "; the nearest name is that of " << nearest->what << " '" << nearest->name << "'";
  }
  return text;
}

LogicalResult cleave::explain(ModuleOp module, StringRef name, const Provenance &provenance,
                              raw_ostream &os) {
  Explainer explainer(module, provenance, os);
  bool found = false;
  for (WeightOp weight : module.getOps<WeightOp>())
    if (weight.getSymName() == name || weight.getTensorName() == name) {
      found = true;
      explainer.explainHeld(weight, "weight", weight.getSymName(), weight.getTensorType(),
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
  forEachPort(
      module,
      [&](BlockArgument argument, StringRef port) {
        if (port == name)
          explainer.explainInput(argument, port);
        found |= port == name;
      },
      [&](OpOperand &operand, StringRef port) {
        if (port == name)
          explainer.explainOutput(operand, port);
        found |= port == name;
      });
  return success(found);
}
