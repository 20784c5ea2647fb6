// Anonymous mappings.
#include "runtime/engine/lazy_memory.h"

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <sys/mman.h>
#include <utility>

namespace cleave::rt {

LazyMemory::LazyMemory(int64_t size, const std::string &purpose) : bytes(size) {
  if (size == 0)
    return;
  void *mapped = ::mmap(nullptr, static_cast<size_t>(size), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED)
    throw std::runtime_error(purpose + ": " + std::to_string(size) +
                             " bytes of memory cannot be had: " + std::strerror(errno));
  mapping = static_cast<std::byte *>(mapped);
  // Large pages save a long cache's readers many walks through page tables; a system that has
  // none to give says so, and small ones serve.
  (void)::madvise(mapped, static_cast<size_t>(size), MADV_HUGEPAGE);
}

LazyMemory::LazyMemory(LazyMemory &&other) noexcept
    : mapping(std::exchange(other.mapping, nullptr)), bytes(std::exchange(other.bytes, 0)) {}

LazyMemory &LazyMemory::operator=(LazyMemory &&other) noexcept {
  std::swap(mapping, other.mapping);
  std::swap(bytes, other.bytes);
  return *this;
}

LazyMemory::~LazyMemory() {
  if (mapping)
    ::munmap(mapping, static_cast<size_t>(bytes));
}

void LazyMemory::clear() {
  if (!mapping)
    return;
  // Where pages cannot be given back (they may be locked), zeros are written.
  if (::madvise(mapping, static_cast<size_t>(bytes), MADV_DONTNEED) != 0)
    std::memset(mapping, 0, static_cast<size_t>(bytes));
}

} // namespace cleave::rt
