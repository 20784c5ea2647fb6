// Copies a range of several dimensions of a tensor of any element type.
#pragma once

#include "runtime/kernels/part.h"

#include <array>
#include <cstdint>

namespace cleave::rt {

/// Copies runs of `bytes` bytes, as many as the product of `counts`: run (i, j, k) lies
/// i * xStrides[0] + j * xStrides[1] + k * xStrides[2] bytes behind x, and by yStrides
/// behind y. y does not overlap x.
struct CopyBoxArgs {
  const void *x = nullptr;
  void *y = nullptr;
  std::array<int64_t, 3> counts{};
  std::array<int64_t, 3> xStrides{}; ///< in bytes
  std::array<int64_t, 3> yStrides{}; ///< in bytes
  int64_t bytes = 0;
};

void copyBox(const CopyBoxArgs &args, Part part);

} // namespace cleave::rt
