// Measures on the first rank; the others follow as in any run.
#include "tools/cleave_run/benchmark.h"

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

Benchmark::Benchmark(Job &job, LanguageModel &model, Engine &engine, const LanguageOptions &options)
    : job(job), model(model), engine(engine), options(options), random(1) {}

void Benchmark::run(std::span<const BenchmarkTest> tests, BenchmarkRank own) {
  engine.fillStates();
  if (job.isFirst())
    measure(tests);
  else
    model.follow();
  own.communicationSeconds = model.communicationSeconds();
  own.cacheBytesOfToken = engine.stateBytes() / options.context;
  own.activationBytes = engine.activationBytes();
  job.communicator().barrier(); // none has ended when another looks at what they share
  own.pssBytes = proportionalSetBytes();
  gatherRanks(own);
}

void Benchmark::measure(std::span<const BenchmarkTest> tests) {
  int64_t rounds = 0;
  int64_t longest = 0;
  for (const BenchmarkTest &test : tests) {
    rounds = std::max(rounds, test.repeat);
    longest = std::max(longest, test.prompt);
  }
  // The largest step and the smallest bring in all memory that the others need.
  model.read(randomTokens(std::clamp(longest, int64_t{1}, options.batch)), 0);
  model.step(0, 0);
  for (int64_t round = 0; round < rounds; ++round)
    for (const BenchmarkTest &test : tests) {
      if (round >= test.repeat)
        continue;
      if (test.prompt > 0)
        measurePrompt(test, round);
      if (test.generate > 0)
        measureGeneration(test, round);
    }
  model.end();
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

void Benchmark::gatherRanks(const BenchmarkRank &own) {
  auto ranks = static_cast<size_t>(job.ranks());
  std::vector<BenchmarkRank> all(ranks);
  std::vector<int> counts(ranks, sizeof own);
  std::vector<int> offsets(ranks);
  for (size_t rank = 0; rank < ranks; ++rank)
    offsets[rank] = static_cast<int>(rank * sizeof own);
  job.communicator().allGather(&own, all.data(), counts, offsets, ElementType::u8, job.all());
  if (!job.isFirst())
    return;
  Json list = Json::array();
  for (size_t rank = 0; rank < ranks; ++rank) {
    const BenchmarkRank &facts = all[rank];
    list.push_back({{"rank", rank},
                    {"threads", facts.threads},
                    {"load_seconds", facts.loadSeconds},
                    {"weight_bytes", facts.weightBytes},
                    {"weight_bytes_per_token", facts.weightBytesOfStep},
                    {"cache_bytes_per_token", facts.cacheBytesOfToken},
                    {"activation_bytes", facts.activationBytes},
                    {"pss_bytes", facts.pssBytes},
                    {"communication_seconds", facts.communicationSeconds}});
  }
  printLine({{"context", options.context}, {"batch", options.batch}, {"ranks", list}});
}

std::vector<int32_t> Benchmark::randomTokens(int64_t count) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int32_t &token : tokens)
    token = static_cast<int32_t>(random() % static_cast<uint64_t>(options.vocabulary));
  return tokens;
}

} // namespace cleave::rt
