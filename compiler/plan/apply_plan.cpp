// cleave-apply-plan: a plan becomes a mesh, split attributes and cuts on a logical module.
// What the plan leaves open comes from the family's default plan.
#include "compiler/passes.h"
#include "compiler/plan/default_plan.h"
#include "compiler/plan/plan.h"
#include "compiler/plan/stages.h"
#include "dialect/dialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringSet.h"

#include <array>

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
    // A module may bring its own mesh and splits.
    if (module.getOps<MeshOp>().empty() || !plan.mesh.empty() || !plan.splits.empty()) {
      if (failed(createMesh()) || failed(applySplits()))
        return failure();
    }
    if (failed(plan::applyCuts(module, plan)))
      return failure();
    return plan::cutAtStages(module);
  }

private:
  Location at(const plan::Location &location) {
    return plan::getMlirLocation(builder.getContext(), location);
  }

  /// The mesh's location has that of each axis in it.
  LogicalResult createMesh() {
    if (plan.mesh.empty()) {
      if (!module.getOps<MeshOp>().empty())
        return emitError(at(plan.splits.front().location))
               << "the graph brings its own mesh and splits; to split it otherwise, give the mesh, "
                  "too, as in --mesh tp=2";
      return success();
    }
    for (MeshOp old : llvm::make_early_inc_range(module.getOps<MeshOp>()))
      old.erase();
    SmallVector<Location> places;
    SmallVector<Attribute> axes;
    SmallVector<int64_t> sizes;
    for (const plan::MeshAxis &axis : plan.mesh) {
      axes.push_back(builder.getStringAttr(axis.name));
      places.push_back(at(axis.location));
      sizes.push_back(axis.size);
    }
    SmallVector<NamedAttribute> shares;
    for (const plan::Shares &share : plan.shares)
      shares.push_back(builder.getNamedAttr(share.axis, builder.getDenseI64ArrayAttr(share.parts)));
    builder.setInsertionPointToStart(module.getBody());
    builder.create<MeshOp>(builder.getFusedLoc(places), builder.getStringAttr("mesh"),
                           builder.getArrayAttr(axes), builder.getDenseI64ArrayAttr(sizes),
                           shares.empty() ? DictionaryAttr() : builder.getDictionaryAttr(shares),
                           plan.sequence ? builder.getStringAttr(plan.sequence->axis)
                                         : StringAttr());
    return success();
  }

  /// The axis over which an entry without one splits: `tp`, or the only one, or null.
  const plan::MeshAxis *getDefaultAxis() {
    if (const plan::MeshAxis *axis = plan.findAxis("tp"))
      return axis;
    return plan.mesh.size() == 1 ? &plan.mesh.front() : nullptr;
  }

  LogicalResult applySplits() {
    std::vector<bool> matched(plan.splits.size(), false), decides(plan.splits.size(), false);
    bool isSplit = false, isGiven = false; // otherwise cleave-choose-splits has its turn
    for (WeightOp weight : module.getOps<WeightOp>()) {
      for (auto [i, split] : llvm::enumerate(plan.splits))
        matched[i] = matched[i] || split.weights.matchesAny(getNames(weight));
      ArrayAttr splits;
      const plan::Location *reason = nullptr;
      if (const plan::Split *found = plan.findSplit(getNames(weight))) {
        decides[found - plan.splits.data()] = true;
        FailureOr<ArrayAttr> attr = getSplits(*found);
        if (failed(attr))
          return failure();
        splits = *attr;
        reason = &found->location;
      } else if (!plan.mesh.empty() && !weight.getSplitsAttr()) {
        splits = getDefaultSplits(weight);
        const plan::MeshAxis *axis = getDefaultAxis();
        reason = &(axis ? axis : &plan.mesh.front())->location;
      }
      if (splits) {
        weight.setSplitsAttr(splits);
        weight->setLoc(at(*reason)); // what is wrong with the split is wrong there
      }
      if (ArrayAttr given = weight.getSplitsAttr()) {
        isGiven = true;
        isSplit |= llvm::any_of(given.getAsRange<SplitAttr>(),
                                [](SplitAttr attr) { return attr.getKind() != SplitKind::None; });
      }
    }
    if (failed(checkMatches(matched, decides)))
      return failure();
    if (isSplit || !isGiven || plan.meshSize() == 1)
      return success();
    auto axis = llvm::find_if(plan.mesh, [](const plan::MeshAxis &each) { return each.size > 1; });
    return emitError(at(axis->location))
           << "axis '" << axis->name << "' of size " << axis->size
           << " is given, but the plan splits no weight; say how with --split or in a plan, or "
              "leave all splits out for the default plan";
  }

  /// Each entry of the plan matches some weight, and decides how one is split.
  LogicalResult checkMatches(const std::vector<bool> &matched, const std::vector<bool> &decides) {
    for (auto [split, found] : llvm::zip_equal(plan.splits, matched))
      if (!found)
        return emitError(at(split.location))
               << "pattern '" << split.weights.text() << "' matches no weight of the model"
               << suggest(split.weights.text());
    llvm::StringSet<> read;
    module.walk([&](UseOp use) { read.insert(use.getWeight()); });
    for (const plan::Split &split : plan.splits)
      if (llvm::none_of(module.getOps<WeightOp>(), [&](WeightOp weight) {
            return read.contains(weight.getSymName()) && split.weights.matchesAny(getNames(weight));
          }))
        return emitError(at(split.location))
               << "pattern '" << split.weights.text() << "' matches only weights that no op reads";
    for (auto [i, split] : llvm::enumerate(plan.splits)) {
      // Flags are there to overrule a file.
      auto overruled = [&](const plan::Split &before) {
        return before.location.file() == split.location.file();
      };
      auto earlier = ArrayRef(plan.splits).take_front(i);
      if (decides[i] || !llvm::all_of(earlier, overruled))
        continue;
      InFlightDiagnostic warning = emitWarning(at(split.location))
                                   << "this entry decides nothing: entries before it match all "
                                      "weights that '"
                                   << split.weights.text() << "' does";
      for (WeightOp weight : module.getOps<WeightOp>())
        if (split.weights.matchesAny(getNames(weight))) {
          warning.attachNote(at(plan.findSplit(getNames(weight))->location))
              << "for '" << weight.getSymName() << "' it is this one; list the special first";
          break;
        }
    }
    return success();
  }

  /// What a plan may call a weight: its own name, or that of the tensor of which it is a
  /// segment.
  static std::array<StringRef, 2> getNames(WeightOp weight) {
    return {weight.getSymName(), weight.getTensorName()};
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

  FailureOr<ArrayAttr> getSplits(const plan::Split &split) {
    if (plan.mesh.empty())
      return emitError(at(split.location))
             << "there is one rank only, so nothing is split; add --tp N "
                "or a mesh";
    SmallVector<Attribute> parts;
    for (const plan::SplitPart &part : split.parts) {
      const plan::MeshAxis *axis = part.axis.empty() ? getDefaultAxis() : plan.findAxis(part.axis);
      if (!axis && part.type != plan::SplitType::none)
        return emitError(at(split.location))
               << "the mesh has several axes; say over which one to split, as in '"
               << split.weights.text() << "=" << plan::splitTypeName(part.type) << "@"
               << plan.mesh.front().name << "'";
      parts.push_back(getSplit(part.type, axis));
    }
    return builder.getArrayAttr(parts);
  }

  SplitAttr getSplit(plan::SplitType type, const plan::MeshAxis *axis) {
    bool isNone = type == plan::SplitType::none;
    return SplitAttr::get(builder.getContext(), getKind(type),
                          isNone ? StringAttr() : builder.getStringAttr(axis->name));
  }

  /// What the family's default plan says of the weight, or null.
  ArrayAttr getDefaultSplits(WeightOp weight) {
    const plan::MeshAxis *axis = getDefaultAxis(), *named = nullptr;
    SmallVector<Attribute> splits;
    for (const plan::DefaultSplit &split : plan::getDefaultSplits(getArchitecture())) {
      auto pattern = plan::NamePattern::create(split.weights);
      if (!cantFail(std::move(pattern)).matchesAny(getNames(weight)))
        continue;
      if (split.axis.empty()) {
        if (axis && axis != named)
          splits.push_back(getSplit(split.type, axis));
        break;
      }
      if ((named = plan.findAxis(split.axis)))
        splits.push_back(getSplit(split.type, named));
    }
    return splits.empty() ? ArrayAttr() : builder.getArrayAttr(splits);
  }

  StringRef getArchitecture() {
    auto model = module->getAttrOfType<DictionaryAttr>(CleaveDialect::modelAttrName);
    auto name = model ? model.getAs<StringAttr>("architecture") : StringAttr();
    return name ? name.getValue() : StringRef();
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
      flags.sequence = sequence;
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
