// Causal attention over the KV cache, fused: scores, softmax and the weighted sum
// of values, a block of keys at a time.
#pragma once

#include "runtime/kernels/part.h"
#include "runtime/program/element_type.h"

#include <algorithm>
#include <cstdint>

namespace cleave::rt {

/// Query row t sees keys 0..positions[t] of slot slots[t], or with a window other than 0
/// the last `window` of these; its head j reads key head (firstHead + j) / group:
///   y[t, j] = softmax(scale * q[t, j] . k[slot, 0..position, head]) v[slot, .., head].
/// The caller has made sure that slots and positions are inside the states and that
/// the last query head's key head is inside kvWidth. y does not overlap q.
struct AttentionArgs {
  const float *q = nullptr;                 ///< [tokens, heads * headDim]
  const void *k = nullptr;                  ///< panels (key_panels.h) of stateType
  const void *v = nullptr;                  ///< [slots, context, kvWidth] of stateType
  ElementType stateType = ElementType::f32; ///< f32 or f16
  const int32_t *slots = nullptr;           ///< [tokens]
  const int32_t *positions = nullptr;       ///< [tokens], each >= 0
  float *y = nullptr;                       ///< like q
  float *scratch = nullptr;                 ///< of attentionScratch() bytes, aligned to 64
  int64_t tokens = 0;
  int64_t heads = 0;
  int64_t headDim = 0;
  int64_t context = 0;
  int64_t kvWidth = 0;
  int64_t group = 1;
  int64_t firstHead = 0;
  int64_t qStride = 0; ///< in elements
  int64_t yStride = 0;
  float scale = 1;
  int64_t window = 0;
};

/// How many keys query row `token` sees.
inline int64_t keysSeen(const AttentionArgs &args, int64_t token) {
  const int64_t keys = int64_t{args.positions[token]} + 1;
  return args.window > 0 ? std::min(args.window, keys) : keys;
}

/// The bytes of scratch memory that attention() in up to `parts` parts needs, for any
/// tokens; of `args` it reads heads, headDim and context.
int64_t attentionScratch(const AttentionArgs &args, int parts);

/// Whether, by the sizes, parts of attention() may share the keys of a row and leave pieces
/// of its result in the scratch memory, for mergeAttention() to put together: where there
/// are a few tokens. Each part then reads one piece of memory, not its heads of all keys.
bool mayShareKeys(const AttentionArgs &args, int parts);

/// A row's result depends neither on the other rows nor on the number of parts.
void attention(const AttentionArgs &args, Part part);

/// To be called after all parts of attention() where these may share keys, in as many parts.
void mergeAttention(const AttentionArgs &args, Part part);

} // namespace cleave::rt
