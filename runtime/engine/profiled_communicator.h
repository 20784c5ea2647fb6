// A communicator that tells a Profiler of every call, and has another one do it.
#pragma once

#include "runtime/comm/communicator.h"
#include "runtime/engine/profile.h"

#include <vector>

namespace cleave::rt {

/// Calls of a rank with itself are not told. Both arguments outlive it. Groups must be made through
/// it before they are used: one that `communicator` has made is made again, and keeps its number.
class ProfiledCommunicator final : public Communicator {
public:
  ProfiledCommunicator(Communicator &communicator, Profiler &profiler)
      : communicator(communicator), profiler(profiler) {}

  int rank() const override { return communicator.rank(); }
  int size() const override { return communicator.size(); }
  GroupId makeGroup(std::span<const uint32_t> ranks) override;
  void reserveSends(size_t maxBytes, size_t maxPending) override {
    communicator.reserveSends(maxBytes, maxPending);
  }
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
  /// Not recorded: no step of a model has one.
  void barrier() override { communicator.barrier(); }
  [[noreturn]] void abort(const char *message) override {
    communicator.abort(message);
    __builtin_unreachable(); // gcc 12 does not see that of a virtual function
  }

private:
  /// Times `body`, a call with `count` elements in its message.
  template <typename Body>
  void record(CallEvent event, size_t count, ElementType type, const Body &body);
  template <typename Body>
  void recordCollective(CallKind kind, GroupId group, size_t count, ElementType type,
                        const Body &body, int root = 0);

  Communicator &communicator;
  Profiler &profiler;
  struct Group {
    uint32_t number = 0; ///< the profiler's
    size_t size = 0;     ///< 0: not made yet
  };
  std::vector<Group> groups; ///< by the communicator's number
};

} // namespace cleave::rt
