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

/// The same as one JSON object. Keys: `ranks`, a list of `rank`, `stage`, `coordinate`,
/// `weight_bytes`, `cache_bytes_per_token`, `operations_per_token` and `communication` (a
/// list of `op`, `count`, `bytes_per_token`); `weights`, of `bytes`, `copied_bytes`,
/// `copies` (a list of `name`, `ranks`, `copied_bytes`) and `empty_shares` (a list of
/// `name`, `ranks`, `empty_ranks`).
void printJsonReport(mlir::ModuleOp module, llvm::raw_ostream &os);

} // namespace cleave
