// What layer norm and rms norm share in the way that graphs spell them.
#pragma once

#include "compiler/optimize/spelling.h"

namespace cleave {

/// x divided by the root of a mean of squares.
struct Normalized {
  mlir::Value x;       ///< what is divided
  mlir::Value squared; ///< whose squares' mean is taken
  int64_t dims;        ///< how many last dimensions it is over
  double epsilon;      ///< what is added to the mean
  llvm::SmallVector<mlir::Operation *, 8> ops;
};

/// Takes a division or multiplication apart; `op` is its op. Nothing where it is no such.
std::optional<Normalized> getNormalized(mlir::Operation *op);

/// Whether `value` is the mean of `x` over its last `dims` dimensions, which stay.
bool isMean(mlir::Value value, mlir::Value x, int64_t dims);

} // namespace cleave
