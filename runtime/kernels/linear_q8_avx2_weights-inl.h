// How a block of each type becomes chunks of 256-bit vectors (linear_q8_avx2-inl.h).
#pragma once

#include "runtime/kernels/linear_q8_avx2-inl.h"

#if CLEAVE_LINEAR_AVXVNNI
HWY_PUSH_ATTRIBUTES("avx2,fma,f16c,avxvnni")
#else
HWY_PUSH_ATTRIBUTES("avx2,fma,f16c")
#endif

namespace cleave::rt {
namespace {

/// The low or, with `high`, the high halves of bytes.
inline __m256i nibbles(__m256i bytes, bool high) {
  return _mm256_and_si256(high ? _mm256_srli_epi16(bytes, 4) : bytes, _mm256_set1_epi8(15));
}

/// The bits of bytes from `first` on, moved to bit 4; those that `mask` has there.
inline __m256i bitsAbove(__m256i bytes, int first, char mask) {
  return _mm256_and_si256(first <= 4 ? _mm256_slli_epi16(bytes, 4 - first)
                                     : _mm256_srli_epi16(bytes, first - 4),
                          _mm256_set1_epi8(mask));
}

/// Byte `i` of each lane as a number.
inline __m256 byteAt(__m256i v, int i) {
  return _mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srli_epi32(v, 8 * i), _mm256_set1_epi32(255)));
}
inline __m256 signedByteAt(__m256i v, int i) {
  return _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(v, 24 - 8 * i), 24));
}

struct NoHeader {
  NoHeader(const uint8_t *, int) {}
};

/// The weight types that linear_q8_avx2-inl.h takes.
template <class Block> struct Weights;

template <> struct Weights<BlockQ8_0> {
  using Block = BlockQ8_0;
  using Header = NoHeader;
  // Products of whole bytes would not even fit in pairs.
  static constexpr int chunks = 1, parts = 1, digits = hasByteDot ? 1 : 2, run = 8;

  static __m256i value(const uint8_t *block, int half, int, int g, int digit) {
    // -128 .. 127 to 0 .. 255.
    const __m256i bytes = _mm256_xor_si256(wordsAt(block, half, offsetof(Block, values), g),
                                           _mm256_set1_epi8(static_cast<char>(0x80)));
    return digits == 1 ? bytes : nibbles(bytes, digit == 1);
  }
  static void scale(const uint8_t *block, int half, const Header &, int, Scales<1> &to) {
    to.scale[0] = halvesAt(block, half, offsetof(Block, scale));
    to.minimum[0] = _mm256_mul_ps(to.scale[0], _mm256_set1_ps(128));
  }
};

/// The bytes of `to`, with 16 more where their columns, 4g .. 4g + 3, have bits in words of one bit
/// a column.
inline __m256i addHighBits(__m256i to, __m256i words, int g) {
  // Each byte of a lane takes the byte that has its bit, and looks at this bit alone.
  const __m256i from = _mm256_add_epi8(_mm256_set_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0,
                                                        0x0c0c0c0c, 0x08080808, 0x04040404, 0),
                                       _mm256_set1_epi8(static_cast<char>(g / 2)));
  const __m256i bit = _mm256_set1_epi32(g % 2 == 0 ? 0x08040201 : static_cast<int>(0x80402010u));
  const __m256i set =
      _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(words, from), bit), bit);
  return _mm256_or_si256(to, _mm256_and_si256(set, _mm256_set1_epi8(16)));
}

/// Blocks of 32 elements of 4 bits, or of 5 where there are high bits.
template <class B>
  requires isNibbleBlock<B>
struct Weights<B> {
  using Block = B;
  using Header = NoHeader;
  static constexpr int chunks = 1, parts = 1, digits = 1;
  static constexpr int run = hasHighBits<Block> ? 4 : 8; // 8 * 31 * 127 and 16 * 15 * 127 < 2^15

  static __m256i value(const uint8_t *block, int half, int, int g, int) {
    const __m256i low = nibbles(wordsAt(block, half, offsetof(Block, nibbles), g % 4), g >= 4);
    if constexpr (hasHighBits<Block>)
      return addHighBits(low, wordsAt(block, half, offsetof(Block, highBits)), g);
    else
      return low;
  }
  static void scale(const uint8_t *block, int half, const Header &, int, Scales<1> &to) {
    to.scale[0] = halvesAt(block, half, offsetof(Block, scale));
    if constexpr (hasMinimum<Block>) // added, not subtracted
      to.minimum[0] =
          _mm256_sub_ps(_mm256_setzero_ps(), halvesAt(block, half, offsetof(Block, minimum)));
    else
      to.minimum[0] = _mm256_mul_ps(to.scale[0], _mm256_set1_ps(hasHighBits<Block> ? 16 : 8));
  }
};

