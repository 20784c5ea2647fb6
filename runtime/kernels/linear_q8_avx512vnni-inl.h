// What the linear_q8 kernels with AVX-512 VNNI share. A lane is a row of the weight:
// blocks of 16 rows are transposed, so that 8 instructions multiply them with a
// token's block and their sums need no shuffles. VNNI multiplies unsigned by signed
// bytes; so weights get an offset that makes them unsigned, and sums begin with what
// that adds: sum w x = sum (w + offset) x - offset sum x.
#pragma once

#include "runtime/kernels/linear.h"
#include "runtime/kernels/quantize.h"
#include "runtime/program/block_formats.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

// After all includes, so that no function of a header is compiled for AVX-512.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,f16c,fma")

namespace cleave::rt {
namespace {

constexpr int64_t tileRows = 16;

/// Where a tile's rows begin: behind the last row it stands again.
struct RowOffsets {
  int64_t at[tileRows];
};

/// 32 columns of 16 rows: lane r of values[g] is columns 4g .. 4g + 3 of row r, plus the
/// offset, as unsigned bytes. A row has a scale for all of them, or one for each half;
/// with a minimum that is taken from each value.
template <int scaleCount, bool hasMinimum> struct Transposed {
  __m512i values[8];
  __m512 scales[scaleCount];
  __m512 minimum;
};
template <int scaleCount> struct Transposed<scaleCount, false> {
  __m512i values[8];
  __m512 scales[scaleCount];
};

inline __m128i load128(const uint8_t *p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i *>(p));
}
inline __m256i load256(const uint8_t *p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p));
}

/// In each of the four 128-bit parts, turns 4 vectors of 4 dwords into 4 of 4.
inline void transpose4x4(__m512i (&v)[4]) {
  const __m512i low01 = _mm512_unpacklo_epi32(v[0], v[1]);
  const __m512i high01 = _mm512_unpackhi_epi32(v[0], v[1]);
  const __m512i low23 = _mm512_unpacklo_epi32(v[2], v[3]);
  const __m512i high23 = _mm512_unpackhi_epi32(v[2], v[3]);
  v[0] = _mm512_unpacklo_epi64(low01, low23);
  v[1] = _mm512_unpackhi_epi64(low01, low23);
  v[2] = _mm512_unpacklo_epi64(high01, high23);
  v[3] = _mm512_unpackhi_epi64(high01, high23);
}

/// 16 bytes of each row: lane r of v[g] is bytes 4g .. 4g + 3 of row r.
inline void transpose16(const uint8_t *bytes, const RowOffsets &rows, __m512i (&v)[4]) {
  for (int i = 0; i < 4; ++i) { // rows i, i + 4, i + 8, i + 12
    v[i] = _mm512_castsi128_si512(load128(bytes + rows.at[i]));
    v[i] = _mm512_inserti32x4(v[i], load128(bytes + rows.at[i + 4]), 1);
    v[i] = _mm512_inserti32x4(v[i], load128(bytes + rows.at[i + 8]), 2);
    v[i] = _mm512_inserti32x4(v[i], load128(bytes + rows.at[i + 12]), 3);
  }
  transpose4x4(v);
}

/// The same with 32 bytes.
inline void transpose32(const uint8_t *bytes, const RowOffsets &rows, __m512i (&v)[8]) {
  // Halves[h][i] is rows 8h + i and 8h + i + 4, 8 dwords each.
  __m512i halves[2][4];
  for (int h = 0; h < 2; ++h) {
    for (int i = 0; i < 4; ++i)
      halves[h][i] = _mm512_inserti64x4(_mm512_castsi256_si512(load256(bytes + rows.at[8 * h + i])),
                                        load256(bytes + rows.at[8 * h + i + 4]), 1);
    transpose4x4(halves[h]); // [i]: dwords i of 4 rows, i + 4, i of 4 more, i + 4
  }
  for (int i = 0; i < 4; ++i) {
    v[i] = _mm512_shuffle_i32x4(halves[0][i], halves[1][i], 0x88);
    v[i + 4] = _mm512_shuffle_i32x4(halves[0][i], halves[1][i], 0xdd);
  }
}

