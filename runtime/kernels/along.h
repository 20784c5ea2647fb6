// What goes along one dimension element after element: where the largest or smallest are,
// and running sums. Elements are of f32, or integers of 32 or 64 bits, whose sums wrap around.
#pragma once

#include "runtime/kernels/part.h"

#include <cstdint>

namespace cleave::rt {

/// y = the place along the middle dimension, which is not empty, of its largest element, or
/// of the smallest: the first of equals, or the last. What is not a number comes before all.
template <typename T> struct ArgReduceArgs {
  const T *x = nullptr; ///< [outer, length, inner]
  int64_t *y = nullptr; ///< [outer, inner]
  int64_t outer = 0;
  int64_t length = 0;
  int64_t inner = 0;
  bool smallest = false;
  bool last = false;
};

template <typename T> void argReduce(const ArgReduceArgs<T> &args, Part part);

/// The `count` largest elements along the middle dimension and their places, the largest
/// first, of equals the one that comes first; or the smallest. What is not a number counts
/// as the largest. count <= length.
template <typename T> struct TopElementsArgs {
  const T *x = nullptr;       ///< [outer, length, inner]
  T *y = nullptr;             ///< the values, [outer, count, inner]
  int64_t *indices = nullptr; ///< like y
  int64_t outer = 0;
  int64_t length = 0;
  int64_t inner = 0;
  int64_t count = 0;
  bool smallest = false;
};

template <typename T> void topElements(const TopElementsArgs<T> &args, Part part);

/// y[i] = the sum of x[0] to x[i] along the middle dimension; `exclusive` without x[i],
/// `reverse` from the last element on. y may be x.
template <typename T> struct CumulativeSumArgs {
  const T *x = nullptr; ///< [outer, length, inner]
  T *y = nullptr;       ///< like x
  int64_t outer = 0;
  int64_t length = 0;
  int64_t inner = 0;
  bool exclusive = false;
  bool reverse = false;
};

template <typename T> void cumulativeSum(const CumulativeSumArgs<T> &args, Part part);

} // namespace cleave::rt
