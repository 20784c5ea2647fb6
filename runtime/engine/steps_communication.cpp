// The steps of communication. Communicator's collectives move contiguous blocks,
// one a member; where a value is cut along an inner dimension and has more than
// one row, blocks are packed and unpacked around them.
#include "runtime/engine/step_builder.h"
#include "runtime/kernels/slice.h"
#include "runtime/kernels/top_k.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <numeric>

namespace cleave::rt {

namespace {

/// A member's part of the dimension that is cut.
struct Share {
  int64_t begin = 0;
  int64_t size = 0;
};

/// Adds the time until its destruction to `seconds`.
class Stopwatch {
public:
  explicit Stopwatch(double &seconds) : seconds(seconds) {}
  ~Stopwatch() {
    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

private:
  double &seconds;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
};

/// What all steps of communication know.
class CommunicationStep : public Step {
public:
  CommunicationStep(Communicator &communicator, double &seconds)
      : communicator(communicator), seconds(seconds) {}

  ElementType type = ElementType::f32;
  Location x, y;

protected:
  Communicator &communicator;
  double &seconds;
};

/// all_reduce or broadcast: y, which may be x, holds x and is then exchanged.
class InPlaceStep : public CommunicationStep {
public:
  using CommunicationStep::CommunicationStep;
  GroupId group = -1; // -1: this rank alone
  bool reduces = true;
  Size count;

  void bind(const Memory &memory) override {
    from = memory.read<std::byte>(x);
    to = memory.write<std::byte>(y);
  }
  void run(const RunContext &context) override {
    int64_t total = count(context.symbols);
    if (total == 0)
      return;
    if (from != to)
      copy(total * elementTypeInfo(type).blockBytes, context);
    if (group < 0)
      return;
    Stopwatch watch(seconds);
    if (reduces)
      communicator.allReduce(to, static_cast<size_t>(total), type, group);
    else
      communicator.broadcast(to, static_cast<size_t>(total), type, /*root=*/0, group);
  }

private:
  void copy(int64_t bytes, const RunContext &context) const {
    SliceArgs args{from, to, 1, bytes, bytes, bytes};
    runParts(slice, args, bytes / 4, context);
  }

  const std::byte *from = nullptr;
  std::byte *to = nullptr;
};

/// all_reduce of candidates: all members' travel to all, and each takes the same best ones.
class MergeTopStep : public CommunicationStep {
public:
  using CommunicationStep::CommunicationStep;
  GroupId group = -1;
  Size rows;
  MergeTopArgs args;
  Location scratch; // all members' candidates

  void prepare(size_t members) {
    args.lists = static_cast<int64_t>(members);
    counts.resize(members);
    offsets.resize(members);
  }

  void bind(const Memory &memory) override {
    from = memory.read<Candidate>(x);
    args.y = memory.write<Candidate>(y);
    room = memory.write<Candidate>(scratch);
  }

  void run(const RunContext &context) override {
    args.rows = rows(context.symbols);
    if (args.rows == 0)
      return;
    args.x = from;
    if (group >= 0) {
      const auto floats = static_cast<int>(args.rows * args.count * 2);
      std::fill(counts.begin(), counts.end(), floats);
      for (size_t m = 0; m < offsets.size(); ++m)
        offsets[m] = static_cast<int>(m) * floats;
      Stopwatch watch(seconds);
      communicator.allGather(from, room, counts, offsets, type, group);
      args.x = room;
    }
    if (args.x != args.y)
      runParts(mergeTop, args, args.lists * args.rows * args.count, context);
  }

private:
  const Candidate *from = nullptr;
  Candidate *room = nullptr;
  std::vector<int> counts, offsets;
};

/// What all_gather and reduce_scatter share: a whole value of [rows, width, inner]
/// and a share of it for each member.
class SharesStep : public CommunicationStep {
public:
  using CommunicationStep::CommunicationStep;
  GroupId group = -1;
  size_t own = 0;
  std::vector<Share> shares; // in the group's order
  int64_t width = 0;
  Size rows, innerElements;
  Location scratch;

