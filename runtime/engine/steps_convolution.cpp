// The step of Conv. Convolutions of one shape share their primitives; each has its filter, packed
// at load where it is a weight, with the factors of what follows in it.
#include "runtime/engine/step_builder.h"
#include "runtime/kernels/convolution.h"

namespace cleave::rt {

namespace {

class ConvolutionStep : public Step {
public:
  std::shared_ptr<Convolution> convolution;
  std::shared_ptr<Convolution::Filter> filter;
  OutputNumbers numbers;
  ConvolutionArgs args;
  Location x, y, scratch;
  std::optional<Location> plainFilter, bias; ///< where they are computed in the run
  Size images;

  void bind(const Memory &memory) override {
    args.x = memory.read<float>(x);
    if (plainFilter)
      filterToPack = memory.read<float>(*plainFilter);
    if (bias)
      args.bias = memory.read<float>(*bias);
    else
      args.bias = numbers.offsets();
    args.y = memory.write<float>(y);
    room = memory.write<void>(scratch);
  }
  void prepare(const int64_t *symbols) override { args.images = images(symbols); }
  bool usesLibrary() const override { return true; }
  void runLibrary() override {
    if (filterToPack)
      convolution->pack(filterToPack, nullptr, *filter);
    convolution->run(args, *filter, room);
  }
  bool usesTeam() const override { return false; }
  void run(RunContext &) const override {}

private:
  const float *filterToPack = nullptr;
  void *room = nullptr;
};

} // namespace

bool StepBuilder::canFuseConv(const fb::Instruction &conv) const {
  auto isWeight = [&](uint32_t i) {
    return value(conv.operands()->Get(i)).storage() == fb::Storage::Weight;
  };
  std::span<const int64_t> filter = dimsOf(value(conv.operands()->Get(1)).dims());
  return isWeight(1) && (conv.operands()->size() == 2 || isWeight(2)) && filter[0] > 0 &&
         filter[1] > 0;
}

void StepBuilder::addConv(const fb::Conv &op) {
  std::span<const int64_t> x = dimsOf(value(operand(0)).dims());
  std::span<const int64_t> filter = dimsOf(value(operand(1)).dims());
  std::span<const int64_t> y = dimsOf(value(result(0)).dims());
  const size_t spatial = x.size() - 2;
  auto tail = [](std::span<const int64_t> dims) {
    return std::vector<int64_t>(dims.begin() + 2, dims.end());
  };
  auto step = std::make_unique<ConvolutionStep>();
  const FusedEpilogue *epilogue = epilogueOf(0);
  if (epilogue && !epilogue->affine.empty())
    step->numbers = outputNumbers(*epilogue, filter[0],
                                  operandCount() == 3 ? std::optional(operand(2)) : std::nullopt);
  else if (operandCount() == 3)
    step->bias = locations[operand(2)];
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
                         .hasBias = step->bias || !step->numbers.offset.empty(),
                         .epilogue = kernelEpilogue(epilogue)};
  for (uint32_t i = 0; i < spatial; ++i) {
    shape.padsBefore.push_back(op.pads()->Get(i));
    shape.padsAfter.push_back(op.pads()->Get(static_cast<uint32_t>(spatial) + i));
  }
  bytesAtMost(operand(0)); // says so where the batch's bound is too large
  const int64_t maxImages = bytesAtBounds(x.first(1), 1, input.bounds).value_or(0);

  std::shared_ptr<Convolution> &known = convolutions[{shape, maxImages}];
  if (!known)
    known = std::make_shared<Convolution>(shape, maxImages);
  step->convolution = known;
  step->filter = known->makeFilter();
  if (const float *weight = floatsOf(operand(1))) {
    known->pack(weight, step->numbers.factors(), *step->filter);
    releaseWeight(operand(1));
  } else {
    step->plainFilter = locations[operand(1)];
  }
  step->x = locations[operand(0)];
  step->y = locations[result(0)];
  step->scratch = scratch(static_cast<int64_t>(known->scratchBytes()));
  step->images = Size(x.first(1));
  add(std::move(step));
}

} // namespace cleave::rt
