// Whether partitioned programs compute what the model computes: both are run, on the same
// random inputs, in this process.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/raw_ostream.h"

namespace cleave {

/// Runs each entry of `whole`, a verified rank form of one rank, and of `ranks`, the
/// verified rank form to check, and prints for each output the largest difference beside
/// the tolerance. Fails, with an error that names the first op where they part, when an
/// output differs by more; also when one is missing, and when a program cannot be run.
///
/// Weights are dequantized exactly and states are f32, so that the two differ in the order
/// of their sums only. A sum of n terms of random sign is as large as sqrt(n) of them, and
/// so are the partial sums on the way, each rounded by at most u = 2^-24 of itself. Such
/// errors behave like random ones (Higham and Mary, 2019): together they move the sum by
/// about sqrt(n) u of itself, and one sum after another by sqrt(n1 + n2 + ...) u. The
/// tolerance is 16 times that, with the n of all ops that come before a value, of its
/// largest magnitude: for two programs, the largest of many elements, and functions that
/// enlarge errors a little.
mlir::LogicalResult checkRanks(mlir::ModuleOp whole, mlir::ModuleOp ranks, llvm::raw_ostream &os);

} // namespace cleave
