// A cheapest-path search (Dijkstra) over the shardings between two. What a dim may pass
// through is a short list made beforehand: how it lies before and after, and both with
// some axes joined.
#include "compiler/partition/reshard_plan.h"

#include "llvm/Support/MathExtras.h"

#include <queue>

using namespace mlir;
using namespace cleave;

namespace {

using Kind = ReshardStep::Kind;

/// A set of the axes of the search, a bit each.
using AxisSet = uint32_t;

/// With more axes than this, or when a search has seen this many shardings, only what is
/// before, after and whole is passed through.
constexpr unsigned maxAxes = 4;
constexpr size_t maxNodes = 4096;

bool contains(ElementRange outer, ElementRange inner) {
  return inner.size() == 0 || (outer.begin <= inner.begin && inner.end <= outer.end);
}

/// The mesh, with coordinates taken apart fast. Its axes have two ranks or more.
class Axes {
public:
  explicit Axes(const Mesh &mesh) : mesh(mesh) {
    int64_t stride = 1;
    for (StringAttr axis : llvm::reverse(mesh.getAxes())) {
      sizes.push_back(*mesh.getAxisSize(axis));
      strides.push_back(stride);
      stride *= sizes.back();
    }
    std::reverse(sizes.begin(), sizes.end());
    std::reverse(strides.begin(), strides.end());
    numCoordinates = stride;
  }

  const Mesh &mesh;
  int64_t numCoordinates;

  /// The first of the ranks that differ from `coordinate` in `set` only.
  int64_t first(int64_t coordinate, AxisSet set) const {
    int64_t first = coordinate;
    for (size_t i = 0; i < sizes.size(); ++i)
      if (set >> i & 1)
        first -= coordinate / strides[i] % sizes[i] * strides[i];
    return first;
  }

  int64_t numMembers(AxisSet set) const {
    int64_t members = 1;
    for (size_t i = 0; i < sizes.size(); ++i)
      members *= set >> i & 1 ? sizes[i] : 1;
    return members;
  }

  AxisSet getSet(ArrayRef<StringAttr> names) const {
    AxisSet set = 0;
    for (auto [i, axis] : llvm::enumerate(mesh.getAxes()))
      if (llvm::is_contained(names, axis))
        set |= 1u << i;
    return set;
  }

  SmallVector<StringAttr, 2> getNames(AxisSet set) const {
    SmallVector<StringAttr, 2> names;
    for (auto [i, axis] : llvm::enumerate(mesh.getAxes()))
      if (set >> i & 1)
        names.push_back(axis);
    return names;
  }

private:
  SmallVector<int64_t> sizes, strides;
};

/// One way in which a dim lies over the mesh. Equal ones have equal ranges, or, where the
/// dim's size is known only at run time, equal axes.
struct Layout {
  std::vector<ElementRange> ranges; ///< by coordinate; empty for a run-time dim
  DimShardingAttr attr;
  AxisSet axes = 0; ///< on which the ranges depend
};

/// The layouts that one dim may pass through.
class DimLayouts {
public:
  DimLayouts(const Axes &axes, int64_t size, DimShardingAttr from, DimShardingAttr to,
             bool coarsenPartly);

  unsigned getNumLayouts() const { return layouts.size(); }
  AxisSet axesOf(unsigned layout) const { return layouts[layout].axes; }
  DimShardingAttr attr(unsigned layout) const { return layouts[layout].attr; }

  /// What ranks that differ in `axes` have together, where it is a layout: their ranges
  /// leave no gap.
  std::optional<unsigned> join(unsigned layout, AxisSet group) const;

  /// Whether every rank can take `inner` from what it has under `outer`.
  bool canSlice(unsigned outer, unsigned inner) const;

  double size(unsigned layout, int64_t coordinate) const;
  /// The elements that a rank has under both.
  double common(unsigned a, unsigned b, int64_t coordinate) const;

  bool isRunTime() const { return ShapedType::isDynamic(dimSize); }

  unsigned from = 0, to = 0;

private:
  unsigned add(DimShardingAttr attr);
  unsigned addRanges(std::vector<ElementRange> ranges);
  std::pair<std::vector<ElementRange>, bool> joinRanges(const Layout &layout, AxisSet group) const;
  DimShardingAttr makeAttr(ArrayRef<ElementRange> ranges, AxisSet set) const;

