// Functions of one element.
#pragma once

#include "runtime/kernels/part.h"

#include <cstdint>

namespace cleave::rt {

/// y = f(x) for `count` elements; y may be x itself. `parameter` is what f is told of.
struct UnaryArgs {
  const float *x = nullptr;
  float *y = nullptr;
  int64_t count = 0;
  float parameter = 0;
};

using UnaryKernel = void (*)(const UnaryArgs &, Part);

/// y = x / (1 + exp(-x)).
void silu(const UnaryArgs &args, Part part);
/// y = parameter * x.
void scale(const UnaryArgs &args, Part part);

} // namespace cleave::rt
