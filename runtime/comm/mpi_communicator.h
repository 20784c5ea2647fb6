// Ranks that are processes under mpirun. MPI does the work; here is only what
// Communicator promises beyond it: the choice between Open MPI's collectives by
// message size, sends with buffers made in advance, f16 and bf16 sums, and
// failures that end the job with one line.
#pragma once

#include "runtime/comm/communicator.h"

#include <memory>

namespace cleave::rt {

struct MpiOptions {
  /// Whether the ranks of a node have a core each, so that spinning on shared
  /// memory is faster than anything that yields.
  bool coreForEachRank = true;
};

/// The process's MPI job: MPI_Init when made, MPI_Finalize when destroyed, so there
/// is one at a time and one in a process's life. Only one thread, the maker, calls
/// it. Any error that MPI reports ends the job as abort() does.
///
/// Open MPI on one node: coll/sm is the fastest for small messages and among the
/// slowest for large ones, so small ones prefer it (its priority is set in the
/// environment unless the user set it or chose the components), and large ones go
/// through a second communicator that prefers coll/tuned.
class MpiCommunicator final : public Communicator {
public:
  explicit MpiCommunicator(const MpiOptions &options);
  ~MpiCommunicator() override;

  int rank() const override;
  int size() const override;
  GroupId makeGroup(std::span<const uint32_t> ranks) override;
  void reserveSends(size_t maxBytes, size_t maxPending) override;
  /// Where all reserved buffers are under way, waits for one of them.
  void send(const void *data, size_t count, ElementType type, int peer, int tag) override;
  void recv(void *data, size_t count, ElementType type, int peer, int tag) override;
  void allReduce(void *data, size_t count, ElementType type, GroupId group) override;
  void allGather(const void *send, void *recv, std::span<const int> counts,
                 std::span<const int> offsets, ElementType type, GroupId group) override;
  void reduceScatter(const void *send, void *recv, std::span<const int> counts, ElementType type,
                     GroupId group) override;
  void allToAll(const void *send, std::span<const int> sendCounts, std::span<const int> sendOffsets,
                void *recv, std::span<const int> recvCounts, std::span<const int> recvOffsets,
                ElementType type, GroupId group) override;
  void broadcast(void *data, size_t count, ElementType type, int root, GroupId group) override;
  void barrier() override;
  [[noreturn]] void abort(const char *message) override;

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace cleave::rt
