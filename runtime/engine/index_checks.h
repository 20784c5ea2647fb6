// Steps that check, each run, the i32 values by which kernels index memory.
// Private to the engine.
#pragma once

#include "runtime/engine/step.h"

#include <memory>
#include <string>
#include <vector>

namespace cleave::rt {

/// Throws std::runtime_error unless each element of `indices` is in
/// [least, least + limit). `value` names the indices, `what` what they index.
std::unique_ptr<Step> makeIndexCheck(Location indices, Size count, int64_t least, Size limit,
                                     std::string value, std::string what);

/// Throws std::runtime_error unless number i of `indices`, i32 or i64, is in [-n, n) with n
/// limits[i mod their number]. `value` names the indices, `what` what they index.
std::unique_ptr<Step> makeSignedIndexCheck(Location indices, bool isWide, Size count,
                                           std::vector<Size> limits, std::string value,
                                           std::string what);

/// Throws std::runtime_error where two of `count` tokens have the same slot and
/// position. `room` is a buffer of 8 bytes for each token.
std::unique_ptr<Step> makePlaceCheck(Location slots, Location positions, Location room, Size count,
                                     std::string slotsValue, std::string positionsValue);

} // namespace cleave::rt
