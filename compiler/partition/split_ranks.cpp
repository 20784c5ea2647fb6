// cleave-split-ranks: from the sharded form to one module a rank.
#include "compiler/partition/reshard_lowering.h"
#include "compiler/partition/sharded_form.h"
#include "compiler/passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/StringSet.h"

namespace cleave {
#define GEN_PASS_DEF_SPLITRANKSPASS
#include "compiler/Passes.h.inc"
} // namespace cleave

using namespace mlir;
using namespace cleave;

namespace {

/// The stage whose ranks have what `value` is at the function's end.
int64_t getProducingStage(Value value) {
  Operation *op = value.getDefiningOp();
  return op ? getStage(op) : 0;
}

/// Adds the symbols that the sizes of a tensor are made of.
void addSymbols(Type type, llvm::StringSet<> &symbols) {
  auto tensor = cast<RankedTensorType>(type);
  for (unsigned dim = 0; dim < tensor.getRank(); ++dim)
    if (tensor.isDynamicDim(dim))
      for (const std::string &symbol : getSize(getDimName(tensor, dim)).symbols())
        symbols.insert(symbol);
}

/// The inputs of which nothing reads an element, but whose sizes something needs that no other
/// input tells.
SmallVector<BlockArgument> findInputsForSizes(func::FuncOp function) {
  llvm::StringSet<> needed, told;
  for (Operation &op : function.getFunctionBody().front()) {
    for (Type type : op.getResultTypes())
      addSymbols(type, needed);
    StringAttr size;
    if (auto range = dyn_cast<RangeOp>(op))
      size = range.getStartSizeAttr();
    if (auto slice = dyn_cast<SliceOp>(op))
      size = slice.getBeginSizeAttr();
    for (const std::string &symbol : size ? getSize(size).symbols() : std::vector<std::string>())
      needed.insert(symbol);
  }
  SmallVector<BlockArgument> unread, found;
  for (BlockArgument argument : function.getArguments())
    if (argument.use_empty())
      unread.push_back(argument);
    else
      addSymbols(argument.getType(), told);
  for (BlockArgument argument : unread) {
    llvm::StringSet<> own;
    addSymbols(argument.getType(), own);
    if (llvm::none_of(own.keys(), [&](StringRef symbol) {
          return needed.contains(symbol) && !told.contains(symbol);
        }))
      continue;
    found.push_back(argument);
    addSymbols(argument.getType(), told);
  }
  return found;
}

/// Makes the module of one rank.
class RankBuilder {
public:
  RankBuilder(ModuleOp source, ReshardPlanner &planner, RankPlace place)
      : source(source), planner(planner), mesh(planner.getMesh()), place(place),
        builder(source.getContext()) {}

  FailureOr<ModuleOp> build() {
    int64_t rank = place.getRank(mesh);
    auto module = ModuleOp::create(source.getLoc(), "rank" + std::to_string(rank));
    target = module;
    SmallVector<NamedAttribute> coordinate;
    for (auto [axis, at] : llvm::zip_equal(mesh.getAxes(), mesh.getPlace(place.coordinate)))
      coordinate.push_back(builder.getNamedAttr(axis, builder.getI64IntegerAttr(at)));
    module->setAttr(CleaveDialect::rankAttrName, builder.getI64IntegerAttr(rank));
    module->setAttr(CleaveDialect::stageAttrName, builder.getI64IntegerAttr(place.stage));
    module->setAttr(CleaveDialect::coordinateAttrName, builder.getDictionaryAttr(coordinate));
    for (auto function : source.getOps<func::FuncOp>())
      if (failed(buildFunction(function))) {
        module.erase();
        return failure();
      }
    return module;
  }

private:
  LogicalResult buildFunction(func::FuncOp function);
  FailureOr<Value> takeShare(BlockArgument argument, Value whole);
  LogicalResult buildOp(Operation &op);
  LogicalResult buildUse(UseOp use);
  LogicalResult buildTransfer(TransferOp transfer, unsigned tag);
  LogicalResult buildCompute(ShardingRuleOpInterface op);
  void widenResults(ShardingRuleOpInterface op, LocalRanges &ranges, Operation *local);
  void broadcastDecision(Operation *op);
  LogicalResult buildReturn(func::ReturnOp op, func::FuncOp from, func::FuncOp to);
  FailureOr<StateOp> declareState(StateUpdateOp update);
  FailureOr<RankedTensorType> localType(Value value);
  SmallVector<ElementRange, 4> rangesOf(Value value);
  ElementRange weightRange(RankedTensorType type, ShardingAttr sharding, unsigned dim);

