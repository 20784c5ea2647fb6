// How a weight's elements are arranged in a rank's weight file. The compiler
// packs into these layouts, the kernels read them; both include only this.
#pragma once

#include <cstdint>

namespace cleave {

/// The numbers stand in programs on disk: never reuse one.
enum class Layout : uint8_t {
  /// As the model file has it: rows one after the other, each a sequence of whole
  /// blocks, without padding between rows.
  rows = 0,
};

/// Weights begin at multiples of this many bytes in a weight file.
inline constexpr uint64_t weightAlignment = 64;

} // namespace cleave
