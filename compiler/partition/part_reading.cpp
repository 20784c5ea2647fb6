// What an op that computes makes of the parts that its operands are: which share of each
// factor of its sharding rule it reads, and which parts and summands its results are.
#include "compiler/partition/part_verifier.h"

#include <algorithm>

using namespace mlir;
using namespace cleave;

SmallVector<Reading, 2> cleave::getReadings(const PartDim &dim) {
  SmallVector<Reading, 2> readings{{dim.size, dim.range, 0, dim.shares}};
  for (auto [i, window] : llvm::enumerate(dim.windows))
    readings.push_back({window.size(),
                        {dim.range.begin - window.begin, dim.range.end - window.begin},
                        static_cast<unsigned>(i + 1)});
  return readings;
}

std::string cleave::describe(ElementRange range, int64_t size, int64_t shares) {
  if (shares > 1)
    return ("share " + Twine(range.begin) + " of " + Twine(shares)).str();
  if (isRuntime(size))
    return "all";
  return (Twine(range.begin) + ":" + Twine(range.end) + " of " + Twine(size)).str();
}

/// `value`, of which a window of `dim` is the whole.
RankValue PartVerifier::rebase(const RankValue &value, unsigned dim, unsigned window) {
  if (window == 0)
    return value;
  RankValue based = value;
  PartDim &part = based.dims[dim];
  ElementRange base = part.windows[window - 1];
  based.logical =
      values.get({asKey(2), asKey(value.logical), asKey(dim), asKey(base.begin), asKey(base.end)},
                 values.getName(value.logical));
  part.size = base.size();
  part.range = {part.range.begin - base.begin, part.range.end - base.begin};
  part.windows.erase(part.windows.begin(), part.windows.begin() + window);
  for (ElementRange &inner : part.windows)
    inner = {inner.begin - base.begin, inner.end - base.begin};
  return based;
}

InFlightDiagnostic PartVerifier::partialError(int64_t rank, Operation *op, const RankValue &value,
                                              const Twine &what) {
  const Summands &summands = value.partial.front();
  Operation *origin = values.getCutFactor(summands.factors.front()).op;
  ReductionKind kind = getKind(summands, values);
  InFlightDiagnostic error = rankError(rank, op)
                             << " " << what << " '" << getModelName(origin) << "', which is "
                             << describePartial(kind) << " over " << describe(summands, values);
  error.attachNote(origin->getLoc())
      << (kind == ReductionKind::Sum ? "the partial sum is made here; expected an all_reduce "
                                     : "the candidates are found here; expected an all_reduce top ")
      << "over the ranks that have the other elements";
  return error;
}

/// Whether what an op reads of `dim` of `type` is `reading`. The last dim of a quantized
/// tensor is held in whole blocks.
static bool fits(const Reading &found, const Reading &wanted, RankedTensorType type, unsigned dim) {
  if (found.size != wanted.size || found.shares != wanted.shares)
    return false;
  if (found.range == wanted.range)
    return true;
  auto block = dyn_cast<BlockType>(type.getElementType());
  if (!block || dim + 1 != type.getRank() || isRuntime(wanted.size) || wanted.range.size() == 0)
    return false;
  int64_t length = block.getBlockLength();
  return found.range == ElementRange{wanted.range.begin / length * length,
                                     (wanted.range.end + length - 1) / length * length};
}

/// The elements of each unit of the leading factor.
static int64_t getInnerSize(const ShardingRule &rule, ArrayRef<unsigned> factors) {
  int64_t inner = 1;
  for (unsigned factor : factors.drop_front())
    inner *= rule.factors[factor].size;
  return inner;
}

/// The elements that a dim of these factors is not cut inside, at least 1.
static int64_t getUnit(const ShardingRule &rule, ArrayRef<unsigned> factors) {
  int64_t inner = 1, unit = 1;
  for (unsigned factor : llvm::reverse(factors.drop_front())) {
    inner *= rule.factors[factor].size;
    if (rule.factors[factor].kind == FactorKind::whole)
      unit = inner;
  }
  return std::max<int64_t>(unit, 1);
}

