// What the linear_q8 kernels with 256-bit vectors share: with AVX2 alone and, where
// CLEAVE_LINEAR_AVXVNNI is 1, with AVX-VNNI. A lane is a row of the weight, as Layout::interleaved
// has it, and a group of rows is two vectors. Both instructions multiply unsigned by signed bytes.
// AVX2's sums two products in 16 bits, where the sums of several may follow as far as they fit.
#pragma once

#include "runtime/kernels/linear.h"
#include "runtime/kernels/prefetch.h"
#include "runtime/kernels/quantize.h"
#include "runtime/program/block_formats.h"
#include "runtime/program/layout.h"

#include <hwy/base.h>
#include <immintrin.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

// After all includes, so that no function of a header is compiled for AVX2.
#if CLEAVE_LINEAR_AVXVNNI
HWY_PUSH_ATTRIBUTES("avx2,fma,f16c,avxvnni")
#else
HWY_PUSH_ATTRIBUTES("avx2,fma,f16c")
#endif

#include "runtime/kernels/panels_avx2-inl.h"

namespace cleave::rt {
namespace {

constexpr bool hasByteDot = CLEAVE_LINEAR_AVXVNNI;

/// Words, of four columns, of a chunk.
constexpr int chunkWords = 8;

/// Of a chunk, which is 32 columns of 8 rows: a row has a scale and a minimum for all columns, or,
/// with two parts, one for each 16.
template <int parts> struct Scales {
  __m256 scale[parts];
  __m256 minimum[parts];
};

/// A chunk. Lane r of values[0][g] is columns 4g .. 4g + 3 of row r as unsigned bytes. With two
/// digits, these are the low ones of a number in base 16, and values[1] has the high ones.
template <class W> struct Chunk {
  __m256i values[W::digits][chunkWords];
  Scales<W::parts> scales;
};

/// Vector `number` of those at `offset` of a block: 4 bytes of each of the 8 rows of a half.
inline __m256i wordsAt(const uint8_t *block, int half, int64_t offset, int number = 0) {
  return _mm256_loadu_si256(
      reinterpret_cast<const __m256i *>(block + groupRows * offset + 64 * number + 32 * half));
}
inline __m256 halvesAt(const uint8_t *block, int half, int64_t offset) {
  return _mm256_cvtph_ps(
      _mm_loadu_si128(reinterpret_cast<const __m128i *>(block + groupRows * offset + 16 * half)));
}

// A weight type (linear_q8_avx2_weights-inl.h) is a struct with its Block, how many chunks are in
// it, `parts`, `digits`, `run`, over how many words AVX2's products fit 16 bits when summed, a
// Header that is made of half a block and that all its chunks share, and for chunk s of 8 of a
// block's 16 rows
//   value(block, half, s, g, digit): what is values[digit][g] of a Chunk;
//   scale(block, half, header, s, to): writes its Scales.

/// Four bytes of a token, in every lane.
inline __m256i broadcastWord(const int8_t *values) {
  int32_t word;
  std::memcpy(&word, values, sizeof(word));
  return _mm256_set1_epi32(word);
}

/// a + b of 16 bits. GCC reassociates integer sums, and would then hold all products before it adds
/// the first two: more than there are registers.
inline __m256i addInOrder(__m256i a, __m256i b) {
  __m256i sum = _mm256_add_epi16(a, b);
  asm("" : "+x"(sum));
  return sum;
}

/// What is loaded behind this is not loaded before: a compiler would load more than registers can
/// hold, and keep it in memory until it is used.
inline void loadHere() {
  asm volatile("" ::: "memory");
}

/// The sums of pairs of 16 bits that are of a digit.
inline __m256i sumOfPairs(__m256i pairs, int digit) {
  return _mm256_madd_epi16(pairs, _mm256_set1_epi16(digit == 0 ? 1 : 16));
}

/// acc + what a part of a chunk adds: its integer sum in the scale of weights and activations,
/// less the minimum. The one place where sums are rounded, so that all tiles agree.
inline __m256 addScaled(__m256i sum, __m256 scale, __m256 minimum, __m256 xScale, __m256 xSum,
                        __m256 acc) {
  acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(scale, xScale), acc);
  return _mm256_fnmadd_ps(minimum, xSum, acc);
}

/// The scaled sums of part `part` of block b of a token.
template <int parts>
inline const float *sumAt(const Q8Row<const std::byte> &x, int64_t b, int part) {
  return parts == 1 ? x.sums + b : x.halfSums + 2 * b + part;
}

/// sums = the integer sums of a part of a chunk with T tokens' values, which are `stride` bytes
/// apart; valueAt(half, g, digit) is what a Chunk has.
template <class W, int T, class ValueAt>
__attribute__((always_inline)) inline void dotPart(ValueAt valueAt, int part, const int8_t *x,
                                                   int64_t stride, __m256i (&sums)[halves][T]) {
  constexpr int words = chunkWords / W::parts;
#if CLEAVE_LINEAR_AVXVNNI
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
    for (int r = 0; r < halves; ++r)
      sums[r][t] = _mm256_setzero_si256();
#pragma GCC unroll 8
  for (int g = part * words; g < (part + 1) * words; ++g) {
    loadHere();
    const __m256i weights[halves] = {valueAt(0, g, 0), valueAt(1, g, 0)};
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      const __m256i word = broadcastWord(x + t * stride + 4 * g);
#pragma GCC unroll 2
      for (int r = 0; r < halves; ++r)
        sums[r][t] = _mm256_dpbusd_avx_epi32(sums[r][t], weights[r], word);
    }
  }
#else
#pragma GCC unroll 8
  for (int begin = part * words; begin < (part + 1) * words; begin += W::run) {
    __m256i pairs[W::digits][halves][T];
#pragma GCC unroll 8
    for (int g = begin; g < begin + W::run; ++g) {
      loadHere();
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) {
        const __m256i word = broadcastWord(x + t * stride + 4 * g);
#pragma GCC unroll 2
        for (int digit = 0; digit < W::digits; ++digit)
#pragma GCC unroll 2
          for (int r = 0; r < halves; ++r) {
            const __m256i products = _mm256_maddubs_epi16(valueAt(r, g, digit), word);
            __m256i &sum = pairs[digit][r][t];
            sum = g == begin ? products : addInOrder(sum, products);
          }
      }
    }
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
      for (int r = 0; r < halves; ++r)
#pragma GCC unroll 2
        for (int digit = 0; digit < W::digits; ++digit) {
          const __m256i sum = sumOfPairs(pairs[digit][r][t], digit);
          sums[r][t] = begin + digit == part * words ? sum : _mm256_add_epi32(sums[r][t], sum);
        }
  }
