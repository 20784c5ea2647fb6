// Packs matrices into the layouts of layout.h, piece by piece, and takes single rows
// out of them again.
#pragma once

#include "runtime/program/layout.h"

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

namespace cleave {

/// Turns matrices that come row by row into Layout::interleaved. Holds no more than one
/// group of rows. Matrices follow each other; every byte of all of them must be given.
class MatrixPacker {
public:
  using Sink = std::function<void(std::span<const std::byte>)>;

  /// For matrices of `rows` rows of `rowBytes` bytes, a whole number of blocks.
  MatrixPacker(const ElementTypeInfo &info, int64_t rows, int64_t rowBytes, Sink sink);

  /// The next bytes, any number of them. Whole groups go to the sink.
  void append(std::span<const std::byte> piece);

private:
  void writeGroup();

  const ElementTypeInfo &info;
  int64_t rows;
  int64_t rowBytes;
  Sink sink;
  int64_t row = 0;    ///< of the matrix: the first of the group
  int64_t filled = 0; ///< bytes of the group
  std::vector<std::byte> group;
  std::vector<std::byte> packed;
};

/// Copies `bytes` bytes of row `row` of a matrix in Layout::interleaved to `to`, as they
/// are in Layout::rows, beginning at byte `begin`. `begin` and `begin + bytes` are at ends of
/// blocks; rowBytes is a whole row's.
void unpackRow(const ElementTypeInfo &info, const std::byte *matrix, int64_t rowBytes, int64_t row,
               int64_t begin, int64_t bytes, std::byte *to);

} // namespace cleave
