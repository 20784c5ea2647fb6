// What engine tests share: one rank's engine over a built program, and values in
// and out of it.
#pragma once

#include "runtime/comm/thread_communicator.h"
#include "runtime/engine/engine.h"
#include "test/runtime/program/program_builder.h"

#include <algorithm>
#include <cstring>
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

} // namespace cleave::rt
