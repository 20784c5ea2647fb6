// Which rank made which decision, for values that follow from decisions: two ranks that
// decide the same by themselves may decide differently.
#pragma once

#include "mlir/IR/Operation.h"

#include <map>
#include <optional>
#include <vector>

namespace cleave {

/// A decision as it was made on one rank.
struct MadeDecision {
  int64_t rank;
  mlir::Operation *op;
};

/// One decision that two ranks made.
struct DecisionConflict {
  MadeDecision one, other;
};

/// Sets of decisions, by number; 0 is the empty one. A model's values follow from many
/// decisions, but from few different sets of them.
class DecisionSets {
public:
  /// `set` and decision number `decision`.
  unsigned add(unsigned set, unsigned decision, MadeDecision made);

  /// The union of two sets; nothing where they have one decision from two ranks, which
  /// `conflict` then is.
  std::optional<unsigned> join(unsigned a, unsigned b, DecisionConflict &conflict);

private:
  using Set = std::map<unsigned, MadeDecision>;

  unsigned numberOf(const Set &set);

  std::vector<Set> sets{{}};
  std::map<std::vector<std::pair<unsigned, int64_t>>, unsigned> numbers{{{}, 0}};
};

} // namespace cleave