/// The units of the leading factor that lie, all or in part, in what is read.
static Reading getCovered(const ShardingRule &rule, ArrayRef<unsigned> factors, Reading reading) {
  int64_t inner = getInnerSize(rule, factors);
  if (isRuntime(reading.size) || inner == 0)
    return reading;
  reading.size /= inner;
  reading.range = {reading.range.begin / inner, (reading.range.end + inner - 1) / inner};
  return reading;
}

static bool areSameUnits(const Reading &a, const Reading &b) {
  return a.range == b.range && a.size == b.size && a.shares == b.shares;
}

/// Collects what the op reads by lists of factors: dims made of the same factors must be
/// read alike. Chooses windows.
LogicalResult PartVerifier::readFactors(int64_t rank, ShardingRuleOpInterface op,
                                        const ShardingRule &rule,
                                        SmallVectorImpl<FactorGroup> &groups) {
  // Blocks last: the exact range is another operand's.
  for (bool blocks : {false, true})
    for (auto [operand, dims] : llvm::enumerate(rule.operands)) {
      RankedTensorType type = tensorOf(op->getOperand(operand));
      if (isa<BlockType>(type.getElementType()) != blocks)
        continue;
      for (auto [dim, factors] : llvm::enumerate(dims)) {
        auto *group = llvm::find_if(
            groups, [&](auto &each) { return each.factors == ArrayRef<unsigned>(factors); });
        if (group == groups.end()) {
          groups.push_back({factors, {}, {0, {}, 0}, true});
          group = &groups.back();
        }
        group->dims.push_back({static_cast<unsigned>(operand), static_cast<unsigned>(dim)});
      }
    }
  SmallVector<SmallVector<unsigned, 4>, 4> windows;
  for (Value operand : op->getOperands())
    windows.emplace_back(tensorOf(operand).getRank(), 0);
  auto partOf = [&](DimRef ref) -> PartDim {
    return known.find(op->getOperand(ref.operand))->second.dims[ref.dim];
  };
  for (FactorGroup &group : groups) {
    FactorKind kind = rule.factors[group.factors.front()].kind;
    // Summands are numbered by elements, which shares of run-time sizes do not tell.
    bool mustBeWhole = kind == FactorKind::whole ||
                       (kind == FactorKind::sum && isRuntime(partOf(group.dims.front()).size));
    auto choose = [&](const Reading &wanted) {
      if (mustBeWhole && wanted.range != ElementRange{0, wanted.size})
        return false;
      for (DimRef ref : group.dims) {
        SmallVector<Reading, 2> readings = getReadings(partOf(ref));
        auto *found = llvm::find_if(readings, [&](const Reading &each) {
          return fits(each, wanted, tensorOf(op->getOperand(ref.operand)), ref.dim);
        });
        if (found == readings.end())
          return false;
        windows[ref.operand][ref.dim] = found->window;
      }
      group.reading = wanted;
      return true;
    };
    // Of the readings those first that are cut between units, and of these those that dims have
    // in common which begin with the same factor: queries and keys out of one matrix.
    SmallVector<Reading, 2> readings = getReadings(partOf(group.dims.front()));
    auto isShared = [&](const Reading &reading) {
      Reading covered = getCovered(rule, group.factors, reading);
      return llvm::all_of(groups, [&](const FactorGroup &other) {
        return other.factors.front() != group.factors.front() ||
               llvm::any_of(getReadings(partOf(other.dims.front())), [&](const Reading &each) {
                 return areSameUnits(getCovered(rule, other.factors, each), covered);
               });
      });
    };
    std::stable_partition(readings.begin(), readings.end(), isShared);
    int64_t unit = getUnit(rule, group.factors);
    std::stable_partition(readings.begin(), readings.end(), [&](const Reading &each) {
      return each.range.begin % unit == 0 && each.range.end % unit == 0;
    });
    if (llvm::none_of(readings, choose)) {
      InFlightDiagnostic error = rankError(rank, op) << " reads ";
      llvm::interleave(
          group.dims,
          [&](DimRef ref) {
            error << describe(partOf(ref)) << " of '"
                  << values.getName(known.find(op->getOperand(ref.operand))->second.logical)
                  << "' (dim " << ref.dim << ")";
          },
          [&] { error << " with "; });
      return error << (mustBeWhole ? "; it needs the whole dim"
                                   : "; expected the same elements of each");
    }
    for (DimRef ref : group.dims)
      group.keepsWindows &= windows[ref.operand][ref.dim] < getReadings(partOf(ref)).size() - 1;
  }
  // Rebasing is for this op alone, and rare. A value that it reads twice is rebased once.
  llvm::SmallDenseSet<std::pair<Value, unsigned>> rebased;
  for (auto [number, operand] : llvm::enumerate(op->getOperands()))
    for (auto [dim, window] : llvm::enumerate(windows[number]))
      if (window != 0 && rebased.insert({operand, dim}).second)
        known[operand] = rebase(known[operand], dim, window);
  return checkLeading(rank, op, rule, groups);
}

