// The team's barrier, with more threads than cores, and what becomes of an exception.
#include "runtime/engine/team.h"

#include <gtest/gtest.h>

#include <omp.h>
#include <stdexcept>
#include <thread>
#include <vector>

namespace cleave::rt {
namespace {

TEST(Team, OneThreadIsACall) {
  Team team(1);
  auto caller = std::this_thread::get_id();
  int calls = 0;
  team.run([&](Part part) {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    EXPECT_EQ(part.index, 0);
    EXPECT_EQ(part.count, 1);
    ++calls;
  });
  EXPECT_EQ(calls, 1);
  EXPECT_THROW(team.run([](Part) { throw std::runtime_error("alone"); }), std::runtime_error);
}

TEST(Team, AllThreadsRunAndTheCallerIsTheFirst) {
  Team team(3);
  auto caller = std::this_thread::get_id();
  std::vector<int> calls(3);
  team.run([&](Part part) {
    EXPECT_EQ(part.count, 3);
    EXPECT_EQ(part.index == 0, std::this_thread::get_id() == caller);
    ++calls[static_cast<size_t>(part.index)];
  });
  EXPECT_EQ(calls, std::vector<int>(3, 1));
}

/// Plain numbers, each written by one thread and read by another after a meeting: they are
/// right only when a meeting waits for all and hands on what all have written.
TEST(Team, MeetingsOrderWhatThreadsWrite) {
  for (int threads : {2, 3, 8}) {
    constexpr int rounds = 2000;
    Team team(threads);
    std::vector<int> numbers(static_cast<size_t>(threads));
    std::vector<int> wrong(static_cast<size_t>(threads));
    team.run([&](Part part) {
      auto self = static_cast<size_t>(part.index);
      size_t neighbour = (self + 1) % numbers.size();
      for (int round = 1; round <= rounds; ++round) {
        numbers[self] = round;
        team.meet(part.count);
        wrong[self] += numbers[neighbour] != round;
        team.meet(part.count);
      }
    });
    EXPECT_EQ(numbers, std::vector<int>(numbers.size(), rounds));
    EXPECT_EQ(wrong, std::vector<int>(wrong.size(), 0)) << threads << " threads";
  }
}

/// Those who have gone to sleep are woken.
TEST(Team, LateThreadsAreWaitedFor) {
  Team team(3);
  std::vector<int> order;
  team.run([&](Part part) {
    for (int late = 0; late < 3; ++late) {
      if (part.index == late) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        order.push_back(late);
      }
      team.meet(part.count);
    }
  });
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
}

TEST(Team, AnExceptionEndsAllAndReachesTheCaller) {
  Team team(4);
  for (int round = 0; round < 50; ++round)
    for (int thrower = 0; thrower < 4; ++thrower) {
      std::vector<int> passed(4);
      try {
        team.run([&](Part part) {
          for (int i = 0; i < 10; ++i) {
            if (part.index == thrower && i == 3) {
              if (round % 10 == 0) // the others sleep by now
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
              throw std::runtime_error("from " + std::to_string(thrower));
            }
            team.meet(part.count);
            ++passed[static_cast<size_t>(part.index)];
          }
        });
        FAIL() << "no exception";
      } catch (const std::runtime_error &error) {
        EXPECT_EQ(error.what(), "from " + std::to_string(thrower));
      }
      // Nobody passes a meeting to which one did not come.
      for (int count : passed)
        EXPECT_LE(count, 3);
      EXPECT_EQ(passed[static_cast<size_t>(thrower)], 3);
    }
  // And the team is as good as new.
  std::vector<int> met(4);
  team.run([&](Part part) {
    team.meet(part.count);
    ++met[static_cast<size_t>(part.index)];
  });
  EXPECT_EQ(met, std::vector<int>(4, 1));
}

TEST(Team, TheFirstOfSeveralExceptionsIsThrown) {
  Team team(3);
  for (int round = 0; round < 100; ++round)
    EXPECT_THROW(team.run([](Part part) { throw part.index; }), int);
}

/// As where OMP_THREAD_LIMIT is below what was asked for.
TEST(Team, FewerThreadsThanAskedForMeetAsWell) {
  int outer = 0;
#pragma omp parallel num_threads(2)
#pragma omp master
  {
    Team team(4); // a region within a region gets one thread
    team.run([&](Part part) {
      outer = part.count;
      team.meet(part.count);
    });
  }
  EXPECT_EQ(outer, 1);
}

} // namespace
} // namespace cleave::rt
