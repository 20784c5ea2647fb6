// Copies row by row of the result: each row is read at one stride of the operand.
#include "runtime/kernels/transpose.h"

#include <cstring>

namespace cleave::rt {

namespace {

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
  for (int64_t row = range.begin; row < range.end; ++row, y += columns) {
    if (stride == 1)
      std::memcpy(y, x, columns * sizeof(T));
    else
      for (int64_t i = 0; i < columns; ++i)
        y[i] = x[i * stride];
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
