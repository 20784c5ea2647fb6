// Measures on the first rank; the others follow as in any run.
#include "tools/cleave_run/benchmark.h"

#include "tools/cleave_run/read_limit.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>

namespace cleave::rt {
namespace {

using Json = nlohmann::ordered_json;

void printLine(const Json &json) {
  std::string line = json.dump() + "\n";
  if (std::fwrite(line.data(), 1, line.size(), stdout) != line.size() || std::fflush(stdout) != 0)
    throw std::runtime_error(std::string("cannot write to standard output: ") +
                             std::strerror(errno));
}

/// The memory of this process, of pages that others map too its share; 0 where the system
/// does not tell.
int64_t proportionalSetBytes() {
  std::ifstream file("/proc/self/smaps_rollup");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("Pss:"))
      return std::stoll(line.substr(4)) * 1024;
  return 0;
}

double bytesOf(const fb::Weight &weight) {
  std::span<const int64_t> dims = dimsOf(weight.dims());
  const ElementTypeInfo &info = elementTypeInfo(static_cast<ElementType>(weight.element_type()));
  double bytes = static_cast<double>(info.blockBytes) / info.blockLength;
  for (int64_t dim : dims)
    bytes *= static_cast<double>(dim);
  return bytes;
}

/// The part of its weights that an instruction reads for one token.
double partRead(const fb::Instruction &instruction, const fb::Entry &entry) {
  auto dimsOfOperand = [&](uint32_t operand) {
    return dimsOf(entry.values()->Get(instruction.operands()->Get(operand))->dims());
  };
  switch (instruction.operation_type()) {
  case fb::Operation::Gather:
    return 1 / std::max(1.0, static_cast<double>(dimsOfOperand(0)[0]));
  case fb::Operation::Moe: {
    auto taken = static_cast<double>(dimsOfOperand(1)[1]);
    return std::min(1.0, taken / std::max(1.0, static_cast<double>(dimsOfOperand(3)[0])));
  }
  default:
    return 1;
  }
}

int64_t roundsOf(std::span<const BenchmarkTest> tests) {
  int64_t rounds = 0;
  for (const BenchmarkTest &test : tests)
    rounds = std::max(rounds, test.repeat);
  return rounds;
}

/// What each rank says of itself, on the first one; completes `own` before.
std::vector<BenchmarkRank> gatherRanks(Job &job, const Engine &engine, BenchmarkRank &own) {
  own.activationBytes = engine.activationBytes();
  job.communicator().barrier(); // none has ended when another looks at what they share
  own.pssBytes = proportionalSetBytes();
  auto ranks = static_cast<size_t>(job.ranks());
  std::vector<BenchmarkRank> all(ranks);
  std::vector<int> counts(ranks, sizeof own);
  std::vector<int> offsets(ranks);
  for (size_t rank = 0; rank < ranks; ++rank)
    offsets[rank] = static_cast<int>(rank * sizeof own);
  job.communicator().allGather(&own, all.data(), counts, offsets, ElementType::u8, job.all());
  return job.isFirst() ? all : std::vector<BenchmarkRank>();
}

/// What a rank of any program tells.
Json describe(size_t rank, const BenchmarkRank &facts) {
  return {{"rank", rank},
          {"threads", facts.threads},
          {"load_seconds", facts.loadSeconds},
          {"weight_bytes", facts.weightBytes},
          {"activation_bytes", facts.activationBytes},
          {"pss_bytes", facts.pssBytes},
          {"communication_seconds", facts.communicationSeconds}};
}

} // namespace

int64_t weightBytesOfStep(const Program &program) {
  const fb::Entry &entry = program.entry("step");
  const auto *weights = program.root().weights();
  // A weight that several instructions read is read once, as far as memory is concerned.
  std::vector<double> parts(weights ? weights->size() : 0);
  for (const fb::Instruction *instruction : *entry.instructions())
    if (instruction->operands())
      for (uint32_t operand : *instruction->operands())
        if (const fb::Value *value = entry.values()->Get(operand);
            value->storage() == fb::Storage::Weight)
          parts[value->index()] = std::max(parts[value->index()], partRead(*instruction, entry));
  double bytes = 0;
  for (size_t i = 0; i < parts.size(); ++i)
    bytes += parts[i] * bytesOf(*weights->Get(static_cast<uint32_t>(i)));
  return static_cast<int64_t>(bytes);
}

Benchmark::Benchmark(Job &job, LanguageModel &model, Engine &engine, const WeightFile &weights,
                     const LanguageOptions &options)
    : job(job), model(model), engine(engine), weights(weights), options(options), random(1) {}

void Benchmark::lead(const std::function<void()> &work) {
  if (!job.isFirst())
    return model.follow();
  work();
  model.end();
}

