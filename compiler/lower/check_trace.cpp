// Parts of values, op by op; of fused ops, by the ops that they stand for.
#include "compiler/lower/check_trace.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace cleave;

NamedValues cleave::findNamedValues(func::FuncOp entry) {
  NamedValues names;
  llvm::StringMap<int> uses;
  entry.walk([&](Operation *op) {
    auto name = op->getAttrOfType<StringAttr>(CleaveDialect::nameAttrName);
    if (!name || op->getNumResults() != 1)
      return;
    auto type = cast<RankedTensorType>(op->getResult(0).getType());
    if (type.getElementType().isF32() && type.getRank() > 0 && !isa<UseOp, StateUpdateOp>(op)) {
      ++uses[name.getValue()];
      names[name.getValue()] = op->getResult(0);
    }
  });
  names.remove_if([&](auto &named) { return uses[named.first] > 1; });
  return names;
}

/// Where a weight's dimension begins in its file's tensor.
static int64_t getBegin(WeightOp weight, unsigned dim) {
  return weight.getSlice() ? (*weight.getSlice())[2 * dim] : 0;
}

static int64_t getWidth(Value value) {
  return cast<RankedTensorType>(value.getType()).getShape().back();
}

/// The place of `rank` in a collective's group, which verification has found there.
static ElementRange getOwnRange(ArrayRef<int64_t> group, ArrayRef<int64_t> ranges, int64_t rank) {
  return getRanges(ranges)[llvm::find(group, rank) - group.begin()];
}

static bool isLastDim(Value value, int64_t dim) {
  return dim + 1 == cast<RankedTensorType>(value.getType()).getRank();
}

ValueTracer::Part ValueTracer::findUse(UseOp use) {
  auto model = whole.lookupSymbol<WeightOp>(use.getWeight());
  auto weight = SymbolTable::lookupNearestSymbolFrom<WeightOp>(use, use.getWeightAttr());
  if (!model || model.getTensorType().getRank() != weight.getTensorType().getRank())
    return {};
  unsigned last = weight.getTensorType().getRank() - 1;
  return {true, false, getBegin(weight, last) - getBegin(model, last)};
}

/// The outputs are cut as the weight's first dimension is; fewer inputs than the model's
/// give a summand.
ValueTracer::Part ValueTracer::findLinear(LinearOp linear) {
  auto use = linear.getWeight().getDefiningOp<UseOp>();
  auto model = use ? whole.lookupSymbol<WeightOp>(use.getWeight()) : WeightOp();
  if (!model)
    return {};
  auto weight = SymbolTable::lookupNearestSymbolFrom<WeightOp>(use, use.getWeightAttr());
  bool isSummand = parts.lookup(linear.getX()).isSummand ||
                   getWidth(linear.getX()) < model.getTensorType().getDimSize(1);
  return {true, isSummand, getBegin(weight, 0) - getBegin(model, 0)};
}

ValueTracer::Part ValueTracer::findGather(GatherOp gather) {
  Part part = parts.lookup(gather.getSource());
  auto use = gather.getSource().getDefiningOp<UseOp>();
  auto model = use ? whole.lookupSymbol<WeightOp>(use.getWeight()) : WeightOp();
  if (model)
    part.isSummand = cast<RankedTensorType>(gather.getSource().getType()).getDimSize(0) <
                     model.getTensorType().getDimSize(0);
  return part;
}

/// The last dimension is x's, unless the indices are in its place.
ValueTracer::Part ValueTracer::findTake(TakeOp take) {
  Part part = parts.lookup(take.getX());
  if (isLastDim(take.getX(), take.getDim())) {
    Part places = parts.lookup(take.getIndices());
    part.isKnown &= places.isKnown;
    part.begin = places.begin;
  }
  part.isSummand |= take.isMasked();
  return part;
}

/// The outputs are cut as down's second dimension is; fewer experts or inner features than the
/// model's give a summand.
ValueTracer::Part ValueTracer::findMoe(MoeOp moe) {
  auto gate = moe.getGate().getDefiningOp<UseOp>(), down = moe.getDown().getDefiningOp<UseOp>();
  auto model = gate ? whole.lookupSymbol<WeightOp>(gate.getWeight()) : WeightOp();
  auto modelDown = down ? whole.lookupSymbol<WeightOp>(down.getWeight()) : WeightOp();
  if (!model || !modelDown)
    return {};
  auto weight = SymbolTable::lookupNearestSymbolFrom<WeightOp>(down, down.getWeightAttr());
  ArrayRef<int64_t> shape = cast<RankedTensorType>(gate.getType()).getShape();
  bool isSummand = shape.take_front(2) != model.getTensorType().getShape().take_front(2);
  return {true, isSummand, getBegin(weight, 1) - getBegin(modelDown, 1)};
}

/// Lies as the first operand that has the last dimension. It is a summand where all operands of
/// a sum are, or one of a product.
ValueTracer::Part ValueTracer::findBroadcast(BroadcastOpInterface op) {
  Part part;
  bool isFound = false, anySummand = false, allSummands = true;
  auto result = cast<RankedTensorType>(op->getResult(0).getType());
  for (Value operand : op->getOperands()) {
    auto type = cast<RankedTensorType>(operand.getType());
    Part own = parts.lookup(operand);
    anySummand |= own.isSummand;
    allSummands &= own.isSummand;
    bool hasLast = type.getRank() > 0 && result.getRank() > 0 &&
                   type.getShape().back() == result.getShape().back();
    if (hasLast && !isFound)
      part = own;
    isFound |= hasLast;
  }
  auto binary = dyn_cast<BinaryOpInterface>(op.getOperation());
  Linearity linearity =
      binary ? findBinary(static_cast<uint8_t>(binary.getKind()))->linearity : Linearity::first;
  part.isSummand = linearity == Linearity::both    ? allSummands
                   : linearity == Linearity::first ? anySummand
                                                   : false;
  return part;
}

