// An abstract interpretation of all ranks together. Each value is known as a part of a
// logical value (rank_value.h); compute ops take such parts apart into the factors of their
// sharding rules and put them together again (part_reading.cpp), collectives join them
// (verify_collectives.cpp), so that no op is known by name. Where messages meet is checked
// before (verify_ranks.cpp).
#include "compiler/partition/verify_partials.h"

#include "compiler/partition/part_verifier.h"

using namespace mlir;
using namespace cleave;

InFlightDiagnostic cleave::rankError(int64_t rank, Operation *op) {
  InFlightDiagnostic error = op->emitOpError();
  if (auto name = op->getAttrOfType<StringAttr>(CleaveDialect::nameAttrName))
    error << "(" << name.getValue() << ") ";
  error << "on rank " << rank;
  return error;
}

SmallVector<PartDim, 3> cleave::getTypeDims(RankedTensorType type) {
  SmallVector<PartDim, 3> dims;
  for (auto [dim, size] : llvm::enumerate(type.getShape())) {
    StringAttr name = getDimName(type, dim);
    if (std::optional<DimShare> share = name ? getDimShare(name) : std::nullopt)
      dims.push_back(getSharedDim(share->index, share->count));
    else
      dims.push_back({size, {0, size}, {}});
  }
  return dims;
}

PartDim cleave::getSharedDim(int64_t index, int64_t count) {
  if (count == 1)
    return {ShapedType::kDynamic, {0, ShapedType::kDynamic}, {}};
  return {ShapedType::kDynamic, {index, index + 1}, {}, count};
}

/// The ranges that a rank's weight has of the tensor in the file.
static SmallVector<ElementRange, 2> getSlice(WeightOp weight) {
  SmallVector<ElementRange, 2> ranges;
  if (std::optional<ArrayRef<int64_t>> slice = weight.getSlice())
    for (ElementRange range : getRanges(*slice))
      ranges.push_back(range);
  else
    for (int64_t size : weight.getTensorType().getShape())
      ranges.push_back({0, size});
  return ranges;
}

LogicalResult PartVerifier::findWeights() {
  for (auto [number, rank] : ranks)
    for (WeightOp weight : rank.getOps<WeightOp>()) {
      SmallVector<ElementRange, 2> slice = getSlice(weight);
      auto [it, isNew] = weights.try_emplace(weight.getSymName().str(), slice);
      if (it->second.size() != slice.size())
        return weight.emitError("weight '")
               << weight.getSymName() << "' on rank " << number << " has " << slice.size()
               << " dims, on an earlier rank " << it->second.size();
      for (auto [hull, range] : llvm::zip_equal(it->second, slice))
        if (range.size() > 0)
          hull = hull.size() == 0 ? range
                                  : ElementRange{std::min(hull.begin, range.begin),
                                                 std::max(hull.end, range.end)};
    }
  return success();
}

LogicalResult PartVerifier::run(const std::map<int64_t, func::FuncOp> &functions) {
  known.clear();
  cursors.clear();
  messages.clear();
  outputs.clear();
  findSlices(functions);
  for (auto [rank, function] : functions) {
    func::FuncOp entry = function;
    Block &body = entry.getFunctionBody().front();
    cursors[rank] = {body.begin(), body.end()};
    for (BlockArgument argument : body.getArguments()) {
      auto port =
          entry.getArgAttrOfType<StringAttr>(argument.getArgNumber(), CleaveDialect::inputAttrName);
      auto type = dyn_cast<RankedTensorType>(argument.getType());
      if (port && type)
        known[argument] = {
            values.get({asKey(0), port.getAsOpaquePointer()}, port), getTypeDims(type), {}};
    }
  }
  for (bool moved = true; moved;) {
    moved = false;
    for (auto &[rank, cursor] : cursors)
      if (failed(advance(rank, moved)))
        return failure();
  }
  assert(llvm::all_of(cursors, [](auto &entry) { return entry.second.isDone(); }) &&
         "communication was found to fit together");
  return success();
}

