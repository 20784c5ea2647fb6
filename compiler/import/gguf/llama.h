// The llama family: decoders with grouped-query attention, rotary positions,
// RMS norms and a gated feed-forward block (Llama 1 to 3, Mistral, and others
// that say `general.architecture` = llama).
#pragma once

#include "compiler/import/gguf/model_builder.h"

namespace cleave::gguf {

/// Builds the module in `model`, whose errors it leaves there: null after one.
mlir::OwningOpRef<mlir::ModuleOp> importLlama(ModelBuilder &model);

} // namespace cleave::gguf
