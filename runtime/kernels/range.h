// Numbers that follow each other.
#pragma once

#include "runtime/program/element_type.h"

#include <cstdint>

namespace cleave::rt {

/// y[i] = start + i * step for i < count, as `type`: f32, f64 or an integer, which wraps around.
void range(void *y, int64_t count, int64_t start, int64_t step, ElementType type);

} // namespace cleave::rt
