// What a run took, on one rank. The engine and the communicator write to a Profiler while
// steps of the model run, in memory that was made before; what all ranks' profiles tell
// together is profile_merge.h's business, and showing it the caller's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace cleave::rt {

/// Nanoseconds of the clock that all processes of a node share (CLOCK_MONOTONIC).
int64_t profileClock();

/// What a step of the model is for. Times of each are summed apart.
enum class Phase : uint8_t { prompt, generation, graph };
inline constexpr size_t phaseCount = 3;

/// The communicator's calls.
enum class CallKind : uint8_t {
  send,
  recv,
  allReduce,
  allGather,
  reduceScatter,
  allToAll,
  broadcast
};
inline constexpr size_t callKindCount = 7;
/// "all_reduce".
const char *nameOf(CallKind kind);

/// What an op must move and compute at least: operands that are read once and results that
/// are written once, and additions, multiplications and the like.
struct Work {
  double bytes = 0;
  double flops = 0;
};

/// What an op, one of the engine's steps, is.
struct OpDescription {
  std::string kind; ///< "linear"
  std::string name; ///< "blk.0.attn_q"; may be empty
  /// The work at these values of the symbols, asked when the op has run; may be empty.
  std::function<Work(const int64_t *symbols)> work;
};

struct OpName {
  std::string kind;
  std::string name;
};

struct StepTotals {
  int64_t count = 0;
  int64_t tokens = 0;
  int64_t nanoseconds = 0;
};
struct OpTotals {
  int64_t count = 0;
  int64_t nanoseconds = 0; ///< without the communicator's calls
  Work work;
};
struct CallTotals {
  int64_t count = 0;
  int64_t nanoseconds = 0;
  int64_t bytes = 0;
};

/// A step of the model: a part of a prompt, a token, a graph's run. Its events are those
/// before `opEnd` and `callEnd` that no earlier step has.
struct StepEvent {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t tokens = 0;
  uint32_t opEnd = 0;
  uint32_t callEnd = 0;
  Phase phase = Phase::prompt;
};

struct OpEvent {
  int64_t begin = 0;
  int64_t end = 0;
  uint32_t op = 0;
  float bytes = 0;
  float flops = 0;
};

struct CallEvent {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t bytes = 0;  ///< of the message: for a share of a whole, of the whole
  uint32_t group = 0; ///< of a collective, among the profile's groups
  int32_t peer = 0;   ///< of a message; of a broadcast the root's place in the group
  int32_t tag = 0;    ///< of a message
  CallKind kind = CallKind::send;
};

/// One rank's profile. Totals are of all steps, events of the first ones, as many as there
/// was room for.
struct RankProfile {
  std::vector<OpName> ops;
  std::vector<std::vector<uint32_t>> groups;
  std::array<StepTotals, phaseCount> stepTotals{};
  std::array<std::array<CallTotals, callKindCount>, phaseCount> callTotals{};
  std::vector<std::array<OpTotals, phaseCount>> opTotals; ///< one an op
  std::vector<StepEvent> steps;
  std::vector<OpEvent> opEvents;
  std::vector<CallEvent> callEvents;

  /// As bytes for another rank of the same job, which has the same binary.
  std::vector<std::byte> pack() const;
  static RankProfile unpack(std::span<const std::byte> bytes);
};

/// Records one rank's run. Only the thread that made the engine calls it. What happens
/// outside of a step of the model is not recorded. Recording allocates nothing.
class Profiler {
public:
  /// With room for so many ops' and so many calls' events. When one of them is full, no
  /// further step is kept but in the totals.
  explicit Profiler(size_t maxEvents);

  /// What the engine's steps are, in their order.
  void setOps(std::vector<OpDescription> ops);
  /// The number by which CallEvent names a group of ranks.
  uint32_t addGroup(std::span<const uint32_t> ranks);

  /// A step of the model. Its phase is to be set before its ops run. One that is begun and
  /// not ended, as there was nothing to do, has not been.
  void beginStep();
  void setPhase(Phase phase, int64_t tokens);
  void endStep();

  /// One of the engine's steps, as the first thread of its team takes it. An op that is begun
  /// once more before its end goes on.
  void beginOp(size_t op);
  void endOp(const int64_t *symbols);
  /// A piece of the current op's work begins. Where the first thread has `waited` for others,
  /// which were still at a part of the piece before, and it is the op's first, the op before
  /// lasted until now.
  void beginPiece(bool waited);
  /// All threads have ended, so that the last op ends now.
  void endRegion();
  void addCall(const CallEvent &call);

  /// Without the step that has not ended.
  RankProfile take();

private:
  void extendLastOp(int64_t end);

  std::vector<OpDescription> ops;
  RankProfile profile;
  size_t maxEvents;
  bool isInStep = false;
  bool hasRoom = true;
  StepEvent step;
  OpEvent op; ///< the current one, or the last one
  bool isInOp = false;
  bool isFirstPiece = true; ///< of the current op
  bool hasLastOp = false;   ///< in this step, before the current one
  uint32_t lastOp = 0;
  int64_t lastOpEnd = 0;
  int64_t callNanoseconds = 0; ///< in the current op
  /// Of the current step, whose phase may not be known yet.
  std::array<CallTotals, callKindCount> stepCalls{};
};

} // namespace cleave::rt
