// The linear_q16 kernels with AVX2, FMA and F16C, which multiply and sum pairs of 16 bits almost
// twice as fast as floats.
#include "runtime/kernels/cpu_features.h"
#include "runtime/kernels/linear.h"
#include "runtime/kernels/quantize.h"
#include "runtime/program/layout.h"

#if defined(__x86_64__)

#include <hwy/base.h>
#include <immintrin.h>

#include <algorithm>
#include <cstring>

// After all includes, so that no function of a header is compiled for AVX2.
HWY_PUSH_ATTRIBUTES("avx2,fma,f16c")

#include "runtime/kernels/panels_avx2-inl.h"

namespace cleave::rt {
namespace {

/// 32 columns of 8 rows: lane r of values[g] is columns 2g and 2g + 1 of row r.
struct Chunk {
  __m256i values[16];
  __m256 scale;
};

constexpr int64_t chunkColumns = q8BlockLength;

// A weight type has, for the 8 rows of a half of a group,
//   load(columns, half, g, first, second): columns 2g and 2g + 1 of a chunk;
//   largest(columns, half): the largest magnitude of each row. Magnitudes are ordered as their
//     bits, an infinity or NaN above all numbers.

struct F16 {
  static __m128i columnAt(const uint8_t *columns, int half, int j) {
    return _mm_loadu_si128(
        reinterpret_cast<const __m128i *>(columns + (j * groupRows + half * halfRows) * 2));
  }
  static void load(const uint8_t *columns, int half, int g, __m256 &first, __m256 &second) {
    first = _mm256_cvtph_ps(columnAt(columns, half, 2 * g));
    second = _mm256_cvtph_ps(columnAt(columns, half, 2 * g + 1));
  }
  static __m256 largest(const uint8_t *columns, int half) {
    __m128i largest = _mm_setzero_si128();
    for (int j = 0; j < chunkColumns; ++j)
      largest =
          _mm_max_epu16(largest, _mm_and_si128(columnAt(columns, half, j), _mm_set1_epi16(0x7fff)));
    return _mm256_cvtph_ps(largest);
  }
};

/// Two columns are a unit.
struct BF16 {
  static __m256i pairsAt(const uint8_t *columns, int half, int g) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(columns) + g * halves + half);
  }
  static __m256 firstOf(__m256i pairs) { return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)); }
  static void load(const uint8_t *columns, int half, int g, __m256 &first, __m256 &second) {
    const __m256i pairs = pairsAt(columns, half, g);
    first = firstOf(pairs);
    second = _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(~0xffff)));
  }
  static __m256 largest(const uint8_t *columns, int half) {
    __m256i largest = _mm256_setzero_si256();
    for (int g = 0; g < chunkColumns / 2; ++g)
      largest = _mm256_max_epu16(
          largest, _mm256_and_si256(pairsAt(columns, half, g), _mm256_set1_epi16(0x7fff)));
    return firstOf(_mm256_max_epu16(largest, _mm256_srli_epi32(largest, 16)));
  }
};

template <class W> void loadChunk(const uint8_t *columns, int half, Chunk &chunk) {
  const __m256 maximum = W::largest(columns, half);
  // What this makes infinite or NaN becomes an integer whose low 16 bits are zero.
  const __m256 inverse = _mm256_div_ps(_mm256_set1_ps(q16Largest), maximum);
  chunk.scale = _mm256_mul_ps(maximum, _mm256_set1_ps(1.0f / q16Largest));
#pragma GCC unroll 4
  for (int g = 0; g < 16; ++g) {
    __m256 first, second;
    W::load(columns, half, g, first, second);
    chunk.values[g] = _mm256_blend_epi16(
        _mm256_cvtps_epi32(_mm256_mul_ps(first, inverse)),
        _mm256_slli_epi32(_mm256_cvtps_epi32(_mm256_mul_ps(second, inverse)), 16), 0xaa);
  }
}

/// Many tokens, as panels-inl.h has them.
template <class W> struct ManyTokens {
  static constexpr int tokens = 6, groups = 1;
  static constexpr int64_t panelColumns = 512, tileTokens = 264, tileColumns = 1024;

  template <int R, int T> using Sums = MemorySums<R, T>;
  template <int R> struct Panel {
    Chunk chunks[panelColumns / chunkColumns][halves];
  };

  static int64_t bytesOf(int64_t columns) { return columns * 2 * groupRows; }

  static void load(Panel<1> &panel, int, const uint8_t *at, int64_t columns) {
    for (int64_t c = 0; c < columns / chunkColumns; ++c)
      for (int half = 0; half < halves; ++half)
        loadChunk<W>(at + bytesOf(c * chunkColumns), half, panel.chunks[c][half]);
  }

  template <int T>
  __attribute__((always_inline)) static void add(const LinearArgs &args, const Panel<1> &panel,
                                                 int64_t column, int64_t end, int64_t token,
                                                 MemorySums<1, T> &acc) {
    const int64_t rowBytes = q16RowBytes(args.inputs);
    const std::byte *x = args.quantized + token * rowBytes;
    const std::byte *xScales = x + q16ScalesOffset(args.inputs);
    const int64_t first = column / chunkColumns, last = end / chunkColumns;
    for (int64_t b = first; b < last; ++b) {
      const Chunk(&chunks)[halves] = panel.chunks[b - first];
      __m256i sums[halves][T];
#pragma GCC unroll 16
      for (int g = 0; g < 16; ++g) {
#pragma GCC unroll 6
        for (int t = 0; t < T; ++t) {
          int32_t pair;
          std::memcpy(&pair, x + t * rowBytes + b * chunkColumns * 2 + 4 * g, sizeof(pair));
          const __m256i values = _mm256_set1_epi32(pair);
#pragma GCC unroll 2
          for (int r = 0; r < halves; ++r) {
            const __m256i products = _mm256_madd_epi16(chunks[r].values[g], values);
            __m256i &sum = sums[r][t];
            sum = g == 0 ? products : _mm256_add_epi32(sum, products);
            // GCC reassociates sums of integers, and would then hold more than registers can.
            asm("" : "+x"(sum));
          }
        }
      }
#pragma GCC unroll 6
      for (int t = 0; t < T; ++t) {
        float scale;
        std::memcpy(&scale, xScales + t * rowBytes + b * 4, sizeof(scale));
#pragma GCC unroll 2
        for (int r = 0; r < halves; ++r)
          acc.set(t, r,
                  _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[r][t]),
                                  _mm256_mul_ps(chunks[r].scale, _mm256_set1_ps(scale)),
                                  acc.get(t, r)));
      }
    }
  }
};

} // namespace
} // namespace cleave::rt

HWY_POP_ATTRIBUTES

#endif

cleave::rt::LinearKernel cleave::rt::linear_q16_avx2([[maybe_unused]] ElementType weight) {
#if defined(__x86_64__)
  if (cpuFeatures().avx2 && weight == ElementType::f16)
    return multiplyAll<ManyTokens<F16>>;
  if (cpuFeatures().avx2 && weight == ElementType::bf16)
    return multiplyAll<ManyTokens<BF16>>;
#endif
  return nullptr;
}
