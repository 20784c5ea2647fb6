// Two runs and their comparison. When outputs differ, a second run gives the values in
// between as well.
#include "compiler/lower/check.h"

#include "compiler/lower/check_inputs.h"
#include "compiler/lower/check_trace.h"
#include "compiler/lower/rank_memory.h"
#include "runtime/program/candidates.h"
#include "runtime/program/half.h"
#include "runtime/program/program.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/Support/Format.h"

#include <cmath>
#include <set>

using namespace mlir;
using namespace cleave;

namespace {

using Sizes = std::map<std::string, int64_t, std::less<>>;

/// How far two arrays are apart.
struct Difference {
  double largest = 0;
  int64_t at = 0;       ///< the element in the model's array
  double magnitude = 0; ///< the model's largest
};

int64_t rankOf(ModuleOp rank) {
  return rank->getAttrOfType<IntegerAttr>(CleaveDialect::rankAttrName).getInt();
}

SmallVector<ModuleOp> getRanks(ModuleOp module) {
  SmallVector<ModuleOp> ranks(module.getOps<ModuleOp>());
  llvm::sort(ranks, [](ModuleOp a, ModuleOp b) { return rankOf(a) < rankOf(b); });
  return ranks;
}

Operation *errorPlace(ModuleOp module, StringRef entry) {
  for (ModuleOp rank : module.getOps<ModuleOp>())
    if (Operation *function = rank.lookupSymbol(entry))
      return function;
  return module;
}

class Check {
public:
  Check(ModuleOp whole, ModuleOp ranks, StringRef entry, llvm::raw_ostream &os)
      : whole(whole), ranks(ranks), entry(entry), os(os) {}

  LogicalResult run();

private:
  func::FuncOp getWholeEntry() { return getRanks(whole).front().lookupSymbol<func::FuncOp>(entry); }
  FailureOr<rt::NamedArrays> evaluate(ModuleOp module, StringRef what);
  FailureOr<bool> compareOutputs(const rt::NamedArrays &expected, const rt::NamedArrays &found);
  LogicalResult explain();
  std::string describeElement(RankedTensorType type, int64_t element);

  ModuleOp whole, ranks;
  StringRef entry;
  llvm::raw_ostream &os;
  Sizes sizes;
  rt::NamedArrays inputs;
  WeightSources sources;
};

} // namespace

/// How many terms an op sums for one element of its result, at least 1.
static int64_t countTerms(Operation &op) {
  auto width = [](Value value) {
    return cast<RankedTensorType>(value.getType()).getShape().back();
  };
  if (auto linear = dyn_cast<LinearOp>(op))
    return width(linear.getX());
  if (auto conv = dyn_cast<ConvOp>(op)) {
    auto filter = cast<RankedTensorType>(conv.getFilter().getType());
    return std::max<int64_t>(1,
                             filter.getNumElements() / std::max<int64_t>(1, filter.getDimSize(0)));
  }
  if (auto norm = dyn_cast<RmsNormOp>(op))
    return width(norm.getX());
  if (auto moe = dyn_cast<MoeOp>(op))
    return width(moe.getX()) + width(moe.getDown()) * width(moe.getChosen());
  // Scores over a head, then the softmax and the mean over a context of a few rows.
  if (auto attention = dyn_cast<AttentionOp>(op))
    return 2 * attention.getHeadDim();
  return 1;
}

/// For each value, how many terms are summed in the ops of the entry up to its own.
static llvm::DenseMap<Value, int64_t> countTerms(func::FuncOp entry) {
  llvm::DenseMap<Value, int64_t> terms;
  int64_t sum = 0;
  for (Operation &op : entry.getFunctionBody().front()) {
    sum += countTerms(op);
    for (Value result : op.getResults())
      terms[result] = sum;
  }
  return terms;
}

/// Half a unit in the last place of 1, of the coarsest type in which the entry computes; f32
/// where all are finer, as most ops compute in it.
static double getPrecision(func::FuncOp entry) {
  double precision = 0x1p-24;
  entry.walk([&](Operation *op) {
    for (Value result : op->getResults())
      if (auto type = dyn_cast<RankedTensorType>(result.getType()); type && !isa<UseOp>(op)) {
        if (type.getElementType().isF16())
          precision = std::max(precision, 0x1p-11);
        else if (type.getElementType().isBF16())
          precision = std::max(precision, 0x1p-8);
      }
  });
  return precision;
}

/// How far a value of this magnitude may move with the order of `terms` terms; see checkRanks.
static double getTolerance(double precision, int64_t terms, double magnitude) {
  return 16 * precision * std::sqrt(terms) * magnitude;
}

