// Why a weight, state or value is sharded as it is, and what is communicated around it.
#pragma once

#include "compiler/partition/cut_analysis.h"
#include "compiler/passes.h"

#include "llvm/Support/raw_ostream.h"

namespace cleave {

/// How a dim came to be cut: an op has a factor in common with a dim that was cut before.
struct CutReason {
  mlir::Operation *op;
  unsigned factor;
  DimKey from;
  std::string fromName; ///< "weight 'w'" or "'x'"
};

/// Why values lie as they do. Holders are those of the module that was propagated and is
/// explained.
struct Provenance {
  /// Of the dims that propagation cut; those that were cut to begin with are not in it.
  llvm::DenseMap<DimKey, CutReason> reasons;
  /// What the module itself says of values that are no weights.
  llvm::DenseMap<const void *, ShardingAttr> asked;
};

/// cleave-propagate-shardings, which also fills `provenance`.
std::unique_ptr<mlir::Pass> createPropagateShardingsPass(Provenance &provenance);

/// What messages call a value: its weight or state, or the op that gives it.
std::string describeHolder(mlir::Value value);

/// Prints for each weight, state, op, input or output of that name in `module`, which is in
/// the sharded form: its sharding, what gave it, each rank's part, and the collectives at an
/// op's operands and results. Fails, without a message, where nothing has the name.
mlir::LogicalResult explain(mlir::ModuleOp module, llvm::StringRef name,
                            const Provenance &provenance, llvm::raw_ostream &os);

/// For the message that nothing has a name: "; the nearest name is that of op 'x'", or what
/// begins with it.
std::string suggestName(mlir::ModuleOp module, llvm::StringRef name);

} // namespace cleave
