// The threads' Communicator: the operations, and that no mistake ends in a hang.
#include "runtime/comm/thread_communicator.h"
#include "test/runtime/comm/communicator_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace cleave::rt {
namespace {

using testing::HasSubstr;

/// The message with which the job of `ranks` ranks fails.
std::string failureOf(int ranks, const std::function<void(Communicator &)> &body) {
  try {
    runRanks(ranks, body);
  } catch (const JobFailed &error) {
    return error.what();
  }
  return "(no failure)";
}

class ThreadCommunicator : public testing::TestWithParam<int> {};

TEST_P(ThreadCommunicator, DoesAllOperations) {
  runRanks(GetParam(), checkOperations);
}
TEST_P(ThreadCommunicator, SumsToTheSameBits) {
  runRanks(GetParam(), checkSameBits);
}

INSTANTIATE_TEST_SUITE_P(Ranks, ThreadCommunicator, testing::Values(1, 2, 3, 4, 7));

TEST(ThreadCommunicator, SumsInRankOrder) {
  runRanks(3, [](Communicator &c) {
    // (1e8 + 1) - 1e8 is 0 in f32, 1e8 - 1e8 + 1 is 1.
    constexpr float terms[] = {1e8f, -1e8f, 1.0f};
    float x = terms[c.rank()];
    GroupId inOrder = c.makeGroup(std::array{0u, 1u, 2u});
    GroupId otherOrder = c.makeGroup(std::array{0u, 2u, 1u});
    float y = x;
    c.allReduce(&x, 1, ElementType::f32, inOrder);
    c.allReduce(&y, 1, ElementType::f32, otherOrder);
    EXPECT_EQ(x, 1.0f);
    EXPECT_EQ(y, 0.0f);
  });
}

TEST(ThreadCommunicator, HalvesAreSummedInFloat) {
  runRanks(4, [](Communicator &c) {
    // 2048 + 1 is not an f16, 2048 + 1 + 1 + 1 = 2051 rounds to 2052.
    uint16_t x = c.rank() == 0 ? 0x6800 : 0x3c00;
    c.allReduce(&x, 1, ElementType::f16, c.makeGroup(std::array{0u, 1u, 2u, 3u}));
    EXPECT_EQ(x, 0x6802);
  });
}

TEST(ThreadCommunicator, AnAbortWakesTheOthers) {
  std::string failure = failureOf(3, [](Communicator &c) {
    float x = 0;
    if (c.rank() == 0)
      c.recv(&x, 1, ElementType::f32, 2, 0);
    if (c.rank() == 1)
      c.barrier();
    c.abort("out of paper");
  });
  EXPECT_EQ(failure, "rank 2: out of paper");
}

TEST(ThreadCommunicator, AnExceptionWakesTheOthers) {
  std::string failure = failureOf(2, [](Communicator &c) {
    if (c.rank() == 1)
      throw std::runtime_error("cannot read");
    c.barrier();
  });
  EXPECT_EQ(failure, "rank 1: cannot read");
}

TEST(ThreadCommunicator, AMessageOfAnotherSizeFails) {
  std::string failure = failureOf(2, [](Communicator &c) {
    std::array<float, 4> x = {};
    if (c.rank() == 0)
      c.send(x.data(), 3, ElementType::f32, 1, 5);
    else
      c.recv(x.data(), 4, ElementType::f32, 0, 5);
  });
  EXPECT_EQ(failure, "rank 1: recv from rank 0 tag 5 expects 16 bytes, the message has 12");
}

TEST(ThreadCommunicator, DisagreementFails) {
  std::string failure = failureOf(2, [](Communicator &c) {
    std::array<float, 4> x = {};
    c.allReduce(x.data(), c.rank() == 0 ? 3 : 4, ElementType::f32, c.makeGroup(std::array{0u, 1u}));
  });
  EXPECT_THAT(failure, HasSubstr("rank 1: calls an all_reduce of 4 f32 where rank 0 calls an "
                                 "all_reduce of 3 f32"));
}

TEST(ThreadCommunicator, ACyclicWaitFails) {
  std::string failure = failureOf(2, [](Communicator &c) {
    float x = 0;
    c.recv(&x, 1, ElementType::f32, 1 - c.rank(), c.rank());
  });
  EXPECT_THAT(failure, HasSubstr("deadlock: rank 0 in recv from rank 1 tag 0, rank 1 in recv "
                                 "from rank 0 tag 1"));
}

TEST(ThreadCommunicator, WaitingForARankThatEndedFails) {
  std::string failure = failureOf(2, [](Communicator &c) {
    if (c.rank() == 0)
      c.barrier();
  });
  EXPECT_THAT(failure, HasSubstr("deadlock: rank 0 in a barrier"));
}

} // namespace
} // namespace cleave::rt
