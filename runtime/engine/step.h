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

/// Where a value will be: a fixed address (weights), or a buffer of the
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

/// One thread's view of a run. All threads of the team take all steps: which pieces of work
/// are shared and which are the first thread's alone, each finds from sizes that all know. A
/// thread that comes late goes past what is complete, so that what the pieces have written is
/// read in the pieces alone.
class RunContext {
public:
  /// `profiler`, null on all threads but the first, hears when a piece begins.
  RunContext(TeamMember &member, Profiler *profiler = nullptr)
      : member(member), profiler(profiler) {}

  /// Calls `work` on the first thread, when all pieces before are complete.
  template <typename Work> void runAlone(const Work &work) {
    if (!member.isFirst())
      return;
    begin();
    work();
  }

  /// Calls work(part) for all of `parts` parts, when all pieces before are complete.
  template <typename Work> void runShared(int parts, const Work &work) {
    if (member.isFirst())
      begin();
    member.share(parts, work);
  }

  int threads() const { return member.threads(); }

private:
  void begin() {
    const bool waits = member.hasOpenPiece();
    member.finish();
    if (profiler)
      profiler->beginPiece(waits);
  }

  TeamMember &member;
  Profiler *profiler;
};

/// One thing that a run does. Steps are made before memory is planned, and bind() is
/// called once when it has been. prepare() is called before runs, whenever symbols have
/// changed; then the run calls each step in order: runLibrary() on the calling thread where
/// usesLibrary(), then run() on every thread of the team at once where usesTeam(), which is why
/// it is const.
class Step {
public:
  virtual ~Step() = default;
  virtual void bind(const Memory &memory) = 0;
  /// Takes the sizes of the next runs from the symbols' values.
  virtual void prepare(const int64_t *symbols) = 0;
  /// Whether there is work for a library that divides it among the threads itself (oneDNN).
  virtual bool usesLibrary() const { return false; }
  virtual void runLibrary() {}
  /// Whether run() does anything.
  virtual bool usesTeam() const { return true; }
  /// Whether what run() does is so little that one thread does it; it may say no.
  virtual bool isSmall() const { return false; }
  virtual void run(RunContext &context) const = 0;

  /// The number of the instruction that it executes, for profiles; -1: a check's.
  int64_t instruction = -1;
  /// What it is where it is not the whole instruction; else null.
  const char *kind = nullptr;
};

/// Work of fewer element operations than this is done by one thread: the others would come
/// too late to it.
inline constexpr int64_t leastSharedWork = 32768;

/// The number of parts in which `work` element operations are done, the same on all threads.
inline int partsOf(int64_t work, const RunContext &context) {
  return work < leastSharedWork ? 1 : context.threads();
}

/// For much work that may be cut anywhere: several parts for each thread, so that one that is
/// kept from its core leaves the rest to others.
inline int finePartsOf(int64_t work, const RunContext &context) {
  constexpr int64_t perPart = 1 << 20, maxPartsOfThread = 4;
  const int64_t parts = work / (perPart * context.threads());
  return partsOf(work, context) * static_cast<int>(std::clamp<int64_t>(parts, 1, maxPartsOfThread));
}

/// Calls work(part) for all parts of a piece of so many element operations.
template <typename Work> void runParts(int64_t operations, RunContext &context, const Work &work) {
  if (int parts = partsOf(operations, context); parts == 1)
    context.runAlone([&] { work(Part{}); });
  else
    context.runShared(parts, work);
}

/// Calls `kernel` for all parts.
template <typename Args>
void runParts(void (*kernel)(const Args &, Part), const Args &args, int64_t operations,
              RunContext &context) {
  runParts(operations, context, [&](Part part) { kernel(args, part); });
}

} // namespace cleave::rt
