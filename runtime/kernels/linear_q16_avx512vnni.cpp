// The linear_q16 kernels with AVX-512 VNNI, which multiplies pairs of 16 bits twice as fast as
// floats.
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
HWY_PUSH_ATTRIBUTES("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,f16c,fma")

#include "runtime/kernels/panels_avx512-inl.h"

namespace cleave::rt {
namespace {

/// 32 columns of 16 rows: lane r of values[g] is columns 2g and 2g + 1 of row r.
struct Chunk {
  __m512i values[16];
  __m512 scale;
};

constexpr int64_t chunkColumns = q8BlockLength;

// A weight type has
//   load(columns, g, first, second): columns 2g and 2g + 1 of a chunk;
//   largest(magnitudes): the larger of both columns, of elements as they lie there.

struct F16 {
  static void load(const uint8_t *columns, int g, __m512 &first, __m512 &second) {
    const auto *halves = reinterpret_cast<const __m256i *>(columns) + 2 * g;
    first = _mm512_cvtph_ps(_mm256_loadu_si256(halves));
    second = _mm512_cvtph_ps(_mm256_loadu_si256(halves + 1));
  }
  static __m512 largest(__m512i magnitudes) {
    return _mm512_cvtph_ps(_mm256_max_epu16(_mm512_castsi512_si256(magnitudes),
                                            _mm512_extracti64x4_epi64(magnitudes, 1)));
  }
};

/// Two columns are a unit.
struct BF16 {
  static __m512 first(__m512i pairs) { return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)); }
  static void load(const uint8_t *columns, int g, __m512 &first, __m512 &second) {
    const __m512i pairs = _mm512_loadu_si512(columns + 64 * g);
    first = BF16::first(pairs);
    second = _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(~0xffff)));
  }
  static __m512 largest(__m512i magnitudes) {
    return first(_mm512_max_epu16(magnitudes, _mm512_srli_epi32(magnitudes, 16)));
  }
};

template <class W> void loadChunk(const uint8_t *columns, Chunk &chunk) {
  // Magnitudes are ordered as their bits; an infinity or NaN stays one.
  __m512i largest = _mm512_setzero_si512();
  for (int g = 0; g < 16; ++g)
    largest = _mm512_max_epu16(
        largest, _mm512_and_si512(_mm512_loadu_si512(columns + 64 * g), _mm512_set1_epi16(0x7fff)));
  const __m512 maximum = W::largest(largest);
  // What this makes infinite or NaN becomes an integer whose low 16 bits are zero.
  const __m512 inverse = _mm512_div_ps(_mm512_set1_ps(q16Largest), maximum);
  chunk.scale = _mm512_mul_ps(maximum, _mm512_set1_ps(1.0f / q16Largest));
#pragma GCC unroll 4
  for (int g = 0; g < 16; ++g) {
    __m512 first, second;
    W::load(columns, g, first, second);
    chunk.values[g] = _mm512_mask_blend_epi16(
        0xaaaaaaaau, _mm512_cvtps_epi32(_mm512_mul_ps(first, inverse)),
        _mm512_slli_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(second, inverse)), 16));
  }
}

/// Many tokens, as panels-inl.h has them.
template <class W> struct ManyTokens {
  static constexpr int tokens = 6, groups = 2;
  static constexpr int64_t panelColumns = 1024, tileTokens = 516, tileColumns = 3072;

  template <int R, int T> using Sums = RegisterSums<R, T>;
  template <int R> struct Panel {
    Chunk chunks[R][panelColumns / chunkColumns];
  };

  static int64_t bytesOf(int64_t columns) { return columns * 2 * groupRows; }

  template <int R> static void load(Panel<R> &panel, int r, const uint8_t *at, int64_t columns) {
    for (int64_t c = 0; c < columns / chunkColumns; ++c)
      loadChunk<W>(at + bytesOf(c * chunkColumns), panel.chunks[r][c]);
  }

  template <int R, int T>
  __attribute__((always_inline)) static void add(const LinearArgs &args, const Panel<R> &panel,
                                                 int64_t column, int64_t end, int64_t token,
                                                 RegisterSums<R, T> &acc) {
    const int64_t rowBytes = q16RowBytes(args.inputs);
    const std::byte *x = args.quantized + token * rowBytes;
    const std::byte *xScales = x + q16ScalesOffset(args.inputs);
    const int64_t first = column / chunkColumns, last = end / chunkColumns;
    for (int64_t b = first; b < last; ++b) {
      __m512i sums[R][T];
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
        for (int r = 0; r < R; ++r)
          sums[r][t] = _mm512_setzero_si512();
#pragma GCC unroll 16
      for (int g = 0; g < 16; ++g) {
        __m512i weights[R];
#pragma GCC unroll 2
        for (int r = 0; r < R; ++r)
          weights[r] = panel.chunks[r][b - first].values[g];
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t) {
          int32_t pair;
          std::memcpy(&pair, x + t * rowBytes + b * chunkColumns * 2 + 4 * g, sizeof(pair));
          const __m512i values = _mm512_set1_epi32(pair);
#pragma GCC unroll 2
          for (int r = 0; r < R; ++r)
            sums[r][t] = _mm512_dpwssd_epi32(sums[r][t], weights[r], values);
        }
      }
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) {
        float scale;
        std::memcpy(&scale, xScales + t * rowBytes + b * 4, sizeof(scale));
#pragma GCC unroll 2
        for (int r = 0; r < R; ++r)
          acc.of[r][t] = _mm512_fmadd_ps(
              _mm512_cvtepi32_ps(sums[r][t]),
              _mm512_mul_ps(panel.chunks[r][b - first].scale, _mm512_set1_ps(scale)), acc.of[r][t]);
      }
    }
  }
};

} // namespace
} // namespace cleave::rt

HWY_POP_ATTRIBUTES

#endif

cleave::rt::LinearKernel cleave::rt::linear_q16_avx512vnni([[maybe_unused]] ElementType weight) {
#if defined(__x86_64__)
  if (cpuFeatures().avx512Vnni && weight == ElementType::f16)
    return multiplyAll<ManyTokens<F16>>;
  if (cpuFeatures().avx512Vnni && weight == ElementType::bf16)
    return multiplyAll<ManyTokens<BF16>>;
#endif
  return nullptr;
}
