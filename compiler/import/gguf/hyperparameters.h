// The numbers of a decoder, as a GGUF file's metadata gives them.
#pragma once

#include "compiler/import/gguf/model_builder.h"

namespace cleave::gguf {

/// A mixture of experts; count 0 where there is none.
struct ExpertParameters {
  int64_t count = 0;
  int64_t used = 0; ///< for each token
  int64_t feedForward = 0;
  bool normalized = true; ///< the weights of a token's experts add up to `scale`
  float scale = 1;
};

struct Hyperparameters {
  int64_t blocks, embedding, feedForward, contextLength, vocabulary;
  int64_t heads, kvHeads, headDim;
  int64_t window; ///< how many rows a token attends to; 0 for all
  float epsilon;
  int64_t rotaryDim;
  float ropeBase, ropeScale;
  ExpertParameters experts;

  int64_t group() const { return heads / kvHeads; }
  int64_t width() const { return heads * headDim; }
  int64_t kvWidth() const { return kvHeads * headDim; }
};

/// Reads and checks them. Keys and values for absent keys: GGUF's specification and
/// llama.cpp. Errors stay in `model`; the numbers are harmless after one.
Hyperparameters readHyperparameters(ModelBuilder &model);

/// Of them, those of experts. `feedForward` is an ordinary block's width.
ExpertParameters readExperts(ModelBuilder &model, int64_t feedForward);

} // namespace cleave::gguf