#endif
}

/// 16 rows of y for one token: the weights stream through registers.
template <class W>
void streamGroup(const LinearArgs &args, const uint8_t *group, int64_t rows, float *y) {
  constexpr int64_t blockBytes = sizeof(typename W::Block) * groupRows;
  constexpr int64_t lines = (blockBytes + 63) / 64;
  const Q8Row x(args.quantized, 0, args.inputs);
  const int64_t blocks = args.inputs / q8BlockLength;
  __m256 acc[halves] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  for (int64_t first = 0; first < blocks; first += W::chunks, group += blockBytes) {
    const typename W::Header headers[halves] = {{group, 0}, {group, 1}};
#pragma GCC unroll 8
    for (int s = 0; s < W::chunks; ++s) {
      prefetchLines<blockBytes>(group, lines * s / W::chunks, lines * (s + 1) / W::chunks);
      Scales<W::parts> scales[halves];
#pragma GCC unroll 2
      for (int r = 0; r < halves; ++r)
        W::scale(group, r, headers[r], s, scales[r]);
      const auto valueAt = [&](int half, int g, int digit) __attribute__((always_inline)) {
        return W::value(group, half, s, g, digit);
      };
      const int64_t b = first + s;
#pragma GCC unroll 2
      for (int part = 0; part < W::parts; ++part) {
        __m256i sums[halves][1];
        dotPart<W>(valueAt, part, x.values + b * q8BlockLength, 0, sums);
#pragma GCC unroll 2
        for (int r = 0; r < halves; ++r)
          acc[r] = addScaled(sums[r][0], scales[r].scale[part], scales[r].minimum[part],
                             _mm256_set1_ps(x.scales[b]),
                             _mm256_set1_ps(*sumAt<W::parts>(x, b, part)), acc[r]);
      }
    }
  }
  MemorySums<1, 1> sums;
#pragma GCC unroll 2
  for (int r = 0; r < halves; ++r)
    sums.set(0, r, acc[r]);
  sums.write(y, args.yStride, rows);
}

