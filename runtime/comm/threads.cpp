// hwloc knows cores and NUMA nodes; the environment knows who asked for what.
#include "runtime/comm/threads.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string_view>
#include <unistd.h>

namespace cleave::rt {
namespace {

/// Tells the program executed anew not to do it again.
constexpr const char *againVariable = "CLEAVE_BOUND";

int numberFrom(const char *variable, int otherwise) {
  const char *text = std::getenv(variable);
  if (!text || !*text)
    return otherwise;
  char *end = nullptr;
  long value = std::strtol(text, &end, 10);
  return *end == '\0' && value >= 0 && value <= 1 << 24 ? static_cast<int>(value) : otherwise;
}

bool isSet(const char *variable) {
  return std::getenv(variable) != nullptr;
}

/// Frees a bitmap of hwloc's.
struct BitmapDeleter {
  void operator()(hwloc_bitmap_s *bitmap) const { hwloc_bitmap_free(bitmap); }
};
using Bitmap = std::unique_ptr<hwloc_bitmap_s, BitmapDeleter>;

Bitmap bitmapOf(const Processors &processors) {
  Bitmap bitmap(hwloc_bitmap_alloc());
  for (int processor : processors)
    hwloc_bitmap_set(bitmap.get(), processor);
  return bitmap;
}

Processors processorsOf(hwloc_const_bitmap_t bitmap) {
  Processors processors;
  for (int i = hwloc_bitmap_first(bitmap); i >= 0; i = hwloc_bitmap_next(bitmap, i))
    processors.push_back(i);
  return processors;
}

/// The hardware threads of each core that lie in `processors`, cores in hwloc's
/// logical order, in which those of a NUMA node are neighbours.
std::vector<Processors> coresOf(hwloc_topology_t topology, const Processors &processors) {
  Bitmap mask = bitmapOf(processors);
  std::vector<Processors> cores;
  hwloc_obj_t core = nullptr;
  while ((core = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_CORE, core))) {
    Bitmap part(hwloc_bitmap_alloc());
    hwloc_bitmap_and(part.get(), core->cpuset, mask.get());
    if (!hwloc_bitmap_iszero(part.get()))
      cores.push_back(processorsOf(part.get()));
  }
  if (cores.empty()) // no cores known (some virtual machines): every hardware thread is one
    for (int processor : processors)
      cores.push_back({processor});
  return cores;
}

/// First one hardware thread of each core, then the cores' second ones, and so on.
std::vector<int> coresFirst(const std::vector<Processors> &cores) {
  std::vector<int> order;
  for (size_t sibling = 0, before = 1; before != 0; ++sibling) {
    before = 0;
    for (const Processors &core : cores)
      if (sibling < core.size()) {
        order.push_back(core[sibling]);
        ++before;
      }
  }
  return order;
}

Processors affinityOf(hwloc_topology_t topology, pid_t process) {
  Bitmap mask(hwloc_bitmap_alloc());
  if (hwloc_get_proc_cpubind(topology, process, mask.get(), 0) != 0)
    hwloc_bitmap_copy(mask.get(), hwloc_topology_get_allowed_cpuset(topology));
  hwloc_bitmap_and(mask.get(), mask.get(), hwloc_topology_get_topology_cpuset(topology));
  return processorsOf(mask.get());
}

/// The nearest ancestor that is a launcher's, past wrappers such as a debugger or a
/// shell; 0 where there is none.
pid_t launcherProcess() {
  constexpr std::array<std::string_view, 6> launchers = {"mpirun", "mpiexec", "orterun",
                                                         "orted",  "prterun", "prted"};
  pid_t process = getppid();
  while (process > 1) {
    std::ifstream file("/proc/" + std::to_string(process) + "/status");
    std::string key;
    std::string name;
    pid_t parent = 0;
    while (file >> key) {
      if (key == "Name:")
        file >> name;
      else if (key == "PPid:")
        file >> parent;
      std::string rest;
      std::getline(file, rest);
    }
    if (std::ranges::find(launchers, name) != launchers.end())
      return process;
    process = parent;
  }
  return 0;
}

std::string placesOf(const std::vector<int> &pins) {
  std::string places;
  for (int pin : pins)
    places += (places.empty() ? "{" : ",{") + std::to_string(pin) + "}";
  return places;
}

/// Puts the share into OpenMP's settings, for the program executed anew; what the
/// user set stays. True where something changed.
bool configureOpenMp(const ThreadShare &share) {
  bool changed = false;
  if (!share.pins.empty() && !isSet("OMP_PLACES") && !isSet("OMP_PROC_BIND") &&
      !isSet("GOMP_CPU_AFFINITY")) {
    setenv("OMP_PLACES", placesOf(share.pins).c_str(), 1);
    setenv("OMP_PROC_BIND", "close", 1);
    changed = true;
  }
  // libgomp's threads wait for their next region, and for each other at its end, by
  // spinning, for milliseconds, before they sleep. On a machine with other work that keeps
  // the awaited thread from its core. This bound is some tens of microseconds, as the
  // engine's own within a region.
  if (share.threads > 1 && !isSet("GOMP_SPINCOUNT") && !isSet("OMP_WAIT_POLICY")) {
    setenv("GOMP_SPINCOUNT", "2000", 1);
    changed = true;
  }
  return changed;
}

} // namespace