/// The scales and minimums of 8 sub-blocks, which begin blocks of q4_k and q5_k: 4 to a vector
/// of bytes.
struct SubBlockHeader {
  __m256 scale, minimum;
  __m256i scales[2], minimums[2];

  static __m256i joined(__m256i bits, __m256i above) {
    return _mm256_or_si256(bits,
                           _mm256_and_si256(_mm256_srli_epi16(above, 2), _mm256_set1_epi8(48)));
  }

  SubBlockHeader(const uint8_t *block, int half)
      : scale(halvesAt(block, half, offsetof(BlockQ4_K, scale))),
        minimum(halvesAt(block, half, offsetof(BlockQ4_K, minimum))) {
    const __m256i low = _mm256_set1_epi8(63);
    const __m256i packed[3] = {wordsAt(block, half, offsetof(BlockQ4_K, packed), 0),
                               wordsAt(block, half, offsetof(BlockQ4_K, packed), 1),
                               wordsAt(block, half, offsetof(BlockQ4_K, packed), 2)};
    scales[0] = _mm256_and_si256(packed[0], low);
    scales[1] = joined(nibbles(packed[2], false), packed[0]);
    minimums[0] = _mm256_and_si256(packed[1], low);
    minimums[1] = joined(nibbles(packed[2], true), packed[1]);
  }

  void writeTo(int s, Scales<1> &to) const {
    to.scale[0] = _mm256_mul_ps(scale, byteAt(scales[s / 4], s % 4));
    to.minimum[0] = _mm256_mul_ps(minimum, byteAt(minimums[s / 4], s % 4));
  }
};
static_assert(offsetof(BlockQ4_K, packed) == offsetof(BlockQ5_K, packed));

template <> struct Weights<BlockQ4_K> {
  using Block = BlockQ4_K;
  using Header = SubBlockHeader;
  static constexpr int chunks = 8, parts = 1, digits = 1, run = 8;

  static __m256i value(const uint8_t *block, int half, int s, int g, int) {
    return nibbles(wordsAt(block, half, offsetof(Block, nibbles) + s / 2 * 32, g), s % 2 != 0);
  }
  static void scale(const uint8_t *, int, const Header &header, int s, Scales<1> &to) {
    header.writeTo(s, to);
  }
};

template <> struct Weights<BlockQ5_K> {
  using Block = BlockQ5_K;
  using Header = SubBlockHeader;
  static constexpr int chunks = 8, parts = 1, digits = 1, run = 4; // 8 * 31 * 127 < 2^15

  static __m256i value(const uint8_t *block, int half, int s, int g, int) {
    return _mm256_or_si256(
        nibbles(wordsAt(block, half, offsetof(Block, nibbles) + s / 2 * 32, g), s % 2 != 0),
        bitsAbove(wordsAt(block, half, offsetof(Block, highBits), g), s, 16));
  }
  static void scale(const uint8_t *, int, const Header &header, int s, Scales<1> &to) {
    header.writeTo(s, to);
  }
};

template <> struct Weights<BlockQ6_K> {
  using Block = BlockQ6_K;
  static constexpr int chunks = 8, parts = 2, digits = 1, run = 2; // 4 * 63 * 127 < 2^15

  struct Header {
    __m256 scale;
    Header(const uint8_t *block, int half) : scale(halvesAt(block, half, offsetof(Block, scale))) {}
  };

  static __m256i value(const uint8_t *block, int half, int s, int g, int) {
    return _mm256_or_si256(
        nibbles(wordsAt(block, half, offsetof(Block, nibbles) + s / 4 * 64 + s % 2 * 32, g),
                s % 4 >= 2),
        bitsAbove(wordsAt(block, half, offsetof(Block, highBits) + s / 4 * 32, g), s % 4 * 2, 48));
  }
  static void scale(const uint8_t *block, int half, const Header &header, int s, Scales<2> &to) {
    const __m256i scales = wordsAt(block, half, offsetof(Block, scales) + s / 2 * 4);
#pragma GCC unroll 2
    for (int part = 0; part < 2; ++part) {
      to.scale[part] = _mm256_mul_ps(header.scale, signedByteAt(scales, s % 2 * 2 + part));
      to.minimum[part] = _mm256_mul_ps(to.scale[part], _mm256_set1_ps(32));
    }
  }
};

} // namespace
} // namespace cleave::rt

HWY_POP_ATTRIBUTES
