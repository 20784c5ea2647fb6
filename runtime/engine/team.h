// The threads of an engine. In a region each of them runs the same code over its own
// parts of the work; they meet at a barrier that spins briefly and then sleeps, so that
// more threads than cores degrade gently. The threads are OpenMP's, oneDNN's pool.
#pragma once

#include "runtime/kernels/part.h"

#include <atomic>
#include <cstdint>
#include <exception>

namespace cleave::rt {

class Team {
public:
  /// Of `threads` threads, 1 or more, the caller of run() being one of them.
  explicit Team(int threads) : threads(threads) {}

  /// Calls body(part) on every thread at once, part 0 on the caller, and returns when all
  /// have returned. With one thread it is a plain call. Where a body throws, on whichever
  /// thread, the others end at their next meeting, and the first exception is thrown here.
  template <typename Body> void run(const Body &body) {
    if (threads == 1)
      return body(Part{});
    openRegion([](const void *call, Part part) { (*static_cast<const Body *>(call))(part); },
               &body);
  }

  /// Inside of run(): returns when all `count` threads of the region have called it; what
  /// each wrote before, all see after. Throws to end the body where another one's has thrown.
  void meet(int count);

private:
  using Call = void (*)(const void *body, Part part);

  void openRegion(Call call, const void *body);
  void work(Call call, const void *body, Part part);
  void fail(std::exception_ptr exception);

  const int threads; ///< asked for; a region may get fewer
  /// Each in a line of the cache of its own: all write the first, all watch the second.
  alignas(64) std::atomic<int> arrived{0};
  alignas(64) std::atomic<uint32_t> meetings{0}; ///< complete ones
  alignas(64) std::atomic<bool> failed{false};
  std::exception_ptr error; ///< of the thread that set `failed`
};

} // namespace cleave::rt
