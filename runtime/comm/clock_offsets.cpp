// See clock_offsets.h. Rank 0 asks each other rank for its time; that was taken, at best
// knowledge, in the middle between question and answer.
#include "runtime/comm/clock_offsets.h"

#include <array>
#include <fstream>
#include <functional>
#include <string>

namespace cleave::rt {

namespace {

constexpr int rounds = 16;
constexpr int tag = 0;
/// A rank's answer: its clock's id and time.
using Answer = std::array<int64_t, 2>;

int64_t offsetOf(Communicator &communicator, int rank, uint64_t clockId,
                 const std::function<int64_t()> &clock) {
  int64_t best = INT64_MAX, offset = 0;
  Answer answer{};
  for (int i = 0; i < rounds; ++i) {
    int64_t begin = clock();
    communicator.send(&begin, 1, ElementType::i64, rank, tag);
    communicator.recv(answer.data(), answer.size(), ElementType::i64, rank, tag);
    int64_t end = clock();
    if (end - begin < best) {
      best = end - begin;
      offset = answer[1] - (begin + best / 2);
    }
  }
  return static_cast<uint64_t>(answer[0]) == clockId ? 0 : offset;
}

} // namespace

std::vector<int64_t> clockOffsets(Communicator &communicator, uint64_t clockId,
                                  const std::function<int64_t()> &clock) {
  communicator.reserveSends(sizeof(Answer), 1);
  if (communicator.rank() == 0) {
    std::vector<int64_t> offsets{0};
    for (int rank = 1; rank < communicator.size(); ++rank)
      offsets.push_back(offsetOf(communicator, rank, clockId, clock));
    return offsets;
  }
  for (int i = 0; i < rounds; ++i) {
    int64_t question = 0;
    communicator.recv(&question, 1, ElementType::i64, 0, tag);
    Answer answer{static_cast<int64_t>(clockId), clock()};
    communicator.send(answer.data(), answer.size(), ElementType::i64, 0, tag);
  }
  return {};
}

uint64_t monotonicClockId() {
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  return std::hash<std::string>()(boot);
}

} // namespace cleave::rt
