// Elements of one tensor or another, as a third one says, with broadcasting.
#pragma once

#include "runtime/kernels/broadcast.h"

namespace cleave::rt {

/// z = condition ? x : y, a condition being true where it is not 0. x, y and z have elements of
/// 1, 2, 4 or 8 bytes; z may be x or y where that has z's shape.
struct WhereArgs {
  const uint8_t *condition = nullptr;
  const void *x = nullptr;
  const void *y = nullptr;
  void *z = nullptr;
  int64_t elementBytes = 4;
  BroadcastShape<3> shape; ///< of condition, x, y
};

void where(const WhereArgs &args, Part part);

} // namespace cleave::rt
