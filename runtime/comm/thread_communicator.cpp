// Mailboxes and meeting points under one mutex. A collective's last member to
// arrive does the work for all of them, with their pointers.
#include "runtime/comm/thread_communicator.h"

#include "runtime/program/half.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <list>
#include <mutex>
#include <numeric>
#include <thread>
#include <type_traits>
#include <vector>

namespace cleave::rt {
namespace {

struct Message {
  std::vector<std::byte> bytes;
  int source = 0;
  int tag = 0;
};

enum class Kind { allReduce, allGather, reduceScatter, allToAll, broadcast, barrier };

constexpr const char *kindName(Kind kind) {
  switch (kind) {
  case Kind::allReduce:
    return "an all_reduce";
  case Kind::allGather:
    return "an all_gather";
  case Kind::reduceScatter:
    return "a reduce_scatter";
  case Kind::allToAll:
    return "an all_to_all";
  case Kind::broadcast:
    return "a broadcast";
  case Kind::barrier:
    return "a barrier";
  }
  return "?";
}

/// What one member brings to a collective. `in` may equal `out`.
struct Call {
  Kind kind = Kind::barrier;
  const void *in = nullptr;
  void *out = nullptr;
  size_t count = 0;
  std::span<const int> counts;
  std::span<const int> offsets;
  std::span<const int> recvCounts; ///< of all_to_all, whose `counts` are sent
  std::span<const int> recvOffsets;
  ElementType type = ElementType::u8;
  int root = 0;

  /// Whether two members mean the same collective, which of all_to_all its counts show.
  bool agreesWith(const Call &other) const {
    if (kind == Kind::allToAll)
      return kind == other.kind && type == other.type && counts.size() == other.counts.size();
    return kind == other.kind && count == other.count && type == other.type && root == other.root &&
           std::ranges::equal(counts, other.counts) && std::ranges::equal(offsets, other.offsets);
  }

  std::string describe() const {
    if (kind == Kind::barrier)
      return kindName(kind);
    std::string text = std::string(kindName(kind)) + " of ";
    if (counts.empty())
      return text + std::to_string(count) + " " + std::string(elementTypeInfo(type).name);
    for (size_t i = 0; i < counts.size(); ++i)
      text += (i ? "+" : "") + std::to_string(counts[i]);
    return text + " " + std::string(elementTypeInfo(type).name);
  }
};

/// What a rank waits for. Alive while it waits; all is called under the lock.
class Wait {
public:
  virtual bool over() const = 0;
  virtual std::string describe() const = 0;

protected:
  ~Wait() = default;
};

struct Group {
  std::vector<uint32_t> ranks;
  std::vector<Call> calls; ///< by member
  size_t arrived = 0;
  uint64_t completed = 0; ///< collectives done so far
};

std::string nameOf(int rank) {
  return "rank " + std::to_string(rank);
}

class WaitForMessage final : public Wait {
public:
  WaitForMessage(std::list<Message> &box, int peer, int tag) : box(box), peer(peer), tag(tag) {}

  std::list<Message>::iterator find() const {
    return std::ranges::find_if(box,
                                [&](const Message &m) { return m.source == peer && m.tag == tag; });
  }
  bool over() const override { return find() != box.end(); }
  std::string describe() const override {
    return "recv from " + nameOf(peer) + " tag " + std::to_string(tag);
  }

private:
  std::list<Message> &box;
  int peer;
  int tag;
};

/// Waits for the collective that `group` meets for now.
class WaitForGroup final : public Wait {
public:
  WaitForGroup(const Group &group, const Call &call)
      : group(group), call(call), before(group.completed) {}

