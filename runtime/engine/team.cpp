// How the threads of a team claim parts and wait. OpenMP's own means would wait for every
// thread, spin for as long as the process's settings say, and cannot be left on an error.
#include "runtime/engine/team.h"

#include <cassert>
#include <chrono>
#include <omp.h>
#include <utility>

namespace cleave::rt {

namespace {

/// How long a thread that waits keeps its core. The parts of a piece end microseconds apart; a
/// thread that is later than this has lost its core to something else, and may be waiting for
/// this one.
constexpr std::chrono::microseconds spinTime(50);
constexpr int pausesPerLookAtClock = 64;

constexpr int claimBits = 16; // of Team::claims: more than maxParts and one for each thread

/// Ends a body whose team has failed.
struct Stopped {};

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Returns when isReady(value) holds of the number, which whoever makes it so notifies.
/// Throws where `failed`.
template <typename IsReady>
void await(const std::atomic<uint32_t> &number, const std::atomic<bool> &failed,
           const IsReady &isReady) {
  auto waits = [&] {
    return !isReady(number.load(std::memory_order_acquire)) &&
           !failed.load(std::memory_order_acquire);
  };
  for (int i = 0; i < pausesPerLookAtClock && waits(); ++i)
    pause();
  if (waits()) {
    const auto end = std::chrono::steady_clock::now() + spinTime;
    while (waits() && std::chrono::steady_clock::now() < end)
      for (int i = 0; i < pausesPerLookAtClock && waits(); ++i)
        pause();
  }
  while (waits()) {
    const uint32_t seen = number.load(std::memory_order_acquire);
    // fail() changes the number after it has set `failed`.
    if (!isReady(seen) && !failed.load(std::memory_order_acquire))
      number.wait(seen, std::memory_order_acquire);
  }
  if (failed.load(std::memory_order_acquire))
    throw Stopped();
}

} // namespace

void TeamMember::finish() {
  if (openParts == 0)
    return;
  const auto all = static_cast<uint32_t>(openParts);
  await(team.done, team.failed, [&](uint32_t done) { return done == all; });
  openParts = 0;
}

/// Returns whether there may be parts to claim.
bool TeamMember::enter(int parts) {
  assert(parts > 0 && parts <= maxParts);
  ++piece;
  if (isFirst()) {
    finish();
    openParts = parts;
    team.done.store(0, std::memory_order_relaxed);
    team.claims.store(uint64_t{piece} << claimBits, std::memory_order_release);
    // In one order with the entry of those who sleep, so that none is missed.
    team.opened.store(piece, std::memory_order_seq_cst);
    team.opened.notify_all();
    return true;
  }
  if (held != 0)
    return held >> claimBits == piece; // those before it are complete
  uint32_t open = 0;
  await(team.opened, team.failed, [&](uint32_t number) {
    open = number;
    return number >= piece;
  });
  return open == piece;
}

/// The number of a part; at least maxParts where none is left of this piece.
int TeamMember::claim() {
  const uint64_t claimed =
      held != 0 ? std::exchange(held, 0) : team.claims.fetch_add(1, std::memory_order_acq_rel);
  if (claimed >> claimBits == piece)
    return static_cast<int>(claimed & ((uint64_t{1} << claimBits) - 1));
  held = claimed;
  return maxParts;
}

void TeamMember::leave(int count, int parts) {
  if (count == 0)
    return;
  const auto added = static_cast<uint32_t>(count);
  if (team.done.fetch_add(added, std::memory_order_seq_cst) + added ==
          static_cast<uint32_t>(parts) &&
      !isFirst())
    team.done.notify_all();
}

void Team::fail(std::exception_ptr exception) {
  if (failed.exchange(true, std::memory_order_acq_rel))
    return;
  error = std::move(exception); // read by the caller after the region
  // Whoever sleeps waits for a change. No piece can be completed or opened any more.
  for (std::atomic<uint32_t> *number : {&opened, &done}) {
    number->fetch_xor(uint32_t{1} << 31, std::memory_order_seq_cst);
    number->notify_all();
  }
}

void Team::work(Call call, const void *body, Part place) {
  try {
    TeamMember member(*this, place);
    call(body, member);
  } catch (const Stopped &) {
  } catch (...) {
    fail(std::current_exception());
  }
}

void Team::openRegion(Call call, const void *body) {
  opened = 0;
  claims = 0;
  done = 0;
#pragma omp parallel num_threads(threads)
  work(call, body, Part{omp_get_thread_num(), omp_get_num_threads()});
  if (failed.exchange(false))
    std::rethrow_exception(std::exchange(error, nullptr));
}

} // namespace cleave::rt
