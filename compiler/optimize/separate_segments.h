// What cleave-separate-segments does, for importers: plans and annotations may name segments.
#pragma once

#include "mlir/IR/BuiltinOps.h"

namespace cleave {

/// Takes products with fused weights apart in a logical module; see the pass.
void separateSegments(mlir::ModuleOp module);

} // namespace cleave
