// What kernels of many tokens with AVX-512 share: sums that stay in registers. To be included as
// panels-inl.h is.
#pragma once

#include "runtime/kernels/panels-inl.h"

#include <immintrin.h>

namespace cleave::rt {
namespace {

/// As panels-inl.h has them: of[r][t] are those of group r and token t.
template <int R, int T> struct RegisterSums {
  __m512 of[R][T];

  /// Which rows of group r there are.
  static __mmask16 mask(int64_t rows, int r) {
    return static_cast<__mmask16>((1u << std::clamp<int64_t>(rows - r * groupRows, 0, groupRows)) -
                                  1);
  }

  __attribute__((always_inline)) void clear() {
#pragma GCC unroll 2
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 12
      for (int t = 0; t < T; ++t)
        of[r][t] = _mm512_setzero_ps();
  }
  __attribute__((always_inline)) void read(const float *y, int64_t stride, int64_t rows) {
#pragma GCC unroll 2
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 12
      for (int t = 0; t < T; ++t)
        of[r][t] = _mm512_maskz_loadu_ps(mask(rows, r), y + t * stride + r * groupRows);
  }
  __attribute__((always_inline)) void write(float *y, int64_t stride, int64_t rows) const {
#pragma GCC unroll 2
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 12
      for (int t = 0; t < T; ++t)
        _mm512_mask_storeu_ps(y + t * stride + r * groupRows, mask(rows, r), of[r][t]);
  }
};

} // namespace
} // namespace cleave::rt
