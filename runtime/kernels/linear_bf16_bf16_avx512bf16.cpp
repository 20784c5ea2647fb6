// Many tokens in bf16 times weights of bf16, with the AVX-512 instruction for that: products are
// exact, pairs of them are summed in f32.
#include "runtime/kernels/cpu_features.h"
#include "runtime/kernels/linear.h"
#include "runtime/kernels/quantize.h"
#include "runtime/program/layout.h"

#if defined(__x86_64__)

#include <hwy/base.h>
#include <immintrin.h>

#include <algorithm>
#include <cstring>

// After all includes, so that no function of a header is compiled for AVX-512.
HWY_PUSH_ATTRIBUTES("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma")

#include "runtime/kernels/panels_avx512-inl.h"

namespace cleave::rt {
namespace {

/// Many tokens, as panels-inl.h has them: a panel is the weight's own bytes.
struct ManyTokens {
  static constexpr int tokens = 12, groups = 2;
  static constexpr int64_t panelColumns = 1024, tileTokens = 528, tileColumns = 3072;

  template <int R, int T> using Sums = RegisterSums<R, T>;
  template <int R> struct Panel {
    const uint8_t *groups[R];
  };

  static int64_t bytesOf(int64_t columns) { return columns * 2 * groupRows; }

  template <int R> static void load(Panel<R> &panel, int r, const uint8_t *at, int64_t) {
    panel.groups[r] = at;
  }

  template <int R, int T>
  __attribute__((always_inline)) static void add(const LinearArgs &args, const Panel<R> &panel,
                                                 int64_t column, int64_t end, int64_t token,
                                                 RegisterSums<R, T> &sums) {
    const int64_t rowBytes = bf16RowBytes(args.inputs);
    const std::byte *x = args.quantized + token * rowBytes + column * 2;
    for (int64_t j = 0; j < end - column; j += 2) {
      // A line of each of the tokens that come next.
      if (j % 32 == 0)
#pragma GCC unroll 12
        for (int t = 0; t < T; ++t)
          __builtin_prefetch(x + (T + t) * rowBytes + j * 2, 0, 3);
      __m512bh weights[R];
#pragma GCC unroll 2
      for (int r = 0; r < R; ++r)
        weights[r] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(panel.groups[r] + bytesOf(j)));
#pragma GCC unroll 12
      for (int t = 0; t < T; ++t) {
        int32_t pair;
        std::memcpy(&pair, x + t * rowBytes + j * 2, sizeof(pair));
        const auto values = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
#pragma GCC unroll 2
        for (int r = 0; r < R; ++r)
          sums.of[r][t] = _mm512_dpbf16_ps(sums.of[r][t], weights[r], values);
      }
    }
  }
};

} // namespace
} // namespace cleave::rt

HWY_POP_ATTRIBUTES

namespace cleave::rt {

LinearKernel linear_bf16_bf16_avx512bf16() {
  return cpuFeatures().avx512Bf16 ? multiplyAll<ManyTokens> : nullptr;
}

} // namespace cleave::rt

#else

namespace cleave::rt {
LinearKernel linear_bf16_bf16_avx512bf16() {
  return nullptr;
}
} // namespace cleave::rt

#endif
