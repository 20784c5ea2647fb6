// What goes along one dimension element after element: where the largest or smallest are,
// and running sums.
#pragma once

#include "runtime/kernels/part.h"

#include <cstdint>

namespace cleave::rt {

/// y = the place along the middle dimension, which is not empty, of its largest element, or
/// of the smallest: the first of equals, or the last. What is not a number comes before all.
struct ArgReduceArgs {
  const float *x = nullptr; ///< [outer, length, inner]
  int64_t *y = nullptr;     ///< [outer, inner]
  int64_t outer = 0;
  int64_t length = 0;
  int64_t inner = 0;
  bool smallest = false;
  bool last = false;
};

void argReduce(const ArgReduceArgs &args, Part part);

/// The `count` largest elements along the middle dimension and their places, the largest
/// first, of equals the one that comes first; or the smallest. What is not a number counts
/// as the largest. count <= length.
struct TopElementsArgs {
  const float *x = nullptr;   ///< [outer, length, inner]
  float *values = nullptr;    ///< [outer, count, inner]
  int64_t *indices = nullptr; ///< like values
  int64_t outer = 0;
  int64_t length = 0;
  int64_t inner = 0;
  int64_t count = 0;
  bool smallest = false;
};

void topElements(const TopElementsArgs &args, Part part);

/// y[i] = the sum of x[0] to x[i] along the middle dimension; `exclusive` without x[i],
/// `reverse` from the last element on. y may be x.
struct CumulativeSumArgs {
  const float *x = nullptr; ///< [outer, length, inner]
  float *y = nullptr;       ///< like x
  int64_t outer = 0;
  int64_t length = 0;
  int64_t inner = 0;
  bool exclusive = false;
  bool reverse = false;
};

void cumulativeSum(const CumulativeSumArgs &args, Part part);

} // namespace cleave::rt
