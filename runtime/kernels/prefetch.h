// Prefetching of weights that one token's products read once, from one end to the other.
#pragma once

#include <cstdint>

namespace cleave::rt {

/// Asks for lines [begin, end) of what comes three blocks after the `blockBytes` at `block`, which
/// are being multiplied, or 4 KiB after small ones. It is for this use only: what came to be kept
/// would be written on to the outer caches. Blocks of 256 keep a processor so busy that it does not
/// follow up some of what it is asked for: it is asked again two blocks ahead. May run behind the
/// end of a weight.
template <int64_t blockBytes>
inline void prefetchLines(const uint8_t *block, int64_t begin, int64_t end) {
  constexpr int64_t smallBytes = 1024;
  for (int64_t line = begin; line < end; ++line) {
    const uint8_t *at = block + 64 * line;
    __builtin_prefetch(at + (blockBytes < smallBytes ? 4096 : 3 * blockBytes), 0, 0);
    if constexpr (blockBytes > smallBytes)
      __builtin_prefetch(at + 2 * blockBytes, 0, 0);
  }
  // A compiler must not bring together what is asked for beside different products: of what it is
  // asked for all at once, too, a processor forgets some.
  asm volatile("");
}

/// The same for as much as the block has.
template <int64_t blockBytes> inline void prefetchBlock(const uint8_t *block) {
  prefetchLines<blockBytes>(block, 0, (blockBytes + 63) / 64);
}

} // namespace cleave::rt
