// Phi 3 and 4: q, k and v in one matrix, gate and up in another, rotary pairs (j, j +
// rotary_dim / 2), and attention over a sliding window.
#include "compiler/import/gguf/decoder.h"
#include "compiler/import/gguf/families.h"

namespace cleave::gguf {

mlir::OwningOpRef<mlir::ModuleOp> importPhi3(ModelBuilder &model) {
  return importDecoder(model, {.ropeStyle = RopeStyle::Halves});
}

} // namespace cleave::gguf
