// Sizes that depend on the symbols of a program: a constant times some symbols.
#pragma once

#include "runtime/program/element_type.h"
#include "runtime/program/program.h"

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>

namespace cleave::rt {

/// The product of some dimensions, to be evaluated each step.
class Size {
public:
  Size() = default;
  explicit Size(std::span<const int64_t> dims) {
    for (int64_t dim : dims) {
      if (isSymbolDim(dim))
        symbols[count++] = static_cast<int32_t>(symbolOfDim(dim));
      else
        constant *= dim;
    }
  }

  /// The value for these values of the program's symbols.
  int64_t operator()(const int64_t *values) const {
    int64_t result = constant;
    for (int i = 0; i < count; ++i)
      result *= values[symbols[i]];
    return result;
  }

  /// The product of both, each being of one value's dimensions.
  friend Size operator*(Size a, const Size &b) {
    a.constant *= b.constant;
    for (int i = 0; i < b.count; ++i)
      a.symbols[a.count++] = b.symbols[i];
    return a;
  }

  auto operator<=>(const Size &) const = default;

private:
  int64_t constant = 1;
  int32_t count = 0;
  std::array<int32_t, 2 * maxValueDims> symbols{}; // those of two values at most
};

/// The bytes of a tensor at the bounds of its symbols; nothing where they, or any
/// part of the product, are more than maxTensorBytes.
inline std::optional<int64_t> bytesAtBounds(std::span<const int64_t> dims, int64_t elementBytes,
                                            std::span<const int64_t> bounds) {
  int64_t product = elementBytes;
  bool empty = false;
  for (int64_t dim : dims) {
    int64_t size = isSymbolDim(dim) ? bounds[static_cast<size_t>(symbolOfDim(dim))] : dim;
    empty |= size == 0;
    if (__builtin_mul_overflow(product, std::max<int64_t>(size, 1), &product) ||
        product > maxTensorBytes)
      return std::nullopt;
  }
  return empty ? 0 : product;
}

} // namespace cleave::rt
