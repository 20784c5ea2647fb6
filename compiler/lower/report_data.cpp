// Counting what ranks hold, compute and communicate: fused ops as those that they stand for.
#include "compiler/lower/report_data.h"

#include "dialect/dialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/BitVector.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MathExtras.h"

#include <map>

using namespace mlir;
using namespace cleave;

std::optional<NumberedName> cleave::splitAtNumber(StringRef name) {
  for (size_t dot = name.find('.'); dot != StringRef::npos; dot = name.find('.', dot + 1)) {
    StringRef rest = name.drop_front(dot + 1);
    StringRef digits = rest.take_while([](char c) { return llvm::isDigit(c); });
    int64_t number;
    if (digits.getAsInteger(10, number))
      continue;
    if (rest.size() == digits.size() || rest[digits.size()] == '.')
      return NumberedName{name.take_front(dot), number, rest.drop_front(digits.size())};
  }
  return std::nullopt;
}

/// A run-time size when all symbols are 1.
static int64_t sizeOfOneToken(StringAttr name) {
  auto one = [](std::string_view) { return std::optional<int64_t>(1); };
  return std::max<int64_t>(getSize(name).evaluate(one).value_or(1), 1);
}

/// Bytes of a value when run-time sizes are 1; of a share the mean.
static int64_t bytesPerToken(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  int64_t elements = 1;
  int64_t shares = 1;
  for (unsigned dim = 0; dim < tensor.getRank(); ++dim) {
    StringAttr name = getDimName(tensor, dim);
    std::optional<DimShare> share = name ? getDimShare(name) : std::nullopt;
    if (share)
      shares *= share->count;
    elements *= tensor.isDynamicDim(dim) ? sizeOfOneToken(share ? share->base : name)
                                         : tensor.getDimSize(dim);
  }
  const ElementTypeInfo &info = *getElementTypeInfo(tensor.getElementType());
  return elements / info.blockLength * info.blockBytes / shares;
}

static void addTraffic(SmallVectorImpl<Traffic> &list, const Traffic &more) {
  auto it = llvm::find_if(list, [&](const Traffic &known) {
    return known.op == more.op && known.onlyFor == more.onlyFor;
  });
  if (it == list.end()) {
    list.push_back(more);
    return;
  }
  it->count += more.count;
  it->bytes += more.bytes;
}

// ---- Ranks ----

/// The axes of the mesh; modules that were edited may have none.
static SmallVector<std::pair<StringRef, int64_t>> readMesh(ModuleOp module) {
  SmallVector<std::pair<StringRef, int64_t>> axes;
  for (MeshOp mesh : module.getOps<MeshOp>())
    if (axes.empty())
      for (auto [axis, size] :
           llvm::zip_equal(mesh.getAxes().getAsValueRange<StringAttr>(), mesh.getSizes()))
        axes.emplace_back(axis, size);
  return axes;
}

/// For each op of an entry that serves some of its outputs only, these. What a rank has for
/// its effect serves all, and so does what no output of this rank shows. A run leaves out what
/// serves no output that it asks for.
static void findServed(func::FuncOp entry, llvm::DenseMap<Operation *, StringRef> &names) {
  Block &body = entry.getFunctionBody().front();
  unsigned count = body.getTerminator()->getNumOperands();
  llvm::BitVector all(count, true);
  llvm::DenseMap<Value, llvm::BitVector> served;
  auto serve = [&](Value value, const llvm::BitVector &outputs) {
    auto [it, isNew] = served.try_emplace(value, outputs);
    if (!isNew)
      it->second |= outputs;
  };
  for (OpOperand &operand : body.getTerminator()->getOpOperands()) {
    llvm::BitVector own(count);
    own.set(operand.getOperandNumber());
    serve(operand.get(), own);
  }
  for (Operation &op : llvm::reverse(body.without_terminator())) {
    llvm::BitVector outputs(count);
    for (Value result : op.getResults())
      if (auto it = served.find(result); it != served.end())
        outputs |= it->second;
    if (isa<StateUpdateOp, SendOp, RecvOp>(op) || outputs.none())
      outputs = all;
    for (Value operand : op.getOperands())
      serve(operand, outputs);
    if (outputs == all)
      continue;
    SmallVector<std::string> texts;
    for (unsigned i : outputs.set_bits())
      if (auto name = entry.getResultAttrOfType<StringAttr>(i, CleaveDialect::outputAttrName))
        texts.push_back(name.str());
    names[&op] = StringAttr::get(entry.getContext(), llvm::join(texts, ", ")).getValue();
  }
}

