// cleave-apply-plan: a plan becomes a mesh, split attributes and cuts on a logical module.
// What the plan leaves open comes from the family's default plan.
#include "compiler/passes.h"
#include "compiler/plan/default_plan.h"
#include "compiler/plan/plan.h"
#include "dialect/dialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"

namespace cleave {
#define GEN_PASS_DEF_APPLYPLANPASS
#include "compiler/Passes.h.inc"
} // namespace cleave

using namespace mlir;
using namespace cleave;

namespace {

SplitKind getKind(plan::SplitType type) {
  switch (type) {
  case plan::SplitType::column:
    return SplitKind::Column;
  case plan::SplitType::row:
    return SplitKind::Row;
  case plan::SplitType::head:
    return SplitKind::Head;
  case plan::SplitType::expert:
    return SplitKind::Expert;
  case plan::SplitType::none:
    return SplitKind::None;
  }
  llvm_unreachable("all split types are listed");
}

class PlanApplication {
public:
  PlanApplication(ModuleOp module, const plan::Plan &plan)
      : module(module), plan(plan), builder(module.getContext()) {}

  LogicalResult run() {
    if (std::string text = plan::printPlan(plan); !text.empty())
      module->setAttr(CleaveDialect::planAttrName, builder.getStringAttr(text));
    if (!module.getOps<MeshOp>().empty() && plan.mesh.empty() && plan.splits.empty())
      return applyCuts(); // the module brings its own mesh and splits
    createMesh();
    if (failed(applySplits()))
      return failure();
    return applyCuts();
  }

private:
  /// The place as the plan knows it, for tools that can show its text.
  Location at(const plan::Location &location) {
    return OpaqueLoc::get(&location, FileLineColLoc::get(builder.getContext(), location.file(),
                                                         location.line(), location.column()));
  }

  void createMesh() {
    for (MeshOp old : llvm::make_early_inc_range(module.getOps<MeshOp>()))
      old.erase();
    if (plan.mesh.empty())
      return;
    SmallVector<Attribute> axes;
    SmallVector<int64_t> sizes;
    for (const plan::MeshAxis &axis : plan.mesh) {
      axes.push_back(builder.getStringAttr(axis.name));
      sizes.push_back(axis.size);
    }
    SmallVector<NamedAttribute> shares;
    for (const plan::Shares &share : plan.shares)
      shares.push_back(builder.getNamedAttr(share.axis, builder.getDenseI64ArrayAttr(share.parts)));
    builder.setInsertionPointToStart(module.getBody());
    builder.create<MeshOp>(at(plan.mesh.front().location), builder.getStringAttr("mesh"),
                           builder.getArrayAttr(axes), builder.getDenseI64ArrayAttr(sizes),
                           shares.empty() ? DictionaryAttr() : builder.getDictionaryAttr(shares));
  }

  /// The axis over which an entry without one splits: `tp`, or the only one.
  std::string getDefaultAxis() {
    if (plan.findAxis("tp") || plan.mesh.empty())
      return "tp";
    return plan.mesh.size() == 1 ? plan.mesh.front().name : "";
  }

