// The barrier and the region of a team. OpenMP's own barrier spins for a number of rounds
// that is the process's setting, and cannot be left when a thread fails.
#include "runtime/engine/team.h"

#include <chrono>
#include <omp.h>
#include <utility>

namespace cleave::rt {

namespace {

/// How long a thread that waits keeps its core. The threads' parts of a kernel end
/// microseconds apart; a thread that is later than this has lost its core to something
/// else, and may be waiting for this one.
constexpr std::chrono::microseconds spinTime(50);
constexpr int pausesPerLookAtClock = 64;

/// Ends a body whose team has failed.
struct Stopped {};

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

} // namespace

void Team::meet(int count) {
  const uint32_t before = meetings.load(std::memory_order_acquire);
  if (arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == count) {
    arrived.store(0, std::memory_order_relaxed);
    // In one order with the entry of those who sleep, so that none is missed.
    meetings.store(before + 1, std::memory_order_seq_cst);
    meetings.notify_all();
    return;
  }
  auto waits = [&] {
    return meetings.load(std::memory_order_acquire) == before &&
           !failed.load(std::memory_order_acquire);
  };
  for (int i = 0; i < pausesPerLookAtClock && waits(); ++i)
    pause();
  if (waits()) {
    const auto end = std::chrono::steady_clock::now() + spinTime;
    while (waits() && std::chrono::steady_clock::now() < end)
      for (int i = 0; i < pausesPerLookAtClock && waits(); ++i)
        pause();
    while (waits())
      meetings.wait(before, std::memory_order_acquire);
  }
  if (failed.load(std::memory_order_acquire))
    throw Stopped();
}

void Team::fail(std::exception_ptr exception) {
  if (failed.exchange(true, std::memory_order_acq_rel))
    return;
  error = std::move(exception); // read by the caller after the region
  // Whoever sleeps waits for this to change. No meeting can complete any more.
  meetings.fetch_add(1, std::memory_order_seq_cst);
  meetings.notify_all();
}

void Team::work(Call call, const void *body, Part part) {
  try {
    call(body, part);
  } catch (const Stopped &) {
  } catch (...) {
    fail(std::current_exception());
  }
}

void Team::openRegion(Call call, const void *body) {
#pragma omp parallel num_threads(threads)
  work(call, body, Part{omp_get_thread_num(), omp_get_num_threads()});
  if (!failed.load(std::memory_order_relaxed))
    return;
  failed = false;
  arrived = 0;
  std::rethrow_exception(std::exchange(error, nullptr));
}

} // namespace cleave::rt
