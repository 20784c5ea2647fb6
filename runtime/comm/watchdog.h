// Sees that a rank on this node no longer runs, which Open MPI does not: it waits
// for ever on a process that is stopped. A killed one Open MPI notices itself.
#pragma once

#include <memory>

namespace cleave::rt {

/// A thread that shows that its process is scheduled and watches that the next
/// rank's on the same node is. It watches scheduling, not progress: a step may take
/// any time. A rank that is stopped (SIGSTOP) for 2 seconds, or gives no sign of
/// life for 15 in another state, is named on standard error with its host and
/// process, is killed, and the job ends.
///
/// It is off with CLEAVE_WATCHDOG=off in the environment, and lets ranks be that a
/// debugger is attached to. When this process itself did not run for a while (all
/// ranks stopped and continued, a suspended machine), its clock starts anew.
class Watchdog {
public:
  /// All ranks make it together, after MPI_Init, and destroy it together, before
  /// MPI_Finalize. Without shared memory, or alone on a node, it does nothing.
  Watchdog();
  ~Watchdog();
  Watchdog(const Watchdog &) = delete;
  Watchdog &operator=(const Watchdog &) = delete;

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace cleave::rt
