// The steps of operations that move elements and compute nothing, but for those that look up
// indices (steps_index.cpp).
#include "runtime/engine/channels_last.h"
#include "runtime/engine/step_builder.h"
#include "runtime/kernels/range.h"
#include "runtime/kernels/slice.h"
#include "runtime/kernels/transpose.h"

#include <stdexcept>

namespace cleave::rt {

// ---- Transpose and Expand: elements at regular distances ----

namespace {

static_assert(maxTransposeDims >= maxValueDims);

/// The elements that a slice takes along its dimension, and that they exist.
struct SliceBounds {
  Size begin, count, whole;
  int64_t step = 1;
  std::string what; ///< for messages

  /// The first element's number.
  int64_t check(const int64_t *symbols) const {
    int64_t first = begin(symbols), size = count(symbols), limit = whole(symbols), last = first;
    bool lies = first <= limit;
    if (size > 0)
      lies = first < limit && !__builtin_mul_overflow(size - 1, step, &last) &&
             !__builtin_add_overflow(last, first, &last) && last >= 0 && last < limit;
    if (!lies)
      throw std::runtime_error(what + ": " + std::to_string(size) + " elements from " +
                               std::to_string(first) + " on by steps of " + std::to_string(step) +
                               " are not within the dimension's " + std::to_string(limit));
    return first;
  }
};

class StridedStep : public Step {
public:
  /// A dimension of the result, and how many elements of x are between two of its places:
  /// a number of times a size.
  struct Dim {
    Size size, stride;
    int64_t times = 1;
  };
  std::vector<Dim> dims;
  std::optional<SliceBounds> slice; ///< of a slice with steps
  size_t sliced = 0;                ///< the dimension of it
  int64_t elementBytes = 0;
  Location x, y;

  void bind(const Memory &memory) override {
    source = memory.read<std::byte>(x);
    args.y = memory.write<void>(y);
    args.elementBytes = elementBytes;
  }

  void prepare(const int64_t *symbols) override {
    args.x = source;
    args.rank = 0;
    count = 1;
    for (size_t d = 0; d < dims.size(); ++d) {
      const int64_t size = dims[d].size(symbols), stride = dims[d].stride(symbols);
      count *= size;
      if (slice && d == sliced)
        args.x = source + slice->check(symbols) * stride * elementBytes;
      addDim(size, stride * dims[d].times);
    }
    if (count == 0)
      args.rank = 0;
  }

  bool isSmall() const override { return count * 2 < leastSharedWork; }
  void run(RunContext &context) const override {
    if (count > 0)
      runParts(transpose, args, count * 2, context);
  }

private:
  /// Dimensions that lie in x as one become one, so that runs are long.
  void addDim(int64_t size, int64_t stride) {
    if (size == 1)
      return;
    if (args.rank > 0 && args.strides[args.rank - 1] == stride * size) {
      args.dims[args.rank - 1] *= size;
      args.strides[args.rank - 1] = stride;
      return;
    }
    args.dims[args.rank] = size;
    args.strides[args.rank++] = stride;
  }

