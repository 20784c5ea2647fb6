// Where pipeline stages begin: from a plan's cuts, a number of stages, or the stages that
// ops in the module's own text name. All become `cleave.cut` ops, and their order is that
// of the ops.
#pragma once

#include "compiler/plan/plan.h"

#include "mlir/IR/BuiltinOps.h"

namespace cleave::plan {

/// A plan's place as MLIR's diagnostics carry it: tools can show its text. `location` is
/// part of a plan that outlives the module's diagnostics.
mlir::Location getMlirLocation(mlir::MLIRContext *context, const Location &location);

/// Puts a `cleave.cut` before the first op of each stage after the first. Errors, as
/// diagnostics: a cut that names nothing, cuts in another order than the model's, more
/// stages than there are places.
mlir::LogicalResult applyCuts(mlir::ModuleOp module, const Plan &plan);

/// Replaces `cleave.stage` attributes, which a logical module may carry, by cuts: ops are
/// brought into the order of their stages. An op without a stage has the latest of its
/// operands'. It is an error, as a diagnostic, where an op reads what a later stage makes,
/// or where a stage has no op.
mlir::LogicalResult cutAtStages(mlir::ModuleOp module);

} // namespace cleave::plan
