// Numbers of logical values, and boxes of summands.
#include "compiler/partition/rank_value.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace cleave;

unsigned LogicalValues::get(std::vector<const void *> key, StringRef name) {
  auto [it, isNew] = numbers.try_emplace(std::move(key), names.size());
  if (isNew)
    names.push_back(name.str());
  return it->second;
}

unsigned LogicalValues::getCutFactor(unsigned logical, unsigned factor, const CutFactor &made) {
  auto [it, isNew] = cutFactorNumbers.try_emplace({logical, factor}, cutFactors.size());
  if (isNew)
    cutFactors.push_back(made);
  return it->second;
}

std::optional<Summands::Box> cleave::intersect(const Summands::Box &a, const Summands::Box &b) {
  Summands::Box common;
  for (auto [x, y] : llvm::zip_equal(a, b)) {
    common.push_back({std::max(x.begin, y.begin), std::min(x.end, y.end)});
    if (common.back().size() <= 0)
      return std::nullopt;
  }
  return common;
}

bool cleave::isComplete(const Summands &summands, const LogicalValues &values) {
  // In floating point: sizes of products may pass 64 bits, and whole numbers this small
  // are exact.
  long double space = 1, filled = 0;
  for (unsigned factor : summands.factors)
    space *= values.getCutFactor(factor).size;
  for (const Summands::Box &box : summands.boxes) {
    long double volume = 1;
    for (ElementRange range : box)
      volume *= range.size();
    filled += volume;
  }
  return filled == space;
}

ReductionKind cleave::getKind(const Summands &summands, const LogicalValues &values) {
  return values.getCutFactor(summands.factors.front()).kind;
}

std::string cleave::describe(const Summands &summands, const LogicalValues &values) {
  std::string text;
  llvm::raw_string_ostream os(text);
  for (auto [i, number] : llvm::enumerate(summands.factors)) {
    const CutFactor &factor = values.getCutFactor(number);
    os << (i ? " and " : "") << "elements ";
    llvm::interleave(
        summands.boxes, os,
        [&](const Summands::Box &box) { os << box[i].begin << ":" << box[i].end; }, ", ");
    os << " of " << factor.size;
    if (!factor.weight.empty())
      os << " (weight '" << factor.weight << "')";
  }
  return text;
}
