// Rotary position embedding. The angles' cosines and sines are computed once a
// step (ropeTable) and shared by all heads and layers of the same parameters.
#pragma once

#include "runtime/kernels/part.h"

#include <cstdint>

namespace cleave::rt {

/// Fills a table of [tokens, rotaryDim] floats: row t has the rotaryDim / 2 cosines,
/// then the sines, of positions[t] * scale * base^(-2j / rotaryDim) / factors[j].
/// Angles are computed in double, so that position 131072 is as good as position 1.
struct RopeTableArgs {
  const int32_t *positions = nullptr; ///< [tokens]
  const float *factors = nullptr;     ///< [rotaryDim / 2], or null for ones
  float *table = nullptr;             ///< [tokens, rotaryDim]
  int64_t tokens = 0;
  int64_t rotaryDim = 0; ///< even
  float base = 10000;
  float scale = 1;
};

void ropeTable(const RopeTableArgs &args, Part part);

/// Which elements of a head make pair j.
enum class RopePairs {
  interleaved, ///< 2j and 2j + 1
  halves,      ///< j and j + rotaryDim / 2
};

/// Each head's pairs (a, b) become (a cos - b sin, a sin + b cos); elements of a head
/// from rotaryDim on are copied. y may be x itself.
struct RopeArgs {
  const float *x = nullptr;     ///< [tokens, heads * headDim]
  const float *table = nullptr; ///< as ropeTable fills it, for the same tokens
  float *y = nullptr;           ///< like x
  int64_t tokens = 0;
  int64_t heads = 0;
  int64_t headDim = 0;
  int64_t rotaryDim = 0; ///< even, at most headDim
  int64_t xStride = 0;   ///< in elements
  int64_t yStride = 0;
  RopePairs pairs = RopePairs::interleaved;
};

void rope(const RopeArgs &args, Part part);

} // namespace cleave::rt
