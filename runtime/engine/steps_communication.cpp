// The steps of communication. Communicator's collectives move contiguous blocks,
// one a member; where a value is cut along an inner dimension and has more than
// one row, blocks are packed and unpacked around them.
#include "runtime/engine/communication_step.h"
#include "runtime/engine/step_builder.h"
#include "runtime/kernels/binary.h"
#include "runtime/kernels/rms_norm.h"
#include "runtime/kernels/slice.h"
#include "runtime/kernels/top_k.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace cleave::rt {

namespace {

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
  void prepare(const int64_t *symbols) override { total = count(symbols); }
  void run(RunContext &context) const override {
    if (total == 0)
      return;
    if (from != to) {
      int64_t bytes = total * elementTypeInfo(type).blockBytes;
      runParts(slice, SliceArgs{from, to, 1, bytes, bytes, bytes}, bytes / 4, context);
    }
    if (group < 0)
      return;
    communicate(context, [&] {
      if (reduces)
        communicator.allReduce(to, static_cast<size_t>(total), type, group);
      else
        communicator.broadcast(to, static_cast<size_t>(total), type, /*root=*/0, group);
    });
  }

private:
  int64_t total = 0;
  const std::byte *from = nullptr;
  std::byte *to = nullptr;
};

/// all_reduce of several values: they lie one behind the other while they are exchanged.
class PackedReduceStep : public CommunicationStep {
public:
  using CommunicationStep::CommunicationStep;
  struct Piece {
    Location x, y;
    Size count;
    const std::byte *from = nullptr;
    std::byte *to = nullptr;
    int64_t bytes = 0; // in this run
  };
  GroupId group = -1;
  std::vector<Piece> pieces;
  Location scratch;

  void bind(const Memory &memory) override {
    room = memory.write<std::byte>(scratch);
    for (Piece &piece : pieces) {
      piece.from = memory.read<std::byte>(piece.x);
      piece.to = memory.write<std::byte>(piece.y);
    }
  }
  void prepare(const int64_t *symbols) override {
    for (Piece &piece : pieces)
      piece.bytes = piece.count(symbols) * elementTypeInfo(type).blockBytes;
  }
  void run(RunContext &context) const override {
    int64_t total = 0;
    for (const Piece &piece : pieces) {
      copy(piece.from, room + total, piece.bytes, context);
      total += piece.bytes;
    }
    if (group >= 0 && total > 0)
      communicate(context, [&] {
        communicator.allReduce(room, static_cast<size_t>(total / elementTypeInfo(type).blockBytes),
                               type, group);
      });
    int64_t done = 0;
    for (const Piece &piece : pieces) {
      copy(room + done, piece.to, piece.bytes, context);
      done += piece.bytes;
    }
  }

private:
  static void copy(const std::byte *from, std::byte *to, int64_t bytes, RunContext &context) {
    if (bytes > 0)
      runParts(slice, SliceArgs{from, to, 1, bytes, bytes, bytes}, bytes / 4, context);
  }

  std::byte *room = nullptr;
};

/// all_reduce_add and add_norm: x is summed over the group, if there is one; then each row
/// gets its residual and is normed while it is in the cache, with the bits that add and
/// rms_norm give.
class SumAndNormStep : public CommunicationStep {
public:
  using CommunicationStep::CommunicationStep;
  GroupId group = -1; // -1: this rank alone
  bool norms = false;
  Location residual, weight, normed;
  Size rows;
  int64_t columns = 0;
  RmsNormArgs norm;

  void bind(const Memory &memory) override {
    from = memory.read<float>(x);
    added = memory.read<float>(residual);
    to = memory.write<float>(y);
    if (!norms)
      return;
    norm.weight = memory.read<float>(weight);
    norm.y = memory.write<float>(normed);
  }
  void prepare(const int64_t *symbols) override { rowCount = rows(symbols); }
  void run(RunContext &context) const override {
    int64_t count = rowCount * columns;
    if (count == 0)
      return;
    if (group >= 0) {
      if (from != to) {
        int64_t bytes = columns * int64_t{sizeof(float)};
        runParts(slice, SliceArgs{from, to, rowCount, bytes, bytes, bytes}, count, context);
      }
      communicate(context, [&] {
        communicator.allReduce(to, static_cast<size_t>(count), ElementType::f32, group);
      });
    }
    runParts(finishRows, *this, count * 2, context);
  }

private:
  static void finishRows(const SumAndNormStep &step, Part part) {
    PartRange range = partRange(step.rowCount, part);
    for (int64_t row = range.begin; row < range.end; ++row) {
      int64_t begin = row * step.columns;
      BinaryArgs sum;
      sum.setCount(step.columns);
      sum.x = (step.group >= 0 ? step.to : step.from) + begin;
      sum.y = step.added + begin;
      sum.z = step.to + begin;
      binaryF32(sum, Part{});
      if (!step.norms)
        continue;
      RmsNormArgs norm = step.norm;
      norm.x = step.to + begin;
      norm.y += begin;
      rmsNorm(norm, Part{});
    }
  }

