// What each rank of a partitioned program holds, computes and communicates.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/raw_ostream.h"

namespace cleave {

/// Prints, for each rank of the verified rank form: stage and coordinate, bytes of weights,
/// bytes of cache per token, operations per token (multiplications and additions of
/// the matrix products), and each kind of collective with its count and its bytes per
/// token; then what is replicated over ranks and which shares are empty.
void printReport(mlir::ModuleOp module, llvm::raw_ostream &os);

} // namespace cleave
