// The mesh as the partitioning passes use it: coordinates, rank numbers, groups.
#pragma once

#include "dialect/dialect.h"

#include "mlir/IR/BuiltinOps.h"

namespace cleave {

/// The ranks of one pipeline stage on named axes, the last axis varying fastest.
class Mesh {
public:
  /// A mesh without axes: one coordinate.
  Mesh() = default;
  explicit Mesh(MeshOp op);
  Mesh(llvm::ArrayRef<mlir::StringAttr> axes, llvm::ArrayRef<int64_t> sizes)
      : axes(axes), sizes(sizes) {}
  /// The module's mesh, or one without axes where it declares none.
  static Mesh of(mlir::ModuleOp module);

  int64_t getNumCoordinates() const;
  llvm::ArrayRef<mlir::StringAttr> getAxes() const { return axes; }
  std::optional<int64_t> getAxisSize(mlir::StringAttr axis) const;

  /// The number of shares that a dim cut over `axes` has. The axes exist.
  int64_t getNumShares(llvm::ArrayRef<mlir::StringAttr> axes) const;

  /// Which of these shares falls to mesh coordinate number `coordinate`.
  int64_t getShareIndex(int64_t coordinate, llvm::ArrayRef<mlir::StringAttr> axes) const;

  /// The coordinate numbers that differ from `coordinate` in `axes` only, in the order
  /// of their shares.
  llvm::SmallVector<int64_t> getGroup(int64_t coordinate,
                                      llvm::ArrayRef<mlir::StringAttr> axes) const;

  /// The place on each axis, in the mesh's order.
  llvm::SmallVector<int64_t> getPlace(int64_t coordinate) const;

private:
  llvm::SmallVector<mlir::StringAttr> axes;
  llvm::SmallVector<int64_t> sizes;
};

/// Where the user gave the axis: the mesh's location holds a place for each, where a plan
/// made it.
mlir::Location getAxisLoc(MeshOp mesh, mlir::StringAttr axis);

/// The range of a dim of `size` elements that falls to mesh coordinate `coordinate`.
/// `size` is static.
ElementRange getShare(const Mesh &mesh, int64_t coordinate, DimShardingAttr dim, int64_t size);

} // namespace cleave