/// Goes on until a message has not come or a group is not complete.
LogicalResult PartVerifier::advance(int64_t rank, bool &moved) {
  Cursor &cursor = cursors[rank];
  while (!cursor.isDone()) {
    Operation *op = &*cursor.next;
    if (auto send = dyn_cast<SendOp>(op)) {
      messages[{rank, send.getTo(), send.getTag()}].push_back(known.lookup(send.getX()));
    } else if (auto recv = dyn_cast<RecvOp>(op)) {
      auto &queue = messages[{recv.getFrom(), rank, recv.getTag()}];
      if (queue.empty())
        return success();
      known[recv.getResult()] = queue.front();
      queue.pop_front();
    } else if (communicates(op)) {
      auto group = op->getAttrOfType<DenseI64ArrayAttr>("group");
      SmallVector<std::pair<int64_t, Operation *>> members;
      for (int64_t member : group.asArrayRef()) {
        Cursor &other = cursors[member];
        if (other.isDone() || other.next->getName() != op->getName() ||
            other.next->getAttr("group") != group)
          return success();
        members.emplace_back(member, &*other.next);
      }
      if (failed(evaluateCollective(members)))
        return failure();
      for (auto [member, at] : members)
        ++cursors[member].next;
      moved = true;
      return success(); // the members go on in the order of their numbers
    } else if (failed(evaluate(rank, op))) {
      return failure();
    }
    ++cursor.next;
    moved = true;
  }
  return success();
}

LogicalResult PartVerifier::evaluate(int64_t rank, Operation *op) {
  if (auto use = dyn_cast<UseOp>(op))
    return evaluateUse(rank, use);
  if (auto result = dyn_cast<func::ReturnOp>(op))
    return evaluateReturn(rank, result);
  if (llvm::any_of(op->getOperands(), [&](Value x) { return !known.lookup(x).isKnown(); }))
    return success(); // nor are the results known
  if (auto slice = dyn_cast<SliceOp>(op); slice && slice.isConstantRange()) {
    evaluateSlice(slice);
    return success();
  }
  if (auto share = dyn_cast<ShareOp>(op)) {
    evaluateShare(share);
    return success();
  }
  if (auto compute = dyn_cast<ShardingRuleOpInterface>(op))
    return evaluateCompute(rank, compute);
  return success();
}

LogicalResult PartVerifier::evaluateUse(int64_t rank, UseOp use) {
  auto weight = SymbolTable::lookupNearestSymbolFrom<WeightOp>(use, use.getWeightAttr());
  RankValue value;
  value.logical = values.get({asKey(1), weight.getSymNameAttr().getAsOpaquePointer(),
                              weight.getSourceAttr().getAsOpaquePointer()},
                             weight.getSymName());
  for (auto [hull, range] : llvm::zip_equal(weights[weight.getSymName().str()], getSlice(weight))) {
    if (!weight.getSlice() && range != hull)
      return weight.emitError("weight '")
             << weight.getSymName() << "' on rank " << rank << " has no slice, but its type "
             << weight.getType() << " is not that of the whole tensor, of which the ranks hold "
             << hull.begin << ":" << hull.end;
    value.dims.push_back({hull.size(), {range.begin - hull.begin, range.end - hull.begin}, {}});
  }
  known[use.getResult()] = value;
  return success();
}

/// What ranks must have in common to make one cut.
static std::vector<const void *> getCut(SliceOp slice) {
  return {slice->getAttr(CleaveDialect::nameAttrName).getAsOpaquePointer(),
          slice.getX().getType().getAsOpaquePointer(), slice.getType().getAsOpaquePointer(),
          asKey(slice.getDim()), asKey(slice.getBegin())};
}

void PartVerifier::findSlices(const std::map<int64_t, func::FuncOp> &functions) {
  slicedBy.clear();
  cutBy.clear();
  for (auto [rank, function] : functions)
    for (SliceOp slice : func::FuncOp(function).getOps<SliceOp>())
      if (Attribute name = slice->getAttr(CleaveDialect::nameAttrName);
          name && slice.isConstantRange()) {
        slicedBy[name].insert(rank);
        cutBy[getCut(slice)].insert(rank);
      }
}