static RankReport describeRank(ModuleOp module, const Report &all) {
  RankReport report;
  report.rank = module->getAttrOfType<IntegerAttr>(CleaveDialect::rankAttrName).getInt();
  report.stage = getStage(module);
  auto place = module->getAttrOfType<DictionaryAttr>(CleaveDialect::coordinateAttrName);
  for (auto [axis, size] : all.mesh)
    if (auto at = place ? place.getAs<IntegerAttr>(axis) : IntegerAttr())
      report.coordinate.emplace_back(axis, at.getInt());
  if (place && report.coordinate.size() != place.size()) {
    report.coordinate.clear();
    for (NamedAttribute axis : place)
      report.coordinate.emplace_back(axis.getName().getValue(),
                                     cast<IntegerAttr>(axis.getValue()).getInt());
  }
  for (WeightOp weight : module.getOps<WeightOp>())
    report.weightBytes += getTensorBytes(weight.getTensorType());
  for (StateOp state : module.getOps<StateOp>())
    report.cacheBytes += bytesPerToken(state.getType());
  llvm::DenseMap<Operation *, StringRef> served;
  for (auto function : module.getOps<func::FuncOp>())
    findServed(function, served);
  module.walk([&](Operation *op) {
    if (auto linear = dyn_cast<LinearOp>(op)) {
      // For one token: x and the weight are what counts, run-time sizes as one.
      uint64_t operations = 2;
      for (int64_t size : cast<RankedTensorType>(linear.getX().getType()).getShape())
        if (!ShapedType::isDynamic(size))
          operations = llvm::SaturatingMultiply<uint64_t>(operations, size);
      auto weight = cast<RankedTensorType>(linear.getWeight().getType());
      operations = llvm::SaturatingMultiply<uint64_t>(operations, weight.getDimSize(0));
      report.operations += std::min<uint64_t>(operations, int64_t{1} << 50);
    }
    if (auto conv = dyn_cast<ConvOp>(op)) {
      // Each element of an image's result takes the filter of its channel.
      uint64_t operations = 2;
      auto count = [&](ArrayRef<int64_t> sizes) {
        for (int64_t size : sizes)
          operations = llvm::SaturatingMultiply<uint64_t>(operations, size);
      };
      count(cast<RankedTensorType>(conv.getFilter().getType()).getShape());
      count(cast<RankedTensorType>(conv.getType()).getShape().drop_front(2));
      report.operations += std::min<uint64_t>(operations, int64_t{1} << 50);
    }
    if (auto moe = dyn_cast<MoeOp>(op)) {
      // At most: how many of a token's experts are this rank's depends on the token.
      auto shape = [](Value value) { return cast<RankedTensorType>(value.getType()).getShape(); };
      ArrayRef<int64_t> gate = shape(moe.getGate());
      report.operations += 2 * std::min(shape(moe.getChosen())[1], gate[0]) * gate[1] *
                           (2 * gate[2] + shape(moe.getDown())[1]);
    }
    if (!communicates(op))
      return;
    Type type = op->getNumResults() ? op->getResult(0).getType() : op->getOperand(0).getType();
    if (isa<ReduceScatterOp, AllToAllOp>(op))
      type = op->getOperand(0).getType();
    auto place = op->getAttrOfType<IntegerAttr>(CleaveDialect::placeInMessageAttrName);
    bool isMessage = !place || place.getInt() == 0;
    addTraffic(report.traffic,
               {op->getName().stripDialect(), served.lookup(op), isMessage, bytesPerToken(type)});
  });
  return report;
}

// ---- Stages ----

/// "blk.3" of an op in it, else the op's name.
static std::string getPart(Operation *op) {
  StringRef name = getModelName(op);
  if (std::optional<NumberedName> numbered = splitAtNumber(name))
    return name.drop_back(numbered->after.size()).str();
  return name.str();
}

/// The parts of a stage in the order in which it computes them; those that other stages
/// compute, too, are marked, and runs of blocks are ranges.
static std::vector<std::string> joinParts(ArrayRef<std::string> parts,
                                          const std::map<std::string, std::set<int64_t>> &stages) {
  std::vector<std::string> joined;
  std::string first;
  std::optional<NumberedName> last;
  for (const std::string &part : parts) {
    bool isShared = stages.at(part).size() > 1;
    std::optional<NumberedName> numbered = isShared ? std::nullopt : splitAtNumber(part);
    if (numbered && last && numbered->before == last->before &&
        numbered->number == last->number + 1) {
      joined.back() = first + " to " + part;
    } else {
      joined.push_back(isShared && splitAtNumber(part) ? "part of " + part : part);
      first = part;
    }
    last = numbered;
  }
  return joined;
}

