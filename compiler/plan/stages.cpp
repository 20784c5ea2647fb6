// From cuts, numbers of stages and stages that ops name to `cleave.cut` ops. What crosses
// a cut is for cleave-assign-stages.
#include "compiler/plan/stages.h"

#include "dialect/dialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"

#include <deque>

using namespace mlir;
using namespace cleave;

mlir::Location plan::getMlirLocation(MLIRContext *context, const plan::Location &location) {
  return OpaqueLoc::get(
      &location, FileLineColLoc::get(context, location.file(), location.line(), location.column()));
}

// ---- Names and paths ----

/// "blk.3" of "blk.3.attn_q".
static StringRef getBlock(Operation *op) {
  StringRef name = getModelName(op);
  if (!name.starts_with("blk."))
    return {};
  return name.take_front(name.find('.', 4));
}

/// The shortest way of values from `from` to `to`: their makers' names; empty where there
/// is none.
static SmallVector<StringRef> findPath(Operation *from, Operation *to) {
  llvm::DenseMap<Operation *, Operation *> before = {{from, nullptr}};
  std::deque<Operation *> queue = {from};
  while (!queue.empty() && !before.contains(to)) {
    Operation *op = queue.front();
    queue.pop_front();
    // MLIR lists users last first.
    for (Operation *user : llvm::reverse(SmallVector<Operation *>(op->getUsers())))
      if (before.try_emplace(user, op).second)
        queue.push_back(user);
  }
  SmallVector<StringRef> path;
  if (before.contains(to))
    for (Operation *op = to; op; op = before[op])
      path.insert(path.begin(), getModelName(op));
  return path;
}

/// "'a' -> 'b' -> 'c'", without the middle of a long one.
static std::string printPath(ArrayRef<StringRef> path) {
  static constexpr size_t shown = 6;
  std::string text;
  llvm::raw_string_ostream os(text);
  for (auto [i, name] : llvm::enumerate(path)) {
    if (path.size() > shown && i >= shown / 2 && i < path.size() - shown / 2) {
      if (i == shown / 2)
        os << " -> (" << path.size() - shown << " more)";
      continue;
    }
    os << (i ? " -> " : "") << "'" << name << "'";
  }
  return text;
}

/// Functions of one block; others are no entries, see cleave-verify-logical.
static SmallVector<func::FuncOp> getEntries(ModuleOp module) {
  SmallVector<func::FuncOp> entries;
  for (auto function : module.getOps<func::FuncOp>())
    if (llvm::hasSingleElement(function.getFunctionBody()))
      entries.push_back(function);
  return entries;
}

// ---- A plan's cuts ----

namespace {

class Cutting {
public:
  Cutting(ModuleOp module, const plan::Plan &plan)
      : module(module), plan(plan), builder(module.getContext()) {}

  LogicalResult run();

private:
  /// Where a stage begins.
  struct Cut {
    std::string name;
    mlir::Location location;
    SmallVector<Operation *> ops; ///< in each function, null where it has no such op
  };

  mlir::Location at(const plan::Location &location) {
    return plan::getMlirLocation(builder.getContext(), location);
  }
  LogicalResult findGivenCuts();
  LogicalResult checkOrder(const Cut &before, const Cut &cut);
  LogicalResult chooseCuts();
  std::string describeBlocks();

  ModuleOp module;
  const plan::Plan &plan;
  OpBuilder builder;
  SmallVector<func::FuncOp> functions;
  SmallVector<Cut> cuts;
};

} // namespace

/// The first op that `name` means: an op of that name, of that block, or one that reads
/// that weight.
static Operation *findCut(func::FuncOp function, StringRef name) {
  Operation *found = nullptr;
  function.walk([&](ShardingRuleOpInterface op) {
    bool uses = llvm::any_of(op->getOperands(), [&](Value operand) {
      auto use = operand.getDefiningOp<UseOp>();
      if (!use)
        return false;
      auto weight = SymbolTable::lookupNearestSymbolFrom<WeightOp>(use, use.getWeightAttr());
      return weight.getSymName() == name || weight.getTensorName() == name;
    });
    if (getModelName(op) != name && getBlock(op) != name && !uses)
      return WalkResult::advance();
    found = op;
    return WalkResult::interrupt();
  });
  return found;
}

static bool isFirst(Operation *op) {
  for (Operation *before = op->getPrevNode(); before; before = before->getPrevNode())
    if (isa<ShardingRuleOpInterface>(before))
      return false;
  return true;
}

