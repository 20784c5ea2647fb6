// What an op says of how it can be split: factors, and which dimension is made of
// which. See ShardingRuleOpInterface.
#pragma once

#include "llvm/ADT/SmallVector.h"

#include <cstdint>
#include <optional>

namespace cleave {

/// A half-open range of elements of one dimension.
struct ElementRange {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
  bool operator==(const ElementRange &) const = default;
};

/// What becomes of the op when a factor is cut over ranks.
enum class FactorKind {
  parallel, ///< each rank computes its share of the results
  sum,      ///< each rank computes a summand: results that lack the factor are partial
  top,      ///< each rank finds its share's best candidates: results are partial likewise
  whole,    ///< must not be cut: every rank needs all of it
};

/// Whether results lack the factor, and are partial where it is cut.
inline bool isReduced(FactorKind kind) {
  return kind == FactorKind::sum || kind == FactorKind::top;
}

/// One of the op's independent extents.
struct Factor {
  int64_t size; ///< elements, or ShapedType::kDynamic
  FactorKind kind = FactorKind::parallel;
  /// Better not cut below this many elements (a quantization block); a finer cut is
  /// correct but costs memory.
  int64_t grain = 1;
};

/// `linear` is {factors t, o, i (sum)}, operands [[t], [i]] and [[o], [i]], result
/// [[t], [o]]. A dimension may be a product of factors, major first: grouped queries
/// are kv_head x group x head_dim.
struct ShardingRule {
  using Dim = llvm::SmallVector<unsigned, 3>;
  using Dims = llvm::SmallVector<Dim, 4>;

  llvm::SmallVector<Factor, 6> factors;
  llvm::SmallVector<Dims, 4> operands;
  llvm::SmallVector<Dims, 1> results;
  /// The operands in which the results are linear together: when all of these are
  /// partial sums over an axis, so are the results. The others must be whole, and so must
  /// what is partial otherwise than by `sum`. Reduced factors of one op are of one kind.
  llvm::SmallVector<unsigned, 2> linearIn;
  /// The factor that counts experts. A weight that has it in a dim is cut there by the split
  /// `expert`; its other dims are output and input features.
  std::optional<unsigned> experts;
};

/// The global ranges of a rank's operands and results, by dimension.
struct LocalRanges {
  llvm::SmallVector<llvm::SmallVector<ElementRange, 4>, 4> operands;
  llvm::SmallVector<llvm::SmallVector<ElementRange, 4>, 1> results;
  /// The global sizes of the operands' dimensions.
  llvm::SmallVector<llvm::SmallVector<int64_t, 4>, 4> operandSizes;
};

} // namespace cleave
