// What a change of sharding is on one rank: collectives and local slices.
#pragma once

#include "compiler/partition/reshard_plan.h"

#include "mlir/IR/Builders.h"

namespace cleave {

/// A rank: its stage and its coordinate on the mesh.
struct RankPlace {
  int64_t stage;
  int64_t coordinate;

  int64_t getRank(const Mesh &mesh) const { return stage * mesh.getNumCoordinates() + coordinate; }
};

/// The type of a value on one coordinate. Run-time sizes that are split are named as shares.
mlir::RankedTensorType getLocalType(mlir::RankedTensorType global, ShardingAttr sharding,
                                    const Mesh &mesh, int64_t coordinate);

/// Builds, at the builder's place, what turns `local`, this rank's part of a value of type
/// `global` sharded as `from`, into its part under `to`: the planner's steps. `name` is given
/// to the ops. Fails, with an error at `loc`, where there is no way from `from` to `to`.
mlir::FailureOr<mlir::Value> lowerReshard(mlir::OpBuilder &builder, mlir::Location loc,
                                          mlir::Value local, mlir::RankedTensorType global,
                                          ShardingAttr from, ShardingAttr to,
                                          ReshardPlanner &planner, RankPlace place,
                                          mlir::Attribute name);

} // namespace cleave