  bool over() const override { return group.completed != before; }
  std::string describe() const override { return call.describe(); }

private:
  const Group &group;
  const Call &call;
  uint64_t before;
};

/// sum over `calls` of element `begin + i` of their `in`, for i in [0, count).
/// `load` and `store` convert between the stored type and the one that sums.
template <typename Stored, typename Load, typename Store>
void sumRange(std::span<const Call> calls, size_t begin, size_t count, Stored *result, Load load,
              Store store) {
  for (size_t i = 0; i < count; ++i) {
    auto sum = load(static_cast<const Stored *>(calls[0].in)[begin + i]);
    for (const Call &call : calls.subspan(1))
      sum = static_cast<decltype(sum)>(sum + load(static_cast<const Stored *>(call.in)[begin + i]));
    result[i] = store(sum);
  }
}

template <typename T>
void sumIntegers(std::span<const Call> calls, size_t begin, size_t count, void *result) {
  // Unsigned: an overflow wraps, as it does under MPI, instead of being undefined.
  auto same = [](std::make_unsigned_t<T> x) { return x; };
  sumRange(calls, begin, count, static_cast<std::make_unsigned_t<T> *>(result), same, same);
}

/// The sum in the type's own arithmetic, f16 and bf16 in f32; false where a type
/// has no sum.
bool sum(std::span<const Call> calls, size_t begin, size_t count, void *result) {
  switch (calls[0].type) {
  case ElementType::f32:
    sumRange(
        calls, begin, count, static_cast<float *>(result), [](float x) { return x; },
        [](float x) { return x; });
    return true;
  case ElementType::f16:
    sumRange(calls, begin, count, static_cast<uint16_t *>(result), floatOfF16, f16OfFloat);
    return true;
  case ElementType::bf16:
    sumRange(calls, begin, count, static_cast<uint16_t *>(result), floatOfBf16, bf16OfFloat);
    return true;
  case ElementType::f64:
    sumRange(
        calls, begin, count, static_cast<double *>(result), [](double x) { return x; },
        [](double x) { return x; });
    return true;
  case ElementType::i16:
  case ElementType::u16:
    sumIntegers<uint16_t>(calls, begin, count, result);
    return true;
  case ElementType::i32:
  case ElementType::u32:
    sumIntegers<uint32_t>(calls, begin, count, result);
    return true;
  case ElementType::i64:
  case ElementType::u64:
    sumIntegers<uint64_t>(calls, begin, count, result);
    return true;
  case ElementType::i8:
  case ElementType::u8:
    sumIntegers<uint8_t>(calls, begin, count, result);
    return true;
  default:
    return false;
  }
}

size_t bytesOf(ElementType type) {
  return elementTypeInfo(type).blockBytes;
}

} // namespace

struct ThreadHub::Impl {
  class Door;

  explicit Impl(int ranks);

  void failLocked(const std::string &message) {
    if (failure.empty())
      failure = message;
    wake.notify_all();
  }

  [[noreturn]] void failAndThrow(int rank, const std::string &message) {
    failLocked(nameOf(rank) + ": " + message);
    throw JobFailed(failure);
  }

  void throwIfFailed() const {
    if (!failure.empty())
      throw JobFailed(failure);
  }

  /// When all ranks wait or are done and no wait can end, nothing ever will.
  void checkDeadlock() {
    std::string who;
    for (size_t rank = 0; rank < waits.size(); ++rank)
      if (waits[rank] ? waits[rank]->over() : !finished[rank])
        return;
    for (size_t rank = 0; rank < waits.size(); ++rank)
      if (waits[rank])
        who += (who.empty() ? "" : ", ") + nameOf(static_cast<int>(rank)) + " in " +
               waits[rank]->describe();
    if (!who.empty())
      failLocked("deadlock: " + who + ", and no other rank can end that");
  }

  /// Blocks `rank` until `what` is over; throws when the job fails meanwhile.
  void wait(std::unique_lock<std::mutex> &lock, int rank, const Wait &what) {
    if (!what.over()) {
      waits[rank] = &what;
      checkDeadlock();
      wake.wait(lock, [&] { return !failure.empty() || what.over(); });
      waits[rank] = nullptr;
    }
    throwIfFailed();
  }

  void meet(int rank, Group &group, const Call &call);
  void complete(Group &group, int rank);

  mutable std::mutex mutex;
  std::condition_variable wake;
  std::string failure;
  std::vector<const Wait *> waits;           ///< by rank; null while it runs
  std::vector<bool> finished;                ///< by rank
  std::vector<std::list<Message>> mailboxes; ///< by receiver
  std::list<Message> spare;                  ///< used messages, to use again
  std::list<Group> groups;                   ///< stays where it is; the first is all ranks
  std::vector<Group *> groupOfId;
  std::vector<std::byte> scratch;
  std::vector<std::unique_ptr<Communicator>> doors;
};

class ThreadHub::Impl::Door final : public Communicator {
public:
  Door(Impl &hub, int rank) : hub(hub), self(rank) {}

  int rank() const override { return self; }
  int size() const override { return static_cast<int>(hub.waits.size()); }

  GroupId makeGroup(std::span<const uint32_t> ranks) override {
    std::unique_lock lock(hub.mutex);
    hub.throwIfFailed();
    for (size_t id = 0; id < hub.groupOfId.size(); ++id)
      if (std::ranges::equal(hub.groupOfId[id]->ranks, ranks))
        return static_cast<GroupId>(id);
    Group &group = hub.groups.emplace_back();
    group.ranks.assign(ranks.begin(), ranks.end());
    group.calls.resize(ranks.size());
    hub.groupOfId.push_back(&group);
    return static_cast<GroupId>(hub.groupOfId.size() - 1);
  }

