// Where the largest elements of windows are.
#pragma once

#include "runtime/kernels/part.h"

#include <cstdint>

namespace cleave::rt {

/// y[p, i] = the number in plane p of the largest of x[p, strides * i + dilations * j - pads] over
/// all j of the window that are inside, the first of equals; what is not a number comes before
/// all. -1 where none is. With fewer than three spatial dimensions the first have size 1.
struct PoolIndicesArgs {
  const float *x = nullptr; ///< [planes, sizes...]
  int64_t *y = nullptr;     ///< [planes, outputs...]
  int64_t planes = 0;
  int64_t sizes[3] = {1, 1, 1};
  int64_t outputs[3] = {1, 1, 1};
  int64_t window[3] = {1, 1, 1};
  int64_t strides[3] = {1, 1, 1};
  int64_t pads[3] = {0, 0, 0}; ///< before
  int64_t dilations[3] = {1, 1, 1};
  bool columnMajor = false; ///< the first of the spatial dimensions varies fastest
};

void poolIndices(const PoolIndicesArgs &args, Part part);

} // namespace cleave::rt
