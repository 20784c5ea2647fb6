// The second half of cleave-verify-ranks: what the ranks' values are, once it is known
// how their communication meets. Defined in verify_partials.cpp.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

#include <map>

namespace cleave {

/// Proves, for ranks whose communication fits together, that they compute the parts of
/// one logical program: no partial sum is read as a whole value or added up twice,
/// collectives join the shares of one value at their places, and what ranks return is
/// whole and the same. `ranks` are the ranks' modules, `entries` their functions by name
/// and rank. Emits an error that names the op and, for a partial sum, the weight whose cut
/// made it one.
mlir::LogicalResult
verifyPartials(const std::map<int64_t, mlir::ModuleOp> &ranks,
               const std::map<std::string, std::map<int64_t, mlir::func::FuncOp>> &entries);

} // namespace cleave
