// The steps of instructions that compute element by element.
#include "runtime/engine/step_builder.h"
#include "runtime/kernels/affine.h"
#include "runtime/kernels/binary.h"
#include "runtime/kernels/cast.h"
#include "runtime/kernels/unary.h"
#include "runtime/kernels/where.h"

namespace cleave::rt {

namespace {

/// The dimensions of a value, to be evaluated when symbols change.
class DimSizes {
public:
  DimSizes() = default;
  explicit DimSizes(std::span<const int64_t> dims) : count(dims.size()) {
    for (size_t d = 0; d < count; ++d)
      sizes[d] = Size(dims.subspan(d, 1));
  }

  /// Points into this object.
  std::span<const int64_t> operator()(const int64_t *symbols) {
    for (size_t d = 0; d < count; ++d)
      values[d] = sizes[d](symbols);
    return std::span(values).first(count);
  }

private:
  size_t count = 0;
  std::array<Size, maxValueDims> sizes;
  std::array<int64_t, maxValueDims> values{};
};

class UnaryStep : public Step {
public:
  UnaryArgs args;
  Location x, y;
  Size count;

  void bind(const Memory &memory) override {
    args.x = memory.read<void>(x);
    args.y = memory.write<void>(y);
  }
  void prepare(const int64_t *symbols) override { args.count = count(symbols); }
  bool isSmall() const override { return args.count * 8 < leastSharedWork; }
  void run(RunContext &context) const override {
    runParts(unary, args, args.count * 8, context); // about an exponential each
  }
};

class BinaryStep : public Step {
public:
  BinaryArgs args;
  Location x, y, z;
  DimSizes xDims, yDims, zDims;

  void bind(const Memory &memory) override {
    args.x = memory.read<void>(x);
    args.y = memory.read<void>(y);
    args.z = memory.write<void>(z);
  }
  void prepare(const int64_t *symbols) override {
    args.shape.set(zDims(symbols), {xDims(symbols), yDims(symbols)});
    count = args.shape.count();
  }
  bool isSmall() const override { return count < leastSharedWork; }
  void run(RunContext &context) const override { runParts(binary, args, count, context); }

private:
  int64_t count = 0;
};

class WhereStep : public Step {
public:
  WhereArgs args;
  Location condition, x, y, z;
  DimSizes conditionDims, xDims, yDims, zDims;

  void bind(const Memory &memory) override {
    args.condition = memory.read<uint8_t>(condition);
    args.x = memory.read<void>(x);
    args.y = memory.read<void>(y);
    args.z = memory.write<void>(z);
  }
  void prepare(const int64_t *symbols) override {
    args.shape.set(zDims(symbols), {conditionDims(symbols), xDims(symbols), yDims(symbols)});
    count = args.shape.count();
  }
  void run(RunContext &context) const override { runParts(where, args, count, context); }

private:
  int64_t count = 0;
};

class CastStep : public Step {
public:
  CastArgs args;
  Location x, y;
  Size count;

  void bind(const Memory &memory) override {
    args.x = memory.read<void>(x);
    args.y = memory.write<void>(y);
  }
  void prepare(const int64_t *symbols) override { args.count = count(symbols); }
  void run(RunContext &context) const override { runParts(cast, args, args.count, context); }
};

/// What follows the exchange of a value.
class AffineStep : public Step {
public:
  AffineArgs args;
  OutputNumbers numbers;
  Location y;
  std::optional<Location> residual;
  Size count;

  void bind(const Memory &memory) override {
    args.y = memory.write<float>(y);
    args.factor = numbers.factors();
    args.offset = numbers.offsets();
    args.residual = residual ? memory.read<float>(*residual) : nullptr;
  }
  void prepare(const int64_t *symbols) override {
    args.rows = args.columns > 0 ? count(symbols) / args.columns : 0;
  }
  bool isSmall() const override { return args.rows * args.columns < leastSharedWork; }
  void run(RunContext &context) const override {
    runParts(affine, args, args.rows * args.columns, context);
  }
};

} // namespace

void StepBuilder::addEpilogue(const FusedEpilogue &epilogue) {
  auto step = std::make_unique<AffineStep>();
  step->kind = "affine";
  step->y = locations[result(0)];
  step->count = elements(result(0));
  step->args.columns = placedDims(result(0)).back();
  step->numbers = outputNumbers(epilogue, step->args.columns, std::nullopt);
  if (epilogue.residual)
    step->residual = locations[*epilogue.residual];
  step->args.isRelu = epilogue.activation.has_value();
  add(std::move(step));
}

void StepBuilder::addUnary(const fb::Unary &op) {
  auto step = std::make_unique<UnaryStep>();
  step->args.kind = static_cast<UnaryKind>(op.kind());
  step->args.type = type(operand(0));
  step->args.parameters = {op.parameter(), op.second()};
  step->x = locations[operand(0)];
  step->y = locations[result(0)];
  step->count = elements(operand(0));
  add(std::move(step));
}

void StepBuilder::addBinary(const fb::Binary &op) {
  auto step = std::make_unique<BinaryStep>();
  step->args.kind = static_cast<BinaryKind>(op.kind());
  step->args.type = type(operand(0));
  step->x = locations[operand(0)];
  step->y = locations[operand(1)];
  step->z = locations[result(0)];
  step->xDims = DimSizes(placedDims(operand(0)));
  step->yDims = DimSizes(placedDims(operand(1)));
  step->zDims = DimSizes(placedDims(result(0)));
  add(std::move(step));
}

void StepBuilder::addWhere() {
  auto step = std::make_unique<WhereStep>();
  step->args.elementBytes = elementBytes(operand(1));
  step->condition = locations[operand(0)];
  step->x = locations[operand(1)];
  step->y = locations[operand(2)];
  step->z = locations[result(0)];
  step->conditionDims = DimSizes(dimsOf(value(operand(0)).dims()));
  step->xDims = DimSizes(dimsOf(value(operand(1)).dims()));
  step->yDims = DimSizes(dimsOf(value(operand(2)).dims()));
  step->zDims = DimSizes(dimsOf(value(result(0)).dims()));
  add(std::move(step));
}

void StepBuilder::addCast() {
  auto step = std::make_unique<CastStep>();
  step->args.from = type(operand(0));
  step->args.to = type(result(0));
  step->x = locations[operand(0)];
  step->y = locations[result(0)];
  step->count = elements(operand(0));
  add(std::move(step));
}

} // namespace cleave::rt
