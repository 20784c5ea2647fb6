// Where the buffers of a step lie in one arena: buffers that are never needed at
// the same time share their bytes.
#pragma once

#include <cstdint>
#include <vector>

namespace cleave::rt {

/// Buffers begin at multiples of this many bytes.
inline constexpr int64_t bufferAlignment = 64;

/// A buffer that is needed from instruction `begin` to instruction `end`, both
/// included.
struct BufferRequest {
  int64_t bytes = 0;
  int64_t begin = 0;
  int64_t end = 0;
};

struct MemoryPlan {
  std::vector<int64_t> offsets; ///< one a request, multiples of bufferAlignment
  int64_t bytes = 0;            ///< of the arena
};

/// Places the requests: first fit in the order of their beginnings, and of
/// those the larger first. Throws
/// std::runtime_error where the arena's size would overflow.
MemoryPlan planMemory(const std::vector<BufferRequest> &requests);

} // namespace cleave::rt
