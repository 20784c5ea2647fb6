// The steps of instructions that compute on one rank, but for Linear.
#include "runtime/engine/index_checks.h"
#include "runtime/engine/step_builder.h"
#include "runtime/kernels/attention.h"
#include "runtime/kernels/gather.h"
#include "runtime/kernels/rms_norm.h"
#include "runtime/kernels/rope.h"
#include "runtime/kernels/state_update.h"
#include "runtime/kernels/top_k.h"

#include <algorithm>

namespace cleave::rt {

// ---- Gather ----

namespace {

class GatherStep : public Step {
public:
  GatherArgs args;
  Location source, indices, y;
  Size tokens, rows;

  void bind(const Memory &memory) override {
    args.source = memory.read<void>(source);
    args.indices = memory.read<int32_t>(indices);
    args.y = memory.write<float>(y);
  }
  void prepare(const int64_t *symbols) override {
    args.tokens = tokens(symbols);
    args.rows = rows(symbols);
  }
  void run(RunContext &context) const override {
    runParts(gather, args, args.tokens * args.columns, context);
  }
};

} // namespace

void StepBuilder::addGather(const fb::Gather &op) {
  Matrix source = matrix(operand(0));
  if (!canGather(type(operand(0))))
    refuse("rows of " + std::string(elementTypeInfo(type(operand(0))).name) +
           " cannot be gathered by this version");
  if (!op.masked())
    checkIndices(operand(1), op.offset(), source.rows, describeValue(operand(0)) + " (rows)");
  auto step = std::make_unique<GatherStep>();
  step->source = source.place;
  step->indices = locations[operand(1)];
  step->y = locations[result(0)];
  step->tokens = elements(operand(1));
  step->rows = source.rows;
  step->args.type = type(operand(0));
  step->args.layout = layout(operand(0));
  step->args.columns = step->args.yStride = source.columns;
  step->args.offset = op.offset();
  step->args.masked = op.masked();
  add(std::move(step));
}

// ---- RmsNorm ----

namespace {

class RmsNormStep : public Step {
public:
  RmsNormArgs args;
  Location x, weight, y;
  Size tokens;
  int64_t heads = 1; ///< in a row of x; to the kernel each is a row

  void bind(const Memory &memory) override {
    args.x = memory.read<float>(x);
    args.weight = memory.read<float>(weight);
    args.y = memory.write<float>(y);
  }
  void prepare(const int64_t *symbols) override { args.tokens = tokens(symbols) * heads; }
  void run(RunContext &context) const override {
    runParts(rmsNorm, args, args.tokens * args.columns, context);
  }
};

} // namespace

void StepBuilder::addRmsNorm(const fb::RmsNorm &op) {
  Matrix x = matrix(operand(0));
  auto step = std::make_unique<RmsNormStep>();
  step->x = x.place;
  step->weight = locations[operand(1)];
  step->y = locations[result(0)];
  step->tokens = x.rows;
  int64_t columns = matrix(operand(1)).columns;
  step->heads = columns > 0 ? x.columns / columns : 1;
  step->args.columns = step->args.xStride = step->args.yStride = columns;
  step->args.epsilon = op.epsilon();
  add(std::move(step));
}

// ---- Rope ----

namespace {

class RopeAnglesStep : public Step {
public:
  RopeTableArgs args;
  Location positions, factors, table;
  bool hasFactors = false;
  Size tokens;

  void bind(const Memory &memory) override {
    args.positions = memory.read<int32_t>(positions);
    args.factors = hasFactors ? memory.read<float>(factors) : nullptr;
    args.table = memory.write<float>(table);
  }
  void prepare(const int64_t *symbols) override { args.tokens = tokens(symbols); }
  void run(RunContext &context) const override {
    // A sine and a cosine in double take as long as some dozens of products.
    runParts(ropeTable, args, args.tokens * args.rotaryDim * 32, context);
  }
};

class RopeStep : public Step {
public:
  RopeArgs args;
  Location x, table, y;
  Size tokens;