/// Dims that begin with the same factor but go on differently (queries and keys) are cut
/// between the same elements of that factor, and never inside a factor that must be whole.
LogicalResult PartVerifier::checkLeading(int64_t rank, ShardingRuleOpInterface op,
                                         const ShardingRule &rule, ArrayRef<FactorGroup> groups) {
  llvm::SmallDenseMap<unsigned, std::pair<Reading, const FactorGroup *>> leading;
  for (const FactorGroup &group : groups) {
    const Reading &reading = group.reading;
    if (reading.range.size() == 0)
      continue;
    int64_t inner = getInnerSize(rule, group.factors), unit = getUnit(rule, group.factors);
    if (inner == 0)
      continue;
    bool isElements = !isRuntime(reading.size);
    if (isElements && (reading.range.begin % unit != 0 || reading.range.end % unit != 0))
      return rankError(rank, op) << " reads " << describe(reading)
                                 << ", which is cut inside a unit of " << unit;
    Reading covered = getCovered(rule, group.factors, reading);
    auto [it, isNew] = leading.try_emplace(group.factors.front(), covered, &group);
    if (!isNew && !areSameUnits(it->second.first, covered))
      return rankError(rank, op) << " reads " << describe(it->second.second->reading)
                                 << " of operand " << it->second.second->dims.front().operand
                                 << " with " << describe(reading) << " of operand "
                                 << group.dims.front().operand << ", which do not belong together";
  }
  return success();
}

/// The attributes that depend on the rank are those of the ranges that it reads.
LogicalResult PartVerifier::checkLocalAttributes(int64_t rank, ShardingRuleOpInterface op) {
  LocalRanges ranges;
  for (Value operand : op->getOperands()) {
    auto &own = ranges.operands.emplace_back();
    auto &sizes = ranges.operandSizes.emplace_back();
    for (const PartDim &dim : known[operand].dims) {
      own.push_back(isRuntime(dim.size) ? ElementRange{0, 0} : dim.range);
      sizes.push_back(dim.size);
    }
  }
  Operation *expected = op->clone();
  for (StringRef name : op.getLocalAttributes())
    expected->removeAttr(name);
  expected->getName().populateDefaultProperties(expected->getPropertiesStorage());
  cast<ShardingRuleOpInterface>(expected).localize(ranges);
  LogicalResult result = success();
  for (StringRef name : op.getLocalAttributes())
    if (succeeded(result) && op->getAttr(name) != expected->getAttr(name)) {
      auto show = [](InFlightDiagnostic &error, Attribute attr) {
        if (attr)
          error << attr;
        else
          error << "none";
      };
      InFlightDiagnostic error = rankError(rank, op) << " has " << name << " ";
      show(error, op->getAttr(name));
      error << ", but the elements that it reads ask for ";
      show(error, expected->getAttr(name));
      result = error;
    }
  expected->erase();
  return result;
}

/// The summands that pass from operands to results. Ops that are not linear read whole
/// values only.
FailureOr<SmallVector<Summands, 1>> PartVerifier::readPartials(int64_t rank, Operation *op,
                                                               const ShardingRule &rule) {
  SmallVector<Summands, 1> passed;
  const RankValue *first = nullptr, *whole = nullptr;
  for (auto [number, operand] : llvm::enumerate(op->getOperands())) {
    const RankValue &value = known[operand];
    bool isSum = llvm::all_of(value.partial, [&](const Summands &each) {
      return getKind(each, values) == ReductionKind::Sum;
    });
    if (!llvm::is_contained(rule.linearIn, number) || !isSum) {
      if (!value.partial.empty())
        return partialError(rank, op, value, "needs a whole value, but reads");
      continue;
    }
    if (value.partial.empty()) {
      whole = &value;
      continue;
    }
    first = first ? first : &value;
    for (const Summands &summands : value.partial) {
      auto *same = llvm::find_if(
          passed, [&](const Summands &each) { return each.factors == summands.factors; });
      if (same == passed.end())
        passed.push_back(summands);
      else if (same->boxes != summands.boxes)
        return partialError(rank, op, value, "puts other summands together with those of");
    }
  }
  if (first && whole)
    return partialError(rank, op, *first,
                        "puts the whole value '" + values.getName(whole->logical) +
                            "' together with");
  return passed;
}

