// See profiled_run.h.
#include "tools/cleave_run/profiled_run.h"

#include "runtime/comm/clock_offsets.h"
#include "tools/cleave_run/profile_table.h"
#include "tools/cleave_run/profile_trace.h"

#include <algorithm>
#include <cstdio>

namespace cleave::rt {
namespace {

/// Events of one kind that the trace holds at most, of all ranks together: a file of some
/// hundred bytes each, which viewers still open.
constexpr size_t maxEvents = size_t{1} << 19;
/// That a rank of a large job records nevertheless.
constexpr size_t leastEvents = size_t{1} << 13;

constexpr int tag = 0;

} // namespace

ProfiledRun::ProfiledRun(Job &job, std::string file)
    : job(job), file(std::move(file)),
      recorder(std::max(maxEvents / static_cast<size_t>(job.ranks()), leastEvents)) {
  job.together([&] {
    if (job.isFirst())
      checkTraceFile(this->file);
  });
  clockOffsets = rt::clockOffsets(job.communicator(), monotonicClockId(), profileClock);
  job.recordCalls(recorder);
}

void ProfiledRun::finish() {
  std::vector<RankProfile> ranks = gather(recorder.take());
  job.together([&] {
    if (job.isFirst())
      show(std::move(ranks));
  });
}

std::vector<RankProfile> ProfiledRun::gather(RankProfile own) {
  Communicator &communicator = job.communicator();
  std::vector<RankProfile> ranks;
  if (!job.isFirst()) {
    std::vector<std::byte> bytes = own.pack();
    auto size = static_cast<int64_t>(bytes.size());
    communicator.reserveSends(bytes.size(), 2);
    communicator.send(&size, 1, ElementType::i64, 0, tag);
    communicator.send(bytes.data(), bytes.size(), ElementType::u8, 0, tag);
    return ranks;
  }
  ranks.push_back(std::move(own));
  for (int rank = 1; rank < job.ranks(); ++rank) {
    int64_t size = 0;
    communicator.recv(&size, 1, ElementType::i64, rank, tag);
    std::vector<std::byte> bytes(static_cast<size_t>(size));
    communicator.recv(bytes.data(), bytes.size(), ElementType::u8, rank, tag);
    ranks.push_back(RankProfile::unpack(bytes));
  }
  return ranks;
}

void ProfiledRun::show(std::vector<RankProfile> ranks) {
  alignProfiles(ranks, clockOffsets);
  std::vector<std::vector<CallParts>> parts = splitCalls(ranks);
  int64_t steps = 0;
  std::string text;
  for (Phase phase : {Phase::prompt, Phase::generation, Phase::graph}) {
    PhaseSummary summary = summarize(phase, ranks, parts);
    steps += summary.steps.count;
    text += describeProfile(phase, summary);
  }
  auto kept = static_cast<int64_t>(ranks[0].steps.size());
  std::string note = "all " + std::to_string(steps) + " steps";
  if (kept < steps)
    note = "the first " + std::to_string(kept) + " of " + std::to_string(steps) +
           " steps; the rest was cut, and is in the tables alone";
  writeTrace(file, ranks, parts, note);
  text = "cleave-run: profile\n" + text + "cleave-run: trace in " + file + ": " + note + "\n";
  std::fwrite(text.data(), 1, text.size(), stderr);
}

} // namespace cleave::rt
