// What follows a product or convolution and is computed with it, while its sums are in
// registers: numbers for each output that scale it or are added, a residual, a function of
// one element. What follows an exchange with other ranks is so computed in one pass. Found by
// what reads the results; the instructions that did so do not run.
#pragma once

#include "runtime/engine/selection.h"
#include "runtime/kernels/epilogue.h"
#include "runtime/program/program.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace cleave::rt {

struct FusedEpilogue {
  /// Weights of one number for each output, or one for all, in their order.
  struct Affine {
    bool multiplies;
    uint32_t value;
  };
  std::vector<Affine> affine;
  std::optional<uint32_t> residual;
  std::optional<Activation> activation;
  uint32_t result = 0; ///< what is written in the place of the instruction's result
};

/// By instruction and number of its result.
using FusedEpilogues = std::map<std::pair<uint32_t, uint32_t>, FusedEpilogue>;

/// The epilogues of results of an entry's instructions Linear and Conv of which `canFuse` holds.
/// Clears `selected` for what they contain, and for what served that alone. A residual is an
/// activation that nothing reads afterwards: the result takes its place.
FusedEpilogues
findEpilogues(const fb::Entry &entry, const WantedOutputs &outputs,
              const std::vector<bool> &channelsLast,
              const std::function<bool(uint32_t instruction, uint32_t result)> &canFuse,
              std::vector<bool> &selected);

} // namespace cleave::rt
