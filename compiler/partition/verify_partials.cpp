// An abstract interpretation of all ranks together. Each value is known as a part of a
// logical value (rank_value.h); compute ops take such parts apart into the factors of their
// sharding rules and put them together again, so that no op is known by name. Where
// messages meet is checked before (verify_ranks.cpp).
#include "compiler/partition/verify_partials.h"

#include "compiler/partition/rank_value.h"

#include <deque>

using namespace mlir;
using namespace cleave;

namespace {

/// The part of an operand's dim that an op reads, and how far it was rebased onto one of
/// its windows to be so (0: not at all).
struct Reading {
  int64_t size;
  ElementRange range;
  unsigned window;
};

/// All readings of a dim, the plain one first.
SmallVector<Reading, 2> getReadings(const PartDim &dim) {
  SmallVector<Reading, 2> readings{{dim.size, dim.range, 0}};
  for (auto [i, window] : llvm::enumerate(dim.windows))
    readings.push_back({window.size(),
                        {dim.range.begin - window.begin, dim.range.end - window.begin},
                        static_cast<unsigned>(i + 1)});
  return readings;
}

/// A dim of an operand.
struct DimRef {
  unsigned operand, dim;
};

/// The operands' dims that are made of one list of factors, and what the op reads of all.
struct FactorGroup {
  ArrayRef<unsigned> factors;
  SmallVector<DimRef, 2> dims;
  Reading reading{0, {}, 0};
  bool keepsWindows = true; ///< whether the results' dims are still windows
};

class PartVerifier {
public:
  explicit PartVerifier(const std::map<int64_t, ModuleOp> &ranks) : ranks(ranks) {}

  LogicalResult findWeights();
  LogicalResult run(const std::map<int64_t, func::FuncOp> &functions);

private:
  struct Cursor {
    Block::iterator next, end;
    bool isDone() const { return next == end; }
  };

  LogicalResult advance(int64_t rank, bool &moved);
  LogicalResult evaluate(int64_t rank, Operation *op);
  LogicalResult evaluateUse(int64_t rank, UseOp use);
  void evaluateSlice(SliceOp slice);
  LogicalResult evaluateCompute(int64_t rank, ShardingRuleOpInterface op);
  LogicalResult readFactors(int64_t rank, ShardingRuleOpInterface op, const ShardingRule &rule,
                            SmallVectorImpl<FactorGroup> &groups);
  LogicalResult checkLeading(int64_t rank, ShardingRuleOpInterface op, const ShardingRule &rule,
                             ArrayRef<FactorGroup> groups);
  LogicalResult checkLocalAttributes(int64_t rank, ShardingRuleOpInterface op);
  FailureOr<SmallVector<Summands, 1>> readPartials(int64_t rank, Operation *op,
                                                   const ShardingRule &rule);
  LogicalResult checkState(int64_t rank, Operation *op);
  LogicalResult evaluateReturn(int64_t rank, func::ReturnOp op);
  LogicalResult evaluateCollective(ArrayRef<std::pair<int64_t, Operation *>> members);
  LogicalResult evaluateReduction(ArrayRef<std::pair<int64_t, Operation *>> members);
  LogicalResult evaluateGather(ArrayRef<std::pair<int64_t, Operation *>> members);

  RankValue rebase(const RankValue &value, unsigned dim, unsigned window);
  unsigned numberOf(ShardingRuleOpInterface op, bool isWhole);
  InFlightDiagnostic partialError(int64_t rank, Operation *op, const RankValue &value,
                                  const Twine &what);

  const std::map<int64_t, ModuleOp> &ranks;
  LogicalValues values;
  /// The ranges of a weight that the ranks hold, together: where each dim begins and ends.
  std::map<std::string, SmallVector<ElementRange, 2>> weights;
  llvm::DenseMap<Value, RankValue> known;
  std::map<int64_t, Cursor> cursors;
  std::map<std::tuple<int64_t, int64_t, int64_t>, std::deque<RankValue>> messages;
  std::map<std::string, std::pair<Operation *, RankValue>> outputs;
  std::map<std::pair<int64_t, std::string>, std::pair<Operation *, PartDim>> states;
};

} // namespace

