// Units from rows to groups and back.
#include "runtime/program/packing.h"

#include <cstring>

namespace cleave {

MatrixPacker::MatrixPacker(const ElementTypeInfo &info, int64_t rows, int64_t rowBytes, Sink sink)
    : info(info), rows(rows), rowBytes(rowBytes), sink(std::move(sink)),
      group(static_cast<size_t>(groupRows * rowBytes)), packed(group.size()) {}

void MatrixPacker::append(std::span<const std::byte> piece) {
  while (!piece.empty()) {
    const int64_t wanted = std::min(groupRows, rows - row) * rowBytes;
    const auto taken = std::min(piece.size(), static_cast<size_t>(wanted - filled));
    std::memcpy(group.data() + filled, piece.data(), taken);
    piece = piece.subspan(taken);
    filled += static_cast<int64_t>(taken);
    if (filled == wanted)
      writeGroup();
  }
}

void MatrixPacker::writeGroup() {
  std::memset(group.data() + filled, 0, group.size() - static_cast<size_t>(filled));
  std::byte *to = packed.data();
  for (int64_t offset = 0; offset < rowBytes;) {
    const int64_t bytes = unitBytes(info, offset, rowBytes);
    for (int64_t r = 0; r < groupRows; ++r, to += bytes)
      std::memcpy(to, group.data() + r * rowBytes + offset, static_cast<size_t>(bytes));
    offset += bytes;
  }
  sink(packed);
  filled = 0;
  row += groupRows;
  if (row >= rows)
    row = 0;
}

void unpackRow(const ElementTypeInfo &info, const std::byte *matrix, int64_t rowBytes, int64_t row,
               int64_t begin, int64_t bytes, std::byte *to) {
  const std::byte *group = matrix + row / groupRows * groupRows * rowBytes;
  for (int64_t offset = begin; offset < begin + bytes;) {
    const int64_t unit = unitBytes(info, offset, rowBytes);
    std::memcpy(to, group + groupRows * offset + row % groupRows * unit, static_cast<size_t>(unit));
    to += unit;
    offset += unit;
  }
}

} // namespace cleave
