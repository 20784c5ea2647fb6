// The steps of a mixture of experts. Moe groups the tokens by expert and takes each
// expert's rows through the linear kernels of its weights' types.
#include "runtime/engine/step_builder.h"
#include "runtime/kernels/binary.h"
#include "runtime/kernels/moe.h"
#include "runtime/kernels/quantize.h"
#include "runtime/kernels/route.h"
#include "runtime/kernels/unary.h"

#include <limits>

namespace cleave::rt {

// ---- Route ----

namespace {

class RouteStep : public Step {
public:
  RouteArgs args;
  Location logits, chosen;
  Size tokens;

  void bind(const Memory &memory) override {
    args.logits = memory.read<float>(logits);
    args.chosen = memory.write<int32_t>(chosen);
  }
  void prepare(const int64_t *symbols) override { args.tokens = tokens(symbols); }
  void run(RunContext &context) const override {
    runParts(route, args, args.tokens * args.experts * args.perToken, context);
  }
};

class RouteWeightsStep : public Step {
public:
  RouteWeightsArgs args;
  Location logits, chosen, weights;
  Size tokens;

  void bind(const Memory &memory) override {
    args.logits = memory.read<float>(logits);
    args.chosen = memory.read<int32_t>(chosen);
    args.weights = memory.write<float>(weights);
  }
  void prepare(const int64_t *symbols) override { args.tokens = tokens(symbols); }
  void run(RunContext &context) const override {
    runParts(routeWeights, args, args.tokens * args.experts * 16, context); // exponentials
  }
};

} // namespace

void StepBuilder::addRoute() {
  Matrix logits = matrix(operand(0));
  auto step = std::make_unique<RouteStep>();
  step->logits = logits.place;
  step->chosen = locations[result(0)];
  step->tokens = logits.rows;
  step->args.experts = logits.columns;
  step->args.perToken = matrix(result(0)).columns;
  add(std::move(step));
}

void StepBuilder::addRouteWeights(const fb::RouteWeights &op) {
  Matrix logits = matrix(operand(0)), chosen = matrix(operand(1));
  auto step = std::make_unique<RouteWeightsStep>();
  step->logits = logits.place;
  step->chosen = chosen.place;
  step->weights = locations[result(0)];
  step->tokens = logits.rows;
  step->args.experts = logits.columns;
  step->args.perToken = chosen.columns;
  step->args.normalized = op.normalized();
  step->args.scale = op.scale();
  add(std::move(step));
}

// ---- Moe ----

namespace {

/// Rows of activations as one kind of linear kernel reads them, in the experts' order.
struct ExpertRows {
  Location from; // each token's, made by the step where they are integers
  Location to;   // each row's
  int64_t rowBytes = 0;
  MoeCopyArgs args;
};

class MoeStep : public Step {
public:
  MoeRowsArgs rows;
  MoeLinearArgs gate, up, down;
  QuantizeArgs quantizeX; // each token's, once for all its experts
  QuantizeArgs quantize;  // the inner features
  MoeSumArgs sum;

  Location x, chosen, weights, y;
  Location begins, tokenOfRow, rowOfChoice;
  Location gateWeight, upWeight, downWeight;
  /// x as floats and quantized; not used where the place is none.
  ExpertRows floats, integers;
  bool gateReadsIntegers = false, upReadsIntegers = false, downReadsIntegers = false;
  Location gated, raised, quantized, results;
  Size tokens;

