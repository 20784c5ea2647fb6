// The step of all_to_all. Blocks are packed and unpacked around the exchange, but where
// they lie in one piece already.
#include "runtime/engine/communication_step.h"
#include "runtime/engine/step_builder.h"
#include "runtime/kernels/copy_box.h"

#include <algorithm>
#include <limits>

namespace cleave::rt {

namespace {

/// A value cut along one dimension becomes one cut along another, or otherwise along the
/// same. What goes from one member to another is a box: the sender's share of the joined
/// dimension and the receiver's of the cut one.
class AllToAllStep : public CommunicationStep {
public:
  using CommunicationStep::CommunicationStep;
  GroupId group = -1;
  size_t own = 0;
  std::vector<Share> held;   ///< of the joined dimension, by member, no element twice
  std::vector<Share> wanted; ///< of the cut dimension, by member
  Share untrimmed;           ///< what x holds of the joined dimension
  /// x and y are [outer, first, between, second, inner]; with one dimension, it is the second.
  bool isOneDim = false, joinsFirst = false;
  Size outerElements, betweenElements, innerElements;
  int64_t xFirst = 1, xSecond = 1, yFirst = 1, ySecond = 1;
  Location sendScratch, recvScratch;

  void makeRoom() {
    for (auto *each : {&sendCounts, &sendOffsets, &recvCounts, &recvOffsets})
      each->resize(held.size());
  }

  void bind(const Memory &memory) override {
    from = memory.read<std::byte>(x);
    to = memory.write<std::byte>(y);
    sendRoom = memory.write<std::byte>(sendScratch);
    recvRoom = memory.write<std::byte>(recvScratch);
  }

  void prepare(const int64_t *symbols) override {
    outer = outerElements(symbols);
    between = betweenElements(symbols);
    inner = innerElements(symbols);
    elementBytes = elementTypeInfo(type).blockBytes;
    // A block is where it belongs already when nothing lies before its dimension.
    sendsDirect = outer == 1 && isOutermost(/*joined=*/false) &&
                  (isOneDim || held[own].size == untrimmed.size);
    recvsDirect = outer == 1 && isOutermost(/*joined=*/true);
    int64_t sent = 0, received = 0;
    for (size_t m = 0; m < held.size(); ++m) {
      const Box out = boxBetween(own, m), in = boxBetween(m, own);
      sendCounts[m] = static_cast<int>(elementsOf(out));
      recvCounts[m] = static_cast<int>(elementsOf(in));
      sendOffsets[m] =
          static_cast<int>(sendsDirect ? (sendCounts[m] ? offsetIn(out, Place::x) : 0) : sent);
      recvOffsets[m] =
          static_cast<int>(recvsDirect ? (recvCounts[m] ? offsetIn(in, Place::y) : 0) : received);
      sent += sendCounts[m];
      received += recvCounts[m];
    }
  }

  void run(RunContext &context) const override {
    if (group < 0)
      return copy(boxBetween(own, own), Place::x, from, Place::y, to, context);
    for (size_t m = 0; !sendsDirect && m < held.size(); ++m)
      copy(boxBetween(own, m), Place::x, from, Place::block,
           sendRoom + int64_t{sendOffsets[m]} * elementBytes, context);
    communicate(context, [&] {
      communicator.allToAll(sendsDirect ? from : sendRoom, sendCounts, sendOffsets,
                            recvsDirect ? to : recvRoom, recvCounts, recvOffsets, type, group);
    });
    if (recvsDirect)
      return;
    for (size_t m = 0; m < held.size(); ++m)
      copy(boxBetween(m, own), Place::block, recvRoom + int64_t{recvOffsets[m]} * elementBytes,
           Place::y, to, context);
  }

private:
  /// Ranges of the two dimensions, in elements of the whole value.
  struct Box {
    Share first, second;
  };
  enum class Place { x, y, block };

  bool isOutermost(bool joined) const { return isOneDim || joined == joinsFirst; }

  Box boxBetween(size_t sender, size_t receiver) const {
    if (isOneDim) {
      int64_t begin = std::max(held[sender].begin, wanted[receiver].begin);
      int64_t end = std::min(held[sender].begin + held[sender].size,
                             wanted[receiver].begin + wanted[receiver].size);
      return {{0, 1}, {begin, std::max<int64_t>(0, end - begin)}};
    }
    return joinsFirst ? Box{held[sender], wanted[receiver]} : Box{wanted[receiver], held[sender]};
  }

