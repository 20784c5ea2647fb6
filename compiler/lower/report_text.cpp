// --report. Ranks that are alike share a line, and so do the weights of all blocks, so that
// eighty layers on sixty-four ranks fit a screen.
#include "compiler/lower/report.h"
#include "compiler/lower/report_data.h"

#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"

#include <map>

using namespace mlir;
using namespace cleave;

/// Exact below 10 000, else in units of 1000: "9999 B", "10.0 kB".
static std::string human(int64_t number, StringRef unit) {
  static constexpr const char *prefixes[] = {"", "k", "M", "G", "T", "P"};
  double value = number;
  int prefix = 0;
  for (; value >= 10000 && prefix < 5; ++prefix)
    value /= 1000;
  std::string text;
  llvm::raw_string_ostream os(text);
  os << llvm::format(prefix == 0 ? "%.0f" : "%.1f", value);
  if (prefix > 0 || !unit.empty())
    os << " " << prefixes[prefix] << unit;
  return text;
}

static std::string bytes(int64_t number) {
  return human(number, "B");
}

/// "3" or "0-7".
static std::string range(int64_t first, int64_t last) {
  return first == last ? std::to_string(first) : std::to_string(first) + "-" + std::to_string(last);
}

/// The first items and the last, where there are many.
static std::string list(ArrayRef<std::string> items) {
  static constexpr size_t shown = 6;
  std::string text;
  llvm::raw_string_ostream os(text);
  for (auto [i, item] : llvm::enumerate(items)) {
    bool isHidden = items.size() > shown && i >= shown / 2 && i < items.size() - shown / 2;
    if (isHidden && i == shown / 2)
      os << ", (" << items.size() - shown << " more)";
    if (!isHidden)
      os << (i ? ", " : "") << item;
  }
  return text;
}

// ---- Ranks ----

namespace {
/// Ranks beside each other that hold and do the same.
using Run = ArrayRef<RankReport>;
} // namespace

static SmallVector<Run> findRuns(ArrayRef<RankReport> ranks,
                                 function_ref<bool(const RankReport &, const RankReport &)> alike) {
  SmallVector<Run> runs;
  for (size_t begin = 0, end = 0; begin < ranks.size(); begin = end) {
    for (end = begin + 1;
         end < ranks.size() && ranks[end].stage == ranks[begin].stage &&
         ranks[end].rank == ranks[end - 1].rank + 1 && alike(ranks[begin], ranks[end]);
         ++end)
      ;
    runs.push_back(ranks.slice(begin, end - begin));
  }
  return runs;
}

static std::string rankText(Run run) {
  return range(run.front().rank, run.back().rank);
}

/// "data=1,tp=0-3", or the first place and the last where several axes vary.
static std::string coordinateText(Run run) {
  const auto &first = run.front().coordinate, &last = run.back().coordinate;
  auto print = [](const auto &coordinate) {
    std::string text;
    for (auto [axis, place] : coordinate)
      text += (text.empty() ? "" : ",") + axis.str() + "=" + std::to_string(place);
    return text;
  };
  std::string text = print(first);
  if (first == last || first.size() != last.size())
    return text;
  if (ArrayRef(first).drop_back() == ArrayRef(last).drop_back())
    return text + "-" + std::to_string(last.back().second);
  return text + " to " + print(last);
}

/// How many ranks there are, and which number stands where.
static void printHeader(const Report &report, llvm::raw_ostream &os) {
  os << report.ranks.size() << (report.ranks.size() == 1 ? " rank" : " ranks");
  if (report.ranks.size() > 1 && !report.mesh.empty()) {
    int64_t size = 1;
    for (auto [axis, count] : report.mesh)
      size *= count;
    os << ": " << report.stages.size() << (report.stages.size() == 1 ? " stage" : " stages");
    for (auto [axis, count] : report.mesh)
      os << " x " << axis << "=" << count;
    os << "; rank = ";
    if (report.stages.size() > 1)
      os << (size > 1 ? std::to_string(size) + " * " : "") << "stage + ";
    llvm::interleave(
        report.mesh, os,
        [&](auto &axis) {
          size /= axis.second;
          os << (size > 1 ? std::to_string(size) + " * " : "") << axis.first.str();
        },
        " + ");
  }
  os << "\n\nstage  ranks    computes\n";
  for (const StageReport &stage : report.stages)
    os << llvm::formatv("{0,5}  {1,-7}  {2}\n", stage.stage,
                        range(stage.firstRank, stage.firstRank + stage.ranks - 1),
                        stage.parts.empty() ? "ops without names" : list(stage.parts));
}