  const Axes &axes;
  MLIRContext *context;
  int64_t dimSize;
  std::vector<Layout> layouts;
};

/// A sharding on the way: a layout of each dim, and the axes over which it is a partial sum.
struct Node {
  SmallVector<unsigned, 4> layouts;
  AxisSet partial;
  bool operator<(const Node &other) const {
    return std::tie(partial, layouts) < std::tie(other.partial, other.layouts);
  }
};

struct Cost {
  double bytes = 0;
  unsigned steps = 0, complexity = 0;
  auto operator<=>(const Cost &) const = default;
};

struct Move {
  Kind kind;
  AxisSet group = 0;
  unsigned dim = 0, joined = 0;
};

class Search {
public:
  Search(const Axes &axes, RankedTensorType global, ShardingAttr from, ShardingAttr to,
         bool coarsenPartly);

  /// The plan; nothing where there is none or the search is given up.
  std::optional<ReshardPlan> run();

private:
  struct Reached {
    Node node;
    Cost cost;
    size_t previous;
    Move move;
    bool done = false;
  };

  void expand(size_t at);
  void slice(size_t at, unsigned dim);
  void gather(size_t at, unsigned dim);
  void reduce(size_t at);
  void scatter(size_t at, unsigned dim, AxisSet group);
  void exchange(size_t at, unsigned joined, unsigned cut);
  void recut(size_t at, unsigned dim);
  void reach(size_t from, Node node, Move move, double bytes);
  ReshardPlan trace(size_t end) const;

  AxisSet usedElsewhere(const Node &node, unsigned dim) const;
  bool canCut(const Node &node, unsigned dim) const;
  double rounds(AxisSet group) const;
  template <typename Fn> double atMost(Fn bytes) const;
  double bytes(const Node &node, int64_t coordinate) const;

  const Axes &axes;
  ShardingAttr from, to;
  ReductionKind partialKind;
  double elementBytes;
  std::vector<DimLayouts> dims;
  AxisSet wantedPartial;
  bool isCoarse;
  std::vector<Reached> reached;
  std::map<Node, size_t> numbers;
  using Entry = std::pair<Cost, size_t>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;
};

} // namespace

/// A value is partial in no way where it is whole.
static ShardingAttr makeSharding(MLIRContext *context, ArrayRef<DimShardingAttr> dims,
                                 ArrayRef<StringAttr> partial, ReductionKind kind) {
  return ShardingAttr::get(context, dims, partial, partial.empty() ? ReductionKind::Sum : kind);
}

// ---- Layouts of a dim ----

DimLayouts::DimLayouts(const Axes &axes, int64_t size, DimShardingAttr from, DimShardingAttr to,
                       bool coarsenPartly)
    : axes(axes), context(from.getContext()), dimSize(size) {
  this->from = add(from);
  this->to = add(to);
  add(DimShardingAttr::get(context, {}, {}));
  if (!coarsenPartly || isRunTime())
    return;
  for (unsigned end : {this->from, this->to}) {
    AxisSet all = layouts[end].axes;
    for (AxisSet group = 1; group <= all; ++group)
      if ((group & ~all) == 0)
        addRanges(joinRanges(layouts[end], group).first);
  }
}

unsigned DimLayouts::add(DimShardingAttr attr) {
  if (!isRunTime()) {
    std::vector<ElementRange> ranges;
    for (int64_t at = 0; at < axes.numCoordinates; ++at)
      ranges.push_back(getShare(axes.mesh, at, attr, dimSize));
    return addRanges(std::move(ranges));
  }
  // The names and their order say how a run-time dim lies.
  for (auto [i, known] : llvm::enumerate(layouts))
    if (known.attr.getAxes() == attr.getAxes())
      return i;
  layouts.push_back({{}, attr, axes.getSet(attr.getAxes())});
  return layouts.size() - 1;
}

