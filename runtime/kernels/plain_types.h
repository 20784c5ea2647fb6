// The C++ types of plain elements, but for halves, which compute as f32.
#pragma once

#include "runtime/program/element_type.h"

#include <cstdint>

namespace cleave::rt {

/// Calls body.operator()<T>() with the C++ type of a plain element type that is no half; bool
/// stands for i1.
template <typename Body> void withPlainType(ElementType type, const Body &body) {
  switch (type) {
  case ElementType::f32:
    return body.template operator()<float>();
  case ElementType::f64:
    return body.template operator()<double>();
  case ElementType::i8:
    return body.template operator()<int8_t>();
  case ElementType::u8:
    return body.template operator()<uint8_t>();
  case ElementType::i16:
    return body.template operator()<int16_t>();
  case ElementType::u16:
    return body.template operator()<uint16_t>();
  case ElementType::i32:
    return body.template operator()<int32_t>();
  case ElementType::u32:
    return body.template operator()<uint32_t>();
  case ElementType::i64:
    return body.template operator()<int64_t>();
  case ElementType::u64:
    return body.template operator()<uint64_t>();
  case ElementType::i1:
    return body.template operator()<bool>();
  default:
    return; // a half, or no plain type
  }
}

} // namespace cleave::rt
