// Exact products of matrices of small integers.
#pragma once

#include "runtime/kernels/part.h"
#include "runtime/program/element_type.h"

#include <cstdint>

namespace cleave::rt {

inline constexpr int maxIntegerBatchDims = 6;

/// c[.., i, j] = the sum over l of a[.., i, l] * b[.., j, l], modulo 2^32. Elements of a and b are
/// of i8, u8 or i16. Matrices are dense; a stride of 0 repeats those of a or b.
struct IntegerMatMulArgs {
  const void *a = nullptr; ///< [batches.., rows, inner]
  const void *b = nullptr; ///< [batches.., columns, inner]
  int32_t *c = nullptr;    ///< [batches.., rows, columns]
  ElementType aType = ElementType::i8;
  ElementType bType = ElementType::i8;
  int batchRank = 0;
  int64_t batches[maxIntegerBatchDims] = {};
  int64_t aStrides[maxIntegerBatchDims] = {}; ///< in matrices
  int64_t bStrides[maxIntegerBatchDims] = {};
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t inner = 0;
};

void integerMatMul(const IntegerMatMulArgs &args, Part part);

} // namespace cleave::rt