/// A half of each row.
inline __m512 loadHalves(const uint8_t *halves, const RowOffsets &rows) {
  const auto at = [&](int row) {
    short half;
    std::memcpy(&half, halves + rows.at[row], sizeof(half));
    return half;
  };
  return _mm512_cvtph_ps(_mm256_setr_epi16(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7),
                                           at(8), at(9), at(10), at(11), at(12), at(13), at(14),
                                           at(15)));
}

// A weight type is a struct with its Block, how many groups of 32 columns are in it, the
// offset, scaleCount, hasMinimum, and
//   load(block, rows, groups): the block of 16 rows that begins at `block` in the first.

/// A token's quantized row.
struct Activations {
  const std::byte *values;
  const float *scales;
  const std::byte *sums;

  Activations(const std::byte *row, int64_t columns)
      : values(row), scales(reinterpret_cast<const float *>(row + q8ScalesOffset(columns))),
        sums(row + q8SumsOffset(columns)) {}

  /// Columns 4g .. 4g + 3 of a block, in every lane.
  __m512i four(int64_t block, int g) const { return dword(values + block * q8BlockLength + g * 4); }

  /// The sums of a block's halves times two factors, added, in every lane.
  __m512i sum(int64_t block, int first, int second) const {
    const int factors = (first & 0xffff) | second << 16;
    return _mm512_madd_epi16(dword(sums + block * 4), _mm512_set1_epi32(factors));
  }

private:
  static __m512i dword(const std::byte *at) {
    int32_t bytes;
    std::memcpy(&bytes, at, sizeof(bytes));
    return _mm512_set1_epi32(bytes);
  }
};

/// Where the integer sum of a block, or with two scales of its part `part`, begins.
template <class W> inline __m512i firstSum(const Activations &x, int64_t block, int part) {
  if constexpr (W::offset == 0)
    return _mm512_setzero_si512();
  return x.sum(block, W::scaleCount == 1 || part == 0 ? -W::offset : 0,
               W::scaleCount == 1 || part == 1 ? -W::offset : 0);
}

/// acc + an integer sum in the scale of weights and activations.
inline __m512 addScaled(__m512i sum, __m512 weightScales, float valueScale, __m512 acc) {
  const __m512 scales = _mm512_mul_ps(weightScales, _mm512_set1_ps(valueScale));
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scales, acc);
}

/// acc + the products of a group with a token's block. The integer sums are exact, so
/// their order is free; the rounded operations are the same in every tile.
template <class W, class Group>
inline __m512 addBlock(const Group &weights, const Activations &x, int64_t block, __m512 acc) {
  constexpr int part = 8 / W::scaleCount;
#pragma GCC unroll 2
  for (int p = 0; p < W::scaleCount; ++p) {
    __m512i even = firstSum<W>(x, block, p);
    __m512i odd = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (int g = p * part; g < (p + 1) * part; g += 2) {
      even = _mm512_dpbusd_epi32(even, weights.values[g], x.four(block, g));
      odd = _mm512_dpbusd_epi32(odd, weights.values[g + 1], x.four(block, g + 1));
    }
    acc = addScaled(_mm512_add_epi32(even, odd), weights.scales[p], x.scales[block], acc);
  }
  if constexpr (W::hasMinimum)
    acc = addScaled(x.sum(block, -1, -1), weights.minimum, x.scales[block], acc);
  return acc;
}

/// 16 rows of y for one token: the weights stream through registers.
template <class W>
void streamRows(const LinearArgs &args, const uint8_t *weight, const RowOffsets &rows,
                __mmask16 mask, int64_t token, float *y) {
  constexpr int64_t blockBytes = sizeof(typename W::Block);
  const int64_t blocks = args.inputs / q8BlockLength / W::groups;
  const Activations x(args.quantized + token * q8RowBytes(args.inputs), args.inputs);
  // The next tile's bytes, which lie behind this one's.
  const uint8_t *next = weight + tileRows * blocks * blockBytes;
  __m512 acc = _mm512_setzero_ps();
  for (int64_t b = 0; b < blocks; ++b, weight += blockBytes) {
    for (int64_t line = 0; line < tileRows * blockBytes; line += 64)
      __builtin_prefetch(next + line);
    next += tileRows * blockBytes;
    Transposed<W::scaleCount, W::hasMinimum> groups[W::groups];
    W::load(weight, rows, groups);
    for (int s = 0; s < W::groups; ++s)
      acc = addBlock<W>(groups[s], x, b * W::groups + s, acc);
  }
  _mm512_mask_storeu_ps(y + token * args.yStride, mask, acc);
}

