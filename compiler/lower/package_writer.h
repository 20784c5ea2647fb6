// From verified rank modules to a package: a folder with the manifest, the tokenizer,
// and every rank's module, program and weights.
#pragma once

#include "mlir/IR/BuiltinOps.h"

#include <string>

namespace cleave {

/// Writes the package of the ranks in `module` (rank form, verified) to the folder `path`.
/// The folder appears whole or not at all: everything is written beside it under a
/// temporary name first. What stands at `path` is replaced if it is a package, or an
/// empty folder, and refused otherwise. The same module and weights give the same bytes.
/// Errors and warnings are diagnostics.
mlir::LogicalResult writePackage(mlir::ModuleOp module, const std::string &path);

} // namespace cleave
