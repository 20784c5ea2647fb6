// The linear_q8 kernels with AVX-VNNI, for CPUs that have VNNI in 256 bits only. One
// block of activations an instruction; otherwise as linear_q8_avx512vnni-inl.h, where
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

/// A block's scales, each for 32 columns or half of them, and where it has them its
/// minimums, for 32 columns each.
template <int count, bool hasMinimum> struct Scales {
  float scales[count];
  float minimums[hasMinimum ? 8 : 1];
};

inline __m256i load256(const void *p) {
  return _mm256_loadu_si256(static_cast<const __m256i *>(p));
}

/// The low or, with a shift of 4, the high halves of bytes.
inline __m256i nibbles(const uint8_t *bytes, int shift) {
  return _mm256_and_si256(_mm256_srl_epi16(load256(bytes), _mm_cvtsi32_si128(shift)),
                          _mm256_set1_epi8(15));
}

/// Bits `shift` and on of bytes that `mask` selects, moved up to bit 4.
inline __m256i highBits(const uint8_t *bytes, int shift, char mask) {
  const __m256i low = _mm256_srl_epi16(load256(bytes), _mm_cvtsi32_si128(shift));
  return _mm256_slli_epi16(_mm256_and_si256(low, _mm256_set1_epi8(mask)), 4);
}

// A weight type is a struct with its Block, the number of groups of 32 columns in it, the
// offset, whether it has minimums, and
//   scales(block), and
//   values(block, s): the columns of group s plus offset, as unsigned bytes.

struct WeightsQ8_0 {
  using Block = BlockQ8_0;
  static constexpr int groups = 1;
  static constexpr char offset = static_cast<char>(128);
  static constexpr bool hasMinimum = false;
  static Scales<1, false> scales(const Block &block) { return {{_cvtsh_ss(block.scale)}, {}}; }
  static __m256i values(const Block &block, int) {
    return _mm256_xor_si256(load256(block.values), _mm256_set1_epi8(offset));
  }
};

struct WeightsQ4_0 {
  using Block = BlockQ4_0;
  static constexpr int groups = 1;
  static constexpr char offset = 8;
  static constexpr bool hasMinimum = false;
  static Scales<1, false> scales(const Block &block) { return {{_cvtsh_ss(block.scale)}, {}}; }
  static __m256i values(const Block &block, int) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i *>(block.nibbles));
    const __m256i both =
        _mm256_inserti128_si256(_mm256_castsi128_si256(bytes), _mm_srli_epi64(bytes, 4), 1);
    return _mm256_and_si256(both, _mm256_set1_epi8(15));
  }
};

/// Eight bytes as numbers, times a factor.
inline __m256 scaled(const uint8_t *bytes, __m256 factor) {
  const __m128i eight = _mm_loadl_epi64(reinterpret_cast<const __m128i *>(bytes));
  return _mm256_mul_ps(factor, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(eight)));
}

/// Of blocks of q4_k and q5_k.
template <class Block> inline Scales<8, true> scalesWithMinimums(const Block &block) {
  const SubBlocks integers = subBlocks(block.packed);
  Scales<8, true> result;
  _mm256_storeu_ps(result.scales, scaled(integers.scales, _mm256_set1_ps(_cvtsh_ss(block.scale))));
  _mm256_storeu_ps(result.minimums,
                   scaled(integers.minimums, _mm256_set1_ps(_cvtsh_ss(block.minimum))));
  return result;
}

struct WeightsQ4_K {
  using Block = BlockQ4_K;
  static constexpr int groups = 8;
  static constexpr char offset = 0;
  static constexpr bool hasMinimum = true;
  static Scales<8, true> scales(const Block &block) { return scalesWithMinimums(block); }
  static __m256i values(const Block &block, int s) {
    return nibbles(block.nibbles + s / 2 * 32, s % 2 * 4);
  }
};

struct WeightsQ5_K {
  using Block = BlockQ5_K;
  static constexpr int groups = 8;
  static constexpr char offset = 0;
  static constexpr bool hasMinimum = true;
  static Scales<8, true> scales(const Block &block) { return scalesWithMinimums(block); }
  static __m256i values(const Block &block, int s) {
    return _mm256_or_si256(nibbles(block.nibbles + s / 2 * 32, s % 2 * 4),
                           highBits(block.highBits, s, 1));
  }
};

