// The linear_q8 kernels with AVX-512 VNNI: how a block of each type becomes chunks.
#include "runtime/kernels/linear_q8_avx512vnni-inl.h"

#include "runtime/kernels/cpu_features.h"

#if defined(__x86_64__)

HWY_PUSH_ATTRIBUTES("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,f16c,fma")

namespace cleave::rt {
namespace {

/// The low or, with `high`, the high halves of bytes.
inline __m512i nibbles(__m512i bytes, bool high) {
  return _mm512_and_si512(high ? _mm512_srli_epi64(bytes, 4) : bytes, _mm512_set1_epi8(15));
}

/// The bits of bytes from `first` on, moved to bit 4; those that `mask` has there.
inline __m512i bitsAbove(__m512i bytes, int first, char mask) {
  return _mm512_and_si512(_mm512_rolv_epi32(bytes, _mm512_set1_epi32(4 - first)),
                          _mm512_set1_epi8(mask));
}

/// Byte `i` of each lane as a number.
inline __m512 byteAt(__m512i v, int i) {
  return _mm512_cvtepi32_ps(
      _mm512_and_si512(_mm512_srli_epi32(v, static_cast<unsigned>(8 * i)), _mm512_set1_epi32(255)));
}
inline __m512 signedByteAt(__m512i v, int i) {
  return _mm512_cvtepi32_ps(
      _mm512_srai_epi32(_mm512_slli_epi32(v, static_cast<unsigned>(24 - 8 * i)), 24));
}

struct NoHeader {
  explicit NoHeader(const uint8_t *) {}
};

/// The weight types that linear_q8_avx512vnni-inl.h takes.
template <class Block> struct Weights;

template <> struct Weights<BlockQ8_0> {
  using Block = BlockQ8_0;
  using Header = NoHeader;
  static constexpr int chunks = 1, parts = 1;

  static Chunk<1> load(const uint8_t *block, const Header &, int) {
    Chunk<1> chunk;
#pragma GCC unroll 8
    for (int g = 0; g < 8; ++g) // -128 .. 127 to 0 .. 255
      chunk.values[g] = _mm512_xor_si512(wordsAt(block, offsetof(Block, values), g),
                                         _mm512_set1_epi8(static_cast<char>(0x80)));
    chunk.scales[0] = halvesAt(block, offsetof(Block, scale));
    chunk.minimums[0] = _mm512_mul_ps(chunk.scales[0], _mm512_set1_ps(128));
    return chunk;
  }
};

/// The bytes of `to`, with 16 more where their columns, 4g .. 4g + 3, have bits in words of one bit
/// a column.
inline __m512i addHighBits(__m512i to, __m512i words, int g) {
  // Each byte of a lane takes the byte that has its bit, and looks at this bit alone.
  const __m512i from = _mm512_add_epi8(_mm512_set4_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0),
                                       _mm512_set1_epi8(static_cast<char>(g / 2)));
  const __m512i bit = _mm512_set1_epi32(g % 2 == 0 ? 0x08040201 : static_cast<int>(0x80402010u));
  const __mmask64 set = _mm512_test_epi8_mask(_mm512_shuffle_epi8(words, from), bit);
  return _mm512_mask_add_epi8(to, set, to, _mm512_set1_epi8(16));
}

/// Blocks of 32 elements of 4 bits, or of 5 where there are high bits.
template <class B>
  requires isNibbleBlock<B>
struct Weights<B> {
  using Block = B;
  using Header = NoHeader;
  static constexpr int chunks = 1, parts = 1;

  static Chunk<1> load(const uint8_t *block, const Header &, int) {
    Chunk<1> chunk;
#pragma GCC unroll 4
    for (int g = 0; g < 4; ++g) {
      const __m512i bytes = wordsAt(block, offsetof(Block, nibbles), g);
      chunk.values[g] = nibbles(bytes, false);
      chunk.values[g + 4] = nibbles(bytes, true);
    }
    if constexpr (hasHighBits<Block>) {
      const __m512i words = wordsAt(block, offsetof(Block, highBits));
#pragma GCC unroll 8
      for (int g = 0; g < 8; ++g)
        chunk.values[g] = addHighBits(chunk.values[g], words, g);
    }
    chunk.scales[0] = halvesAt(block, offsetof(Block, scale));
    if constexpr (hasMinimum<Block>) // added, not subtracted
      chunk.minimums[0] =
          _mm512_sub_ps(_mm512_setzero_ps(), halvesAt(block, offsetof(Block, minimum)));
    else
      chunk.minimums[0] =
          _mm512_mul_ps(chunk.scales[0], _mm512_set1_ps(hasHighBits<Block> ? 16 : 8));
    return chunk;
  }
};

/// The scales and minimums of 8 sub-blocks, which begin blocks of q4_k and q5_k: 4 to a vector
/// of bytes.
struct SubBlockHeader {
  __m512 scale, minimum;
  __m512i scales[2], minimums[2];

