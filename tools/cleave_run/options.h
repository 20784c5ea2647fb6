// The command line of cleave-run.
#pragma once

#include "runtime/engine/engine.h"
#include "runtime/text/sampler.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cleave::rt {

/// "NAME=FILE.npy" of --input and --output.
struct NamedFile {
  std::string name;
  std::string file;
};

/// What --bench measures: of a language model prompt and generation apart, each from position
/// `depth` on of a cache that is filled with random numbers up to there, and how fast the weights
/// can be read at that time; of a graph `run` runs.
struct BenchmarkTest {
  int64_t prompt = 0;   ///< tokens; 0: no such measurement
  int64_t generate = 0; ///< likewise
  int64_t run = 0;      ///< likewise
  int64_t read = 0;     ///< reads of all weights in each of several ways
  int64_t depth = 0;
  int64_t repeat = 5;

  int64_t context() const { return depth + std::max(prompt, generate); }
};

struct Options {
  std::string package;

  std::string prompt;
  std::string promptFile;                     ///< empty: none
  std::optional<std::vector<int32_t>> tokens; ///< the prompt as token ids
  int64_t predict = -1;                       ///< -1: until the end of text or of the context
  SamplerOptions sampler;                     ///< its seed counts where randomSeed is false
  bool randomSeed = true;

  int threads = 0;     ///< 0: this rank's share
  int64_t context = 0; ///< 0: the smaller of the model's and defaultContext
  int64_t batch = 512;
  std::optional<ElementType> cacheType;
  Activations activations = Activations::quantized;
  bool verify = true;

  std::vector<NamedFile> inputs;
  std::vector<NamedFile> outputs;

  std::string profile; ///< the file for the trace; empty: nothing is recorded

  std::vector<BenchmarkTest> benchmark; ///< empty: the package is run
};

/// A long cache is not allocated unasked.
inline constexpr int64_t defaultContext = 4096;

/// Reads the command line into `options`. A result is the process's exit status:
/// for an error, or after help and version. Prints only where `prints` is set, so
/// that one rank speaks for all.
std::optional<int> parseOptions(int argc, char **argv, bool prints, Options &options);

} // namespace cleave::rt
