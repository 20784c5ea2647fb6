// Ops as instructions over numbered values.
#include "compiler/lower/program_builder.h"

#include "runtime/program/program.h"
#include "runtime/program/program_generated.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace cleave;

namespace {

template <typename T> using Offset = flatbuffers::Offset<T>;

/// An instruction's operation: its kind and its table.
struct Operation_ {
  fb::Operation type = fb::Operation::NONE;
  Offset<void> table;
};

class ProgramBuilder {
public:
  ProgramBuilder(ModuleOp module, const llvm::StringMap<WeightPlace> &places)
      : module(module), places(places) {}

  FailureOr<std::vector<uint8_t>> build(int64_t ranks, StringRef packageId);

private:
  FailureOr<Offset<fb::Entry>> buildEntry(func::FuncOp function);
  LogicalResult buildInstruction(Operation &op);
  Operation_ buildOperation(Operation &op);
  template <typename T> Operation_ operation(fb::Operation type, Offset<T> table) {
    return {type, table.Union()};
  }
  Offset<flatbuffers::Vector<uint32_t>> group(ArrayRef<int64_t> ranks) {
    return smallNumbers(ranks);
  }
  Offset<flatbuffers::Vector<uint32_t>> smallNumbers(ArrayRef<int64_t> values) {
    return buffer.CreateVector(std::vector<uint32_t>(values.begin(), values.end()));
  }
  Offset<flatbuffers::Vector<int64_t>> numbers(ArrayRef<int64_t> values) {
    return buffer.CreateVector(values.data(), values.size());
  }
  Offset<flatbuffers::String> text(StringRef value) {
    return buffer.CreateString(value.data(), value.size());
  }
  uint32_t addSymbol(StringAttr name);
  std::vector<int64_t> dimsOf(RankedTensorType type);
  uint32_t addValue(Value value, fb::Storage storage, uint32_t index = 0);

  ModuleOp module;
  const llvm::StringMap<WeightPlace> &places;
  flatbuffers::FlatBufferBuilder buffer;
  llvm::MapVector<StringAttr, uint32_t> symbols;
  llvm::MapVector<StringRef, uint32_t> weights, states;
  // Of the entry being built.
  llvm::DenseMap<Value, uint32_t> values;
  std::vector<Offset<fb::Value>> valueTables;
  std::vector<Offset<fb::Instruction>> instructions;
};

} // namespace

static uint8_t elementTypeOf(RankedTensorType type) {
  return static_cast<uint8_t>(getElementTypeInfo(type.getElementType())->type);
}

/// The number of a symbol; what it follows from comes before it.
uint32_t ProgramBuilder::addSymbol(StringAttr name) {
  if (std::optional<DimShare> share = getDimShare(name))
    addSymbol(share->base);
  else
    for (const std::string &plain : getSize(name).symbols())
      symbols.try_emplace(StringAttr::get(name.getContext(), plain), symbols.size());
  return symbols.try_emplace(name, symbols.size()).first->second;
}

std::vector<int64_t> ProgramBuilder::dimsOf(RankedTensorType type) {
  std::vector<int64_t> dims;
  for (unsigned dim = 0; dim < type.getRank(); ++dim) {
    if (!type.isDynamicDim(dim)) {
      dims.push_back(type.getDimSize(dim));
      continue;
    }
    dims.push_back(rt::dimOfSymbol(addSymbol(getDimName(type, dim))));
  }
  return dims;
}

uint32_t ProgramBuilder::addValue(Value value, fb::Storage storage, uint32_t index) {
  auto type = cast<RankedTensorType>(value.getType());
  uint32_t number = valueTables.size();
  valueTables.push_back(fb::CreateValue(buffer, storage, index, elementTypeOf(type),
                                        buffer.CreateVector(dimsOf(type))));
  values[value] = number;
  return number;
}

