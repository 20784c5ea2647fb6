// Pooling over one to three spatial dimensions.
#pragma once

#include "runtime/kernels/part.h"

#include <cstdint>

namespace cleave::rt {

/// y[p, i, c] = the largest or the mean element of x[p, strides * i + dilations * j - padsBefore,
/// c] over all j of the window. What is outside of x does not count, but that with `countsPads`
/// a mean divides by the pads' elements, too. A window without elements gives 0, or -inf.
/// With fewer than three spatial dimensions the first ones have size 1.
struct PoolArgs {
  const float *x = nullptr; ///< [planes, sizes..., inner]
  float *y = nullptr;       ///< [planes, outputs..., inner]
  int64_t planes = 0;
  int64_t inner = 1; ///< channels, where they are last
  int64_t sizes[3] = {1, 1, 1};
  int64_t outputs[3] = {1, 1, 1};
  int64_t window[3] = {1, 1, 1};
  int64_t strides[3] = {1, 1, 1};
  int64_t padsBefore[3] = {0, 0, 0};
  int64_t padsAfter[3] = {0, 0, 0};
  int64_t dilations[3] = {1, 1, 1};
  bool isMax = false;
  bool countsPads = false;
};

void pool(const PoolArgs &args, Part part);

} // namespace cleave::rt
