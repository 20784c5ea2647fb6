// linear_q8_q8_0 and linear_q8_q4_0 with AVX-512 VNNI: 64 products, two blocks, an
// instruction. It multiplies unsigned by signed bytes, so weights get an offset
// that makes them unsigned, and the accumulator begins with what that adds:
//   sum w x = sum (w + offset) x - offset sum x.
#include "runtime/kernels/linear.h"
#include "runtime/kernels/quantize.h"
#include "runtime/program/block_formats.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>

// After all includes, so that no function of a header is compiled for AVX-512.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,f16c,fma")

namespace cleave::rt {
namespace {

// A weight type is a struct with its Block, the offset, and
//   pair(block): the values of two blocks plus offset, as 64 unsigned bytes,
//   single(block): of one block, in the lower half.

struct WeightsQ8_0 {
  using Block = BlockQ8_0;
  static constexpr char offset = static_cast<char>(128);

  static __m256i values(const Block *block) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(block->values));
  }
  static __m512i pair(const Block *block) {
    const __m512i both =
        _mm512_inserti64x4(_mm512_castsi256_si512(values(block)), values(block + 1), 1);
    return _mm512_xor_si512(both, _mm512_set1_epi8(offset));
  }
  static __m512i single(const Block *block) {
    return _mm512_zextsi256_si512(_mm256_xor_si256(values(block), _mm256_set1_epi8(offset)));
  }
};

struct WeightsQ4_0 {
  using Block = BlockQ4_0;
  static constexpr char offset = 8;

  static __m128i nibbles(const Block *block) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i *>(block->nibbles));
  }
  static __m512i pair(const Block *block) {
    const __m256i both =
        _mm256_inserti128_si256(_mm256_castsi128_si256(nibbles(block)), nibbles(block + 1), 1);
    // Each block's 16 bytes twice, the second time shifted: low nibbles, high nibbles.
    const __m512i twice = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 1, 0, 1, 2, 3, 2, 3),
                                                   _mm512_castsi256_si512(both));
    const __m512i shifted = _mm512_srlv_epi64(twice, _mm512_setr_epi64(0, 0, 4, 4, 0, 0, 4, 4));
    return _mm512_and_si512(shifted, _mm512_set1_epi8(15));
  }
  static __m512i single(const Block *block) {
    const __m128i bytes = nibbles(block);
    const __m256i both =
        _mm256_inserti128_si256(_mm256_castsi128_si256(bytes), _mm_srli_epi64(bytes, 4), 1);
    return _mm512_zextsi256_si512(_mm256_and_si256(both, _mm256_set1_epi8(15)));
  }
};

/// The scales of two blocks, in 8 lanes each.
template <class Block> inline __m512 pairScales(const Block *block) {
  const __m256i first = _mm256_set1_epi16(static_cast<short>(block[0].scale));
  const __m256i both = _mm256_mask_set1_epi16(first, 0xff00, static_cast<short>(block[1].scale));
  return _mm512_cvtph_ps(both);
}

/// The scale of one block in the lower 8 lanes, zeros above.
template <class Block> inline __m512 singleScale(const Block *block) {
  return _mm512_cvtph_ps(_mm256_maskz_set1_epi16(0x00ff, static_cast<short>(block->scale)));
}

/// acc[r][t] += the products of two blocks of 32, or of one with zeros beside it.
template <int R, int T>
inline void addProducts(const __m512i (&weights)[R], const __m512 (&weightScales)[R],
                        __m512i offset, const std::byte *x, int64_t xBytes, int64_t scales,
                        int64_t block, __mmask16 lanes, __m512 (&acc)[R][T]) {
  const __m512i spread = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) {
    const std::byte *row = x + t * xBytes;
    const __m512i values = _mm512_loadu_si512(row + block * q8BlockLength);
    const __m512i start = _mm512_sub_epi32(
        _mm512_setzero_si512(), _mm512_dpbusd_epi32(_mm512_setzero_si512(), offset, values));
    const __m128i two =
        _mm_loadl_epi64(reinterpret_cast<const __m128i *>(row + scales + block * 4));
    const __m512 valueScales =
        _mm512_maskz_permutexvar_ps(lanes, spread, _mm512_castps128_ps512(_mm_castsi128_ps(two)));
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m512 sums = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(start, weights[r], values));
      acc[r][t] = _mm512_fmadd_ps(sums, _mm512_mul_ps(weightScales[r], valueScales), acc[r][t]);
    }
  }
}

