// Reductions over any set of dimensions.
#pragma once

#include "runtime/kernels/part.h"

#include <cstdint>

namespace cleave::rt {

enum class Reduction { sum, mean, max, min, prod, l1, sumSquare, logSumExp };

inline constexpr int maxReduceDims = 8;

/// Neighbouring dimensions that are both kept, or both reduced, are one (see add()).
struct ReduceArgs {
  const float *x = nullptr; ///< dense
  float *y = nullptr;       ///< the kept dimensions, dense
  int rank = 0;
  int64_t dims[maxReduceDims] = {};
  bool reduced[maxReduceDims] = {};
  Reduction kind = Reduction::sum;
  double count = 1; ///< what a mean divides by

  /// Adds x's next dimension.
  void add(int64_t size, bool isReduced) {
    if (size == 1)
      return;
    if (rank > 0 && reduced[rank - 1] == isReduced) {
      dims[rank - 1] *= size;
      return;
    }
    dims[rank] = size;
    reduced[rank++] = isReduced;
  }
};

void reduce(const ReduceArgs &args, Part part);

} // namespace cleave::rt
