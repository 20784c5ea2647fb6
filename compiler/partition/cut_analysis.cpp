// Classes of dims that are cut alike, and where.
#include "compiler/partition/cut_analysis.h"

#include <numeric>

using namespace mlir;
using namespace cleave;

const void *cleave::getHolder(Value value) {
  Operation *op = value.getDefiningOp();
  auto symbol = [&](FlatSymbolRefAttr name) -> const void * {
    Operation *holder = SymbolTable::lookupNearestSymbolFrom(op, name);
    return holder ? static_cast<const void *>(holder) : value.getAsOpaquePointer();
  };
  if (auto use = dyn_cast_or_null<UseOp>(op))
    return symbol(use.getWeightAttr());
  if (auto update = dyn_cast_or_null<StateUpdateOp>(op))
    return symbol(update.getStateAttr());
  if (auto reshard = dyn_cast_or_null<ReshardOp>(op))
    return getHolder(reshard.getX());
  return value.getAsOpaquePointer();
}

CutAnalysis::CutAnalysis(ModuleOp module)
    : context(module.getContext()), mesh(Mesh::of(module)), shares(DictionaryAttr::get(context)) {
  for (MeshOp op : module.getOps<MeshOp>())
    shares = op.getShares().value_or(shares);
  SmallVector<Operation *> ops;
  module.walk([&](ShardingRuleOpInterface op) { ops.push_back(op); });
  for (Operation *op : ops)
    addOp(op);
  // Only now do classes have their leaders.
  for (bool exact : {false, true})
    for (Operation *op : ops)
      addProjections(op, exact);
}

/// Calls `visit(value, dim, factors)` for every dim of the op's operands and results.
static void forEachDim(Operation *op, const ShardingRule &rule,
                       function_ref<void(Value, unsigned, const ShardingRule::Dim &)> visit) {
  for (auto [value, dims] : llvm::zip_equal(op->getOperands(), rule.operands))
    for (auto [dim, factors] : llvm::enumerate(dims))
      visit(value, dim, factors);
  for (auto [value, dims] : llvm::zip_equal(op->getResults(), rule.results))
    for (auto [dim, factors] : llvm::enumerate(dims))
      visit(value, dim, factors);
}

DimKey CutAnalysis::leader(DimKey key) const {
  auto it = equivalent.findLeader(key);
  return it == equivalent.member_end() ? key : *it;
}

const CutAnalysis::Class &CutAnalysis::classOf(DimKey key) const {
  static const Class unknown;
  auto it = classes.find(leader(key));
  return it == classes.end() ? unknown : it->second;
}

void CutAnalysis::Class::add(const Class &more) {
  unit = std::lcm(unit, more.unit);
  grain = std::lcm(grain, more.grain);
  isExperts |= more.isExperts;
}

bool CutAnalysis::descendsFrom(DimKey key, DimKey ancestor) const {
  for (const Class *next = &classOf(key); next->parent; next = &classOf(*next->parent))
    if (leader(*next->parent) == leader(ancestor))
      return true;
  return false;
}

/// Makes one class of two, unless that would have a class decide its own cut.
void CutAnalysis::join(DimKey a, DimKey b) {
  if (leader(a) == leader(b) || descendsFrom(a, b) || descendsFrom(b, a))
    return;
  Class both = classes[leader(a)], other = classes[leader(b)];
  if (!both.parent) {
    both.parent = other.parent;
    both.parentUnit = other.parentUnit;
    both.perUnit = other.perUnit;
    both.unitsOfParent = other.unitsOfParent;
    both.isExact = other.isExact;
  }
  both.add(other);
  equivalent.unionSets(a, b);
  classes[leader(a)] = both;
}

