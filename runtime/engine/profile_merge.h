// What the profiles of all ranks tell together: in each call of the communicator, how long a
// rank waited for the others and how long the exchange took; and sums by kind of op, of call
// and by rank.
#pragma once

#include "runtime/engine/profile.h"

#include <string>
#include <vector>

namespace cleave::rt {

/// A call's time. It waits until the last of those has entered it from whom it needs
/// something: of a recv the sender, of a broadcast its root, of a send nobody, of another
/// collective all members. The exchange is the rest.
struct CallParts {
  int64_t waiting = 0;
  int64_t exchange = 0;
};

/// Makes profiles, of rank 0, 1 and so on, comparable: rank r's times become less by
/// offsets[r], and steps that not all have kept are dropped.
void alignProfiles(std::span<RankProfile> ranks, std::span<const int64_t> offsets);

/// The parts of each rank's callEvents, in aligned profiles.
std::vector<std::vector<CallParts>> splitCalls(std::span<const RankProfile> ranks);

/// Sums over the ranks, of one phase; times in nanoseconds.
struct PhaseSummary {
  struct Op {
    std::string kind;
    OpTotals totals;
  };
  struct Call {
    CallKind kind = CallKind::send;
    int64_t count = 0;
    int64_t bytes = 0;
    double waiting = 0;
    double exchange = 0;
    int64_t medianExchange = 0; ///< of the calls that were kept, the upper one of two
  };
  struct Rank {
    double step = 0; ///< all steps' time
    double ops = 0;  ///< of that, in ops but not in calls
    double waiting = 0;
    double exchange = 0;
  };
  StepTotals steps; ///< rank 0's
  size_t keptSteps = 0;
  std::vector<Op> ops;     ///< by kind, the longest first
  std::vector<Call> calls; ///< likewise
  std::vector<Rank> ranks;
};

/// Where a rank's events were cut, calls are split as those that were kept.
PhaseSummary summarize(Phase phase, std::span<const RankProfile> ranks,
                       std::span<const std::vector<CallParts>> parts);

} // namespace cleave::rt
