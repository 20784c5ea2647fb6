// Clocks that are apart by a known time.
#include "runtime/comm/clock_offsets.h"
#include "runtime/comm/thread_communicator.h"

#include <gtest/gtest.h>

#include <atomic>

namespace cleave::rt {
namespace {

/// A clock that all ranks share and that ticks each time it is read; rank r's is 1000000 r
/// ahead. A question, its answer and the end are three ticks that follow each other.
std::vector<int64_t> offsetsOf(int ranks, const std::function<uint64_t(int)> &clockId) {
  std::atomic<int64_t> time = 0;
  std::vector<int64_t> result;
  runRanks(ranks, [&](Communicator &communicator) {
    int rank = communicator.rank();
    std::vector<int64_t> offsets =
        clockOffsets(communicator, clockId(rank), [&] { return ++time + 1000000 * rank; });
    EXPECT_EQ(offsets.size(), rank == 0 ? static_cast<size_t>(ranks) : 0);
    if (rank == 0)
      result = offsets;
  });
  return result;
}

TEST(ClockOffsets, AreFoundByMessages) {
  // In the middle between question and answer.
  EXPECT_EQ(offsetsOf(3, [](int rank) { return static_cast<uint64_t>(rank); }),
            (std::vector<int64_t>{0, 1000000, 2000000}));
}

TEST(ClockOffsets, AreNoneOfOneClock) {
  EXPECT_EQ(offsetsOf(3, [](int rank) { return rank == 2 ? 7u : 0u; }),
            (std::vector<int64_t>{0, 0, 2000000}));
}

TEST(ClockOffsets, NeedNoSecondRank) {
  EXPECT_EQ(offsetsOf(1, [](int) { return 0u; }), std::vector<int64_t>{0});
}

TEST(ClockOffsets, ANodeHasOneClock) {
  EXPECT_EQ(monotonicClockId(), monotonicClockId());
  EXPECT_NE(monotonicClockId(), 0u);
}

} // namespace
} // namespace cleave::rt