void CutAnalysis::addOp(Operation *op) {
  ShardingRule rule = cast<ShardingRuleOpInterface>(op).getShardingRule();
  SmallVector<std::pair<ShardingRule::Dim, DimKey>> seen;
  forEachDim(op, rule, [&](Value value, unsigned dim, const ShardingRule::Dim &factors) {
    DimKey key(getHolder(value), dim);
    Class own;
    own.size = cast<RankedTensorType>(value.getType()).getDimSize(dim);
    size_t last = factors.size();
    for (; last > 0 && rule.factors[factors[last - 1]].kind == FactorKind::whole; --last)
      own.unit *= rule.factors[factors[last - 1]].size;
    if (last == 0) // the op says nothing of where to cut
      own.unit = 1;
    else
      own.grain = rule.factors[factors[last - 1]].grain * own.unit;
    own.isExperts = rule.experts == factors.front();

    if (!classes.try_emplace(leader(key), own).second)
      classes[leader(key)].add(own);
    for (auto &[otherFactors, other] : seen)
      if (otherFactors == factors)
        join(key, other);
    seen.push_back({factors, key});
  });
}

/// `coarse` counts the units of `fine`, of `perUnit` elements each: a cut of one says that of
/// the other. Where the units' cut is decided elsewhere, as that of key heads by query heads,
/// it decides that of their elements.
void CutAnalysis::addExactProjection(DimKey fine, DimKey coarse, int64_t perUnit) {
  Class &coarseClass = classes[leader(coarse)], &fineClass = classes[leader(fine)];
  if (descendsFrom(fine, coarse) || descendsFrom(coarse, fine))
    return; // known by other dims
  if (!coarseClass.parent) {
    coarseClass.parent = fine;
    coarseClass.parentUnit = 1;
    coarseClass.perUnit = perUnit;
    coarseClass.isExact = true;
  } else if (coarseClass.isExact && coarseClass.perUnit == perUnit) {
    join(*coarseClass.parent, fine); // their units are cut alike
  } else if (!fineClass.parent) {
    fineClass.parent = coarse;
    fineClass.unitsOfParent = perUnit;
  }
}

/// Those where the cut of one dim says that of the other (`exact`), or those where it only
/// covers it.
void CutAnalysis::addProjections(Operation *op, bool exact) {
  ShardingRule rule = cast<ShardingRuleOpInterface>(op).getShardingRule();
  SmallVector<std::pair<ShardingRule::Dim, DimKey>> dims;
  forEachDim(op, rule, [&](Value value, unsigned dim, const ShardingRule::Dim &factors) {
    dims.push_back({factors, DimKey(getHolder(value), dim)});
  });
  for (auto &[fine, fineKey] : dims)
    for (auto &[coarse, coarseKey] : dims) {
      // coarse = prefix + suffix, fine = prefix + middle + suffix.
      if (coarse.size() >= fine.size() || leader(fineKey) == leader(coarseKey))
        continue;
      size_t suffix = 0;
      int64_t unit = 1, perUnit = 1;
      while (suffix < coarse.size() && coarse.rbegin()[suffix] == fine.rbegin()[suffix])
        unit *= rule.factors[coarse.rbegin()[suffix++]].size;
      size_t prefix = coarse.size() - suffix;
      if (prefix == 0 || !std::equal(coarse.begin(), coarse.begin() + prefix, fine.begin()))
        continue;
      bool isExact = suffix == 0;
      for (size_t i = prefix; i < fine.size() - suffix; ++i) {
        perUnit *= rule.factors[fine[i]].size;
        isExact &= rule.factors[fine[i]].kind == FactorKind::whole;
      }
      if (isExact != exact)
        continue;
      if (perUnit == 1) { // neither is finer, and neither may wait for the other's cut
        join(fineKey, coarseKey);
        continue;
      }
      if (exact) {
        addExactProjection(fineKey, coarseKey, perUnit);
        continue;
      }
      Class &coarseClass = classes[leader(coarseKey)];
      // Two dims that decide the cut of a third are cut alike themselves.
      if (coarseClass.parent && coarseClass.parentUnit == unit && coarseClass.perUnit == perUnit)
        join(*coarseClass.parent, fineKey);
      coarseClass.parent = fineKey;
      coarseClass.parentUnit = unit;
      coarseClass.perUnit = perUnit;
    }
}