std::string Cutting::describeBlocks() {
  SmallVector<StringRef> blocks;
  module.walk([&](ShardingRuleOpInterface op) {
    StringRef block = getBlock(op);
    if (!block.empty() && (blocks.empty() || blocks.back() != block))
      blocks.push_back(block);
  });
  if (blocks.empty())
    return "";
  return ("; blocks are '" + blocks.front() + "' to '" + blocks.back() + "'").str();
}

/// Stages come in the order of their cuts, and values flow to later stages only.
LogicalResult Cutting::checkOrder(const Cut &before, const Cut &cut) {
  for (auto [earlier, op] : llvm::zip_equal(before.ops, cut.ops)) {
    if (!earlier || !op)
      continue;
    if (earlier == op)
      return emitError(cut.location)
             << "'" << cut.name << "' and '" << before.name << "' name the same place";
    if (earlier->isBeforeInBlock(op))
      continue;
    InFlightDiagnostic error = emitError(cut.location)
                               << "the cut at '" << cut.name << "' is listed after '" << before.name
                               << "', but stands before it in the model";
    if (SmallVector<StringRef> path = findPath(op, earlier); !path.empty())
      error << ": values would have to flow back to an earlier stage, by " << printPath(path);
    error << "; list cuts in the model's order";
    error.attachNote(before.location) << "the stage before it begins here";
    return error;
  }
  return success();
}

LogicalResult Cutting::findGivenCuts() {
  for (const plan::Cut &given : plan.cuts) {
    Cut cut{given.name, at(given.location), {}};
    for (func::FuncOp function : functions)
      cut.ops.push_back(findCut(function, given.name));
    if (llvm::none_of(cut.ops, [](Operation *op) { return op; }))
      return emitError(cut.location)
             << "'" << cut.name << "' names no block, op or tensor of the model"
             << describeBlocks();
    if (llvm::any_of(cut.ops, [](Operation *op) { return op && isFirst(op); }))
      return emitError(cut.location)
             << "a cut at '" << cut.name << "' leaves nothing for the stage before it";
    for (const Cut &before : cuts)
      if (failed(checkOrder(before, cut)))
        return failure();
    cuts.push_back(std::move(cut));
  }
  return success();
}

/// Values made before `op` that it or later ops read.
static int64_t countCrossing(Operation *op) {
  int64_t count = 0;
  for (Operation *before = op->getPrevNode(); before; before = before->getPrevNode())
    if (!isa<UseOp>(before))
      count += llvm::count_if(before->getResults(), [&](Value value) {
        return llvm::any_of(value.getUsers(),
                            [&](Operation *user) { return !user->isBeforeInBlock(op); });
      });
  return count;
}

/// The bytes of weights that an op reads for a token. Of a dim that is summed over and that
/// only weights have, data choose one element: a look-up reads one row of its table. Of
/// experts they choose some.
static int64_t getWork(ShardingRuleOpInterface op) {
  ShardingRule rule = op.getShardingRule();
  llvm::DenseSet<unsigned> ofValues;
  for (const ShardingRule::Dims &dims : rule.results)
    for (const ShardingRule::Dim &dim : dims)
      ofValues.insert(dim.begin(), dim.end());
  for (auto [operand, dims] : llvm::zip_equal(op->getOperands(), rule.operands))
    for (const ShardingRule::Dim &dim : dims)
      if (!operand.getDefiningOp<UseOp>())
        ofValues.insert(dim.begin(), dim.end());
  int64_t bytes = 0;
  for (auto [operand, dims] : llvm::zip_equal(op->getOperands(), rule.operands)) {
    auto use = operand.getDefiningOp<UseOp>();
    if (!use)
      continue;
    int64_t read = getTensorBytes(cast<RankedTensorType>(use.getType()));
    for (const ShardingRule::Dim &dim : dims)
      for (unsigned factor : dim)
        if (rule.factors[factor].kind == FactorKind::sum && !ofValues.contains(factor) &&
            rule.experts.value_or(factor) == factor)
          read /= std::max<int64_t>(rule.factors[factor].size, 1);
    bytes += read;
  }
  if (auto moe = dyn_cast<MoeOp>(op.getOperation()))
    bytes *= cast<RankedTensorType>(moe.getChosen().getType()).getDimSize(1);
  return bytes;
}