  void prepare() {
    counts.resize(shares.size());
    offsets.resize(shares.size());
  }

protected:
  /// Evaluates sizes for this run; returns whether there is anything to do.
  bool evaluate(const RunContext &context) {
    rowCount = rows(context.symbols);
    inner = innerElements(context.symbols);
    innerBytes = inner * elementTypeInfo(type).blockBytes;
    for (size_t m = 0; m < shares.size(); ++m)
      counts[m] = static_cast<int>(rowCount * shares[m].size * inner);
    return rowCount * width * inner > 0;
  }

  /// Copies a share between a contiguous block and its place in rows of
  /// `rowWidth`, of which it begins at `begin`.
  void pack(const std::byte *whole, int64_t rowWidth, Share share, std::byte *block,
            const RunContext &context) const {
    SliceArgs args{whole + share.begin * innerBytes,
                   block,
                   rowCount,
                   share.size * innerBytes,
                   rowWidth * innerBytes,
                   share.size * innerBytes};
    runParts(slice, args, args.rows * args.bytes / 4, context);
  }
  void unpack(const std::byte *block, Share share, std::byte *whole,
              const RunContext &context) const {
    SliceArgs args{block,
                   whole + share.begin * innerBytes,
                   rowCount,
                   share.size * innerBytes,
                   share.size * innerBytes,
                   width * innerBytes};
    runParts(slice, args, args.rows * args.bytes / 4, context);
  }

  int64_t rowCount = 0, inner = 0, innerBytes = 0;
  std::vector<int> counts, offsets; // for the communicator, in elements
};

/// Members' shares do not overlap here: addAllGather has trimmed them.
class AllGatherStep : public SharesStep {
public:
  using SharesStep::SharesStep;
  Share untrimmed; // of this rank: what x holds

  void bind(const Memory &memory) override {
    from = memory.read<std::byte>(x);
    to = memory.write<std::byte>(y);
    room = memory.write<std::byte>(scratch);
  }

  void run(const RunContext &context) override {
    if (!evaluate(context))
      return;
    const Share &mine = shares[own];
    const Share inX{mine.begin - untrimmed.begin, mine.size};
    if (group < 0)
      return unpack(from, mine, to, context);
    // One row: a share is contiguous in x and in y. Otherwise blocks lie in the
    // scratch memory, one behind the other, and this rank's own behind them.
    const bool direct = rowCount == 1;
    int64_t offset = 0;
    for (size_t m = 0; m < shares.size(); ++m) {
      offsets[m] = static_cast<int>(direct ? shares[m].begin * inner : offset);
      offset += counts[m];
    }
    const std::byte *sent = from + inX.begin * innerBytes;
    if (!direct && mine.size != untrimmed.size) {
      std::byte *block = room + offset * elementTypeInfo(type).blockBytes;
      pack(from, untrimmed.size, inX, block, context);
      sent = block;
    }
    {
      Stopwatch watch(seconds);
      communicator.allGather(sent, direct ? to : room, counts, offsets, type, group);
    }
    if (direct)
      return;
    for (size_t m = 0; m < shares.size(); ++m)
      unpack(room + int64_t{offsets[m]} * elementTypeInfo(type).blockBytes, shares[m], to, context);
  }

private:
  const std::byte *from = nullptr;
  std::byte *to = nullptr;
  std::byte *room = nullptr;
};

class ReduceScatterStep : public SharesStep {
public:
  using SharesStep::SharesStep;
  bool inOrder = false; // shares lie one behind the other in the group's order

  void bind(const Memory &memory) override {
    from = memory.read<std::byte>(x);
    to = memory.write<std::byte>(y);
    room = memory.write<std::byte>(scratch);
  }

  void run(const RunContext &context) override {
    if (!evaluate(context))
      return;
    if (group < 0)
      return pack(from, width, shares[own], to, context);
    const bool direct = rowCount == 1 && inOrder;
    if (!direct) {
      std::byte *block = room;
      for (size_t m = 0; m < shares.size(); ++m) {
        pack(from, width, shares[m], block, context);
        block += int64_t{counts[m]} * elementTypeInfo(type).blockBytes;
      }
    }
    Stopwatch watch(seconds);
    communicator.reduceScatter(direct ? from : room, to, counts, type, group);
  }

private:
  const std::byte *from = nullptr;
  std::byte *to = nullptr;
  std::byte *room = nullptr;
};

class PeerStep : public CommunicationStep {
public:
  using CommunicationStep::CommunicationStep;
  bool sends = true;
  int peer = 0;
  int tag = 0;
  Size count;