unsigned DimLayouts::addRanges(std::vector<ElementRange> ranges) {
  for (auto [i, known] : llvm::enumerate(layouts))
    if (known.ranges == ranges)
      return i;
  AxisSet set = 0;
  for (size_t i = 0; i < axes.mesh.getAxes().size(); ++i)
    for (int64_t at = 0; at < axes.numCoordinates; ++at)
      if (ranges[at] != ranges[axes.first(at, 1u << i)])
        set |= 1u << i;
  DimShardingAttr attr = makeAttr(ranges, set);
  layouts.push_back({std::move(ranges), attr, set});
  return layouts.size() - 1;
}

DimShardingAttr DimLayouts::makeAttr(ArrayRef<ElementRange> ranges, AxisSet set) const {
  SmallVector<StringAttr, 2> names = axes.getNames(set);
  auto even = DimShardingAttr::get(context, names, {});
  bool isEven = dimSize % axes.numMembers(set) == 0;
  for (size_t at = 0; at < ranges.size() && isEven; ++at)
    isEven = ranges[at] == getShare(axes.mesh, at, even, dimSize);
  if (isEven)
    return even;
  SmallVector<int64_t> flat;
  for (int64_t at : axes.mesh.getGroup(0, names))
    flat.append({ranges[at].begin, ranges[at].end});
  return DimShardingAttr::get(context, names, flat);
}

/// The hull of what each group of ranks has, and whether none has a gap.
std::pair<std::vector<ElementRange>, bool> DimLayouts::joinRanges(const Layout &layout,
                                                                  AxisSet group) const {
  // Members one after the other, in the order of their ranges.
  std::vector<std::pair<int64_t, int64_t>> order;
  for (int64_t at = 0; at < axes.numCoordinates; ++at)
    order.emplace_back(axes.first(at, group), at);
  llvm::sort(order, [&](const auto &a, const auto &b) {
    auto key = [&](const auto &each) {
      ElementRange range = layout.ranges[each.second];
      return std::tuple(each.first, range.size() == 0, range.begin, each.second);
    };
    return key(a) < key(b);
  });
  std::vector<ElementRange> joined(layout.ranges.size());
  bool isWhole = true;
  for (size_t i = 0; i < order.size(); ++i) {
    auto [first, at] = order[i];
    ElementRange range = layout.ranges[at];
    if (i == 0 || order[i - 1].first != first) {
      joined[first] = range;
      continue;
    }
    if (range.size() == 0)
      continue;
    isWhole &= range.begin <= joined[first].end;
    joined[first].end = std::max(joined[first].end, range.end);
  }
  for (int64_t at = 0; at < axes.numCoordinates; ++at)
    joined[at] = joined[axes.first(at, group)];
  return {joined, isWhole};
}

std::optional<unsigned> DimLayouts::join(unsigned number, AxisSet group) const {
  const Layout &layout = layouts[number];
  std::vector<ElementRange> joined;
  if (isRunTime()) {
    // Shares of shares are not the shares of fewer ranks: 8 over 2 x 3 gives 5 and 3.
    if (layout.axes & ~group)
      return std::nullopt;
  } else {
    bool isWhole = false;
    std::tie(joined, isWhole) = joinRanges(layout, group);
    if (!isWhole)
      return std::nullopt;
  }
  for (auto [i, known] : llvm::enumerate(layouts))
    if (isRunTime() ? known.axes == 0 : known.ranges == joined)
      return i;
  return std::nullopt;
}

bool DimLayouts::canSlice(unsigned outer, unsigned inner) const {
  if (isRunTime())
    return outer == inner || layouts[outer].axes == 0;
  return llvm::all_of_zip(layouts[outer].ranges, layouts[inner].ranges, contains);
}

double DimLayouts::size(unsigned layout, int64_t coordinate) const {
  if (isRunTime())
    return llvm::divideCeil(assumedRunTimeSize, axes.numMembers(layouts[layout].axes));
  return layouts[layout].ranges[coordinate].size();
}

double DimLayouts::common(unsigned a, unsigned b, int64_t coordinate) const {
  ElementRange x = layouts[a].ranges[coordinate], y = layouts[b].ranges[coordinate];
  return std::max<int64_t>(0, std::min(x.end, y.end) - std::max(x.begin, y.begin));
}

// ---- The search ----