Operation_ ProgramBuilder::buildOperation(Operation &op) {
  using Kind = fb::Operation;
  return llvm::TypeSwitch<Operation *, Operation_>(&op)
      .Case([&](GatherOp gather) {
        return operation(Kind::Gather,
                         fb::CreateGather(buffer, gather.getOffset(), gather.getMasked()));
      })
      .Case([&](LinearOp linear) {
        return operation(Kind::Linear, fb::CreateLinear(buffer, linear.getPadBefore()));
      })
      .Case([&](ConvOp conv) {
        auto strides = smallNumbers(conv.getStrides()), pads = smallNumbers(conv.getPads());
        auto dilations = smallNumbers(conv.getDilations());
        return operation(Kind::Conv, fb::CreateConv(buffer, strides, pads, dilations));
      })
      .Case([&](JoinedLinearOp linear) {
        return operation(Kind::Linear, fb::CreateLinear(buffer, linear.getPadBefore()));
      })
      .Case([&](RmsNormOp norm) {
        return operation(Kind::RmsNorm,
                         fb::CreateRmsNorm(buffer, norm.getEpsilon().convertToFloat()));
      })
      .Case([&](RopeOp rope) {
        auto style = rope.getStyle() == RopeStyle::Halves ? fb::RopeStyle::Halves
                                                          : fb::RopeStyle::Interleaved;
        return operation(Kind::Rope, fb::CreateRope(buffer, rope.getHeadDim(), rope.getRotaryDim(),
                                                    rope.getBase().convertToFloat(),
                                                    rope.getScale().convertToFloat(), style));
      })
      .Case([&](StateUpdateOp) {
        return operation(Kind::StateUpdate, fb::CreateStateUpdate(buffer));
      })
      .Case([&](AttentionOp attention) {
        return operation(Kind::Attention,
                         fb::CreateAttention(buffer, attention.getHeadDim(), attention.getGroup(),
                                             attention.getFirstHead(),
                                             attention.getScale().convertToFloat(),
                                             attention.getWindow()));
      })
      .Case([&](UnaryOpInterface unary) {
        auto [first, second] = unary.getFunctionParameters();
        return operation(Kind::Unary, fb::CreateUnary(buffer, static_cast<uint8_t>(unary.getKind()),
                                                      first, second));
      })
      .Case([&](BinaryOpInterface binary) {
        return operation(Kind::Binary,
                         fb::CreateBinary(buffer, static_cast<uint8_t>(binary.getKind())));
      })
      .Case([&](WhereOp) { return operation(Kind::Where, fb::CreateWhere(buffer)); })
      .Case([&](CastOp) { return operation(Kind::Cast, fb::CreateCast(buffer)); })
      .Case([&](RouteOp) { return operation(Kind::Route, fb::CreateRoute(buffer)); })
      .Case([&](RouteWeightsOp weights) {
        return operation(Kind::RouteWeights,
                         fb::CreateRouteWeights(buffer, weights.getNormalized(),
                                                weights.getScale().convertToFloat()));
      })
      .Case([&](MoeOp moe) {
        return operation(Kind::Moe,
                         fb::CreateMoe(buffer, moe.getFirstExpert(), moe.getPadBefore()));
      })
      .Case([&](MatMulOp product) {
        return operation(Kind::MatMul, fb::CreateMatMul(buffer, product.getTransposeA(),
                                                        product.getTransposeB()));
      })
      .Case([&](SoftmaxOp softmax) {
        return operation(Kind::Softmax, fb::CreateSoftmax(buffer, softmax.getDim()));
      })
      .Case([&](LogSoftmaxOp softmax) {
        return operation(Kind::Softmax,
                         fb::CreateSoftmax(buffer, softmax.getDim(), /*logarithm=*/true));
      })
      .Case([&](LayerNormOp norm) {
        return operation(Kind::LayerNorm, fb::CreateLayerNorm(buffer, norm.getDims(),
                                                              norm.getEpsilon().convertToFloat()));
      })
      .Case([&](ReduceOp reduce) {
        auto dims = smallNumbers(reduce.getDims());
        return operation(Kind::Reduce,
                         fb::CreateReduce(buffer, static_cast<fb::ReduceKind>(reduce.getKind()),
                                          dims, reduce.getCount().value_or(0)));
      })
      .Case([&](ArgMaxOp arg) {
        return operation(Kind::ArgReduce, fb::CreateArgReduce(buffer, arg.getDim(),
                                                              /*smallest=*/false, arg.getLast()));
      })
      .Case([&](ArgMinOp arg) {
        return operation(Kind::ArgReduce, fb::CreateArgReduce(buffer, arg.getDim(),
                                                              /*smallest=*/true, arg.getLast()));
      })
      .Case([&](TopElementsOp top) {
        return operation(Kind::TopElements,
                         fb::CreateTopElements(buffer, top.getDim(), top.getSmallest()));
      })
      .Case([&](CumulativeSumOp sum) {
        return operation(
            Kind::CumulativeSum,
            fb::CreateCumulativeSum(buffer, sum.getDim(), sum.getExclusive(), sum.getReverse()));
      })
      .Case([&](PoolOp pool) {
        auto window = smallNumbers(pool.getWindow()), strides = smallNumbers(pool.getStrides());
        auto pads = smallNumbers(pool.getPads()), dilations = smallNumbers(pool.getDilations());
        return operation(Kind::Pool,
                         fb::CreatePool(buffer, static_cast<fb::PoolKind>(pool.getKind()), window,
                                        strides, pads, dilations, pool.getCountsPads()));
      })
      .Case([&](PoolIndicesOp pool) {
        auto window = smallNumbers(pool.getWindow()), strides = smallNumbers(pool.getStrides());
        auto pads = smallNumbers(pool.getPads()), dilations = smallNumbers(pool.getDilations());
        return operation(
            Kind::PoolIndices,
            fb::CreatePoolIndices(buffer, window, strides, pads, dilations, pool.getColumnMajor()));
      })
      .Case([&](ConvTransposeOp conv) {
        auto strides = smallNumbers(conv.getStrides()), pads = smallNumbers(conv.getPads());
        auto dilations = smallNumbers(conv.getDilations());
        return operation(Kind::ConvTranspose,
                         fb::CreateConvTranspose(buffer, strides, pads, dilations));
      })
      .Case([&](ResizeOp resize) {
        return operation(
            Kind::Resize,
            fb::CreateResize(buffer, static_cast<fb::ResizeMode>(resize.getMode()), resize.getDim(),
                             resize.getScale().convertToDouble(),
                             static_cast<fb::ResizeCoordinates>(resize.getCoordinates()),
                             static_cast<fb::ResizeRounding>(resize.getRounding()),
                             resize.getCubicCoefficient().convertToDouble(), resize.getAntialias(),
                             resize.getExcludesOutside(), resize.getCropBegin().convertToDouble(),
                             resize.getCropEnd().convertToDouble(),
                             resize.getExtrapolation().convertToFloat()));
      })
      .Case([&](ScaledDotProductAttentionOp attention) {
        return operation(
            Kind::DotProductAttention,
            fb::CreateDotProductAttention(buffer, attention.getGroup(), attention.getFirstHead(),
                                          attention.getScale().convertToFloat(),
                                          attention.getSoftcap().convertToFloat(),
                                          attention.getCausal(), attention.getCausalFromEnd()));
      })
      .Case([&](SliceOp slice) {
        int64_t begin = slice.getBegin();
        if (StringAttr size = slice.getBeginSizeAttr())
          begin = rt::dimOfSymbol(addSymbol(size));
        return operation(Kind::Slice,
                         fb::CreateSlice(buffer, slice.getDim(), begin, slice.getStep()));
      })
      .Case([&](TransposeOp transpose) {
        return operation(Kind::Transpose,
                         fb::CreateTranspose(buffer, group(transpose.getPermutation())));
      })
      .Case([&](ReshapeOp) { return operation(Kind::Reshape, fb::CreateReshape(buffer)); })
      .Case([&](ShareOp share) {
        return operation(Kind::Slice, fb::CreateSlice(buffer, share.getDim(), 0));
      })
      .Case([&](ConcatOp concat) {
        return operation(Kind::Concat, fb::CreateConcat(buffer, concat.getDim()));
      })
      .Case([&](ExpandOp) { return operation(Kind::Expand, fb::CreateExpand(buffer)); })
      .Case([&](RangeOp range) {
        StringAttr size = range.getStartSizeAttr();
        return operation(Kind::Range,
                         fb::CreateRange(buffer, range.getStart(),
                                         size ? int64_t{addSymbol(size)} : -1, range.getStep()));
      })
      .Case([&](TakeOp take) {
        return operation(Kind::Take,
                         fb::CreateTake(buffer, take.getDim(), take.getOffset(), take.getWhole()));
      })
      .Case([&](GatherElementsOp gather) {
        return operation(Kind::GatherElements, fb::CreateGatherElements(buffer, gather.getDim()));
      })
      .Case([&](GatherNdOp gather) {
        return operation(Kind::GatherNd, fb::CreateGatherNd(buffer, gather.getBatchDims()));
      })
      .Case([&](ScatterElementsOp scatter) {
        auto kind = static_cast<fb::ScatterKind>(scatter.getKind());
        return operation(Kind::ScatterElements,
                         fb::CreateScatterElements(buffer, kind, scatter.getDim()));
      })
      .Case([&](ScatterNdOp scatter) {
        auto kind = static_cast<fb::ScatterKind>(scatter.getKind());
        return operation(Kind::ScatterNd, fb::CreateScatterNd(buffer, kind));
      })
      .Case([&](TopKOp top) {
        return operation(Kind::TopK, fb::CreateTopK(buffer, top.getOffset()));
      })
      .Case([&](AllReduceOp reduce) {
        auto kind = reduce.getKind() == ReductionKind::Top ? fb::ReductionKind::Top
                                                           : fb::ReductionKind::Sum;
        return operation(Kind::AllReduce,
                         fb::CreateAllReduce(buffer, group(reduce.getGroup()), kind));
      })
      .Case([&](MergedAllReduceOp reduce) {
        return operation(Kind::AllReduce, fb::CreateAllReduce(buffer, group(reduce.getGroup())));
      })
      .Case([&](AllReduceAddOp reduce) {
        auto ranks = group(reduce.getGroup());
        float epsilon = reduce.getEpsilon() ? reduce.getEpsilon()->convertToFloat() : 0;
        return operation(Kind::AllReduceAdd, fb::CreateAllReduceAdd(buffer, ranks, epsilon));
      })
      .Case([&](AddNormOp norm) {
        return operation(Kind::AddNorm,
                         fb::CreateAddNorm(buffer, norm.getEpsilon().convertToFloat()));
      })
      .Case([&](AllGatherOp gather) {
        auto ranks = group(gather.getGroup());
        auto ranges = numbers(gather.getRanges());
        return operation(Kind::AllGather,
                         fb::CreateAllGather(buffer, ranks, gather.getDim(), ranges));
      })
      .Case([&](ReduceScatterOp scatter) {
        auto ranks = group(scatter.getGroup());
        auto ranges = numbers(scatter.getRanges());
        return operation(Kind::ReduceScatter,
                         fb::CreateReduceScatter(buffer, ranks, scatter.getDim(), ranges));
      })
      .Case([&](AllToAllOp exchange) {
        auto ranks = group(exchange.getGroup());
        auto split = numbers(exchange.getSplitRanges()),
             concat = numbers(exchange.getConcatRanges());
        return operation(Kind::AllToAll,
                         fb::CreateAllToAll(buffer, ranks, exchange.getSplitDim(), split,
                                            exchange.getConcatDim(), concat));
      })
      .Case([&](BroadcastOp broadcast) {
        return operation(Kind::Broadcast, fb::CreateBroadcast(buffer, group(broadcast.getGroup())));
      })
      .Case([&](SendOp send) {
        return operation(Kind::Send, fb::CreateSend(buffer, send.getTo(), send.getTag()));
      })
      .Case([&](RecvOp recv) {
        return operation(Kind::Recv, fb::CreateRecv(buffer, recv.getFrom(), recv.getTag()));
      })
      .Default([](Operation *) { return Operation_(); });
}

