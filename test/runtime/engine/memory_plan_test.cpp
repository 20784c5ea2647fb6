// Placement of buffers: nothing that lives at the same time overlaps, and what
// does not, shares.
#include "runtime/engine/memory_plan.h"

#include <gtest/gtest.h>

#include <random>

namespace cleave::rt {
namespace {

void expectDisjoint(const std::vector<BufferRequest> &requests, const MemoryPlan &plan) {
  ASSERT_EQ(plan.offsets.size(), requests.size());
  for (size_t a = 0; a < requests.size(); ++a) {
    EXPECT_EQ(plan.offsets[a] % bufferAlignment, 0);
    EXPECT_LE(plan.offsets[a] + requests[a].bytes, plan.bytes);
    for (size_t b = 0; b < a; ++b) {
      bool together = requests[a].begin <= requests[b].end && requests[b].begin <= requests[a].end;
      bool overlap = plan.offsets[a] < plan.offsets[b] + requests[b].bytes &&
                     plan.offsets[b] < plan.offsets[a] + requests[a].bytes;
      EXPECT_FALSE(together && overlap) << "requests " << b << " and " << a;
    }
  }
}

TEST(MemoryPlan, NothingNeedsNothing) {
  EXPECT_EQ(planMemory({}).bytes, 0);
}

TEST(MemoryPlan, ReusesWhatIsDead) {
  // A chain, as a model's layers are: two buffers at a time.
  std::vector<BufferRequest> chain;
  for (int64_t i = 0; i < 100; ++i)
    chain.push_back({1000, i, i + 1});
  MemoryPlan plan = planMemory(chain);
  expectDisjoint(chain, plan);
  EXPECT_EQ(plan.bytes, 2 * 1024);
}

TEST(MemoryPlan, KeepsWhatEndsWhereAnotherBegins) {
  std::vector<BufferRequest> requests{{64, 0, 1}, {64, 1, 2}};
  MemoryPlan plan = planMemory(requests);
  expectDisjoint(requests, plan);
  EXPECT_EQ(plan.bytes, 128);
}

TEST(MemoryPlan, GrowsTheLastGap) {
  MemoryPlan plan = planMemory({{64, 0, 0}, {128, 1, 1}});
  EXPECT_EQ(plan.bytes, 128);
}

TEST(MemoryPlan, RandomLifetimesNeverOverlap) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    std::vector<BufferRequest> requests;
    for (int i = 0; i < 60; ++i) {
      int64_t begin = random() % 40;
      requests.push_back({static_cast<int64_t>(random() % 500), begin,
                          begin + static_cast<int64_t>(random() % 10)});
    }
    expectDisjoint(requests, planMemory(requests));
  }
}

TEST(MemoryPlan, RefusesWhatOverflows) {
  int64_t huge = int64_t{1} << 55;
  EXPECT_THROW(planMemory({{huge, 0, 0}, {huge, 0, 0}, {huge, 0, 0}}), std::runtime_error);
}

} // namespace
} // namespace cleave::rt