Launch Launch::detect() {
  Launch launch;
  launch.underMpi = isSet("OMPI_COMM_WORLD_SIZE") || isSet("PMIX_RANK");
  if (!launch.underMpi)
    return launch;
  launch.rank = numberFrom("OMPI_COMM_WORLD_RANK", numberFrom("PMIX_RANK", 0));
  launch.ranks = numberFrom("OMPI_COMM_WORLD_SIZE", numberFrom("SLURM_NTASKS", 1));
  launch.localRank = numberFrom("OMPI_COMM_WORLD_LOCAL_RANK", numberFrom("SLURM_LOCALID", 0));
  launch.localRanks = std::max(1, numberFrom("OMPI_COMM_WORLD_LOCAL_SIZE", 1));
  launch.localRank = std::min(launch.localRank, launch.localRanks - 1);
  // mpirun hands its binding options on as these; what it chose itself it does not.
  // Without mpirun's own variables another launcher (srun) has bound the process.
  for (const char *variable : {"OMPI_MCA_hwloc_base_binding_policy", "OMPI_MCA_hwloc_base_cpu_list",
                               "OMPI_MCA_hwloc_base_cpu_set", "OMPI_MCA_rmaps_base_mapping_policy",
                               "OMPI_MCA_rmaps_rank_file_path", "OMPI_MCA_orte_rankfile"})
    launch.bindingWanted |= isSet(variable);
  launch.bindingWanted |= !isSet("OMPI_COMM_WORLD_SIZE");
  return launch;
}

ThreadShare shareOf(hwloc_topology_t topology, const Launch &launch, const Processors &own,
                    const Processors &launcher, int wanted) {
  ThreadShare share;
  std::vector<Processors> nodeCores = coresOf(topology, launcher);
  std::vector<Processors> cores = coresOf(topology, own);
  share.processors = own;
  share.nodeCores = static_cast<int>(nodeCores.size());
  share.coreForEachRank = launch.localRanks <= share.nodeCores;
  bool narrow = launch.underMpi && !launch.bindingWanted && cores.size() <= 1 && own != launcher &&
                !nodeCores.empty();
  int ranksInMask = 1;
  if (narrow) {
    size_t begin = nodeCores.size() * launch.localRank / launch.localRanks;
    size_t end = nodeCores.size() * (launch.localRank + 1) / launch.localRanks;
    if (begin == end) { // fewer cores than ranks
      begin = launch.localRank % nodeCores.size();
      end = begin + 1;
    }
    cores.assign(nodeCores.begin() + begin, nodeCores.begin() + end);
    share.processors = coresFirst(cores);
    std::ranges::sort(share.processors);
  } else if (!nodeCores.empty()) {
    // Ranks are spread evenly, so a mask of part of the node has that part of them.
    size_t shared = launch.localRanks * cores.size() / nodeCores.size();
    ranksInMask = std::max<int>(1, static_cast<int>(shared));
  }
  share.threads = wanted > 0 ? wanted : std::max(1, static_cast<int>(cores.size()) / ranksInMask);
  // One thread a core, and with more, one a hardware thread. Fewer threads than
  // cores move freely among them.
  if (narrow && share.threads >= static_cast<int>(cores.size()) &&
      share.threads <= static_cast<int>(share.processors.size())) {
    share.pins = coresFirst(cores);
    share.pins.resize(share.threads);
  }
  return share;
}

std::string ThreadShare::describe(const Launch &launch) const {
  auto counted = [](int count, const char *what) {
    return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
  };
  std::string text = counted(threads, "thread");
  if (launch.localRanks > 1)
    text += " for each of " + std::to_string(launch.localRanks) + " ranks on this node";
  text += pins.empty() ? "" : ", pinned";
  return text + ", " + counted(nodeCores, "core");
}

ThreadShare takeShare(const Launch &launch, int wanted, char **argv) {
  hwloc_topology_t topology = nullptr;
  if (hwloc_topology_init(&topology) != 0 || hwloc_topology_load(topology) != 0) {
    ThreadShare share;
    share.threads = std::max(wanted, 1);
    return share;
  }
  if (wanted == 0)
    wanted = numberFrom("OMP_NUM_THREADS", 0);
  Processors own = affinityOf(topology, 0);
  pid_t launcher = launch.underMpi ? launcherProcess() : 0;
  Processors launcherOwn = launcher ? affinityOf(topology, launcher) : own;
  bool again = isSet(againVariable);
  if (again) { // what the first execution found, before it changed it
    Bitmap before(hwloc_bitmap_alloc());
    if (hwloc_bitmap_list_sscanf(before.get(), std::getenv(againVariable)) == 0)
      own = processorsOf(before.get());
  }
  ThreadShare share = shareOf(topology, launch, own, launcherOwn, wanted);
  if (!again) {
    bool moved =
        share.processors != own &&
        hwloc_set_cpubind(topology, bitmapOf(share.processors).get(), HWLOC_CPUBIND_PROCESS) == 0;
    if (!moved)
      share.pins.clear();
    bool configured = configureOpenMp(share);
    char *text = nullptr;
    if ((moved || configured) && hwloc_bitmap_list_asprintf(&text, bitmapOf(own).get()) >= 0) {
      setenv(againVariable, text, 1);
      std::free(text);
      execv("/proc/self/exe", argv); // returns only when it fails; then all goes on unpinned
    }
    share.pins.clear();
  }
  hwloc_topology_destroy(topology);
  return share;
}

} // namespace cleave::rt
