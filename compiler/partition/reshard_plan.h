// Which collectives and local slices make one sharding of a value into another, chosen by
// cost. What each of them is on a rank is reshard_lowering.h's.
#pragma once

#include "compiler/partition/mesh.h"

#include <map>

namespace cleave {

/// One collective or local slice of a reshard.
struct ReshardStep {
  /// From the simplest on: among plans of one cost and length the simpler one is taken.
  enum class Kind { slice, allReduce, allGather, reduceScatter, allToAll };

  Kind kind;
  /// The axes over which the ranks of one group differ; none for a slice.
  llvm::SmallVector<mlir::StringAttr, 2> axes;
  /// The dim that is sliced, joined (all_gather) or cut (reduce_scatter, all_to_all).
  unsigned dim = 0;
  /// The dim that all_to_all joins; it can be `dim`, which is then cut otherwise.
  unsigned joined = 0;
  /// How the value lies afterwards.
  ShardingAttr result;
};

using ReshardPlan = llvm::SmallVector<ReshardStep, 2>;

/// What a plan costs is counted in bytes: those that the rank with the most of them
/// receives when a ring of k ranks does each collective ((k-1)/k of the whole value for
/// all_gather and reduce_scatter, twice that for all_reduce, and for all_to_all what was
/// elsewhere), and for the log2 k rounds of
/// messages that wait for each other (twice for all_reduce) `roundBytes` each. A slice costs
/// nothing. A run-time dim is taken to have `assumedRunTimeSize` elements: between one token of a
/// generation and the hundreds of a prompt.
inline constexpr double roundBytes = 8192;
inline constexpr int64_t assumedRunTimeSize = 16;

/// Finds plans, each once. The mesh outlives it.
class ReshardPlanner {
public:
  explicit ReshardPlanner(const Mesh &mesh) : mesh(mesh) {}

  const Mesh &getMesh() const { return mesh; }

  /// The cheapest steps that make a value of type `global`, sharded as `from`, one that is
  /// sharded as `to`; among equally cheap ones the fewest, then the simplest. The last
  /// step's result is `to`; there is no step where every rank has its part already. Null
  /// where no steps do: `to` is partial over an axis over which `from` is not, or otherwise.
  /// Both shardings fit the type and the mesh (verifyShardings).
  const ReshardPlan *plan(mlir::RankedTensorType global, ShardingAttr from, ShardingAttr to);

private:
  const Mesh &mesh;
  std::map<std::array<const void *, 3>, std::optional<ReshardPlan>> plans;
};

} // namespace cleave
