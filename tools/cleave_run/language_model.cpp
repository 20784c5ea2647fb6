// A step begins with a header of fixed size from the first rank. It holds the
// symbols' values and, when it is short, the step's inputs; a longer step's inputs
// follow in a second message.
#include "tools/cleave_run/language_model.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <stdexcept>

namespace cleave::rt {
namespace {

using Clock = std::chrono::steady_clock;

double secondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

void printText(const std::string &text) {
  if (text.empty())
    return;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw std::runtime_error(std::string("cannot write to standard output: ") +
                             std::strerror(errno));
}

/// Tokens on standard output: as text, or as ids where there is no tokenizer.
class TokenPrinter {
public:
  explicit TokenPrinter(const Tokenizer *tokenizer) {
    if (tokenizer)
      decoder.emplace(*tokenizer);
  }

  void print(std::span<const int32_t> tokens) {
    std::string text;
    for (int32_t token : tokens) {
      text += decoder ? decoder->next(token) : (isFirst ? "" : " ") + std::to_string(token);
      isFirst = false;
    }
    printText(text);
  }

private:
  std::optional<StreamDecoder> decoder;
  bool isFirst = true;
};

/// The output of that name, where this rank answers for it; else null.
const fb::Value *findOutput(const fb::Entry &entry, std::string_view name, int rank) {
  if (entry.outputs())
    for (const fb::OutputPort *port : *entry.outputs())
      if (port->name()->string_view() == name && port->owner() == static_cast<uint32_t>(rank))
        return entry.values()->Get(port->value());
  return nullptr;
}

bool isF32(const fb::Value &value) {
  return static_cast<ElementType>(value.element_type()) == ElementType::f32;
}

/// The sampler and the file of logits rely on [rows, vocabulary] f32.
void checkLogits(const fb::Value &value, int64_t vocabulary, const std::string &fileName) {
  std::span<const int64_t> dims = dimsOf(value.dims());
  if (!isF32(value) || dims.size() != 2 || dims[1] != vocabulary)
    throw std::runtime_error(fileName + ": the output 'logits' is not [rows, " +
                             std::to_string(vocabulary) + "] f32, which the manifest asks for");
}

/// How many candidates of a row there are.
int32_t countCandidates(const fb::Value &value, const std::string &fileName) {
  std::span<const int64_t> dims = dimsOf(value.dims());
  if (!isF32(value) || dims.size() != 3 || dims[1] < 1 || dims[1] > maxCandidates || dims[2] != 2)
    throw std::runtime_error(fileName + ": the output 'candidates' is not [rows, 1 to " +
                             std::to_string(maxCandidates) + ", 2] f32");
  return static_cast<int32_t>(dims[1]);
}

} // namespace

/// What the first rank sends to all before each step.
struct LanguageModel::Header {
  int32_t phase = noStep; ///< a Phase, or that there is no further step
  int32_t sample = 0;
  int32_t tokens = 0;
  int32_t rows = 0;
  /// Tokens, positions, slots and rows, one after the other, where they fit.
  std::array<int32_t, 60> payload{};

