// The checks of every Communicator, run by each process of an mpirun. No
// GoogleTest: N copies of it would write N reports. A failure says which check on
// which rank, and ends the job.
#include "runtime/comm/mpi_communicator.h"
#include "test/runtime/comm/communicator_checks.h"

#include <cstdlib>
#include <exception>
#include <string_view>

int main(int argc, char **argv) {
  using namespace cleave::rt;
  std::string_view coreForEachRank = argc > 1 ? argv[1] : "yes";
  int ranks = argc > 2 ? std::atoi(argv[2]) : 0;
  MpiCommunicator communicator({.coreForEachRank = coreForEachRank == "yes"});
  try {
    if (communicator.size() != ranks)
      communicator.abort("started with another number of ranks than expected");
    checkOperations(communicator);
    checkSameBits(communicator);
  } catch (const std::exception &error) {
    communicator.abort(error.what());
  }
  return 0;
}