struct WeightsQ6_K {
  using Block = BlockQ6_K;
  static constexpr int groups = 8;
  static constexpr char offset = 32;
  static constexpr bool hasMinimum = false;
  static Scales<16, false> scales(const Block &block) {
    const __m256 scale = _mm256_set1_ps(_cvtsh_ss(block.scale));
    Scales<16, false> result;
    for (int half = 0; half < 16; half += 8) {
      const __m128i eight = _mm_loadl_epi64(reinterpret_cast<const __m128i *>(block.scales + half));
      _mm256_storeu_ps(result.scales + half,
                       _mm256_mul_ps(scale, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight))));
    }
    return result;
  }
  static __m256i values(const Block &block, int s) {
    return _mm256_or_si256(nibbles(block.nibbles + s / 4 * 64 + s % 2 * 32, s % 4 / 2 * 4),
                           highBits(block.highBits + s / 4 * 32, s % 4 * 2, 3));
  }
};

/// The scale of each lane's four columns of group s.
template <bool hasMinimum> inline __m256 laneScales(const Scales<16, hasMinimum> &scales, int s) {
  return _mm256_set_m128(_mm_set1_ps(scales.scales[2 * s + 1]), _mm_set1_ps(scales.scales[2 * s]));
}
template <int count, bool hasMinimum>
inline __m256 laneScales(const Scales<count, hasMinimum> &scales, int s) {
  return _mm256_set1_ps(scales.scales[s]);
}

inline float sumLanes(__m256 v) {
  __m128 sum = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
  return _mm_cvtss_f32(_mm_add_ss(sum, _mm_shuffle_ps(sum, sum, 1)));
}

/// R rows of y for T tokens, one accumulator and one order each, whatever the tile.
template <class W, int R, int T>
__attribute__((noinline)) void tile(const LinearArgs &args, const typename W::Block *rows,
                                    const std::byte *x, float *y) {
  const int64_t blocks = args.inputs / q8BlockLength / W::groups;
  const int64_t xBytes = q8RowBytes(args.inputs);
  const int64_t scales = q8ScalesOffset(args.inputs);
  const __m256i offset = _mm256_set1_epi8(W::offset);

  __m256 acc[R][T];
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t)
      acc[r][t] = _mm256_setzero_ps();

  for (int64_t block = 0; block < blocks; ++block) {
    decltype(W::scales(*rows)) weightScales[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      weightScales[r] = W::scales(rows[r * blocks + block]);
      if constexpr (T == 1) // one token streams the weights: fetch the next tile's rows
        for (size_t line = 0; line < sizeof(typename W::Block); line += 64)
          __builtin_prefetch(reinterpret_cast<const char *>(rows + (R + r) * blocks + block) +
                             line);
    }
    for (int s = 0; s < W::groups; ++s) {
      const int64_t b = block * W::groups + s;
      __m256i values[T];
      __m256i start[T];
      __m256 valueScales[T];
      __m256 sums[T]; // of each lane's values, scaled
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) {
        const std::byte *row = x + t * xBytes;
        values[t] = load256(row + b * q8BlockLength);
        valueScales[t] = _mm256_set1_ps(reinterpret_cast<const float *>(row + scales)[b]);
        start[t] = _mm256_setzero_si256();
        if constexpr (W::offset != 0)
          start[t] =
              _mm256_sub_epi32(start[t], _mm256_dpbusd_avx_epi32(start[t], offset, values[t]));
        if constexpr (W::hasMinimum)
          sums[t] = _mm256_mul_ps(valueScales[t], _mm256_cvtepi32_ps(_mm256_dpbusd_avx_epi32(
                                                      start[t], _mm256_set1_epi8(1), values[t])));
      }
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const __m256i weights = W::values(rows[r * blocks + block], s);
        const __m256 groupScales = laneScales(weightScales[r], s);
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t) {
          const __m256 products =
              _mm256_cvtepi32_ps(_mm256_dpbusd_avx_epi32(start[t], weights, values[t]));
          acc[r][t] =
              _mm256_fmadd_ps(products, _mm256_mul_ps(groupScales, valueScales[t]), acc[r][t]);
          if constexpr (W::hasMinimum)
            acc[r][t] =
                _mm256_fnmadd_ps(_mm256_set1_ps(weightScales[r].minimums[s]), sums[t], acc[r][t]);
        }
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
  const auto *rows = static_cast<const typename W::Block *>(args.weight) +
                     row * (args.inputs / q8BlockLength / W::groups);
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
LinearKernel linear_q8_q4_k_avxvnni() {
  return hasVnni() ? linear<WeightsQ4_K> : nullptr;
}
LinearKernel linear_q8_q5_k_avxvnni() {
  return hasVnni() ? linear<WeightsQ5_K> : nullptr;
}
LinearKernel linear_q8_q6_k_avxvnni() {
  return hasVnni() ? linear<WeightsQ6_K> : nullptr;
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
LinearKernel linear_q8_q4_k_avxvnni() {
  return nullptr;
}
LinearKernel linear_q8_q5_k_avxvnni() {
  return nullptr;
}
LinearKernel linear_q8_q6_k_avxvnni() {
  return nullptr;
}
} // namespace cleave::rt

#endif