  const float *from = nullptr, *added = nullptr;
  float *to = nullptr;
  int64_t rowCount = 0;
};

/// all_reduce of candidates: all members' travel to all, and each takes the same best ones.
class MergeTopStep : public CommunicationStep {
public:
  using CommunicationStep::CommunicationStep;
  GroupId group = -1;
  Size rows;
  MergeTopArgs args;
  Location scratch; // all members' candidates

  void makeRoom(size_t members) {
    args.lists = static_cast<int64_t>(members);
    counts.resize(members);
    offsets.resize(members);
  }

  void bind(const Memory &memory) override {
    from = memory.read<Candidate>(x);
    args.y = memory.write<Candidate>(y);
    room = memory.write<Candidate>(scratch);
    args.x = group >= 0 ? room : from;
  }

  void prepare(const int64_t *symbols) override {
    args.rows = rows(symbols);
    const auto floats = static_cast<int>(args.rows * args.count * 2);
    std::fill(counts.begin(), counts.end(), floats);
    for (size_t m = 0; m < offsets.size(); ++m)
      offsets[m] = static_cast<int>(m) * floats;
  }
  void run(RunContext &context) const override {
    if (args.rows == 0)
      return;
    if (group >= 0)
      communicate(context,
                  [&] { communicator.allGather(from, room, counts, offsets, type, group); });
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
  bool isEven = false;       // shares of a run-time size: each run has its own
  Size wholeWidth, rows, innerElements;
  Location scratch;

  void makeRoom() {
    counts.resize(shares.size());
    offsets.resize(shares.size());
  }

  void prepare(const int64_t *symbols) override {
    rowCount = rows(symbols);
    inner = innerElements(symbols);
    innerBytes = inner * elementTypeInfo(type).blockBytes;
    width = wholeWidth(symbols);
    auto count = static_cast<int64_t>(shares.size());
    for (int64_t m = 0; isEven && m < count; ++m)
      shares[static_cast<size_t>(m)] = {shareBegin(width, m, count), shareSize(width, m, count)};
    for (size_t m = 0; m < shares.size(); ++m)
      counts[m] = static_cast<int>(rowCount * shares[m].size * inner);
  }

protected:
  bool isEmpty() const { return rowCount * width * inner == 0; }

  /// Copies a share between a contiguous block and its place in rows of
  /// `rowWidth`, of which it begins at `begin`.
  void pack(const std::byte *whole, int64_t rowWidth, Share share, std::byte *block,
            RunContext &context) const {
    SliceArgs args{whole + share.begin * innerBytes,
                   block,
                   rowCount,
                   share.size * innerBytes,
                   rowWidth * innerBytes,
                   share.size * innerBytes};
    runParts(slice, args, args.rows * args.bytes / 4, context);
  }
  void unpack(const std::byte *block, Share share, std::byte *whole, RunContext &context) const {
    SliceArgs args{block,
                   whole + share.begin * innerBytes,
                   rowCount,
                   share.size * innerBytes,
                   share.size * innerBytes,
                   width * innerBytes};
    runParts(slice, args, args.rows * args.bytes / 4, context);
  }

  int64_t width = 0, rowCount = 0, inner = 0, innerBytes = 0;
  std::vector<int> counts, offsets; // for the communicator, in elements
};

/// Members' shares do not overlap here: addAllGather has trimmed them.
class AllGatherStep : public SharesStep {
public:
  using SharesStep::SharesStep;
  Share untrimmed; // of this rank: what x holds, where shares are not even

  void bind(const Memory &memory) override {
    from = memory.read<std::byte>(x);
    to = memory.write<std::byte>(y);
    room = memory.write<std::byte>(scratch);
  }

  void prepare(const int64_t *symbols) override {
    SharesStep::prepare(symbols);
    int64_t offset = 0;
    for (size_t m = 0; m < shares.size(); ++m) {
      offsets[m] = static_cast<int>(isDirect() ? shares[m].begin * inner : offset);
      offset += counts[m];
    }
    total = offset;
  }

