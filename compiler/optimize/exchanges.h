// Which communication ops of different ranks meet: the passes on the rank form change
// communication on all ranks that take part, or on none.
#pragma once

#include "dialect/dialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

#include <map>

namespace cleave {

/// The ops by which ranks exchange values once: a send and its receive, or a collective's
/// op on each member, in the group's order.
using Exchange = llvm::SmallVector<mlir::Operation *, 4>;

/// One entry on the ranks that have it, by their numbers.
using EntryOfRanks = std::map<int64_t, mlir::func::FuncOp>;

/// The entries of the rank modules in `module`, by name. None where a function is not one
/// block, as the rank form asks.
std::map<std::string, EntryOfRanks> findEntries(mlir::ModuleOp module);

/// All exchanges of an entry. Failure, without a diagnostic, where the ranks' communication
/// does not fit together: a pass then leaves it to cleave-verify-ranks to say why.
mlir::FailureOr<std::vector<Exchange>> findExchanges(EntryOfRanks &entry);

} // namespace cleave
