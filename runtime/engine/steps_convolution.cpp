// The step of Conv. Convolutions of one shape share their primitives.
#include "runtime/engine/step_builder.h"
#include "runtime/kernels/convolution.h"

namespace cleave::rt {

namespace {

class ConvolutionStep : public Step {
public:
  std::shared_ptr<Convolution> convolution;
  ConvolutionArgs args;
  Location x, filter, bias, y, scratch;
  bool hasBias = false;
  Size images;

  void bind(const Memory &memory) override {
    args.x = memory.read<float>(x);
    args.filter = memory.read<float>(filter);
    if (hasBias)
      args.bias = memory.read<float>(bias);
    args.y = memory.write<float>(y);
    room = memory.write<void>(scratch);
  }
  void prepare(const int64_t *symbols) override { args.images = images(symbols); }
  bool usesLibrary() const override { return true; }
  void runLibrary() override { convolution->run(args, room); }
  void run(RunContext &) const override {}

private:
  void *room = nullptr;
};

} // namespace

void StepBuilder::addConv(const fb::Conv &op) {
  std::span<const int64_t> x = dimsOf(value(operand(0)).dims());
  std::span<const int64_t> filter = dimsOf(value(operand(1)).dims());
  std::span<const int64_t> y = dimsOf(value(result(0)).dims());
  const size_t spatial = x.size() - 2;
  auto tail = [](std::span<const int64_t> dims) {
    return std::vector<int64_t>(dims.begin() + 2, dims.end());
  };
  ConvolutionShape shape{.inputChannels = x[1],
                         .outputChannels = filter[0],
                         .groups = filter[1] == 0 ? 1 : x[1] / filter[1],
                         .inputSizes = tail(x),
                         .kernelSizes = tail(filter),
                         .outputSizes = tail(y),
                         .strides = {op.strides()->begin(), op.strides()->end()},
                         .padsBefore = {},
                         .padsAfter = {},
                         .dilations = {op.dilations()->begin(), op.dilations()->end()},
                         .hasBias = operandCount() == 3};
  for (uint32_t i = 0; i < spatial; ++i) {
    shape.padsBefore.push_back(op.pads()->Get(i));
    shape.padsAfter.push_back(op.pads()->Get(static_cast<uint32_t>(spatial) + i));
  }
  bytesAtMost(operand(0)); // says so where the batch's bound is too large
  const int64_t maxImages = bytesAtBounds(x.first(1), 1, input.bounds).value_or(0);

  auto step = std::make_unique<ConvolutionStep>();
  std::shared_ptr<Convolution> &known = convolutions[{shape, maxImages}];
  if (!known)
    known = std::make_shared<Convolution>(shape, maxImages);
  step->convolution = known;
  step->hasBias = shape.hasBias;
  step->x = locations[operand(0)];
  step->filter = locations[operand(1)];
  if (shape.hasBias)
    step->bias = locations[operand(2)];
  step->y = locations[result(0)];
  step->scratch = scratch(static_cast<int64_t>(known->scratchBytes()));
  step->images = Size(x.first(1));
  add(std::move(step));
}

} // namespace cleave::rt