  void bind(const Memory &memory) override {
    if (sends)
      from = memory.read<std::byte>(x);
    else
      to = memory.write<std::byte>(y);
  }
  void run(const RunContext &context) override {
    size_t total = static_cast<size_t>(count(context.symbols));
    if (total == 0)
      return;
    Stopwatch watch(seconds);
    if (sends)
      communicator.send(from, total, type, peer, tag);
    else
      communicator.recv(to, total, type, peer, tag);
  }

private:
  const std::byte *from = nullptr;
  std::byte *to = nullptr;
};

std::vector<Share> sharesOf(const flatbuffers::Vector<int64_t> &ranges) {
  std::vector<Share> shares;
  for (uint32_t i = 0; i < ranges.size(); i += 2)
    shares.push_back({ranges.Get(i), ranges.Get(i + 1) - ranges.Get(i)});
  return shares;
}

/// Leaves each index to one member: where ranges overlap, members hold the same.
void trim(std::vector<Share> &shares) {
  std::vector<size_t> order(shares.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return shares[a].begin < shares[b].begin; });
  int64_t covered = 0;
  for (size_t m : order) {
    int64_t end = shares[m].begin + shares[m].size;
    int64_t begin = std::min(std::max(shares[m].begin, covered), end);
    shares[m] = {begin, end - begin};
    covered = std::max(covered, end);
  }
}

size_t placeIn(const flatbuffers::Vector<uint32_t> &group, uint32_t rank) {
  return static_cast<size_t>(std::find(group.begin(), group.end(), rank) - group.begin());
}

} // namespace

// ---- Groups and buffers of the communicator ----

void StepBuilder::makeGroups() {
  for (const fb::Instruction *each : *input.entry.instructions())
    if (const auto *ranks = groupOf(*each); ranks && ranks->size() > 1)
      groups.emplace(std::vector<uint32_t>(ranks->begin(), ranks->end()), -1);
  // A map's order is one that all ranks share, whatever groups each of them has.
  for (auto &[ranks, id] : groups)
    id = input.communicator.makeGroup(ranks);
}

GroupId StepBuilder::group(const flatbuffers::Vector<uint32_t> *ranks) const {
  if (ranks->size() == 1)
    return -1;
  return groups.at(std::vector<uint32_t>(ranks->begin(), ranks->end()));
}

void StepBuilder::reserveSends() const {
  size_t largest = 0, sends = 0;
  for (const fb::Instruction *each : *input.entry.instructions()) {
    if (each->operation_type() != fb::Operation::Send)
      continue;
    largest = std::max(largest, static_cast<size_t>(bytesAtMost(each->operands()->Get(0))));
    ++sends;
  }
  if (sends > 0)
    input.communicator.reserveSends(largest, sends);
}

// ---- Instructions ----

void StepBuilder::addMergeTop(const fb::AllReduce &op) {
  std::span<const int64_t> dims = dimsOf(value(operand(0)).dims());
  auto step = std::make_unique<MergeTopStep>(input.communicator, input.communicationSeconds);
  step->group = group(op.group());
  step->x = locations[operand(0)];
  step->y = locations[result(0)];
  step->rows = Size(dims.first(1));
  step->args.count = dims[1];
  const int64_t members = op.group()->size();
  const int64_t all[] = {members, dims[0], dims[1], dims[2]};
  std::optional<int64_t> bytes = bytesAtBounds(all, elementBytes(operand(0)), input.bounds);
  if (!bytes || *bytes / elementBytes(operand(0)) > std::numeric_limits<int>::max())
    refuse("gathers more than 2^31 elements at once; lower the bounds of its sizes");
  step->scratch = scratch(members > 1 ? *bytes : 0);
  step->prepare(static_cast<size_t>(members));
  add(std::move(step));
}

void StepBuilder::addAllReduce(const fb::AllReduce &op) {
  if (op.kind() == fb::ReductionKind::Top)
    return addMergeTop(op);
  auto step = std::make_unique<InPlaceStep>(input.communicator, input.communicationSeconds);
  step->reduces = true;
  step->group = group(op.group());
  step->type = type(operand(0));
  step->count = elements(operand(0));
  step->x = locations[operand(0)];
  step->y = locations[result(0)];
  add(std::move(step));
}

void StepBuilder::addBroadcast(const fb::Broadcast &op) {
  auto step = std::make_unique<InPlaceStep>(input.communicator, input.communicationSeconds);
  step->reduces = false;
  step->group = group(op.group());
  step->type = type(operand(0));
  step->count = elements(operand(0));
  step->x = locations[operand(0)];
  step->y = locations[result(0)];
  add(std::move(step));
}

void StepBuilder::addAllGather(const fb::AllGather &op) {
  std::span<const int64_t> whole = dimsOf(value(result(0)).dims());
  auto step = std::make_unique<AllGatherStep>(input.communicator, input.communicationSeconds);
  step->group = group(op.group());
  step->own = placeIn(*op.group(), input.program.root().rank());
  step->shares = sharesOf(*op.ranges());
  step->untrimmed = step->shares[step->own];
  trim(step->shares);
  step->type = type(operand(0));
  step->width = whole[op.dim()];
  step->rows = Size(whole.first(op.dim()));
  step->innerElements = Size(whole.subspan(op.dim() + 1));
  step->x = locations[operand(0)];
  step->y = locations[result(0)];
  // All blocks, and this rank's own trimmed one.
  int64_t bytes = bytesAtMost(result(0));
  if (bytes / elementBytes(result(0)) > std::numeric_limits<int>::max())
    refuse("gathers more than 2^31 elements at once; lower the bounds of its sizes");
  step->scratch = scratch(op.dim() == 0 ? 0 : bytes + bytesAtMost(operand(0)));
  step->prepare();
  add(std::move(step));
}

void StepBuilder::addReduceScatter(const fb::ReduceScatter &op) {
  std::span<const int64_t> whole = dimsOf(value(operand(0)).dims());
  auto step = std::make_unique<ReduceScatterStep>(input.communicator, input.communicationSeconds);
  step->group = group(op.group());
  step->own = placeIn(*op.group(), input.program.root().rank());
  step->shares = sharesOf(*op.ranges());
  step->type = type(operand(0));
  step->width = whole[op.dim()];
  step->rows = Size(whole.first(op.dim()));
  step->innerElements = Size(whole.subspan(op.dim() + 1));
  step->x = locations[operand(0)];
  step->y = locations[result(0)];
  int64_t sent = 0; // along the dimension, overlaps counted again
  step->inOrder = true;
  for (const Share &share : step->shares) {
    step->inOrder &= share.begin == sent;
    sent += share.size;
  }
  // The same shape with the cut dimension as long as all blocks together.
  std::vector<int64_t> packed(whole.begin(), whole.end());
  packed[op.dim()] = sent;
  std::optional<int64_t> bytes = bytesAtBounds(packed, elementBytes(operand(0)), input.bounds);
  if (!bytes || *bytes / elementBytes(operand(0)) > std::numeric_limits<int>::max())
    refuse("scatters more than 2^31 elements at once; lower the bounds of its sizes");
  step->scratch = scratch(*bytes);
  step->prepare();
  add(std::move(step));
}

void StepBuilder::addSend(const fb::Send &op) {
  auto step = std::make_unique<PeerStep>(input.communicator, input.communicationSeconds);
  step->sends = true;
  step->peer = static_cast<int>(op.peer());
  step->tag = static_cast<int>(op.tag());
  step->type = type(operand(0));
  step->count = elements(operand(0));
  step->x = locations[operand(0)];
  add(std::move(step));
}

void StepBuilder::addRecv(const fb::Recv &op) {
  auto step = std::make_unique<PeerStep>(input.communicator, input.communicationSeconds);
  step->sends = false;
  step->peer = static_cast<int>(op.peer());
  step->tag = static_cast<int>(op.tag());
  step->type = type(result(0));
  step->count = elements(result(0));
  step->y = locations[result(0)];
  add(std::move(step));
}

} // namespace cleave::rt