  void bind(const Memory &memory) override {
    args.x = memory.read<float>(x);
    args.table = memory.read<float>(table);
    args.y = memory.write<float>(y);
  }
  void prepare(const int64_t *symbols) override { args.tokens = tokens(symbols); }
  void run(RunContext &context) const override {
    runParts(rope, args, args.tokens * args.xStride, context);
  }
};

} // namespace

Location StepBuilder::ropeAngles(const fb::Rope &op) {
  bool hasFactors = operandCount() == 3;
  RopeKey key{operand(1), hasFactors ? int64_t{operand(2)} : -1, op.rotary_dim(), op.base(),
              op.scale()};
  auto [found, isNew] = angles.try_emplace(key);
  if (!isNew) {
    buffers[static_cast<size_t>(found->second.buffer)].end = position;
    return found->second;
  }
  // No larger than x, of which rotary_dim is at most the width.
  found->second = newBuffer(rowsAtMost(operand(0)) * op.rotary_dim() * int64_t{sizeof(float)},
                            position, position);
  auto step = std::make_unique<RopeAnglesStep>();
  step->positions = locations[operand(1)];
  step->hasFactors = hasFactors;
  if (hasFactors)
    step->factors = locations[operand(2)];
  step->table = found->second;
  step->tokens = elements(operand(1));
  step->args.rotaryDim = op.rotary_dim();
  step->args.base = op.base();
  step->args.scale = op.scale();
  step->kind = "rope_angles";
  add(std::move(step));
  return found->second;
}

void StepBuilder::addRope(const fb::Rope &op) {
  Matrix x = matrix(operand(0));
  if (x.columns == 0)
    return; // an empty share has no heads to turn
  auto step = std::make_unique<RopeStep>();
  step->table = ropeAngles(op);
  step->x = x.place;
  step->y = locations[result(0)];
  step->tokens = x.rows;
  step->args.headDim = op.head_dim();
  step->args.heads = x.columns / op.head_dim();
  step->args.rotaryDim = op.rotary_dim();
  step->args.xStride = step->args.yStride = x.columns;
  step->args.pairs =
      op.style() == fb::RopeStyle::Halves ? RopePairs::halves : RopePairs::interleaved;
  add(std::move(step));
}

// ---- States ----

namespace {

class StateUpdateStep : public Step {
public:
  StateUpdateArgs args; // its state is known from the start
  Location x, slots, positions;
  Size tokens;

  void bind(const Memory &memory) override {
    args.x = memory.read<float>(x);
    args.slots = memory.read<int32_t>(slots);
    args.positions = memory.read<int32_t>(positions);
  }
  void prepare(const int64_t *symbols) override { args.tokens = tokens(symbols); }
  void run(RunContext &context) const override {
    runParts(stateUpdate, args, args.tokens * args.width, context);
  }
};

class AttentionStep : public Step {
public:
  AttentionArgs args; // its states are known from the start
  Location q, slots, positions, y, scratch;
  Size tokens;

