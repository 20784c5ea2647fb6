// Softmax along any dimension, and its logarithm.
#pragma once

#include "runtime/kernels/part.h"

#include <cstdint>

namespace cleave::rt {

/// y = exp(x) / sum(exp(x)) along the middle dimension, or the logarithm of that. y may be x.
struct SoftmaxArgs {
  const float *x = nullptr; ///< [outer, length, inner]
  float *y = nullptr;       ///< like x
  int64_t outer = 0;
  int64_t length = 0;
  int64_t inner = 0;
  bool logarithm = false;
};

void softmax(const SoftmaxArgs &args, Part part);

} // namespace cleave::rt
