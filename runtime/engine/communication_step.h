// What the steps of communication share: shares of a dimension, and the step that times
// itself. Private to the engine.
#pragma once

#include "runtime/comm/communicator.h"
#include "runtime/engine/step.h"
#include "runtime/program/program_generated.h"

#include <chrono>
#include <vector>

namespace cleave::rt {

/// A member's part of the dimension that is cut.
struct Share {
  int64_t begin = 0;
  int64_t size = 0;
};

/// Adds the time until its destruction to `seconds`.
class Stopwatch {
public:
  explicit Stopwatch(double &seconds) : seconds(seconds) {}
  ~Stopwatch() {
    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

private:
  double &seconds;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
};

/// What all steps of communication know.
class CommunicationStep : public Step {
public:
  CommunicationStep(Communicator &communicator, double &seconds)
      : communicator(communicator), seconds(seconds) {}

  ElementType type = ElementType::f32;
  Location x, y;

protected:
  /// Calls `exchange` on the first thread, and counts its time.
  template <typename Exchange>
  void communicate(RunContext &context, const Exchange &exchange) const {
    context.runAlone([&] {
      Stopwatch watch(seconds);
      exchange();
    });
  }

  Communicator &communicator;
  double &seconds;
};

/// The members' shares of a constant dimension; room for them where they are evaluated.
std::vector<Share> sharesOf(const flatbuffers::Vector<int64_t> *ranges, size_t members);

/// The shares' elements together, overlaps counted again; where these are more than any
/// tensor has, just more.
int64_t totalOf(const std::vector<Share> &shares);

/// Leaves each index to one member: where ranges overlap, members hold the same.
void trim(std::vector<Share> &shares);

/// Where `rank`, which is a member, stands in the group.
size_t placeIn(const flatbuffers::Vector<uint32_t> &group, uint32_t rank);

} // namespace cleave::rt
