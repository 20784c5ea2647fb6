// What an instruction becomes at load: a step with its kernel chosen and its
// sizes and addresses known, so that running it looks nothing up.
#pragma once

#include "runtime/engine/size.h"
#include "runtime/kernels/part.h"

#include <cstddef>
#include <cstdint>
#include <omp.h>
#include <vector>

namespace cleave::rt {

/// Where a value will be: a fixed address (weights, states), or a buffer of the
/// arena, whose address is known when memory has been planned.
struct Location {
  const std::byte *fixed = nullptr;
  int32_t buffer = -1;
};

/// The planned arena.
class Memory {
public:
  Memory(std::byte *arena, std::vector<int64_t> offsets)
      : arena(arena), offsets(std::move(offsets)) {}

  template <typename T> const T *read(Location location) const {
    return reinterpret_cast<const T *>(location.buffer < 0 ? location.fixed
                                                           : address(location.buffer));
  }
  /// Of a buffer: fixed addresses are not written through a Location.
  template <typename T> T *write(Location location) const {
    return reinterpret_cast<T *>(address(location.buffer));
  }

private:
  std::byte *address(int32_t buffer) const { return arena + offsets[static_cast<size_t>(buffer)]; }

  std::byte *arena;
  std::vector<int64_t> offsets;
};

/// What changes from run to run.
struct RunContext {
  const int64_t *symbols = nullptr; ///< the symbols' values
  int threads = 1;
};

/// One thing that a run does. Steps are made before memory is planned; bind() is
/// called once when it has been, run() once a run, in order.
class Step {
public:
  virtual ~Step() = default;
  virtual void bind(const Memory &memory) = 0;
  virtual void run(const RunContext &context) = 0;
};

/// Work of fewer element operations than this is done by one thread: waking the
/// others would take longer.
inline constexpr int64_t leastSharedWork = 32768;

/// Calls `kernel` for all parts of its work, `work` being the number of element
/// operations.
template <typename Args>
void runParts(void (*kernel)(const Args &, Part), const Args &args, int64_t work,
              const RunContext &context) {
  if (context.threads == 1 || work < leastSharedWork) {
    kernel(args, Part{});
    return;
  }
#pragma omp parallel num_threads(context.threads)
  kernel(args, Part{omp_get_thread_num(), omp_get_num_threads()});
}

} // namespace cleave::rt
