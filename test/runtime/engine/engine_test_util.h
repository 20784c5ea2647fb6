// What engine tests share: engines over built programs, of one rank or several, and values
// in and out of them.
#pragma once

#include "runtime/comm/thread_communicator.h"
#include "runtime/engine/engine.h"
#include "test/runtime/program/program_builder.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace cleave::rt {

template <typename T>
void setInput(Engine &engine, std::string_view name, const std::vector<T> &elements) {
  std::span<std::byte> bytes = engine.input(name);
  ASSERT_EQ(bytes.size(), elements.size() * sizeof(T)) << name;
  std::ranges::copy(std::as_bytes(std::span(elements)), bytes.begin());
}

inline std::vector<float> getOutput(const Engine &engine, std::string_view name) {
  std::span<const std::byte> bytes = engine.output(name);
  std::vector<float> elements(bytes.size() / sizeof(float));
  std::ranges::copy(bytes, std::as_writable_bytes(std::span(elements)).begin());
  return elements;
}

/// A program of one rank, with its engine.
class SingleRank {
public:
  explicit SingleRank(ProgramBuilder &builder, const EngineOptions &options = {})
      : hub(1), loaded(builder.load(testFolder())),
        engine(*loaded.program, *loaded.weights, hub.communicator(0), options) {}

private:
  ThreadHub hub;
  LoadedProgram loaded;

public:
  Engine engine;
};

/// Builds each rank's program, then runs `body` on all ranks' engines at once.
inline void runPrograms(uint32_t ranks, const EngineOptions &options,
                        const std::function<void(ProgramBuilder &)> &build,
                        const std::function<void(uint32_t, Engine &)> &body) {
  std::filesystem::path folder = testFolder();
  std::vector<LoadedProgram> loaded;
  for (uint32_t rank = 0; rank < ranks; ++rank) {
    ProgramBuilder b(rank, ranks);
    build(b);
    loaded.push_back(b.load(folder));
  }
  runRanks(static_cast<int>(ranks), [&](Communicator &communicator) {
    auto rank = static_cast<uint32_t>(communicator.rank());
    Engine engine(*loaded[rank].program, *loaded[rank].weights, communicator, options);
    body(rank, engine);
  });
}

/// The elements of [outer, width, inner] whose middle index is in [begin, end).
inline std::vector<float> part(const std::vector<float> &whole, int64_t width, int64_t inner,
                               int64_t begin, int64_t end) {
  std::vector<float> result;
  int64_t outer = static_cast<int64_t>(whole.size()) / (width * inner);
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t w = begin; w < end; ++w)
      for (int64_t i = 0; i < inner; ++i)
        result.push_back(whole[(o * width + w) * inner + i]);
  return result;
}

/// Distinct whole numbers, so that sums are exact.
inline std::vector<float> wholeValue(int64_t elements, uint32_t rank) {
  std::vector<float> whole(elements);
  std::iota(whole.begin(), whole.end(), 1.0f + 1000.0f * static_cast<float>(rank));
  return whole;
}

} // namespace cleave::rt
