// The threads of an engine. In a region each of them goes through the same pieces of work,
// and whoever is there takes part: a thread that has lost its core is not waited for, unless
// it holds a part. Waits spin briefly and then sleep, so that more threads than cores degrade
// gently. The threads are OpenMP's, oneDNN's pool.
#pragma once

#include "runtime/kernels/part.h"

#include <atomic>
#include <cstdint>
#include <exception>

namespace cleave::rt {

class Team;

/// One thread's way through a region. All threads call the same functions in the same order,
/// with the same numbers of parts.
class TeamMember {
public:
  TeamMember(Team &team, Part place) : team(team), place(place) {}

  bool isFirst() const { return place.index == 0; }
  /// Of the region; 1: nothing is shared.
  int threads() const { return place.count; }
  /// On the first thread: whether parts of the last piece are perhaps still being worked on.
  bool hasOpenPiece() const { return openParts > 0; }

  /// On the first thread: returns when all that has been shared so far is done, and what was
  /// written is seen here.
  void finish();

  /// Calls work(part) for each of `parts` parts, on whichever threads come by; parts are at
  /// most maxParts. Begins when the first thread is here, which calls finish() before.
  template <typename Work> void share(int parts, const Work &work) {
    if (threads() == 1)
      return work(Part{});
    if (!enter(parts))
      return;
    int done = 0;
    for (int part; (part = claim()) < parts; ++done)
      work(Part{part, parts});
    leave(done, parts);
  }

  static constexpr int maxParts = 1 << 15;

private:
  bool enter(int parts);
  int claim();
  void leave(int done, int parts);

  Team &team;
  Part place;
  uint32_t piece = 0; ///< the current one's number, from 1
  int openParts = 0;  ///< on the first thread: of a piece that may not be complete
  uint64_t held = 0;  ///< a claim that turned out to be of a later piece; 0: none
};

class Team {
public:
  /// Of `threads` threads, 1 or more, the caller of run() being one of them.
  explicit Team(int threads) : threads(threads) {}

  /// Calls body(member) on every thread at once, the first member being the caller's, and
  /// returns when all have returned. With one thread it is a plain call. Where a body throws,
  /// on whichever thread, the others end when they next wait, and the first exception is
  /// thrown here.
  template <typename Body> void run(const Body &body) {
    if (threads == 1) {
      TeamMember member(*this, Part{});
      return body(member);
    }
    openRegion(
        [](const void *call, TeamMember &member) { (*static_cast<const Body *>(call))(member); },
        &body);
  }

private:
  friend class TeamMember;
  using Call = void (*)(const void *body, TeamMember &member);

  void openRegion(Call call, const void *body);
  void work(Call call, const void *body, Part place);
  void fail(std::exception_ptr exception);

  const int threads; ///< asked for; a region may get fewer
  // Each in a line of the cache of its own, as different threads watch and write them.
  /// The number of the piece that is open; the first thread opens one after the other.
  alignas(64) std::atomic<uint32_t> opened{0};
  /// The same number, and in the low bits how many parts of it have been claimed: a claim
  /// adds one, and so is of the piece that is open at this moment.
  alignas(64) std::atomic<uint64_t> claims{0};
  /// Parts of the open piece that are done.
  alignas(64) std::atomic<uint32_t> done{0};
  alignas(64) std::atomic<bool> failed{false};
  std::exception_ptr error; ///< of the thread that set `failed`
};

} // namespace cleave::rt
