// What an instruction becomes at load: a step with its kernel chosen and its
// sizes and addresses known, so that running it looks nothing up.
#pragma once

#include "runtime/engine/profile.h"
#include "runtime/engine/size.h"
#include "runtime/engine/team.h"
#include "runtime/kernels/part.h"

#include <cstddef>
#include <cstdint>
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

/// One thread's view of a run. All threads of the team take all steps; which pieces of work
/// are divided among them and which are the first thread's alone, each finds by itself from
/// sizes that all know. Threads meet between two pieces only where one must wait for another:
/// not between pieces that are both the first thread's.
class RunContext {
public:
  /// `profiler`, null on all threads but the first, hears when a piece begins.
  RunContext(Team &team, Part part, Profiler *profiler = nullptr)
      : team(team), part(part), profiler(profiler) {}

  /// Calls `work` on the first thread.
  template <typename Work> void runAlone(const Work &work) {
    begin(Piece::alone);
    if (part.index == 0)
      work();
  }

  /// Calls work(part) on all threads.
  template <typename Work> void runShared(const Work &work) {
    begin(Piece::shared);
    work(part);
  }

  /// What `read` returns, on each thread: how they can take a decision by what earlier
  /// pieces have written.
  template <typename Read> auto readByAll(const Read &read) {
    begin(Piece::shared);
    return read();
  }

  int threads() const { return part.count; }

private:
  enum class Piece { alone, shared };

  void begin(Piece piece) {
    bool meets = part.count > 1 && (piece == Piece::shared || last == Piece::shared) && !isFirst;
    if (meets)
      team.meet(part.count);
    if (profiler)
      profiler->beginPiece(meets, last == Piece::shared);
    isFirst = false;
    last = piece;
  }

  Team &team;
  Part part;
  Profiler *profiler;
  bool isFirst = true; ///< nothing has run since the threads were last together
  Piece last = Piece::alone;
};

/// One thing that a run does. Steps are made before memory is planned, and bind() is
/// called once when it has been. prepare() is called before runs, whenever symbols have
/// changed; then the run calls each step in order: runLibrary() on the calling thread where
/// usesLibrary(), then run() on every thread of the team at once, which is why it is const.
class Step {
public:
  virtual ~Step() = default;
  virtual void bind(const Memory &memory) = 0;
  /// Takes the sizes of the next runs from the symbols' values.
  virtual void prepare(const int64_t *symbols) = 0;
  /// Whether there is work for a library that divides it among the threads itself (oneDNN).
  virtual bool usesLibrary() const { return false; }
  virtual void runLibrary() {}
  virtual void run(RunContext &context) const = 0;

  /// The number of the instruction that it executes, for profiles; -1: a check's.
  int64_t instruction = -1;
  /// What it is where it is not the whole instruction; else null.
  const char *kind = nullptr;
};

/// Work of fewer element operations than this is done by one thread: meeting the others
/// would take longer.
inline constexpr int64_t leastSharedWork = 32768;

/// The number of parts in which runParts() has work done.
inline int partsOf(int64_t work, const RunContext &context) {
  return work < leastSharedWork ? 1 : context.threads();
}

/// Calls `kernel` for all parts of its work, `work` being the number of element
/// operations, the same on all threads.
template <typename Args>
void runParts(void (*kernel)(const Args &, Part), const Args &args, int64_t work,
              RunContext &context) {
  if (partsOf(work, context) == 1)
    context.runAlone([&] { kernel(args, Part{}); });
  else
    context.runShared([&](Part part) { kernel(args, part); });
}

} // namespace cleave::rt
