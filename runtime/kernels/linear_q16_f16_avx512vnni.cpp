// Many tokens in 16-bit integers times weights of f16, with AVX-512 VNNI, which multiplies pairs
// of 16 bits twice as fast as floats. 32 columns of a row of the weight become integers with
// one scale, once for all tokens: an element's error is at most 2^-14 of the largest of the 32.
#include "runtime/kernels/linear.h"
#include "runtime/kernels/quantize.h"
#include "runtime/program/layout.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>

// After all includes, so that no function of a header is compiled for AVX-512.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,f16c,fma")

namespace cleave::rt {
namespace {

/// 32 columns of 16 rows: lane r of values[g] is columns 2g and 2g + 1 of row r.
struct Chunk {
  __m512i values[16];
  __m512 scale;
};

constexpr int64_t chunkColumns = q8BlockLength;
/// Chunks of two groups that stay in the first cache.
constexpr int64_t panelChunks = 8;

/// A column of 16 rows.
inline __m256i columnAt(const uint8_t *columns, int64_t j) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(columns + j * 2 * groupRows));
}

Chunk makeChunk(const uint8_t *columns) {
  // The magnitudes of halves are ordered as their bits; an infinity or NaN stays one.
  __m512i largest = _mm512_setzero_si512();
  for (int j = 0; j < chunkColumns; j += 2)
    largest =
        _mm512_max_epu16(largest, _mm512_and_si512(_mm512_loadu_si512(columns + j * 2 * groupRows),
                                                   _mm512_set1_epi16(0x7fff)));
  const __m256i halves =
      _mm256_max_epu16(_mm512_castsi512_si256(largest), _mm512_extracti64x4_epi64(largest, 1));
  const __m512 maximum = _mm512_cvtph_ps(halves);
  const __m512 inverse =
      _mm512_maskz_div_ps(_mm512_cmp_ps_mask(maximum, _mm512_setzero_ps(), _CMP_GT_OQ),
                          _mm512_set1_ps(q16Largest), maximum);
  Chunk chunk;
  // An infinite scale times an integer of zero is NaN: what is not finite is not hidden.
  chunk.scale = _mm512_mul_ps(maximum, _mm512_set1_ps(1.0f / q16Largest));
#pragma GCC unroll 4
  for (int g = 0; g < 16; ++g) {
    const auto integers = [&](int64_t j) {
      return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtph_ps(columnAt(columns, j)), inverse));
    };
    chunk.values[g] = _mm512_mask_blend_epi16(0xaaaaaaaau, integers(2 * g),
                                              _mm512_slli_epi32(integers(2 * g + 1), 16));
  }
  return chunk;
}

/// y += the products of a panel of R groups with T tokens; the first panel begins the sums.
template <int R, int T>
__attribute__((noinline)) void
multiplyPanel(const LinearArgs &args, const Chunk (&panel)[R][panelChunks], int64_t first,
              int64_t chunks, int64_t token, const __mmask16 (&masks)[R], float *y) {
  __m512 acc[R][T];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
    for (int r = 0; r < R; ++r)
      acc[r][t] =
          first == 0
              ? _mm512_setzero_ps()
              : _mm512_maskz_loadu_ps(masks[r], y + (token + t) * args.yStride + r * groupRows);
  const int64_t rowBytes = q16RowBytes(args.inputs);
  const std::byte *x = args.quantized + token * rowBytes;
  const std::byte *xScales = x + q16ScalesOffset(args.inputs);
  for (int64_t c = 0; c < chunks; ++c) {
    const int64_t b = first + c;
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
        weights[r] = panel[r][c].values[g];
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
        acc[r][t] =
            _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[r][t]),
                            _mm512_mul_ps(panel[r][c].scale, _mm512_set1_ps(scale)), acc[r][t]);
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
    for (int r = 0; r < R; ++r)
      _mm512_mask_storeu_ps(y + (token + t) * args.yStride + r * groupRows, masks[r], acc[r][t]);
}

