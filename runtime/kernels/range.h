// Numbers that follow each other.
#pragma once

#include "runtime/program/element_type.h"

#include <cstdint>

namespace cleave::rt {

/// y[i] = start + i * step for i < count, as `type`: any plain one but f16, bf16 and i1.
/// Integers wrap around.
void range(void *y, int64_t count, int64_t start, int64_t step, ElementType type);

} // namespace cleave::rt
