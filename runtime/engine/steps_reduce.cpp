// The steps of reductions: of floats, and exactly of integers.
#include "runtime/engine/lines.h"
#include "runtime/engine/step_builder.h"
#include "runtime/kernels/reduce.h"

#include <algorithm>

namespace cleave::rt {

namespace {

/// The dimensions of what is reduced.
struct ReducedDims {
  std::vector<Size> sizes;
  std::vector<bool> reduced;

  /// Sets the shape; returns how many elements are read.
  int64_t prepare(ReduceShape &shape, const int64_t *symbols) const {
    shape.rank = 0;
    int64_t work = 1;
    for (size_t i = 0; i < sizes.size(); ++i) {
      const int64_t size = sizes[i](symbols);
      shape.add(size, reduced[i]);
      work *= std::max<int64_t>(size, 1); // of nothing there are results, too
    }
    return work;
  }
};

class ReduceStep : public Step {
public:
  ReduceArgs args;
  Location x, y;
  ReducedDims dims;
  int64_t count = 0; ///< what a mean divides by; 0: the elements

  void bind(const Memory &memory) override {
    args.x = memory.read<float>(x);
    args.y = memory.write<float>(y);
  }
  void prepare(const int64_t *symbols) override {
    work = dims.prepare(args, symbols);
    int64_t elements = 1;
    for (int i = 0; i < args.rank; ++i)
      elements *= args.reduced[i] ? args.dims[i] : 1;
    args.count = static_cast<double>(std::max<int64_t>(count ? count : elements, 1));
  }
  void run(RunContext &context) const override {
    constexpr int64_t exponentialWork = 8;
    runParts(reduce, args, args.kind == Reduction::logSumExp ? work * exponentialWork : work,
             context);
  }

private:
  int64_t work = 0;
};

class IntegerReduceStep : public Step {
public:
  IntegerReduceArgs args;
  Location x, y;
  ReducedDims dims;

  void bind(const Memory &memory) override {
    args.x = memory.read<void>(x);
    args.y = memory.write<void>(y);
  }
  void prepare(const int64_t *symbols) override { work = dims.prepare(args, symbols); }
  void run(RunContext &context) const override {
    constexpr int64_t elementWork = 4;
    runParts(reduceIntegers, args, work * elementWork, context);
  }

private:
  int64_t work = 0;
};

} // namespace

template <typename StepT> std::unique_ptr<StepT> StepBuilder::makeReduce(const fb::Reduce &op) {
  auto step = std::make_unique<StepT>();
  step->x = locations[operand(0)];
  step->y = locations[result(0)];
  step->dims.sizes = sizesOf(dimsOf(value(operand(0)).dims()));
  step->dims.reduced.resize(step->dims.sizes.size());
  for (uint32_t dim : *op.dims())
    step->dims.reduced[dim] = true;
  step->args.kind = static_cast<Reduction>(op.kind());
  return step;
}

void StepBuilder::addReduce(const fb::Reduce &op) {
  if (isIntegerType(type(operand(0)))) {
    auto step = makeReduce<IntegerReduceStep>(op);
    step->args.type = type(operand(0));
    return add(std::move(step));
  }
  auto step = makeReduce<ReduceStep>(op);
  step->count = op.count();
  add(std::move(step));
}

} // namespace cleave::rt
