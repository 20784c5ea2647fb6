// Executes a rank's program: plans memory for the bounds of the symbols, chooses
// kernels, and runs an entry step by step. What a step's inputs mean (tokens,
// images) is the caller's business.
#pragma once

#include "runtime/comm/communicator.h"
#include "runtime/program/element_type.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cleave::rt {

class Profiler;
class Program;
class WeightFile;

/// How block-quantized weights meet f32 activations.
enum class Activations {
  quantized, ///< activations quantized to 8 bits on the fly, integer dot products
  f32,       ///< weights dequantized exactly, products in f32
};

struct EngineOptions {
  int threads = 1;
  /// The largest value of each symbol that the program names ("tokens", "context").
  std::map<std::string, int64_t, std::less<>> bounds = {};
  Activations activations = Activations::quantized;
  /// The element type of states (f32 or f16) where the program's is not wanted.
  std::optional<ElementType> cacheType = std::nullopt;
  std::string entry = {}; ///< empty: the program's only entry, or "step"
  /// The outputs that are wanted, by name, the same on all ranks; what serves only others is
  /// left out. Nothing: all.
  std::optional<std::vector<std::string>> outputs = std::nullopt;
  /// Where the steps' times go; outlives the engine. Null: nowhere.
  Profiler *profiler = nullptr;
};

/// Wall-clock seconds since the engine was made.
struct EngineTimes {
  double total = 0;         ///< in run()
  double communication = 0; ///< of that, in send, recv and collectives, waiting included
};

/// One rank's executor. Construction throws std::runtime_error with a message for
/// the user (memory that cannot be had, a bound that is missing), makes the groups of
/// communication and agrees on what is left out, together with all other ranks and before anything
/// that one rank may fail at alone, and sets the calling thread's number of OpenMP threads. run()
/// allocates nothing, but for what oneDNN does in itself when f32 weights meet many tokens.
class Engine {
public:
  /// `program`, `weights` and `communicator` outlive the engine.
  Engine(const Program &program, const WeightFile &weights, Communicator &communicator,
         const EngineOptions &options);
  ~Engine();

  /// Sets a symbol's value for the next runs; before that it has its bound. Throws
  /// std::runtime_error where `value` is negative or above the bound. A symbol that
  /// this rank's program does not know is left alone. What follows from it (a share of it, a sum)
  /// follows; input(), output() and run() throw where such a size is negative. States keep the
  /// shape that the bounds gave them.
  void setSymbol(std::string_view name, int64_t value);

  /// The memory of an input or output for the current symbols, row-major; empty
  /// where this rank's entry has no such port, or it is not wanted. An output is valid after run()
  /// until the next.
  std::span<std::byte> input(std::string_view name);
  std::span<const std::byte> output(std::string_view name) const;

  /// Runs the entry once. All ranks of the program call it together, each time from
  /// the thread that made its engine. Throws std::runtime_error where an index in an
  /// input is out of range (a token, slot or position), before anything is computed.
  void run();

  /// Sets all states to zero.
  void clearStates();
  /// Fills all states with numbers of magnitude 0.5 to 1 and either sign, the same each time. What
  /// was never written is no memory yet, and reading it would measure nothing.
  void fillStates();

  const EngineTimes &times() const;
  /// Bytes taken for states and for activations.
  int64_t stateBytes() const;
  int64_t activationBytes() const;
  /// Bytes that one position of a slot has in all states, without the room that panels leave.
  int64_t stateBytesOfPosition() const;

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace cleave::rt