/// R rows of y for T tokens, one accumulator and one order each, whatever the tile.
template <class W, int R, int T>
__attribute__((noinline)) void tile(const LinearArgs &args, const typename W::Block *rows,
                                    const std::byte *x, float *y) {
  const int64_t blocks = args.inputs / q8BlockLength;
  const int64_t xBytes = q8RowBytes(args.inputs);
  const int64_t scales = q8ScalesOffset(args.inputs);
  const __m512i offset = _mm512_set1_epi8(W::offset);

  __m512 acc[R][T];
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t)
      acc[r][t] = _mm512_setzero_ps();

  int64_t b = 0;
  for (; b + 2 <= blocks; b += 2) {
    __m512i weights[R];
    __m512 weightScales[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const typename W::Block *block = rows + r * blocks + b;
      weights[r] = W::pair(block);
      weightScales[r] = pairScales(block);
      if constexpr (T == 1) // one token streams the weights: fetch the next tile's rows
        __builtin_prefetch(block + R * blocks);
    }
    addProducts<R, T>(weights, weightScales, offset, x, xBytes, scales, b, 0xffff, acc);
  }
  if (b < blocks) {
    __m512i weights[R];
    __m512 weightScales[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      weights[r] = W::single(rows + r * blocks + b);
      weightScales[r] = singleScale(rows + r * blocks + b);
    }
    addProducts<R, T>(weights, weightScales, offset, x, xBytes, scales, b, 0x00ff, acc);
  }
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t)
      y[t * args.yStride + r] = _mm512_reduce_add_ps(acc[r][t]);
}

template <class W, int R>
inline void rowsOf(const LinearArgs &args, int64_t row, int64_t first, int64_t last) {
  constexpr int T = 4;
  const int64_t xBytes = q8RowBytes(args.inputs);
  const auto *rows =
      static_cast<const typename W::Block *>(args.weight) + row * (args.inputs / q8BlockLength);
  int64_t t = first;
  for (; t + T <= last; t += T)
    tile<W, R, T>(args, rows, args.quantized + t * xBytes, args.y + t * args.yStride + row);
  for (; t < last; ++t)
    tile<W, R, 1>(args, rows, args.quantized + t * xBytes, args.y + t * args.yStride + row);
}

template <class W> void linear(const LinearArgs &args, Part part) {
  constexpr int R = 4;
  constexpr int64_t cacheBytes = 384 * 1024; // of activations that stay in L2
  const int64_t tokenChunk = std::max<int64_t>(16, cacheBytes / (args.inputs + 1) / 4 * 4);
  const PartRange range = partRange(args.outputs, part, R);
  for (int64_t first = 0; first < args.tokens; first += tokenChunk) {
    const int64_t last = std::min(args.tokens, first + tokenChunk);
    int64_t row = range.begin;
    for (; row + R <= range.end; row += R)
      rowsOf<W, R>(args, row, first, last);
    for (; row < range.end; ++row)
      rowsOf<W, 1>(args, row, first, last);
  }
}

} // namespace
} // namespace cleave::rt

#pragma GCC pop_options

namespace cleave::rt {

static bool hasVnni() {
  return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
}

LinearKernel linear_q8_q8_0_avx512vnni() {
  return hasVnni() ? linear<WeightsQ8_0> : nullptr;
}
LinearKernel linear_q8_q4_0_avx512vnni() {
  return hasVnni() ? linear<WeightsQ4_0> : nullptr;
}

} // namespace cleave::rt

#else

namespace cleave::rt {
LinearKernel linear_q8_q8_0_avx512vnni() {
  return nullptr;
}
LinearKernel linear_q8_q4_0_avx512vnni() {
  return nullptr;
}
} // namespace cleave::rt

#endif
