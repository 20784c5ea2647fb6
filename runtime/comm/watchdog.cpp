// A ring over the ranks of a node: each bumps its own counter in an MPI shared
// window and reads the next one's. The thread makes no MPI call.
#include "runtime/comm/watchdog.h"

#include <mpi.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <new>
#include <sched.h>
#include <sstream>
#include <string>
#include <thread>
#include <unistd.h>

namespace cleave::rt {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto period = 100ms;
/// With a longer pause between two looks this process did not run itself.
constexpr auto ownPause = 1s;
constexpr auto stoppedLimit = 2s;
/// A machine under heavy load may leave a thread waiting: more patience where the
/// system does not say that the process is stopped.
constexpr auto silentLimit = 15s;

/// A rank's place in the shared window.
struct alignas(64) Slot {
  std::atomic<uint64_t> beats;
  std::atomic<bool> ended; ///< the rank takes its leave in good order
  int rank;
  int pid;
  uint64_t startTime; ///< with `pid`, names the process beyond doubt
};
static_assert(std::atomic<uint64_t>::is_always_lock_free);

/// When the process began, in clock ticks since boot; 0 when there is none. Field
/// 22 of /proc/PID/stat, see proc(5).
uint64_t startTimeOf(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  size_t nameEnd = text.rfind(')'); // the second field may hold anything
  if (nameEnd == std::string::npos)
    return 0;
  std::istringstream fields(text.substr(nameEnd + 1));
  std::string field;
  for (int number = 3; number <= 22 && fields >> field; ++number)
    if (number == 22)
      return std::strtoull(field.c_str(), nullptr, 10);
  return 0;
}

struct ProcessStatus {
  bool stopped = false;
  bool traced = false; ///< a debugger is attached
};

ProcessStatus statusOf(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  ProcessStatus status;
  std::string key;
  std::string value;
  while (file >> key) {
    std::getline(file >> std::ws, value);
    if (key == "State:")
      status.stopped = value.starts_with("T");
    if (key == "TracerPid:")
      status.traced = value != "0";
  }
  return status;
}

std::string hostName() {
  char name[256] = "unknown host";
  gethostname(name, sizeof name - 1);
  return name;
}

} // namespace

struct Watchdog::Impl {
  Impl();
  ~Impl();
  void watch();
  [[noreturn]] void endJob(const ProcessStatus &status) const;

  MPI_Comm node = MPI_COMM_NULL;
  MPI_Win window = MPI_WIN_NULL;
  Slot *own = nullptr;
  const Slot *next = nullptr;
  int ownRank = -1;

  std::thread thread;
  std::mutex mutex;
  std::condition_variable wake;
  bool stop = false;
};

Watchdog::Impl::Impl() {
  MPI_Comm_rank(MPI_COMM_WORLD, &ownRank);
  if (MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node) !=
      MPI_SUCCESS)
    return;
  int place = 0;
  int ranks = 1;
  MPI_Comm_rank(node, &place);
  MPI_Comm_size(node, &ranks);
  void *memory = nullptr;
  if (ranks == 1 || MPI_Win_allocate_shared(sizeof(Slot), 1, MPI_INFO_NULL, node, &memory,
                                            &window) != MPI_SUCCESS)
    return;
  own = new (memory) Slot{};
  own->rank = ownRank;
  own->pid = getpid();
  own->startTime = startTimeOf(own->pid);
  MPI_Barrier(node); // the slots are filled
  MPI_Aint bytes = 0;
  int unit = 0;
  MPI_Win_shared_query(window, (place + 1) % ranks, &bytes, &unit, &memory);
  next = static_cast<const Slot *>(memory);
  thread = std::thread([this] { watch(); });
}

Watchdog::Impl::~Impl() {
  if (thread.joinable()) {
    own->ended = true;
    {
      std::lock_guard lock(mutex);
      stop = true;
    }
    wake.notify_one();
    thread.join();
  }
  if (window != MPI_WIN_NULL)
    MPI_Win_free(&window);
  if (node != MPI_COMM_NULL)
    MPI_Comm_free(&node);
}

void Watchdog::Impl::watch() {
  // The maker may be pinned to a core that a spinning OpenMP thread keeps busy.
  cpu_set_t anywhere;
  std::memset(&anywhere, 0xff, sizeof anywhere);
  sched_setaffinity(0, sizeof anywhere, &anywhere);

  uint64_t lastBeats = next->beats;
  Clock::duration silence{};
  Clock::time_point last = Clock::now();
  std::unique_lock lock(mutex);
  while (!wake.wait_for(lock, period, [this] { return stop; })) {
    own->beats.fetch_add(1, std::memory_order_relaxed);
    Clock::time_point now = Clock::now();
    Clock::duration elapsed = now - last;
    last = now;
    uint64_t beats = next->beats.load(std::memory_order_relaxed);
    if (beats != lastBeats || elapsed > ownPause || next->ended) {
      lastBeats = beats;
      silence = {};
      continue;
    }
    silence += elapsed;
    if (silence < stoppedLimit)
      continue;
    ProcessStatus status = statusOf(next->pid);
    if (status.traced)
      silence = {};
    else if (status.stopped || silence >= silentLimit)
      endJob(status);
  }
}

void Watchdog::Impl::endJob(const ProcessStatus &status) const {
  std::string message =
      std::string(program_invocation_short_name) + ": error: rank " + std::to_string(next->rank) +
      " (host " + hostName() + ", process " + std::to_string(next->pid) + ") " +
      (status.stopped ? "is stopped" : "gives no sign of life") + ", as rank " +
      std::to_string(ownRank) + " sees; ending the job (CLEAVE_WATCHDOG=off prevents that)\n";
  // One write, so that the line stays whole between other ranks' lines.
  [[maybe_unused]] ssize_t written = write(STDERR_FILENO, message.data(), message.size());
  // mpirun ends the job when a rank is killed, and then names that rank as well.
  if (startTimeOf(next->pid) == next->startTime && next->startTime != 0) {
    kill(next->pid, SIGKILL);
    std::this_thread::sleep_for(200ms); // for mpirun to see who went first
  }
  std::_Exit(EXIT_FAILURE);
}

Watchdog::Watchdog() {
  const char *setting = std::getenv("CLEAVE_WATCHDOG");
  if (!setting || std::strcmp(setting, "off") != 0)
    impl = std::make_unique<Impl>();
}

Watchdog::~Watchdog() = default;

} // namespace cleave::rt
