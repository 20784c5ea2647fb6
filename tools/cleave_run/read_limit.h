// How fast a rank's weights can be read when it does nothing else: the limit that generation is
// held against.
#pragma once

#include <cstddef>
#include <span>

namespace cleave::rt {

/// A way of reading memory: in so many streams a thread, at equal distances, with or without
/// prefetching. Which is the best depends on the machine.
struct ReadWay {
  size_t streams;
  bool prefetch;
};
inline constexpr ReadWay readWays[] = {{1, false}, {1, true},  {4, false},
                                       {4, true},  {8, false}, {8, true}};

/// Reads all of `bytes` but for less than 256 a stream, with `threads` threads of which each takes
/// one share.
void readOnce(std::span<const std::byte> bytes, int threads, const ReadWay &way);

} // namespace cleave::rt
