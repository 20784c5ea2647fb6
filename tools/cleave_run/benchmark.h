// cleave-run --bench: how long a language model takes, apart from what it says, and how long
// a graph does. Feeds a model random tokens, at any depth of a cache that is filled with
// random numbers, and prints what was measured as lines of JSON; what to make of it is the
// reader's.
#pragma once

#include "runtime/engine/engine.h"
#include "runtime/program/program.h"
#include "runtime/program/weight_file.h"
#include "tools/cleave_run/job.h"
#include "tools/cleave_run/language_model.h"
#include "tools/cleave_run/options.h"

#include <cstdint>
#include <functional>
#include <random>
#include <span>
#include <vector>

namespace cleave::rt {

/// The bytes of weights that this rank's `step` reads for one token: whole matrices, one row
/// of an embedding table, of experts those that a token takes. As their element types have
/// them, whatever their layout adds.
int64_t weightBytesOfStep(const Program &program);

/// What a rank reports once. Travels as bytes.
struct BenchmarkRank {
  int64_t threads = 0;
  double loadSeconds = 0;        ///< from when the ranks had met until the first step could run
  int64_t weightBytes = 0;       ///< of the file
  int64_t weightBytesOfStep = 0; ///< of a language model, as what follows
  int64_t cacheBytesOfToken = 0;
  int64_t activationBytes = 0;
  int64_t pssBytes = 0;            ///< proportional set size after the last step; 0: unknown
  double communicationSeconds = 0; ///< in all steps, those that warm up too, waiting included
};

class Benchmark {
public:
  Benchmark(Job &job, LanguageModel &model, Engine &engine, const WeightFile &weights,
            const LanguageOptions &options);

  /// All ranks together: runs each test's repetitions, in turn with the other tests' after a
  /// round that does not count. The first rank prints a line of JSON for each measurement
  /// and one for all ranks on standard output; throws std::runtime_error where it cannot.
  void run(std::span<const BenchmarkTest> tests, BenchmarkRank own);

private:
  /// Does `work` on the first rank, and on the others what steps it asks for.
  void lead(const std::function<void()> &work);
  /// On the first rank.
  void warmUp(std::span<const BenchmarkTest> tests);
  void measurePrompt(const BenchmarkTest &test, int64_t repetition);
  void measureGeneration(const BenchmarkTest &test, int64_t repetition);
  /// All ranks together: how long it takes until each has read all its weights.
  void measureReads(const BenchmarkTest &test, int64_t repetition, int threads);
  std::vector<int32_t> randomTokens(int64_t count);

  Job &job;
  LanguageModel &model;
  Engine &engine;
  const WeightFile &weights;
  const LanguageOptions &options;
  std::mt19937 random;
};

/// Runs a graph, whose inputs have been given to `engine`, in the place of a language model: each
/// of a test's repetitions is `run` runs behind each other, from when all ranks begin until all
/// have ended. One run comes first and does not count. `profiler` may be null.
void benchmarkGraph(Job &job, Engine &engine, std::span<const BenchmarkTest> tests,
                    Profiler *profiler, BenchmarkRank own);

} // namespace cleave::rt
