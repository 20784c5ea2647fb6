// Zeroed memory whose pages cost nothing until they are touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace cleave::rt {

/// An anonymous mapping, page-aligned, of large pages where the system has some.
class LazyMemory {
public:
  LazyMemory() = default;
  /// Throws std::runtime_error, beginning with `purpose`, where the system refuses
  /// that much.
  LazyMemory(int64_t bytes, const std::string &purpose);
  LazyMemory(LazyMemory &&other) noexcept;
  LazyMemory &operator=(LazyMemory &&other) noexcept;
  ~LazyMemory();

  std::byte *data() const { return mapping; }
  int64_t size() const { return bytes; }

  /// Makes all of it zero again, and gives the pages back.
  void clear();

private:
  std::byte *mapping = nullptr;
  int64_t bytes = 0;
};

} // namespace cleave::rt
