// The largest elements of rows, and the best of several such lists.
#pragma once

#include "runtime/kernels/part.h"
#include "runtime/program/candidates.h"

#include <cstdint>

namespace cleave::rt {

/// For each of `rows` rows of `columns` elements of x, one behind the other, the `count`
/// that come first in the order of candidates. Column c is numbered `offset` + c. Where
/// columns are fewer than `count`, candidates that stand for none follow.
struct TopKArgs {
  const float *x = nullptr;
  Candidate *y = nullptr; ///< [rows, count]
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t count = 0; ///< 1 to maxCandidates
  int64_t offset = 0;
};

void topK(const TopKArgs &args, Part part);

/// For each of `rows` rows, the `count` best of `lists` lists, each in the order of
/// candidates. y does not overlap x.
struct MergeTopArgs {
  const Candidate *x = nullptr; ///< [lists, rows, count]
  Candidate *y = nullptr;       ///< [rows, count]
  int64_t lists = 0;
  int64_t rows = 0;
  int64_t count = 0; ///< 1 to maxCandidates
};

void mergeTop(const MergeTopArgs &args, Part part);

} // namespace cleave::rt
