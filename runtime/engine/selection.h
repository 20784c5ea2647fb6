// Which of an entry's instructions a run needs when only some of its outputs are wanted. A
// collective is left out by all members of its group or by none, so the ranks decide together.
#pragma once

#include "runtime/comm/communicator.h"
#include "runtime/program/program.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cleave::rt {

/// The names of the outputs that are wanted; nothing: all.
using WantedOutputs = std::optional<std::vector<std::string>>;

inline bool isWanted(const WantedOutputs &outputs, std::string_view name) {
  return !outputs || std::find(outputs->begin(), outputs->end(), name) != outputs->end();
}

/// For each instruction of the program's `entry`, whether it runs: those that serve
/// `outputs`, on this rank or through a collective on another, those that write states, and
/// messages, of which one rank does not know what they are for on the other. All ranks of the
/// program call it together; `groups` are those of the entry's collectives, `all` is that of all
/// ranks where there are several. Throws
/// std::runtime_error, on all ranks, where these want different things or an output that no
/// rank has.
std::vector<bool> selectInstructions(const Program &program, const fb::Entry &entry,
                                     const WantedOutputs &outputs, Communicator &communicator,
                                     const std::map<std::vector<uint32_t>, GroupId> &groups,
                                     GroupId all);

/// The ranks of a collective; null for other instructions.
const flatbuffers::Vector<uint32_t> *groupOf(const fb::Instruction &instruction);

} // namespace cleave::rt
