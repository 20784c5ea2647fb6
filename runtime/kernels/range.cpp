// Counts in 64 bits, in which integers wrap around.
#include "runtime/kernels/range.h"

#include "runtime/kernels/plain_types.h"

namespace cleave::rt {

void range(void *y, int64_t count, int64_t start, int64_t step, ElementType type) {
  withPlainType(type, [&]<typename T> {
    auto value = static_cast<uint64_t>(start);
    for (int64_t i = 0; i < count; ++i, value += static_cast<uint64_t>(step))
      static_cast<T *>(y)[i] = static_cast<T>(static_cast<int64_t>(value));
  });
}

} // namespace cleave::rt