  void reserveSends(size_t maxBytes, size_t maxPending) override {
    std::unique_lock lock(hub.mutex);
    for (size_t i = 0; i < maxPending; ++i)
      hub.spare.emplace_back().bytes.reserve(maxBytes);
  }

  void send(const void *data, size_t count, ElementType type, int peer, int tag) override {
    std::unique_lock lock(hub.mutex);
    hub.throwIfFailed();
    if (hub.spare.empty())
      hub.spare.emplace_back();
    Message &message = hub.spare.front();
    auto *bytes = static_cast<const std::byte *>(data);
    message.bytes.assign(bytes, bytes + count * bytesOf(type));
    message.source = self;
    message.tag = tag;
    std::list<Message> &box = hub.mailboxes[peer];
    box.splice(box.end(), hub.spare, hub.spare.begin());
    hub.wake.notify_all();
  }

  void recv(void *data, size_t count, ElementType type, int peer, int tag) override {
    std::unique_lock lock(hub.mutex);
    std::list<Message> &box = hub.mailboxes[self];
    WaitForMessage wanted(box, peer, tag);
    hub.wait(lock, self, wanted);
    auto message = wanted.find();
    size_t size = count * bytesOf(type);
    if (message->bytes.size() != size)
      hub.failAndThrow(self, wanted.describe() + " expects " + std::to_string(size) +
                                 " bytes, the message has " +
                                 std::to_string(message->bytes.size()));
    if (size > 0)
      std::memcpy(data, message->bytes.data(), size);
    hub.spare.splice(hub.spare.end(), box, message);
  }

  void allReduce(void *data, size_t count, ElementType type, GroupId group) override {
    Call call;
    call.kind = Kind::allReduce;
    call.in = call.out = data;
    call.count = count;
    call.type = type;
    hub.meet(self, *groupOf(group), call);
  }

  void allGather(const void *send, void *recv, std::span<const int> counts,
                 std::span<const int> offsets, ElementType type, GroupId group) override {
    Call call;
    call.kind = Kind::allGather;
    call.in = send;
    call.out = recv;
    call.counts = counts;
    call.offsets = offsets;
    call.type = type;
    hub.meet(self, *groupOf(group), call);
  }

  void reduceScatter(const void *send, void *recv, std::span<const int> counts, ElementType type,
                     GroupId group) override {
    Call call;
    call.kind = Kind::reduceScatter;
    call.in = send;
    call.out = recv;
    call.counts = counts;
    call.type = type;
    hub.meet(self, *groupOf(group), call);
  }

  void allToAll(const void *send, std::span<const int> sendCounts, std::span<const int> sendOffsets,
                void *recv, std::span<const int> recvCounts, std::span<const int> recvOffsets,
                ElementType type, GroupId group) override {
    Call call;
    call.kind = Kind::allToAll;
    call.in = send;
    call.out = recv;
    call.counts = sendCounts;
    call.offsets = sendOffsets;
    call.recvCounts = recvCounts;
    call.recvOffsets = recvOffsets;
    call.type = type;
    hub.meet(self, *groupOf(group), call);
  }

  void broadcast(void *data, size_t count, ElementType type, int root, GroupId group) override {
    Call call;
    call.kind = Kind::broadcast;
    call.in = call.out = data;
    call.count = count;
    call.type = type;
    call.root = root;
    hub.meet(self, *groupOf(group), call);
  }

  void barrier() override { hub.meet(self, hub.groups.front(), Call()); }

  [[noreturn]] void abort(const char *message) override {
    std::unique_lock lock(hub.mutex);
    hub.failAndThrow(self, message);
  }

private:
  Group *groupOf(GroupId id) {
    std::unique_lock lock(hub.mutex);
    return hub.groupOfId[id];
  }

