// Root-mean-square normalization of rows.
#pragma once

#include "runtime/kernels/part.h"

#include <cstdint>

namespace cleave::rt {

/// y = x * weight / sqrt(mean(x^2) + epsilon), row by row. y does not overlap x:
/// parts may share a row, and each reads all of it.
struct RmsNormArgs {
  const float *x = nullptr;      ///< [tokens, columns]
  const float *weight = nullptr; ///< [columns]
  float *y = nullptr;            ///< [tokens, columns]
  int64_t tokens = 0;
  int64_t columns = 0;
  int64_t xStride = 0; ///< in elements
  int64_t yStride = 0;
  float epsilon = 0;
};

void rmsNorm(const RmsNormArgs &args, Part part);

} // namespace cleave::rt
