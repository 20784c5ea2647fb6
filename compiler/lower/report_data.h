// The numbers of a report, found in the rank form; report_text.cpp and report_json.cpp
// print them.
#pragma once

#include "mlir/IR/BuiltinOps.h"

#include <set>
#include <string>
#include <vector>

namespace cleave {

/// What a rank does with one kind of communication op.
struct Traffic {
  llvm::StringRef op;
  /// The only outputs that it serves, "logits, candidates"; empty where every run needs it.
  llvm::StringRef onlyFor;
  int64_t count = 0;
  int64_t bytes = 0; ///< for a token: of what the rank puts in, or gets where it puts in nothing

  bool operator==(const Traffic &) const = default;
};

struct RankReport {
  int64_t rank = 0, stage = 0;
  /// The place on each axis, in the mesh's order.
  llvm::SmallVector<std::pair<llvm::StringRef, int64_t>> coordinate;
  int64_t weightBytes = 0;
  int64_t cacheBytes = 0; ///< for a token
  int64_t operations = 0; ///< for a token: multiplications and additions of matrix products
  llvm::SmallVector<Traffic> traffic;
};

/// The ranks of one stage, and what parts of the model it computes.
struct StageReport {
  int64_t stage = 0;
  int64_t firstRank = 0, ranks = 0;
  /// In order: names of ops, and ranges of blocks ("blk.0 to blk.9", "part of blk.3").
  std::vector<std::string> parts;
};

/// How the ranks hold one weight.
struct Holding {
  std::string name;
  int64_t ranks = 0;    ///< that hold it, or an empty share
  int64_t bytes = 0;    ///< on all of them
  int64_t distinct = 0; ///< without what another rank has, too
  int64_t empty = 0;    ///< ranks with an empty share
  std::set<int64_t> stages;

  int64_t getCopies() const { return bytes - distinct; }
};

struct Report {
  llvm::SmallVector<std::pair<llvm::StringRef, int64_t>> mesh; ///< axes and sizes
  std::vector<StageReport> stages;
  std::vector<RankReport> ranks;
  llvm::SmallVector<Traffic> traffic; ///< of all ranks
  std::vector<Holding> weights;
  int64_t weightBytes = 0, copiedBytes = 0;
};

/// Sizes are those of the types in the rank modules; every run-time size but the context's
/// counts as one.
Report makeReport(mlir::ModuleOp module);

/// A name around its first component that is a number: "blk", 3, ".attn_q" of
/// "blk.3.attn_q"; nothing where it has none.
struct NumberedName {
  llvm::StringRef before;
  int64_t number;
  llvm::StringRef after;
};
std::optional<NumberedName> splitAtNumber(llvm::StringRef name);

} // namespace cleave
