// See profiled_communicator.h.
#include "runtime/engine/profiled_communicator.h"

#include <numeric>

namespace cleave::rt {

namespace {

size_t sumOf(std::span<const int> counts) {
  return std::accumulate(counts.begin(), counts.end(), size_t{0});
}

} // namespace

template <typename Body>
void ProfiledCommunicator::record(CallEvent event, size_t count, ElementType type,
                                  const Body &body) {
  event.bytes = static_cast<int64_t>(count * elementTypeInfo(type).blockBytes);
  event.begin = profileClock();
  body();
  event.end = profileClock();
  profiler.addCall(event);
}

template <typename Body>
void ProfiledCommunicator::recordCollective(CallKind kind, GroupId group, size_t count,
                                            ElementType type, const Body &body, int root) {
  const Group &known = groups.at(static_cast<size_t>(group));
  if (known.size == 1)
    return body();
  record({.group = known.number, .peer = root, .kind = kind}, count, type, body);
}

GroupId ProfiledCommunicator::makeGroup(std::span<const uint32_t> ranks) {
  GroupId id = communicator.makeGroup(ranks);
  auto place = static_cast<size_t>(id);
  if (place >= groups.size())
    groups.resize(place + 1);
  if (groups[place].size == 0)
    groups[place] = {profiler.addGroup(ranks), ranks.size()};
  return id;
}

void ProfiledCommunicator::send(const void *data, size_t count, ElementType type, int peer,
                                int tag) {
  record({.peer = peer, .tag = tag, .kind = CallKind::send}, count, type,
         [&] { communicator.send(data, count, type, peer, tag); });
}

void ProfiledCommunicator::recv(void *data, size_t count, ElementType type, int peer, int tag) {
  record({.peer = peer, .tag = tag, .kind = CallKind::recv}, count, type,
         [&] { communicator.recv(data, count, type, peer, tag); });
}

void ProfiledCommunicator::allReduce(void *data, size_t count, ElementType type, GroupId group) {
  recordCollective(CallKind::allReduce, group, count, type,
                   [&] { communicator.allReduce(data, count, type, group); });
}

void ProfiledCommunicator::allGather(const void *send, void *recv, std::span<const int> counts,
                                     std::span<const int> offsets, ElementType type,
                                     GroupId group) {
  recordCollective(CallKind::allGather, group, sumOf(counts), type,
                   [&] { communicator.allGather(send, recv, counts, offsets, type, group); });
}

void ProfiledCommunicator::reduceScatter(const void *send, void *recv, std::span<const int> counts,
                                         ElementType type, GroupId group) {
  recordCollective(CallKind::reduceScatter, group, sumOf(counts), type,
                   [&] { communicator.reduceScatter(send, recv, counts, type, group); });
}

void ProfiledCommunicator::allToAll(const void *send, std::span<const int> sendCounts,
                                    std::span<const int> sendOffsets, void *recv,
                                    std::span<const int> recvCounts,
                                    std::span<const int> recvOffsets, ElementType type,
                                    GroupId group) {
  recordCollective(CallKind::allToAll, group, sumOf(recvCounts), type, [&] {
    communicator.allToAll(send, sendCounts, sendOffsets, recv, recvCounts, recvOffsets, type,
                          group);
  });
}

void ProfiledCommunicator::broadcast(void *data, size_t count, ElementType type, int root,
                                     GroupId group) {
  recordCollective(
      CallKind::broadcast, group, count, type,
      [&] { communicator.broadcast(data, count, type, root, group); }, root);
}

} // namespace cleave::rt