  void bind(const Memory &memory) override {
    rows.chosen = memory.read<int32_t>(chosen);
    rows.begins = memory.write<int32_t>(begins);
    rows.tokenOfRow = memory.write<int32_t>(tokenOfRow);
    rows.rowOfChoice = memory.write<int32_t>(rowOfChoice);
    for (ExpertRows *each : {&floats, &integers})
      if (each->rowBytes > 0) {
        each->args.x = memory.read<std::byte>(each->from);
        each->args.y = memory.write<std::byte>(each->to);
        each->args.tokenOfRow = rows.tokenOfRow;
        each->args.rowBytes = each->rowBytes;
      }
    quantizeX.x = memory.read<float>(x);
    if (integers.rowBytes > 0)
      quantizeX.y = memory.write<std::byte>(integers.from);
    bindLinear(memory, gate, gateReadsIntegers, gateWeight, gated);
    bindLinear(memory, up, upReadsIntegers, upWeight, raised);
    bindLinear(memory, down, downReadsIntegers, downWeight, results);
    down.linear.x = downReadsIntegers ? nullptr : gate.linear.y;
    if (downReadsIntegers) {
      quantize.x = gate.linear.y;
      quantize.y = memory.write<std::byte>(quantized);
      down.linear.quantized = quantize.y;
    }
    sum.rows = down.linear.y;
    sum.weights = memory.read<float>(weights);
    sum.rowOfChoice = rows.rowOfChoice;
    sum.y = memory.write<float>(y);
  }

  void prepare(const int64_t *symbols) override {
    rows.tokens = sum.tokens = quantizeX.tokens = tokens(symbols);
  }
  void run(RunContext &context) const override {
    context.runAlone([&] { moeRows(rows); });
    if (rows.tokens * rows.perToken > 0)
      runExperts(context);
    runParts(moeSum, sum, sum.tokens * sum.perToken * sum.columns, context);
  }

private:
  void bindLinear(const Memory &memory, MoeLinearArgs &args, bool readsIntegers, Location weight,
                  Location result) {
    args.linear.x = readsIntegers ? nullptr : reinterpret_cast<const float *>(floats.args.y);
    args.linear.quantized = readsIntegers ? integers.args.y : nullptr;
    args.linear.weight = memory.read<void>(weight);
    args.linear.y = memory.write<float>(result);
    args.begins = rows.begins;
  }

