// The ops of a logical module, under the model's names.
#include "compiler/import/gguf/model_builder.h"

#include "runtime/program/candidates.h"

using namespace mlir;

namespace cleave::gguf {

template <typename OpT, typename... Args>
Value ModelBuilder::create(StringRef name, Args &&...args) {
  auto op = ops.create<OpT>(nameLoc(name), std::forward<Args>(args)...);
  op->setAttr(CleaveDialect::nameAttrName, ops.getStringAttr(name));
  return op->getResult(0);
}

void ModelBuilder::beginStep() {
  auto portType = [&](StringRef dim) {
    return getTensorType({ShapedType::kDynamic}, ops.getI32Type(), {ops.getStringAttr(dim)});
  };
  RankedTensorType perToken = portType("tokens"), perRow = portType("rows");
  auto function = declarations.create<func::FuncOp>(
      nameLoc("step"), "step",
      ops.getFunctionType({perToken, perToken, perToken, perRow}, TypeRange()));
  StringRef names[] = {"tokens", "positions", "slots", "rows"};
  for (auto [index, name] : llvm::enumerate(names))
    function.setArgAttr(index, CleaveDialect::inputAttrName, ops.getStringAttr(name));
  Block *body = function.addEntryBlock();
  tokens = body->getArgument(0);
  positions = body->getArgument(1);
  slots = body->getArgument(2);
  rows = body->getArgument(3);
  ops.setInsertionPointToEnd(body);
}

/// How many candidates a step gives: more than what most ask of a sampler (top-k is 40 by
/// default), and no more than 512 bytes a rank. Every rank sends as many, and they are pairs:
/// below `leastVocabulary` all logits are hardly more.
static constexpr int64_t candidateCount = 64;
static constexpr int64_t leastVocabulary = 8 * candidateCount;

OwningOpRef<ModuleOp> ModelBuilder::endStep(Value logits, int64_t contextLength) {
  auto type = cast<RankedTensorType>(logits.getType());
  int64_t vocabulary = type.getDimSize(1);
  SmallVector<std::pair<StringRef, Value>, 2> outputs{{"logits", logits}};
  if (vocabulary >= leastVocabulary && vocabulary <= maxCandidateColumns) {
    auto candidates = getTensorType({type.getDimSize(0), candidateCount, 2}, ops.getF32Type(),
                                    {getDimName(type, 0), {}, {}});
    outputs.push_back({"candidates", create<TopKOp>("candidates", candidates, logits)});
  }
  auto results = ops.create<func::ReturnOp>(nameLoc("step"),
                                            llvm::to_vector<2>(llvm::make_second_range(outputs)));
  auto function = cast<func::FuncOp>(ops.getBlock()->getParentOp());
  function.setType(ops.getFunctionType(function.getArgumentTypes(), results->getOperandTypes()));
  for (auto [index, output] : llvm::enumerate(outputs))
    function.setResultAttr(index, CleaveDialect::outputAttrName, ops.getStringAttr(output.first));

  module.get()->setAttr(
      CleaveDialect::modelAttrName,
      ops.getDictionaryAttr(
          {ops.getNamedAttr("architecture", ops.getStringAttr(architecture)),
           ops.getNamedAttr("context_length", ops.getI64IntegerAttr(contextLength)),
           ops.getNamedAttr("vocabulary", ops.getI64IntegerAttr(vocabulary))}));
  return std::move(module);
}

Value ModelBuilder::use(WeightOp weight) {
  return ops.create<UseOp>(weight.getLoc(), weight.getTensorType(),
                           FlatSymbolRefAttr::get(weight.getSymNameAttr()));
}

RankedTensorType ModelBuilder::widthType(Value like, int64_t width) {
  auto type = cast<RankedTensorType>(like.getType());
  return getTensorType({type.getDimSize(0), width}, ops.getF32Type(),
                       {getDimName(type, 0), StringAttr()});
}

Value ModelBuilder::gather(Value source, Value indices, StringRef name) {
  int64_t width = cast<RankedTensorType>(source.getType()).getDimSize(1);
  return create<GatherOp>(name, widthType(indices, width), source, indices);
}

Value ModelBuilder::embed(WeightOp table, Value indices, StringRef name) {
  return gather(use(table), indices, name);
}

Value ModelBuilder::linear(Value x, LinearWeights weights, StringRef name) {
  int64_t outputs = weights.weight.getTensorType().getDimSize(0);
  Value weight = use(weights.weight);
  Value result = create<LinearOp>(name, widthType(x, outputs), x, weight);
  if (!weights.bias)
    return result;
  Value bias = use(weights.bias);
  return add(result, bias, (name + "_bias").str());
}

Value ModelBuilder::rmsNorm(Value x, WeightOp weight, float epsilon, StringRef name) {
  Value factors = use(weight);
  return create<RmsNormOp>(name, x.getType(), x, factors, ops.getF32FloatAttr(epsilon), UnitAttr());
}

Value ModelBuilder::headNorm(Value x, WeightOp weight, float epsilon, StringRef name) {
  Value factors = use(weight);
  return create<RmsNormOp>(name, x.getType(), x, factors, ops.getF32FloatAttr(epsilon),
                           ops.getUnitAttr());
}

Value ModelBuilder::rope(Value x, const RopeParameters &p, StringRef name) {
  Value factors = p.factors ? use(p.factors) : Value();
  return create<RopeOp>(name, x.getType(), x, positions, factors, ops.getI64IntegerAttr(p.headDim),
                        ops.getI64IntegerAttr(p.rotaryDim), ops.getF32FloatAttr(p.base),
                        ops.getF32FloatAttr(p.scale), RopeStyleAttr::get(&context, p.style));
}

Value ModelBuilder::updateState(StateOp state, Value x, StringRef name) {
  return create<StateUpdateOp>(name, state.getTensorType(),
                               FlatSymbolRefAttr::get(state.getSymNameAttr()), x, slots, positions);
}

Value ModelBuilder::attention(Value q, Value k, Value v, const AttentionParameters &p,
                              StringRef name) {
  return create<AttentionOp>(name, q.getType(), q, k, v, slots, positions,
                             ops.getI64IntegerAttr(p.headDim), ops.getI64IntegerAttr(p.group),
                             /*first_head=*/ops.getI64IntegerAttr(0), ops.getF32FloatAttr(p.scale),
                             ops.getI64IntegerAttr(p.window));
}

Value ModelBuilder::route(Value logits, int64_t perToken, StringRef name) {
  RankedTensorType type = widthType(logits, perToken);
  return create<RouteOp>(
      name, RankedTensorType::get(type.getShape(), ops.getI32Type(), type.getEncoding()), logits);
}

Value ModelBuilder::routeWeights(Value logits, Value chosen, bool normalized, float scale,
                                 StringRef name) {
  int64_t perToken = cast<RankedTensorType>(chosen.getType()).getDimSize(1);
  return create<RouteWeightsOp>(name, widthType(logits, perToken), logits, chosen,
                                normalized ? ops.getUnitAttr() : UnitAttr(),
                                ops.getF32FloatAttr(scale));
}

Value ModelBuilder::moe(Value x, Value chosen, Value weights, WeightOp gate, WeightOp up,
                        WeightOp down, StringRef name) {
  Value gateValue = use(gate), upValue = use(up), downValue = use(down);
  return create<MoeOp>(name, widthType(x, down.getTensorType().getDimSize(1)), x, chosen, weights,
                       gateValue, upValue, downValue, ops.getI64IntegerAttr(0),
                       ops.getI64IntegerAttr(0));
}

Value ModelBuilder::silu(Value x, StringRef name) {
  return create<SiluOp>(name, x.getType(), x);
}

Value ModelBuilder::add(Value x, Value y, StringRef name) {
  return create<AddOp>(name, x.getType(), x, y);
}

Value ModelBuilder::mul(Value x, Value y, StringRef name) {
  return create<MulOp>(name, x.getType(), x, y);
}

} // namespace cleave::gguf
