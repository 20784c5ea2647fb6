// A rank's module as the engine has it in memory: its program and its weights.
#pragma once

#include "compiler/lower/weight_source.h"
#include "runtime/engine/evaluate.h"

namespace cleave {

/// Builds the program of the rank that `module` is, one of `ranks`, and reads its weights. Errors,
/// also where the weights do not fit this machine's memory, are diagnostics.
mlir::FailureOr<rt::RankInMemory> loadRank(mlir::ModuleOp module, int64_t ranks,
                                           WeightSources &sources);

} // namespace cleave
