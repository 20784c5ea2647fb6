// Elementwise functions of two tensors, or of a tensor and a vector along its last
// dimension.
#pragma once

#include "runtime/kernels/part.h"

#include <cstdint>

namespace cleave::rt {

/// z[r, c] = f(x[r, c], y[r, c]). A yStride of 0 makes y one vector [columns] for all
/// rows. z may be x or y itself (y only where it has z's shape).
struct BinaryArgs {
  const float *x = nullptr; ///< [rows, columns]
  const float *y = nullptr; ///< [rows, columns], or [columns]
  float *z = nullptr;       ///< [rows, columns]
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t xStride = 0; ///< in elements
  int64_t yStride = 0;
  int64_t zStride = 0;
};

using BinaryKernel = void (*)(const BinaryArgs &, Part);

void add(const BinaryArgs &args, Part part);
void mul(const BinaryArgs &args, Part part);

} // namespace cleave::rt