  TransposeArgs args;
  const std::byte *source = nullptr;
  int64_t count = 0;
};

} // namespace

void StepBuilder::addTranspose(const fb::Transpose &op) {
  std::span<const int64_t> from = dimsOf(value(operand(0)).dims());
  auto step = std::make_unique<StridedStep>();
  step->x = locations[operand(0)];
  step->y = locations[result(0)];
  step->elementBytes = elementBytes(operand(0));
  for (uint32_t d = 0; d < from.size(); ++d) {
    uint32_t source = op.permutation()->Get(d);
    step->dims.push_back({Size(from.subspan(source, 1)), Size(from.subspan(source + 1))});
  }
  add(std::move(step));
}

Location StepBuilder::inOtherOrder(uint32_t number) {
  auto [copy, isNew] = otherOrders.try_emplace(number);
  if (!isNew)
    return copy->second;
  std::span<const int64_t> dims = dimsOf(value(number).dims());
  const std::vector<int64_t> lastDims = channelsLastDims(dims);
  const bool toLast = !channelsLast[number];
  std::span<const int64_t> from = toLast ? dims : lastDims;
  auto step = std::make_unique<StridedStep>();
  step->kind = "reorder";
  step->x = locations[number];
  step->y = newBuffer(bytesAtMost(number), position, std::max(lastUse[number], position));
  step->elementBytes = elementBytes(number);
  for (uint32_t d = 0; d < dims.size(); ++d) {
    // Dimension d of the copy; the channels' is 1, or the last.
    const auto last = static_cast<uint32_t>(dims.size()) - 1;
    const uint32_t source = d == 0 ? 0 : toLast ? (d == last ? 1 : d + 1) : (d == 1 ? last : d - 1);
    step->dims.push_back({Size(from.subspan(source, 1)), Size(from.subspan(source + 1))});
  }
  copy->second = step->y;
  add(std::move(step));
  return copy->second;
}

void StepBuilder::addExpand() {
  std::span<const int64_t> from = dimsOf(value(operand(0)).dims());
  std::span<const int64_t> to = dimsOf(value(result(0)).dims());
  const size_t before = to.size() - from.size();
  auto step = std::make_unique<StridedStep>();
  step->x = locations[operand(0)];
  step->y = locations[result(0)];
  step->elementBytes = elementBytes(operand(0));
  for (size_t d = 0; d < to.size(); ++d) {
    bool repeats = d < before || from[d - before] != to[d];
    Size stride = d < before ? Size() : Size(from.subspan(d - before + 1));
    step->dims.push_back({Size(to.subspan(d, 1)), stride, repeats ? 0 : 1});
  }
  add(std::move(step));
}

// ---- Slice ----

namespace {

/// A range of one dimension, or a share of it.
class SliceStep : public Step {
public:
  SliceArgs args;
  Location x, y;
  SliceBounds bounds;
  int64_t index = 0, shares = 1; ///< of a share, of which there are more than one
  Size rows, innerElements;
  int64_t elementBytes = 0;

  void bind(const Memory &memory) override {
    source = memory.read<std::byte>(x);
    args.y = memory.write<std::byte>(y);
  }
  void prepare(const int64_t *symbols) override {
    int64_t inner = innerElements(symbols) * elementBytes;
    args.rows = rows(symbols);
    int64_t width = bounds.whole(symbols);
    int64_t begin = shares > 1 ? shareBegin(width, index, shares) : bounds.check(symbols);
    args.x = source + begin * inner;
    args.bytes = args.yStride = bounds.count(symbols) * inner;
    args.xStride = width * inner;
  }
  void run(RunContext &context) const override {
    runParts(slice, args, args.rows * args.bytes / 4, context);
  }

private:
  const std::byte *source = nullptr;
};

} // namespace

void StepBuilder::addSlice(const fb::Slice &op) {
  std::span<const int64_t> from = dimsOf(value(operand(0)).dims());
  std::span<const int64_t> to = dimsOf(value(result(0)).dims());
  const int64_t begin = op.begin();
  SliceBounds bounds{Size(std::span(&begin, 1)), Size(to.subspan(op.dim(), 1)),
                     Size(from.subspan(op.dim(), 1)), op.step(),
                     input.program.fileName() + ": " +
                         describeInstruction(input.entry, static_cast<uint32_t>(position))};
  if (op.step() != 1) {
    auto step = std::make_unique<StridedStep>();
    step->x = locations[operand(0)];
    step->y = locations[result(0)];
    step->elementBytes = elementBytes(operand(0));
    step->slice = std::move(bounds);
    step->sliced = op.dim();
    for (size_t d = 0; d < to.size(); ++d)
      step->dims.push_back(
          {Size(to.subspan(d, 1)), Size(from.subspan(d + 1)), d == op.dim() ? op.step() : 1});
    return add(std::move(step));
  }
  auto step = std::make_unique<SliceStep>();
  step->x = locations[operand(0)];
  step->y = locations[result(0)];
  step->bounds = std::move(bounds);
  if (isSymbolDim(to[op.dim()])) {
    const fb::Symbol &share =
        *input.program.root().symbols()->Get(static_cast<uint32_t>(symbolOfDim(to[op.dim()])));
    step->index = share.index();
    step->shares = share.count();
    // What is checked of a share is checked of all: on all ranks alike, before they meet.
    if (share.count() > 1 && isGiven(operand(0)))
      givenWholes[result(0)] = operand(0);
  }
  step->rows = Size(from.first(op.dim()));
  step->innerElements = Size(from.subspan(op.dim() + 1));
  step->elementBytes = elementBytes(operand(0));
  add(std::move(step));
}

// ---- Concat ----

namespace {

/// Copies the parts one after the other, each all rows.
class ConcatStep : public Step {
public:
  struct PartOf {
    Location x;
    Size elements; ///< of a row
    SliceArgs args;
  };
  std::vector<PartOf> parts;
  Location y;
  Size rows, rowElements;
  int64_t elementBytes = 0;

