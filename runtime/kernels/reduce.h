// Reductions over any set of dimensions.
#pragma once

#include "runtime/kernels/part.h"
#include "runtime/program/element_type.h"

#include <cstdint>

namespace cleave::rt {

enum class Reduction { sum, mean, max, min, prod, l1, sumSquare, logSumExp };

inline constexpr int maxReduceDims = 8;

/// Neighbouring dimensions that are both kept, or both reduced, are one (see add()).
struct ReduceShape {
  int rank = 0;
  int64_t dims[maxReduceDims] = {};
  bool reduced[maxReduceDims] = {};
  Reduction kind = Reduction::sum;

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

struct ReduceArgs : ReduceShape {
  const float *x = nullptr; ///< dense
  float *y = nullptr;       ///< the kept dimensions, dense
  double count = 1;         ///< what a mean divides by
};

void reduce(const ReduceArgs &args, Part part);

/// Of 32 or 64 bits; sums, products and their like wrap around. No mean or logarithm.
struct IntegerReduceArgs : ReduceShape {
  const void *x = nullptr; ///< dense
  void *y = nullptr;       ///< the kept dimensions, dense
  ElementType type = ElementType::i64;
};

void reduceIntegers(const IntegerReduceArgs &args, Part part);

} // namespace cleave::rt