  Impl &hub;
  int self;
};

ThreadHub::Impl::Impl(int ranks) : waits(ranks, nullptr), finished(ranks, false), mailboxes(ranks) {
  Group &all = groups.emplace_back();
  all.ranks.resize(ranks);
  std::iota(all.ranks.begin(), all.ranks.end(), 0u);
  all.calls.resize(ranks);
  groupOfId.push_back(&all);
  for (int rank = 0; rank < ranks; ++rank)
    doors.push_back(std::make_unique<Door>(*this, rank));
}

void ThreadHub::Impl::meet(int rank, Group &group, const Call &call) {
  std::unique_lock lock(mutex);
  throwIfFailed();
  auto place = std::ranges::find(group.ranks, static_cast<uint32_t>(rank));
  if (place == group.ranks.end())
    failAndThrow(rank, std::string(kindName(call.kind)) + " of a group that it is no member of");
  group.calls[place - group.ranks.begin()] = call;
  if (++group.arrived == group.ranks.size()) {
    complete(group, rank);
    group.arrived = 0;
    ++group.completed;
    wake.notify_all();
    return;
  }
  wait(lock, rank, WaitForGroup(group, call));
}

void ThreadHub::Impl::complete(Group &group, int rank) {
  std::span<const Call> calls = group.calls;
  const Call &first = calls[0];
  for (size_t m = 1; m < calls.size(); ++m)
    if (!calls[m].agreesWith(first))
      failAndThrow(static_cast<int>(group.ranks[m]), "calls " + calls[m].describe() + " where " +
                                                         nameOf(static_cast<int>(group.ranks[0])) +
                                                         " calls " + first.describe());
  size_t size = bytesOf(first.type);
  auto noSum = [&] {
    failAndThrow(rank, "no sum of type " + std::string(elementTypeInfo(first.type).name));
  };
  switch (first.kind) {
  case Kind::barrier:
    break;
  case Kind::allReduce:
    scratch.resize(std::max(scratch.size(), first.count * size));
    if (!sum(calls, 0, first.count, scratch.data()))
      noSum();
    if (first.count > 0)
      for (const Call &call : calls)
        std::memcpy(call.out, scratch.data(), first.count * size);
    break;
  case Kind::reduceScatter: {
    size_t begin = 0;
    for (size_t m = 0; m < calls.size(); ++m) {
      auto count = static_cast<size_t>(first.counts[m]);
      if (!sum(calls, begin, count, calls[m].out))
        noSum();
      begin += count;
    }
    break;
  }
  case Kind::allGather:
    for (const Call &call : calls)
      for (size_t m = 0; m < calls.size(); ++m)
        if (first.counts[m] > 0)
          std::memcpy(static_cast<std::byte *>(call.out) + first.offsets[m] * size, calls[m].in,
                      first.counts[m] * size);
    break;
  case Kind::allToAll:
    for (size_t to = 0; to < calls.size(); ++to)
      for (size_t from = 0; from < calls.size(); ++from) {
        const int count = calls[from].counts[to];
        if (count != calls[to].recvCounts[from])
          failAndThrow(static_cast<int>(group.ranks[to]),
                       "expects " + std::to_string(calls[to].recvCounts[from]) +
                           " elements of an all_to_all from " +
                           nameOf(static_cast<int>(group.ranks[from])) + ", which gives " +
                           std::to_string(count));
        if (count > 0)
          std::memcpy(static_cast<std::byte *>(calls[to].out) + calls[to].recvOffsets[from] * size,
                      static_cast<const std::byte *>(calls[from].in) +
                          calls[from].offsets[to] * size,
                      count * size);
      }
    break;
  case Kind::broadcast:
    for (size_t m = 0; m < calls.size(); ++m)
      if (m != static_cast<size_t>(first.root) && first.count > 0)
        std::memcpy(calls[m].out, calls[first.root].in, first.count * size);
    break;
  }
}

ThreadHub::ThreadHub(int ranks) : impl(std::make_unique<Impl>(ranks)) {}
ThreadHub::~ThreadHub() = default;

Communicator &ThreadHub::communicator(int rank) {
  return *impl->doors[rank];
}

void ThreadHub::fail(int rank, const std::string &message) {
  std::unique_lock lock(impl->mutex);
  impl->failLocked(nameOf(rank) + ": " + message);
}

void ThreadHub::finish(int rank) {
  std::unique_lock lock(impl->mutex);
  impl->finished[rank] = true;
  impl->checkDeadlock();
}

std::string ThreadHub::failure() const {
  std::unique_lock lock(impl->mutex);
  return impl->failure;
}

void runRanks(int ranks, const std::function<void(Communicator &)> &body) {
  ThreadHub hub(ranks);
  auto runRank = [&hub, &body](int rank) {
    try {
      body(hub.communicator(rank));
    } catch (const JobFailed &) { // already told
    } catch (const std::exception &error) {
      hub.fail(rank, error.what());
    } catch (...) {
      hub.fail(rank, "unknown exception");
    }
    hub.finish(rank);
  };
  std::vector<std::thread> threads;
  try {
    for (int rank = 0; rank < ranks; ++rank)
      threads.emplace_back(runRank, rank);
  } catch (const std::exception &error) { // the system has no more threads
    hub.fail(static_cast<int>(threads.size()), error.what());
  }
  for (std::thread &thread : threads)
    thread.join();
  if (std::string failure = hub.failure(); !failure.empty())
    throw JobFailed(failure);
}

} // namespace cleave::rt
