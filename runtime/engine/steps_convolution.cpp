// The steps of Conv and ConvTranspose. Convolutions of one shape share their primitives; each has
// its filter, packed at load where it is a weight, with the factors of what follows in it.
#include "runtime/engine/spatial.h"
#include "runtime/engine/step_builder.h"
#include "runtime/kernels/conv_transpose.h"
#include "runtime/kernels/convolution.h"

#include <algorithm>

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

/// What oneDNN has not.
class ConvTransposeStep : public Step {
public:
  ConvTransposeArgs args;
  Location x, filter, y;
  Size images;

  void bind(const Memory &memory) override {
    args.x = memory.read<float>(x);
    args.filter = memory.read<float>(filter);
    args.y = memory.write<float>(y);
  }
  void prepare(const int64_t *symbols) override { args.images = images(symbols); }
  void run(RunContext &context) const override {
    double work =
        static_cast<double>(args.images * args.channels) * static_cast<double>(args.outputChannels);
    for (int i = 0; i < 3; ++i)
      work *= static_cast<double>(args.sizes[i]) * static_cast<double>(args.kernel[i]);
    runParts(convTranspose, args, static_cast<int64_t>(std::min(work, 1e15)), context);
  }
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
  addConvolution(op, /*isTransposed=*/false);
}

template <typename Op> void StepBuilder::addConvolution(const Op &op, bool isTransposed) {
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
    step->numbers = outputNumbers(*epilogue, y[1],
                                  operandCount() == 3 ? std::optional(operand(2)) : std::nullopt);
  else if (operandCount() == 3)
    step->bias = locations[operand(2)];
  ConvolutionShape shape{.inputChannels = x[1],
                         .outputChannels = y[1],
                         .groups = filter[1] == 0 ? 1 : (isTransposed ? y : x)[1] / filter[1],
                         .inputSizes = tail(x),
                         .kernelSizes = tail(filter),
                         .outputSizes = tail(y),
                         .strides = {op.strides()->begin(), op.strides()->end()},
                         .padsBefore = {},
                         .padsAfter = {},
                         .dilations = {op.dilations()->begin(), op.dilations()->end()},
                         .isTransposed = isTransposed,
                         .hasBias = step->bias || !step->numbers.offset.empty(),
                         .epilogue = kernelEpilogue(epilogue)};
  for (uint32_t i = 0; i < spatial; ++i) {
    shape.padsBefore.push_back(op.pads()->Get(i));
    shape.padsAfter.push_back(op.pads()->Get(static_cast<uint32_t>(spatial) + i));
    if (isTransposed) // what lies behind the last products is a negative pad
      shape.padsAfter[i] = (x[2 + i] - 1) * shape.strides[i] +
                           (filter[2 + i] - 1) * shape.dilations[i] + 1 - shape.padsBefore[i] -
                           y[2 + i];
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

void StepBuilder::addConvTranspose(const fb::ConvTranspose &op) {
  if (isChannelsLast())
    return addConvolution(op, /*isTransposed=*/true);
  std::span<const int64_t> x = dimsOf(value(operand(0)).dims());
  std::span<const int64_t> filter = dimsOf(value(operand(1)).dims());
  std::span<const int64_t> y = dimsOf(value(result(0)).dims());
  const size_t spatial = x.size() - 2;
  auto step = std::make_unique<ConvTransposeStep>();
  step->x = locations[operand(0)];
  step->filter = locations[operand(1)];
  step->y = locations[result(0)];
  step->images = Size(x.first(1));
  ConvTransposeArgs &args = step->args;
  args.channels = x[1];
  args.outputChannels = y[1];
  args.groups = filter[1] == 0 ? 1 : std::max<int64_t>(y[1] / filter[1], 1);
  setSpatial(args.sizes, x, 2, spatial);
  setSpatial(args.outputs, y, 2, spatial);
  setSpatial(args.kernel, filter, 2, spatial);
  setSpatial(args.strides, numbersOf(*op.strides()), 0, spatial);
  setSpatial(args.pads, numbersOf(*op.pads()), 0, spatial);
  setSpatial(args.dilations, numbersOf(*op.dilations()), 0, spatial);
  add(std::move(step));
}

} // namespace cleave::rt
