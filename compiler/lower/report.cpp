// The report: sizes are those of the types in the rank modules, counted for one token
// (every run-time size but the context's is 1).
#include "compiler/lower/report.h"

#include "dialect/dialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"

#include <set>

using namespace mlir;
using namespace cleave;

namespace {

struct Traffic {
  int64_t count = 0;
  int64_t bytes = 0;
};

struct RankReport {
  int64_t rank = 0, stage = 0;
  SmallVector<std::pair<StringRef, int64_t>> coordinate; ///< place on each axis
  int64_t weightBytes = 0, cacheBytes = 0, operations = 0;
  llvm::MapVector<StringRef, Traffic> traffic;
};

} // namespace

/// Bytes of a value when run-time sizes are 1.
static int64_t bytesPerToken(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  int64_t elements = 1;
  for (int64_t size : tensor.getShape())
    elements *= ShapedType::isDynamic(size) ? 1 : size;
  const ElementTypeInfo &info = *getElementTypeInfo(tensor.getElementType());
  return elements / info.blockLength * info.blockBytes;
}

/// Exact below 10 000, else in units of 1000.
static std::string humanSize(int64_t bytes) {
  static constexpr const char *units[] = {"B", "kB", "MB", "GB", "TB"};
  double value = bytes;
  int unit = 0;
  while (value >= 10000 && unit < 4) {
    value /= 1000;
    ++unit;
  }
  std::string text;
  llvm::raw_string_ostream os(text);
  os << llvm::format(unit == 0 ? "%.0f " : "%.1f ", value) << units[unit];
  return text;
}

static RankReport describeRank(ModuleOp module) {
  RankReport report;
  report.rank = module->getAttrOfType<IntegerAttr>(CleaveDialect::rankAttrName).getInt();
  report.stage = getStage(module);
  if (auto place = module->getAttrOfType<DictionaryAttr>(CleaveDialect::coordinateAttrName))
    for (NamedAttribute axis : place)
      report.coordinate.emplace_back(axis.getName().getValue(),
                                     cast<IntegerAttr>(axis.getValue()).getInt());
  for (WeightOp weight : module.getOps<WeightOp>())
    report.weightBytes += getTensorBytes(weight.getTensorType());
  for (StateOp state : module.getOps<StateOp>())
    report.cacheBytes += bytesPerToken(state.getType());
  module.walk([&](Operation *op) {
    if (auto linear = dyn_cast<LinearOp>(op)) {
      auto weight = cast<RankedTensorType>(linear.getWeight().getType());
      report.operations +=
          2 * weight.getDimSize(0) * cast<RankedTensorType>(linear.getX().getType()).getDimSize(1);
    }
    if (!communicates(op))
      return;
    Type type = op->getNumResults() ? op->getResult(0).getType() : op->getOperand(0).getType();
    if (isa<ReduceScatterOp>(op))
      type = op->getOperand(0).getType();
    Traffic &traffic = report.traffic[op->getName().stripDialect()];
    ++traffic.count;
    traffic.bytes += bytesPerToken(type);
  });
  return report;
}

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

namespace {

/// How the ranks hold one weight.
struct Holding {
  int64_t ranks = 0, bytes = 0, distinct = 0, empty = 0;
  std::set<std::vector<int64_t>> slices;
  const ElementTypeInfo *info = nullptr;

  int64_t getCopies() const { return bytes - distinct; }
};

struct Holdings {
  /// By name and number of dims, which modules edited by hand may give differently.
  llvm::MapVector<std::pair<StringRef, unsigned>, Holding> weights;
  int64_t total = 0, copies = 0;
};

} // namespace

static Holdings collectHoldings(ModuleOp module) {
  Holdings holdings;
  for (ModuleOp rank : module.getOps<ModuleOp>())
    for (WeightOp weight : rank.getOps<WeightOp>()) {
      Holding &holding = holdings.weights[{weight.getSymName(), weight.getTensorType().getRank()}];
      int64_t bytes = getTensorBytes(weight.getTensorType());
      std::vector<int64_t> slice;
      if (weight.getSlice())
        slice.assign(weight.getSlice()->begin(), weight.getSlice()->end());
      else
        for (int64_t size : weight.getTensorType().getShape())
          slice.insert(slice.end(), {0, size});
      ++holding.ranks;
      holding.bytes += bytes;
      holding.empty += bytes == 0;
      if (bytes > 0)
        holding.slices.insert(std::move(slice));
      holding.info = getElementTypeInfo(weight.getTensorType().getElementType());
    }
  for (auto &[key, holding] : holdings.weights) {
    holding.distinct =
        countCovered(holding.slices) / holding.info->blockLength * holding.info->blockBytes;
    holdings.total += holding.bytes;
    holdings.copies += holding.getCopies();
  }
  return holdings;
}