LogicalResult ProgramBuilder::buildInstruction(Operation &op) {
  Operation_ made = buildOperation(op);
  if (made.type == fb::Operation::NONE)
    return op.emitOpError("has no instruction in a rank's program");
  std::vector<uint32_t> operands, results;
  // A state is an operand of what writes it, and what reads it reads it in place.
  if (auto update = dyn_cast<StateUpdateOp>(op))
    operands.push_back(
        addValue(update.getResult(), fb::Storage::State, states.find(update.getState())->second));
  for (Value operand : op.getOperands())
    operands.push_back(values.at(operand));
  if (auto conv = dyn_cast<ConvOp>(op); conv && conv.getOmitsBias())
    operands.pop_back();
  if (!isa<StateUpdateOp>(op))
    for (Value result : op.getResults())
      results.push_back(addValue(result, fb::Storage::Activation));
  auto operandVector = buffer.CreateVector(operands), resultVector = buffer.CreateVector(results);
  auto fused = dyn_cast<FusedOpInterface>(op);
  std::string joined = fused ? getJoinedName(fused) : getModelName(&op).str();
  auto name = text(StringRef(joined).take_front(rt::maxNameLength));
  instructions.push_back(
      fb::CreateInstruction(buffer, made.type, made.table, operandVector, resultVector, name));
  return success();
}

