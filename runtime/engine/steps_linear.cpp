// The steps of Linear: its kernel, the quantized form of its input that several of
// them may share, and oneDNN for dense weights and many tokens.
#include "runtime/engine/step_builder.h"
#include "runtime/kernels/linear.h"
#include "runtime/kernels/quantize.h"

#include <cstring>

namespace cleave::rt {

namespace {

class QuantizeStep : public Step {
public:
  QuantizeArgs args;
  Location x, y;
  Size tokens;

  void bind(const Memory &memory) override {
    args.x = memory.read<float>(x);
    args.y = memory.write<std::byte>(y);
  }
  void run(const RunContext &context) override {
    args.tokens = tokens(context.symbols);
    runParts(quantizeQ8, args, args.tokens * args.columns * 2, context);
  }
};

class LinearStep : public Step {
public:
  LinearArgs args;
  LinearKernel kernel = nullptr;
  Location x, quantized, weight, y, denseScratch;
  bool isQuantized = false;
  std::shared_ptr<DenseLinear> dense; // null: the kernel does all
  Size tokens;

  void bind(const Memory &memory) override {
    if (isQuantized)
      args.quantized = memory.read<std::byte>(quantized);
    else
      args.x = memory.read<float>(x);
    args.weight = memory.read<void>(weight);
    args.y = memory.write<float>(y);
    if (dense)
      scratch = memory.write<void>(denseScratch);
  }

  void run(const RunContext &context) override {
    args.tokens = tokens(context.symbols);
    if (!dense || args.tokens < DenseLinear::minTokens)
      return runKernel(args, context);
    int64_t done = dense->run(args, scratch);
    LinearArgs rest = args;
    rest.tokens -= done;
    rest.x += done * rest.xStride;
    rest.y += done * rest.yStride;
    runKernel(rest, context);
  }

private:
  void runKernel(const LinearArgs &work, const RunContext &context) const {
    if (work.tokens > 0)
      runParts(kernel, work, work.tokens * work.outputs * work.xColumns, context);
  }

  void *scratch = nullptr;
};

} // namespace

Location StepBuilder::quantized(uint32_t number, int64_t padBefore, int64_t columns) {
  auto [found, isNew] = quantizedValues.try_emplace({number, padBefore, columns});
  if (!isNew) {
    buffers[static_cast<size_t>(found->second.buffer)].end = position;
    return found->second;
  }
  // A row's bytes are bounded by a weight's row, the number of rows by x's bytes.
  int64_t bytes = 0;
  if (__builtin_mul_overflow(rowsAtMost(number), q8RowBytes(columns), &bytes) ||
      bytes > maxTensorBytes)
    refuse("its quantized input would need more than 2^48 bytes; lower the bounds of its sizes");
  found->second = newBuffer(bytes, position, position);
  Matrix x = matrix(number);
  auto step = std::make_unique<QuantizeStep>();
  step->x = x.place;
  step->y = found->second;
  step->tokens = x.rows;
  step->args.columns = columns;
  step->args.xColumns = step->args.xStride = x.columns;
  step->args.padBefore = padBefore;
  add(std::move(step));
  return found->second;
}

std::shared_ptr<DenseLinear> StepBuilder::denseLinear(int64_t inputs, int64_t outputs,
                                                      int64_t maxTokens) {
  if (inputs == 0 || outputs == 0 || maxTokens < DenseLinear::minTokens)
    return nullptr;
  std::shared_ptr<DenseLinear> &known = denseLinears[{inputs, outputs, maxTokens}];
  if (!known)
    known = std::make_shared<DenseLinear>(inputs, outputs, inputs, outputs, maxTokens);
  return known;
}

void StepBuilder::addLinear(const fb::Linear &op) {
  Matrix x = matrix(operand(0));
  std::span<const int64_t> weight = dimsOf(value(operand(1)).dims());
  ElementType weightType = type(operand(1));
  auto step = std::make_unique<LinearStep>();
  if (input.options.activations == Activations::quantized) {
    step->kernel = selectLinear(weightType, /*quantizedActivations=*/true);
    step->isQuantized = step->kernel != nullptr;
  }
  if (!step->kernel)
    step->kernel = selectLinear(weightType, /*quantizedActivations=*/false);
  if (!step->kernel)
    refuse("there is no matrix product with a weight of " +
           std::string(elementTypeInfo(weightType).name) + " in this version");
  step->args.outputs = step->args.yStride = weight[0];
  step->args.inputs = weight[1];
  step->args.xColumns = step->args.xStride = x.columns;
  step->args.padBefore = op.pad_before();
  if (step->isQuantized)
    step->quantized = quantized(operand(0), op.pad_before(), weight[1]);
  else if (weightType == ElementType::f32 && x.columns == weight[1])
    step->dense = denseLinear(weight[1], weight[0], rowsAtMost(operand(0)));
  if (step->dense)
    step->denseScratch = scratch(static_cast<int64_t>(step->dense->scratchBytes()));
  step->x = x.place;
  step->weight = locations[operand(1)];
  step->y = locations[result(0)];
  step->tokens = x.rows;
  add(std::move(step));
}

} // namespace cleave::rt
