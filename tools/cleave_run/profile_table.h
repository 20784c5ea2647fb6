// The tables of a profile: ops by kind, calls of the communicator by kind, and what the ranks
// spend their time on.
#pragma once

#include "runtime/engine/profile_merge.h"

#include <string>

namespace cleave::rt {

/// The tables of one phase, as lines; nothing where it had no step.
std::string describeProfile(Phase phase, const PhaseSummary &summary);

} // namespace cleave::rt