/// Stages of about equal work: the bytes of weights that a token reads. They begin at
/// blocks where the model has blocks, else wherever one value alone crosses.
LogicalResult Cutting::chooseCuts() {
  struct Candidate {
    Operation *op;
    int64_t before; ///< work before it
  };
  SmallVector<Candidate> blocks, crossings;
  bool hasBlocks = !describeBlocks().empty();
  StringRef lastBlock;
  int64_t work = 0;
  if (functions.empty())
    return success();
  for (Operation &op : functions.front().getFunctionBody().front()) {
    auto compute = dyn_cast<ShardingRuleOpInterface>(op);
    if (!compute)
      continue;
    StringRef block = getBlock(&op);
    if (!block.empty() && block != lastBlock) {
      lastBlock = block;
      if (!isFirst(&op))
        blocks.push_back({&op, work});
    }
    if (!hasBlocks && !isFirst(&op) && countCrossing(&op) == 1)
      crossings.push_back({&op, work});
    work += getWork(compute);
  }
  SmallVector<Candidate> &candidates = hasBlocks ? blocks : crossings;
  int64_t stages = plan.stages->count;
  if (static_cast<int64_t>(candidates.size()) < stages - 1)
    return emitError(at(plan.stages->location))
           << stages << " stages are asked for, but the model can begin a stage at "
           << candidates.size() << " places only; the most stages that work are "
           << candidates.size() + 1;
  size_t first = 0;
  for (int64_t stage = 1; stage < stages; ++stage) {
    // The candidate nearest to the stage's due, leaving enough for the stages to come.
    size_t last = candidates.size() - (stages - 1 - stage), best = first;
    auto distance = [&](size_t i) {
      return std::abs(candidates[i].before * stages - work * stage);
    };
    for (size_t i = first; i < last; ++i)
      if (distance(i) < distance(best))
        best = i;
    Operation *op = candidates[best].op;
    StringRef block = getBlock(op);
    Cut cut{(block.empty() ? getModelName(op) : block).str(), op->getLoc(), {op}};
    for (func::FuncOp function : llvm::drop_begin(functions))
      cut.ops.push_back(findCut(function, cut.name));
    cuts.push_back(std::move(cut));
    first = best + 1;
  }
  return success();
}

LogicalResult Cutting::run() {
  if (plan.cuts.empty() && !plan.stages)
    return success();
  functions = getEntries(module);
  // What the graph says of stages gives way to the plan.
  SmallVector<CutOp> old;
  module.walk([&](Operation *op) {
    op->removeAttr(CleaveDialect::stageAttrName);
    if (auto cut = dyn_cast<CutOp>(op))
      old.push_back(cut);
  });
  for (CutOp cut : old)
    cut.erase();
  if (failed(findGivenCuts()))
    return failure();
  if (cuts.empty() && plan.stages->count > 1 && failed(chooseCuts()))
    return failure();
  for (auto [i, function] : llvm::enumerate(functions)) {
    // A function that lacks a cut's op has nothing in that stage.
    Operation *place = function.getFunctionBody().front().getTerminator();
    for (const Cut &cut : llvm::reverse(cuts)) {
      place = cut.ops[i] ? cut.ops[i] : place;
      builder.setInsertionPoint(place);
      place = builder.create<CutOp>(cut.location, cut.name);
    }
  }
  return success();
}

LogicalResult plan::applyCuts(ModuleOp module, const Plan &plan) {
  return Cutting(module, plan).run();
}

// ---- Stages that ops name ----

namespace {

/// The stages of one function's ops.
class StageReading {
public:
  explicit StageReading(func::FuncOp function) : function(function) {}

  /// Finds each op's stage, and notes the first op of each in `first`.
  LogicalResult read(std::map<int64_t, Operation *> &first);
  /// Orders the ops by stage, with cuts between.
  void cut();

private:
  FailureOr<int64_t> readStage(Operation *op);
  LogicalResult reportBackward(Operation *op, int64_t stage, Operation *producer);

  func::FuncOp function;
  SmallVector<std::pair<Operation *, int64_t>> staged; ///< in program order
  llvm::DenseMap<Operation *, int64_t> stages;
};

} // namespace

/// Stages are few, and ranks are numbered by them.
static constexpr int64_t maxStages = plan::maxAxisSize;