  int64_t elementsOf(const Box &box) const {
    return outer * box.first.size * between * box.second.size * inner;
  }

  /// Where, in elements, the box begins in x or in y.
  int64_t offsetIn(const Box &box, Place place) const {
    int64_t first = box.first.begin, second = box.second.begin;
    if (place == Place::x)
      (!isOneDim && joinsFirst ? first : second) -= untrimmed.begin;
    else
      (isOneDim || joinsFirst ? second : first) -= wanted[own].begin;
    return (first * between * (place == Place::x ? xSecond : ySecond) + second) * inner;
  }

  /// Copies a box from or to x or y, to or from a block of its own.
  void copy(const Box &box, Place fromPlace, const std::byte *source, Place toPlace,
            std::byte *target, RunContext &context) const {
    const int64_t run = box.second.size * inner;
    auto strides = [&](Place place) -> std::array<int64_t, 3> {
      int64_t first = place == Place::x ? xFirst : place == Place::y ? yFirst : box.first.size;
      int64_t second = place == Place::x ? xSecond : place == Place::y ? ySecond : box.second.size;
      int64_t row = second * inner * elementBytes;
      return {first * between * row, between * row, row};
    };
    auto begin = [&](Place place) {
      return place == Place::block ? 0 : offsetIn(box, place) * elementBytes;
    };
    if (elementsOf(box) == 0)
      return;
    CopyBoxArgs args{
        source + begin(fromPlace), target + begin(toPlace), {outer, box.first.size, between},
        strides(fromPlace),        strides(toPlace),        run * elementBytes};
    runParts(copyBox, args, elementsOf(box), context);
  }

  const std::byte *from = nullptr;
  std::byte *to = nullptr;
  std::byte *sendRoom = nullptr;
  std::byte *recvRoom = nullptr;
  int64_t outer = 0, between = 0, inner = 0, elementBytes = 0;
  bool sendsDirect = false, recvsDirect = false;
  std::vector<int> sendCounts, sendOffsets, recvCounts, recvOffsets;
};

} // namespace

void StepBuilder::addAllToAll(const fb::AllToAll &op) {
  std::span<const int64_t> x = dimsOf(value(operand(0)).dims());
  std::span<const int64_t> y = dimsOf(value(result(0)).dims());
  auto step = std::make_unique<AllToAllStep>(input.communicator, input.communicationSeconds);
  step->group = group(op.group());
  step->own = placeIn(*op.group(), input.program.root().rank());
  step->held = sharesOf(op.concat_ranges(), op.group()->size());
  step->wanted = sharesOf(op.split_ranges(), op.group()->size());
  step->untrimmed = step->held[step->own];
  trim(step->held);
  step->type = type(operand(0));
  const uint32_t first = std::min(op.split_dim(), op.concat_dim());
  const uint32_t second = std::max(op.split_dim(), op.concat_dim());
  step->isOneDim = first == second;
  step->joinsFirst = op.concat_dim() < op.split_dim();
  step->outerElements = Size(x.first(first));
  step->innerElements = Size(x.subspan(second + 1));
  if (!step->isOneDim) {
    step->betweenElements = Size(x.subspan(first + 1, second - first - 1));
    step->xFirst = x[first];
    step->yFirst = y[first];
  }
  step->xSecond = x[second];
  step->ySecond = y[second];
  step->x = locations[operand(0)];
  step->y = locations[result(0)];
  // What is wanted by several is sent to each.
  std::vector<int64_t> packed(x.begin(), x.end());
  packed[op.split_dim()] = totalOf(step->wanted);
  std::optional<int64_t> bytes = bytesAtBounds(packed, elementBytes(operand(0)), input.bounds);
  int64_t received = bytesAtMost(result(0));
  if (!bytes ||
      std::max(*bytes, received) / elementBytes(operand(0)) > std::numeric_limits<int>::max())
    refuse("exchanges more than 2^31 elements at once; lower the bounds of its sizes");
  step->sendScratch = scratch(*bytes);
  step->recvScratch = scratch(received);
  step->makeRoom();
  add(std::move(step));
}

} // namespace cleave::rt
