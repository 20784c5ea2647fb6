// How partition-tool shows diagnostics: with the line of the file or flag that they are
// about, and without MLIR's internals.
#pragma once

#include "mlir/IR/Diagnostics.h"

namespace cleave {

/// Prints the diagnostics of `context` on standard error as long as it lives. Places in
/// `sources`, in files that can be opened and in plans are shown with a caret.
class DiagnosticPrinter {
public:
  DiagnosticPrinter(llvm::SourceMgr &sources, mlir::MLIRContext &context);

  /// Whether the first error ends the tool, with status 1. So it is while a file is parsed:
  /// MLIR 19's parser can crash when it takes down what it has read of an invalid module
  /// (an op outside a function that refers to a value inside it).
  void setEndsAtError(bool ends) { endsAtError = ends; }

private:
  void print(mlir::Location loc, mlir::DiagnosticSeverity severity, const llvm::Twine &message);

  bool endsAtError = false;
  mlir::SourceMgrDiagnosticHandler located;
  mlir::ScopedDiagnosticHandler handler;
};

} // namespace cleave
