// The user's plan: how many ranks in what mesh, where the stages are cut, how
// weights are split. Read from a YAML file and from flags; a flag wins. Here a
// plan is checked for itself; whether it fits a model (a pattern that matches
// nothing, a cut that is none, sizes) is for those who have the model, who find
// with every entry where it was written.
#pragma once

#include "compiler/plan/source.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/GlobPattern.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cleave::plan {

/// How a weight is cut; docs and plans use the field's words (Megatron, PyTorch).
enum class SplitType {
  column, ///< the output features
  row,    ///< the input features; the result is partial
  head,   ///< column or row, between attention heads only
  expert, ///< whole experts
  none,   ///< not at all: every rank holds a copy
};

llvm::StringRef splitTypeName(SplitType type);
std::optional<SplitType> findSplitType(llvm::StringRef name);

/// A pattern of weight names: `*` (any characters, dots too), `?`, `[a-z]`, and
/// lists of alternatives `{a,b}`. Copies share one compiled pattern.
class NamePattern {
public:
  static llvm::Expected<NamePattern> create(llvm::StringRef text);

  bool matches(llvm::StringRef name) const { return compiled->glob.match(name); }
  bool matchesAny(llvm::ArrayRef<llvm::StringRef> names) const {
    return llvm::any_of(names, [&](llvm::StringRef name) { return matches(name); });
  }
  llvm::StringRef text() const { return compiled->text; }

private:
  /// The compiled pattern refers to its text.
  struct Compiled {
    std::string text;
    llvm::GlobPattern glob;
  };
  std::shared_ptr<const Compiled> compiled;
};

/// A named axis of the mesh, of 1 to 4096 coordinates.
struct MeshAxis {
  std::string name;
  int64_t size;
  Location location;
};

/// The number of pipeline stages.
struct Stages {
  int64_t count;
  Location location;
};

/// The name of the block, op or tensor at which a stage begins.
struct Cut {
  std::string name;
  Location location;
};

/// One cut of a weight, over `axis` or, when that is empty, over the axis that the
/// planner chooses.
struct SplitPart {
  SplitType type;
  std::string axis;
  Location axisLocation;
};

/// How the weights that match are split: by one part, or by several over an axis each.
/// Parts that cut the same dim do so major first: the first into as many shares as its
/// axis is long, the next each of these.
struct Split {
  NamePattern weights;
  llvm::SmallVector<SplitPart, 1> parts;
  Location location;
};

/// In what proportion the coordinates of an axis share what is split over it.
struct Shares {
  std::string axis;
  llvm::SmallVector<int64_t> parts;
  Location location;
};

/// The axis over which what is summed is left cut by tokens (`sequence`).
struct Sequence {
  std::string axis;
  Location location;
};

/// Ranks are numbered stage by stage, and within a stage with the last axis of the
/// mesh varying fastest.
struct Plan {
  std::vector<MeshAxis> mesh;
  std::optional<Stages> stages;
  std::vector<Cut> cuts;
  std::vector<Split> splits; ///< first match wins
  std::vector<Shares> shares;
  std::optional<Sequence> sequence;

  const MeshAxis *findAxis(llvm::StringRef name) const;
  /// What `stages` says, or follows from the cuts, or 1.
  int64_t stageCount() const;
  /// Ranks of one stage, and of all.
  int64_t meshSize() const;
  int64_t rankCount() const { return meshSize() * stageCount(); }
  /// The first split whose pattern matches one of a weight's names, or null.
  const Split *findSplit(llvm::ArrayRef<llvm::StringRef> names) const;
};

/// The flags as typed, without their names; what is absent is empty.
struct PlanFlags {
  std::string mesh;                ///< --mesh tp=2,data=2
  std::string tp;                  ///< --tp 2
  std::string stages;              ///< --stages 2
  std::vector<std::string> cuts;   ///< --cut blk.11
  std::vector<std::string> splits; ///< --split 'blk.*.ffn_up.weight=column@tp+row@data'
  std::vector<std::string> shares; ///< --shares tp=2,1
  std::string sequence;            ///< --sequence tp
};

/// Parses a plan's YAML; nothing of it is checked against flags yet. Errors are
/// PlanErrors with line and column.
llvm::Expected<Plan> parsePlan(std::shared_ptr<const Source> source);

/// The plan as YAML that parsePlan reads as the same plan, its places apart.
std::string printPlan(const Plan &plan);

/// Lays the flags over `plan`: --mesh replaces the mesh, --tp its axis `tp`;
/// --cut and --stages replace the file's cuts and stages; --split entries come
/// before the file's; --shares replaces those of its axis, --sequence the file's.
llvm::Error applyFlags(Plan &plan, const PlanFlags &flags);

/// Checks what one entry says against another: shares, splits and sequence against the mesh,
/// cuts against stages, the number of ranks (at most 65536).
llvm::Error checkPlan(const Plan &plan);

/// The plan in the file (where `path` is not empty) with the flags over it, checked.
llvm::Expected<Plan> loadPlan(llvm::StringRef path, const PlanFlags &flags);

// ---- What both readers of entries check, with errors at `location`. ----

inline constexpr int64_t maxAxisSize = 4096;
inline constexpr int64_t maxShare = 1000000;

/// A decimal integer in [least, most]; `what` names it.
llvm::Expected<int64_t> parseCount(llvm::StringRef text, const llvm::Twine &what, int64_t least,
                                   int64_t most, const Location &location);
/// An axis's name: letters, digits and `_`, not beginning with a digit.
llvm::Error checkAxisName(llvm::StringRef name, const Location &location);
llvm::Expected<NamePattern> parsePattern(llvm::StringRef text, const Location &location);
llvm::Expected<SplitType> parseSplitType(llvm::StringRef text, const Location &location);
/// The parts that a list of types and a list of axes make: a type for each axis, or one
/// for all. `location` is that of the types.
llvm::Expected<llvm::SmallVector<SplitPart, 1>>
makeSplitParts(llvm::ArrayRef<SplitType> types,
               llvm::ArrayRef<std::pair<std::string, Location>> axes, const Location &location);
/// Appends, or gives an error where the axis or the cut is there already.
llvm::Error addAxis(Plan &plan, MeshAxis axis);
llvm::Error addCut(Plan &plan, Cut cut);
llvm::Error addShares(Plan &plan, Shares shares);

} // namespace cleave::plan
