// Which values of an entry lie in memory with their channels last: images between
// convolutions, and what is computed from them. A value's dimensions stay what they are;
// steps that do not know of it are given a copy in the plain order.
#pragma once

#include "runtime/comm/communicator.h"
#include "runtime/program/program.h"

#include <cstdint>
#include <map>
#include <span>
#include <vector>

namespace cleave::rt {

/// For each value of `entry`, whether it lies as [n, s..., c] where its dimensions are
/// [n, c, s...]. All results of an instruction lie alike. Members of a group that sum or
/// join such values must all have them so: all ranks of the program call it together. `groups` are
/// those of the entry's collectives, `all` is that of all ranks, `selected` are the instructions
/// that run.
std::vector<bool> planChannelsLast(const fb::Entry &entry, const std::vector<bool> &selected,
                                   Communicator &communicator,
                                   const std::map<std::vector<uint32_t>, GroupId> &groups,
                                   GroupId all);

/// Dimensions in the order in which such a value lies, and back.
std::vector<int64_t> channelsLastDims(std::span<const int64_t> dims);

/// Where dimension `dim` of `rank` is in that order.
uint32_t channelsLastDim(uint32_t dim, size_t rank);

/// Whether the two orders of the elements differ.
bool hasOrders(std::span<const int64_t> dims);

/// `dims` with dimensions of 1 before them, as many as broadcasting matches with `rank`.
std::vector<int64_t> padDims(std::span<const int64_t> dims, size_t rank);

} // namespace cleave::rt
