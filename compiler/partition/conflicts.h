// What the user asked for and cannot have, told with all annotations that bear on it.
#pragma once

#include "compiler/partition/explain.h"

namespace cleave {

/// The weight whose split made a dim be cut, or null where another value's sharding did.
WeightOp findOrigin(mlir::ModuleOp module, DimKey key, const Provenance &provenance);

/// Checks a module whose values have their shardings: each axis of the mesh cuts something,
/// and what cannot be moved at run time, weights and states, lies as its readers need it.
/// Errors are diagnostics at the annotations, which `provenance` leads back to.
mlir::LogicalResult checkSplits(mlir::ModuleOp module, CutAnalysis &cuts,
                                const Provenance &provenance);

} // namespace cleave
