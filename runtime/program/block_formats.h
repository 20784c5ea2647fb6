// The bytes of the block-quantized element types, as ggml defines them and GGUF
// stores them. One struct a type; all integers and floats are little-endian.
#pragma once

#include <cstdint>

namespace cleave {

/// 32 elements: element i is `scale * values[i]`. `scale` is an IEEE half.
struct BlockQ8_0 {
  uint16_t scale;
  int8_t values[32];
};
static_assert(sizeof(BlockQ8_0) == 34);

/// 32 elements of 4 bits: the low nibble of `nibbles[i]` is element i, the high
/// nibble element i + 16; an element is `scale * (nibble - 8)`.
struct BlockQ4_0 {
  uint16_t scale;
  uint8_t nibbles[16];
};
static_assert(sizeof(BlockQ4_0) == 18);

} // namespace cleave