ValueTracer::Part ValueTracer::find(Operation *op) {
  auto first = [&] { return parts.lookup(op->getOperand(0)); };
  auto whole = [](Part part) {
    part.isSummand = false;
    return part;
  };
  return llvm::TypeSwitch<Operation *, Part>(op)
      .Case([&](UseOp use) { return findUse(use); })
      .Case([&](LinearOp linear) { return findLinear(linear); })
      .Case([&](GatherOp gather) { return findGather(gather); })
      .Case([&](TakeOp take) { return findTake(take); })
      .Case([&](MoeOp moe) { return findMoe(moe); })
      .Case<RopeOp, BroadcastOp>([&](auto) { return first(); })
      .Case<RmsNormOp, AttentionOp, AllReduceOp, RouteWeightsOp, CastOp>(
          [&](auto) { return whole(first()); })
      .Case([&](UnaryOpInterface unary) {
        return unary.getKind() == UnaryKind::scale || unary.getKind() == UnaryKind::neg
                   ? first()
                   : whole(first());
      })
      .Case([&](BroadcastOpInterface broadcast) { return findBroadcast(broadcast); })
      .Case([&](SliceOp slice) {
        Part part = first();
        part.isKnown &= slice.isConstantRange() && isLastDim(slice.getX(), slice.getDim());
        part.begin += slice.getBegin();
        return part;
      })
      // Shares of run-time sizes are known by their types.
      .Case([&](ShareOp share) { return first(); })
      .Case([&](AllGatherOp gather) {
        Part part = first();
        if (gather.getRanges().empty())
          return part;
        part.isKnown &= isLastDim(gather.getX(), gather.getDim());
        part.begin -= getOwnRange(gather.getGroup(), gather.getRanges(), rankNumber).begin;
        return part;
      })
      .Case([&](ReduceScatterOp scatter) {
        Part part = whole(first());
        if (scatter.getRanges().empty())
          return part;
        part.isKnown &= isLastDim(scatter.getX(), scatter.getDim());
        part.begin += getOwnRange(scatter.getGroup(), scatter.getRanges(), rankNumber).begin;
        return part;
      })
      .Case([&](AllToAllOp exchange) {
        Part part = first();
        auto own = [&](ArrayRef<int64_t> ranges) {
          return getOwnRange(exchange.getGroup(), ranges, rankNumber).begin;
        };
        part.isKnown &= isLastDim(exchange.getX(), exchange.getSplitDim());
        part.begin += own(exchange.getSplitRanges());
        if (exchange.getConcatDim() == exchange.getSplitDim())
          part.begin -= own(exchange.getConcatRanges());
        return part;
      })
      .Case([&](RecvOp recv) {
        auto it = sent.find({recv.getFrom(), rankNumber, recv.getTag()});
        return it == sent.end() ? Part() : it->second;
      })
      .Default([](Operation *) { return Part(); });
}

/// All dimensions but the last are the model's, but for shares of a run-time first one, and
/// the last lies in its.
bool ValueTracer::isComparable(Value value, Part part, Value reference) {
  if (!part.isKnown || part.isSummand)
    return false;
  auto mine = dyn_cast<RankedTensorType>(value.getType());
  auto model = cast<RankedTensorType>(reference.getType());
  if (!mine || mine.getElementType() != model.getElementType() || mine.getRank() != model.getRank())
    return false;
  unsigned last = model.getRank() - 1;
  for (unsigned dim = 0; dim < last; ++dim) {
    StringAttr name = getDimName(mine, dim);
    if (std::optional<DimShare> share = name && dim == 0 ? getDimShare(name) : std::nullopt)
      name = share->base;
    if (mine.getDimSize(dim) != model.getDimSize(dim) || name != getDimName(model, dim))
      return false;
  }
  if (mine.isDynamicDim(last) || model.isDynamicDim(last))
    return mine == model && part.begin == 0;
  return mine.getDimSize(last) > 0 && part.begin >= 0 &&
         part.begin + mine.getDimSize(last) <= model.getDimSize(last);
}

SmallVector<ComparableValue> ValueTracer::trace(ModuleOp rank, func::FuncOp entry) {
  rankNumber = rank->getAttrOfType<IntegerAttr>(CleaveDialect::rankAttrName).getInt();
  IRMapping values;
  OwningOpRef<ModuleOp> expanded = cloneExpanded(rank, values);
  auto traced = expanded->lookupSymbol<func::FuncOp>(entry.getName());
  parts.clear();
  for (BlockArgument argument : traced.getArguments())
    parts[argument] = {true, false, 0};
  for (Operation &op : traced.getFunctionBody().front()) {
    if (auto send = dyn_cast<SendOp>(op))
      sent[{rankNumber, send.getTo(), send.getTag()}] = parts.lookup(send.getX());
    if (op.getNumResults() == 1)
      parts[op.getResult(0)] = find(&op);
  }
  SmallVector<ComparableValue> found;
  for (Operation &op : entry.getFunctionBody().front())
    for (Value value : op.getResults()) {
      Value meant = values.lookup(value);
      auto name = meant.getDefiningOp()->getAttrOfType<StringAttr>(CleaveDialect::nameAttrName);
      auto reference = name ? names.find(name.getValue()) : names.end();
      if (reference != names.end() && isComparable(value, parts.lookup(meant), reference->second))
        found.push_back({value, name.getValue(), parts.lookup(meant).begin});
    }
  return found;
}