FailureOr<Offset<fb::Entry>> ProgramBuilder::buildEntry(func::FuncOp function) {
  values.clear();
  valueTables.clear();
  instructions.clear();
  std::vector<Offset<fb::Port>> inputs;
  std::vector<Offset<fb::OutputPort>> outputs;
  for (BlockArgument argument : function.getArguments()) {
    auto name = function.getArgAttrOfType<StringAttr>(argument.getArgNumber(),
                                                      CleaveDialect::inputAttrName);
    if (!name)
      return function.emitOpError("argument ")
             << argument.getArgNumber() << " has no " << CleaveDialect::inputAttrName;
    uint32_t value = addValue(argument, fb::Storage::Input);
    inputs.push_back(fb::CreatePort(buffer, text(name), value));
  }
  for (Operation &op : function.getFunctionBody().front()) {
    if (auto use = dyn_cast<UseOp>(op)) {
      addValue(use.getResult(), fb::Storage::Weight, weights.find(use.getWeight())->second);
    } else if (auto result = dyn_cast<func::ReturnOp>(op)) {
      for (OpOperand &operand : result->getOpOperands()) {
        unsigned number = operand.getOperandNumber();
        auto name = function.getResultAttrOfType<StringAttr>(number, CleaveDialect::outputAttrName);
        auto owner =
            function.getResultAttrOfType<IntegerAttr>(number, CleaveDialect::ownerAttrName);
        outputs.push_back(
            fb::CreateOutputPort(buffer, text(name), values.at(operand.get()), owner.getInt()));
      }
    } else if (failed(buildInstruction(op))) {
      return failure();
    }
  }
  auto name = text(function.getName());
  auto valueVector = buffer.CreateVector(valueTables);
  auto inputVector = buffer.CreateVector(inputs);
  auto outputVector = buffer.CreateVector(outputs);
  auto instructionVector = buffer.CreateVector(instructions);
  return fb::CreateEntry(buffer, name, valueVector, inputVector, outputVector, instructionVector);
}

