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
    os << "  - {weights: " << quote(split.weights.text())
       << ", type: " << splitTypeName(split.type);
    if (!split.axis.empty())
      os << ", axis: " << split.axis;
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
  return text;
}
