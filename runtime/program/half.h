// f16 and bf16 as bits, to f32 and back: what sums over ranks need. Rounds to
// nearest, ties to even, as IEEE 754 does by default.
#pragma once

#include <bit>
#include <cstdint>

namespace cleave::rt {

inline float floatOfF16(uint16_t bits) {
  return static_cast<float>(std::bit_cast<_Float16>(bits));
}

inline uint16_t f16OfFloat(float value) {
  return std::bit_cast<uint16_t>(static_cast<_Float16>(value));
}

inline float floatOfBf16(uint16_t bits) {
  return std::bit_cast<float>(uint32_t{bits} << 16);
}

inline uint16_t bf16OfFloat(float value) {
  auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) // a NaN stays one, whatever its payload
    return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

} // namespace cleave::rt
