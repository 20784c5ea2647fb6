// The model families, a file each: a new one is a file beside theirs, a line here, and a line
// in import.cpp's table.
#pragma once

#include "compiler/import/gguf/model_builder.h"

namespace cleave::gguf {

/// Each builds the module in `model`, whose errors it leaves there: null after one.
mlir::OwningOpRef<mlir::ModuleOp> importLlama(ModelBuilder &model);
mlir::OwningOpRef<mlir::ModuleOp> importPhi3(ModelBuilder &model);
mlir::OwningOpRef<mlir::ModuleOp> importQwen2(ModelBuilder &model);
mlir::OwningOpRef<mlir::ModuleOp> importQwen3(ModelBuilder &model);

} // namespace cleave::gguf
