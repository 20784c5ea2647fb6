// What one op makes of the shardings around it: over which axes each of its factors is
// cut, how it therefore needs its operands, and what its results are.
#pragma once

#include "compiler/partition/cut_analysis.h"

namespace cleave {

using Axes = llvm::SmallVector<mlir::StringAttr, 2>;

struct OpSharding {
  llvm::SmallVector<Axes, 6> factors;
  llvm::SmallVector<ShardingAttr, 4> operands; ///< what the op needs
  llvm::SmallVector<ShardingAttr, 1> results;  ///< what it gives
};

/// Whether some elements are in several shares. Where an op reduces over such a dim, each
/// share gives a part, and what is in two of them would count twice: so it is not cut there.
bool overlaps(DimShardingAttr dim);

/// The sharding of an op of which `current` tells how operands and results lie (null:
/// not known yet). A weight decides for the factors it has, since it cannot be moved at
/// run time; then results; then other operands. Emits an error where a weight's sharding
/// is none that the op can work with.
mlir::FailureOr<OpSharding> getOpSharding(ShardingRuleOpInterface op, CutAnalysis &cuts,
                                          llvm::function_ref<ShardingAttr(mlir::Value)> current);

} // namespace cleave
