// What a value on a rank is a part of: which logical value, which elements of it, and,
// where it is a partial result, which parts of it are in it. The language in which
// verify_partials.cpp speaks of all ranks at once.
#pragma once

#include "dialect/dialect.h"

#include "llvm/ADT/ArrayRef.h"

#include <map>

namespace cleave {

/// One dim of a rank's value, in elements of the logical value.
struct PartDim {
  int64_t size = 0;   ///< of the whole dim; ShapedType::kDynamic for a run-time size
  ElementRange range; ///< what this rank has of it; {0, size} where it has all
  /// Ranges, each within the one before, that every rank has just cut out of what it
  /// held: an op of the model that slices makes the same cut, and what follows may take
  /// such a range as a whole dim of its own.
  llvm::SmallVector<ElementRange, 1> windows;
  /// Where more than one, the run-time size is cut into so many even shares, and `range`
  /// counts these.
  int64_t shares = 1;

  bool isWhole() const { return range == ElementRange{0, size}; }
  bool operator==(const PartDim &) const = default;
};

/// The summands of a partial sum that a rank has, or what its candidates were chosen from:
/// boxes in the space of the factors that were reduced over. The result is whole when the
/// boxes of its ranks tile that space.
struct Summands {
  using Box = llvm::SmallVector<ElementRange, 1>; ///< a range for each factor

  llvm::SmallVector<unsigned, 1> factors; ///< numbers of cut factors, see LogicalValues
  llvm::SmallVector<Box, 1> boxes;

  bool operator==(const Summands &) const = default;
};

/// What a rank has under one name.
struct RankValue {
  /// Number of the logical value, 0 where nothing is known: an argument without a port's
  /// name may hold anything.
  unsigned logical = 0;
  llvm::SmallVector<PartDim, 3> dims;
  llvm::SmallVector<Summands, 1> partial; ///< empty: no sum is missing
  unsigned decisions = 0;                 ///< from which it follows, see DecisionSets

  bool isKnown() const { return logical != 0; }
};

/// A factor that an op reduces over and of which ranks have shares.
struct CutFactor {
  mlir::Operation *op = nullptr; ///< where the partial result was made
  int64_t size = 0;
  std::string weight; ///< the weight that is cut, or empty
  ReductionKind kind = ReductionKind::Sum;
};

/// Numbers for logical values: equal ops on equal operands have equal numbers, on
/// whatever rank they stand.
class LogicalValues {
public:
  /// The number of what `key` describes. `name` is for messages.
  unsigned get(std::vector<const void *> key, llvm::StringRef name);
  llvm::StringRef getName(unsigned logical) const { return names[logical]; }

  /// The number of factor `factor` of the op that gives `logical`.
  unsigned getCutFactor(unsigned logical, unsigned factor, const CutFactor &made);
  const CutFactor &getCutFactor(unsigned number) const { return cutFactors[number]; }

private:
  std::map<std::vector<const void *>, unsigned> numbers;
  std::vector<std::string> names{""};
  std::map<std::pair<unsigned, unsigned>, unsigned> cutFactorNumbers;
  std::vector<CutFactor> cutFactors;
};

/// A number as part of a key.
inline const void *asKey(int64_t number) {
  return reinterpret_cast<const void *>(static_cast<uintptr_t>(number));
}

/// The elements that two boxes share, as a box; nothing where they are disjoint.
std::optional<Summands::Box> intersect(const Summands::Box &a, const Summands::Box &b);

/// Whether disjoint boxes fill the space of their factors.
bool isComplete(const Summands &summands, const LogicalValues &values);

/// How these parts are combined: one kind for all.
ReductionKind getKind(const Summands &summands, const LogicalValues &values);

/// "elements 0:48 of 96 (weight 'blk.0.attn_output.weight')", for each factor.
std::string describe(const Summands &summands, const LogicalValues &values);

} // namespace cleave
