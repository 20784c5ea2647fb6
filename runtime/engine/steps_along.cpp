// The steps of what goes along one dimension: the best elements, and running sums.
#include "runtime/engine/lines.h"
#include "runtime/engine/step_builder.h"
#include "runtime/kernels/along.h"
#include "runtime/kernels/plain_types.h"

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

template <typename T> class ArgReduceStep : public Step {
public:
  ArgReduceArgs<T> args;
  Location x, y;
  Lines lines;

  void bind(const Memory &memory) override {
    args.x = memory.read<T>(x);
    args.y = memory.write<int64_t>(y);
  }
  void prepare(const int64_t *symbols) override {
    lines.prepare(args, symbols);
    if (args.length == 0 && args.outer * args.inner > 0)
      throw std::runtime_error("the largest or smallest of no elements is asked for");
  }
  void run(RunContext &context) const override {
    runParts(argReduce<T>, args, args.outer * args.length * args.inner, context);
  }
};

template <typename T> class TopElementsStep : public Step {
public:
  TopElementsArgs<T> args;
  Location x, values, indices;
  Lines lines;

  void bind(const Memory &memory) override {
    args.x = memory.read<T>(x);
    args.values = memory.write<T>(values);
    args.indices = memory.write<int64_t>(indices);
  }
  void prepare(const int64_t *symbols) override { lines.prepare(args, symbols); }
  void run(RunContext &context) const override {
    runParts(topElements<T>, args, args.outer * args.length * args.inner * 4, context);
  }
};

template <typename T> class CumulativeSumStep : public Step {
public:
  CumulativeSumArgs<T> args;
  Location x, y;
  Lines lines;

  void bind(const Memory &memory) override {
    args.x = memory.read<T>(x);
    args.y = memory.write<T>(y);
  }
  void prepare(const int64_t *symbols) override { lines.prepare(args, symbols); }
  void run(RunContext &context) const override {
    runParts(cumulativeSum<T>, args, args.outer * args.length * args.inner, context);
  }
};

} // namespace

void StepBuilder::addArgReduce(const fb::ArgReduce &op) {
  withWideType(type(operand(0)), [&]<typename T> {
    auto step = std::make_unique<ArgReduceStep<T>>();
    step->x = locations[operand(0)];
    step->y = locations[result(0)];
    step->lines = Lines(dimsOf(value(operand(0)).dims()), op.dim());
    step->args.smallest = op.smallest();
    step->args.last = op.last();
    add(std::move(step));
  });
}

void StepBuilder::addTopElements(const fb::TopElements &op) {
  withWideType(type(operand(0)), [&]<typename T> {
    auto step = std::make_unique<TopElementsStep<T>>();
    step->x = locations[operand(0)];
    step->values = locations[result(0)];
    step->indices = locations[result(1)];
    step->lines = Lines(dimsOf(value(operand(0)).dims()), op.dim());
    step->args.count = dimsOf(value(result(0)).dims())[op.dim()];
    step->args.smallest = op.smallest();
    add(std::move(step));
  });
}

void StepBuilder::addCumulativeSum(const fb::CumulativeSum &op) {
  withWideType(type(operand(0)), [&]<typename T> {
    auto step = std::make_unique<CumulativeSumStep<T>>();
    step->x = locations[operand(0)];
    step->y = locations[result(0)];
    step->lines = Lines(dimsOf(value(operand(0)).dims()), op.dim());
    step->args.exclusive = op.exclusive();
    step->args.reverse = op.reverse();
    add(std::move(step));
  });
}

} // namespace cleave::rt
