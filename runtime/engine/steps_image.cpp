// The steps of pooling and resizing.
#include "runtime/engine/spatial.h"
#include "runtime/engine/step_builder.h"
#include "runtime/kernels/pool.h"
#include "runtime/kernels/pool_indices.h"
#include "runtime/kernels/resize.h"

#include <algorithm>

namespace cleave::rt {

namespace {

/// Taps that all windows of a plane have at most.
template <typename Args> int64_t tapsOfPlane(const Args &args) {
  int64_t taps = 1;
  for (int i = 0; i < 3; ++i)
    taps *= args.outputs[i] * std::min(args.window[i], args.sizes[i]);
  return taps;
}

/// Where the windows over the spatial dimensions of `x` are that make `y`, but for their pads.
template <typename Args, typename Op>
void setWindows(Args &args, std::span<const int64_t> x, std::span<const int64_t> y, const Op &op) {
  const size_t spatial = x.size() - 2;
  setSpatial(args.sizes, x, 2, spatial);
  setSpatial(args.outputs, y, 2, spatial);
  setSpatial(args.window, numbersOf(*op.window()), 0, spatial);
  setSpatial(args.strides, numbersOf(*op.strides()), 0, spatial);
  setSpatial(args.dilations, numbersOf(*op.dilations()), 0, spatial);
}

class PoolStep : public Step {
public:
  PoolArgs args;
  Location x, y;
  Size planes;

  void bind(const Memory &memory) override {
    args.x = memory.read<float>(x);
    args.y = memory.write<float>(y);
  }
  void prepare(const int64_t *symbols) override {
    args.planes = planes(symbols);
    work = args.planes * args.inner * tapsOfPlane(args);
  }
  bool isSmall() const override { return work < leastSharedWork; }
  void run(RunContext &context) const override { runParts(pool, args, work, context); }

private:
  int64_t work = 0;
};

class PoolIndicesStep : public Step {
public:
  PoolIndicesArgs args;
  Location x, y;
  Size planes;

  void bind(const Memory &memory) override {
    args.x = memory.read<float>(x);
    args.y = memory.write<int64_t>(y);
  }
  void prepare(const int64_t *symbols) override { args.planes = planes(symbols); }
  void run(RunContext &context) const override {
    runParts(poolIndices, args, args.planes * tapsOfPlane(args), context);
  }
};

class ResizeStep : public Step {
public:
  ResizeArgs args;
  ResizeTable table;
  Location x, y;
  Size outer, inner;

  void bind(const Memory &memory) override {
    args.x = memory.read<float>(x);
    args.y = memory.write<float>(y);
    args.table = &table;
  }
  void prepare(const int64_t *symbols) override {
    args.outer = outer(symbols);
    args.inner = inner(symbols);
  }
  void run(RunContext &context) const override {
    runParts(resize, args, args.outer * args.to * args.inner * 2, context);
  }
};

} // namespace

void StepBuilder::addPool(const fb::Pool &op) {
  std::span<const int64_t> x = dimsOf(value(operand(0)).dims());
  const size_t spatial = x.size() - 2;
  auto step = std::make_unique<PoolStep>();
  step->x = locations[operand(0)];
  step->y = locations[result(0)];
  PoolArgs &args = step->args;
  step->planes = Size(x.first(isChannelsLast() ? 1 : 2));
  args.inner = isChannelsLast() ? x[1] : 1;
  setWindows(args, x, dimsOf(value(result(0)).dims()), op);
  setSpatial(args.padsBefore, numbersOf(*op.pads()), 0, spatial);
  setSpatial(args.padsAfter, numbersOf(*op.pads()), spatial, spatial);
  args.isMax = op.kind() == fb::PoolKind::Max;
  args.countsPads = op.counts_pads();
  add(std::move(step));
}

void StepBuilder::addPoolIndices(const fb::PoolIndices &op) {
  std::span<const int64_t> x = dimsOf(value(operand(0)).dims());
  auto step = std::make_unique<PoolIndicesStep>();
  step->x = locations[operand(0)];
  step->y = locations[result(0)];
  step->planes = Size(x.first(2));
  PoolIndicesArgs &args = step->args;
  setWindows(args, x, dimsOf(value(result(0)).dims()), op);
  setSpatial(args.pads, numbersOf(*op.pads()), 0, x.size() - 2);
  args.columnMajor = op.column_major();
  add(std::move(step));
}

void StepBuilder::addResize(const fb::Resize &op) {
  const std::vector<int64_t> placed = placedDims(operand(0));
  const std::span<const int64_t> x = placed;
  const uint32_t dim = placedDim(op.dim());
  ResizeShape shape{.from = x[dim],
                    .to = dimsOf(value(result(0)).dims())[op.dim()],
                    .scale = op.scale(),
                    .mode = static_cast<ResizeMode>(op.mode()),
                    .coordinates = static_cast<ResizeCoordinates>(op.coordinates()),
                    .rounding = static_cast<ResizeRounding>(op.rounding()),
                    .cubicCoefficient = op.cubic_coefficient(),
                    .antialias = op.antialias(),
                    .excludesOutside = op.excludes_outside(),
                    .cropBegin = op.crop_begin(),
                    .cropEnd = op.crop_end(),
                    .extrapolation = op.extrapolation()};
  auto step = std::make_unique<ResizeStep>();
  step->x = locations[operand(0)];
  step->y = locations[result(0)];
  step->outer = Size(x.first(dim));
  step->inner = Size(x.subspan(dim + 1));
  step->args.from = shape.from;
  step->args.to = shape.to;
  step->table = makeResizeTable(shape);
  add(std::move(step));
}

} // namespace cleave::rt