FailureOr<unsigned> PartVerifier::joinDecisions(unsigned a, unsigned b, int64_t rank, Operation *op,
                                                StringRef does) {
  DecisionConflict conflict;
  if (std::optional<unsigned> both = decisionSets.join(a, b, conflict))
    return *both;
  InFlightDiagnostic error = rankError(rank, op)
                             << " " << does << " what follows from '"
                             << getModelName(conflict.one.op) << "' as rank " << conflict.one.rank
                             << " and as rank " << conflict.other.rank << " decided it";
  error.attachNote(conflict.other.op->getLoc())
      << "rank " << conflict.other.rank
      << " decides here; expected a broadcast of the decision of rank " << conflict.one.rank;
  return error;
}

/// The logical value that an op gives: its name, attributes and operands. Attributes that
/// depend on the rank belong to the model only where the rank has all.
unsigned PartVerifier::numberOf(ShardingRuleOpInterface op, bool isWhole) {
  std::vector<const void *> key{asKey(3), op->getName().getAsOpaquePointer()};
  SmallVector<StringRef, 2> local = op.getLocalAttributes();
  if (auto attributes = dyn_cast_or_null<DictionaryAttr>(op->getPropertiesAsAttribute()))
    for (NamedAttribute attribute : attributes) {
      bool isLocal = llvm::is_contained(local, attribute.getName().getValue());
      auto number = dyn_cast<IntegerAttr>(attribute.getValue());
      auto list = dyn_cast<DenseI64ArrayAttr>(attribute.getValue());
      bool isDefault = (number && number.getValue().isZero()) || (list && list.empty());
      if (isLocal && (!isWhole || isDefault))
        continue;
      key.push_back(attribute.getName().getAsOpaquePointer());
      key.push_back(attribute.getValue().getAsOpaquePointer());
    }
  for (Value operand : op->getOperands())
    key.push_back(asKey(known[operand].logical));
  ShardingRule rule = op.getShardingRule();
  auto isOfOperand = [&](unsigned factor) {
    return llvm::any_of(rule.operands, [&](const ShardingRule::Dims &dims) {
      return llvm::any_of(dims,
                          [&](const ShardingRule::Dim &dim) { return dim.front() == factor; });
    });
  };
  for (auto [result, dims] : llvm::zip_equal(op->getResults(), rule.results)) {
    RankedTensorType type = tensorOf(result);
    key.push_back(type.getElementType().getAsOpaquePointer());
    // A dim that no operand has is what the op says it is, and the same on all ranks.
    for (auto [dim, factors] : llvm::enumerate(dims))
      if (rule.factors[factors.front()].kind == FactorKind::whole &&
          !isOfOperand(factors.front())) {
        key.push_back(asKey(type.getDimSize(dim)));
        key.push_back(getDimName(type, dim).getAsOpaquePointer());
      }
  }
  return values.get(std::move(key), getModelName(op));
}

/// What a rank has of a result's dim that shares with an operand's `from` only the factor
/// that both begin with: `inner` elements for that factor there, `own` here.
static PartDim getLeadingPart(const PartDim &from, const Reading &reading, bool keepsWindows,
                              int64_t inner, int64_t own) {
  auto scaled = [&](ElementRange range) {
    return ElementRange{range.begin / inner * own, range.end / inner * own};
  };
  PartDim part{reading.size / inner * own, scaled(reading.range), {}};
  for (ElementRange window : from.windows)
    if (keepsWindows && window.begin % inner == 0 && window.end % inner == 0)
      part.windows.push_back(scaled(window));
  return part;
}