SmallVector<int64_t> CutAnalysis::getWeights(ArrayRef<StringAttr> axes) const {
  SmallVector<int64_t> weights = {1};
  for (StringAttr axis : axes) {
    SmallVector<int64_t> ofAxis(*mesh.getAxisSize(axis), 1);
    if (auto given = shares.getAs<DenseI64ArrayAttr>(axis))
      ofAxis.assign(given.asArrayRef().begin(), given.asArrayRef().end());
    SmallVector<int64_t> product;
    for (int64_t major : weights)
      for (int64_t minor : ofAxis)
        product.push_back(major * minor);
    weights = product;
  }
  return weights;
}

/// `total` things dealt out in proportion to `weights`: what is left over after rounding
/// down goes to the largest remainders, the first of equals first.
static SmallVector<int64_t> apportion(int64_t total, ArrayRef<int64_t> weights) {
  __int128 sum = std::accumulate(weights.begin(), weights.end(), __int128(0));
  SmallVector<int64_t> counts;
  SmallVector<std::pair<int64_t, size_t>> remainders;
  int64_t left = total;
  for (auto [i, weight] : llvm::enumerate(weights)) {
    counts.push_back(static_cast<int64_t>(__int128(total) * weight / sum));
    remainders.push_back({-static_cast<int64_t>(__int128(total) * weight % sum), i});
    left -= counts.back();
  }
  llvm::sort(remainders);
  for (int64_t i = 0; i < left; ++i)
    ++counts[remainders[i].second];
  return counts;
}

FailureOr<SmallVector<ElementRange>> CutAnalysis::getRanges(DimKey key, ArrayRef<StringAttr> axes) {
  const Class &own = classOf(key);
  SmallVector<ElementRange> ranges;
  if (own.parent) {
    FailureOr<SmallVector<ElementRange>> fine = getRanges(*own.parent, axes);
    if (failed(fine))
      return failure();
    for (ElementRange range : *fine) {
      if (own.unitsOfParent > 0) {
        ranges.push_back({range.begin * own.unitsOfParent, range.end * own.unitsOfParent});
        continue;
      }
      int64_t span = own.parentUnit * own.perUnit;
      int64_t begin = range.begin / span;
      // An empty share covers nothing, wherever in a group it stands.
      int64_t end = range.size() == 0 ? begin : (range.end + span - 1) / span;
      ranges.push_back({begin * own.parentUnit, end * own.parentUnit});
      if (ranges.back().begin % own.unit != 0 || ranges.back().end % own.unit != 0)
        return failure();
    }
    return ranges;
  }
  SmallVector<int64_t> weights = getWeights(axes);
  int64_t shareCount = weights.size();
  // Whole blocks where there are enough of them for every share, else heads, else elements.
  int64_t grain = std::lcm(own.unit, own.grain);
  if (own.size % grain != 0 || own.size / grain < shareCount)
    grain = own.unit;
  if (own.unit > 1 && own.size / own.unit < shareCount)
    return failure();
  int64_t begin = 0;
  for (int64_t count : apportion(own.size / grain, weights)) {
    ranges.push_back({begin, begin + count * grain});
    begin = ranges.back().end;
  }
  return ranges;
}

FailureOr<DimShardingAttr> CutAnalysis::getDimSharding(DimKey key, ArrayRef<StringAttr> axes) {
  if (axes.empty() || ShapedType::isDynamic(classOf(key).size))
    return DimShardingAttr::get(context, axes, {});
  FailureOr<SmallVector<ElementRange>> ranges = getRanges(key, axes);
  if (failed(ranges))
    return failure();
  bool even = true;
  int64_t share = ranges->front().size();
  for (auto [i, range] : llvm::enumerate(*ranges))
    even &=
        range == ElementRange{static_cast<int64_t>(i) * share, static_cast<int64_t>(i + 1) * share};
  SmallVector<int64_t> flat;
  if (!even)
    for (ElementRange range : *ranges)
      flat.append({range.begin, range.end});
  return DimShardingAttr::get(context, axes, flat);
}

int64_t CutAnalysis::getUnit(DimKey key) const {
  const Class &own = classOf(key);
  return own.parent ? getUnit(*own.parent) : own.unit;
}

int64_t CutAnalysis::getDecidingSize(DimKey key) const {
  const Class &own = classOf(key);
  return own.parent ? getDecidingSize(*own.parent) : own.size;
}
