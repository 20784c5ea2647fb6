// Qwen 2 and 2.5 (dense): biases on q, k and v; rotary pairs are (j, j + rotary_dim / 2).
#include "compiler/import/gguf/decoder.h"
#include "compiler/import/gguf/families.h"

namespace cleave::gguf {

mlir::OwningOpRef<mlir::ModuleOp> importQwen2(ModelBuilder &model) {
  return importDecoder(model, {.ropeStyle = RopeStyle::Halves});
}

} // namespace cleave::gguf
