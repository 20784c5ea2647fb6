// Quantizes activations to 8 bits, in blocks of 32, for the linear_q8 kernels.
#pragma once

#include "runtime/kernels/part.h"

#include <cstddef>
#include <cstdint>

namespace cleave::rt {

/// Elements that share a scale in a quantized row.
inline constexpr int64_t q8BlockLength = 32;

/// Where a quantized row's parts begin, in bytes. A row of `columns` elements (a
/// multiple of 32, in blocks of 32) is
///   int8 values[columns],
///   float scales[blocks],
///   int16 sums[2 * blocks], of the values of each half of a block, for kernels whose
///     weights have an offset or a minimum,
/// each up to a multiple of 64 bytes. Element i stands for scales[i / 32] * values[i];
/// values are in [-127, 127].
constexpr int64_t q8ScalesOffset(int64_t columns) {
  return (columns + 63) / 64 * 64;
}
constexpr int64_t q8SumsOffset(int64_t columns) {
  return q8ScalesOffset(columns) + (columns / q8BlockLength * 4 + 63) / 64 * 64;
}

/// The bytes of a quantized row, a multiple of 64.
constexpr int64_t q8RowBytes(int64_t columns) {
  return q8SumsOffset(columns) + (columns / q8BlockLength * 4 + 63) / 64 * 64;
}

/// y row t, column padBefore + j = x[t, j]; the other columns are zero.
struct QuantizeArgs {
  const float *x = nullptr; ///< [tokens, xColumns]
  std::byte *y = nullptr;   ///< tokens * q8RowBytes(columns) bytes, aligned to 64
  int64_t tokens = 0;
  int64_t columns = 0; ///< of y: a multiple of 32, at least padBefore + xColumns
  int64_t xColumns = 0;
  int64_t padBefore = 0;
  int64_t xStride = 0; ///< in elements
};

/// A block's scale is max |x| / 127, and a value x / scale rounded to nearest. A
/// block whose largest magnitude is below 1e-35 becomes zero; one that holds an
/// infinity or NaN has a NaN for its scale, so that it is not hidden.
void quantizeQ8(const QuantizeArgs &args, Part part);

} // namespace cleave::rt
