// A mixture of experts: the pieces from which a step computes it around the linear
// kernels. A token and one of its choices make a row; rows are in the experts' order, so
// that each expert has its rows together and weights that nobody chose are not read.
#pragma once

#include "runtime/kernels/linear.h"
#include "runtime/kernels/part.h"

#include <cstddef>
#include <cstdint>

namespace cleave::rt {

/// Deals the tokens' choices to the experts firstExpert .. firstExpert + experts - 1 of this
/// rank; other choices get no row.
struct MoeRowsArgs {
  const int32_t *chosen = nullptr; ///< [tokens, perToken]; any numbers
  int32_t *begins = nullptr; ///< [experts + 1]: expert n has rows begins[n] .. begins[n + 1] - 1
  int32_t *tokenOfRow = nullptr;  ///< [tokens * perToken], of which begins[experts] are written
  int32_t *rowOfChoice = nullptr; ///< [tokens, perToken]: -1 for no row
  int64_t tokens = 0;
  int64_t perToken = 0;
  int64_t firstExpert = 0;
  int64_t experts = 0;
};

/// By one thread: it is a count of tokens * perToken small numbers.
void moeRows(const MoeRowsArgs &args);

/// y row r = x row tokenOfRow[r].
struct MoeCopyArgs {
  const std::byte *x = nullptr;
  std::byte *y = nullptr;
  const int32_t *tokenOfRow = nullptr;
  int64_t rows = 0;
  int64_t rowBytes = 0;
};

void moeCopy(const MoeCopyArgs &args, Part part);

/// Each expert's product of its rows with its matrix.
struct MoeLinearArgs {
  /// Of expert 0, over all rows; `tokens` is not read.
  LinearArgs linear;
  LinearKernel kernel = nullptr;
  const int32_t *begins = nullptr; ///< [experts + 1]
  int64_t experts = 0;
  int64_t expertBytes = 0; ///< from one expert's matrix to the next
};

void moeLinear(const MoeLinearArgs &args, Part part);

/// y[t] = the sum over j of weights[t, j] * rows[rowOfChoice[t, j]], without the choices
/// that have no row; zeros where none has one.
struct MoeSumArgs {
  const float *rows = nullptr; ///< [.., columns]
  const float *weights = nullptr;
  const int32_t *rowOfChoice = nullptr;
  float *y = nullptr; ///< [tokens, columns]
  int64_t tokens = 0;
  int64_t perToken = 0;
  int64_t columns = 0;
};

void moeSum(const MoeSumArgs &args, Part part);

} // namespace cleave::rt
