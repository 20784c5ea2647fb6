// What cleave-separate-segments does, for importers: plans and annotations may name segments.
#pragma once

#include "dialect/dialect.h"

namespace cleave {

/// An op of which each segment has one of its own now: it is gone.
struct TakenApart {
  const mlir::Operation *op;
  /// Where the segments lay in its result.
  unsigned dim;
  llvm::SmallVector<ElementRange, 3> segments;
};

/// Takes products with fused weights apart in a logical module; see the pass.
llvm::SmallVector<TakenApart> separateSegments(mlir::ModuleOp module);

} // namespace cleave
