// Reshards as collectives.
#include "compiler/partition/reshard_lowering.h"

using namespace mlir;
using namespace cleave;

FailureOr<RankedTensorType> cleave::getLocalType(Location loc, RankedTensorType global,
                                                 ShardingAttr sharding, const Mesh &mesh,
                                                 int64_t coordinate) {
  SmallVector<int64_t> shape;
  for (auto [dim, size, split] : llvm::zip_equal(llvm::seq<unsigned>(0, global.getRank()),
                                                 global.getShape(), sharding.getDims())) {
    if (!split.isSplit()) {
      shape.push_back(size);
      continue;
    }
    if (ShapedType::isDynamic(size))
      return emitError(loc) << "dim " << dim << " of " << global
                            << " is known only at run time and cannot be split over ranks";
    shape.push_back(getShare(mesh, coordinate, split, size).size());
  }
  return withShape(global, shape);
}

namespace {

class ReshardLowering {
public:
  ReshardLowering(OpBuilder &builder, Location loc, Value value, RankedTensorType global,
                  ShardingAttr from, const Mesh &mesh, RankPlace place, Attribute name)
      : builder(builder), loc(loc), value(value), global(global), mesh(mesh), place(place),
        name(name), dims(from.getDims()), partial(from.getPartial()),
        partialKind(from.getPartialKind()) {}

  FailureOr<Value> run(ShardingAttr to) {
    for (StringAttr axis : to.getPartial())
      if (!llvm::is_contained(partial, axis))
        return emitError(loc) << "a whole value cannot become "
                              << describePartial(to.getPartialKind()) << " over axis " << axis;
    reduce(to);
    for (unsigned dim = 0; dim < dims.size(); ++dim)
      if (dims[dim] != to.getDims()[dim])
        gather(dim);
    for (unsigned dim = 0; dim < dims.size(); ++dim)
      if (dims[dim] != to.getDims()[dim])
        slice(dim, to.getDims()[dim]);
    return value;
  }

private:
  SmallVector<int64_t> getGroup(ArrayRef<StringAttr> axes) {
    SmallVector<int64_t> group = mesh.getGroup(place.coordinate, axes);
    for (int64_t &rank : group)
      rank += place.stage * mesh.getNumCoordinates();
    return group;
  }

  /// Each member's range of a dim under `split`.
  SmallVector<int64_t> getRanges(unsigned dim, DimShardingAttr split) {
    SmallVector<int64_t> flat;
    for (int64_t member : mesh.getGroup(place.coordinate, split.getAxes())) {
      ElementRange range = getShare(mesh, member, split, global.getDimSize(dim));
      flat.append({range.begin, range.end});
    }
    return flat;
  }

  RankedTensorType getType(unsigned dim, int64_t size) {
    auto type = cast<RankedTensorType>(value.getType());
    SmallVector<int64_t> shape(type.getShape());
    shape[dim] = size;
    return withShape(type, shape);
  }

  template <typename OpT, typename... Args> void create(Args &&...args) {
    auto op = builder.create<OpT>(loc, std::forward<Args>(args)...);
    if (name)
      op->setAttr(CleaveDialect::nameAttrName, name);
    value = op.getResult();
  }

  void reduce(ShardingAttr to) {
    SmallVector<StringAttr> axes;
    for (StringAttr axis : partial)
      if (!llvm::is_contained(to.getPartial(), axis))
        axes.push_back(axis);
    if (axes.empty())
      return;
    for (unsigned dim = 0; dim < dims.size(); ++dim) {
      DimShardingAttr wanted = to.getDims()[dim];
      if (partialKind != ReductionKind::Sum || dims[dim].isSplit() ||
          wanted.getAxes() != ArrayRef<StringAttr>(axes))
        continue;
      SmallVector<int64_t> ranges = getRanges(dim, wanted);
      int64_t share = getShare(mesh, place.coordinate, wanted, global.getDimSize(dim)).size();
      create<ReduceScatterOp>(getType(dim, share), partialKind, value, dim, ranges, getGroup(axes));
      dims[dim] = wanted;
      return;
    }
    create<AllReduceOp>(value.getType(), partialKind, value, getGroup(axes));
  }

  void gather(unsigned dim) {
    DimShardingAttr split = dims[dim];
    if (!split.isSplit())
      return;
    create<AllGatherOp>(getType(dim, global.getDimSize(dim)), value, dim, getRanges(dim, split),
                        getGroup(split.getAxes()));
    dims[dim] = DimShardingAttr::get(builder.getContext(), {}, {});
  }

  void slice(unsigned dim, DimShardingAttr wanted) {
    ElementRange range = getShare(mesh, place.coordinate, wanted, global.getDimSize(dim));
    create<SliceOp>(getType(dim, range.size()), value, dim, range.begin);
    dims[dim] = wanted;
  }

  OpBuilder &builder;
  Location loc;
  Value value;
  RankedTensorType global;
  const Mesh &mesh;
  RankPlace place;
  Attribute name;
  SmallVector<DimShardingAttr> dims; ///< how `value` lies by now
  SmallVector<StringAttr> partial;
  ReductionKind partialKind;
};

} // namespace

FailureOr<Value> cleave::lowerReshard(OpBuilder &builder, Location loc, Value local,
                                      RankedTensorType global, ShardingAttr from, ShardingAttr to,
                                      const Mesh &mesh, RankPlace place, Attribute name) {
  return ReshardLowering(builder, loc, local, global, from, mesh, place, name).run(to);
}
