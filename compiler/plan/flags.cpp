// The flags that say what a plan file says, and their precedence over it.
#include "compiler/plan/plan.h"

#include "llvm/ADT/STLExtras.h"

using namespace llvm;

namespace cleave::plan {

namespace {

/// A flag as the user typed it, and places in its value.
class Flag {
public:
  Flag(StringRef name, StringRef value) : prefix(name.size() + 1) {
    auto typed = std::make_shared<Source>();
    typed->name = "command line";
    typed->text = (name + " " + value).str();
    text = StringRef(typed->text).drop_front(prefix);
    source = std::move(typed);
  }

  StringRef value() const { return text; }
  /// The place of `part`, which is a part of value().
  Location at(StringRef part) const {
    return Location(source, prefix + (part.data() - text.data()));
  }

private:
  size_t prefix;
  std::shared_ptr<const Source> source;
  StringRef text;
};

Error parseMesh(Plan &plan, StringRef value) {
  Flag flag("--mesh", value);
  plan.mesh.clear();
  SmallVector<StringRef> parts;
  flag.value().split(parts, ',');
  for (StringRef part : parts) {
    auto [name, size] = part.split('=');
    Location where = flag.at(part);
    if (!part.contains('='))
      return where.error("expected AXIS=SIZE, as in --mesh tp=2,data=2");
    if (Error e = checkAxisName(name, where))
      return e;
    Expected<int64_t> count =
        parseCount(size, "the size of axis '" + name + "'", 1, maxAxisSize, flag.at(size));
    if (!count)
      return count.takeError();
    if (Error e = addAxis(plan, {name.str(), *count, where}))
      return e;
  }
  return Error::success();
}

/// --tp N: the size of the axis `tp`, which is made the last (and so the fastest)
/// one where there is none.
Error parseTensorParallel(Plan &plan, const PlanFlags &flags) {
  Flag flag("--tp", flags.tp);
  Expected<int64_t> size =
      parseCount(flag.value(), "the number of ranks", 1, maxAxisSize, flag.at(flag.value()));
  if (!size)
    return size.takeError();
  MeshAxis axis{"tp", *size, flag.at(flag.value())};
  auto found = llvm::find_if(plan.mesh, [](const MeshAxis &a) { return a.name == "tp"; });
  if (found == plan.mesh.end()) {
    plan.mesh.push_back(std::move(axis));
    return Error::success();
  }
  if (!flags.mesh.empty() && found->size != *size)
    return axis.location.error("--mesh gives axis 'tp' the size " + Twine(found->size) +
                               "; leave one of the two flags out");
  *found = std::move(axis);
  return Error::success();
}

Error parseStagesAndCuts(Plan &plan, const PlanFlags &flags) {
  if (flags.stages.empty() && flags.cuts.empty())
    return Error::success();
  std::vector<Cut> fileCuts = std::exchange(plan.cuts, {});
  plan.stages.reset();
  for (StringRef name : flags.cuts) {
    Flag flag("--cut", name);
    if (Error e = addCut(plan, {name.str(), flag.at(flag.value())}))
      return e;
  }
  if (flags.stages.empty())
    return Error::success();
  Flag flag("--stages", flags.stages);
  Location where = flag.at(flag.value());
  Expected<int64_t> count = parseCount(flag.value(), "the number of stages", 1, maxAxisSize, where);
  if (!count)
    return count.takeError();
  plan.stages = Stages{*count, where};
  // The file's cuts stay where they make as many stages.
  if (flags.cuts.empty() && int64_t(fileCuts.size()) + 1 == *count)
    plan.cuts = std::move(fileCuts);
  return Error::success();
}

/// PATTERN=TYPE, PATTERN=TYPE@AXIS, or PATTERN=TYPE@AXIS+TYPE@AXIS+...
Expected<Split> parseSplit(StringRef value) {
  Flag flag("--split", value);
  Location where = flag.at(flag.value());
  auto [pattern, rest] = flag.value().rsplit('=');
  if (!flag.value().contains('='))
    return where.error("expected PATTERN=TYPE, as in --split 'blk.*.ffn_up.weight=column'");
  Expected<NamePattern> weights = parsePattern(pattern, where);
  if (!weights)
    return weights.takeError();
  SmallVector<SplitType> types;
  std::vector<std::pair<std::string, Location>> axes;
  SmallVector<StringRef> words;
  rest.split(words, '+');
  for (StringRef word : words) {
    auto [typeName, axis] = word.split('@');
    Expected<SplitType> type = parseSplitType(typeName, flag.at(typeName));
    if (!type)
      return type.takeError();
    types.push_back(*type);
    if (word.contains('@'))
      axes.emplace_back(axis.str(), flag.at(axis));
    else if (words.size() > 1)
      return flag.at(word).error("'" + word +
                                 "' has no axis; expected TYPE@AXIS for each of "
                                 "several cuts, as in 'column@tp+row@data'");
  }
  auto parts = makeSplitParts(types, axes, flag.at(rest));
  if (!parts)
    return parts.takeError();
  return Split{std::move(*weights), std::move(*parts), where};
}

/// AXIS=PART,PART,...
Expected<Shares> parseShares(StringRef value) {
  Flag flag("--shares", value);
  auto [axis, list] = flag.value().split('=');
  Shares shares{axis.str(), {}, flag.at(axis)};
  if (!flag.value().contains('='))
    return shares.location.error("expected AXIS=SHARE,SHARE,..., as in --shares tp=2,1");
  if (Error e = checkAxisName(axis, shares.location))
    return e;
  SmallVector<StringRef> parts;
  list.split(parts, ',');
  for (StringRef part : parts) {
    Expected<int64_t> count = parseCount(part, "a share", 1, maxShare, flag.at(part));
    if (!count)
      return count.takeError();
    shares.parts.push_back(*count);
  }
  return shares;
}

} // namespace

Error applyFlags(Plan &plan, const PlanFlags &flags) {
  if (!flags.mesh.empty())
    if (Error e = parseMesh(plan, flags.mesh))
      return e;
  if (!flags.tp.empty())
    if (Error e = parseTensorParallel(plan, flags))
      return e;
  if (Error e = parseStagesAndCuts(plan, flags))
    return e;

  std::vector<Split> splits;
  for (StringRef value : flags.splits) {
    Expected<Split> split = parseSplit(value);
    if (!split)
      return split.takeError();
    splits.push_back(std::move(*split));
  }
  plan.splits.insert(plan.splits.begin(), splits.begin(), splits.end());

  Plan fromFlags;
  for (StringRef value : flags.shares) {
    Expected<Shares> shares = parseShares(value);
    if (!shares)
      return shares.takeError();
    llvm::erase_if(plan.shares, [&](const Shares &s) { return s.axis == shares->axis; });
    if (Error e = addShares(fromFlags, std::move(*shares)))
      return e;
  }
  llvm::append_range(plan.shares, fromFlags.shares);
  if (!flags.sequence.empty()) {
    Flag flag("--sequence", flags.sequence);
    plan.sequence = Sequence{flags.sequence, flag.at(flag.value())};
    return checkAxisName(flags.sequence, plan.sequence->location);
  }
  return Error::success();
}

} // namespace cleave::plan