  LogicalResult applySplits() {
    std::vector<bool> matched(plan.splits.size(), false);
    StringRef architecture;
    if (auto model = module->getAttrOfType<DictionaryAttr>(CleaveDialect::modelAttrName))
      if (auto name = model.getAs<StringAttr>("architecture"))
        architecture = name.getValue();
    bool isSplit = false;
    for (WeightOp weight : module.getOps<WeightOp>()) {
      for (auto [i, split] : llvm::enumerate(plan.splits))
        matched[i] = matched[i] || split.weights.matches(weight.getSymName());
      SplitAttr split;
      const plan::Location *reason = nullptr;
      if (const plan::Split *found = plan.findSplit(weight.getSymName())) {
        FailureOr<SplitAttr> attr = getSplit(*found);
        if (failed(attr))
          return failure();
        split = *attr;
        reason = &found->location;
      } else if (!plan.mesh.empty() && !weight.getSplitsAttr()) {
        split = getDefaultSplit(architecture, weight);
        reason = &plan.mesh.front().location;
      }
      if (split && !plan.mesh.empty()) {
        weight.setSplitsAttr(builder.getArrayAttr({split}));
        weight->setLoc(at(*reason)); // what is wrong with the split is wrong there
      }
      if (ArrayAttr splits = weight.getSplitsAttr())
        isSplit |= llvm::any_of(splits.getAsRange<SplitAttr>(),
                                [](SplitAttr attr) { return attr.getKind() != SplitKind::None; });
    }
    for (auto [split, found] : llvm::zip_equal(plan.splits, matched))
      if (!found)
        return emitError(at(split.location))
               << "pattern '" << split.weights.text() << "' matches no weight of the model"
               << suggest(split.weights.text());
    if (isSplit || plan.meshSize() == 1)
      return success();
    InFlightDiagnostic error =
        emitError(at(plan.mesh.front().location))
        << "axis '" << plan.mesh.front().name << "' of size " << plan.mesh.front().size
        << " is given, but no weight is split; say how with --split or in a plan";
    if (plan::getDefaultSplits(architecture).empty())
      error << " (there is no default plan for "
            << (architecture.empty() ? "this graph" : "'" + architecture.str() + "' models") << ")";
    return error;
  }

  /// A model's first weights, so that the user sees how names look.
  std::string suggest(StringRef pattern) {
    SmallVector<StringRef> names;
    for (WeightOp weight : module.getOps<WeightOp>())
      names.push_back(weight.getSymName());
    if (names.empty())
      return "; it has no weights";
    StringRef nearest =
        *std::min_element(names.begin(), names.end(), [&](StringRef a, StringRef b) {
          return a.edit_distance(pattern) < b.edit_distance(pattern);
        });
    return ("; the nearest name is '" + nearest + "'").str();
  }

  FailureOr<SplitAttr> getSplit(const plan::Split &split) {
    if (plan.mesh.empty())
      return emitError(at(split.location))
             << "there is one rank only, so nothing is split; add --tp N "
                "or a mesh";
    if (split.type == plan::SplitType::none)
      return SplitAttr::get(builder.getContext(), SplitKind::None, StringAttr());
    std::string axis = split.axis.empty() ? getDefaultAxis() : split.axis;
    if (axis.empty())
      return emitError(at(split.location))
             << "the mesh has several axes; say over which one to split, as in '"
             << split.weights.text() << "=" << plan::splitTypeName(split.type) << "@"
             << plan.mesh.front().name << "'";
    return SplitAttr::get(builder.getContext(), getKind(split.type), builder.getStringAttr(axis));
  }

  SplitAttr getDefaultSplit(StringRef architecture, WeightOp weight) {
    std::string axis = getDefaultAxis();
    for (const plan::DefaultSplit &split : plan::getDefaultSplits(architecture)) {
      auto pattern = plan::NamePattern::create(split.weights);
      if (!cantFail(std::move(pattern)).matches(weight.getSymName()))
        continue;
      if (split.type == plan::SplitType::none || axis.empty())
        return SplitAttr::get(builder.getContext(), SplitKind::None, StringAttr());
      return SplitAttr::get(builder.getContext(), getKind(split.type), builder.getStringAttr(axis));
    }
    return {};
  }

  // ---- Cuts ----

  /// The first op that `name` means: an op of that name, of that block, or one that reads
  /// that weight.
  Operation *findCut(StringRef name) {
    Operation *found = nullptr;
    module.walk([&](ShardingRuleOpInterface op) {
      StringRef own = getModelName(op);
      bool uses = llvm::any_of(op->getOperands(), [&](Value operand) {
        auto use = operand.getDefiningOp<UseOp>();
        return use && use.getWeight() == name;
      });
      if (own != name && getBlock(op) != name && !uses)
        return WalkResult::advance();
      found = op;
      return WalkResult::interrupt();
    });
    return found;
  }

