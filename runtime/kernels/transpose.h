// Copies elements of a tensor of any type that lie at regular distances: with its dimensions in
// another order, repeated, or with steps.
#pragma once

#include "runtime/kernels/part.h"

#include <array>
#include <cstdint>

namespace cleave::rt {

inline constexpr int maxTransposeDims = 8;

/// y [dims[0], ..., dims[rank - 1]] is dense; one step along its dimension d is strides[d]
/// elements of x, which may be 0 or less. y does not overlap x. Elements have 1, 2, 4 or 8
/// bytes.
struct TransposeArgs {
  const void *x = nullptr;
  void *y = nullptr;
  int64_t elementBytes = 0;
  int rank = 0;
  std::array<int64_t, maxTransposeDims> dims{};
  std::array<int64_t, maxTransposeDims> strides{};
};

void transpose(const TransposeArgs &args, Part part);

} // namespace cleave::rt