static std::vector<StageReport> describeStages(ModuleOp module) {
  std::map<int64_t, StageReport> stages;
  std::map<int64_t, llvm::SmallVector<std::string>> parts;
  std::map<std::string, std::set<int64_t>> stagesOf;
  for (ModuleOp rank : module.getOps<ModuleOp>()) {
    int64_t stage = getStage(rank);
    auto [it, isFirst] = stages.try_emplace(stage);
    ++it->second.ranks;
    if (!isFirst)
      continue;
    it->second.stage = stage;
    it->second.firstRank = rank->getAttrOfType<IntegerAttr>(CleaveDialect::rankAttrName).getInt();
    rank.walk([&](ShardingRuleOpInterface op) {
      std::string part = getPart(op);
      if (op->hasAttr(CleaveDialect::nameAttrName) && stagesOf[part].insert(stage).second)
        parts[stage].push_back(part);
    });
  }
  std::vector<StageReport> result;
  for (auto &[stage, report] : stages) {
    report.parts = joinParts(parts[stage], stagesOf);
    result.push_back(std::move(report));
  }
  return result;
}

// ---- Weights ----

/// The elements that at least one of `boxes` covers, each box a range of every dim.
static int64_t countCovered(const std::set<std::vector<int64_t>> &boxes, size_t dim = 0) {
  if (boxes.empty())
    return 0;
  if (2 * dim == boxes.begin()->size())
    return 1;
  std::set<int64_t> bounds;
  for (const std::vector<int64_t> &box : boxes)
    bounds.insert({box[2 * dim], box[2 * dim + 1]});
  int64_t covered = 0;
  for (auto begin = bounds.begin(), end = std::next(begin); end != bounds.end(); begin = end++) {
    std::set<std::vector<int64_t>> here;
    for (const std::vector<int64_t> &box : boxes) {
      if (box[2 * dim] > *begin)
        break; // they are sorted
      if (*end > box[2 * dim + 1])
        continue;
      std::vector<int64_t> rest = box;
      rest[2 * dim] = rest[2 * dim + 1] = 0; // alike from here on
      here.insert(std::move(rest));
    }
    covered += (*end - *begin) * countCovered(here, dim + 1);
  }
  return covered;
}

static std::vector<Holding> describeWeights(ModuleOp module) {
  struct Slices {
    Holding holding;
    std::set<std::vector<int64_t>> boxes;
    const ElementTypeInfo *info = nullptr;
  };
  // By name and number of dims, which modules edited by hand may give differently.
  llvm::MapVector<std::pair<StringRef, unsigned>, Slices> weights;
  for (ModuleOp rank : module.getOps<ModuleOp>())
    for (WeightOp weight : rank.getOps<WeightOp>()) {
      Slices &slices = weights[{weight.getSymName(), weight.getTensorType().getRank()}];
      int64_t bytes = getTensorBytes(weight.getTensorType());
      std::vector<int64_t> box;
      if (weight.getSlice())
        box.assign(weight.getSlice()->begin(), weight.getSlice()->end());
      else
        for (int64_t size : weight.getTensorType().getShape())
          box.insert(box.end(), {0, size});
      Holding &holding = slices.holding;
      holding.name = weight.getSymName();
      ++holding.ranks;
      holding.bytes += bytes;
      holding.empty += bytes == 0;
      holding.stages.insert(getStage(rank));
      if (bytes > 0)
        slices.boxes.insert(std::move(box));
      slices.info = getElementTypeInfo(weight.getTensorType().getElementType());
    }
  std::vector<Holding> holdings;
  for (auto &[key, slices] : weights) {
    slices.holding.distinct =
        countCovered(slices.boxes) / slices.info->blockLength * slices.info->blockBytes;
    holdings.push_back(std::move(slices.holding));
  }
  return holdings;
}

Report cleave::makeReport(ModuleOp ranks) {
  IRMapping values;
  OwningOpRef<ModuleOp> expanded = cloneExpanded(ranks, values);
  ModuleOp module = *expanded;
  Report report;
  report.mesh = readMesh(module);
  report.stages = describeStages(module);
  for (ModuleOp rank : module.getOps<ModuleOp>()) {
    report.ranks.push_back(describeRank(rank, report));
    for (const Traffic &traffic : report.ranks.back().traffic)
      addTraffic(report.traffic, traffic);
  }
  report.weights = describeWeights(module);
  for (const Holding &holding : report.weights) {
    report.weightBytes += holding.bytes;
    report.copiedBytes += holding.getCopies();
  }
  return report;
}