/// Ranks' shares differ, so that a cut that all ranks make is the model's.
bool PartVerifier::isOfModel(SliceOp slice) {
  if (cursors.size() == 1)
    return true;
  Attribute name = slice->getAttr(CleaveDialect::nameAttrName);
  return name && cutBy[getCut(slice)] == slicedBy[name];
}

/// A slice is its operand's part made smaller. Where it may be a rank's share as well as an op of
/// the model, that shows in what follows.
void PartVerifier::evaluateSlice(SliceOp slice) {
  RankValue value = known.lookup(slice.getX());
  PartDim &dim = value.dims[slice.getDim()];
  int64_t begin = dim.range.begin + slice.getBegin();
  bool isWhole = dim.isWhole() || (!dim.windows.empty() && dim.windows.back() == dim.range);
  dim.range = {begin, begin + tensorOf(slice.getResult()).getDimSize(slice.getDim())};
  if (isWhole)
    dim.windows.push_back(dim.range);
  known[slice.getResult()] =
      isWhole && isOfModel(slice) ? rebase(value, slice.getDim(), dim.windows.size()) : value;
}

void PartVerifier::evaluateShare(ShareOp share) {
  RankValue value = known.lookup(share.getX());
  value.dims[share.getDim()] = getTypeDims(tensorOf(share.getResult()))[share.getDim()];
  known[share.getResult()] = value;
}

/// A state keeps what earlier steps wrote, so all entries must write the same elements.
LogicalResult PartVerifier::checkState(int64_t rank, Operation *op) {
  auto update = dyn_cast<StateUpdateOp>(op);
  if (!update)
    return success();
  const PartDim &width = known[update.getResult()].dims.back();
  auto [it, isNew] =
      states.try_emplace({rank, update.getState().str()}, update.getOperation(), width);
  if (it->second.second == width)
    return success();
  InFlightDiagnostic error = rankError(rank, op) << " writes elements " << describe(width)
                                                 << " into state '" << update.getState() << "'";
  error.attachNote(it->second.first->getLoc())
      << "elements " << describe(it->second.second) << " are written here";
  return error;
}

/// What is returned is no partial sum and no share, and the same on all ranks that return
/// it.
LogicalResult PartVerifier::evaluateReturn(int64_t rank, func::ReturnOp op) {
  auto function = op->getParentOfType<func::FuncOp>();
  for (auto [number, operand] : llvm::enumerate(op->getOperands())) {
    RankValue value = known.lookup(operand);
    if (!value.isKnown())
      continue;
    auto name = function.getResultAttrOfType<StringAttr>(number, CleaveDialect::outputAttrName);
    std::string output = name ? name.str() : std::to_string(number);
    if (!value.partial.empty())
      return partialError(rank, op, value, "gives as output '" + Twine(output) + "' the value");
    for (auto [dim, part] : llvm::enumerate(value.dims))
      if (!part.isWhole() && (part.windows.empty() || part.windows.back() != part.range))
        return rankError(rank, op)
               << " gives as output '" << output << "' only " << describe(part) << " of dim " << dim
               << " of '" << values.getName(value.logical) << "'; expected all of it";
    auto [it, isNew] = outputs.try_emplace(output, op.getOperation(), value);
    const RankValue &other = it->second.second;
    if (failed(
            joinDecisions(other.decisions, value.decisions, rank, op, "gives beside other ranks")))
      return failure();
    if (other.logical == value.logical && other.dims == value.dims)
      continue;
    InFlightDiagnostic error = rankError(rank, op)
                               << " gives as output '" << output << "' the value '"
                               << values.getName(value.logical)
                               << "', but another rank gives other elements or another value";
    error.attachNote(it->second.first->getLoc())
        << "'" << values.getName(other.logical) << "' is given here";
    return error;
  }
  return success();
}

LogicalResult
cleave::verifyPartials(const std::map<int64_t, ModuleOp> &ranks,
                       const std::map<std::string, std::map<int64_t, func::FuncOp>> &entries) {
  PartVerifier verifier(ranks);
  if (failed(verifier.findWeights()))
    return failure();
  for (auto &[name, functions] : entries)
    if (failed(verifier.run(functions)))
      return failure();
  return success();
}
