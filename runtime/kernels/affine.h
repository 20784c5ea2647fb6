// What follows a sum over ranks: a factor and an offset for each column, a residual, relu.
#pragma once

#include "runtime/kernels/part.h"

#include <cstdint>

namespace cleave::rt {

/// y = relu(y * factor + offset + residual), each where it is there.
struct AffineArgs {
  float *y = nullptr;              ///< [rows, columns]
  const float *factor = nullptr;   ///< [columns], or null
  const float *offset = nullptr;   ///< [columns], or null
  const float *residual = nullptr; ///< [rows, columns], or null
  int64_t rows = 0;
  int64_t columns = 0;
  bool isRelu = false;
};

void affine(const AffineArgs &args, Part part);

} // namespace cleave::rt
