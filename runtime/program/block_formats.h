// The bytes of the block-quantized element types, as ggml defines them and GGUF
// stores them. One struct a type; all integers and floats are little-endian.
#pragma once

#include "runtime/program/element_type.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace cleave {

/// 32 elements: element i is `scale * values[i]`. `scale` is an IEEE half.
struct BlockQ8_0 {
  uint16_t scale;
  int8_t values[32];
};

/// 32 elements of 4 bits: the low nibble of `nibbles[i]` is element i, the high
/// nibble element i + 16; an element is `scale * (nibble - 8)`.
struct BlockQ4_0 {
  uint16_t scale;
  uint8_t nibbles[16];
};

/// As BlockQ4_0, but an element is `scale * nibble + minimum`.
struct BlockQ4_1 {
  uint16_t scale;
  uint16_t minimum;
  uint8_t nibbles[16];
};

/// As BlockQ4_0 with 5 bits: bit i % 8 of highBits[i / 8] is worth 16 in element i; an element
/// is `scale * (bits - 16)`.
struct BlockQ5_0 {
  uint16_t scale;
  uint8_t highBits[4];
  uint8_t nibbles[16];
};

/// As BlockQ5_0, but an element is `scale * bits + minimum`.
struct BlockQ5_1 {
  uint16_t scale;
  uint16_t minimum;
  uint8_t highBits[4];
  uint8_t nibbles[16];
};

/// 256 elements of 4 bits, in 8 sub-blocks of 32: an element of sub-block s is `scale *
/// scales[s] * nibble - minimum * minimums[s]`, the sub-blocks' scales and minimums being
/// integers of 6 bits. Those of sub-blocks 0-3 are the low 6 bits of packed[s] and
/// packed[4 + s]; those of 4-7 have their low 4 bits in the two halves of packed[4 + s],
/// their high 2 in the high bits of packed[s - 4] and packed[s]. Element i of sub-blocks 2n
/// and 2n + 1 is the low and the high half of nibbles[32 * n + i].
struct BlockQ4_K {
  uint16_t scale;
  uint16_t minimum;
  uint8_t packed[12];
  uint8_t nibbles[128];
};

/// The integers of a sub-block of BlockQ4_K or BlockQ5_K.
struct SubBlock {
  uint8_t scale;
  uint8_t minimum;
};

/// Of sub-block `s` in [0, 8).
constexpr SubBlock subBlock(const uint8_t (&packed)[12], int s) {
  if (s < 4)
    return {static_cast<uint8_t>(packed[s] & 63), static_cast<uint8_t>(packed[4 + s] & 63)};
  return {static_cast<uint8_t>((packed[4 + s] & 15) | (packed[s - 4] >> 6 << 4)),
          static_cast<uint8_t>((packed[4 + s] >> 4) | (packed[s] >> 6 << 4))};
}

/// The same of all sub-blocks, four to a word: quicker than one after the other.
struct SubBlocks {
  uint8_t scales[8];
  uint8_t minimums[8];
};

inline SubBlocks subBlocks(const uint8_t (&packed)[12]) {
  uint32_t words[3];
  std::memcpy(words, packed, sizeof(words));
  const auto joined = [](uint32_t bits, uint32_t above) {
    return (bits & 0x0f0f0f0fu) | (above >> 2 & 0x30303030u);
  };
  const uint32_t result[4] = {words[0] & 0x3f3f3f3fu, joined(words[2], words[0]),
                              words[1] & 0x3f3f3f3fu, joined(words[2] >> 4, words[1])};
  SubBlocks all;
  std::memcpy(&all, result, sizeof(all));
  return all;
}

/// As BlockQ4_K with 5 bits: bit s of highBits[i] is worth 16 in element i of sub-block s.
struct BlockQ5_K {
  uint16_t scale;
  uint16_t minimum;
  uint8_t packed[12];
  uint8_t highBits[32];
  uint8_t nibbles[128];
};

/// 256 elements of 6 bits, in 16 sub-blocks of 16: an element is `scale * scales[s] *
/// (bits - 32)`. In each half of 128 elements, which has 64 bytes of nibbles and 32 of
/// highBits, element 32 * n + i has its low 4 bits in nibbles[32 * (n % 2) + i], in the low
/// half of the byte for n < 2, and its high 2 bits at bit 2 * n of highBits[i].
struct BlockQ6_K {
  uint8_t nibbles[128];
  uint8_t highBits[64];
  int8_t scales[16];
  uint16_t scale;
};

/// What the blocks that have the same parts share code by.
template <class Block> inline constexpr bool hasMinimum = requires { Block::minimum; };
template <class Block> inline constexpr bool hasHighBits = requires { Block::highBits; };

/// Whether blocks are of 32 elements of 4 or 5 bits, two to a byte.
template <class Block> inline constexpr bool isNibbleBlock = false;
template <class Block>
  requires(sizeof(Block::nibbles) == 16)
inline constexpr bool isNibbleBlock<Block> = true;

/// f.operator()<Block>() with the struct of a block type; for other types a result that is made
/// of nothing.
template <class F> constexpr auto withBlock(ElementType type, const F &f) {
  using Result = decltype(f.template operator()<BlockQ8_0>());
  switch (type) {
#define CLEAVE_CASE(type, Name)                                                                    \
  case ElementType::type:                                                                          \
    return f.template operator()<Block##Name>();
    CLEAVE_BLOCK_TYPES(CLEAVE_CASE)
#undef CLEAVE_CASE
  default:
    return Result();
  }
}

#define CLEAVE_CHECK_SIZE(type, Name)                                                              \
  static_assert(sizeof(Block##Name) == elementTypeInfo(ElementType::type).blockBytes);
CLEAVE_BLOCK_TYPES(CLEAVE_CHECK_SIZE)
#undef CLEAVE_CHECK_SIZE

#define CLEAVE_COUNT(type, Name) +1
static_assert(CLEAVE_BLOCK_TYPES(CLEAVE_COUNT) ==
              std::count_if(elementTypes.begin(), elementTypes.end(), isBlockType));
#undef CLEAVE_COUNT

} // namespace cleave
