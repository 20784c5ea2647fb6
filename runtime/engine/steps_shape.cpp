// The steps of Transpose and Reshape, which move elements and compute nothing.
#include "runtime/engine/step_builder.h"
#include "runtime/kernels/slice.h"
#include "runtime/kernels/transpose.h"

namespace cleave::rt {

// ---- Transpose ----

namespace {

class TransposeStep : public Step {
public:
  TransposeArgs args;
  Location x, y;
  std::array<Size, maxTransposeDims> dims, strides;

  void bind(const Memory &memory) override {
    args.x = memory.read<void>(x);
    args.y = memory.write<void>(y);
  }
  void prepare(const int64_t *symbols) override {
    count = 1;
    for (int d = 0; d < args.rank; ++d) {
      args.dims[d] = dims[d](symbols);
      args.strides[d] = strides[d](symbols);
      count *= args.dims[d];
    }
  }
  void run(RunContext &context) const override { runParts(transpose, args, count * 2, context); }

private:
  int64_t count = 0;
};

} // namespace

static_assert(maxTransposeDims >= maxValueDims);

void StepBuilder::addTranspose(const fb::Transpose &op) {
  std::span<const int64_t> from = dimsOf(value(operand(0)).dims());
  auto step = std::make_unique<TransposeStep>();
  step->x = locations[operand(0)];
  step->y = locations[result(0)];
  step->args.elementBytes = elementBytes(operand(0));
  step->args.rank = static_cast<int>(from.size());
  for (uint32_t d = 0; d < from.size(); ++d) {
    uint32_t source = op.permutation()->Get(d);
    step->dims[d] = Size(from.subspan(source, 1));
    step->strides[d] = Size(from.subspan(source + 1));
  }
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
