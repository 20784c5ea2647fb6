// From an open ONNX file to a logical module in the cleave dialect: one function, `main`, with
// the graph's inputs and outputs. Which ops a node becomes is in one file per family (ops/),
// found by the node's domain and op type.
#pragma once

#include "compiler/import/onnx/model_file.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <map>
#include <string>
#include <vector>

namespace cleave::onnx {

struct ImportOptions {
  /// What symbolic dimensions of the file are: a number, another symbol, an expression.
  std::map<std::string, std::string> dims;
  /// Files (.npy or .pb) with the values of graph inputs, which are none then.
  std::map<std::string, std::string> values;
  /// Whether device annotations are read, and of which of several configurations.
  bool readsAnnotations = true;
  std::string configuration = {};
};

/// A model in the logical form.
struct ImportedModel {
  mlir::OwningOpRef<mlir::ModuleOp> module;
  /// What the user should know but can live with. Each begins with the file's path.
  std::vector<std::string> warnings;
};

/// Imports the model. Errors name the file and the node or tensor, with what was found and what
/// was expected. Loads the dialects that it needs.
llvm::Expected<ImportedModel> importModel(ModelFile &file, const ImportOptions &options,
                                          mlir::MLIRContext &context);

} // namespace cleave::onnx
