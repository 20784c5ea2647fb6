// Executes programs that are in memory, all their ranks in this process and without
// MPI: the one header through which the compiler runs what it has made. Making programs
// and inputs, and judging outputs, is left to the caller.
#pragma once

#include "runtime/program/element_type.h"
#include "runtime/program/package.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cleave::rt {

/// The package id that programs for evaluate() carry.
inline constexpr std::string_view evaluationPackageId = "memory";

/// One rank: its program (program.fbs), and its weights laid out as in a weight file,
/// with any bytes in the header's place.
struct RankInMemory {
  FileBytes program;
  FileBytes weights;
};

/// Inputs or outputs by name: their elements, row-major.
using NamedArrays = std::map<std::string, std::vector<std::byte>, std::less<>>;

struct EvaluationOptions {
  std::string entry = {}; ///< empty: the programs' only entry, or "step"
  /// The value of each run-time size that a program names, which is its bound as well.
  std::map<std::string, int64_t, std::less<>> sizes = {};
  /// Whether block-quantized weights meet activations in f32 (true: the only differences
  /// between two programs for one model are then in the order of sums) or in 8 bits.
  bool exact = true;
  /// The element type of states; nothing: the program's.
  std::optional<ElementType> stateType = std::nullopt;
};

/// Runs the entry once, from states of zeros, each rank in a thread of its own: rank
/// number k is `ranks[k]`. Every input of a rank is looked up in `inputs`, which may hold
/// more. Returns each output from the rank that owns it; ranks own distinct names. Throws
/// std::runtime_error, with the rank where one is at fault, when a program is not valid,
/// an input is missing or not of the right size, or a rank fails while it runs.
NamedArrays evaluate(std::vector<RankInMemory> ranks, const NamedArrays &inputs,
                     const EvaluationOptions &options);

} // namespace cleave::rt
