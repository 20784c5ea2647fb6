// What every Communicator must do, whatever carries it: called by each rank, in
// threads and under MPI alike. Throws std::runtime_error where a value is wrong.
#pragma once

#include "runtime/comm/communicator.h"

namespace cleave::rt {

/// Every operation against values worked out by hand, with counts that are zero,
/// uneven, and large enough for every path.
void checkOperations(Communicator &communicator);

/// Sums of f32 that depend on the order of summation give the same bits everywhere.
void checkSameBits(Communicator &communicator);

} // namespace cleave::rt