  static __m512i joined(__m512i bits, __m512i above) {
    return _mm512_or_si512(bits,
                           _mm512_and_si512(_mm512_srli_epi64(above, 2), _mm512_set1_epi8(48)));
  }

  explicit SubBlockHeader(const uint8_t *block)
      : scale(halvesAt(block, offsetof(BlockQ4_K, scale))),
        minimum(halvesAt(block, offsetof(BlockQ4_K, minimum))) {
    const __m512i low = _mm512_set1_epi8(63);
    const __m512i packed[3] = {wordsAt(block, offsetof(BlockQ4_K, packed), 0),
                               wordsAt(block, offsetof(BlockQ4_K, packed), 1),
                               wordsAt(block, offsetof(BlockQ4_K, packed), 2)};
    scales[0] = _mm512_and_si512(packed[0], low);
    scales[1] = joined(nibbles(packed[2], false), packed[0]);
    minimums[0] = _mm512_and_si512(packed[1], low);
    minimums[1] = joined(nibbles(packed[2], true), packed[1]);
  }

  void writeTo(int s, Chunk<1> &chunk) const {
    chunk.scales[0] = _mm512_mul_ps(scale, byteAt(scales[s / 4], s % 4));
    chunk.minimums[0] = _mm512_mul_ps(minimum, byteAt(minimums[s / 4], s % 4));
  }
};
static_assert(offsetof(BlockQ4_K, packed) == offsetof(BlockQ5_K, packed));

template <> struct Weights<BlockQ4_K> {
  using Block = BlockQ4_K;
  using Header = SubBlockHeader;
  static constexpr int chunks = 8, parts = 1;

  static Chunk<1> load(const uint8_t *block, const Header &header, int s) {
    Chunk<1> chunk;
    const bool high = s % 2 != 0;
#pragma GCC unroll 8
    for (int g = 0; g < 8; ++g)
      chunk.values[g] = _mm512_and_si512(wordsAt(block, offsetof(Block, nibbles) + s / 2 * 32, g),
                                         _mm512_set1_epi8(static_cast<char>(high ? 0xf0 : 0x0f)));
    header.writeTo(s, chunk);
    if (high) // halves of bytes that stay where they are count 16 times
      chunk.scales[0] = _mm512_mul_ps(chunk.scales[0], _mm512_set1_ps(1.0f / 16));
    return chunk;
  }
};

template <> struct Weights<BlockQ5_K> {
  using Block = BlockQ5_K;
  using Header = SubBlockHeader;
  static constexpr int chunks = 8, parts = 1;

  static Chunk<1> load(const uint8_t *block, const Header &header, int s) {
    Chunk<1> chunk;
#pragma GCC unroll 8
    for (int g = 0; g < 8; ++g)
      chunk.values[g] = _mm512_or_si512(
          nibbles(wordsAt(block, offsetof(Block, nibbles) + s / 2 * 32, g), s % 2 != 0),
          bitsAbove(wordsAt(block, offsetof(Block, highBits), g), s, 16));
    header.writeTo(s, chunk);
    return chunk;
  }
};

template <> struct Weights<BlockQ6_K> {
  using Block = BlockQ6_K;
  static constexpr int chunks = 8, parts = 2;

  struct Header {
    __m512 scale;
    explicit Header(const uint8_t *block) : scale(halvesAt(block, offsetof(Block, scale))) {}
  };

  static Chunk<2> load(const uint8_t *block, const Header &header, int s) {
    Chunk<2> chunk;
#pragma GCC unroll 8
    for (int g = 0; g < 8; ++g)
      chunk.values[g] = _mm512_or_si512(
          nibbles(wordsAt(block, offsetof(Block, nibbles) + s / 4 * 64 + s % 2 * 32, g),
                  s % 4 >= 2),
          bitsAbove(wordsAt(block, offsetof(Block, highBits) + s / 4 * 32, g), s % 4 * 2, 48));
    const __m512i scales = wordsAt(block, offsetof(Block, scales) + s / 2 * 4);
#pragma GCC unroll 2
    for (int part = 0; part < 2; ++part) {
      chunk.scales[part] = _mm512_mul_ps(header.scale, signedByteAt(scales, s % 2 * 2 + part));
      chunk.minimums[part] = _mm512_mul_ps(chunk.scales[part], _mm512_set1_ps(32));
    }
    return chunk;
  }
};

} // namespace
} // namespace cleave::rt

HWY_POP_ATTRIBUTES

#endif

cleave::rt::LinearKernel cleave::rt::linear_q8_avx512vnni([[maybe_unused]] ElementType weight) {
#if defined(__x86_64__)
  if (!cpuFeatures().avx512Vnni)
    return nullptr;
  return withBlock(weight, []<class Block>() -> LinearKernel { return linear<Weights<Block>>; });
#else
  return nullptr;
#endif
}
