// What cleave-verify-sharded checks, for passes that start from it. Defined in
// verify_sharded.cpp.
#pragma once

#include "mlir/IR/BuiltinOps.h"

namespace cleave {

/// Arguments and results of ops have shardings that fit their types and the mesh.
mlir::LogicalResult verifyShardings(mlir::ModuleOp module);

/// The module is in the sharded form: besides, ops find their operands as their rules
/// ask, weights and states lie as declared, and stages meet only at transfers.
mlir::LogicalResult verifyShardedForm(mlir::ModuleOp module);

} // namespace cleave
