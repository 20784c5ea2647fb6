// Fills by type; of integers the size alone matters.
#include "runtime/kernels/range.h"

namespace cleave::rt {

template <typename T> static void fill(void *y, int64_t count, int64_t start, int64_t step) {
  auto value = static_cast<uint64_t>(start);
  for (int64_t i = 0; i < count; ++i, value += static_cast<uint64_t>(step))
    static_cast<T *>(y)[i] = static_cast<T>(static_cast<int64_t>(value));
}

void range(void *y, int64_t count, int64_t start, int64_t step, ElementType type) {
  if (type == ElementType::f32)
    return fill<float>(y, count, start, step);
  switch (elementTypeInfo(type).blockBytes) {
  case 1:
    return fill<uint8_t>(y, count, start, step);
  case 2:
    return fill<uint16_t>(y, count, start, step);
  case 4:
    return fill<uint32_t>(y, count, start, step);
  default:
    return fill<uint64_t>(y, count, start, step);
  }
}

} // namespace cleave::rt