  void bind(const Memory &memory) override {
    args.q = memory.read<float>(q);
    args.slots = memory.read<int32_t>(slots);
    args.positions = memory.read<int32_t>(positions);
    args.y = memory.write<float>(y);
    args.scratch = memory.write<float>(scratch);
  }
  void prepare(const int64_t *symbols) override { args.tokens = tokens(symbols); }
  void run(RunContext &context) const override {
    // How many keys a token sees is in the positions, and threads agree by sizes: say some.
    const int64_t work = args.tokens * args.qStride * 2 * 32;
    runParts(attention, args, work, context);
    if (mayShareKeys(args, partsOf(work, context)))
      runParts(mergeAttention, args, work, context);
  }
};

} // namespace

void StepBuilder::addStateUpdate() {
  const StatePlace &place = state(operand(0));
  Matrix x = matrix(operand(1));
  std::string name = nameOfState(operand(0));
  checkIndices(operand(2), 0, Size(std::span(&place.slots, 1)), "state " + name + " (slots)");
  checkIndices(operand(3), 0, Size(std::span(&place.context, 1)), "state " + name + " (positions)");
  checkPlaces(operand(2), operand(3));
  auto step = std::make_unique<StateUpdateStep>();
  step->x = x.place;
  step->slots = locations[operand(2)];
  step->positions = locations[operand(3)];
  step->tokens = x.rows;
  step->args.rows = place.rows;
  step->args.panels = place.panels;
  step->args.stateType = place.type;
  step->args.context = place.context;
  step->args.width = step->args.xStride = place.width;
  add(std::move(step));
}

void StepBuilder::addAttention(const fb::Attention &op) {
  Matrix q = matrix(operand(0));
  const StatePlace &k = state(operand(1)), &v = state(operand(2));
  std::string name = nameOfState(operand(1));
  checkIndices(operand(3), 0, Size(std::span(&k.slots, 1)), "state " + name + " (slots)");
  checkIndices(operand(4), 0, Size(std::span(&k.context, 1)), "state " + name + " (positions)");
  auto step = std::make_unique<AttentionStep>();
  step->q = q.place;
  step->slots = locations[operand(3)];
  step->positions = locations[operand(4)];
  step->y = locations[result(0)];
  step->tokens = q.rows;
  step->args.k = k.panels;
  step->args.v = v.rows;
  step->args.stateType = k.type;
  step->args.context = k.context;
  step->args.kvWidth = k.width;
  step->args.headDim = op.head_dim();
  step->args.heads = q.columns / op.head_dim();
  step->args.group = op.group();
  step->args.firstHead = op.first_head();
  step->args.qStride = step->args.yStride = q.columns;
  step->args.scale = op.scale();
  step->args.window = op.window();
  step->scratch = scratch(attentionScratch(step->args, input.options.threads));
  add(std::move(step));
}

// ---- Checks of indices ----

void StepBuilder::addCheck(uint32_t first, uint32_t second, std::unique_ptr<Step> step) {
  // What the caller gave is checked before anything runs; what an instruction
  // wrote, when it has.
  step->kind = "check";
  (isGiven(first) && isGiven(second) ? inputChecks : steps).push_back(std::move(step));
}

void StepBuilder::checkIndices(uint32_t number, int64_t least, Size limit,
                               const std::string &what) {
  if (auto whole = givenWholes.find(number); whole != givenWholes.end())
    number = whole->second;
  if (!checkedIndices.insert({number, least, limit}).second)
    return;
  addCheck(number, number,
           makeIndexCheck(locations[number], elements(number), least, limit, describeValue(number),
                          what));
}

void StepBuilder::checkPlaces(uint32_t slots, uint32_t positions) {
  if (!checkedPlaces.insert({slots, positions}).second)
    return;
  // A number of 8 bytes for each token, to sort them in. Inputs are checked before
  // the first instruction, so that the buffer is needed then.
  int64_t bytes = 2 * bytesAtMost(slots);
  Location room = isGiven(slots) && isGiven(positions) ? newBuffer(bytes, 0, 0) : scratch(bytes);
  addCheck(slots, positions,
           makePlaceCheck(locations[slots], locations[positions], room, elements(slots),
                          describeValue(slots), describeValue(positions)));
}

// ---- TopK ----

namespace {

class TopKStep : public Step {
public:
  TopKArgs args;
  Location x, y;
  Size rows;

  void bind(const Memory &memory) override {
    args.x = memory.read<float>(x);
    args.y = memory.write<Candidate>(y);
  }
  void prepare(const int64_t *symbols) override { args.rows = rows(symbols); }
  void run(RunContext &context) const override {
    runParts(topK, args, args.rows * args.columns, context);
  }
};

} // namespace

void StepBuilder::addTopK(const fb::TopK &op) {
  Matrix x = matrix(operand(0));
  auto step = std::make_unique<TopKStep>();
  step->x = x.place;
  step->y = locations[result(0)];
  step->rows = x.rows;
  step->args.columns = x.columns;
  step->args.count = dimsOf(value(result(0)).dims())[1];
  step->args.offset = op.offset();
  add(std::move(step));
}

} // namespace cleave::rt
