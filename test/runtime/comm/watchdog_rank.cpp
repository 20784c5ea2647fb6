// A rank of a job that a test script stops, kills or lets end: says its process's
// number, then computes without communicating for the seconds it is told, and
// meets the others.
#include "runtime/comm/mpi_communicator.h"
#include "runtime/comm/watchdog.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <unistd.h>

int main(int argc, char **argv) {
  using namespace cleave::rt;
  MpiCommunicator communicator({.coreForEachRank = false});
  Watchdog watchdog;
  std::printf("rank %d is process %d\n", communicator.rank(), static_cast<int>(getpid()));
  std::fflush(stdout);
  std::chrono::seconds busy(argc > 1 ? std::atoi(argv[1]) : 0);
  auto end = std::chrono::steady_clock::now() + busy;
  while (std::chrono::steady_clock::now() < end) {
  }
  communicator.barrier();
  if (communicator.rank() == 0)
    std::puts("all ranks met");
  return 0;
}