  void run(RunContext &context) const override {
    if (isEmpty())
      return;
    const Share &mine = shares[own], &held = isEven ? mine : untrimmed;
    const Share inX{mine.begin - held.begin, mine.size};
    if (group < 0)
      return unpack(from, mine, to, context);
    const bool direct = isDirect();
    const std::byte *sent = from + inX.begin * innerBytes;
    if (!direct && mine.size != held.size) {
      std::byte *block = room + total * elementTypeInfo(type).blockBytes;
      pack(from, held.size, inX, block, context);
      sent = block;
    }
    communicate(context, [&] {
      communicator.allGather(sent, direct ? to : room, counts, offsets, type, group);
    });
    if (direct)
      return;
    for (size_t m = 0; m < shares.size(); ++m)
      unpack(room + int64_t{offsets[m]} * elementTypeInfo(type).blockBytes, shares[m], to, context);
  }

private:
  /// One row: a share is contiguous in x and in y. Otherwise blocks lie in the scratch
  /// memory, one behind the other, and this rank's own behind them.
  bool isDirect() const { return rowCount == 1; }

  int64_t total = 0; // elements of all blocks
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

  void run(RunContext &context) const override {
    if (isEmpty())
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
    communicate(context,
                [&] { communicator.reduceScatter(direct ? from : room, to, counts, type, group); });
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
  void prepare(const int64_t *symbols) override { total = static_cast<size_t>(count(symbols)); }
  void run(RunContext &context) const override {
    if (total == 0)
      return;
    communicate(context, [&] {
      if (sends)
        communicator.send(from, total, type, peer, tag);
      else
        communicator.recv(to, total, type, peer, tag);
    });
  }

private:
  size_t total = 0;
  const std::byte *from = nullptr;
  std::byte *to = nullptr;
};

} // namespace

// ---- Shares ----

/// The members' shares of a constant dimension; room for them where they are evaluated.
std::vector<Share> sharesOf(const flatbuffers::Vector<int64_t> *ranges, size_t members) {
  std::vector<Share> shares(members);
  if (ranges && ranges->size() != 0)
    for (uint32_t m = 0; m < members; ++m)
      shares[m] = {ranges->Get(2 * m), ranges->Get(2 * m + 1) - ranges->Get(2 * m)};
  return shares;
}

/// The shares' elements together, overlaps counted again; where these are more than any
/// tensor has, just more.
int64_t totalOf(const std::vector<Share> &shares) {
  int64_t total = 0;
  for (const Share &share : shares)
    if (total <= maxTensorBytes)
      total += share.size;
  return total;
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
  step->makeRoom(static_cast<size_t>(members));
  add(std::move(step));
}

void StepBuilder::addInPlace(const flatbuffers::Vector<uint32_t> *ranks, bool reduces) {
  auto step = std::make_unique<InPlaceStep>(input.communicator, input.communicationSeconds);
  step->reduces = reduces;
  step->group = group(ranks);
  step->type = type(operand(0));
  step->count = elements(operand(0));
  step->x = locations[operand(0)];
  step->y = locations[result(0)];
  add(std::move(step));
}

void StepBuilder::addAllReduce(const fb::AllReduce &op) {
  if (op.kind() == fb::ReductionKind::Top)
    return addMergeTop(op);
  if (operandCount() == 1)
    return addInPlace(op.group(), /*reduces=*/true);
  auto step = std::make_unique<PackedReduceStep>(input.communicator, input.communicationSeconds);
  step->group = group(op.group());
  step->type = type(operand(0));
  int64_t bytes = 0; // at most 16 times 2^48
  for (uint32_t i = 0; i < operandCount(); ++i) {
    if (type(operand(i)) != step->type)
      refuse("sums values of different types in one message");
    step->pieces.push_back(
        {locations[operand(i)], locations[result(i)], elements(operand(i)), nullptr, nullptr});
    bytes += bytesAtMost(operand(i));
  }
  step->scratch = scratch(bytes);
  add(std::move(step));
}

void StepBuilder::addAllReduceAdd(const fb::AllReduceAdd &op) {
  addSumAndNorm(group(op.group()), op.epsilon());
}

void StepBuilder::addAddNorm(const fb::AddNorm &op) {
  addSumAndNorm(-1, op.epsilon());
}

void StepBuilder::addSumAndNorm(GroupId group, float epsilon) {
  Matrix x = matrix(operand(0));
  auto step = std::make_unique<SumAndNormStep>(input.communicator, input.communicationSeconds);
  step->group = group;
  step->x = x.place;
  step->residual = locations[operand(1)];
  step->y = locations[result(0)];
  step->rows = x.rows;
  step->columns = x.columns;
  step->norms = operandCount() == 3;
  if (step->norms) {
    step->weight = locations[operand(2)];
    step->normed = locations[result(1)];
    step->norm.tokens = 1;
    step->norm.columns = step->norm.xStride = step->norm.yStride = x.columns;
    step->norm.epsilon = epsilon;
  }
  add(std::move(step));
}

void StepBuilder::addBroadcast(const fb::Broadcast &op) {
  addInPlace(op.group(), /*reduces=*/false);
}

void StepBuilder::addAllGather(const fb::AllGather &op) {
  const std::vector<int64_t> placed = placedDims(result(0));
  const std::span<const int64_t> whole = placed;
  const uint32_t dim = placedDim(op.dim());
  auto step = std::make_unique<AllGatherStep>(input.communicator, input.communicationSeconds);
  step->group = group(op.group());
  step->own = placeIn(*op.group(), input.program.root().rank());
  step->isEven = isSymbolDim(whole[dim]);
  step->shares = sharesOf(op.ranges(), op.group()->size());
  step->untrimmed = step->shares[step->own];
  trim(step->shares);
  step->type = type(operand(0));
  step->wholeWidth = Size(whole.subspan(dim, 1));
  step->rows = Size(whole.first(dim));
  step->innerElements = Size(whole.subspan(dim + 1));
  step->x = locations[operand(0)];
  step->y = locations[result(0)];
  // All blocks, and this rank's own trimmed one.
  int64_t bytes = bytesAtMost(result(0));
  if (bytes / elementBytes(result(0)) > std::numeric_limits<int>::max())
    refuse("gathers more than 2^31 elements at once; lower the bounds of its sizes");
  step->scratch = scratch(dim == 0 ? 0 : bytes + bytesAtMost(operand(0)));
  step->makeRoom();
  add(std::move(step));
}

void StepBuilder::addReduceScatter(const fb::ReduceScatter &op) {
  const std::vector<int64_t> placed = placedDims(operand(0));
  const std::span<const int64_t> whole = placed;
  const uint32_t dim = placedDim(op.dim());
  auto step = std::make_unique<ReduceScatterStep>(input.communicator, input.communicationSeconds);
  step->group = group(op.group());
  step->own = placeIn(*op.group(), input.program.root().rank());
  step->isEven = isSymbolDim(whole[dim]);
  step->shares = sharesOf(op.ranges(), op.group()->size());
  step->type = type(operand(0));
  step->wholeWidth = Size(whole.subspan(dim, 1));
  step->rows = Size(whole.first(dim));
  step->innerElements = Size(whole.subspan(dim + 1));
  step->x = locations[operand(0)];
  step->y = locations[result(0)];
  int64_t sent = 0; // along the dimension, overlaps counted again
  step->inOrder = true;
  for (const Share &share : step->shares) {
    if (sent > maxTensorBytes)
      break; // which is refused below
    step->inOrder &= share.begin == sent;
    sent += share.size;
  }
  // The same shape with the cut dimension as long as all blocks together.
  std::vector<int64_t> packed(whole.begin(), whole.end());
  if (!step->isEven)
    packed[dim] = sent;
  std::optional<int64_t> bytes = bytesAtBounds(packed, elementBytes(operand(0)), input.bounds);
  if (!bytes || *bytes / elementBytes(operand(0)) > std::numeric_limits<int>::max())
    refuse("scatters more than 2^31 elements at once; lower the bounds of its sizes");
  step->scratch = scratch(dim == 0 && step->inOrder ? 0 : *bytes);
  step->makeRoom();
  add(std::move(step));
}

/// Value `number` goes to a peer or comes from it.
template <typename Op> void StepBuilder::addPeer(const Op &op, bool sends, uint32_t number) {
  auto step = std::make_unique<PeerStep>(input.communicator, input.communicationSeconds);
  step->sends = sends;
  step->peer = static_cast<int>(op.peer());
  step->tag = static_cast<int>(op.tag());
  step->type = type(number);
  step->count = elements(number);
  (sends ? step->x : step->y) = locations[number];
  add(std::move(step));
}

void StepBuilder::addSend(const fb::Send &op) {
  addPeer(op, /*sends=*/true, operand(0));
}

void StepBuilder::addRecv(const fb::Recv &op) {
  addPeer(op, /*sends=*/false, result(0));
}

} // namespace cleave::rt
