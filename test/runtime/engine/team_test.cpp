// How the threads of a team share pieces of work, with more threads than cores, and what
// becomes of an exception.
#include "runtime/engine/team.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <omp.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace cleave::rt {
namespace {

void sleepFor(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

TEST(Team, OneThreadIsACall) {
  Team team(1);
  auto caller = std::this_thread::get_id();
  int calls = 0;
  team.run([&](TeamMember &member) {
    EXPECT_TRUE(member.isFirst());
    EXPECT_EQ(member.threads(), 1);
    member.share(7, [&](Part part) {
      EXPECT_EQ(std::this_thread::get_id(), caller);
      EXPECT_EQ(part.index, 0);
      EXPECT_EQ(part.count, 1);
      ++calls;
    });
    member.finish();
  });
  EXPECT_EQ(calls, 1);
  EXPECT_THROW(team.run([](TeamMember &) { throw std::runtime_error("alone"); }),
               std::runtime_error);
}

TEST(Team, AllThreadsRunAndTheCallerIsTheFirst) {
  Team team(3);
  auto caller = std::this_thread::get_id();
  std::atomic<int> calls{0};
  team.run([&](TeamMember &member) {
    EXPECT_EQ(member.threads(), 3);
    EXPECT_EQ(member.isFirst(), std::this_thread::get_id() == caller);
    ++calls;
  });
  EXPECT_EQ(calls, 3);
}

/// Pieces of plain numbers, each computed from what the piece before has written, and between
/// some of them work of the first thread's: they are right only where a piece begins when all
/// of the one before is done, and is done once.
TEST(Team, APieceSeesWhatThoseBeforeItWrote) {
  for (int threads : {2, 3, 8}) {
    for (int parts : {1, 3, 8, 20}) {
      constexpr int rounds = 400;
      Team team(threads);
      std::vector<int> numbers(static_cast<size_t>(parts)), next(numbers.size());
      int between = 0;
      std::vector<int> wrong(numbers.size());
      for (int region = 0; region < 2; ++region)
        team.run([&](TeamMember &member) {
          for (int round = 0; round < rounds; ++round) {
            member.share(parts, [&](Part part) {
              EXPECT_EQ(part.count, parts);
              auto self = static_cast<size_t>(part.index);
              next[self] = numbers[(self + 1) % numbers.size()] + 1;
              wrong[self] += between != (round + 1) / 2 + region * rounds / 2;
            });
            if (member.isFirst()) {
              member.finish();
              std::swap(numbers, next);
            }
            if (round % 2 == 0 && member.isFirst())
              ++between;
          }
        });
      EXPECT_EQ(numbers, std::vector<int>(numbers.size(), 2 * rounds))
          << threads << " threads, " << parts << " parts";
      EXPECT_EQ(wrong, std::vector<int>(wrong.size(), 0));
    }
  }
}

/// With nothing between them that keeps the first thread.
TEST(Team, PiecesFollowEachOther) {
  for (int threads : {2, 8}) {
    constexpr int rounds = 3000;
    Team team(threads);
    std::vector<int> numbers(4);
    std::vector<int> wrong(4);
    team.run([&](TeamMember &member) {
      for (int round = 0; round < rounds; ++round)
        member.share(4, [&](Part part) {
          auto self = static_cast<size_t>(part.index);
          wrong[self] += numbers[self] != round;
          numbers[self] = round + 1;
        });
    });
    EXPECT_EQ(numbers, std::vector<int>(4, rounds)) << threads << " threads";
    EXPECT_EQ(wrong, std::vector<int>(4, 0));
  }
}

/// A thread that is late goes past what is complete, and takes part in what comes then.
TEST(Team, LateThreadsAreNotWaitedFor) {
  Team team(2);
  std::vector<int> lateParts(100);
  std::atomic<bool> mayCome{false}, hasCome{false};
  team.run([&](TeamMember &member) {
    while (!member.isFirst() && !mayCome)
      std::this_thread::yield();
    for (size_t piece = 0; piece < 100; ++piece) {
      member.share(2, [&](Part) {
        if (!member.isFirst()) {
          ++lateParts[piece];
          hasCome = true;
        }
        // Here the other part is left to the late thread.
        for (int i = 0; member.isFirst() && piece == 70 && !hasCome && i < 10000; ++i)
          sleepFor(1);
      });
      if (piece == 49 && member.isFirst()) {
        member.finish(); // without the other thread
        mayCome = true;
      }
    }
  });
  for (size_t piece = 0; piece < 50; ++piece)
    EXPECT_EQ(lateParts[piece], 0) << piece;
  EXPECT_TRUE(hasCome);
}

/// Those who have gone to sleep, for the next piece or for the end of this one, are woken.
TEST(Team, SleepersAreWoken) {
  Team team(3);
  std::atomic<int> done{0};
  team.run([&](TeamMember &member) {
    for (int piece = 0; piece < 6; ++piece) {
      if (member.isFirst()) {
        member.finish();
        EXPECT_EQ(done, 3 * piece);
        sleepFor(2);
      }
      member.share(3, [&](Part) {
        if (!member.isFirst())
          sleepFor(3);
        ++done;
      });
    }
  });
  EXPECT_EQ(done, 18);
}

TEST(Team, AnExceptionEndsAllAndReachesTheCaller) {
  Team team(4);
  for (int round = 0; round < 40; ++round)
    for (int thrower = 0; thrower < 4; ++thrower) { // a part, or in the end the first alone
      std::atomic<int> after{0};
      try {
        team.run([&](TeamMember &member) {
          for (int i = 0; i < 10; ++i) {
            member.share(4, [&](Part part) {
              if (i > 3)
                ++after;
              if (i != 3 || part.index != thrower)
                return;
              if (round % 10 == 0) // the others sleep by now
                sleepFor(1);
              throw std::runtime_error("from " + std::to_string(thrower));
            });
            if (i == 5 && member.isFirst()) {
              member.finish();
              throw std::runtime_error("nobody ended");
            }
          }
        });
        FAIL() << "no exception";
      } catch (const std::runtime_error &error) {
        EXPECT_EQ(error.what(), "from " + std::to_string(thrower));
      }
      EXPECT_EQ(after, 0); // the piece was never complete
    }
  for (int round = 0; round < 40; ++round)
    EXPECT_THROW(team.run([&](TeamMember &member) {
      if (member.isFirst()) {
        if (round % 10 == 0)
          sleepFor(1);
        throw std::runtime_error("first");
      }
      member.share(4, [](Part) { ADD_FAILURE() << "what the first thread did not open"; });
    }),
                 std::runtime_error);
  // And the team is as good as new.
  std::atomic<int> parts{0};
  team.run([&](TeamMember &member) { member.share(9, [&](Part) { ++parts; }); });
  EXPECT_EQ(parts, 9);
}

TEST(Team, OneOfSeveralExceptionsIsThrown) {
  Team team(3);
  for (int round = 0; round < 100; ++round)
    EXPECT_THROW(team.run([](TeamMember &member) { throw member.threads(); }), int);
}

/// As where OMP_THREAD_LIMIT is below what was asked for.
TEST(Team, ARegionMayHaveFewerThreads) {
  int threads = 0, calls = 0;
#pragma omp parallel num_threads(2)
#pragma omp master
  {
    Team team(4); // a region within a region gets one thread
    team.run([&](TeamMember &member) {
      threads = member.threads();
      member.share(4, [&](Part) { ++calls; });
    });
  }
  EXPECT_EQ(threads, 1);
  EXPECT_EQ(calls, 1);
}

} // namespace
} // namespace cleave::rt
