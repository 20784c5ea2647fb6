// Reshards as collectives.
#include "compiler/partition/reshard_lowering.h"

using namespace mlir;
using namespace cleave;

RankedTensorType cleave::getLocalType(RankedTensorType global, ShardingAttr sharding,
                                      const Mesh &mesh, int64_t coordinate) {
  SmallVector<int64_t> shape;
  SmallVector<StringAttr> names;
  for (auto [dim, size, split] : llvm::zip_equal(llvm::seq<unsigned>(0, global.getRank()),
                                                 global.getShape(), sharding.getDims())) {
    bool isDynamic = ShapedType::isDynamic(size);
    StringAttr name = getDimName(global, dim);
    if (isDynamic && split.isSplit())
      name = getDimShareName(name, mesh.getShareIndex(coordinate, split.getAxes()),
                             mesh.getNumShares(split.getAxes()));
    shape.push_back(isDynamic ? size : getShare(mesh, coordinate, split, size).size());
    names.push_back(name);
  }
  return getTensorType(shape, global.getElementType(), names);
}

namespace {

using Kind = ReshardStep::Kind;

class ReshardLowering {
public:
  ReshardLowering(OpBuilder &builder, Location loc, Value value, RankedTensorType global,
                  ShardingAttr from, const Mesh &mesh, RankPlace place, Attribute name)
      : builder(builder), loc(loc), value(value), global(global), lies(from), mesh(mesh),
        place(place), name(name) {}

  FailureOr<Value> run(const ReshardPlan &plan) {
    for (const ReshardStep &step : plan) {
      apply(step);
      lies = step.result;
    }
    return value;
  }

private:
  void apply(const ReshardStep &step) {
    RankedTensorType type = getLocalType(global, step.result, mesh, place.coordinate);
    unsigned dim = step.dim;
    if (step.kind != Kind::allReduce && global.isDynamicDim(dim))
      return applyAtRunTime(step, type);
    switch (step.kind) {
    case Kind::slice: {
      ElementRange held = getRange(lies, dim), wanted = getRange(step.result, dim);
      create<SliceOp>(type, value, dim, relativeTo(held, wanted).begin);
      break;
    }
    case Kind::allGather:
      create<AllGatherOp>(type, value, dim,
                          getRanges(step.axes, lies, dim, getRange(step.result, dim)),
                          getGroup(step.axes));
      break;
    case Kind::reduceScatter:
      create<ReduceScatterOp>(type, ReductionKind::Sum, value, dim,
                              getRanges(step.axes, step.result, dim, getRange(lies, dim)),
                              getGroup(step.axes));
      break;
    case Kind::allToAll: {
      // The members of a group have the same of the dim that is cut, unless it is the one
      // that they hold shares of: then what counts is what they have together.
      ElementRange joined = getRange(step.result, step.joined), cut = getRange(lies, dim);
      if (dim == step.joined)
        joined = cut = getHull(step.axes, lies, dim);
      create<AllToAllOp>(type, value, dim, getRanges(step.axes, step.result, dim, cut),
                         step.joined, getRanges(step.axes, lies, step.joined, joined),
                         getGroup(step.axes));
      break;
    }
    case Kind::allReduce:
      create<AllReduceOp>(value.getType(), lies.getPartialKind(), value, getGroup(step.axes));
      break;
    }
  }

  /// Along a run-time dim, which is whole before or after: ranges follow from the places in
  /// the group, which are in the order of the dim's own axes.
  void applyAtRunTime(const ReshardStep &step, RankedTensorType type) {
    auto getMembers = [&](ShardingAttr sharding) {
      return getGroup(sharding.getDims()[step.dim].getAxes());
    };
    ArrayRef<int64_t> noRanges;
    if (step.kind == Kind::slice)
      create<ShareOp>(type, value, step.dim);
    else if (step.kind == Kind::allGather)
      create<AllGatherOp>(type, value, step.dim, noRanges, getMembers(lies));
    else
      create<ReduceScatterOp>(type, ReductionKind::Sum, value, step.dim, noRanges,
                              getMembers(step.result));
  }

  SmallVector<int64_t> getGroup(ArrayRef<StringAttr> axes) {
    SmallVector<int64_t> group = mesh.getGroup(place.coordinate, axes);
    for (int64_t &rank : group)
      rank += place.stage * mesh.getNumCoordinates();
    return group;
  }

  ElementRange getRange(ShardingAttr sharding, unsigned dim) {
    return getRange(sharding, dim, place.coordinate);
  }
  ElementRange getRange(ShardingAttr sharding, unsigned dim, int64_t coordinate) {
    return getShare(mesh, coordinate, sharding.getDims()[dim], global.getDimSize(dim));
  }

  /// `range`, which lies in `whole`, as ops have it: counted from where `whole` begins. An
  /// empty one can be declared to lie anywhere.
  static ElementRange relativeTo(ElementRange whole, ElementRange range) {
    if (range.size() == 0 && (range.begin < whole.begin || range.end > whole.end))
      return {0, 0};
    return {range.begin - whole.begin, range.end - whole.begin};
  }

  /// The range in `whole` of each member of a group.
  SmallVector<int64_t> getRanges(ArrayRef<StringAttr> axes, ShardingAttr sharding, unsigned dim,
                                 ElementRange whole) {
    SmallVector<int64_t> flat;
    for (int64_t member : mesh.getGroup(place.coordinate, axes)) {
      ElementRange range = relativeTo(whole, getRange(sharding, dim, member));
      flat.append({range.begin, range.end});
    }
    return flat;
  }

  /// What a group has together of a dim.
  ElementRange getHull(ArrayRef<StringAttr> axes, ShardingAttr sharding, unsigned dim) {
    ElementRange hull;
    for (int64_t member : mesh.getGroup(place.coordinate, axes))
      if (ElementRange range = getRange(sharding, dim, member); range.size() > 0)
        hull = hull.size() == 0
                   ? range
                   : ElementRange{std::min(hull.begin, range.begin), std::max(hull.end, range.end)};
    return hull;
  }

  template <typename OpT, typename... Args> void create(Args &&...args) {
    auto op = builder.create<OpT>(loc, std::forward<Args>(args)...);
    if (name)
      op->setAttr(CleaveDialect::nameAttrName, name);
    value = op.getResult();
  }

  OpBuilder &builder;
  Location loc;
  Value value;
  RankedTensorType global;
  ShardingAttr lies; ///< how `value` does by now
  const Mesh &mesh;
  RankPlace place;
  Attribute name;
};

} // namespace

FailureOr<Value> cleave::lowerReshard(OpBuilder &builder, Location loc, Value local,
                                      RankedTensorType global, ShardingAttr from, ShardingAttr to,
                                      ReshardPlanner &planner, RankPlace place, Attribute name) {
  const ReshardPlan *plan = planner.plan(global, from, to);
  if (!plan)
    return emitError(loc) << "a value sharded as " << from << " cannot become " << to
                          << ": a whole value cannot become "
                          << describePartial(to.getPartialKind());
  return ReshardLowering(builder, loc, local, global, from, planner.getMesh(), place, name)
      .run(*plan);
}
