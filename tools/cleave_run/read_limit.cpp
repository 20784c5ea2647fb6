// Reads memory and does nothing else with it.
#include "tools/cleave_run/read_limit.h"

#include <cstdint>

namespace cleave::rt {

namespace {

/// The unit of a read: four cache lines of each stream in turn.
constexpr size_t stepBytes = 256;
constexpr size_t lineBytes = 64;
constexpr size_t prefetchBytes = 2048;

/// Reads `bytes` from `data`, which is aligned.
void readShare(const std::byte *data, size_t bytes, const ReadWay &way) {
  typedef uint64_t Pair __attribute__((vector_size(16)));
  Pair sums[4] = {};
  const size_t piece = bytes / way.streams / stepBytes * stepBytes;
  for (size_t offset = 0; offset < piece; offset += stepBytes)
    for (size_t stream = 0; stream < way.streams; ++stream) {
      const std::byte *from = data + stream * piece + offset;
      if (way.prefetch)
        for (size_t line = 0; line < stepBytes; line += lineBytes)
          __builtin_prefetch(from + prefetchBytes + line);
      for (size_t i = 0; i < stepBytes / sizeof(Pair); ++i)
        sums[i % 4] ^= reinterpret_cast<const Pair *>(from)[i];
    }
  asm volatile("" : : "m"(sums)); // so that no read can be left out
}

} // namespace

void readOnce(std::span<const std::byte> bytes, int threads, const ReadWay &way) {
  const size_t share = bytes.size() / static_cast<size_t>(threads) / stepBytes * stepBytes;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int thread = 0; thread < threads; ++thread)
    readShare(bytes.data() + static_cast<size_t>(thread) * share, share, way);
}

} // namespace cleave::rt
