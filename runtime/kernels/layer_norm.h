// Layer normalization of rows.
#pragma once

#include "runtime/kernels/part.h"

#include <cstdint>

namespace cleave::rt {

/// y = (x - mean) / sqrt(variance + epsilon) * weight + bias, row by row, the variance being
/// the mean of (x - mean)^2. y may be x.
struct LayerNormArgs {
  const float *x = nullptr;      ///< [rows, columns]
  const float *weight = nullptr; ///< [columns], or null: 1
  const float *bias = nullptr;   ///< [columns], or null: 0
  float *y = nullptr;            ///< [rows, columns]
  int64_t rows = 0;
  int64_t columns = 0;
  float epsilon = 0;
};

void layerNorm(const LayerNormArgs &args, Part part);

} // namespace cleave::rt
