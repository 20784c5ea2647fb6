// The way of a model through the compiler.
#pragma once

#include "compiler/partition/explain.h"
#include "compiler/plan/plan.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace cleave {

/// The dialect's three forms.
enum class Form { logical, sharded, ranks };

/// The form that a module is in, by what stands in it.
Form getForm(mlir::ModuleOp module);

/// Takes `module` from `from` to `to`, with the verifier of each form it passes. `plan`
/// is for a logical module. Errors are diagnostics. `provenance`, if not null, is told how
/// dims came to be cut. What is made here is optimized if `optimize` says so: ops are found in
/// the way that graphs spell them, and ranks do less; ranks that were given stay as they were
/// written.
mlir::LogicalResult runPipeline(mlir::ModuleOp module, Form from, Form to, const plan::Plan &plan,
                                bool optimize, Provenance *provenance = nullptr);

/// The unpartitioned program of a logical module, whatever mesh, splits and cuts stand in
/// it: the rank form with one rank, not optimized. Null, with diagnostics, where there is none.
mlir::OwningOpRef<mlir::ModuleOp> makeWhole(mlir::ModuleOp logical);

} // namespace cleave
