// The table of element types: what an element or a block of elements is called
// and how many bytes it takes. The dialect's types, the importers, the packing
// of weights and the kernels all read this one table. What a block's bytes mean
// is in block_formats.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace cleave {

/// An element type. The numbers stand in programs on disk: never reuse one. An i1 takes a
/// byte, 0 or 1.
enum class ElementType : uint8_t {
  f32 = 0,
  f16 = 1,
  bf16 = 2,
  i32 = 3,
  i64 = 4,
  i8 = 5,
  u8 = 6,
  i1 = 7,
  f64 = 8,
  i16 = 9,
  u16 = 10,
  u32 = 11,
  u64 = 12,
  q8_0 = 16,
  q4_0 = 17,
  q4_k = 18,
  q5_k = 19,
  q6_k = 20,
  q4_1 = 21,
  q5_0 = 22,
  q5_1 = 23,
};

/// One row of the table. A tensor's last dimension is stored in blocks of
/// `blockLength` elements, each of `blockBytes` bytes; plain types have blocks of
/// one. `ggufType` is the id that GGUF gives the type (ggml's `enum ggml_type`),
/// or -1 where GGUF has none. Bytes [halvesBegin, halvesEnd) of a block are numbers of 16
/// bits that belong to one row each, which Layout::interleaved (layout.h) must know.
struct ElementTypeInfo {
  ElementType type;
  std::string_view name;
  uint32_t blockLength;
  uint32_t blockBytes;
  int32_t ggufType;
  uint32_t halvesBegin = 0;
  uint32_t halvesEnd = 0;
};

inline constexpr std::array elementTypes = {
    ElementTypeInfo{ElementType::f32, "f32", 1, 4, 0},
    ElementTypeInfo{ElementType::f16, "f16", 1, 2, 1, 0, 2},
    ElementTypeInfo{ElementType::bf16, "bf16", 1, 2, 30},
    ElementTypeInfo{ElementType::i32, "i32", 1, 4, 26},
    ElementTypeInfo{ElementType::i64, "i64", 1, 8, 27},
    ElementTypeInfo{ElementType::i8, "i8", 1, 1, 24},
    ElementTypeInfo{ElementType::u8, "u8", 1, 1, -1},
    ElementTypeInfo{ElementType::i1, "i1", 1, 1, -1},
    ElementTypeInfo{ElementType::f64, "f64", 1, 8, 28},
    ElementTypeInfo{ElementType::i16, "i16", 1, 2, 25},
    ElementTypeInfo{ElementType::u16, "u16", 1, 2, -1},
    ElementTypeInfo{ElementType::u32, "u32", 1, 4, -1},
    ElementTypeInfo{ElementType::u64, "u64", 1, 8, -1},
    ElementTypeInfo{ElementType::q8_0, "q8_0", 32, 34, 8, 0, 2},
    ElementTypeInfo{ElementType::q4_0, "q4_0", 32, 18, 2, 0, 2},
    ElementTypeInfo{ElementType::q4_k, "q4_k", 256, 144, 12, 0, 4},
    ElementTypeInfo{ElementType::q5_k, "q5_k", 256, 176, 13, 0, 4},
    ElementTypeInfo{ElementType::q6_k, "q6_k", 256, 210, 14, 208, 210},
    ElementTypeInfo{ElementType::q4_1, "q4_1", 32, 20, 3, 0, 4},
    ElementTypeInfo{ElementType::q5_0, "q5_0", 32, 22, 6, 0, 2},
    ElementTypeInfo{ElementType::q5_1, "q5_1", 32, 24, 7, 0, 4},
};

/// X(type, Name) for each type with blocks: ElementType::type, whose block is the struct BlockName
/// (block_formats.h). What exists once for each of them, as kernels do, is made from this list, so
/// that a type that lacks something does not compile.
#define CLEAVE_BLOCK_TYPES(X)                                                                      \
  X(q8_0, Q8_0)                                                                                    \
  X(q4_0, Q4_0)                                                                                    \
  X(q4_k, Q4_K)                                                                                    \
  X(q5_k, Q5_K)                                                                                    \
  X(q6_k, Q6_K) X(q4_1, Q4_1) X(q5_0, Q5_0) X(q5_1, Q5_1)

/// The row of `type`, or null for a number that names no type (hostile input).
constexpr const ElementTypeInfo *findElementType(ElementType type) {
  for (const ElementTypeInfo &info : elementTypes)
    if (info.type == type)
      return &info;
  return nullptr;
}

constexpr const ElementTypeInfo *findElementType(std::string_view name) {
  for (const ElementTypeInfo &info : elementTypes)
    if (info.name == name)
      return &info;
  return nullptr;
}

constexpr const ElementTypeInfo *findElementTypeOfGguf(int64_t ggufType) {
  for (const ElementTypeInfo &info : elementTypes)
    if (info.ggufType >= 0 && info.ggufType == ggufType)
      return &info;
  return nullptr;
}

/// The row of a type that is known to be valid.
constexpr const ElementTypeInfo &elementTypeInfo(ElementType type) {
  return *findElementType(type);
}

/// Whether elements come in blocks that share a scale.
constexpr bool isBlockType(const ElementTypeInfo &info) {
  return info.blockLength > 1;
}

/// Whether elements are floating-point numbers with a value each.
constexpr bool isFloatType(ElementType type) {
  return type == ElementType::f32 || type == ElementType::f16 || type == ElementType::bf16 ||
         type == ElementType::f64;
}

/// Whether elements are integers, of either signedness; an i1 is none.
constexpr bool isIntegerType(ElementType type) {
  switch (type) {
  case ElementType::i8:
  case ElementType::u8:
  case ElementType::i16:
  case ElementType::u16:
  case ElementType::i32:
  case ElementType::u32:
  case ElementType::i64:
  case ElementType::u64:
    return true;
  default:
    return false;
  }
}

/// The bytes of one row of `length` elements, or nothing where `length` is
/// negative, is no whole number of blocks, or the bytes do not fit 63 bits.
constexpr std::optional<int64_t> rowBytes(const ElementTypeInfo &info, int64_t length) {
  if (length < 0 || length % info.blockLength != 0)
    return std::nullopt;
  int64_t bytes = 0;
  if (__builtin_mul_overflow(length / info.blockLength, int64_t{info.blockBytes}, &bytes))
    return std::nullopt;
  return bytes;
}

/// No tensor may have more bytes than this, with its constant dimensions alone or at
/// the bounds of its symbols, zeros counting as ones: so no product of dimensions
/// overflows.
inline constexpr int64_t maxTensorBytes = int64_t{1} << 48;

/// The most dimensions that a value may have.
inline constexpr size_t maxValueDims = 8;

/// No instruction of a program, and so no op that becomes one, has more operands or more
/// results than this.
inline constexpr int64_t maxOperands = 16;

} // namespace cleave
