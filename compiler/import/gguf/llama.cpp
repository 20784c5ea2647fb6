// The llama family: Llama 1 to 3, Mistral, and others that say `general.architecture` =
// llama. The converter has interleaved the rows of q and k, so that a rotary pair is
// (2j, 2j + 1).
#include "compiler/import/gguf/decoder.h"
#include "compiler/import/gguf/families.h"

namespace cleave::gguf {

mlir::OwningOpRef<mlir::ModuleOp> importLlama(ModelBuilder &model) {
  return importDecoder(model, {.ropeStyle = RopeStyle::Interleaved});
}

} // namespace cleave::gguf
