// Copies row by row of the result: each row is read at one stride of the operand. Where rows
// that follow each other read neighbours, blocks of rows are copied together, so that what
// one row brings into the cache serves the others.
#include "runtime/kernels/transpose.h"

#include <algorithm>
#include <cstring>

namespace cleave::rt {

namespace {

/// Rows that are copied together: a line of the cache of the smallest elements.
constexpr int64_t blockRows = 16;

/// `rows` rows of y, the first elements of which follow each other in x.
template <typename T>
void transposeBlock(const T *x, T *y, int64_t rows, int64_t columns, int64_t stride) {
  int64_t column = 0;
  for (; column + blockRows <= columns; column += blockRows)
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t i = 0; i < blockRows; ++i)
        y[row * columns + column + i] = x[(column + i) * stride + row];
  for (; column < columns; ++column)
    for (int64_t row = 0; row < rows; ++row)
      y[row * columns + column] = x[column * stride + row];
}

template <typename T> void transposeOf(const TransposeArgs &args, Part part) {
  const int last = args.rank - 1;
  const int64_t columns = args.rank > 0 ? args.dims[last] : 1;
  const int64_t stride = args.rank > 0 ? args.strides[last] : 1;
  int64_t rows = 1;
  for (int d = 0; d < last; ++d)
    rows *= args.dims[d];
  const PartRange range = partRange(rows, part);
  if (range.begin == range.end)
    return;
  // The place of the first row, and then of each next one, as an odometer.
  std::array<int64_t, maxTransposeDims> place{};
  const T *x = static_cast<const T *>(args.x);
  for (int64_t d = last - 1, row = range.begin; d >= 0; row /= args.dims[d], --d) {
    place[d] = row % args.dims[d];
    x += place[d] * args.strides[d];
  }
  T *y = static_cast<T *>(args.y) + range.begin * columns;
  const bool areNeighbours = stride != 1 && last > 0 && args.strides[last - 1] == 1;
  for (int64_t row = range.begin; row < range.end;) {
    int64_t rowsDone = 1;
    if (areNeighbours) {
      rowsDone = std::min({blockRows, range.end - row, args.dims[last - 1] - place[last - 1]});
      transposeBlock(x, y, rowsDone, columns, stride);
      // The odometer's last step is made below.
      x += rowsDone - 1;
      place[last - 1] += rowsDone - 1;
    } else if (stride == 1) {
      std::memcpy(y, x, columns * sizeof(T));
    } else {
      for (int64_t i = 0; i < columns; ++i)
        y[i] = x[i * stride];
    }
    row += rowsDone;
    y += rowsDone * columns;
    for (int d = last - 1; d >= 0; --d) {
      x += args.strides[d];
      if (++place[d] < args.dims[d])
        break;
      x -= place[d] * args.strides[d];
      place[d] = 0;
    }
  }
}

} // namespace

void transpose(const TransposeArgs &args, Part part) {
  switch (args.elementBytes) {
  case 1:
    return transposeOf<uint8_t>(args, part);
  case 2:
    return transposeOf<uint16_t>(args, part);
  case 4:
    return transposeOf<uint32_t>(args, part);
  default:
    return transposeOf<uint64_t>(args, part);
  }
}

} // namespace cleave::rt