FailureOr<std::vector<uint8_t>> ProgramBuilder::build(int64_t ranks, StringRef packageId) {
  std::vector<Offset<fb::Weight>> weightTables;
  for (WeightOp weight : module.getOps<WeightOp>()) {
    weights.insert({weight.getSymName(), weightTables.size()});
    WeightPlace place = places.lookup(weight.getSymName());
    RankedTensorType type = weight.getTensorType();
    auto name = text(weight.getSymName());
    auto dims = buffer.CreateVector(dimsOf(type));
    weightTables.push_back(fb::CreateWeight(buffer, name, elementTypeOf(type),
                                            static_cast<uint8_t>(place.layout), dims, place.offset,
                                            place.size));
  }
  std::vector<Offset<fb::State>> stateTables;
  for (StateOp state : module.getOps<StateOp>()) {
    states.insert({state.getSymName(), stateTables.size()});
    RankedTensorType type = state.getTensorType();
    auto name = text(state.getSymName());
    auto dims = buffer.CreateVector(dimsOf(type));
    stateTables.push_back(fb::CreateState(buffer, name, elementTypeOf(type), dims));
  }
  std::vector<Offset<fb::Entry>> entries;
  for (auto function : module.getOps<func::FuncOp>()) {
    FailureOr<Offset<fb::Entry>> entry = buildEntry(function);
    if (failed(entry))
      return failure();
    entries.push_back(*entry);
  }
  std::vector<Offset<fb::Symbol>> symbolTables;
  for (auto &[name, number] : symbols) {
    DimShare share = getDimShare(name).value_or(DimShare{name, 0, 1});
    symbolTables.push_back(fb::CreateSymbol(buffer, text(name),
                                            share.count == 1 ? 0 : symbols.lookup(share.base),
                                            share.index, share.count));
  }
  auto id = text(packageId);
  auto symbolVector = buffer.CreateVector(symbolTables);
  auto weightVector = buffer.CreateVector(weightTables);
  auto stateVector = buffer.CreateVector(stateTables);
  auto entryVector = buffer.CreateVector(entries);
  auto number = [&](StringRef attr) { return module->getAttrOfType<IntegerAttr>(attr).getInt(); };
  buffer.Finish(fb::CreateProgram(buffer, rt::programVersion, id,
                                  number(CleaveDialect::rankAttrName), ranks, getStage(module),
                                  symbolVector, weightVector, stateVector, entryVector),
                fb::ProgramIdentifier());
  return std::vector<uint8_t>(buffer.GetBufferPointer(),
                              buffer.GetBufferPointer() + buffer.GetSize());
}

FailureOr<std::vector<uint8_t>> cleave::buildProgram(ModuleOp module, int64_t ranks,
                                                     StringRef packageId,
                                                     const llvm::StringMap<WeightPlace> &places) {
  return ProgramBuilder(module, places).build(ranks, packageId);
}