/// The stage that the op names, or the latest of its operands'.
FailureOr<int64_t> StageReading::readStage(Operation *op) {
  int64_t latest = 0;
  Operation *producer = nullptr;
  for (Value operand : op->getOperands())
    if (auto it = stages.find(operand.getDefiningOp()); it != stages.end() && it->second > latest) {
      latest = it->second;
      producer = it->first;
    }
  auto given = op->getAttrOfType<IntegerAttr>(CleaveDialect::stageAttrName);
  if (!given)
    return latest;
  if (given.getValue().slt(0) || given.getValue().sge(maxStages))
    return op->emitError() << "'" << getModelName(op) << "' has " << CleaveDialect::stageAttrName
                           << " = " << given << "; expected a stage from 0 to " << maxStages - 1;
  int64_t stage = given.getValue().getSExtValue();
  if (producer && latest > stage)
    return reportBackward(op, stage, producer);
  return stage;
}

/// `producer` or what it is made of is in a later stage than its reader `op`.
LogicalResult StageReading::reportBackward(Operation *op, int64_t stage, Operation *producer) {
  int64_t later = stages.lookup(producer);
  // Back to where that stage was named: between them stages only follow.
  SmallVector<StringRef> path = {getModelName(producer), getModelName(op)};
  while (!producer->hasAttr(CleaveDialect::stageAttrName)) {
    auto operand = llvm::find_if(producer->getOperands(), [&](Value value) {
      auto it = stages.find(value.getDefiningOp());
      return it != stages.end() && it->second == later;
    });
    producer = (*operand).getDefiningOp();
    path.insert(path.begin(), getModelName(producer));
  }
  InFlightDiagnostic error = op->emitError()
                             << "'" << getModelName(op) << "' is in stage " << stage
                             << ", but needs what stage " << later << " makes, by "
                             << printPath(path) << "; put '" << getModelName(op) << "' into stage "
                             << later << " or later, or '" << getModelName(producer)
                             << "' into stage " << stage << " or earlier";
  error.attachNote(producer->getLoc())
      << "'" << getModelName(producer) << "' is put into stage " << later << " here";
  return error;
}

LogicalResult StageReading::read(std::map<int64_t, Operation *> &first) {
  for (Operation &op : function.getFunctionBody().front().without_terminator()) {
    if (isa<CutOp>(op))
      return op.emitError() << "a cut and '" << CleaveDialect::stageAttrName
                            << "' both say where stages begin; keep one of the two";
    if (isa<UseOp>(op)) {
      if (op.hasAttr(CleaveDialect::stageAttrName))
        return op.emitError() << "a weight is used where its readers are; give them the '"
                              << CleaveDialect::stageAttrName << "'";
      staged.push_back({&op, 0}); // before all others; it goes with its users later
      continue;
    }
    FailureOr<int64_t> stage = readStage(&op);
    if (failed(stage))
      return failure();
    stages[&op] = *stage;
    staged.push_back({&op, *stage});
    first.try_emplace(*stage, &op);
  }
  return success();
}

void StageReading::cut() {
  llvm::stable_sort(staged, [](auto &a, auto &b) { return a.second < b.second; });
  Operation *end = function.getFunctionBody().front().getTerminator();
  OpBuilder builder(end);
  int64_t reached = 0;
  for (auto [op, stage] : staged) {
    for (; reached < stage; ++reached)
      builder.create<CutOp>(op->getLoc(), getModelName(op));
    op->moveBefore(end);
    op->removeAttr(CleaveDialect::stageAttrName);
  }
}

LogicalResult plan::cutAtStages(ModuleOp module) {
  SmallVector<StageReading> readings;
  std::map<int64_t, Operation *> first;
  bool isGiven = false;
  for (func::FuncOp function : getEntries(module)) {
    if (function->hasAttr(CleaveDialect::stageAttrName))
      return function.emitError() << "'" << CleaveDialect::stageAttrName
                                  << "' is for ops; a function may span several stages";
    function.walk([&](Operation *op) { isGiven |= op->hasAttr(CleaveDialect::stageAttrName); });
  }
  if (!isGiven)
    return success();
  for (func::FuncOp function : getEntries(module))
    if (failed(readings.emplace_back(function).read(first)))
      return failure();
  for (int64_t expected = 0; auto [stage, op] : first)
    if (stage != expected++)
      return op->emitError() << "'" << getModelName(op) << "' is in stage " << stage
                             << ", but no op is in stage " << expected - 1
                             << "; number stages from 0, without a gap";
  for (StageReading &reading : readings)
    reading.cut();
  return success();
}
