// What cleave-propagate-shardings does, for passes that ask whether it would succeed.
#pragma once

#include "compiler/partition/explain.h"

namespace cleave {

/// Gives every value of a logical module with a mesh and splits a sharding; `provenance` is told
/// how each dim came to be cut. What is wrong with the splits is told in diagnostics at them.
mlir::LogicalResult propagateShardings(mlir::ModuleOp module, Provenance &provenance);

} // namespace cleave