/// Weights of which several ranks hold the same elements, and weights of which a rank
/// holds none.
static void printReplicated(const Holdings &holdings, llvm::raw_ostream &os) {
  os << "weights in all: " << humanSize(holdings.total) << ", of which "
     << humanSize(holdings.copies) << " are copies of what another rank holds\n";
  if (holdings.copies > 0) {
    os << "held by several ranks:";
    for (auto &[key, holding] : holdings.weights)
      if (holding.getCopies() > 0)
        os << "\n  " << key.first << " (" << holding.ranks << " ranks, "
           << humanSize(holding.getCopies()) << " of copies)";
    os << "\n";
  }
  for (auto &[key, holding] : holdings.weights)
    if (holding.empty)
      os << "empty share: " << key.first << " on " << holding.empty << " of " << holding.ranks
         << " ranks\n";
}

static SmallVector<RankReport> describeRanks(ModuleOp module) {
  SmallVector<RankReport> reports;
  for (ModuleOp rank : module.getOps<ModuleOp>())
    reports.push_back(describeRank(rank));
  return reports;
}

static std::string coordinateText(const RankReport &report) {
  std::string text;
  llvm::raw_string_ostream os(text);
  llvm::interleave(
      report.coordinate, os, [&](auto &axis) { os << axis.first << "=" << axis.second; }, ",");
  return text;
}

void cleave::printJsonReport(ModuleOp module, llvm::raw_ostream &os) {
  llvm::json::OStream json(os, /*IndentSize=*/2);
  auto writeRank = [&](const RankReport &report) {
    json.attribute("rank", report.rank);
    json.attribute("stage", report.stage);
    json.attributeObject("coordinate", [&] {
      for (auto [axis, place] : report.coordinate)
        json.attribute(llvm::json::fixUTF8(axis), place);
    });
    json.attribute("weight_bytes", report.weightBytes);
    json.attribute("cache_bytes_per_token", report.cacheBytes);
    json.attribute("operations_per_token", report.operations);
    json.attributeArray("communication", [&] {
      for (auto &[name, traffic] : report.traffic)
        json.object([&, &name = name, &traffic = traffic] {
          json.attribute("op", name);
          json.attribute("count", traffic.count);
          json.attribute("bytes_per_token", traffic.bytes);
        });
    });
  };
  auto writeWeight = [&](StringRef name, const Holding &holding, StringRef key, int64_t value) {
    json.object([&] {
      json.attribute("name", llvm::json::fixUTF8(name));
      json.attribute("ranks", holding.ranks);
      json.attribute(key, value);
    });
  };
  Holdings holdings = collectHoldings(module);
  json.object([&] {
    json.attributeArray("ranks", [&] {
      for (const RankReport &report : describeRanks(module))
        json.object([&] { writeRank(report); });
    });
    json.attributeObject("weights", [&] {
      json.attribute("bytes", holdings.total);
      json.attribute("copied_bytes", holdings.copies);
      json.attributeArray("copies", [&] {
        for (auto &[key, holding] : holdings.weights)
          if (holding.getCopies() > 0)
            writeWeight(key.first, holding, "copied_bytes", holding.getCopies());
      });
      json.attributeArray("empty_shares", [&] {
        for (auto &[key, holding] : holdings.weights)
          if (holding.empty > 0)
            writeWeight(key.first, holding, "empty_ranks", holding.empty);
      });
    });
  });
  os << "\n";
}

void cleave::printReport(ModuleOp module, llvm::raw_ostream &os) {
  os << "rank  stage  coordinate          weights  cache/token  ops/token\n";
  SmallVector<RankReport> reports = describeRanks(module);
  for (const RankReport &report : reports)
    os << llvm::format("%4lld  %5lld  %-14s %12s %12s %10lld\n",
                       static_cast<long long>(report.rank), static_cast<long long>(report.stage),
                       coordinateText(report).c_str(),
                       (std::to_string(report.weightBytes) + " B").c_str(),
                       (std::to_string(report.cacheBytes) + " B").c_str(),
                       static_cast<long long>(report.operations));
  os << "\nrank  communication    count  bytes/token\n";
  for (const RankReport &report : reports) {
    if (report.traffic.empty())
      os << llvm::format("%4lld  none\n", static_cast<long long>(report.rank));
    for (auto &[name, traffic] : report.traffic)
      os << llvm::format("%4lld  %-14s %7lld %12lld\n", static_cast<long long>(report.rank),
                         name.str().c_str(), static_cast<long long>(traffic.count),
                         static_cast<long long>(traffic.bytes));
  }
  os << "\n";
  printReplicated(collectHoldings(module), os);
}
