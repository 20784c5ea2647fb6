// Which processors this rank computes on: how many threads, and where. Decided
// before MPI and OpenMP begin, from what the launcher left in the environment.
#pragma once

#include <hwloc.h>

#include <string>
#include <vector>

namespace cleave::rt {

/// What the launcher says of this process.
struct Launch {
  bool underMpi = false; ///< started by mpirun or a scheduler's launcher
  int rank = 0;
  int ranks = 1;
  int localRank = 0; ///< among the ranks of this node
  int localRanks = 1;
  /// The user or a scheduler asked for the binding that the process has.
  bool bindingWanted = false;

  /// Reads the environment: Open MPI's and PMIx's variables.
  static Launch detect();
};

/// Sets of hardware threads, by the system's numbers, ascending.
using Processors = std::vector<int>;

/// A rank's share of its node.
struct ThreadShare {
  int threads = 1;
  /// Where the process may run.
  Processors processors;
  /// Where thread i is pinned; empty where the system chooses.
  std::vector<int> pins;
  /// Physical cores that the launcher may use on this node.
  int nodeCores = 1;
  /// Whether each local rank has a core of its own.
  bool coreForEachRank = true;

  /// One line for standard error, for the first rank to print.
  std::string describe(const Launch &launch) const;
};

/// The share of a rank whose process is bound to `own`, and whose launcher may use
/// `launcher`. mpirun binds a rank of a small job to one core unless told otherwise:
/// such a rank takes its part of `launcher`, whole cores next to each other (so of
/// one NUMA node where that is possible), and one thread for each. Any other
/// binding is obeyed, and the cores in it are divided among the ranks in it.
/// `wanted` threads, where it is not 0, replaces the number of cores.
ThreadShare shareOf(hwloc_topology_t topology, const Launch &launch, const Processors &own,
                    const Processors &launcher, int wanted);

/// Finds this process's share, and binds the process to it. OpenMP reads its
/// settings as the process begins, so where they or the binding change, the program
/// is executed anew, once, with `argv` as before: OMP_PLACES and OMP_PROC_BIND then
/// say the pins, and GOMP_SPINCOUNT bounds how long a waiting thread keeps its core
/// (each unless the user set them). To be called first in main().
ThreadShare takeShare(const Launch &launch, int wanted, char **argv);

} // namespace cleave::rt
