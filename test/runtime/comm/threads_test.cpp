// Shares of machines that hwloc makes up.
#include "runtime/comm/threads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

namespace cleave::rt {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Machine {
public:
  explicit Machine(const char *description) {
    hwloc_topology_init(&topology);
    EXPECT_EQ(hwloc_topology_set_synthetic(topology, description), 0);
    EXPECT_EQ(hwloc_topology_load(topology), 0);
    all.resize(hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU));
    std::iota(all.begin(), all.end(), 0);
  }
  ~Machine() { hwloc_topology_destroy(topology); }

  ThreadShare share(const Launch &launch, const Processors &own, int wanted = 0) const {
    return shareOf(topology, launch, own, all, wanted);
  }

  hwloc_topology_t topology = nullptr;
  Processors all;
};

Launch launchOf(int rank, int ranks) {
  Launch launch;
  launch.underMpi = true;
  launch.rank = launch.localRank = rank;
  launch.ranks = launch.localRanks = ranks;
  return launch;
}

constexpr const char *twoNodes = "numa:2 core:4 pu:2"; // core c has hardware threads 2c, 2c + 1

TEST(Threads, OneProcessTakesItsCoresUnpinned) {
  Machine machine(twoNodes);
  ThreadShare share = machine.share(Launch(), machine.all);
  EXPECT_EQ(share.threads, 8);
  EXPECT_THAT(share.pins, IsEmpty());
  EXPECT_EQ(share.processors, machine.all);
}

TEST(Threads, ARankThatMpirunBoundToOneCoreTakesItsShare) {
  Machine machine(twoNodes);
  ThreadShare second = machine.share(launchOf(1, 2), {2, 3});
  EXPECT_EQ(second.threads, 4);
  EXPECT_THAT(second.processors, ElementsAre(8, 9, 10, 11, 12, 13, 14, 15));
  EXPECT_THAT(second.pins, ElementsAre(8, 10, 12, 14));
  EXPECT_THAT(machine.share(launchOf(0, 1), {0, 1}).pins, ElementsAre(0, 2, 4, 6, 8, 10, 12, 14));
}

TEST(Threads, SharesOfUnevenNumbersCoverAllCoresOnce) {
  Machine machine(twoNodes);
  std::vector<int> covered;
  for (int rank = 0; rank < 3; ++rank) {
    ThreadShare share = machine.share(launchOf(rank, 3), {0, 1});
    EXPECT_EQ(share.threads, static_cast<int>(share.pins.size()));
    covered.insert(covered.end(), share.pins.begin(), share.pins.end());
  }
  EXPECT_THAT(covered, ElementsAre(0, 2, 4, 6, 8, 10, 12, 14));
}

TEST(Threads, AWantedBindingIsObeyed) {
  Machine machine(twoNodes);
  Launch launch = launchOf(0, 2);
  launch.bindingWanted = true;
  ThreadShare share = machine.share(launch, {4, 5});
  EXPECT_EQ(share.threads, 1);
  EXPECT_THAT(share.processors, ElementsAre(4, 5));
  EXPECT_THAT(share.pins, IsEmpty());
}

TEST(Threads, AWiderBindingIsObeyedAndDivided) {
  Machine machine(twoNodes);
  Processors node = {0, 1, 2, 3, 4, 5, 6, 7};
  EXPECT_EQ(machine.share(launchOf(0, 4), node).threads, 2); // two of the four ranks are here
  EXPECT_EQ(machine.share(launchOf(0, 4), machine.all).threads, 2);
  EXPECT_EQ(machine.share(launchOf(0, 4), node).processors, node);
  EXPECT_THAT(machine.share(launchOf(0, 4), node).pins, IsEmpty());
}

TEST(Threads, TheUsersNumberOfThreads) {
  Machine machine(twoNodes);
  EXPECT_THAT(machine.share(launchOf(0, 2), {0, 1}, 6).pins, ElementsAre(0, 2, 4, 6, 1, 3));
  ThreadShare few = machine.share(launchOf(0, 2), {0, 1}, 2);
  EXPECT_EQ(few.threads, 2);
  EXPECT_THAT(few.pins, IsEmpty());
  EXPECT_EQ(few.processors.size(), 8u);
  EXPECT_THAT(machine.share(launchOf(0, 2), {0, 1}, 100).pins, IsEmpty());
}

TEST(Threads, MoreRanksThanCores) {
  Machine machine("core:2 pu:1");
  ThreadShare share = machine.share(launchOf(3, 4), machine.all);
  EXPECT_FALSE(share.coreForEachRank);
  EXPECT_EQ(share.threads, 1);
  EXPECT_TRUE(machine.share(launchOf(1, 2), {1}).coreForEachRank);
  EXPECT_THAT(machine.share(launchOf(3, 4), {1}).processors, ElementsAre(1));
}

} // namespace
} // namespace cleave::rt
