// Places of values: lifetimes, buffers, and results that replace an operand.
#include "runtime/engine/step_builder.h"

#include "runtime/engine/channels_last.h"
#include "runtime/program/element_type.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <set>
#include <stdexcept>

namespace cleave::rt {

StepBuilder::StepBuilder(const BuildInput &input)
    : input(input), endOfEntry(input.entry.instructions()->size()),
      locations(input.entry.values()->size()), lastUse(input.entry.values()->size(), 0) {
  makeGroups();
  GroupId all = -1;
  if (input.communicator.size() > 1) {
    std::vector<uint32_t> ranks(static_cast<size_t>(input.communicator.size()));
    std::iota(ranks.begin(), ranks.end(), 0u);
    all = input.communicator.makeGroup(ranks);
  }
  selected = selectInstructions(input.program, input.entry, input.options.outputs,
                                input.communicator, groups, all);
  channelsLast = planChannelsLast(input.entry, selected, input.communicator, groups, all);
}

void StepBuilder::build() {
  epilogues = findEpilogues(
      input.entry, input.options.outputs, channelsLast,
      [&](uint32_t i, uint32_t k) { return canFuse(*input.entry.instructions()->Get(i), k); },
      selected);
  findLifetimes();
  placeFixedAndInputs();
  reserveSends();
  for (position = 0; position < endOfEntry; ++position) {
    if (!selected[static_cast<size_t>(position)])
      continue;
    instruction = input.entry.instructions()->Get(static_cast<uint32_t>(position));
    const auto ownPlaces = alignOperands();
    placeResults();
    addInstruction();
    if (const FusedEpilogue *epilogue = epilogueOf(0); epilogue && !takesPlaceOfResidual())
      addEpilogue(*epilogue);
    for (const auto &[number, place] : ownPlaces)
      locations[number] = place;
    copyOutputs();
  }
}

Location StepBuilder::location(uint32_t value) const {
  auto copy = otherOrders.find(value);
  return channelsLast[value] && copy != otherOrders.end() ? copy->second : locations[value];
}

/// Those of the current instruction's results that the caller reads, it finds in the plain order.
void StepBuilder::copyOutputs() {
  for (uint32_t i = 0; instruction->results() && i < instruction->results()->size(); ++i) {
    const FusedEpilogue *epilogue = epilogueOf(i);
    const uint32_t number = epilogue ? epilogue->result : result(i);
    if (lastUse[number] == endOfEntry && channelsLast[number] &&
        hasOrders(dimsOf(value(number).dims())))
      inOtherOrder(number);
  }
}

std::vector<std::unique_ptr<Step>> StepBuilder::takeSteps() {
  std::vector<std::unique_ptr<Step>> result = std::move(inputChecks);
  std::move(steps.begin(), steps.end(), std::back_inserter(result));
  return result;
}

// ---- Values as steps see them ----

StepBuilder::Matrix StepBuilder::matrix(uint32_t number) const {
  std::span<const int64_t> dims = dimsOf(value(number).dims());
  return {locations[number], Size(dims.first(dims.size() - 1)), dims.back()};
}

Layout StepBuilder::layout(uint32_t number) const {
  if (value(number).storage() != fb::Storage::Weight)
    return Layout::rows;
  return static_cast<Layout>(input.program.root().weights()->Get(value(number).index())->layout());
}

int64_t StepBuilder::elementBytes(uint32_t number) const {
  return elementTypeInfo(type(number)).blockBytes;
}

int64_t StepBuilder::bytesAtMost(uint32_t number) const {
  std::optional<int64_t> bytes =
      bytesAtBounds(dimsOf(value(number).dims()), elementBytes(number), input.bounds);
  if (!bytes)
    throw std::runtime_error(input.program.fileName() + ": " + describeValue(number) +
                             " would need more than 2^48 bytes; lower the bounds of its sizes");
  return *bytes;
}

int64_t StepBuilder::rowsAtMost(uint32_t number) const {
  std::span<const int64_t> dims = dimsOf(value(number).dims());
  // Fits, because the whole value does.
  return bytesAtBounds(dims.first(dims.size() - 1), 1, input.bounds).value();
}

std::string StepBuilder::nameOfState(uint32_t number) const {
  return quoted(input.program.root().states()->Get(value(number).index())->name());
}

std::string StepBuilder::describeValue(uint32_t number) const {
  if (value(number).storage() == fb::Storage::Input)
    for (const fb::Port *port : *input.entry.inputs())
      if (port->value() == number)
        return "input " + quoted(port->name());
  if (value(number).storage() == fb::Storage::Weight)
    return "weight " + quoted(input.program.root().weights()->Get(value(number).index())->name());
  return "value " + std::to_string(number);
}

std::vector<int64_t> StepBuilder::placedDims(uint32_t number) const {
  std::span<const int64_t> dims = dimsOf(value(number).dims());
  if (!isChannelsLast())
    return {dims.begin(), dims.end()};
  return channelsLastDims(padDims(dims, dimsOf(value(result(0)).dims()).size()));
}

uint32_t StepBuilder::placedDim(uint32_t dim) const {
  return isChannelsLast() ? channelsLastDim(dim, dimsOf(value(result(0)).dims()).size()) : dim;
}

const float *StepBuilder::floatsOf(uint32_t number) const {
  if (value(number).storage() != fb::Storage::Weight || type(number) != ElementType::f32)
    return nullptr;
  const fb::Weight &weight = *input.program.root().weights()->Get(value(number).index());
  return reinterpret_cast<const float *>(input.weights.bytes().data() + weight.offset());
}

void StepBuilder::releaseWeight(uint32_t number) const {
  const fb::Weight &weight = *input.program.root().weights()->Get(value(number).index());
  input.weights.release(weight.offset(), weight.size());
}

void StepBuilder::refuse(const std::string &why) const {
  throw std::runtime_error(input.program.fileName() + ": " +
                           describeInstruction(input.entry, static_cast<uint32_t>(position)) +
                           ": " + why);
}

Location StepBuilder::newBuffer(int64_t bytes, int64_t begin, int64_t end) {
  buffers.push_back({bytes, begin, end});
  return {nullptr, static_cast<int32_t>(buffers.size() - 1)};
}

// ---- Places ----

void StepBuilder::findLifetimes() {
  for (uint32_t i = 0; i < endOfEntry; ++i)
    if (const auto *operands = input.entry.instructions()->Get(i)->operands();
        operands && selected[i])
      for (uint32_t number : *operands)
        lastUse[number] = i;
  for (const auto &[place, epilogue] : epilogues)
    if (epilogue.residual)
      lastUse[*epilogue.residual] = std::max<int64_t>(lastUse[*epilogue.residual], place.first);
  for (uint32_t i = 0; i < lastUse.size(); ++i)
    if (value(i).storage() == fb::Storage::Input)
      lastUse[i] = endOfEntry;
  if (input.entry.outputs())
    for (const fb::OutputPort *port : *input.entry.outputs())
      if (isWanted(input.options.outputs, port->name()->string_view()))
        lastUse[port->value()] = endOfEntry;
}

void StepBuilder::placeFixedAndInputs() {
  for (uint32_t i = 0; i < locations.size(); ++i) {
    switch (value(i).storage()) {
    case fb::Storage::Weight: {
      const fb::Weight &weight = *input.program.root().weights()->Get(value(i).index());
      locations[i].fixed = input.weights.bytes().data() + weight.offset();
      break;
    }
    case fb::Storage::State: // steps know where it is from the start
      break;
    case fb::Storage::Input:
      // The caller fills inputs before a run and reads outputs after it, so neither
      // may share its place with anything.
      locations[i] = newBuffer(bytesAtMost(i), 0, endOfEntry);
      break;
    case fb::Storage::Activation:
      break; // where it is written
    }
  }
}

bool StepBuilder::canReplace(uint32_t operandNumber, uint32_t resultNumber) const {
  const fb::Value &from = value(operandNumber), &to = value(resultNumber);
  // A reshape's dims differ, but not their product.
  return from.storage() == fb::Storage::Activation && lastUse[operandNumber] == position &&
         from.element_type() == to.element_type() &&
         (instruction->operation_type() == fb::Operation::Reshape ||
          elements(operandNumber) == elements(resultNumber));
}

std::optional<uint32_t> StepBuilder::operandToReplace() const {
  uint32_t candidates = 0;
  switch (instruction->operation_type()) {
  case fb::Operation::AllReduceAdd:
    // x is summed before the residual is read.
    candidates = operand(0) != operand(1);
    break;
  case fb::Operation::AllReduce:
  case fb::Operation::Broadcast:
  case fb::Operation::Unary:
  case fb::Operation::Rope:
  case fb::Operation::Reshape:
  case fb::Operation::Softmax:
  case fb::Operation::LayerNorm:
  case fb::Operation::CumulativeSum:
    candidates = 1;
    break;
  case fb::Operation::Binary:
  case fb::Operation::AddNorm:
    candidates = 2;
    break;
  case fb::Operation::Where:
    candidates = 3;
    break;
  default:
    break; // the kernel reads operands after it has begun to write
  }
  for (uint32_t i = 0; i < candidates; ++i)
    if (canReplace(operand(i), result(0)))
      return operand(i);
  return std::nullopt;
}

std::vector<std::pair<uint32_t, Location>> StepBuilder::alignOperands() {
  std::vector<std::pair<uint32_t, Location>> ownPlaces;
  const bool isLast = isChannelsLast();
  // A convolution's filter and bias are no images.
  const bool isConv = instruction->operation_type() == fb::Operation::Conv ||
                      instruction->operation_type() == fb::Operation::ConvTranspose;
  for (uint32_t i = 0; i < (isConv ? 1 : operandCount()); ++i) {
    const uint32_t number = operand(i);
    std::span<const int64_t> dims = dimsOf(value(number).dims());
    const size_t rank = isLast ? dimsOf(value(result(0)).dims()).size() : dims.size();
    if (channelsLast[number] == isLast || !hasOrders(padDims(dims, rank)) ||
        std::ranges::find(ownPlaces, number, &std::pair<uint32_t, Location>::first) !=
            ownPlaces.end())
      continue;
    ownPlaces.emplace_back(number, locations[number]);
    locations[number] = inOtherOrder(number);
  }
  return ownPlaces;
}

void StepBuilder::placeResults() {
  if (!instruction->results())
    return;
  for (uint32_t i = 0; i < instruction->results()->size(); ++i) {
    const FusedEpilogue *epilogue = epilogueOf(i);
    const uint32_t number = epilogue ? epilogue->result : result(i);
    const int64_t end = std::max(lastUse[number], position);
    const bool takesResidual = epilogue && epilogue->residual && takesPlaceOfResidual();
    std::optional<uint32_t> replaced;
    if (takesResidual)
      replaced = epilogue->residual;
    else if (i == 0)
      replaced = operandToReplace();
    if (replaced) {
      locations[number] = locations[*replaced];
      BufferRequest &buffer = buffers[static_cast<size_t>(locations[number].buffer)];
      buffer.end = std::max(buffer.end, end);
    } else {
      locations[number] = newBuffer(bytesAtMost(number), position, end);
    }
    locations[result(i)] = locations[number];
  }
}

// ---- What is computed with an instruction's results ----

bool StepBuilder::takesPlaceOfResidual() const {
  return instruction->operation_type() == fb::Operation::Conv ||
         instruction->operation_type() == fb::Operation::Linear;
}

bool StepBuilder::canFuse(const fb::Instruction &instruction, uint32_t number) const {
  switch (instruction.operation_type()) {
  case fb::Operation::Conv:
    return canFuseConv(instruction);
  case fb::Operation::Linear:
    return canPackLinear(instruction, number + 1);
  default: {
    // An exchange's columns must be known, as numbers are given for each.
    std::span<const int64_t> dims = dimsOf(value(instruction.results()->Get(number)).dims());
    return type(instruction.results()->Get(number)) == ElementType::f32 && !dims.empty() &&
           !isSymbolDim(channelsLast[instruction.results()->Get(number)] ? dims[1] : dims.back());
  }
  }
}

const FusedEpilogue *StepBuilder::epilogueOf(uint32_t i) const {
  auto found = epilogues.find({static_cast<uint32_t>(position), i});
  return found == epilogues.end() ? nullptr : &found->second;
}

OutputNumbers StepBuilder::outputNumbers(const FusedEpilogue &epilogue, int64_t outputs,
                                         std::optional<uint32_t> bias) const {
  OutputNumbers numbers;
  auto take = [&](std::vector<float> &to, float neutral, uint32_t number, auto combine) {
    to.resize(static_cast<size_t>(outputs), neutral);
    const float *weight = floatsOf(number);
    const bool isOne = Size(dimsOf(value(number).dims()))(nullptr) == 1;
    for (size_t i = 0; i < to.size(); ++i)
      to[i] = combine(to[i], weight[isOne ? 0 : i]);
  };
  if (bias)
    take(numbers.offset, 0, *bias, std::plus<>());
  for (const auto &[multiplies, number] : epilogue.affine) {
    if (multiplies)
      take(numbers.factor, 1, number, std::multiplies<>());
    if (!multiplies)
      take(numbers.offset, 0, number, std::plus<>());
    else if (!numbers.offset.empty())
      take(numbers.offset, 0, number, std::multiplies<>());
  }
  return numbers;
}

Epilogue StepBuilder::kernelEpilogue(const FusedEpilogue *epilogue) {
  return epilogue ? Epilogue{epilogue->residual.has_value(), epilogue->activation} : Epilogue{};
}

void StepBuilder::addInstruction() {
  switch (instruction->operation_type()) {
  case fb::Operation::NONE:
    break;
  case fb::Operation::Gather:
    return addGather(*instruction->operation_as_Gather());
  case fb::Operation::Linear:
    return addLinear(*instruction->operation_as_Linear());
  case fb::Operation::Conv:
    return addConv(*instruction->operation_as_Conv());
  case fb::Operation::RmsNorm:
    return addRmsNorm(*instruction->operation_as_RmsNorm());
  case fb::Operation::Rope:
    return addRope(*instruction->operation_as_Rope());
  case fb::Operation::StateUpdate:
    return addStateUpdate();
  case fb::Operation::Attention:
    return addAttention(*instruction->operation_as_Attention());
  case fb::Operation::Unary:
    return addUnary(*instruction->operation_as_Unary());
  case fb::Operation::Binary:
    return addBinary(*instruction->operation_as_Binary());
  case fb::Operation::Slice:
    return addSlice(*instruction->operation_as_Slice());
  case fb::Operation::Transpose:
    return addTranspose(*instruction->operation_as_Transpose());
  case fb::Operation::Reshape:
    return addReshape();
  case fb::Operation::AllReduce:
    return addAllReduce(*instruction->operation_as_AllReduce());
  case fb::Operation::AllGather:
    return addAllGather(*instruction->operation_as_AllGather());
  case fb::Operation::ReduceScatter:
    return addReduceScatter(*instruction->operation_as_ReduceScatter());
  case fb::Operation::AllToAll:
    return addAllToAll(*instruction->operation_as_AllToAll());
  case fb::Operation::Broadcast:
    return addBroadcast(*instruction->operation_as_Broadcast());
  case fb::Operation::Send:
    return addSend(*instruction->operation_as_Send());
  case fb::Operation::Recv:
    return addRecv(*instruction->operation_as_Recv());
  case fb::Operation::AllReduceAdd:
    return addAllReduceAdd(*instruction->operation_as_AllReduceAdd());
  case fb::Operation::AddNorm:
    return addAddNorm(*instruction->operation_as_AddNorm());
  case fb::Operation::TopK:
    return addTopK(*instruction->operation_as_TopK());
  case fb::Operation::Route:
    return addRoute();
  case fb::Operation::RouteWeights:
    return addRouteWeights(*instruction->operation_as_RouteWeights());
  case fb::Operation::Moe:
    return addMoe(*instruction->operation_as_Moe());
  case fb::Operation::MatMul:
    return addMatMul(*instruction->operation_as_MatMul());
  case fb::Operation::Softmax:
    return addSoftmax(*instruction->operation_as_Softmax());
  case fb::Operation::LayerNorm:
    return addLayerNorm(*instruction->operation_as_LayerNorm());
  case fb::Operation::Reduce:
    return addReduce(*instruction->operation_as_Reduce());
  case fb::Operation::ArgReduce:
    return addArgReduce(*instruction->operation_as_ArgReduce());
  case fb::Operation::TopElements:
    return addTopElements(*instruction->operation_as_TopElements());
  case fb::Operation::CumulativeSum:
    return addCumulativeSum(*instruction->operation_as_CumulativeSum());
  case fb::Operation::Pool:
    return addPool(*instruction->operation_as_Pool());
  case fb::Operation::PoolIndices:
    return addPoolIndices(*instruction->operation_as_PoolIndices());
  case fb::Operation::ConvTranspose:
    return addConvTranspose(*instruction->operation_as_ConvTranspose());
  case fb::Operation::Resize:
    return addResize(*instruction->operation_as_Resize());
  case fb::Operation::DotProductAttention:
    return addDotProductAttention(*instruction->operation_as_DotProductAttention());
  case fb::Operation::Concat:
    return addConcat(*instruction->operation_as_Concat());
  case fb::Operation::Expand:
    return addExpand();
  case fb::Operation::Range:
    return addRange(*instruction->operation_as_Range());
  case fb::Operation::Take:
    return addTake(*instruction->operation_as_Take());
  case fb::Operation::GatherElements:
    return addGatherElements(*instruction->operation_as_GatherElements());
  case fb::Operation::GatherNd:
    return addGatherNd(*instruction->operation_as_GatherNd());
  case fb::Operation::ScatterElements:
    return addScatterElements(*instruction->operation_as_ScatterElements());
  case fb::Operation::ScatterNd:
    return addScatterNd(*instruction->operation_as_ScatterNd());
  case fb::Operation::Where:
    return addWhere();
  case fb::Operation::Cast:
    return addCast();
  }
  refuse("cannot be executed by this version"); // proved not to happen
}

} // namespace cleave::rt
