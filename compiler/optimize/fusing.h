// What passes share that put one op in the place of several.
#pragma once

#include "dialect/dialect.h"

namespace cleave {

/// The names in the model of the ops that a fused op will stand for; null where none has one.
mlir::ArrayAttr getNames(llvm::ArrayRef<mlir::Operation *> ops);

/// The locations of all.
mlir::Location getFusedLoc(llvm::ArrayRef<mlir::Operation *> ops);

/// Whether `value` is there before `op`, of the same block, or can be: a weight is in reach
/// everywhere, wherever its `use` stands.
bool canStandBefore(mlir::Value value, mlir::Operation *op);

/// Puts the `use` that gives such a value before `op`, if it is one that stands behind.
void bringBefore(mlir::Value value, mlir::Operation *op);

} // namespace cleave
