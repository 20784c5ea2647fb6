// Copies a range of one dimension of a tensor of any element type.
#pragma once

#include "runtime/kernels/part.h"

#include <cstdint>

namespace cleave::rt {

/// Copies `bytes` bytes from each of `rows` rows. For a slice [begin, begin + size)
/// along dim d: rows is the product of the dims before d, and with `inner` the bytes
/// of the dims after d, xStride = dim * inner, yStride = bytes = size * inner, and x
/// points begin * inner past the tensor. y does not overlap x.
struct SliceArgs {
  const void *x = nullptr;
  void *y = nullptr;
  int64_t rows = 0;
  int64_t bytes = 0;
  int64_t xStride = 0; ///< in bytes
  int64_t yStride = 0; ///< in bytes
};

void slice(const SliceArgs &args, Part part);

} // namespace cleave::rt
