// linear_q8_q4_k, linear_q8_q5_k and linear_q8_q6_k with AVX-512 VNNI.
#include "runtime/kernels/linear_q8_avx512vnni-inl.h"

#if defined(__x86_64__)

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,f16c,fma")

namespace cleave::rt {
namespace {

/// Byte `i` of each lane as a number.
inline __m512 byteAt(__m512i v, int i) {
  return _mm512_cvtepi32_ps(
      _mm512_and_si512(_mm512_srli_epi32(v, static_cast<unsigned>(8 * i)), _mm512_set1_epi32(255)));
}
inline __m512 signedByteAt(__m512i v, int i) {
  return _mm512_cvtepi32_ps(
      _mm512_srai_epi32(_mm512_slli_epi32(v, static_cast<unsigned>(24 - 8 * i)), 24));
}

/// The low or, with `high`, the high halves of bytes.
inline __m512i nibbles(__m512i bytes, bool high) {
  return _mm512_and_si512(high ? _mm512_srli_epi64(bytes, 4) : bytes, _mm512_set1_epi8(15));
}

/// The bits of bytes from `first` on, moved to bit 4; those that `mask` has there.
inline __m512i bitsAbove(__m512i bytes, int first, char mask) {
  return _mm512_and_si512(_mm512_rolv_epi32(bytes, _mm512_set1_epi32(4 - first)),
                          _mm512_set1_epi8(mask));
}

/// The scales and minimums of 8 sub-blocks, which begin blocks of q4_k and q5_k.
struct SubBlocks {
  __m512 scale, minimum;
  __m512i scales[2], minimums[2]; // 4 to a lane, as bytes

  SubBlocks(const uint8_t *block, const RowOffsets &rows) {
    __m512i header[4];
    transpose16(block, rows, header);
    scale = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(header[0]));
    minimum = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(header[0], 16)));
    const __m512i low = _mm512_set1_epi8(63), high = _mm512_set1_epi8(48);
    const auto joined = [&](__m512i bits, __m512i above) {
      return _mm512_or_si512(bits, _mm512_and_si512(_mm512_srli_epi32(above, 2), high));
    };
    scales[0] = _mm512_and_si512(header[1], low);
    scales[1] = joined(nibbles(header[3], false), header[1]);
    minimums[0] = _mm512_and_si512(header[2], low);
    minimums[1] = joined(nibbles(header[3], true), header[2]);
  }

  void writeTo(int s, Transposed<1, true> &group) const {
    group.scales[0] = _mm512_mul_ps(scale, byteAt(scales[s / 4], s % 4));
    group.minimum = _mm512_mul_ps(minimum, byteAt(minimums[s / 4], s % 4));
  }
};

struct WeightsQ4_K {
  using Block = BlockQ4_K;
  static constexpr int groups = 8, offset = 0, scaleCount = 1;
  static constexpr bool hasMinimum = true;

  static void load(const uint8_t *block, const RowOffsets &rows, Transposed<1, true> *result) {
    const SubBlocks subBlocks(block, rows);
#pragma GCC unroll 4
    for (int s = 0; s < groups; s += 2) {
      __m512i bytes[8];
      transpose32(block + offsetof(Block, nibbles) + s / 2 * 32, rows, bytes);
      for (int g = 0; g < 8; ++g) {
        result[s].values[g] = nibbles(bytes[g], false);
        result[s + 1].values[g] = nibbles(bytes[g], true);
      }
      subBlocks.writeTo(s, result[s]);
      subBlocks.writeTo(s + 1, result[s + 1]);
    }
  }
};

struct WeightsQ5_K {
  using Block = BlockQ5_K;
  static constexpr int groups = 8, offset = 0, scaleCount = 1;
  static constexpr bool hasMinimum = true;

  static void load(const uint8_t *block, const RowOffsets &rows, Transposed<1, true> *result) {
    const SubBlocks subBlocks(block, rows);
    __m512i high[8];
    transpose32(block + offsetof(Block, highBits), rows, high);
#pragma GCC unroll 4
    for (int s = 0; s < groups; s += 2) {
      __m512i bytes[8];
      transpose32(block + offsetof(Block, nibbles) + s / 2 * 32, rows, bytes);
      for (int g = 0; g < 8; ++g) {
        result[s].values[g] = _mm512_or_si512(nibbles(bytes[g], false), bitsAbove(high[g], s, 16));
        result[s + 1].values[g] =
            _mm512_or_si512(nibbles(bytes[g], true), bitsAbove(high[g], s + 1, 16));
      }
      subBlocks.writeTo(s, result[s]);
      subBlocks.writeTo(s + 1, result[s + 1]);
    }
  }
};

struct WeightsQ6_K {
  using Block = BlockQ6_K;
  static constexpr int groups = 8, offset = 32, scaleCount = 2;
  static constexpr bool hasMinimum = false;

  static void load(const uint8_t *block, const RowOffsets &rows, Transposed<2, false> *result) {
    const __m512 scale = loadHalves(block + offsetof(Block, scale), rows);
    __m512i scales[4];
    transpose16(block + offsetof(Block, scales), rows, scales);
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      __m512i high[8];
      transpose32(block + offsetof(Block, highBits) + half * 32, rows, high);
#pragma GCC unroll 2
      for (int odd = 0; odd < 2; ++odd) {
        __m512i bytes[8];
        transpose32(block + offsetof(Block, nibbles) + half * 64 + odd * 32, rows, bytes);
#pragma GCC unroll 2
        for (int n = odd; n < 4; n += 2) {
          Transposed<2, false> &group = result[half * 4 + n];
          for (int g = 0; g < 8; ++g)
            group.values[g] =
                _mm512_or_si512(nibbles(bytes[g], n >= 2), bitsAbove(high[g], 2 * n, 48));
          for (int part = 0; part < 2; ++part)
            group.scales[part] =
                _mm512_mul_ps(scale, signedByteAt(scales[half * 2 + n / 2], n % 2 * 2 + part));
        }
      }
    }
  }
};

} // namespace
} // namespace cleave::rt

#pragma GCC pop_options

namespace cleave::rt {

LinearKernel linear_q8_q4_k_avx512vnni() {
  return hasAvx512Vnni() ? linear<WeightsQ4_K> : nullptr;
}
LinearKernel linear_q8_q5_k_avx512vnni() {
  return hasAvx512Vnni() ? linear<WeightsQ5_K> : nullptr;
}
LinearKernel linear_q8_q6_k_avx512vnni() {
  return hasAvx512Vnni() ? linear<WeightsQ6_K> : nullptr;
}

} // namespace cleave::rt

#else

namespace cleave::rt {
LinearKernel linear_q8_q4_k_avx512vnni() {
  return nullptr;
}
LinearKernel linear_q8_q5_k_avx512vnni() {
  return nullptr;
}
LinearKernel linear_q8_q6_k_avx512vnni() {
  return nullptr;
}
} // namespace cleave::rt

#endif
