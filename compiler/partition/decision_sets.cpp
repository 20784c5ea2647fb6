// Sets of decisions and their unions.
#include "compiler/partition/decision_sets.h"

using namespace cleave;

unsigned DecisionSets::numberOf(const Set &set) {
  std::vector<std::pair<unsigned, int64_t>> key;
  for (auto &[decision, made] : set)
    key.emplace_back(decision, made.rank);
  auto [it, isNew] = numbers.try_emplace(std::move(key), sets.size());
  if (isNew)
    sets.push_back(set);
  return it->second;
}

unsigned DecisionSets::add(unsigned set, unsigned decision, MadeDecision made) {
  Set larger = sets[set];
  larger.insert_or_assign(decision, made);
  return numberOf(larger);
}

std::optional<unsigned> DecisionSets::join(unsigned a, unsigned b, DecisionConflict &conflict) {
  if (a == b || b == 0)
    return a;
  if (a == 0)
    return b;
  Set both = sets[a];
  for (auto &[decision, made] : sets[b]) {
    auto [it, isNew] = both.try_emplace(decision, made);
    if (isNew || it->second.rank == made.rank)
      continue;
    conflict = {it->second, made};
    return std::nullopt;
  }
  return numberOf(both);
}
