// Turns activations into what the linear kernels of quantized activations read: 8-bit integers
// in blocks of 32 with a scale, 16-bit integers likewise, or bf16.
#pragma once

#include "runtime/kernels/part.h"

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace cleave::rt {

/// In which form a linear kernel reads its activations.
enum class ActivationForm : uint8_t { f32, q8, q16, bf16 };

/// Elements that share a scale in a quantized row.
inline constexpr int64_t q8BlockLength = 32;

constexpr int64_t alignedTo64(int64_t bytes) {
  return (bytes + 63) / 64 * 64;
}

/// Bytes behind each row that mean nothing. Rows of a power of two would lie in the same few
/// sets of a cache, and drive each other out where several are read side by side.
inline constexpr int64_t rowGap = 64;

/// A row of `columns` elements (a multiple of 32, in blocks of 32) in ActivationForm::q8 is
///   int8 values[columns],
///   float scales[blocks],
///   float sums[blocks], scale times the sum of the block's values, and
///   float halfSums[2 * blocks], of each half of a block, for kernels whose weights have an
///     offset or a minimum,
/// each up to a multiple of 64 bytes, then rowGap. Element i stands for scales[i / 32] * values[i];
/// values are in [-127, 127].
constexpr int64_t q8RowBytes(int64_t columns) {
  const int64_t blocks = columns / q8BlockLength;
  return alignedTo64(columns) + 2 * alignedTo64(blocks * 4) + alignedTo64(blocks * 8) + rowGap;
}

/// Row `row` of such rows; Byte is std::byte or const std::byte.
template <class Byte> struct Q8Row {
  template <class T> using Of = std::conditional_t<std::is_const_v<Byte>, const T, T>;
  Of<int8_t> *values;
  Of<float> *scales;
  Of<float> *sums;
  Of<float> *halfSums;

  Q8Row(Byte *rows, int64_t row, int64_t columns) {
    Byte *at = rows + row * q8RowBytes(columns);
    const int64_t blocks = columns / q8BlockLength;
    values = reinterpret_cast<Of<int8_t> *>(at);
    scales = reinterpret_cast<Of<float> *>(at + alignedTo64(columns));
    sums = scales + alignedTo64(blocks * 4) / 4;
    halfSums = sums + alignedTo64(blocks * 4) / 4;
  }
};

/// The largest magnitude of a value in ActivationForm::q16, and of a weight beside it: 32
/// products of two of them fit 31 bits.
inline constexpr int q16Largest = 8191;

/// A row in ActivationForm::q16 is int16 values[columns] and float scales[blocks], each up to
/// a multiple of 64 bytes, then rowGap; values are in [-q16Largest, q16Largest].
constexpr int64_t q16ScalesOffset(int64_t columns) {
  return alignedTo64(columns * 2);
}
constexpr int64_t q16RowBytes(int64_t columns) {
  return q16ScalesOffset(columns) + alignedTo64(columns / q8BlockLength * 4) + rowGap;
}

/// A row in ActivationForm::bf16 is its elements, rounded to nearest (ties to even), up to a
/// multiple of 64 bytes, then rowGap.
constexpr int64_t bf16RowBytes(int64_t columns) {
  return alignedTo64(columns * 2) + rowGap;
}

/// The bytes of a row of `columns` elements, a multiple of 64; a row of plain floats where
/// the form is f32.
constexpr int64_t activationRowBytes(ActivationForm form, int64_t columns) {
  switch (form) {
  case ActivationForm::q8:
    return q8RowBytes(columns);
  case ActivationForm::q16:
    return q16RowBytes(columns);
  case ActivationForm::bf16:
    return bf16RowBytes(columns);
  case ActivationForm::f32:
    break;
  }
  return columns * static_cast<int64_t>(sizeof(float));
}

/// y row t, column padBefore + j = x[t, j]; the other columns are zero.
struct QuantizeArgs {
  const float *x = nullptr; ///< [tokens, xColumns]
  std::byte *y = nullptr;   ///< tokens rows of activationRowBytes, aligned to 64
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
/// The same with q16Largest instead of 127.
void quantizeQ16(const QuantizeArgs &args, Part part);
void quantizeBF16(const QuantizeArgs &args, Part part);

using QuantizeKernel = void (*)(const QuantizeArgs &, Part);

/// The kernel that makes rows of `form`, which is not f32.
QuantizeKernel quantizeKernel(ActivationForm form);

} // namespace cleave::rt