Search::Search(const Axes &axes, RankedTensorType global, ShardingAttr from, ShardingAttr to,
               bool coarsenPartly)
    : axes(axes), from(from), to(to), partialKind(from.getPartialKind()),
      elementBytes(llvm::divideCeil(global.getElementTypeBitWidth(), 8)),
      wantedPartial(axes.getSet(to.getPartial())), isCoarse(!coarsenPartly) {
  for (auto [size, before, after] :
       llvm::zip_equal(global.getShape(), from.getDims(), to.getDims()))
    dims.emplace_back(axes, size, before, after, coarsenPartly);
}

/// Axes that a cut of `dim` must not use: ranks that differ in them have other elements or
/// summands already.
AxisSet Search::usedElsewhere(const Node &node, unsigned dim) const {
  AxisSet used = node.partial;
  for (unsigned other = 0; other < dims.size(); ++other)
    if (other != dim)
      used |= dims[other].axesOf(node.layouts[other]);
  return used;
}

/// Candidates of which some are elsewhere are cut between rows only.
bool Search::canCut(const Node &node, unsigned dim) const {
  return partialKind == ReductionKind::Sum || node.partial == 0 || dim == 0;
}

/// What the messages of a group cost that wait for each other.
double Search::rounds(AxisSet group) const {
  return roundBytes * llvm::Log2_64_Ceil(axes.numMembers(group));
}

/// The most that any rank counts.
template <typename Fn> double Search::atMost(Fn bytes) const {
  double most = 0;
  for (int64_t at = 0; at < axes.numCoordinates; ++at)
    most = std::max(most, bytes(at));
  return most;
}

double Search::bytes(const Node &node, int64_t coordinate) const {
  double bytes = elementBytes;
  for (auto [dim, layout] : llvm::zip_equal(dims, node.layouts))
    bytes *= dim.size(layout, coordinate);
  return bytes;
}

std::optional<ReshardPlan> Search::run() {
  Node start{{}, axes.getSet(from.getPartial())}, end{{}, wantedPartial};
  for (const DimLayouts &dim : dims) {
    start.layouts.push_back(dim.from);
    end.layouts.push_back(dim.to);
  }
  numbers[start] = 0;
  reached.push_back({start, {}, 0, {}});
  queue.push({{}, 0});
  while (!queue.empty()) {
    size_t at = queue.top().second;
    queue.pop();
    if (std::exchange(reached[at].done, true))
      continue;
    const Node &node = reached[at].node;
    if (node.layouts == end.layouts && node.partial == end.partial)
      return trace(at);
    if (!isCoarse && reached.size() > maxNodes)
      return std::nullopt;
    expand(at);
  }
  return std::nullopt;
}

void Search::expand(size_t at) {
  for (unsigned dim = 0; dim < dims.size(); ++dim) {
    slice(at, dim);
    gather(at, dim);
    for (unsigned cut = 0; cut < dims.size(); ++cut)
      if (cut != dim)
        exchange(at, dim, cut);
    recut(at, dim);
  }
  reduce(at);
}

void Search::slice(size_t at, unsigned dim) {
  const Node node = reached[at].node;
  AxisSet used = usedElsewhere(node, dim);
  if (!canCut(node, dim))
    return;
  for (unsigned layout = 0; layout < dims[dim].getNumLayouts(); ++layout) {
    if (layout == node.layouts[dim] || (dims[dim].axesOf(layout) & used) != 0 ||
        !dims[dim].canSlice(node.layouts[dim], layout))
      continue;
    Node next = node;
    next.layouts[dim] = layout;
    reach(at, next, {Kind::slice, 0, dim, 0}, 0);
  }
}

void Search::gather(size_t at, unsigned dim) {
  const Node node = reached[at].node;
  AxisSet all = dims[dim].axesOf(node.layouts[dim]);
  for (AxisSet group = 1; group <= all; ++group) {
    if ((group & ~all) != 0 || (isCoarse && group != all))
      continue;
    std::optional<unsigned> joined = dims[dim].join(node.layouts[dim], group);
    if (!joined)
      continue;
    Node next = node;
    next.layouts[dim] = *joined;
    reach(at, next, {Kind::allGather, group, dim, 0},
          rounds(group) + atMost([&](int64_t c) { return bytes(next, c) - bytes(node, c); }));
  }
}

