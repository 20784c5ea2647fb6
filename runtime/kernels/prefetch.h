// Prefetching of weights that one token's products read once, from one end to the other.
#pragma once

#include <cstdint>

namespace cleave::rt {

/// Asks for what lies some KiB behind the `bytes` from `at`, which are about to be multiplied, for
/// this use only: what came to be kept would be written on to the outer caches. Blocks of several
/// `chunks` keep a processor so busy that it does not follow up some of what it is asked for: it
/// is asked twice, first `farBytes` ahead. May run behind the end of a weight.
/// Distances are to be compared with the code at several places of its page: on a Zen 5 the time of
/// a loop depends by up to 14 % on that alone.
template <int chunks, int64_t farBytes = 8192>
inline void prefetchWeights(const uint8_t *at, int64_t bytes) {
  constexpr int64_t nearBytes = chunks == 1 ? 3072 : 4096;
  for (int64_t line = 0; line < bytes; line += 64) {
    __builtin_prefetch(at + nearBytes + line, 0, 0);
    if constexpr (chunks != 1)
      __builtin_prefetch(at + farBytes + line, 0, 0);
  }
}

} // namespace cleave::rt
