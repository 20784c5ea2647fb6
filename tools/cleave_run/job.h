// The ranks of this run as one job: alone in this process, or under mpirun. How it
// starts, how all ranks end together when one of them cannot go on, and what a
// user must type when it was started wrongly.
#pragma once

#include "runtime/comm/communicator.h"
#include "runtime/comm/threads.h"

#include <functional>
#include <memory>
#include <string>

namespace cleave::rt {

/// Thrown on all ranks when one cannot go on and has said why: the process is to
/// end in good order, with a non-zero status.
struct JobRefused {};

class Profiler;

class Job {
public:
  /// With one rank no MPI is touched.
  Job(const Launch &launch, const ThreadShare &share);
  ~Job();

  Communicator &communicator();
  int rank() const;
  int ranks() const;
  bool isFirst() const { return rank() == 0; }

  /// From now on, communicator() tells `profiler`, which outlives the job's use, of its calls.
  void recordCalls(Profiler &profiler);

  /// The group of all ranks.
  GroupId all() const;

  /// Runs `work` on this rank, and lets all ranks know whether it threw. If it did
  /// anywhere, the first rank prints the messages, each once with the ranks it comes
  /// from, and all ranks throw JobRefused. All ranks call it together.
  void together(const std::function<void()> &work);

  /// Prints `message`, which all ranks have alike, on the first one, and throws
  /// JobRefused.
  [[noreturn]] void refuse(const std::string &message) const;

  /// Ends the job on all ranks at once: for what the others cannot know of.
  [[noreturn]] void abort(const std::string &message);

private:
  void makeGroupOfAll();

  struct Impl;
  std::unique_ptr<Impl> impl;
};

/// The command that starts `argv` with `ranks` ranks on this node, which has
/// `cores` cores, quoted for a shell.
std::string mpirunCommand(int64_t ranks, int cores, int argc, char **argv);

} // namespace cleave::rt