  void bind(const Memory &memory) override {
    target = memory.write<std::byte>(y);
    for (PartOf &part : parts)
      part.args.x = memory.read<std::byte>(part.x);
  }
  void prepare(const int64_t *symbols) override {
    int64_t before = 0;
    for (PartOf &part : parts) {
      part.args.y = target + before;
      part.args.rows = rows(symbols);
      part.args.bytes = part.args.xStride = part.elements(symbols) * elementBytes;
      part.args.yStride = rowElements(symbols) * elementBytes;
      before += part.args.bytes;
    }
  }
  void run(RunContext &context) const override {
    for (const PartOf &part : parts)
      runParts(slice, part.args, part.args.rows * part.args.bytes / 4, context);
  }

private:
  std::byte *target = nullptr;
};

} // namespace

void StepBuilder::addConcat(const fb::Concat &op) {
  const uint32_t dim = placedDim(op.dim());
  const std::vector<int64_t> to = placedDims(result(0));
  auto step = std::make_unique<ConcatStep>();
  step->y = locations[result(0)];
  step->rows = Size(std::span(to).first(dim));
  step->rowElements = Size(std::span(to).subspan(dim));
  step->elementBytes = elementBytes(result(0));
  for (uint32_t i = 0; i < operandCount(); ++i) {
    const std::vector<int64_t> from = placedDims(operand(i));
    step->parts.push_back({locations[operand(i)], Size(std::span(from).subspan(dim)), {}});
  }
  add(std::move(step));
}

// ---- Range ----

namespace {

class RangeStep : public Step {
public:
  Location y;
  Size count, offset;
  int64_t start = 0, step = 1;
  bool hasOffset = false;
  ElementType type = ElementType::i64;

  void bind(const Memory &memory) override { target = memory.write<void>(y); }
  void prepare(const int64_t *symbols) override {
    length = count(symbols);
    first = static_cast<int64_t>(static_cast<uint64_t>(start) +
                                 static_cast<uint64_t>(hasOffset ? offset(symbols) : 0));
  }
  void run(RunContext &context) const override {
    context.runAlone([&] { range(target, length, first, step, type); });
  }

private:
  void *target = nullptr;
  int64_t length = 0, first = 0;
};

} // namespace

void StepBuilder::addRange(const fb::Range &op) {
  auto step = std::make_unique<RangeStep>();
  step->y = locations[result(0)];
  step->count = elements(result(0));
  step->start = op.start();
  step->step = op.step();
  step->hasOffset = op.symbol() >= 0;
  const int64_t symbol = dimOfSymbol(op.symbol());
  if (step->hasOffset)
    step->offset = Size(std::span(&symbol, 1));
  step->type = type(result(0));
  add(std::move(step));
}

// ---- Reshape ----

namespace {

class CopyStep : public Step {
public:
  SliceArgs args;
  Location x, y;
  Size count;
  int64_t elementBytes = 0;

  void bind(const Memory &memory) override {
    args.x = memory.read<std::byte>(x);
    args.y = memory.write<std::byte>(y);
    args.rows = 1;
  }
  void prepare(const int64_t *symbols) override {
    args.bytes = args.xStride = args.yStride = count(symbols) * elementBytes;
  }
  bool isSmall() const override { return args.bytes / 4 < leastSharedWork; }
  void run(RunContext &context) const override { runParts(slice, args, args.bytes / 4, context); }
};

} // namespace

void StepBuilder::addReshape() {
  const Location &x = locations[operand(0)], &y = locations[result(0)];
  if (x.buffer >= 0 && x.buffer == y.buffer)
    return; // the result has taken the operand's place
  auto step = std::make_unique<CopyStep>();
  step->x = x;
  step->y = y;
  step->count = elements(operand(0));
  step->elementBytes = elementBytes(operand(0));
  add(std::move(step));
}

} // namespace cleave::rt
