// From an open GGUF file to a logical module in the cleave dialect. Which ops a
// model consists of is in one file per family (families.h), found by the name of the
// architecture; the tokens' texts are vocabulary.h's.
#pragma once

#include "compiler/import/gguf/reader.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <string>
#include <vector>

namespace cleave::gguf {

/// A model in the logical form.
struct ImportedModel {
  mlir::OwningOpRef<mlir::ModuleOp> module;
  /// What the user should know but can live with: tensors that the module does not
  /// use, for example. Each begins with the file's path.
  std::vector<std::string> warnings;
};

/// Imports the model. Errors name the file and the key or tensor, with what was
/// found and what was expected. Loads the dialects that it needs.
llvm::Expected<ImportedModel> importModel(const File &file, mlir::MLIRContext &context);

/// The architectures that importModel knows, as `general.architecture` names them.
std::vector<llvm::StringRef> knownArchitectures();

} // namespace cleave::gguf