  LogicalResult applyCuts() {
    SmallVector<std::pair<Operation *, std::string>> cuts;
    for (const plan::Cut &cut : plan.cuts) {
      Operation *op = findCut(cut.name);
      if (!op)
        return emitError(at(cut.location))
               << "'" << cut.name << "' names no block, op or tensor of the model"
               << describeBlocks();
      if (isFirst(op))
        return emitError(at(cut.location))
               << "a cut at '" << cut.name << "' leaves nothing for the stage before it";
      for (auto &[other, name] : cuts)
        if (other == op)
          return emitError(at(cut.location))
                 << "'" << cut.name << "' and '" << name << "' name the same place";
      cuts.push_back({op, cut.name});
    }
    if (cuts.empty() && plan.stages && plan.stages->count > 1 && failed(chooseCuts(cuts)))
      return failure();
    for (auto &[op, name] : cuts) {
      builder.setInsertionPoint(op);
      auto given = llvm::find_if(plan.cuts, [&](const plan::Cut &cut) { return cut.name == name; });
      builder.create<CutOp>(given == plan.cuts.end() ? op->getLoc() : at(given->location), name);
    }
    return success();
  }

  static bool isFirst(Operation *op) {
    for (Operation *before = op->getPrevNode(); before; before = before->getPrevNode())
      if (isa<ShardingRuleOpInterface>(before))
        return false;
    return true;
  }

  /// "blk.3" of "blk.3.attn_q".
  static StringRef getBlock(Operation *op) {
    StringRef name = getModelName(op);
    if (!name.starts_with("blk."))
      return {};
    return name.take_front(name.find('.', 4));
  }

  std::string describeBlocks() {
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

  /// Stages of about equal work: the bytes of weights that a token reads. They begin at
  /// blocks where the model has blocks, else wherever one value alone crosses.
  LogicalResult chooseCuts(SmallVectorImpl<std::pair<Operation *, std::string>> &cuts) {
    auto functions = module.getOps<func::FuncOp>();
    Block &body = (*functions.begin()).getFunctionBody().front();
    struct Candidate {
      Operation *op;
      int64_t before; ///< work before it
    };
    SmallVector<Candidate> blocks, crossings;
    bool hasBlocks = !describeBlocks().empty();
    StringRef lastBlock;
    int64_t work = 0;
    for (Operation &op : body) {
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
      StringRef block = getBlock(candidates[best].op);
      cuts.push_back(
          {candidates[best].op, (block.empty() ? getModelName(candidates[best].op) : block).str()});
      first = best + 1;
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

  /// A look-up reads one row of its table, other ops all of their weights.
  static int64_t getWork(ShardingRuleOpInterface op) {
    int64_t bytes = 0;
    if (!isa<GatherOp>(op.getOperation()))
      for (Value operand : op->getOperands())
        if (auto use = operand.getDefiningOp<UseOp>())
          bytes += getTensorBytes(cast<RankedTensorType>(use.getType()));
    return bytes;
  }

  ModuleOp module;
  const plan::Plan &plan;
  OpBuilder builder;
};

struct ApplyPlanPass : public cleave::impl::ApplyPlanPassBase<ApplyPlanPass> {
  using ApplyPlanPassBase::ApplyPlanPassBase;
  explicit ApplyPlanPass(const plan::Plan &plan) : given(plan) {}

  void runOnOperation() override {
    if (!given) {
      plan::PlanFlags flags;
      flags.tp = tp;
      flags.stages = stages;
      flags.mesh = mesh;
      std::replace(flags.mesh.begin(), flags.mesh.end(), ';', ',');
      flags.cuts.assign(cuts.begin(), cuts.end());
      flags.splits.assign(splits.begin(), splits.end());
      llvm::Expected<plan::Plan> loaded = plan::loadPlan(planFile, flags);
      if (!loaded) {
        emitError(UnknownLoc::get(&getContext())) << llvm::toString(loaded.takeError());
        return signalPassFailure();
      }
      given = std::move(*loaded);
    }
    if (failed(PlanApplication(getOperation(), *given).run()))
      signalPassFailure();
  }

  std::optional<plan::Plan> given;
};

} // namespace

std::unique_ptr<Pass> cleave::createApplyPlanPass(const plan::Plan &plan) {
  return std::make_unique<ApplyPlanPass>(plan);
}
