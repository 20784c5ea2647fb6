// A plan's parts and the checks that need no model. Reading: yaml.cpp, flags.cpp.
#include "compiler/plan/plan.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"

#include <numeric>

using namespace llvm;

namespace cleave::plan {

namespace {

constexpr int64_t maxRanks = 65536;
constexpr uint64_t maxPlanBytes = 1 << 20;
constexpr size_t maxPatternLength = 512;
/// Alternatives multiply: {a,b}{c,d} are four.
constexpr size_t maxAlternatives = 256;

constexpr std::pair<SplitType, StringLiteral> splitTypes[] = {
    {SplitType::column, "column"}, {SplitType::row, "row"},   {SplitType::head, "head"},
    {SplitType::expert, "expert"}, {SplitType::none, "none"},
};

} // namespace

StringRef splitTypeName(SplitType type) {
  for (const auto &[value, name] : splitTypes)
    if (value == type)
      return name;
  return "";
}

std::optional<SplitType> findSplitType(StringRef name) {
  for (const auto &[value, known] : splitTypes)
    if (known == name)
      return value;
  return std::nullopt;
}

Expected<NamePattern> NamePattern::create(StringRef text) {
  if (text.empty())
    return createStringError("the pattern is empty");
  if (text.size() > maxPatternLength)
    return createStringError("the pattern has " + Twine(text.size()) +
                             " characters; expected at most " + Twine(maxPatternLength));
  auto compiled = std::make_shared<Compiled>();
  compiled->text = text.str();
  Expected<GlobPattern> glob = GlobPattern::create(compiled->text, maxAlternatives);
  if (!glob)
    return glob.takeError();
  compiled->glob = std::move(*glob);
  NamePattern result;
  result.compiled = std::move(compiled);
  return result;
}

const MeshAxis *Plan::findAxis(StringRef name) const {
  auto found = llvm::find_if(mesh, [&](const MeshAxis &axis) { return axis.name == name; });
  return found == mesh.end() ? nullptr : &*found;
}

int64_t Plan::stageCount() const {
  return stages ? stages->count : int64_t(cuts.size()) + 1;
}

int64_t Plan::meshSize() const {
  return std::accumulate(mesh.begin(), mesh.end(), int64_t(1),
                         [](int64_t size, const MeshAxis &axis) { return size * axis.size; });
}

const Split *Plan::findSplit(ArrayRef<StringRef> names) const {
  auto found = llvm::find_if(splits, [&](const Split &s) { return s.weights.matchesAny(names); });
  return found == splits.end() ? nullptr : &*found;
}

Expected<int64_t> parseCount(StringRef text, const Twine &what, int64_t least, int64_t most,
                             const Location &location) {
  int64_t value = 0;
  if (text.getAsInteger(10, value) || value < least || value > most)
    return location.error(what + " is '" + text + "'; expected a whole number from " +
                          Twine(least) + " to " + Twine(most));
  return value;
}

Error checkAxisName(StringRef name, const Location &location) {
  bool valid = !name.empty() && !isDigit(name.front()) &&
               llvm::all_of(name, [](char c) { return isAlnum(c) || c == '_'; });
  if (!valid)
    return location.error("'" + name +
                          "' is not an axis's name; expected letters, digits and '_', as in 'tp'");
  return Error::success();
}

Expected<NamePattern> parsePattern(StringRef text, const Location &location) {
  Expected<NamePattern> pattern = NamePattern::create(text);
  if (!pattern)
    return location.error("cannot read the pattern '" + text +
                          "': " + toString(pattern.takeError()));
  return pattern;
}

Expected<SplitType> parseSplitType(StringRef text, const Location &location) {
  if (std::optional<SplitType> type = findSplitType(text))
    return *type;
  return location.error("unknown split type '" + text +
                        "'; expected column, row, head, expert or none");
}

Expected<SmallVector<SplitPart, 1>> makeSplitParts(ArrayRef<SplitType> types,
                                                   ArrayRef<std::pair<std::string, Location>> axes,
                                                   const Location &location) {
  SmallVector<SplitPart, 1> parts;
  if (types.empty())
    return location.error("found no type; expected one, or one for each axis");
  if (llvm::is_contained(types, SplitType::none) && types.size() > 1)
    return location.error("'none' says that the weight is not split; it stands alone");
  if (types.front() == SplitType::none && !axes.empty())
    return axes.front().second.error("'none' cuts nothing, so it has no axis; leave '" +
                                     axes.front().first + "' out");
  if (types.size() > 1 && types.size() != axes.size())
    return location.error(Twine(types.size()) + " types, but the number of axes is " +
                          Twine(axes.size()) + "; expected an axis for each type");
  if (axes.empty())
    parts.push_back({types.front(), "", Location()});
  for (const auto &[i, axis] : llvm::enumerate(axes)) {
    if (Error e = checkAxisName(axis.first, axis.second))
      return e;
    if (llvm::any_of(parts, [&](const SplitPart &part) { return part.axis == axis.first; }))
      return axis.second.error("axis '" + axis.first + "' stands here twice");
    parts.push_back({types.size() > 1 ? types[i] : types.front(), axis.first, axis.second});
  }
  return parts;
}

Error addAxis(Plan &plan, MeshAxis axis) {
  if (plan.findAxis(axis.name))
    return axis.location.error("the mesh has axis '" + axis.name + "' twice");
  plan.mesh.push_back(std::move(axis));
  return Error::success();
}

Error addCut(Plan &plan, Cut cut) {
  if (cut.name.empty())
    return cut.location.error("the cut's name is empty; expected a block, op or tensor, as in "
                              "'blk.11'");
  if (llvm::any_of(plan.cuts, [&](const Cut &other) { return other.name == cut.name; }))
    return cut.location.error("the cut at '" + cut.name + "' is given twice");
  plan.cuts.push_back(std::move(cut));
  return Error::success();
}

Error addShares(Plan &plan, Shares shares) {
  if (llvm::any_of(plan.shares, [&](const Shares &s) { return s.axis == shares.axis; }))
    return shares.location.error("the shares of axis '" + shares.axis + "' are given twice");
  plan.shares.push_back(std::move(shares));
  return Error::success();
}

Error checkPlan(const Plan &plan) {
  // Sizes are at most 4096 each, so that the product is stopped long before it
  // overflows.
  int64_t ranks = plan.stageCount();
  for (const MeshAxis &axis : plan.mesh) {
    ranks *= axis.size;
    if (ranks > maxRanks)
      return axis.location.error("the plan asks for " + Twine(ranks) +
                                 " ranks or more; expected at most " + Twine(maxRanks));
  }
  if (plan.stages && !plan.cuts.empty() && plan.stages->count != int64_t(plan.cuts.size()) + 1)
    return plan.stages->location.error(
        Twine(plan.stages->count) + " stages, but the number of cuts is " +
        Twine(plan.cuts.size()) + ", which makes " + Twine(plan.cuts.size() + 1) +
        " stages; leave one of the two out");
  for (const Split &split : plan.splits)
    for (const SplitPart &part : split.parts)
      if (!part.axis.empty() && !plan.findAxis(part.axis))
        return part.axisLocation.error("the mesh has no axis '" + part.axis + "'");
  if (plan.sequence && !plan.findAxis(plan.sequence->axis))
    return plan.sequence->location.error("the mesh has no axis '" + plan.sequence->axis + "'");
  for (const Shares &shares : plan.shares) {
    const MeshAxis *axis = plan.findAxis(shares.axis);
    if (!axis)
      return shares.location.error("shares of axis '" + shares.axis +
                                   "', which the mesh does not have");
    if (axis->size != int64_t(shares.parts.size()))
      return shares.location.error(Twine(shares.parts.size()) + " shares of axis '" + shares.axis +
                                   "', which has size " + Twine(axis->size) +
                                   "; expected a share for each coordinate");
  }
  return Error::success();
}

Expected<Plan> loadPlan(StringRef path, const PlanFlags &flags) {
  Plan plan;
  if (!path.empty()) {
    auto source = std::make_shared<Source>();
    source->name = path.str();
    // A pipe or a device may block or never end.
    sys::fs::file_status status;
    if (std::error_code code = sys::fs::status(path, status))
      return Location().error("cannot open the plan '" + path + "': " + code.message());
    if (status.type() != sys::fs::file_type::regular_file)
      return Location().error("the plan '" + path + "' is not a regular file");
    if (status.getSize() > maxPlanBytes)
      return Location().error("the plan '" + path + "' has " + Twine(status.getSize()) +
                              " bytes; expected at most " + Twine(maxPlanBytes));
    ErrorOr<std::unique_ptr<MemoryBuffer>> buffer = MemoryBuffer::getFile(path);
    if (!buffer)
      return Location().error("cannot read the plan '" + path +
                              "': " + buffer.getError().message());
    source->text = (*buffer)->getBuffer().str();
    Expected<Plan> parsed = parsePlan(std::move(source));
    if (!parsed)
      return parsed.takeError();
    plan = std::move(*parsed);
  }
  if (Error e = applyFlags(plan, flags))
    return e;
  if (Error e = checkPlan(plan))
    return e;
  return plan;
}

} // namespace cleave::plan
