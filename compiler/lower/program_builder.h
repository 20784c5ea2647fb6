// From a rank's module to the bytes of its program (runtime/program/program.fbs).
#pragma once

#include "dialect/dialect.h"
#include "runtime/program/layout.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringMap.h"

#include <cstdint>
#include <string>
#include <vector>

namespace cleave {

/// Where and how a weight lies in the rank's weight file.
struct WeightPlace {
  uint64_t offset = 0;
  uint64_t size = 0;
  Layout layout = Layout::rows;
};

/// Builds the program of the rank that `module` is, one of `ranks`. `places` has every
/// weight of the module. Fails, with an error at the op, where an op has no instruction.
mlir::FailureOr<std::vector<uint8_t>> buildProgram(mlir::ModuleOp module, int64_t ranks,
                                                   llvm::StringRef packageId,
                                                   const llvm::StringMap<WeightPlace> &places);

} // namespace cleave