void Search::reduce(size_t at) {
  const Node node = reached[at].node;
  AxisSet all = node.partial & ~wantedPartial;
  for (AxisSet group = 1; group <= all; ++group) {
    if ((group & ~all) != 0)
      continue;
    for (unsigned dim = 0; dim < dims.size() && partialKind == ReductionKind::Sum; ++dim)
      scatter(at, dim, group);
    Node next = node;
    next.partial &= ~group;
    double others = axes.numMembers(group) - 1;
    reach(at, next, {Kind::allReduce, group, 0, 0},
          2 * rounds(group) +
              atMost([&](int64_t c) { return 2 * bytes(node, c) * others / (others + 1); }));
  }
}

void Search::scatter(size_t at, unsigned dim, AxisSet group) {
  const Node node = reached[at].node;
  unsigned whole = node.layouts[dim];
  AxisSet allowed = dims[dim].axesOf(whole) | group;
  for (unsigned layout = 0; layout < dims[dim].getNumLayouts(); ++layout) {
    if (layout == whole || (dims[dim].axesOf(layout) & ~allowed) != 0 ||
        dims[dim].join(layout, group) != whole)
      continue;
    // Each member of the group gets a share of its own.
    if (dims[dim].isRunTime() && dims[dim].axesOf(layout) != group)
      continue;
    Node next = node;
    next.layouts[dim] = layout;
    next.partial &= ~group;
    // On its way round the ring every share but the own passes through a rank.
    std::vector<double> all(axes.numCoordinates);
    for (int64_t c = 0; c < axes.numCoordinates; ++c)
      all[axes.first(c, group)] += bytes(next, c);
    reach(at, next, {Kind::reduceScatter, group, dim, 0},
          rounds(group) +
              atMost([&](int64_t c) { return all[axes.first(c, group)] - bytes(next, c); }));
  }
}

/// all_to_all from `joined` to `cut`. Dims whose size is known only at run time take the
/// longer way through what is whole.
void Search::exchange(size_t at, unsigned joined, unsigned cut) {
  const Node node = reached[at].node;
  AxisSet all = dims[joined].axesOf(node.layouts[joined]);
  if (dims[joined].isRunTime() || dims[cut].isRunTime() || !canCut(node, cut))
    return;
  for (AxisSet group = 1; group <= all; ++group) {
    std::optional<unsigned> after;
    if ((group & ~all) != 0 || (isCoarse && group != all) ||
        !(after = dims[joined].join(node.layouts[joined], group)))
      continue;
    AxisSet allowed = dims[cut].axesOf(node.layouts[cut]) | group;
    for (unsigned layout = 0; layout < dims[cut].getNumLayouts(); ++layout) {
      AxisSet used = dims[cut].axesOf(layout);
      if ((used & ~allowed) != 0 || (used & group) == 0 ||
          !dims[cut].canSlice(node.layouts[cut], layout))
        continue;
      Node next = node, kept = node;
      next.layouts[joined] = *after;
      next.layouts[cut] = kept.layouts[cut] = layout;
      reach(at, next, {Kind::allToAll, group, cut, joined},
            rounds(group) + atMost([&](int64_t c) { return bytes(next, c) - bytes(kept, c); }));
    }
  }
}

/// all_to_all within a dim: other ranges, or other axes.
void Search::recut(size_t at, unsigned dim) {
  const Node node = reached[at].node;
  unsigned before = node.layouts[dim];
  AxisSet all = dims[dim].axesOf(before), used = usedElsewhere(node, dim);
  if (dims[dim].isRunTime() || !canCut(node, dim))
    return;
  for (AxisSet group = 1; group <= all; ++group) {
    std::optional<unsigned> together;
    if ((group & ~all) != 0 || (isCoarse && group != all) ||
        !(together = dims[dim].join(before, group)))
      continue;
    for (unsigned layout = 0; layout < dims[dim].getNumLayouts(); ++layout) {
      if (layout == before || layout == *together || (dims[dim].axesOf(layout) & used) != 0 ||
          !dims[dim].canSlice(*together, layout))
        continue;
      Node next = node;
      next.layouts[dim] = layout;
      reach(at, next, {Kind::allToAll, group, dim, dim},
            rounds(group) + atMost([&](int64_t c) {
              double size = dims[dim].size(layout, c);
              double kept = dims[dim].common(before, layout, c);
              return size == 0 ? 0 : bytes(next, c) * (size - kept) / size;
            }));
    }
  }
}

