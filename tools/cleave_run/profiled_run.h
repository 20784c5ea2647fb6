// cleave-run --profile: all ranks record what takes their time, and the first one shows it.
#pragma once

#include "runtime/engine/profile.h"
#include "tools/cleave_run/job.h"

#include <string>
#include <vector>

namespace cleave::rt {

class ProfiledRun {
public:
  /// All ranks make it together, before anything that is to be recorded: compares the ranks'
  /// clocks and has the job's calls recorded. Throws JobRefused where the first rank could not
  /// write `file`.
  ProfiledRun(Job &job, std::string file);

  /// For the engine, and for whoever knows when a step begins and ends.
  Profiler &profiler() { return recorder; }

  /// All ranks, after the last step: the first one gathers what they recorded, writes the
  /// trace to the file and prints tables on standard error. Throws JobRefused.
  void finish();

private:
  std::vector<RankProfile> gather(RankProfile own);
  void show(std::vector<RankProfile> ranks);

  Job &job;
  std::string file;
  Profiler recorder;
  std::vector<int64_t> clockOffsets; ///< of all ranks, on the first
};

} // namespace cleave::rt
