// See job.h.
#include "tools/cleave_run/job.h"

#include "runtime/comm/mpi_communicator.h"
#include "runtime/comm/thread_communicator.h"
#include "runtime/comm/watchdog.h"
#include "runtime/engine/profiled_communicator.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <new>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <unistd.h>
#include <vector>

namespace cleave::rt {
namespace {

/// A message of a rank as it travels to the first one.
constexpr size_t messageBytes = 2048;

/// "rank 1", "ranks 0, 2", "all ranks".
std::string nameOf(const std::vector<int> &ranks, int all) {
  if (static_cast<int>(ranks.size()) == all)
    return "all ranks";
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (size_t i = 0; i < ranks.size(); ++i)
    text += (i ? ", " : "") + std::to_string(ranks[i]);
  return text;
}

/// `word` as a shell reads it back.
std::string quotedForShell(const std::string &word) {
  constexpr const char *plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-+=./:,@%";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos)
    return word;
  std::string quoted = "'";
  for (char c : word)
    if (c == '\'')
      quoted += "'\\''";
    else
      quoted += c;
  return quoted + "'";
}

} // namespace

struct Job::Impl {
  std::optional<MpiCommunicator> mpi;
  std::optional<Watchdog> watchdog; // ends before MPI does
  std::optional<ThreadHub> alone;
  std::optional<ProfiledCommunicator> recorded; // of one of these
  Communicator *communicator = nullptr;
  GroupId all = 0;
};

Job::Job(const Launch &launch, const ThreadShare &share) : impl(std::make_unique<Impl>()) {
  if (launch.underMpi && launch.ranks > 1) {
    impl->mpi.emplace(MpiOptions{.coreForEachRank = share.coreForEachRank});
    impl->watchdog.emplace();
    impl->communicator = &*impl->mpi;
  } else {
    impl->alone.emplace(1);
    impl->communicator = &impl->alone->communicator(0);
  }
  makeGroupOfAll();
}

Job::~Job() = default;

void Job::makeGroupOfAll() {
  std::vector<uint32_t> all(ranks());
  std::iota(all.begin(), all.end(), 0u);
  impl->all = communicator().makeGroup(all);
}

void Job::recordCalls(Profiler &profiler) {
  impl->communicator = &impl->recorded.emplace(*impl->communicator, profiler);
  makeGroupOfAll();
}

Communicator &Job::communicator() {
  return *impl->communicator;
}
int Job::rank() const {
  return impl->communicator->rank();
}
int Job::ranks() const {
  return impl->communicator->size();
}
GroupId Job::all() const {
  return impl->all;
}

void Job::together(const std::function<void()> &work) {
  std::string own;
  try {
    work();
  } catch (const std::bad_alloc &) {
    own = "out of memory";
  } catch (const std::exception &error) {
    own = *error.what() ? error.what() : "unknown error";
  }
  int32_t failed = own.empty() ? 0 : 1;
  communicator().allReduce(&failed, 1, ElementType::i32, all());
  if (failed == 0)
    return;

  own.resize(messageBytes - 1, '\0');
  own.push_back('\0');
  std::vector<char> gathered(messageBytes * ranks());
  std::vector<int> counts(ranks(), messageBytes);
  std::vector<int> offsets(ranks());
  for (int rank = 0; rank < ranks(); ++rank)
    offsets[rank] = static_cast<int>(rank * messageBytes);
  communicator().allGather(own.data(), gathered.data(), counts, offsets, ElementType::u8, all());
  if (isFirst()) {
    std::map<std::string, std::vector<int>> ranksOf;
    for (int rank = 0; rank < ranks(); ++rank)
      if (gathered[offsets[rank]] != '\0')
        ranksOf[gathered.data() + offsets[rank]].push_back(rank);
    for (const auto &[message, where] : ranksOf)
      if (ranks() == 1)
        std::fprintf(stderr, "cleave-run: error: %s\n", message.c_str());
      else
        std::fprintf(stderr, "cleave-run: error: %s: %s\n", nameOf(where, ranks()).c_str(),
                     message.c_str());
  }
  throw JobRefused();
}

void Job::refuse(const std::string &message) const {
  if (isFirst())
    std::fprintf(stderr, "cleave-run: error: %s\n", message.c_str());
  throw JobRefused();
}

void Job::abort(const std::string &message) {
  if (impl->mpi)
    impl->mpi->abort(message.c_str());
  std::fflush(stdout);
  std::fprintf(stderr, "cleave-run: error: %s\n", message.c_str());
  std::_Exit(EXIT_FAILURE);
}

std::string mpirunCommand(int64_t ranks, int cores, int argc, char **argv) {
  std::string command = "mpirun -n " + std::to_string(ranks);
  if (ranks > cores)
    command += " --oversubscribe";
  if (geteuid() == 0 && !std::getenv("OMPI_ALLOW_RUN_AS_ROOT"))
    command += " --allow-run-as-root";
  for (int i = 0; i < argc; ++i)
    command += " " + quotedForShell(argv[i]);
  return command;
}

} // namespace cleave::rt
