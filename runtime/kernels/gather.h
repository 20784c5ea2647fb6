// Gathers rows of a table by index, as f32: the token embedding.
#pragma once

#include "runtime/kernels/part.h"
#include "runtime/program/layout.h"

#include <cstdint>

namespace cleave::rt {

/// y[t] = source[indices[t] - offset], dequantized exactly. Where that row is
/// outside [0, rows): zeros if `masked`; otherwise the caller has made sure that
/// there is none.
struct GatherArgs {
  const void *source = nullptr;        ///< [rows, columns]
  ElementType type = ElementType::f32; ///< see canGather
  Layout layout = Layout::rows;
  const int32_t *indices = nullptr; ///< [tokens]
  float *y = nullptr;               ///< [tokens, columns]
  int64_t rows = 0;
  int64_t columns = 0; ///< a whole number of the type's blocks
  int64_t tokens = 0;
  int64_t offset = 0;
  int64_t yStride = 0; ///< in elements
  bool masked = false;
};

/// Whether gather reads sources of `type`.
bool canGather(ElementType type);

void gather(const GatherArgs &args, Part part);

} // namespace cleave::rt
