// Memory for weights in the layout that a library wants.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace cleave::rt {

/// Bytes aligned to 64; throws std::bad_alloc.
class PackedMemory {
public:
  PackedMemory() = default;
  explicit PackedMemory(size_t bytes)
      : memory(static_cast<std::byte *>(std::aligned_alloc(64, (bytes + 63) / 64 * 64))) {
    if (!memory)
      throw std::bad_alloc();
  }
  std::byte *data() const { return memory.get(); }

private:
  struct Free {
    void operator()(std::byte *bytes) const { std::free(bytes); }
  };
  std::unique_ptr<std::byte, Free> memory;
};

} // namespace cleave::rt
