// Writes rows into a state that outlives the step: the KV cache.
#pragma once

#include "runtime/kernels/part.h"
#include "runtime/program/element_type.h"

#include <cstdint>

namespace cleave::rt {

/// state[slots[t], positions[t]] = x[t], rounded to nearest for f16. The state lies in rows, in
/// panels, or in both. The caller has made sure that slots and positions are inside the state,
/// and that no two tokens have the same place.
struct StateUpdateArgs {
  void *rows = nullptr;                     ///< [slots, context, width], or null
  void *panels = nullptr;                   ///< the same as of key_panels.h, or null
  ElementType stateType = ElementType::f32; ///< f32 or f16
  const float *x = nullptr;                 ///< [tokens, width]
  const int32_t *slots = nullptr;           ///< [tokens]
  const int32_t *positions = nullptr;       ///< [tokens]
  int64_t tokens = 0;
  int64_t context = 0;
  int64_t width = 0;
  int64_t xStride = 0; ///< in elements
};

void stateUpdate(const StateUpdateArgs &args, Part part);

} // namespace cleave::rt