/// Tokens from `token` to `last` with a panel: T at a time, then fewer.
template <int R, int T>
void multiplyTokens(const LinearArgs &args, const Chunk (&panel)[R][panelChunks], int64_t first,
                    int64_t chunks, int64_t token, int64_t last, const __mmask16 (&masks)[R],
                    float *y) {
  for (; token + T <= last; token += T)
    multiplyPanel<R, T>(args, panel, first, chunks, token, masks, y);
  if constexpr (T > 1)
    multiplyTokens<R, T - 1>(args, panel, first, chunks, token, last, masks, y);
}

/// R groups of rows of y for tokens [token, last), columns of chunks [first, end).
template <int R>
void multiplyGroups(const LinearArgs &args, const uint8_t *group, int64_t rows, int64_t first,
                    int64_t end, int64_t token, int64_t last, float *y) {
  __mmask16 masks[R];
  for (int r = 0; r < R; ++r)
    masks[r] =
        static_cast<__mmask16>((1u << std::clamp<int64_t>(rows - r * groupRows, 0, groupRows)) - 1);
  Chunk panel[R][panelChunks];
  constexpr int64_t chunkBytes = chunkColumns * 2 * groupRows;
  const int64_t groupBytes = args.inputs * 2 * groupRows, begin = first;
  for (; first < end; first += panelChunks) {
    const int64_t chunks = std::min(panelChunks, end - first);
    for (int r = 0; r < R; ++r) {
      const uint8_t *columns = group + r * groupBytes + first * chunkBytes;
      for (int64_t c = 0; c < chunks; ++c, columns += chunkBytes)
        panel[r][c] = makeChunk(columns);
      // While this panel is multiplied the next one comes: of these groups, or of the next.
      const uint8_t *next =
          first + panelChunks < end ? columns : group + (R + r) * groupBytes + begin * chunkBytes;
      for (int64_t line = 0; line < panelChunks * chunkBytes; line += 64)
        __builtin_prefetch(next + line, 0, 2);
    }
    multiplyTokens<R, 6>(args, panel, first, chunks, token, last, masks, y);
  }
}

void linear(const LinearArgs &args, Part part) {
  const PartRange range = partRange(args.outputs, part, groupRows);
  const auto *weight = static_cast<const uint8_t *>(args.weight);
  // A tile of tokens and columns, which all rows meet, stays in the second cache.
  constexpr int64_t tileTokens = 258, tileChunks = 48;
  const int64_t chunks = args.inputs / chunkColumns;
  if (chunks == 0)
    for (int64_t t = 0; t < args.tokens; ++t)
      std::fill(args.y + t * args.yStride + range.begin, args.y + t * args.yStride + range.end,
                0.0f);
  for (int64_t token = 0; token < args.tokens; token += tileTokens) {
    const int64_t last = std::min(args.tokens, token + tileTokens);
    for (int64_t first = 0; first < chunks; first += tileChunks) {
      const int64_t end = std::min(chunks, first + tileChunks);
      int64_t row = range.begin;
      for (; row + groupRows < range.end; row += 2 * groupRows)
        multiplyGroups<2>(args, weight + row * args.inputs * 2, range.end - row, first, end, token,
                          last, args.y + row);
      if (row < range.end)
        multiplyGroups<1>(args, weight + row * args.inputs * 2, range.end - row, first, end, token,
                          last, args.y + row);
    }
  }
}

} // namespace
} // namespace cleave::rt

#pragma GCC pop_options

namespace cleave::rt {

LinearKernel linear_q16_f16_avx512vnni() {
  const bool has = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                   __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
  return has ? linear : nullptr;
}

} // namespace cleave::rt

#else

namespace cleave::rt {
LinearKernel linear_q16_f16_avx512vnni() {
  return nullptr;
}
} // namespace cleave::rt

#endif
