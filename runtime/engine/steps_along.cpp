// The steps of what goes along one dimension: softmax, the best elements, and running sums.
#include "runtime/engine/lines.h"
#include "runtime/engine/step_builder.h"
#include "runtime/kernels/along.h"
#include "runtime/kernels/plain_types.h"
#include "runtime/kernels/softmax.h"

#include <type_traits>

namespace cleave::rt {

namespace {

/// Calls body.operator()<T>() for f32, or integers of 32 or 64 bits, which alone a program has
/// here.
template <typename Body> void withWideType(ElementType type, const Body &body) {
  withPlainType(type, [&]<typename T> {
    if constexpr (std::is_same_v<T, float> || (std::is_integral_v<T> && sizeof(T) >= 4))
      body.template operator()<T>();
  });
}

template <typename Pointer> using ElementOf = std::remove_const_t<std::remove_pointer_t<Pointer>>;

/// Makes y of x by a kernel whose `Args` have both, and how x lies; an element is `elementWork`.
template <typename Args, void (*kernel)(const Args &, Part), int64_t elementWork = 1>
class AlongStep : public Step {
public:
  Args args;
  Location x, y;
  Lines lines;

  void bind(const Memory &memory) override {
    args.x = memory.read<ElementOf<decltype(args.x)>>(x);
    args.y = memory.write<ElementOf<decltype(args.y)>>(y);
  }
  void prepare(const int64_t *symbols) override { lines.prepare(args, symbols); }
  void run(RunContext &context) const override {
    runParts(kernel, args, args.outer * args.length * args.inner * elementWork, context);
  }
};

/// About as long as so many sums takes an exponential.
using SoftmaxStep = AlongStep<SoftmaxArgs, softmax, 8>;
template <typename T> using CumulativeSumStep = AlongStep<CumulativeSumArgs<T>, cumulativeSum<T>>;

template <typename T> class ArgReduceStep : public AlongStep<ArgReduceArgs<T>, argReduce<T>> {
public:
  void prepare(const int64_t *symbols) override {
    this->lines.prepare(this->args, symbols);
    if (this->args.length == 0 && this->args.outer * this->args.inner > 0)
      throw std::runtime_error("the largest or smallest of no elements is asked for");
  }
};

template <typename T>
class TopElementsStep : public AlongStep<TopElementsArgs<T>, topElements<T>, 4> {
public:
  Location indices;

  void bind(const Memory &memory) override {
    AlongStep<TopElementsArgs<T>, topElements<T>, 4>::bind(memory);
    this->args.indices = memory.write<int64_t>(indices);
  }
};

} // namespace

template <typename StepT> std::unique_ptr<StepT> StepBuilder::makeAlong(uint32_t dim) {
  auto step = std::make_unique<StepT>();
  step->x = locations[operand(0)];
  step->y = locations[result(0)];
  step->lines = Lines(dimsOf(value(operand(0)).dims()), dim);
  return step;
}

void StepBuilder::addSoftmax(const fb::Softmax &op) {
  auto step = makeAlong<SoftmaxStep>(op.dim());
  step->args.logarithm = op.logarithm();
  add(std::move(step));
}

void StepBuilder::addArgReduce(const fb::ArgReduce &op) {
  withWideType(type(operand(0)), [&]<typename T> {
    auto step = makeAlong<ArgReduceStep<T>>(op.dim());
    step->args.smallest = op.smallest();
    step->args.last = op.last();
    add(std::move(step));
  });
}

void StepBuilder::addTopElements(const fb::TopElements &op) {
  withWideType(type(operand(0)), [&]<typename T> {
    auto step = makeAlong<TopElementsStep<T>>(op.dim());
    step->indices = locations[result(1)];
    step->args.count = dimsOf(value(result(0)).dims())[op.dim()];
    step->args.smallest = op.smallest();
    add(std::move(step));
  });
}

void StepBuilder::addCumulativeSum(const fb::CumulativeSum &op) {
  withWideType(type(operand(0)), [&]<typename T> {
    auto step = makeAlong<CumulativeSumStep<T>>(op.dim());
    step->args.exclusive = op.exclusive();
    step->args.reverse = op.reverse();
    add(std::move(step));
  });
}

} // namespace cleave::rt