/// Element `i` of an array of floats.
static double getFloat(ElementType type, ArrayRef<std::byte> bytes, int64_t i) {
  auto get = [&](auto element) {
    std::memcpy(&element, bytes.data() + i * sizeof element, sizeof element);
    return element;
  };
  switch (type) {
  case ElementType::f64:
    return get(double());
  case ElementType::f16:
    return rt::floatOfF16(get(uint16_t()));
  case ElementType::bf16:
    return rt::floatOfBf16(get(uint16_t()));
  default:
    return get(float());
  }
}

FailureOr<rt::NamedArrays> Check::evaluate(ModuleOp module, StringRef what) {
  try {
    SmallVector<ModuleOp> modules = getRanks(module);
    std::vector<rt::RankInMemory> loaded;
    for (ModuleOp rank : modules) {
      FailureOr<rt::RankInMemory> made = loadRank(rank, modules.size(), sources);
      if (failed(made))
        return failure();
      loaded.push_back(std::move(*made));
    }
    rt::EvaluationOptions options;
    options.entry = entry;
    options.sizes = sizes;
    options.stateType = ElementType::f32;
    return rt::evaluate(std::move(loaded), inputs, options);
  } catch (const std::exception &error) {
    return errorPlace(module, entry)->emitError() << what << " cannot be run: " << error.what();
  }
}

/// Rows of `found` lie at `begin` in rows of `expected`, from row `firstRow` on. Two
/// infinities or two NaNs are equal, one is infinitely far from a number.
static Difference compare(ElementType type, ArrayRef<std::byte> expected, int64_t width,
                          ArrayRef<std::byte> found, int64_t begin, int64_t foundWidth,
                          int64_t firstRow = 0) {
  auto get = [&](ArrayRef<std::byte> bytes, int64_t i) { return getFloat(type, bytes, i); };
  const int64_t bytes = elementTypeInfo(type).blockBytes;
  Difference result;
  for (int64_t i = 0, count = expected.size() / bytes; i < count; ++i)
    if (double value = std::abs(get(expected, i)); std::isfinite(value))
      result.magnitude = std::max(result.magnitude, value);
  for (int64_t i = 0, count = found.size() / bytes; i < count; ++i) {
    int64_t at = (firstRow + i / foundWidth) * width + begin + i % foundWidth;
    double a = get(expected, at), b = get(found, i);
    if (a == b || (std::isnan(a) && std::isnan(b)))
      continue;
    double difference = std::abs(a - b);
    if (std::isnan(difference))
      difference = std::numeric_limits<double>::infinity();
    if (difference > result.largest) {
      result.largest = difference;
      result.at = at;
    }
  }
  return result;
}

/// Lists of candidates, `count` in a row. Two that are as good as equal may stand in another
/// order, and the last of them in one list only; a column's value is compared with its own.
static Difference compareCandidates(ArrayRef<std::byte> expected, ArrayRef<std::byte> found,
                                    int64_t count) {
  auto get = [](ArrayRef<std::byte> bytes, int64_t i) {
    Candidate candidate;
    std::memcpy(&candidate, bytes.data() + i * sizeof candidate, sizeof candidate);
    return candidate;
  };
  Difference result;
  auto differ = [&](double a, double b, int64_t i) {
    if (a == b || (std::isnan(a) && std::isnan(b)))
      return;
    double difference = std::abs(a - b);
    if (!(difference <= result.largest))
      result = {difference, 2 * i, result.magnitude};
  };
  for (int64_t i = 0, end = expected.size() / sizeof(Candidate); i < end; ++i)
    if (double value = std::abs(get(expected, i).value); std::isfinite(value))
      result.magnitude = std::max(result.magnitude, value);
  for (int64_t first = 0, end = expected.size() / sizeof(Candidate); first < end; first += count) {
    std::map<float, float> model; // the values by column
    for (int64_t i = first; i < first + count; ++i)
      model[get(expected, i).id] = get(expected, i).value;
    std::set<float> seen;
    for (int64_t i = first; i < first + count; ++i) {
      Candidate mine = get(found, i);
      differ(get(expected, i).value, mine.value, i);
      auto same = model.find(mine.id);
      differ(same == model.end() ? get(expected, first + count - 1).value : same->second,
             mine.value, i);
      if (mine.id >= 0 && !seen.insert(mine.id).second)
        differ(0, std::numeric_limits<double>::infinity(), i);
    }
  }
  return result;
}