static void printRanks(const Report &report, llvm::raw_ostream &os) {
  auto alike = [](const RankReport &a, const RankReport &b) {
    return a.weightBytes == b.weightBytes && a.cacheBytes == b.cacheBytes &&
           a.operations == b.operations;
  };
  SmallVector<Run> runs = findRuns(report.ranks, alike);
  size_t width = 10;
  for (Run run : runs)
    width = std::max(width, coordinateText(run).size());
  std::string format =
      "{0,-7}  {1,5}  {2,-" + std::to_string(width) + "}  {3,10}  {4,11}  {5,10}\n";
  auto print = [&](auto &&...cells) {
    os << llvm::formatv(format.c_str(), std::forward<decltype(cells)>(cells)...);
  };
  os << "\neach of  stage  " << llvm::left_justify("coordinate", width)
     << "     weights  cache/token   ops/token\n";
  for (Run run : runs) {
    const RankReport &rank = run.front();
    print(rankText(run), rank.stage, coordinateText(run), bytes(rank.weightBytes),
          bytes(rank.cacheBytes), human(rank.operations, ""));
  }
  auto isLess = [](auto &a, auto &b) { return a.weightBytes < b.weightBytes; };
  auto least = llvm::min_element(report.ranks, isLess);
  auto most = llvm::max_element(report.ranks, isLess);
  if (least->weightBytes != most->weightBytes)
    os << "weights of a rank: from " << bytes(least->weightBytes) << " (rank " << least->rank
       << ") to " << bytes(most->weightBytes) << " (rank " << most->rank << ")\n";
}

static void printCommunication(const Report &report, llvm::raw_ostream &os) {
  os << "\neach of  communication    count  bytes/token\n";
  auto print = [&](StringRef ranks, const Traffic &traffic) {
    os << llvm::formatv("{0,-7}  {1,-14}  {2,6}  {3,11}", ranks, traffic.op, traffic.count,
                        bytes(traffic.bytes))
       << (traffic.onlyFor.empty() ? "" : "  only for ") << traffic.onlyFor << "\n";
  };
  for (Run run : findRuns(report.ranks, [](const RankReport &a, const RankReport &b) {
         return a.traffic == b.traffic;
       })) {
    if (run.front().traffic.empty())
      os << llvm::formatv("{0,-7}  none\n", rankText(run));
    for (auto [i, traffic] : llvm::enumerate(run.front().traffic))
      print(i == 0 ? rankText(run) : "", traffic);
  }
  if (report.ranks.size() > 1)
    for (auto [i, traffic] : llvm::enumerate(report.traffic))
      print(i == 0 ? "in all" : "", traffic);
}

// ---- Weights ----

/// "blk.*.attn_q.weight" of "blk.3.attn_q.weight".
static std::string getFamily(StringRef name) {
  std::optional<NumberedName> numbered = splitAtNumber(name);
  return numbered ? (numbered->before + ".*" + numbered->after).str() : name.str();
}

namespace {
/// Weights that differ in the number of their block and are held alike.
struct Family {
  std::string name;
  int64_t weights = 0, ranks = 0, copies = 0;
  int64_t number = 0; ///< the one that all have in common
};
} // namespace

/// `holdings` for which `select` gives a number, those of the same number as one family.
static SmallVector<Family> findFamilies(ArrayRef<Holding> holdings,
                                        function_ref<int64_t(const Holding &)> select) {
  SmallVector<Family> families;
  std::map<std::tuple<std::string, int64_t, int64_t>, size_t> places;
  for (const Holding &holding : holdings) {
    int64_t number = select(holding);
    if (number == 0)
      continue;
    std::string name = getFamily(holding.name);
    auto [it, isNew] = places.try_emplace({name, holding.ranks, number}, families.size());
    if (isNew)
      families.push_back({holding.name, 0, holding.ranks, 0, number});
    Family &family = families[it->second];
    if (!isNew)
      family.name = name;
    ++family.weights;
    family.copies += holding.getCopies();
  }
  return families;
}

static std::string countText(const Family &family) {
  return family.weights == 1 ? "" : std::to_string(family.weights) + " weights, ";
}

/// Weights of which several ranks hold the same elements, and weights of which a rank
/// holds none.
static void printWeights(const Report &report, llvm::raw_ostream &os) {
  os << "\nweights in all: " << bytes(report.weightBytes) << ", of which "
     << bytes(report.copiedBytes) << " are copies of what another rank holds\n";
  if (report.copiedBytes > 0) {
    os << "held by several ranks:\n";
    for (const Family &family :
         findFamilies(report.weights, [](const Holding &each) { return each.getCopies(); }))
      os << "  " << family.name << " (" << countText(family) << family.ranks
         << (family.weights == 1 ? " ranks, " : " ranks each, ") << bytes(family.copies)
         << " of copies)\n";
  }
  for (const Holding &holding : report.weights)
    if (holding.stages.size() > 1) {
      os << "held by several stages: " << holding.name << " (stages ";
      llvm::interleaveComma(holding.stages, os);
      os << ")\n";
    }
  for (const Family &family :
       findFamilies(report.weights, [](const Holding &each) { return each.empty; }))
    os << "empty share: " << family.name << " (" << countText(family) << "on " << family.number
       << " of " << family.ranks << " ranks)\n";
}

void cleave::printReport(ModuleOp module, llvm::raw_ostream &os) {
  Report report = makeReport(module);
  printHeader(report, os);
  printRanks(report, os);
  printCommunication(report, os);
  printWeights(report, os);
}