  static constexpr int32_t noStep = -1;
  size_t payloadSize() const { return static_cast<size_t>(tokens) * 3 + static_cast<size_t>(rows); }
  bool holdsPayload() const { return payloadSize() <= payload.size(); }
};

std::map<std::string, int64_t, std::less<>> languageBounds(const LanguageOptions &options) {
  // Without a file for all logits, only the last token's are wanted: for 512 tokens
  // of a large vocabulary they would be the largest buffer of all.
  return {{"tokens", options.batch},
          {"rows", options.logitsFile.empty() ? 1 : options.batch},
          {"slots", 1},
          {"context", options.context}};
}

LanguageModel::LanguageModel(Job &job, const Program &program, const LanguageOptions &options)
    : job(job), options(options), payloadRoom(static_cast<size_t>(options.batch) * 4) {
  // Sums over the ranks: of each output the number of owners and, where there is one, its
  // rank; and how many candidates there are.
  struct Found {
    int32_t logits = 0, logitsOwner = 0;
    int32_t candidates = 0, candidatesOwner = 0, count = 0;
  } found;
  job.together([&] {
    const fb::Entry &entry = program.entry("step");
    if (const fb::Value *value = findOutput(entry, "logits", job.rank())) {
      checkLogits(*value, options.vocabulary, program.fileName());
      found.logits = 1;
      found.logitsOwner = job.rank();
    }
    if (const fb::Value *value = findOutput(entry, "candidates", job.rank())) {
      found.count = countCandidates(*value, program.fileName());
      found.candidates = 1;
      found.candidatesOwner = job.rank();
    }
  });
  job.communicator().allReduce(&found, sizeof found / sizeof(int32_t), ElementType::i32, job.all());
  if (found.logits != 1)
    job.refuse("the package is no language model's: " + std::to_string(found.logits) +
               " ranks answer for the output 'logits' of 'step', expected 1");
  if (found.candidates == 1 && options.logitsFile.empty() &&
      Sampler::needsOnly(static_cast<size_t>(found.count), options.sampler))
    candidates = found.count;
  owner = candidates > 0 ? found.candidatesOwner : found.logitsOwner;
  const bool isOwner = owner == job.rank();
  job.together([&] {
    if (!isOwner)
      return;
    sampler.emplace(options.sampler, static_cast<size_t>(options.vocabulary));
    if (!options.logitsFile.empty())
      logits.emplace(options.logitsFile, ElementType::f32,
                     std::vector<int64_t>{options.vocabulary});
  });
  if (owner != 0 && (isOwner || job.isFirst()))
    ownerAndFirst =
        job.communicator().makeGroup(std::array{static_cast<uint32_t>(owner), uint32_t{0}});
}

void LanguageModel::use(Engine &usedEngine) {
  engine = &usedEngine;
}

LanguageTimes LanguageModel::lead(std::span<const int32_t> prompt, int64_t predict,
                                  const Tokenizer *tokenizer) {
  TokenPrinter printer(tokenizer);
  printer.print(prompt);

  LanguageTimes times;
  times.promptTokens = static_cast<int64_t>(prompt.size());
  auto begin = Clock::now();
  int32_t chosen = read(prompt, 0);
  times.promptSeconds = secondsSince(begin);

  begin = Clock::now();
  auto position = static_cast<int64_t>(prompt.size());
  for (int64_t generated = 0; generated != predict; ++generated) {
    if (tokenizer && tokenizer->isEndOfText(chosen))
      break;
    if (position + generated >= options.context) {
      std::fprintf(stderr, "cleave-run: stopped, as the context of %lld tokens is full (--ctx)\n",
                   static_cast<long long>(options.context));
      break;
    }
    printer.print({&chosen, 1});
    if (generated + 1 == predict)
      break;
    chosen = step(chosen, position + generated);
    ++times.steps;
  }
  times.stepSeconds = secondsSince(begin);
  times.communication = communicationSeconds();
  end();
  printText("\n");
  return times;
}

int32_t LanguageModel::read(std::span<const int32_t> tokens, int64_t position) {
  int32_t chosen = -1;
  for (size_t done = 0; done < tokens.size();) {
    size_t count = std::min(tokens.size() - done, static_cast<size_t>(options.batch));
    LanguageStep step;
    step.tokens.assign(tokens.begin() + done, tokens.begin() + done + count);
    step.positions.resize(count);
    std::iota(step.positions.begin(), step.positions.end(),
              static_cast<int32_t>(position + static_cast<int64_t>(done)));
    step.slots.assign(count, 0);
    done += count;
    step.sample = done == tokens.size();
    if (!options.logitsFile.empty()) {
      step.rows.resize(count);
      std::iota(step.rows.begin(), step.rows.end(), 0);
    } else if (step.sample) {
      step.rows = {static_cast<int32_t>(count) - 1};
    }
    chosen = runStep(step);
  }
  return chosen;
}

int32_t LanguageModel::step(int32_t token, int64_t position) {
  return runStep({.tokens = {token},
                  .positions = {static_cast<int32_t>(position)},
                  .slots = {0},
                  .rows = {0},
                  .sample = true,
                  .phase = Phase::generation});
}

double LanguageModel::communicationSeconds() const {
  return exchangeSeconds + engine->times().communication;
}

int32_t LanguageModel::runStep(const LanguageStep &step) {
  Header header;
  header.phase = static_cast<int32_t>(step.phase);
  header.sample = step.sample ? 1 : 0;
  header.tokens = static_cast<int32_t>(step.tokens.size());
  header.rows = static_cast<int32_t>(step.rows.size());
  int32_t *at = header.holdsPayload() ? header.payload.data() : payloadRoom.data();
  std::span<const int32_t> payload(at, header.payloadSize());
  for (const std::vector<int32_t> *values :
       {&step.tokens, &step.positions, &step.slots, &step.rows})
    at = std::ranges::copy(*values, at).out;

  if (options.profiler)
    options.profiler->beginStep();
  auto begin = Clock::now();
  Communicator &communicator = job.communicator();
  communicator.broadcast(&header, sizeof header / sizeof(int32_t), ElementType::i32, 0, job.all());
  if (!header.holdsPayload())
    communicator.broadcast(payloadRoom.data(), payload.size(), ElementType::i32, 0, job.all());
  exchangeSeconds += secondsSince(begin);
  return compute(header, payload);
}

void LanguageModel::follow() {
  Communicator &communicator = job.communicator();
  Header header;
  while (true) {
    if (options.profiler)
      options.profiler->beginStep();
    communicator.broadcast(&header, sizeof header / sizeof(int32_t), ElementType::i32, 0,
                           job.all());
    if (header.phase == Header::noStep)
      break;
    if (!header.holdsPayload())
      communicator.broadcast(payloadRoom.data(), header.payloadSize(), ElementType::i32, 0,
                             job.all());
    const int32_t *payload = header.holdsPayload() ? header.payload.data() : payloadRoom.data();
    compute(header, {payload, header.payloadSize()});
  }
  if (logits)
    logits->finish();
}

int32_t LanguageModel::compute(const Header &header, std::span<const int32_t> payload) {
  auto tokens = static_cast<size_t>(header.tokens);
  auto rows = static_cast<size_t>(header.rows);
  engine->setSymbol("tokens", header.tokens);
  engine->setSymbol("rows", header.rows);
  fill("tokens", payload.subspan(0, tokens));
  fill("positions", payload.subspan(tokens, tokens));
  fill("slots", payload.subspan(2 * tokens, tokens));
  fill("rows", payload.subspan(3 * tokens, rows));
  if (options.profiler)
    options.profiler->setPhase(static_cast<Phase>(header.phase), header.tokens);
  engine->run();

  int32_t chosen = -1;
  if (sampler && rows > 0) {
    std::span<const std::byte> bytes = engine->output(output());
    size_t rowBytes = candidates > 0 ? static_cast<size_t>(candidates) * sizeof(Candidate)
                                     : static_cast<size_t>(options.vocabulary) * sizeof(float);
    if (bytes.size() != rows * rowBytes)
      throw std::runtime_error("the " + std::string(output()) + " have " +
                               std::to_string(bytes.size()) + " bytes, expected " +
                               std::to_string(rows) + " rows of " + std::to_string(rowBytes));
    if (logits)
      logits->append(bytes);
    if (header.sample)
      chosen = choose(bytes.last(rowBytes));
  }
  if (header.sample && ownerAndFirst >= 0) {
    auto begin = Clock::now();
    job.communicator().broadcast(&chosen, 1, ElementType::i32, 0, ownerAndFirst);
    exchangeSeconds += secondsSince(begin);
  }
  if (options.profiler)
    options.profiler->endStep();
  return chosen;
}

int32_t LanguageModel::choose(std::span<const std::byte> row) {
  if (candidates > 0)
    return sampler->sample(
        std::span(reinterpret_cast<const Candidate *>(row.data()), row.size() / sizeof(Candidate)));
  return sampler->sample(
      std::span(reinterpret_cast<const float *>(row.data()), row.size() / sizeof(float)));
}

void LanguageModel::fill(std::string_view input, std::span<const int32_t> values) {
  std::span<std::byte> memory = engine->input(input);
  if (memory.empty()) // this rank's entry has no such input
    return;
  if (memory.size() != values.size_bytes())
    throw std::runtime_error("the input '" + std::string(input) + "' has " +
                             std::to_string(memory.size()) + " bytes, expected " +
                             std::to_string(values.size()) + " i32");
  std::memcpy(memory.data(), values.data(), memory.size());
}

void LanguageModel::end() {
  Header header;
  job.communicator().broadcast(&header, sizeof header / sizeof(int32_t), ElementType::i32, 0,
                               job.all());
  if (logits)
    logits->finish();
}

} // namespace cleave::rt
