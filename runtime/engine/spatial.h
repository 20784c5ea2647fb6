// Numbers of spatial dimensions, as instructions have them, for kernels of three dimensions.
#pragma once

#include "runtime/program/program.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cleave::rt {

/// Puts one number for each of one to three spatial dimensions behind what the kernel has for
/// those that are missing.
template <typename Numbers>
void setSpatial(int64_t (&to)[3], const Numbers &from, size_t first, size_t spatial) {
  for (size_t i = 0; i < spatial; ++i)
    to[3 - spatial + i] = from[first + i];
}

inline std::vector<int64_t> numbersOf(const flatbuffers::Vector<uint32_t> &numbers) {
  return {numbers.begin(), numbers.end()};
}

} // namespace cleave::rt