/// Many tokens, as panels-inl.h has them.
template <class W> struct ManyTokens {
  static constexpr int tokens = hasByteDot ? 6 : 4 / W::digits, groups = 1;
  static constexpr int64_t panelColumns = 512, tileTokens = 132, tileColumns = 2048;

  template <int R, int T> using Sums = MemorySums<R, T>;
  template <int R> struct Panel {
    Chunk<W> chunks[panelColumns / q8BlockLength][halves];
  };

  static int64_t bytesOf(int64_t columns) {
    constexpr int64_t blockBytes = sizeof(typename W::Block) * groupRows;
    return columns / (q8BlockLength * W::chunks) * blockBytes;
  }

  static void load(Panel<1> &panel, int, const uint8_t *at, int64_t columns) {
    for (int64_t c = 0; c < columns / q8BlockLength; c += W::chunks) {
#pragma GCC unroll 2
      for (int half = 0; half < halves; ++half) {
        const typename W::Header header(at, half);
        for (int s = 0; s < W::chunks; ++s) {
          Chunk<W> &chunk = panel.chunks[c + s][half];
#pragma GCC unroll 2
          for (int digit = 0; digit < W::digits; ++digit)
#pragma GCC unroll 8
            for (int g = 0; g < chunkWords; ++g)
              chunk.values[digit][g] = W::value(at, half, s, g, digit);
          W::scale(at, half, header, s, chunk.scales);
        }
      }
      at += sizeof(typename W::Block) * groupRows;
    }
  }

  template <int T>
  __attribute__((always_inline)) static void add(const LinearArgs &args, const Panel<1> &panel,
                                                 int64_t column, int64_t end, int64_t token,
                                                 MemorySums<1, T> &acc) {
    constexpr int parts = W::parts;
    const int64_t rowBytes = q8RowBytes(args.inputs);
    const Q8Row x(args.quantized, token, args.inputs);
    const auto of = [&](auto *at, int t) {
      return reinterpret_cast<decltype(at)>(reinterpret_cast<const std::byte *>(at) + t * rowBytes);
    };
    const int64_t first = column / q8BlockLength, last = end / q8BlockLength;
    for (int64_t b = first; b < last; ++b) {
      const Chunk<W>(&chunks)[halves] = panel.chunks[b - first];
      const auto valueAt = [&](int half, int g, int digit) __attribute__((always_inline)) {
        return chunks[half].values[digit][g];
      };
#pragma GCC unroll 2
      for (int part = 0; part < parts; ++part) {
        __m256i sums[halves][T];
        dotPart<W>(valueAt, part, x.values + b * q8BlockLength, rowBytes, sums);
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t) {
          const __m256 xScale = _mm256_set1_ps(*of(x.scales + b, t));
          const __m256 xSum = _mm256_set1_ps(*of(sumAt<parts>(x, b, part), t));
#pragma GCC unroll 2
          for (int r = 0; r < halves; ++r)
            acc.set(t, r,
                    addScaled(sums[r][t], chunks[r].scales.scale[part],
                              chunks[r].scales.minimum[part], xScale, xSum, acc.get(t, r)));
        }
      }
    }
  }
};

template <class W> void linear(const LinearArgs &args, Part part) {
  if (args.tokens != 1)
    return multiplyAll<ManyTokens<W>>(args, part);
  const int64_t rowBytes = ManyTokens<W>::bytesOf(args.inputs) / groupRows;
  const PartRange range = partRange(args.outputs, part, groupRows);
  for (int64_t row = range.begin; row < range.end; row += groupRows)
    streamGroup<W>(args, static_cast<const uint8_t *>(args.weight) + row * rowBytes,
                   range.end - row, args.y + row);
}

} // namespace
} // namespace cleave::rt

HWY_POP_ATTRIBUTES
