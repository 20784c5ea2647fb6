// A plan as YAML again: what a package's manifest tells of how it was made.
#include "compiler/plan/plan.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/YAMLParser.h"
#include "llvm/Support/raw_ostream.h"

using namespace cleave;
using namespace cleave::plan;

static std::string quote(llvm::StringRef text) {
  return "\"" + llvm::yaml::escape(text) + "\"";
}

/// One word as it is, several as a list.
static void printList(llvm::ArrayRef<llvm::StringRef> words, llvm::raw_ostream &os) {
  os << (words.size() > 1 ? "[" : "");
  llvm::interleaveComma(words, os);
  os << (words.size() > 1 ? "]" : "");
}

std::string plan::printPlan(const Plan &plan) {
  std::string text;
  llvm::raw_string_ostream os(text);
  if (!plan.mesh.empty()) {
    os << "mesh: {";
    llvm::interleaveComma(plan.mesh, os,
                          [&](const MeshAxis &axis) { os << axis.name << ": " << axis.size; });
    os << "}\n";
  }
  if (plan.stages && plan.cuts.empty())
    os << "stages: " << plan.stages->count << "\n";
  if (!plan.cuts.empty()) {
    os << "cut: [";
    llvm::interleaveComma(plan.cuts, os, [&](const Cut &cut) { os << quote(cut.name); });
    os << "]\n";
  }
  if (!plan.splits.empty())
    os << "split:\n";
  for (const Split &split : plan.splits) {
    os << "  - {weights: " << quote(split.weights.text()) << ", type: ";
    bool isOneType = llvm::all_of(
        split.parts, [&](const SplitPart &part) { return part.type == split.parts.front().type; });
    llvm::SmallVector<llvm::StringRef> types, axes;
    for (const SplitPart &part : split.parts) {
      if (types.empty() || !isOneType)
        types.push_back(splitTypeName(part.type));
      if (!part.axis.empty())
        axes.push_back(part.axis);
    }
    printList(types, os);
    if (!axes.empty())
      printList(axes, os << ", axis: ");
    os << "}\n";
  }
  if (!plan.shares.empty()) {
    os << "shares: {";
    llvm::interleaveComma(plan.shares, os, [&](const Shares &shares) {
      os << shares.axis << ": [";
      llvm::interleaveComma(shares.parts, os);
      os << "]";
    });
    os << "}\n";
  }
  if (plan.sequence)
    os << "sequence: " << plan.sequence->axis << "\n";
  return text;
}
