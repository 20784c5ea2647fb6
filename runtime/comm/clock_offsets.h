// How far the clocks of the ranks are apart, so that times of several nodes can stand on one
// time line.
#pragma once

#include "runtime/comm/communicator.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace cleave::rt {

/// By how much each rank's `clock` is ahead of rank 0's, in its units; on rank 0, elsewhere
/// nothing. All ranks call it together. Ranks with the same `clockId` have one clock, and are
/// not apart; of another rank the answer is at most half a message's way there and back wrong,
/// the quickest of several counting.
std::vector<int64_t> clockOffsets(Communicator &communicator, uint64_t clockId,
                                  const std::function<int64_t()> &clock);

/// The id of CLOCK_MONOTONIC: the same for all processes of a node, until it boots anew.
uint64_t monotonicClockId();

} // namespace cleave::rt