  ModuleOp source, target;
  ReshardPlanner &planner;
  const Mesh &mesh;
  RankPlace place;
  OpBuilder builder;
  IRMapping mapping;
};

FailureOr<RankedTensorType> RankBuilder::localType(Value value) {
  auto global = cast<RankedTensorType>(value.getType());
  ShardingAttr sharding = getSharding(value);
  if (!sharding)
    return emitError(value.getLoc()) << "a value of type " << global << " has no sharding";
  return getLocalType(global, sharding, mesh, place.coordinate);
}

/// A weight's share of a dim, in whole quantization blocks.
ElementRange RankBuilder::weightRange(RankedTensorType type, ShardingAttr sharding, unsigned dim) {
  ElementRange range =
      getShare(mesh, place.coordinate, sharding.getDims()[dim], type.getDimSize(dim));
  auto block = dyn_cast<BlockType>(type.getElementType());
  if (!block || dim + 1 != type.getRank() || range.size() == 0)
    return range;
  int64_t length = block.getBlockLength();
  return {range.begin / length * length, (range.end + length - 1) / length * length};
}

SmallVector<ElementRange, 4> RankBuilder::rangesOf(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  ShardingAttr sharding = getSharding(value);
  SmallVector<ElementRange, 4> ranges;
  for (unsigned dim = 0; dim < type.getRank(); ++dim) {
    if (type.isDynamicDim(dim))
      ranges.push_back({0, 0});
    else if (value.getDefiningOp<UseOp>())
      ranges.push_back(weightRange(type, sharding, dim));
    else
      ranges.push_back(
          getShare(mesh, place.coordinate, sharding.getDims()[dim], type.getDimSize(dim)));
  }
  return ranges;
}

LogicalResult RankBuilder::buildFunction(func::FuncOp function) {
  if (function.isExternal())
    return success();
  // Of the inputs this rank takes those that it needs.
  auto isHere = [&](Operation *op) {
    auto transfer = dyn_cast<TransferOp>(op);
    return getStage(op) == place.stage || (transfer && transfer.getTo() == place.stage);
  };
  SmallVector<Type> inputs;
  SmallVector<BlockArgument> arguments, forSizes = findInputsForSizes(function);
  for (BlockArgument argument : function.getArguments()) {
    bool needed = place.stage == 0 && llvm::is_contained(forSizes, argument);
    needed |= llvm::any_of(argument.getUsers(), [&](Operation *user) {
      return user->hasTrait<OpTrait::ReturnLike>() ? place.stage == 0
                                                   : getStage(user) == place.stage;
    });
    if (!needed)
      continue;
    inputs.push_back(argument.getType());
    arguments.push_back(argument);
  }
  builder.setInsertionPointToEnd(target.getBody());
  auto local = builder.create<func::FuncOp>(function.getLoc(), function.getName(),
                                            builder.getFunctionType(inputs, {}));
  Block *body = local.addEntryBlock();
  builder.setInsertionPointToEnd(body);
  for (auto [argument, mine] : llvm::zip_equal(arguments, body->getArguments())) {
    FailureOr<Value> share = takeShare(argument, mine);
    if (failed(share))
      return failure();
    mapping.map(argument, *share);
    if (Attribute name = function.getArgAttr(argument.getArgNumber(), CleaveDialect::inputAttrName))
      local.setArgAttr(mine.getArgNumber(), CleaveDialect::inputAttrName, name);
  }
  unsigned tag = 0;
  for (Operation &op : function.getFunctionBody().front()) {
    auto transfer = dyn_cast<TransferOp>(op);
    unsigned ownTag = transfer ? tag++ : 0;
    if (auto result = dyn_cast<func::ReturnOp>(op)) {
      if (failed(buildReturn(result, function, local)))
        return failure();
    } else if (isHere(&op)) {
      if (failed(transfer ? buildTransfer(transfer, ownTag) : buildOp(op)))
        return failure();
    }
  }
  return success();
}

/// An input comes whole; where it is sharded, this rank slices its share.
FailureOr<Value> RankBuilder::takeShare(BlockArgument argument, Value whole) {
  auto type = cast<RankedTensorType>(argument.getType());
  auto replicated = ShardingAttr::getReplicated(builder.getContext(), type.getRank());
  ShardingAttr sharding = getSharding(argument);
  if (!sharding || sharding == replicated)
    return whole;
  return lowerReshard(builder, argument.getLoc(), whole, type, replicated, sharding, planner, place,
                      {});
}

LogicalResult RankBuilder::buildOp(Operation &op) {
  if (auto use = dyn_cast<UseOp>(op))
    return buildUse(use);
  if (auto reshard = dyn_cast<ReshardOp>(op)) {
    FailureOr<Value> value = lowerReshard(
        builder, op.getLoc(), mapping.lookup(reshard.getX()),
        cast<RankedTensorType>(reshard.getType()), getSharding(reshard.getX()),
        getSharding(reshard.getResult()), planner, place, op.getAttr(CleaveDialect::nameAttrName));
    if (failed(value))
      return failure();
    mapping.map(reshard.getResult(), *value);
    return success();
  }
  if (auto compute = dyn_cast<ShardingRuleOpInterface>(op))
    return buildCompute(compute);
  return op.emitOpError("has no place in the sharded form");
}

LogicalResult RankBuilder::buildUse(UseOp use) {
  auto weight = SymbolTable::lookupNearestSymbolFrom<WeightOp>(use, use.getWeightAttr());
  RankedTensorType type = weight.getTensorType();
  ShardingAttr sharding = getSharding(use.getResult());
  SmallVector<int64_t> shape, slice;
  bool whole = true;
  for (unsigned dim = 0; dim < type.getRank(); ++dim) {
    ElementRange range = weightRange(type, sharding, dim);
    whole &= range == ElementRange{0, type.getDimSize(dim)};
    int64_t base = weight.getSlice() ? (*weight.getSlice())[2 * dim] : 0;
    slice.append({base + range.begin, base + range.end});
    shape.push_back(range.size());
  }
  auto local = RankedTensorType::get(shape, type.getElementType());
  if (!target.lookupSymbol(weight.getSymName())) {
    OpBuilder::InsertionGuard guard(builder);
    auto functions = target.getOps<func::FuncOp>();
    builder.setInsertionPoint(*functions.begin());
    DenseI64ArrayAttr sliceAttr = weight.getSliceAttr();
    if (!whole)
      sliceAttr = builder.getDenseI64ArrayAttr(slice);
    builder.create<WeightOp>(use.getLoc(), weight.getSymNameAttr(), TypeAttr::get(local),
                             weight.getSourceAttr(), sliceAttr, ArrayAttr(), ShardingAttr());
  }
  auto mine = builder.create<UseOp>(use.getLoc(), local, use.getWeightAttr());
  mapping.map(use.getResult(), mine.getResult());
  return success();
}

LogicalResult RankBuilder::buildTransfer(TransferOp transfer, unsigned tag) {
  Attribute name = transfer->getAttr(CleaveDialect::nameAttrName);
  auto setName = [&](Operation *op) {
    if (name)
      op->setAttr(CleaveDialect::nameAttrName, name);
  };
  if (getStage(transfer) == place.stage) {
    RankPlace peer{transfer.getTo(), place.coordinate};
    setName(builder.create<SendOp>(transfer.getLoc(), mapping.lookup(transfer.getX()),
                                   peer.getRank(mesh), tag));
    return success();
  }
  FailureOr<RankedTensorType> type = localType(transfer.getResult());
  if (failed(type))
    return failure();
  RankPlace peer{getStage(transfer), place.coordinate};
  auto recv = builder.create<RecvOp>(transfer.getLoc(), *type, peer.getRank(mesh), tag);
  setName(recv);
  mapping.map(transfer.getResult(), recv.getResult());
  return success();
}

FailureOr<StateOp> RankBuilder::declareState(StateUpdateOp update) {
  if (auto known = target.lookupSymbol<StateOp>(update.getState()))
    return known;
  FailureOr<RankedTensorType> type = localType(update.getResult());
  if (failed(type))
    return failure();
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(*target.getOps<func::FuncOp>().begin());
  auto state = SymbolTable::lookupNearestSymbolFrom<StateOp>(update, update.getStateAttr());
  return builder.create<StateOp>(state.getLoc(), state.getSymNameAttr(), TypeAttr::get(*type),
                                 ShardingAttr());
}

LogicalResult RankBuilder::buildCompute(ShardingRuleOpInterface op) {
  if (auto update = dyn_cast<StateUpdateOp>(op.getOperation()))
    if (failed(declareState(update)))
      return failure();
  LocalRanges ranges;
  for (Value operand : op->getOperands()) {
    ranges.operands.push_back(rangesOf(operand));
    ArrayRef<int64_t> shape = cast<RankedTensorType>(operand.getType()).getShape();
    ranges.operandSizes.emplace_back(shape.begin(), shape.end());
  }
  Operation *local = builder.clone(*op, mapping);
  local->removeAttr(CleaveDialect::shardingAttrName);
  local->removeAttr(CleaveDialect::stageAttrName);
  for (auto [result, mine] : llvm::zip_equal(op->getResults(), local->getResults())) {
    FailureOr<RankedTensorType> type = localType(result);
    if (failed(type))
      return failure();
    mine.setType(*type);
    ranges.results.push_back(rangesOf(result));
  }
  widenResults(op, ranges, local);
  cast<ShardingRuleOpInterface>(local).localize(ranges);
  if (op->hasTrait<IsDecision>())
    broadcastDecision(op);
  return success();
}

/// All ranks that have the same share of the op's results take those of the first.
void RankBuilder::broadcastDecision(Operation *op) {
  for (Value result : op->getResults()) {
    SmallVector<StringAttr> replicated(mesh.getAxes());
    for (DimShardingAttr dim : getSharding(result).getDims())
      llvm::erase_if(replicated,
                     [&](StringAttr axis) { return llvm::is_contained(dim.getAxes(), axis); });
    SmallVector<int64_t> group = mesh.getGroup(place.coordinate, replicated);
    if (group.size() == 1)
      continue;
    for (int64_t &rank : group)
      rank += place.stage * mesh.getNumCoordinates();
    Value own = mapping.lookup(result);
    auto broadcast = builder.create<BroadcastOp>(op->getLoc(), own.getType(), own, group);
    if (Attribute name = op->getAttr(CleaveDialect::nameAttrName))
      broadcast->setAttr(CleaveDialect::nameAttrName, name);
    mapping.map(result, broadcast.getResult());
  }
}

/// A weight's share in whole quantization blocks can be wider than the result that is made
/// of it, element by element (a look-up): then the op gives as much as the weight has, and
/// a slice takes the rank's share.
void RankBuilder::widenResults(ShardingRuleOpInterface op, LocalRanges &ranges, Operation *local) {
  ShardingRule rule = op.getShardingRule();
  for (auto [number, operand] : llvm::enumerate(op->getOperands())) {
    if (!operand.getDefiningOp<UseOp>() || rule.operands[number].empty())
      continue;
    const ShardingRule::Dim &columns = rule.operands[number].back();
    ElementRange held = ranges.operands[number].back();
    for (auto [index, dims] : llvm::enumerate(rule.results))
      for (auto [dim, factors] : llvm::enumerate(dims)) {
        ElementRange &share = ranges.results[index][dim];
        if (factors != columns || share == held)
          continue;
        Value result = local->getResult(index);
        auto type = cast<RankedTensorType>(result.getType());
        SmallVector<int64_t> shape(type.getShape());
        shape[dim] = held.size();
        result.setType(withShape(type, shape));
        auto slice =
            builder.create<SliceOp>(op->getLoc(), type, result, dim, share.begin - held.begin);
        if (Attribute name = op->getAttr(CleaveDialect::nameAttrName))
          slice->setAttr(CleaveDialect::nameAttrName, name);
        mapping.map(op->getResult(index), slice.getResult());
        share = held;
      }
  }
}

LogicalResult RankBuilder::buildReturn(func::ReturnOp op, func::FuncOp from, func::FuncOp to) {
  SmallVector<Value> values;
  SmallVector<Type> types;
  SmallVector<DictionaryAttr> attributes;
  for (OpOperand &operand : op->getOpOperands()) {
    int64_t stage = getProducingStage(operand.get());
    if (stage != place.stage)
      continue;
    values.push_back(mapping.lookup(operand.get()));
    types.push_back(values.back().getType());
    NamedAttrList attrs(from.getResultAttrs(operand.getOperandNumber()));
    attrs.set(CleaveDialect::ownerAttrName,
              builder.getI64IntegerAttr(RankPlace{stage, 0}.getRank(mesh)));
    attributes.push_back(attrs.getDictionary(builder.getContext()));
  }
  builder.create<func::ReturnOp>(op.getLoc(), values);
  to.setFunctionType(builder.getFunctionType(to.getFunctionType().getInputs(), types));
  to.setAllResultAttrs(attributes);
  return success();
}

struct SplitRanksPass : public cleave::impl::SplitRanksPassBase<SplitRanksPass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (failed(verifyShardedForm(module)))
      return signalPassFailure();
    Mesh mesh = Mesh::of(module);
    int64_t stages = 1;
    module.walk([&](Operation *op) {
      auto transfer = dyn_cast<TransferOp>(op);
      stages = std::max({stages, getStage(op) + 1, transfer ? transfer.getTo() + 1 : 1});
    });
    SmallVector<Operation *> old;
    for (Operation &op : *module.getBody())
      if (!isa<MeshOp>(op))
        old.push_back(&op);
    SmallVector<ModuleOp> ranks;
    ReshardPlanner planner(mesh); // all ranks do the same
    for (int64_t stage = 0; stage < stages; ++stage)
      for (int64_t coordinate = 0; coordinate < mesh.getNumCoordinates(); ++coordinate) {
        FailureOr<ModuleOp> rank = RankBuilder(module, planner, {stage, coordinate}).build();
        if (failed(rank)) {
          for (ModuleOp made : ranks)
            made.erase();
          return signalPassFailure();
        }
        ranks.push_back(*rank);
      }
    for (Operation *op : llvm::reverse(old))
      op->erase();
    for (ModuleOp rank : ranks)
      module.getBody()->push_back(rank);
  }
};

} // namespace
