// Attention over plain queries, keys and values, with masks of any kind. What reads a
// language model's states is attention.h.
#pragma once

#include "runtime/kernels/part.h"

#include <cstdint>

namespace cleave::rt {

/// y = softmax(scale * q k^T + mask) v for each batch and head; query head j reads key head
/// (firstHead + j) / group. A query that sees no key gets zeros. All dense.
struct DotProductAttentionArgs {
  const float *q = nullptr;      ///< [batch, heads, queries, headDim]
  const float *k = nullptr;      ///< [batch, keyHeads, keys, headDim]
  const float *v = nullptr;      ///< [batch, keyHeads, keys, valueDim]
  const float *mask = nullptr;   ///< what is added, or null
  const uint8_t *seen = nullptr; ///< which keys are seen (not 0), or null
  int64_t maskStrides[4] = {};   ///< of either, by batch, head, query and key; 0: repeated
  float *y = nullptr;            ///< [batch, heads, queries, valueDim]
  float *scratch = nullptr;      ///< of dotProductAttentionScratch() for each part
  int64_t batch = 0, heads = 0, keyHeads = 0, queries = 0, keys = 0;
  int64_t headDim = 0, valueDim = 0, group = 1, firstHead = 0;
  float scale = 1;
  float softcap = 0; ///< c: scores become c * tanh(score / c); 0: they stay
  bool causal = false;
  int64_t causalOffset = 0; ///< query i sees keys up to i + causalOffset
};

/// The bytes of scratch memory of one part, a multiple of 64.
int64_t dotProductAttentionScratch(int64_t headDim, int64_t valueDim);

void dotProductAttention(const DotProductAttentionArgs &args, Part part);

} // namespace cleave::rt
