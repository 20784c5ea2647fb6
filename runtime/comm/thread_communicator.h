// Ranks that are threads of one process: for tests and for --check, where a
// program's ranks run without MPI. Everything is done under one lock; what the
// ranks compute between their calls runs in parallel, communication does not.
#pragma once

#include "runtime/comm/communicator.h"

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

namespace cleave::rt {

/// What a rank's call throws when the job has failed: on the rank whose doing it
/// was and on all others that wait or call later. The message names that rank.
class JobFailed : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// The meeting place of `ranks` threads. Sums are taken in the order of a group's
/// members. What MPI would leave undefined or wait for without end fails the job
/// instead: members that disagree about a collective, a message of another size
/// than its receiver expects, and a wait that no rank can end any more.
/// Communicator::abort says nothing on standard error: it fails the job and throws.
class ThreadHub {
public:
  explicit ThreadHub(int ranks);
  ~ThreadHub();

  /// Rank `rank`'s door, to be used by one thread at a time.
  Communicator &communicator(int rank);

  /// Wakes all ranks, whose calls then throw JobFailed. The first message stays.
  void fail(int rank, const std::string &message);

  /// Rank `rank` makes no further call, so that nobody waits for it.
  void finish(int rank);

  /// The message of the failure; empty as long as there is none.
  std::string failure() const;

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

/// Runs `body` for each rank in a thread of its own and waits for all of them. When
/// one throws, the others' communication throws too, and the first failure is
/// thrown here as JobFailed.
void runRanks(int ranks, const std::function<void(Communicator &)> &body);

} // namespace cleave::rt