  /// The rows' experts: down(silu(gate x) * up x). How many rows there are, moeRows() has
  /// written; the choices bound it.
  void runExperts(RunContext &context) const {
    const int64_t choices = rows.tokens * rows.perToken;
    const int64_t inner = gate.linear.outputs;
    auto count = [&] { return int64_t{rows.begins[rows.experts]}; };
    if (integers.rowBytes > 0)
      runParts(quantizeQ8, quantizeX, quantizeX.tokens * quantizeX.columns * 2, context);
    for (const ExpertRows *each : {&floats, &integers})
      if (each->rowBytes > 0)
        runParts(choices * each->rowBytes / 4, context, [&](Part part) {
          MoeCopyArgs args = each->args;
          args.rows = count();
          moeCopy(args, part);
        });
    for (const MoeLinearArgs *args : {&gate, &up})
      runParts(moeLinear, *args, choices * args->linear.outputs * args->linear.inputs, context);
    float *gated = gate.linear.y;
    runParts(choices * inner * 8, context, [&](Part part) {
      UnaryArgs args;
      args.kind = UnaryKind::silu;
      args.x = args.y = gated;
      args.count = count() * inner;
      unaryF32(args, part);
    });
    runParts(choices * inner, context, [&](Part part) {
      BinaryArgs args;
      args.kind = BinaryKind::mul;
      args.x = args.z = gated;
      args.y = up.linear.y;
      args.setCount(count() * inner);
      binaryF32(args, part);
    });
    if (downReadsIntegers)
      runParts(choices * quantize.columns * 2, context, [&](Part part) {
        QuantizeArgs args = quantize;
        args.tokens = count();
        quantizeQ8(args, part);
      });
    runParts(moeLinear, down, choices * down.linear.outputs * down.linear.inputs, context);
  }
};

} // namespace

void StepBuilder::addMoe(const fb::Moe &op) {
  Matrix x = matrix(operand(0)), chosen = matrix(operand(1));
  std::span<const int64_t> inner = dimsOf(value(operand(3)).dims());
  std::span<const int64_t> outer = dimsOf(value(operand(5)).dims());
  auto step = std::make_unique<MoeStep>();
  int64_t choices = bytesAtMost(operand(1)) / elementBytes(operand(1));
  if (choices > std::numeric_limits<int32_t>::max())
    refuse("tokens times experts of a token may be more than 2^31; lower the bounds of its sizes");
  // Every choice may fall to one rank's experts, so that scratch memory is for all of them.
  auto scratchRows = [&](int64_t rowBytes) {
    int64_t bytes = 0;
    if (__builtin_mul_overflow(choices, rowBytes, &bytes) || bytes > maxTensorBytes)
      refuse("its scratch memory would need more than 2^48 bytes; lower the bounds of its sizes");
    return scratch(bytes);
  };
  auto makeLinear = [&](uint32_t number, int64_t xColumns, bool &readsIntegers) {
    std::span<const int64_t> dims = dimsOf(value(number).dims());
    // An expert has few of the tokens: its weights are read by the kernel for few.
    const LinearVariant variant = chooseLinear(number).few;
    readsIntegers = variant.form == ActivationForm::q8;
    MoeLinearArgs args;
    args.kernel = variant.kernel;
    args.experts = dims[0];
    args.expertBytes = matrixBytes(layout(number), dims[1],
                                   rowBytes(elementTypeInfo(type(number)), dims[2]).value());
    args.linear.outputs = args.linear.yStride = dims[1];
    args.linear.inputs = dims[2];
    args.linear.xColumns = args.linear.xStride = xColumns;
    return args;
  };
  step->gate = makeLinear(operand(3), x.columns, step->gateReadsIntegers);
  step->up = makeLinear(operand(4), x.columns, step->upReadsIntegers);
  step->down = makeLinear(operand(5), inner[1], step->downReadsIntegers);
  step->down.linear.padBefore = op.pad_before();

  step->rows.perToken = step->sum.perToken = chosen.columns;
  step->rows.firstExpert = op.first_expert();
  step->rows.experts = inner[0];
  step->begins = scratch((inner[0] + 1) * int64_t{sizeof(int32_t)});
  step->tokenOfRow = scratchRows(sizeof(int32_t));
  step->rowOfChoice = scratchRows(sizeof(int32_t));
  if (step->gateReadsIntegers || step->upReadsIntegers) {
    step->integers.rowBytes = q8RowBytes(x.columns);
    step->quantizeX.columns = step->quantizeX.xColumns = step->quantizeX.xStride = x.columns;
    // There are no more tokens than choices, or no choices and nothing to do.
    step->integers.from = scratchRows(step->integers.rowBytes);
    step->integers.to = scratchRows(step->integers.rowBytes);
  }
  if (!step->gateReadsIntegers || !step->upReadsIntegers) {
    step->floats.rowBytes = x.columns * int64_t{sizeof(float)};
    step->floats.from = x.place;
    step->floats.to = scratchRows(step->floats.rowBytes);
  }
  step->gated = scratchRows(inner[1] * int64_t{sizeof(float)});
  step->raised = scratchRows(inner[1] * int64_t{sizeof(float)});
  if (step->downReadsIntegers) {
    step->quantize.columns = outer[2];
    step->quantize.xColumns = step->quantize.xStride = inner[1];
    step->quantize.padBefore = op.pad_before();
    step->quantized = scratchRows(q8RowBytes(outer[2]));
  }
  step->results = scratchRows(outer[1] * int64_t{sizeof(float)});
  step->sum.columns = outer[1];

  step->x = x.place;
  step->chosen = chosen.place;
  step->weights = locations[operand(2)];
  step->gateWeight = locations[operand(3)];
  step->upWeight = locations[operand(4)];
  step->downWeight = locations[operand(5)];
  step->y = locations[result(0)];
  step->tokens = x.rows;
  add(std::move(step));
}

} // namespace cleave::rt
