// Elements as those of another type, as cleave.cast has it.
#pragma once

#include "runtime/kernels/part.h"
#include "runtime/program/element_type.h"

#include <cstdint>

namespace cleave::rt {

/// y[i] = x[i] for `count` elements, of plain types. y does not overlap x.
struct CastArgs {
  const void *x = nullptr;
  void *y = nullptr;
  int64_t count = 0;
  ElementType from = ElementType::f32;
  ElementType to = ElementType::f32;
};

void cast(const CastArgs &args, Part part);

/// The values of `count` halves (f16 or bf16), and the halves nearest to values.
void widenHalves(const uint16_t *x, float *y, int64_t count, ElementType type);
void narrowToHalves(const float *x, uint16_t *y, int64_t count, ElementType type);

} // namespace cleave::rt
