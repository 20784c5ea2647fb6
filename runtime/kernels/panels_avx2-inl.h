// What kernels with AVX2 share: a group of rows as two vectors, and sums for many tokens. To be
// included as panels-inl.h is.
#pragma once

#include "runtime/kernels/panels-inl.h"

#include <immintrin.h>

#include <cstring>

namespace cleave::rt {
namespace {

/// Rows of a vector, and vectors of a group.
constexpr int64_t halfRows = 8;
constexpr int halves = groupRows / halfRows;

/// As panels-inl.h has them, of one group; registers are for the integer sums of a chunk, so these
/// wait in memory, which takes one access a chunk.
template <int R, int T> struct MemorySums {
  static_assert(R == 1);
  alignas(32) float of[T][groupRows];

  void clear() {
    for (int t = 0; t < T; ++t)
      for (int half = 0; half < halves; ++half)
        set(t, half, _mm256_setzero_ps());
  }
  void read(const float *y, int64_t stride, int64_t rows) {
    if (rows < groupRows)
      clear();
    for (int t = 0; t < T; ++t, y += stride)
      if (rows >= groupRows)
        for (int half = 0; half < halves; ++half)
          set(t, half, _mm256_loadu_ps(y + half * halfRows));
      else
        std::memcpy(of[t], y, rows * sizeof(float));
  }
  void write(float *y, int64_t stride, int64_t rows) const {
    for (int t = 0; t < T; ++t, y += stride)
      if (rows >= groupRows)
        for (int half = 0; half < halves; ++half)
          _mm256_storeu_ps(y + half * halfRows, get(t, half));
      else
        std::memcpy(y, of[t], rows * sizeof(float));
  }

  __m256 get(int t, int half) const { return _mm256_load_ps(of[t] + half * halfRows); }
  void set(int t, int half, __m256 sum) { _mm256_store_ps(of[t] + half * halfRows, sum); }
};

} // namespace
} // namespace cleave::rt