void Benchmark::run(std::span<const BenchmarkTest> tests, BenchmarkRank own) {
  engine.fillStates();
  lead([&] { warmUp(tests); });
  for (int64_t round = 0; round < roundsOf(tests); ++round)
    for (const BenchmarkTest &test : tests) {
      if (round >= test.repeat)
        continue;
      lead([&] {
        if (test.prompt > 0)
          measurePrompt(test, round);
        if (test.generate > 0)
          measureGeneration(test, round);
      });
      measureReads(test, round, static_cast<int>(own.threads));
    }
  own.communicationSeconds = model.communicationSeconds();
  own.cacheBytesOfToken = engine.stateBytesOfPosition();
  const std::vector<BenchmarkRank> all = gatherRanks(job, engine, own);
  Json list = Json::array();
  for (size_t rank = 0; rank < all.size(); ++rank) {
    list.push_back(describe(rank, all[rank]));
    list.back()["weight_bytes_per_token"] = all[rank].weightBytesOfStep;
    list.back()["cache_bytes_per_token"] = all[rank].cacheBytesOfToken;
  }
  if (job.isFirst())
    printLine({{"context", options.context}, {"batch", options.batch}, {"ranks", list}});
}

void Benchmark::warmUp(std::span<const BenchmarkTest> tests) {
  int64_t longest = 0;
  for (const BenchmarkTest &test : tests)
    longest = std::max(longest, test.prompt);
  // The largest step and the smallest bring in all memory that the others need.
  model.read(randomTokens(std::clamp(longest, int64_t{1}, options.batch)), 0);
  model.step(0, 0);
}

/// Times `work` and prints it.
static void measureOne(const char *kind, int64_t tokens, int64_t depth, int64_t repetition,
                       const LanguageModel &model, const std::function<void()> &work) {
  double communication = model.communicationSeconds();
  auto begin = std::chrono::steady_clock::now();
  work();
  std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  printLine({{"test", kind},
             {"tokens", tokens},
             {"depth", depth},
             {"repetition", repetition},
             {"seconds", seconds.count()},
             {"communication_seconds", model.communicationSeconds() - communication}});
}

void Benchmark::measurePrompt(const BenchmarkTest &test, int64_t repetition) {
  std::vector<int32_t> tokens = randomTokens(test.prompt);
  measureOne("prompt", test.prompt, test.depth, repetition, model,
             [&] { model.read(tokens, test.depth); });
}

void Benchmark::measureGeneration(const BenchmarkTest &test, int64_t repetition) {
  std::vector<int32_t> tokens = randomTokens(test.generate);
  measureOne("generate", test.generate, test.depth, repetition, model, [&] {
    for (int64_t i = 0; i < test.generate; ++i)
      model.step(tokens[static_cast<size_t>(i)], test.depth + i);
  });
}

void Benchmark::measureReads(const BenchmarkTest &test, int64_t repetition, int threads) {
  for (int64_t i = 0; i < test.read; ++i)
    for (const ReadWay &way : readWays) {
      job.communicator().barrier();
      const auto begin = std::chrono::steady_clock::now();
      readOnce(weights.bytes().subspan(weightFileHeaderBytes), threads, way);
      job.communicator().barrier();
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
      if (job.isFirst())
        printLine({{"test", "read"},
                   {"streams", way.streams},
                   {"prefetch", way.prefetch},
                   {"repetition", repetition},
                   {"seconds", seconds.count()}});
    }
}

std::vector<int32_t> Benchmark::randomTokens(int64_t count) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int32_t &token : tokens)
    token = static_cast<int32_t>(random() % static_cast<uint64_t>(options.vocabulary));
  return tokens;
}

void benchmarkGraph(Job &job, Engine &engine, std::span<const BenchmarkTest> tests,
                    Profiler *profiler, BenchmarkRank own) {
  auto run = [&](int64_t times) {
    for (int64_t i = 0; i < times; ++i) {
      if (profiler) {
        profiler->beginStep();
        profiler->setPhase(Phase::graph, 0);
      }
      engine.run();
      if (profiler)
        profiler->endStep();
    }
  };
  run(1);
  for (int64_t round = 0; round < roundsOf(tests); ++round)
    for (const BenchmarkTest &test : tests) {
      if (round >= test.repeat)
        continue;
      job.communicator().barrier();
      const double communication = engine.times().communication;
      const auto begin = std::chrono::steady_clock::now();
      run(test.run);
      job.communicator().barrier();
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
      if (job.isFirst())
        printLine({{"test", "run"},
                   {"runs", test.run},
                   {"repetition", round},
                   {"seconds", seconds.count()},
                   {"communication_seconds", engine.times().communication - communication}});
    }
  own.communicationSeconds = engine.times().communication;
  const std::vector<BenchmarkRank> all = gatherRanks(job, engine, own);
  Json list = Json::array();
  for (size_t rank = 0; rank < all.size(); ++rank)
    list.push_back(describe(rank, all[rank]));
  if (job.isFirst())
    printLine({{"ranks", list}});
}

} // namespace cleave::rt
