// What each rank of a partitioned program holds, computes and communicates.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/raw_ostream.h"

namespace cleave {

/// Prints of the verified rank form: how ranks are numbered; what each stage computes; for
/// each rank its bytes of weights, bytes of cache per token and operations per token, and
/// each kind of communication with its count and its bytes per token; then what is replicated
/// over ranks or stages, and which shares are empty. Ranks and weights that are alike share
/// a line.
void printReport(mlir::ModuleOp module, llvm::raw_ostream &os);

/// The same as one JSON object, each rank and each weight for itself; docs/report.md lists
/// the keys.
void printJsonReport(mlir::ModuleOp module, llvm::raw_ostream &os);

} // namespace cleave
