// How a weight's elements are arranged in a rank's weight file. The compiler packs
// into these layouts (packing.h), the kernels read them; all include only this.
#pragma once

#include "runtime/program/element_type.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>

namespace cleave {

/// The numbers stand in programs on disk: never reuse one.
enum class Layout : uint8_t {
  /// As the model file has it: rows one after the other, each a sequence of whole
  /// blocks, without padding between rows.
  rows = 0,
  /// For matrix products: each groupRows rows of a matrix stand together, unit by unit. A
  /// row is a sequence of units (see unitBytes); unit by unit come those of all rows of the
  /// group, so that one vector holds many rows: byte o of the group's row r, in a unit of u
  /// bytes that begins at `begin`, is byte groupRows * begin + r * u + (o - begin) of the
  /// group. A matrix whose rows are no whole number of groups is filled up with zeros. Of a
  /// tensor of more dimensions each matrix (the last two) is laid out by itself.
  interleaved = 1,
};

/// Weights begin at multiples of this many bytes in a weight file.
inline constexpr uint64_t weightAlignment = 64;

/// Rows that Layout::interleaved puts together.
inline constexpr int64_t groupRows = 16;

/// The bytes of the unit that begins at byte `offset` of a row of `rowBytes`: a half is a
/// unit of 2, everything else is in units of 4 (the last one of a row may be shorter).
constexpr int64_t unitBytes(const ElementTypeInfo &info, int64_t offset, int64_t rowBytes) {
  int64_t inBlock = offset % info.blockBytes;
  bool isHalf = inBlock >= info.halvesBegin && inBlock < info.halvesEnd;
  return std::min<int64_t>(isHalf ? 2 : 4, rowBytes - offset);
}

/// `rows` up to a whole number of groups.
constexpr int64_t wholeGroups(int64_t rows) {
  return (rows + groupRows - 1) / groupRows * groupRows;
}

/// The layout in which the kernels of matrix products want weights of this type. Rows of
/// f32 stay as they are, since oneDNN multiplies them too.
constexpr Layout matrixLayout(ElementType type) {
  return type == ElementType::f32 ? Layout::rows : Layout::interleaved;
}

/// The bytes of one matrix of `rows` rows of `rowBytes`; both are bounded by a tensor's
/// bytes (maxTensorBytes).
constexpr int64_t matrixBytes(Layout layout, int64_t rows, int64_t rowBytes) {
  return (layout == Layout::interleaved ? wholeGroups(rows) : rows) * rowBytes;
}

/// The bytes of a tensor of these dimensions, which must be those of a tensor that exists
/// (not above maxTensorBytes, the last a whole number of blocks); nothing where the layout
/// is for matrices and there are fewer than two dimensions.
constexpr std::optional<int64_t> layoutBytes(Layout layout, const ElementTypeInfo &info,
                                             std::span<const int64_t> dims) {
  if (layout == Layout::interleaved && dims.size() < 2)
    return std::nullopt;
  int64_t bytes = dims.empty() ? info.blockBytes : rowBytes(info, dims.back()).value();
  for (size_t dim = dims.size(); dim-- > 1;)
    bytes =
        dim == dims.size() - 1 ? matrixBytes(layout, dims[dim - 1], bytes) : bytes * dims[dim - 1];
  return bytes;
}

} // namespace cleave
