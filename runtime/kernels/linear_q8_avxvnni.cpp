// linear_q8_q8_0 and linear_q8_q4_0 with AVX-VNNI, for CPUs that have VNNI in 256
// bits only. One block an instruction; otherwise as linear_q8_avx512vnni.cpp, where
// the offset is explained.
#include "runtime/kernels/linear.h"
#include "runtime/kernels/quantize.h"
#include "runtime/program/block_formats.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>

// After all includes, so that no function of a header is compiled for these.
#pragma GCC push_options
#pragma GCC target("avx2,avxvnni,f16c,fma")

namespace cleave::rt {
namespace {

// A weight type is a struct with its Block, the offset, and
//   values(block): the block's values plus offset, as 32 unsigned bytes.

struct WeightsQ8_0 {
  using Block = BlockQ8_0;
  static constexpr char offset = static_cast<char>(128);
  static __m256i values(const Block *block) {
    return _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(block->values)),
                            _mm256_set1_epi8(offset));
  }
};

struct WeightsQ4_0 {
  using Block = BlockQ4_0;
  static constexpr char offset = 8;
  static __m256i values(const Block *block) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i *>(block->nibbles));
    const __m256i both =
        _mm256_inserti128_si256(_mm256_castsi128_si256(bytes), _mm_srli_epi64(bytes, 4), 1);
    return _mm256_and_si256(both, _mm256_set1_epi8(15));
  }
};

inline float sumLanes(__m256 v) {
  __m128 sum = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
  return _mm_cvtss_f32(_mm_add_ss(sum, _mm_shuffle_ps(sum, sum, 1)));
}

/// R rows of y for T tokens, one accumulator and one order each, whatever the tile.
template <class W, int R, int T>
__attribute__((noinline)) void tile(const LinearArgs &args, const typename W::Block *rows,
                                    const std::byte *x, float *y) {
  const int64_t blocks = args.inputs / q8BlockLength;
  const int64_t xBytes = q8RowBytes(args.inputs);
  const int64_t scales = q8ScalesOffset(args.inputs);
  const __m256i offset = _mm256_set1_epi8(W::offset);

  __m256 acc[R][T];
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t)
      acc[r][t] = _mm256_setzero_ps();

  for (int64_t b = 0; b < blocks; ++b) {
    __m256i values[T];
    __m256i start[T];
    float valueScales[T];
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      const std::byte *row = x + t * xBytes;
      values[t] = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(row + b * q8BlockLength));
      start[t] =
          _mm256_sub_epi32(_mm256_setzero_si256(),
                           _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), offset, values[t]));
      valueScales[t] = reinterpret_cast<const float *>(row + scales)[b];
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const typename W::Block *block = rows + r * blocks + b;
      const __m256i weights = W::values(block);
      const float weightScale = _cvtsh_ss(block->scale);
      if constexpr (T == 1) // one token streams the weights: fetch the next tile's rows
        __builtin_prefetch(block + R * blocks);
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) {
        const __m256 sums =
            _mm256_cvtepi32_ps(_mm256_dpbusd_avx_epi32(start[t], weights, values[t]));
        acc[r][t] = _mm256_fmadd_ps(sums, _mm256_set1_ps(weightScale * valueScales[t]), acc[r][t]);
      }
    }
  }
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t)
      y[t * args.yStride + r] = sumLanes(acc[r][t]);
}

template <class W, int R>
inline void rowsOf(const LinearArgs &args, int64_t row, int64_t first, int64_t last) {
  constexpr int T = 2;
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
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("f16c") && __builtin_cpu_supports("avxvnni");
}

LinearKernel linear_q8_q8_0_avxvnni() {
  return hasVnni() ? linear<WeightsQ8_0> : nullptr;
}
LinearKernel linear_q8_q4_0_avxvnni() {
  return hasVnni() ? linear<WeightsQ4_0> : nullptr;
}

} // namespace cleave::rt

#else

namespace cleave::rt {
LinearKernel linear_q8_q8_0_avxvnni() {
  return nullptr;
}
LinearKernel linear_q8_q4_0_avxvnni() {
  return nullptr;
}
} // namespace cleave::rt

#endif
