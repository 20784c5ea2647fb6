// The one door to communication: what send, recv and the collectives do between
// the ranks of a program. Implementations: MPI (mpi_communicator.h) and the
// threads of one process (thread_communicator.h), for tests and --check.
#pragma once

#include "runtime/program/element_type.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace cleave::rt {

/// A set of ranks that communicate together, made once at load.
using GroupId = int;

/// Communication among `size()` ranks. Counts are elements of the given type, one
/// of the plain types; f16 and bf16 are reduced in f32. Every rank of a group
/// calls the same collectives in the same order. A failure of the transport ends
/// the job; it is not reported to the caller.
class Communicator {
public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// Makes the group of `ranks`, in this order; all of them call this, and all
  /// ranks make their groups in one global order that has no cycle. The same list
  /// gives the same group. May allocate.
  virtual GroupId makeGroup(std::span<const uint32_t> ranks) = 0;

  /// The largest message that will be sent with send(), in bytes, and how many may
  /// be under way, so that buffers are allocated now and not in a step.
  virtual void reserveSends(size_t maxBytes, size_t maxPending) = 0;

  /// Sends `count` elements; returns when `data` may be written again (the message
  /// is buffered). Messages with one peer and tag arrive in the order sent.
  virtual void send(const void *data, size_t count, ElementType type, int peer, int tag) = 0;
  virtual void recv(void *data, size_t count, ElementType type, int peer, int tag) = 0;

  /// data becomes the sum over the group, the same bits on every member.
  virtual void allReduce(void *data, size_t count, ElementType type, GroupId group) = 0;

  /// `recv` becomes what all members sent, member m's `counts[m]` elements at
  /// `offsets[m]`. `send` does not overlap `recv`.
  virtual void allGather(const void *send, void *recv, std::span<const int> counts,
                         std::span<const int> offsets, ElementType type, GroupId group) = 0;

  /// The sum over the group of `send` (all members' counts, one after the other);
  /// member m gets its `counts[m]` elements in `recv`.
  virtual void reduceScatter(const void *send, void *recv, std::span<const int> counts,
                             ElementType type, GroupId group) = 0;

  /// Member m of the group gets `sendCounts[m]` elements that lie `sendOffsets[m]` behind
  /// `send`, and gives `recvCounts[m]` that come to lie `recvOffsets[m]` behind `recv`. What
  /// is sent to several may overlap, what is received may not; nor `send` and `recv`.
  virtual void allToAll(const void *send, std::span<const int> sendCounts,
                        std::span<const int> sendOffsets, void *recv,
                        std::span<const int> recvCounts, std::span<const int> recvOffsets,
                        ElementType type, GroupId group) = 0;

  /// data becomes what the group's member number `root` has.
  virtual void broadcast(void *data, size_t count, ElementType type, int root, GroupId group) = 0;

  /// All ranks meet.
  virtual void barrier() = 0;

  /// Says `message` on standard error with this rank's number, and ends the job on
  /// all ranks with a non-zero status.
  [[noreturn]] virtual void abort(const char *message) = 0;
};

} // namespace cleave::rt
