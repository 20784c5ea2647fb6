// Arithmetic of mesh coordinates.
#include "compiler/partition/mesh.h"

using namespace mlir;
using namespace cleave;

Mesh::Mesh(MeshOp op) : sizes(op.getSizes()) {
  for (Attribute axis : op.getAxes())
    axes.push_back(cast<StringAttr>(axis));
}

Mesh Mesh::of(ModuleOp module) {
  auto ops = module.getOps<MeshOp>();
  return ops.empty() ? Mesh() : Mesh(*ops.begin());
}

int64_t Mesh::getNumCoordinates() const {
  return getNumShares(axes);
}

std::optional<int64_t> Mesh::getAxisSize(StringAttr axis) const {
  auto it = llvm::find(axes, axis);
  if (it == axes.end())
    return std::nullopt;
  return sizes[it - axes.begin()];
}

int64_t Mesh::getNumShares(ArrayRef<StringAttr> names) const {
  int64_t shares = 1;
  for (StringAttr axis : names)
    shares *= *getAxisSize(axis);
  return shares;
}

SmallVector<int64_t> Mesh::getPlace(int64_t coordinate) const {
  SmallVector<int64_t> place(sizes.size());
  for (size_t axis = sizes.size(); axis-- > 0; coordinate /= sizes[axis])
    place[axis] = coordinate % sizes[axis];
  return place;
}

int64_t Mesh::getShareIndex(int64_t coordinate, ArrayRef<StringAttr> names) const {
  SmallVector<int64_t> place = getPlace(coordinate);
  int64_t index = 0;
  for (StringAttr axis : names) {
    size_t number = llvm::find(axes, axis) - axes.begin();
    index = index * sizes[number] + place[number];
  }
  return index;
}

SmallVector<int64_t> Mesh::getGroup(int64_t coordinate, ArrayRef<StringAttr> names) const {
  SmallVector<int64_t> home = getPlace(coordinate);
  SmallVector<int64_t> group(getNumShares(names));
  for (int64_t other = 0, end = getNumCoordinates(); other < end; ++other) {
    SmallVector<int64_t> place = getPlace(other);
    bool member = true;
    for (size_t axis = 0; axis < axes.size(); ++axis)
      member &= place[axis] == home[axis] || llvm::is_contained(names, axes[axis]);
    if (member)
      group[getShareIndex(other, names)] = other;
  }
  return group;
}

Location cleave::getAxisLoc(MeshOp mesh, StringAttr axis) {
  auto fused = dyn_cast<FusedLoc>(mesh.getLoc());
  size_t number = llvm::find(mesh.getAxes(), axis) - mesh.getAxes().begin();
  if (fused && fused.getLocations().size() == mesh.getAxes().size() &&
      number < mesh.getAxes().size())
    return fused.getLocations()[number];
  return mesh.getLoc();
}

ElementRange cleave::getShare(const Mesh &mesh, int64_t coordinate, DimShardingAttr dim,
                              int64_t size) {
  if (!dim.isSplit())
    return {0, size};
  int64_t index = mesh.getShareIndex(coordinate, dim.getAxes());
  if (dim.hasRanges())
    return {dim.getRanges()[2 * index], dim.getRanges()[2 * index + 1]};
  int64_t share = size / mesh.getNumShares(dim.getAxes());
  return {index * share, (index + 1) * share};
}