static RankedTensorType tensorOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

static InFlightDiagnostic opError(int64_t rank, Operation *op) {
  InFlightDiagnostic error = op->emitOpError();
  if (auto name = op->getAttrOfType<StringAttr>(CleaveDialect::nameAttrName))
    error << "(" << name.getValue() << ") ";
  error << "on rank " << rank;
  return error;
}

static SmallVector<PartDim, 3> getWholeDims(RankedTensorType type) {
  SmallVector<PartDim, 3> dims;
  for (int64_t size : type.getShape())
    dims.push_back({size, {0, size}, {}});
  return dims;
}

static bool isRuntime(int64_t size) {
  return ShapedType::isDynamic(size);
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
            values.get({asKey(0), port.getAsOpaquePointer()}, port), getWholeDims(type), {}};
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
    } else if (auto group = op->getAttrOfType<DenseI64ArrayAttr>("group");
               group && isa<AllReduceOp, AllGatherOp, ReduceScatterOp, BroadcastOp>(op)) {
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
  if (auto slice = dyn_cast<SliceOp>(op)) {
    evaluateSlice(slice);
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

/// A slice is its operand's part made smaller. Whether it is a rank's share or an op of the
/// model shows in what follows.
void PartVerifier::evaluateSlice(SliceOp slice) {
  RankValue value = known.lookup(slice.getX());
  PartDim &dim = value.dims[slice.getDim()];
  int64_t begin = dim.range.begin + slice.getBegin();
  bool isWhole = dim.isWhole() || (!dim.windows.empty() && dim.windows.back() == dim.range);
  dim.range = {begin, begin + tensorOf(slice.getResult()).getDimSize(slice.getDim())};
  if (isWhole)
    dim.windows.push_back(dim.range);
  known[slice.getResult()] = value;
}

/// `value`, of which a window of `dim` is the whole.
RankValue PartVerifier::rebase(const RankValue &value, unsigned dim, unsigned window) {
  if (window == 0)
    return value;
  RankValue based = value;
  PartDim &part = based.dims[dim];
  ElementRange base = part.windows[window - 1];
  based.logical =
      values.get({asKey(2), asKey(value.logical), asKey(dim), asKey(base.begin), asKey(base.end)},
                 values.getName(value.logical));
  part.size = base.size();
  part.range = {part.range.begin - base.begin, part.range.end - base.begin};
  part.windows.erase(part.windows.begin(), part.windows.begin() + window);
  for (ElementRange &inner : part.windows)
    inner = {inner.begin - base.begin, inner.end - base.begin};
  return based;
}

static std::string describe(ElementRange range, int64_t size) {
  return (Twine(range.begin) + ":" + Twine(range.end) + " of " + Twine(size)).str();
}

InFlightDiagnostic PartVerifier::partialError(int64_t rank, Operation *op, const RankValue &value,
                                              const Twine &what) {
  const Summands &summands = value.partial.front();
  Operation *origin = values.getCutFactor(summands.factors.front()).op;
  InFlightDiagnostic error = opError(rank, op)
                             << " " << what << " '" << getModelName(origin)
                             << "', which is a partial sum over " << describe(summands, values);
  error.attachNote(origin->getLoc()) << "the partial sum is made here; expected an all_reduce "
                                        "over the ranks that have the other elements";
  return error;
}

/// Whether what an op reads of `dim` of `type` is `reading`. The last dim of a quantized
/// tensor is held in whole blocks.
static bool fits(const Reading &found, const Reading &wanted, RankedTensorType type, unsigned dim) {
  if (found.size != wanted.size)
    return false;
  if (found.range == wanted.range)
    return true;
  auto block = dyn_cast<BlockType>(type.getElementType());
  if (!block || dim + 1 != type.getRank() || isRuntime(wanted.size) || wanted.range.size() == 0)
    return false;
  int64_t length = block.getBlockLength();
  return found.range == ElementRange{wanted.range.begin / length * length,
                                     (wanted.range.end + length - 1) / length * length};
}

/// Collects what the op reads by lists of factors: dims made of the same factors must be
/// read alike. Chooses windows.
LogicalResult PartVerifier::readFactors(int64_t rank, ShardingRuleOpInterface op,
                                        const ShardingRule &rule,
                                        SmallVectorImpl<FactorGroup> &groups) {
  // Blocks last: the exact range is another operand's.
  for (bool blocks : {false, true})
    for (auto [operand, dims] : llvm::enumerate(rule.operands)) {
      RankedTensorType type = tensorOf(op->getOperand(operand));
      if (isa<BlockType>(type.getElementType()) != blocks)
        continue;
      for (auto [dim, factors] : llvm::enumerate(dims)) {
        auto *group = llvm::find_if(
            groups, [&](auto &each) { return each.factors == ArrayRef<unsigned>(factors); });
        if (group == groups.end()) {
          groups.push_back({factors, {}, {0, {}, 0}, true});
          group = &groups.back();
        }
        group->dims.push_back({static_cast<unsigned>(operand), static_cast<unsigned>(dim)});
      }
    }
  SmallVector<SmallVector<unsigned, 4>, 4> windows;
  for (Value operand : op->getOperands())
    windows.emplace_back(tensorOf(operand).getRank(), 0);
  auto partOf = [&](DimRef ref) -> PartDim {
    return known.find(op->getOperand(ref.operand))->second.dims[ref.dim];
  };
  for (FactorGroup &group : groups) {
    bool mustBeWhole = rule.factors[group.factors.front()].kind == FactorKind::whole;
    auto choose = [&](const Reading &wanted) {
      if (mustBeWhole && wanted.range != ElementRange{0, wanted.size})
        return false;
      for (DimRef ref : group.dims) {
        SmallVector<Reading, 2> readings = getReadings(partOf(ref));
        auto *found = llvm::find_if(readings, [&](const Reading &each) {
          return fits(each, wanted, tensorOf(op->getOperand(ref.operand)), ref.dim);
        });
        if (found == readings.end())
          return false;
        windows[ref.operand][ref.dim] = found->window;
      }
      group.reading = wanted;
      return true;
    };
    if (llvm::none_of(getReadings(partOf(group.dims.front())), choose)) {
      InFlightDiagnostic error = opError(rank, op) << " reads ";
      llvm::interleave(
          group.dims,
          [&](DimRef ref) {
            error << describe(partOf(ref).range, partOf(ref).size) << " of '"
                  << values.getName(known.find(op->getOperand(ref.operand))->second.logical)
                  << "' (dim " << ref.dim << ")";
          },
          [&] { error << " with "; });
      return error << (mustBeWhole ? "; it needs the whole dim"
                                   : "; expected the same elements of each");
    }
    for (DimRef ref : group.dims)
      group.keepsWindows &= windows[ref.operand][ref.dim] < getReadings(partOf(ref)).size() - 1;
  }
  // Rebasing is for this op alone, and rare.
  for (auto [number, operand] : llvm::enumerate(op->getOperands()))
    for (auto [dim, window] : llvm::enumerate(windows[number]))
      if (window != 0)
        known[operand] = rebase(known[operand], dim, window);
  return checkLeading(rank, op, rule, groups);
}

/// Dims that begin with the same factor but go on differently (queries and keys) are cut
/// between the same elements of that factor, and never inside a factor that must be whole.
LogicalResult PartVerifier::checkLeading(int64_t rank, ShardingRuleOpInterface op,
                                         const ShardingRule &rule, ArrayRef<FactorGroup> groups) {
  llvm::SmallDenseMap<unsigned, std::pair<Reading, const FactorGroup *>> leading;
  for (const FactorGroup &group : groups) {
    const Reading &reading = group.reading;
    if (isRuntime(reading.size) || reading.range.size() == 0)
      continue;
    int64_t inner = 1, unit = 1;
    for (unsigned factor : llvm::reverse(group.factors.drop_front())) {
      inner *= rule.factors[factor].size;
      if (rule.factors[factor].kind == FactorKind::whole)
        unit = inner;
    }
    if (inner == 0)
      continue;
    if (reading.range.begin % unit != 0 || reading.range.end % unit != 0)
      return opError(rank, op) << " reads " << describe(reading.range, reading.size)
                               << ", which is cut inside a unit of " << unit;
    Reading covered{reading.size / inner,
                    {reading.range.begin / inner, (reading.range.end + inner - 1) / inner},
                    0};
    auto [it, isNew] = leading.try_emplace(group.factors.front(), covered, &group);
    if (!isNew &&
        (it->second.first.range != covered.range || it->second.first.size != covered.size))
      return opError(rank, op) << " reads "
                               << describe(it->second.second->reading.range,
                                           it->second.second->reading.size)
                               << " of operand " << it->second.second->dims.front().operand
                               << " with " << describe(reading.range, reading.size)
                               << " of operand " << group.dims.front().operand
                               << ", which do not belong together";
  }
  return success();
}

/// The attributes that depend on the rank are those of the ranges that it reads.
LogicalResult PartVerifier::checkLocalAttributes(int64_t rank, ShardingRuleOpInterface op) {
  LocalRanges ranges;
  for (Value operand : op->getOperands()) {
    auto &own = ranges.operands.emplace_back();
    auto &sizes = ranges.operandSizes.emplace_back();
    for (const PartDim &dim : known[operand].dims) {
      own.push_back(isRuntime(dim.size) ? ElementRange{0, 0} : dim.range);
      sizes.push_back(dim.size);
    }
  }
  Operation *expected = op->clone();
  for (StringRef name : op.getLocalAttributes())
    expected->removeAttr(name);
  expected->getName().populateDefaultProperties(expected->getPropertiesStorage());
  cast<ShardingRuleOpInterface>(expected).localize(ranges);
  LogicalResult result = success();
  for (StringRef name : op.getLocalAttributes())
    if (succeeded(result) && op->getAttr(name) != expected->getAttr(name)) {
      auto show = [](InFlightDiagnostic &error, Attribute attr) {
        if (attr)
          error << attr;
        else
          error << "none";
      };
      InFlightDiagnostic error = opError(rank, op) << " has " << name << " ";
      show(error, op->getAttr(name));
      error << ", but the elements that it reads ask for ";
      show(error, expected->getAttr(name));
      result = error;
    }
  expected->erase();
  return result;
}

/// The summands that pass from operands to results. Ops that are not linear read whole
/// values only.
FailureOr<SmallVector<Summands, 1>> PartVerifier::readPartials(int64_t rank, Operation *op,
                                                               const ShardingRule &rule) {
  SmallVector<Summands, 1> passed;
  const RankValue *first = nullptr, *whole = nullptr;
  for (auto [number, operand] : llvm::enumerate(op->getOperands())) {
    const RankValue &value = known[operand];
    if (!llvm::is_contained(rule.linearIn, number)) {
      if (!value.partial.empty())
        return partialError(rank, op, value, "needs a whole value, but reads");
      continue;
    }
    if (value.partial.empty()) {
      whole = &value;
      continue;
    }
    first = first ? first : &value;
    for (const Summands &summands : value.partial) {
      auto *same = llvm::find_if(
          passed, [&](const Summands &each) { return each.factors == summands.factors; });
      if (same == passed.end())
        passed.push_back(summands);
      else if (same->boxes != summands.boxes)
        return partialError(rank, op, value, "puts other summands together with those of");
    }
  }
  if (first && whole)
    return partialError(rank, op, *first,
                        "puts the whole value '" + values.getName(whole->logical) +
                            "' together with");
  return passed;
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
  InFlightDiagnostic error = opError(rank, op)
                             << " writes elements " << describe(width.range, width.size)
                             << " into state '" << update.getState() << "'";
  error.attachNote(it->second.first->getLoc())
      << "elements " << describe(it->second.second.range, it->second.second.size)
      << " are written here";
  return error;
}

/// The logical value that an op gives: its name, attributes and operands. Attributes that
/// depend on the rank belong to the model only where the rank has all.
unsigned PartVerifier::numberOf(ShardingRuleOpInterface op, bool isWhole) {
  std::vector<const void *> key{asKey(3), op->getName().getAsOpaquePointer()};
  SmallVector<StringRef, 2> local = op.getLocalAttributes();
  if (auto attributes = dyn_cast_or_null<DictionaryAttr>(op->getPropertiesAsAttribute()))
    for (NamedAttribute attribute : attributes) {
      bool isLocal = llvm::is_contained(local, attribute.getName().getValue());
      auto number = dyn_cast<IntegerAttr>(attribute.getValue());
      if (isLocal && (!isWhole || (number && number.getValue().isZero())))
        continue;
      key.push_back(attribute.getName().getAsOpaquePointer());
      key.push_back(attribute.getValue().getAsOpaquePointer());
    }
  for (Value operand : op->getOperands())
    key.push_back(asKey(known[operand].logical));
  for (Type type : op->getResultTypes())
    key.push_back(cast<RankedTensorType>(type).getElementType().getAsOpaquePointer());
  return values.get(std::move(key), getModelName(op));
}

LogicalResult PartVerifier::evaluateCompute(int64_t rank, ShardingRuleOpInterface op) {
  ShardingRule rule = op.getShardingRule();
  SmallVector<FactorGroup, 4> groups;
  // Windows that this op reads as whole dims are so for it alone.
  SmallVector<std::pair<Value, RankValue>, 2> before;
  for (Value operand : op->getOperands())
    before.emplace_back(operand, known[operand]);
  if (failed(readFactors(rank, op, rule, groups)))
    return failure();
  FailureOr<SmallVector<Summands, 1>> passed = readPartials(rank, op, rule);
  if (failed(passed))
    return failure();
  bool isWhole = llvm::all_of(op->getOperands(), [&](Value operand) {
    return llvm::all_of(known[operand].dims, [](const PartDim &dim) { return dim.isWhole(); });
  });
  if (!isWhole && failed(checkLocalAttributes(rank, op)))
    return failure();

  unsigned logical = numberOf(op, isWhole);
  SmallVector<Summands, 1> partial = *passed;
  for (const FactorGroup &group : groups) {
    unsigned factor = group.factors.front();
    const Reading &reading = group.reading;
    if (rule.factors[factor].kind != FactorKind::sum || isRuntime(reading.size) ||
        reading.range == ElementRange{0, reading.size})
      continue;
    CutFactor cut{op, reading.size, ""};
    for (DimRef ref : group.dims)
      if (auto use = op->getOperand(ref.operand).getDefiningOp<UseOp>())
        cut.weight = use.getWeight().str();
    unsigned number = values.getCutFactor(logical, factor, cut);
    if (partial.empty())
      partial.push_back({{}, {Summands::Box()}});
    for (Summands &summands : partial) {
      summands.factors.push_back(number);
      for (Summands::Box &box : summands.boxes)
        box.push_back(reading.range);
    }
  }
  for (auto [number, result, dims] : llvm::enumerate(op->getResults(), rule.results)) {
    RankValue value{values.get({asKey(4), asKey(logical), asKey(number)}, getModelName(op)),
                    getWholeDims(tensorOf(result)), partial};
    for (auto [dim, factors] : llvm::enumerate(dims)) {
      auto *group = llvm::find_if(
          groups, [&](auto &each) { return each.factors == ArrayRef<unsigned>(factors); });
      if (group == groups.end() || isRuntime(group->reading.size))
        continue;
      value.dims[dim] = {group->reading.size, group->reading.range, {}};
      DimRef first = group->dims.front();
      if (group->keepsWindows)
        value.dims[dim].windows = known[op->getOperand(first.operand)].dims[first.dim].windows;
    }
    known[result] = value;
  }
  for (auto &[operand, value] : before)
    known[operand] = value;
  return checkState(rank, op);
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
        return opError(rank, op) << " gives as output '" << output << "' only "
                                 << describe(part.range, part.size) << " of dim " << dim << " of '"
                                 << values.getName(value.logical) << "'; expected all of it";
    auto [it, isNew] = outputs.try_emplace(output, op.getOperation(), value);
    const RankValue &other = it->second.second;
    if (other.logical == value.logical && other.dims == value.dims)
      continue;
    InFlightDiagnostic error = opError(rank, op)
                               << " gives as output '" << output << "' the value '"
                               << values.getName(value.logical)
                               << "', but another rank gives other elements or another value";
    error.attachNote(it->second.first->getLoc())
        << "'" << values.getName(other.logical) << "' is given here";
    return error;
  }
  return success();
}

LogicalResult PartVerifier::evaluateCollective(ArrayRef<std::pair<int64_t, Operation *>> members) {
  for (auto [rank, op] : members)
    if (!known.lookup(op->getOperand(0)).isKnown())
      return success(); // nor are the results known
  Operation *op = members.front().second;
  if (isa<BroadcastOp>(op)) {
    RankValue sent = known[op->getOperand(0)];
    for (auto [rank, at] : members)
      known[at->getResult(0)] = sent;
    return success();
  }
  for (auto [rank, other] : members.drop_front()) {
    const RankValue &mine = known[op->getOperand(0)], &theirs = known[other->getOperand(0)];
    std::optional<int64_t> gathered;
    if (auto gather = dyn_cast<AllGatherOp>(op))
      gathered = gather.getDim();
    bool sameDims = mine.dims.size() == theirs.dims.size();
    for (size_t dim = 0; sameDims && dim < mine.dims.size(); ++dim)
      if (dim != gathered)
        sameDims = mine.dims[dim].range == theirs.dims[dim].range &&
                   mine.dims[dim].size == theirs.dims[dim].size;
    if (mine.logical == theirs.logical && sameDims)
      continue;
    InFlightDiagnostic error =
        opError(members.front().first, op)
        << " has " << (mine.logical == theirs.logical ? "other elements of '" : "'")
        << values.getName(mine.logical)
        << (mine.logical == theirs.logical ? "' than" : "', another value than") << " rank "
        << rank;
    error.attachNote(other->getLoc())
        << "rank " << rank << " has '" << values.getName(theirs.logical) << "' here";
    return error;
  }
  return isa<AllGatherOp>(op) ? evaluateGather(members) : evaluateReduction(members);
}

/// A sum is whole when its summands were all there, each once. Where shares are so uneven
/// that one rank has all summands, its value is whole before, and the others' are empty.
LogicalResult PartVerifier::evaluateReduction(ArrayRef<std::pair<int64_t, Operation *>> members) {
  auto [firstRank, op] = members.front();
  const auto *partial = llvm::find_if(members, [&](const auto &member) {
    return !known[member.second->getOperand(0)].partial.empty();
  });
  RankValue sum = known[(partial == members.end() ? op : partial->second)->getOperand(0)];
  if (members.size() > 1 && sum.partial.empty())
    return opError(firstRank, op) << " adds up '" << values.getName(sum.logical)
                                  << "', which is no partial sum on any rank of the group, and so "
                                     "counts it "
                                  << members.size() << " times";
  // Who has which box, to name both ends.
  struct Held {
    int64_t rank;
    Summands::Box box;
  };
  for (auto [part, summands] : llvm::enumerate(sum.partial)) {
    SmallVector<Held> held;
    for (auto [rank, at] : members) {
      const RankValue &value = known[at->getOperand(0)];
      if (value.partial.empty()) {
        Summands::Box all;
        for (unsigned factor : summands.factors)
          all.push_back({0, values.getCutFactor(factor).size});
        held.push_back({rank, all});
        continue;
      }
      if (value.partial.size() != sum.partial.size() ||
          value.partial[part].factors != summands.factors)
        return partialError(rank, at, value, "adds up other partial sums than its group, those of");
      for (const Summands::Box &box : value.partial[part].boxes)
        held.push_back({rank, box});
    }
    summands.boxes.clear();
    for (auto [i, mine] : llvm::enumerate(held)) {
      for (const Held &other : ArrayRef(held).take_front(i))
        if (std::optional<Summands::Box> common = intersect(mine.box, other.box)) {
          Summands twice{summands.factors, {*common}};
          InFlightDiagnostic error = opError(firstRank, op)
                                     << " adds up the summands over " << describe(twice, values)
                                     << " twice, from rank " << other.rank << " and from rank "
                                     << mine.rank;
          error.attachNote(values.getCutFactor(summands.factors.front()).op->getLoc())
              << "the partial sum is made here";
          return error;
        }
      if (llvm::none_of(mine.box, [](ElementRange range) { return range.size() == 0; }))
        summands.boxes.push_back(mine.box);
    }
    llvm::sort(summands.boxes, [](const Summands::Box &a, const Summands::Box &b) {
      return std::lexicographical_compare(
          a.begin(), a.end(), b.begin(), b.end(),
          [](ElementRange x, ElementRange y) { return x.begin < y.begin; });
    });
  }
  if (llvm::all_of(sum.partial, [&](const Summands &each) { return isComplete(each, values); }))
    sum.partial.clear();
  for (auto [place, member] : llvm::enumerate(members)) {
    RankValue value = sum;
    if (auto scatter = dyn_cast<ReduceScatterOp>(member.second)) {
      PartDim &dim = value.dims[scatter.getDim()];
      ElementRange range = getRanges(scatter.getRanges())[place];
      // The ranges are of what the rank has.
      dim.range = {dim.range.begin + range.begin, dim.range.begin + range.end};
    }
    known[member.second->getResult(0)] = value;
  }
  return success();
}

/// Each member's share is the one that its range says, of all or of a window.
LogicalResult PartVerifier::evaluateGather(ArrayRef<std::pair<int64_t, Operation *>> members) {
  auto gather = cast<AllGatherOp>(members.front().second);
  unsigned dim = gather.getDim();
  SmallVector<ElementRange> ranges = getRanges(gather.getRanges());
  const RankValue first = known[gather.getX()];
  int64_t size = tensorOf(gather.getResult()).getDimSize(dim);
  unsigned readings = getReadings(first.dims[dim]).size();
  std::string found;
  for (unsigned window = 0; window < readings; ++window) {
    bool allFit = true;
    for (auto [place, member] : llvm::enumerate(members)) {
      const RankValue &value = known[member.second->getOperand(0)];
      SmallVector<Reading, 2> own = getReadings(value.dims[dim]);
      bool fit = window < own.size() && own[window].size == size &&
                 (own[window].range == ranges[place] ||
                  (own[window].range.size() == 0 && ranges[place].size() == 0));
      if (!fit && found.empty())
        found = "rank " + std::to_string(member.first) + " has elements " +
                describe(value.dims[dim].range, value.dims[dim].size) + " of '" +
                values.getName(value.logical).str() + "', but its range is " +
                describe(ranges[place], size);
      allFit &= fit;
    }
    if (!allFit)
      continue;
    RankValue joined = rebase(first, dim, window);
    joined.dims[dim].range = {0, size};
    joined.dims[dim].windows.clear();
    for (auto [rank, op] : members) {
      const RankValue &own = known[op->getOperand(0)];
      if (own.partial != first.partial)
        return partialError(rank, op, own.partial.empty() ? first : own,
                            "joins shares of different summands of");
    }
    for (auto [rank, op] : members)
      known[op->getResult(0)] = joined;
    return success();
  }
  return opError(members.front().first, gather) << " joins what does not belong there: " << found;
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