void Search::reach(size_t from, Node node, Move move, double bytes) {
  Cost cost = reached[from].cost;
  cost.bytes += bytes;
  cost.steps += 1;
  cost.complexity += static_cast<unsigned>(move.kind);
  auto [it, isNew] = numbers.try_emplace(node, reached.size());
  if (isNew)
    reached.push_back({std::move(node), cost, from, move});
  else if (reached[it->second].done || reached[it->second].cost <= cost)
    return;
  Reached &entry = reached[it->second];
  entry.cost = cost;
  entry.previous = from;
  entry.move = move;
  queue.push({cost, it->second});
}

ReshardPlan Search::trace(size_t end) const {
  ReshardPlan plan;
  for (size_t at = end; at != 0; at = reached[at].previous) {
    const auto &[node, cost, previous, move, done] = reached[at];
    SmallVector<DimShardingAttr> lies;
    for (auto [dim, layout] : llvm::zip_equal(dims, node.layouts))
      lies.push_back(dim.attr(layout));
    plan.push_back({move.kind, axes.getNames(move.group), move.dim, move.joined,
                    makeSharding(to.getContext(), lies, axes.getNames(node.partial), partialKind)});
  }
  std::reverse(plan.begin(), plan.end());
  return plan;
}

// ---- Plans ----

/// `sharding` without the axes that one rank has alone.
static ShardingAttr dropSingleRanks(ShardingAttr sharding, const Mesh &mesh) {
  auto dropFrom = [&](ArrayRef<StringAttr> axes) {
    SmallVector<StringAttr> kept;
    llvm::copy_if(axes, std::back_inserter(kept),
                  [&](StringAttr axis) { return *mesh.getAxisSize(axis) > 1; });
    return kept;
  };
  SmallVector<DimShardingAttr> dims;
  for (DimShardingAttr dim : sharding.getDims()) {
    SmallVector<StringAttr> axes = dropFrom(dim.getAxes());
    dims.push_back(DimShardingAttr::get(sharding.getContext(), axes,
                                        axes.empty() ? ArrayRef<int64_t>() : dim.getRanges()));
  }
  return makeSharding(sharding.getContext(), dims, dropFrom(sharding.getPartial()),
                      sharding.getPartialKind());
}

static std::optional<ReshardPlan> makePlan(const Mesh &mesh, RankedTensorType global,
                                           ShardingAttr from, ShardingAttr to) {
  for (StringAttr axis : to.getPartial())
    if (!llvm::is_contained(from.getPartial(), axis) ||
        from.getPartialKind() != to.getPartialKind())
      return std::nullopt;
  ShardingAttr start = dropSingleRanks(from, mesh), end = dropSingleRanks(to, mesh);
  SmallVector<StringAttr> names;
  SmallVector<int64_t> sizes;
  for (StringAttr axis : mesh.getAxes())
    if (start.usesAxis(axis) || end.usesAxis(axis)) {
      names.push_back(axis);
      sizes.push_back(*mesh.getAxisSize(axis));
    }
  Mesh used(names, sizes);
  Axes axes(used);
  std::optional<ReshardPlan> plan;
  if (names.size() <= maxAxes)
    plan = Search(axes, global, start, end, /*coarsenPartly=*/true).run();
  if (!plan)
    plan = Search(axes, global, start, end, /*coarsenPartly=*/false).run();
  // What was asked for, in its own words.
  if (plan && !plan->empty())
    plan->back().result = to;
  return plan;
}

const ReshardPlan *ReshardPlanner::plan(RankedTensorType global, ShardingAttr from,
                                        ShardingAttr to) {
  auto [it, isNew] = plans.try_emplace(
      {global.getAsOpaquePointer(), from.getAsOpaquePointer(), to.getAsOpaquePointer()});
  if (isNew)
    it->second = makePlan(mesh, global, from, to);
  return it->second ? &*it->second : nullptr;
}
