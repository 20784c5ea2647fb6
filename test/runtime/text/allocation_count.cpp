// See allocation_count.h. A file of its own: inlined into a test, these would look
// to the compiler like a mismatched new and free.
#include "test/runtime/text/allocation_count.h"

#include <atomic>
#include <cstdlib>
#include <new>

static std::atomic<size_t> count = 0;

size_t allocationCount() {
  return count;
}

void *operator new(size_t size) {
  ++count;
  if (void *memory = std::malloc(size ? size : 1))
    return memory;
  throw std::bad_alloc();
}

void *operator new(size_t size, const std::nothrow_t &) noexcept {
  ++count;
  return std::malloc(size ? size : 1);
}

void operator delete(void *memory) noexcept {
  std::free(memory);
}
void operator delete(void *memory, size_t) noexcept {
  std::free(memory);
}