/// "[2, 17]"
std::string Check::describeElement(RankedTensorType type, int64_t element) {
  SmallVector<int64_t> index(type.getRank());
  for (unsigned dim = type.getRank(); dim-- > 0;) {
    int64_t size = getDimSize(type, dim, sizes);
    index[dim] = element % size;
    element /= size;
  }
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << "[";
  llvm::interleaveComma(index, stream);
  stream << "]";
  return text;
}

static std::string formatNumber(double value) {
  std::string text;
  llvm::raw_string_ostream(text) << llvm::format("%.2g", value);
  return text;
}

/// Prints the outputs' differences; whether all are within their tolerances.
FailureOr<bool> Check::compareOutputs(const rt::NamedArrays &expected,
                                      const rt::NamedArrays &found) {
  func::FuncOp function = getWholeEntry();
  Operation *results = function.getFunctionBody().front().getTerminator();
  llvm::DenseMap<Value, int64_t> terms = countTerms(function);
  double precision = getPrecision(function);
  bool agree = true;
  for (OpOperand &operand : results->getOpOperands()) {
    std::string name = function
                           .getResultAttrOfType<StringAttr>(operand.getOperandNumber(),
                                                            CleaveDialect::outputAttrName)
                           .str();
    auto type = cast<RankedTensorType>(operand.get().getType());
    const std::vector<std::byte> &model = expected.at(name);
    auto mine = found.find(name);
    if (mine == found.end())
      return errorPlace(ranks, entry)->emitError()
             << "no rank owns the model's output '" << name << "'";
    if (mine->second.size() != model.size())
      return errorPlace(ranks, entry)->emitError()
             << "output '" << name << "' has " << mine->second.size() << " bytes, the model's "
             << model.size();
    ElementType element = getElementTypeInfo(type.getElementType())->type;
    if (!isFloatType(element)) {
      bool same = mine->second == model;
      os << "  " << name << "  " << (same ? "equal" : "NOT EQUAL") << "\n";
      agree &= same;
      continue;
    }
    int64_t width = model.size() / elementTypeInfo(element).blockBytes;
    bool areCandidates = isa_and_nonnull<TopKOp>(operand.get().getDefiningOp());
    Difference difference = areCandidates
                                ? compareCandidates(model, mine->second, type.getDimSize(1))
                                : compare(element, model, width, mine->second, 0, width);
    double tolerance = getTolerance(precision, terms.lookup(operand.get()), difference.magnitude);
    bool within = difference.largest <= tolerance;
    os << "  " << name << "  largest difference " << formatNumber(difference.largest) << " at "
       << describeElement(type, difference.at) << ", tolerance " << formatNumber(tolerance)
       << (within ? "" : ": TOO FAR") << "\n";
    agree &= within;
  }
  return agree;
}

/// Gives a rank's entry outputs of its own: one for each value, under the name `names`.
static void addOutputs(ModuleOp rank, func::FuncOp function, ArrayRef<Value> values,
                       ArrayRef<std::string> names) {
  Builder builder(rank.getContext());
  Operation *results = function.getFunctionBody().front().getTerminator();
  SmallVector<DictionaryAttr> attributes;
  function.getAllResultAttrs(attributes);
  results->insertOperands(results->getNumOperands(), values);
  for (const std::string &name : names)
    attributes.push_back(builder.getDictionaryAttr(
        {builder.getNamedAttr(CleaveDialect::outputAttrName, builder.getStringAttr(name)),
         builder.getNamedAttr(CleaveDialect::ownerAttrName,
                              builder.getI64IntegerAttr(rankOf(rank)))}));
  function.setFunctionType(
      builder.getFunctionType(function.getArgumentTypes(), results->getOperandTypes()));
  function.setAllResultAttrs(attributes);
}

/// The names of a module's real outputs, out of the way of the traced values'.
static void renameOutputs(func::FuncOp function) {
  for (unsigned i = 0; i < function.getNumResults(); ++i) {
    auto name = function.getResultAttrOfType<StringAttr>(i, CleaveDialect::outputAttrName);
    function.setResultAttr(i, CleaveDialect::outputAttrName,
                           StringAttr::get(function.getContext(), "output " + name.getValue()));
  }
}

