// What the linear_q8 kernels with AVX-512 VNNI share. A lane is a row of the weight, as
// Layout::interleaved has it: one instruction multiplies 4 columns of 16 rows with a token's. VNNI
// multiplies unsigned by signed bytes, so that an element of a weight is scale * byte - minimum,
// the minimum being the scale times an offset in types that have none.
#pragma once

#include "runtime/kernels/linear.h"
#include "runtime/kernels/prefetch.h"
#include "runtime/kernels/quantize.h"
#include "runtime/program/block_formats.h"
#include "runtime/program/layout.h"

#if defined(__x86_64__)

#include <hwy/base.h>
#include <immintrin.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

// After all includes, so that no function of a header is compiled for AVX-512.
HWY_PUSH_ATTRIBUTES("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,f16c,fma")

#include "runtime/kernels/panels_avx512-inl.h"

namespace cleave::rt {
namespace {

/// A chunk: 32 columns of 16 rows. Lane r of values[g] is columns 4g .. 4g + 3 of row r as
/// unsigned bytes. A row has a scale and a minimum for all of them, or, with two parts, one for
/// each half.
template <int parts> struct Chunk {
  __m512i values[8];
  __m512 scales[parts];
  __m512 minimums[parts];
};

/// Vector `number` of those at `offset` of a block: 4 bytes of each row.
inline __m512i wordsAt(const uint8_t *block, int64_t offset, int number = 0) {
  return _mm512_loadu_si512(block + groupRows * offset + 64 * number);
}
inline __m512 halvesAt(const uint8_t *block, int64_t offset) {
  return _mm512_cvtph_ps(
      _mm256_loadu_si256(reinterpret_cast<const __m256i *>(block + groupRows * offset)));
}

// A weight type is a struct with its Block, how many chunks are in it, `parts`, a Header that is
// made of a block and that all its chunks share, and
//   load(block, header, s): chunk s of the block of 16 rows.

/// Four bytes of a token, in every lane.
inline __m512i broadcastWord(const int8_t *values) {
  int32_t word;
  std::memcpy(&word, values, sizeof(word));
  return _mm512_set1_epi32(word);
}

/// acc + what a part of a chunk adds: its integer sum in the scale of weights and activations,
/// less the minimum. The one place where sums are rounded, so that all tiles agree.
inline __m512 addScaled(__m512i sum, __m512 scale, __m512 minimum, __m512 xScale, __m512 xSum,
                        __m512 acc) {
  acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(scale, xScale), acc);
  return _mm512_fnmadd_ps(minimum, xSum, acc);
}

/// The scaled sums of part `part` of block b of a token.
template <int parts>
inline const float *sumAt(const Q8Row<const std::byte> &x, int64_t b, int part) {
  return parts == 1 ? x.sums + b : x.halfSums + 2 * b + part;
}

/// 16 rows of y for one token: the weights stream through registers.
template <class W>
void streamGroup(const LinearArgs &args, const uint8_t *group, __mmask16 mask, float *y) {
  constexpr int64_t blockBytes = sizeof(typename W::Block) * groupRows;
  constexpr int64_t lines = (blockBytes + 63) / 64, pairs = 4 * W::chunks; // of words
  constexpr int words = 8 / W::parts;
  const Q8Row x(args.quantized, 0, args.inputs);
  const int64_t blocks = args.inputs / q8BlockLength;
  __m512 acc = _mm512_setzero_ps();
  for (int64_t first = 0; first < blocks; first += W::chunks, group += blockBytes) {
    const typename W::Header header(group);
#pragma GCC unroll 8
    for (int s = 0; s < W::chunks; ++s) {
      const Chunk<W::parts> chunk = W::load(group, header, s);
      const int64_t b = first + s;
#pragma GCC unroll 2
      for (int part = 0; part < W::parts; ++part) {
        __m512i even = _mm512_setzero_si512(), odd = _mm512_setzero_si512();
#pragma GCC unroll 4
        for (int g = part * words; g < (part + 1) * words; g += 2) {
          const int64_t pair = 4 * s + g / 2;
          prefetchLines<blockBytes>(group, lines * pair / pairs, lines * (pair + 1) / pairs);
          const int8_t *values = x.values + b * q8BlockLength + 4 * g;
          even = _mm512_dpbusd_epi32(even, chunk.values[g], broadcastWord(values));
          odd = _mm512_dpbusd_epi32(odd, chunk.values[g + 1], broadcastWord(values + 4));
        }
        acc = addScaled(_mm512_add_epi32(even, odd), chunk.scales[part], chunk.minimums[part],
                        _mm512_set1_ps(x.scales[b]), _mm512_set1_ps(*sumAt<W::parts>(x, b, part)),
                        acc);
      }
    }
  }
  _mm512_mask_storeu_ps(y, mask, acc);
}

/// Many tokens, as panels-inl.h has them.
template <class W> struct ManyTokens {
  static constexpr int tokens = 6, groups = 2;
  static constexpr int64_t panelColumns = 1024, tileTokens = 516, tileColumns = 3072;

  template <int R, int T> using Sums = RegisterSums<R, T>;
  template <int R> struct Panel {
    Chunk<W::parts> chunks[R][panelColumns / q8BlockLength];
  };

  static int64_t bytesOf(int64_t columns) {
    constexpr int64_t blockBytes = sizeof(typename W::Block) * groupRows;
    return columns / (q8BlockLength * W::chunks) * blockBytes;
  }

  template <int R> static void load(Panel<R> &panel, int r, const uint8_t *at, int64_t columns) {
    for (int64_t c = 0; c < columns / q8BlockLength; c += W::chunks) {
      const typename W::Header header(at);
      for (int s = 0; s < W::chunks; ++s)
        panel.chunks[r][c + s] = W::load(at, header, s);
      at += sizeof(typename W::Block) * groupRows;
    }
  }

  template <int R, int T>
  __attribute__((always_inline)) static void add(const LinearArgs &args, const Panel<R> &panel,
                                                 int64_t column, int64_t end, int64_t token,
                                                 RegisterSums<R, T> &acc) {
    constexpr int parts = W::parts, words = 8 / parts;
    const int64_t rowBytes = q8RowBytes(args.inputs);
    const Q8Row x(args.quantized, token, args.inputs);
    const auto of = [&](auto *at, int t) {
      return reinterpret_cast<decltype(at)>(reinterpret_cast<const std::byte *>(at) + t * rowBytes);
    };
    const int64_t first = column / q8BlockLength, last = end / q8BlockLength;
    for (int64_t b = first; b < last; ++b) {
#pragma GCC unroll 2
      for (int part = 0; part < parts; ++part) {
        __m512i sums[R][T];
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
          for (int r = 0; r < R; ++r)
            sums[r][t] = _mm512_setzero_si512();
#pragma GCC unroll 8
        for (int g = part * words; g < (part + 1) * words; ++g) {
          __m512i weights[R];
#pragma GCC unroll 2
          for (int r = 0; r < R; ++r)
            weights[r] = panel.chunks[r][b - first].values[g];
#pragma GCC unroll 8
          for (int t = 0; t < T; ++t) {
            const __m512i values = broadcastWord(of(x.values + b * q8BlockLength + 4 * g, t));
#pragma GCC unroll 2
            for (int r = 0; r < R; ++r)
              sums[r][t] = _mm512_dpbusd_epi32(sums[r][t], weights[r], values);
          }
        }
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t) {
          const __m512 xScale = _mm512_set1_ps(*of(x.scales + b, t));
          const __m512 xSum = _mm512_set1_ps(*of(sumAt<parts>(x, b, part), t));
#pragma GCC unroll 2
          for (int r = 0; r < R; ++r) {
            const Chunk<parts> &chunk = panel.chunks[r][b - first];
            acc.of[r][t] = addScaled(sums[r][t], chunk.scales[part], chunk.minimums[part], xScale,
                                     xSum, acc.of[r][t]);
          }
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
  for (int64_t row = range.begin; row < range.end; row += groupRows) {
    const int64_t rows = std::min(groupRows, range.end - row);
    streamGroup<W>(args, static_cast<const uint8_t *>(args.weight) + row * rowBytes,
                   static_cast<__mmask16>((1u << rows) - 1), args.y + row);
  }
}

} // namespace
} // namespace cleave::rt

HWY_POP_ATTRIBUTES

#endif
