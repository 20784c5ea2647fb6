// The decoder that the model families share: blocks of grouped-query attention with rotary
// positions and a feed-forward block, each behind an RMS norm and beside a residual. A
// family says how its own differs.
#pragma once

#include "compiler/import/gguf/model_builder.h"

namespace cleave::gguf {

/// What the architecture's name alone tells. All else is in the file: whether there are
/// biases, whether the output is tied to the embedding, whether matrices are fused.
struct DecoderFamily {
  RopeStyle ropeStyle = RopeStyle::Interleaved;
  /// Queries and keys are normalized head by head before they turn (`attn_q_norm` and
  /// `attn_k_norm`).
  bool headNorms = false;
};

/// Builds the module in `model`, whose errors it leaves there: null after one.
mlir::OwningOpRef<mlir::ModuleOp> importDecoder(ModelBuilder &model, const DecoderFamily &family);

} // namespace cleave::gguf
