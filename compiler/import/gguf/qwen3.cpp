// Qwen 3, dense and with experts: as Qwen 2 without biases, with a norm over each head of q and k,
// and heads whose size is a number of its own (`attention.key_length`).
#include "compiler/import/gguf/decoder.h"
#include "compiler/import/gguf/families.h"

namespace cleave::gguf {

mlir::OwningOpRef<mlir::ModuleOp> importQwen3(ModelBuilder &model) {
  return importDecoder(model, {.ropeStyle = RopeStyle::Halves, .headNorms = true});
}

} // namespace cleave::gguf