/// Says at which op the ranks part first, as an error at that op.
LogicalResult Check::explain() {
  OwningOpRef<ModuleOp> tracedWhole = whole.clone(), tracedRanks = ranks.clone();
  ModuleOp model = getRanks(*tracedWhole).front();
  auto modelEntry = model.lookupSymbol<func::FuncOp>(entry);
  ValueTracer tracer(model, modelEntry);
  struct Traced {
    ComparableValue value;
    int64_t rank;
    std::string output;
  };
  SmallVector<Traced> traced;
  for (ModuleOp rank : getRanks(*tracedRanks)) {
    auto function = rank.lookupSymbol<func::FuncOp>(entry);
    if (!function)
      continue;
    SmallVector<Value> values;
    SmallVector<std::string> outputs;
    for (const ComparableValue &value : tracer.trace(rank, function)) {
      values.push_back(value.value);
      outputs.push_back("value " + std::to_string(traced.size()));
      traced.push_back({value, rankOf(rank), outputs.back()});
    }
    renameOutputs(function);
    addOutputs(rank, function, values, outputs);
  }
  SmallVector<Value> references;
  SmallVector<std::string> names;
  llvm::StringMap<size_t> order;
  for (auto &[name, value] : tracer.getNamedValues()) {
    order[name] = references.size();
    references.push_back(value);
    names.push_back("value " + std::to_string(names.size()));
  }
  renameOutputs(modelEntry);
  addOutputs(model, modelEntry, references, names);
  FailureOr<rt::NamedArrays> expected = evaluate(*tracedWhole, "the model"), found = failure();
  if (succeeded(expected))
    found = evaluate(*tracedRanks, "the partitioned program");
  if (failed(found))
    return failure();
  // In the model's order of ops, and each value on the ranks in their order.
  llvm::stable_sort(traced, [&](const Traced &a, const Traced &b) {
    return order[a.value.name] < order[b.value.name];
  });
  llvm::DenseMap<Value, int64_t> terms = countTerms(modelEntry);
  double precision = getPrecision(modelEntry);
  for (const Traced &each : traced) {
    Value reference = references[order[each.value.name]];
    auto type = cast<RankedTensorType>(reference.getType());
    auto mine = cast<RankedTensorType>(each.value.value.getType());
    auto width = [&](RankedTensorType tensor) {
      return getDimSize(tensor, tensor.getRank() - 1, sizes);
    };
    StringAttr rows = getDimName(mine, 0);
    int64_t firstRow = 0;
    if (std::optional<DimShare> share = rows ? getDimShare(rows) : std::nullopt) {
      int64_t size = getDimSize(type, 0, sizes);
      if (size > 0 &&
          width(type) > 0) // rows of the last dimension, of which there may be several dimensions
        firstRow = rt::shareBegin(size, share->index, share->count) *
                   (countElements(type, sizes) / width(type) / size);
    }
    Difference difference =
        compare(ElementType::f32, expected->at(names[order[each.value.name]]), width(type),
                found->at(each.output), each.value.begin, width(mine), firstRow);
    double tolerance = getTolerance(precision, terms.lookup(reference), difference.magnitude);
    if (difference.largest <= tolerance)
      continue;
    Operation *op = each.value.value.getDefiningOp();
    return op->emitError() << "rank " << each.rank << " parts from the model at '"
                           << each.value.name << "' (" << op->getName() << "): it differs by "
                           << formatNumber(difference.largest) << " at "
                           << describeElement(type, difference.at) << ", and the tolerance is "
                           << formatNumber(tolerance);
  }
  return errorPlace(ranks, entry)->emitError()
         << "the outputs of entry '" << entry << "' differ from the model's, though none of the "
         << traced.size() << " values with a name of the model does";
}

LogicalResult Check::run() {
  func::FuncOp function = getWholeEntry();
  sizes = chooseSizes(function);
  FailureOr<rt::NamedArrays> made = makeInputs(function, sizes);
  if (failed(made))
    return failure();
  inputs = std::move(*made);
  // One after the other, so that the model's weights are in memory once.
  FailureOr<rt::NamedArrays> expected = evaluate(whole, "the model"), found = failure();
  if (succeeded(expected))
    found = evaluate(ranks, "the partitioned program");
  if (failed(found))
    return failure();
  os << "check: entry '" << entry << "', " << getRanks(ranks).size()
     << " ranks against the model on random inputs";
  for (auto &[name, size] : sizes)
    os << ", " << name << " = " << size;
  os << "\n";
  FailureOr<bool> agree = compareOutputs(*expected, *found);
  if (failed(agree))
    return failure();
  return *agree ? success() : explain();
}

LogicalResult cleave::checkRanks(ModuleOp whole, ModuleOp ranks, llvm::raw_ostream &os) {
  bool failedAny = false;
  SmallVector<func::FuncOp> entries(getRanks(whole).front().getOps<func::FuncOp>());
  for (func::FuncOp entry : entries)
    failedAny |= failed(Check(whole, ranks, entry.getName(), os).run());
  return failure(failedAny);
}