LogicalResult PartVerifier::evaluateCompute(int64_t rank, ShardingRuleOpInterface op) {
  ShardingRule rule = op.getShardingRule();
  SmallVector<FactorGroup, 4> groups;
  // Windows that this op reads as whole dims are so for it alone.
  SmallVector<std::pair<Value, RankValue>, 2> before;
  for (Value operand : op->getOperands())
    before.emplace_back(operand, known[operand]);
  if (failed(readFactors(rank, op, rule, groups)))
    return failure();
  FailureOr<SmallVector<Summands, 1>> passed = readPartials(rank, op, rule);
  if (failed(passed))
    return failure();
  bool isWhole = llvm::all_of(op->getOperands(), [&](Value operand) {
    // Attributes that depend on the rank tell of static dims alone.
    return llvm::all_of(known[operand].dims,
                        [](const PartDim &dim) { return isRuntime(dim.size) || dim.isWhole(); });
  });
  if (!isWhole && failed(checkLocalAttributes(rank, op)))
    return failure();

  unsigned logical = numberOf(op, isWhole);
  SmallVector<Summands, 1> partial = *passed;
  for (const FactorGroup &group : groups) {
    unsigned factor = group.factors.front();
    const Reading &reading = group.reading;
    FactorKind kind = rule.factors[factor].kind;
    if (!isReduced(kind) || isRuntime(reading.size) ||
        reading.range == ElementRange{0, reading.size})
      continue;
    CutFactor cut{op, reading.size, "", getReduction(kind)};
    for (DimRef ref : group.dims)
      if (auto use = op->getOperand(ref.operand).getDefiningOp<UseOp>())
        cut.weight = use.getWeight().str();
    unsigned number = values.getCutFactor(logical, factor, cut);
    if (partial.empty())
      partial.push_back({{}, {Summands::Box()}});
    for (Summands &summands : partial) {
      summands.factors.push_back(number);
      for (Summands::Box &box : summands.boxes)
        box.push_back(reading.range);
    }
  }
  FailureOr<unsigned> decisions = 0;
  for (Value operand : op->getOperands()) {
    decisions = joinDecisions(*decisions, known[operand].decisions, rank, op, "reads");
    if (failed(decisions))
      return failure();
  }
  for (auto [number, result, dims] : llvm::enumerate(op->getResults(), rule.results)) {
    RankValue value{values.get({asKey(4), asKey(logical), asKey(number)}, getModelName(op)),
                    getTypeDims(tensorOf(result)), partial, *decisions};
    for (auto [dim, factors] : llvm::enumerate(dims)) {
      auto *group = llvm::find_if(
          groups, [&](auto &each) { return each.factors == ArrayRef<unsigned>(factors); });
      if (group == groups.end()) {
        group = llvm::find_if(groups,
                              [&](auto &each) { return each.factors.front() == factors.front(); });
        if (group == groups.end() || isRuntime(group->reading.size))
          continue;
        int64_t inner = getInnerSize(rule, group->factors);
        DimRef first = group->dims.front();
        if (inner != 0)
          value.dims[dim] =
              getLeadingPart(known[op->getOperand(first.operand)].dims[first.dim], group->reading,
                             group->keepsWindows, inner, getInnerSize(rule, factors));
        continue;
      }
      const Reading &read = group->reading;
      PartDim given{read.size, read.range, {}, read.shares};
      if (isRuntime(read.size)) {
        if (given != value.dims[dim])
          return rankError(rank, op)
                 << " reads " << describe(given) << " of a run-time size, but by its type gives "
                 << describe(value.dims[dim]) << " in dim " << dim;
        continue;
      }
      value.dims[dim] = given;
      DimRef first = group->dims.front();
      if (group->keepsWindows)
        value.dims[dim].windows = known[op->getOperand(first.operand)].dims[first.dim].windows;
    }
    if (op->hasTrait<IsDecision>()) {
      // Other ranks may decide for other elements.
      std::vector<const void *> key{asKey(5), asKey(value.logical)};
      for (const PartDim &dim : value.dims)
        key.insert(key.end(), {asKey(dim.range.begin), asKey(dim.range.end), asKey(dim.shares)});
      value.decisions = decisionSets.add(value.decisions,
                                         values.get(std::move(key), getModelName(op)), {rank, op});
    }
    known[result] = value;
  }
  for (auto &[operand, value] : before)
    known[operand] = value;
  return checkState(rank, op);
}