/// Groups that are transposed together, for many tokens: they stay in the first cache.
constexpr int64_t panelGroups = 32;

/// y += a panel's products, for T tokens; the first panel begins the sums.
template <class W, int T, class Group>
inline void addPanel(const LinearArgs &args, const Group *panel, int64_t first, int64_t last,
                     __mmask16 mask, int64_t token, float *y) {
  constexpr int part = 8 / W::scaleCount;
  __m512 acc[T];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
    acc[t] = first == 0 ? _mm512_setzero_ps()
                        : _mm512_maskz_loadu_ps(mask, y + (token + t) * args.yStride);
  const int64_t xBytes = q8RowBytes(args.inputs);
  const std::byte *x = args.quantized + token * xBytes;
  const auto of = [&](int t) { return Activations(x + t * xBytes, args.inputs); };
  for (int64_t b = first; b < last; ++b) {
    const Group &weights = panel[b - first];
#pragma GCC unroll 2
    for (int p = 0; p < W::scaleCount; ++p) {
      __m512i sums[T];
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t)
        sums[t] = firstSum<W>(of(t), b, p);
#pragma GCC unroll 8
      for (int g = p * part; g < (p + 1) * part; ++g) {
        const __m512i values = weights.values[g];
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t)
          sums[t] = _mm512_dpbusd_epi32(sums[t], values, of(t).four(b, g));
      }
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t)
        acc[t] = addScaled(sums[t], weights.scales[p], of(t).scales[b], acc[t]);
    }
    if constexpr (W::hasMinimum) {
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t)
        acc[t] = addScaled(of(t).sum(b, -1, -1), weights.minimum, of(t).scales[b], acc[t]);
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
    _mm512_mask_storeu_ps(y + (token + t) * args.yStride, mask, acc[t]);
}

/// 16 rows of y for many tokens, a panel of columns at a time.
template <class W>
void panelRows(const LinearArgs &args, const uint8_t *weight, const RowOffsets &rows,
               __mmask16 mask, float *y) {
  constexpr int T = 8;
  constexpr int64_t blockBytes = sizeof(typename W::Block);
  using Group = Transposed<W::scaleCount, W::hasMinimum>;
  const int64_t count = args.inputs / q8BlockLength;
  Group panel[panelGroups];
  for (int64_t first = 0; first < count; first += panelGroups) {
    const int64_t last = std::min(count, first + panelGroups);
    for (int64_t b = first; b < last; b += W::groups)
      W::load(weight + b / W::groups * blockBytes, rows, panel + (b - first));
    int64_t t = 0;
    for (; t + T <= args.tokens; t += T)
      addPanel<W, T>(args, panel, first, last, mask, t, y);
    for (; t + T / 2 <= args.tokens; t += T / 2)
      addPanel<W, T / 2>(args, panel, first, last, mask, t, y);
    for (; t < args.tokens; ++t)
      addPanel<W, 1>(args, panel, first, last, mask, t, y);
  }
}

template <class W> void linear(const LinearArgs &args, Part part) {
  const int64_t rowBytes = args.inputs / q8BlockLength / W::groups * sizeof(typename W::Block);
  const PartRange range = partRange(args.outputs, part, tileRows);
  for (int64_t row = range.begin; row < range.end; row += tileRows) {
    const int64_t count = std::min(tileRows, range.end - row);
    const auto mask = static_cast<__mmask16>((1u << count) - 1);
    RowOffsets rows;
    for (int64_t r = 0; r < tileRows; ++r)
      rows.at[r] = std::min(r, count - 1) * rowBytes;
    const uint8_t *weight = static_cast<const uint8_t *>(args.weight) + row * rowBytes;
    if (args.tokens == 1)
      streamRows<W>(args, weight, rows, mask, 0, args.y + row);
    else
      panelRows<W>(args, weight, rows, mask, args.y + row);
  }
}

} // namespace
} // namespace cleave::rt

#pragma GCC pop_options

namespace cleave::rt {

inline bool hasAvx512Vnni() {
  return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
}

} // namespace cleave::rt

#endif
