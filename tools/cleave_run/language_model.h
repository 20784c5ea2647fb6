// Runs a language model's `step`: a prompt in batches, then one token a step. The
// first rank leads: it has the tokenizer and decides what each step computes; the
// others follow. The rank that answers for the logits chooses the tokens, so that
// no decision is made twice; where the best of them decide, only these travel.
#pragma once

#include "runtime/engine/engine.h"
#include "runtime/engine/profile.h"
#include "runtime/program/npy.h"
#include "runtime/program/program.h"
#include "runtime/text/sampler.h"
#include "runtime/text/tokenizer.h"
#include "tools/cleave_run/job.h"

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace cleave::rt {

/// What a step computes, alike on all ranks: token i stands at positions[i] of
/// cache slot slots[i], and the logits of the tokens at the places `rows` are wanted.
struct LanguageStep {
  std::vector<int32_t> tokens;
  std::vector<int32_t> positions;
  std::vector<int32_t> slots;
  std::vector<int32_t> rows;
  bool sample = false; ///< choose a token from the last row
  Phase phase = Phase::prompt;
};

struct LanguageOptions {
  int64_t context = 0;
  int64_t batch = 0; ///< the most tokens of one step, at most the context
  int64_t vocabulary = 0;
  SamplerOptions sampler; ///< the same on all ranks
  /// Where the logits of all tokens go, an array [tokens, vocabulary]; empty: nowhere.
  std::string logitsFile;
  /// Hears of each step; outlives the model. Null: nobody does.
  Profiler *profiler = nullptr;
};

/// Speed as the first rank sees it.
struct LanguageTimes {
  int64_t promptTokens = 0;
  double promptSeconds = 0; ///< until the first token is chosen
  int64_t steps = 0;        ///< of one token each, after the prompt
  double stepSeconds = 0;
  double communication = 0; ///< of both, in communication, waiting included
};

/// The values of the program's symbols that EngineOptions::bounds needs.
std::map<std::string, int64_t, std::less<>> languageBounds(const LanguageOptions &options);

class LanguageModel {
public:
  /// Finds the rank that answers for the logits, or for the best of them where these decide
  /// and the program gives them. Throws std::runtime_error where the program is no language
  /// model's, or the file for the logits cannot be written. Communicates: all ranks make it
  /// together.
  LanguageModel(Job &job, const Program &program, const LanguageOptions &options);

  /// The output that the engine is to give.
  const char *output() const { return candidates > 0 ? "candidates" : "logits"; }

  /// The engine that the steps run on. Once, before anything runs.
  void use(Engine &engine);

  /// On the first rank: computes `prompt` (at least one token, at most the context)
  /// and generates up to `predict` tokens (-1: no limit), until the end of the text
  /// or of the context. Prints text on standard output as it comes, and a newline;
  /// without a tokenizer (null), the tokens' ids with a space between.
  LanguageTimes lead(std::span<const int32_t> prompt, int64_t predict, const Tokenizer *tokenizer);

  /// On the first rank: computes `tokens`, the first of them at `position`, in batches. The token
  /// that is chosen after them.
  int32_t read(std::span<const int32_t> tokens, int64_t position);
  /// On the first rank: computes `token` at `position`. The token that is chosen after it.
  int32_t step(int32_t token, int64_t position);
  /// On the first rank, after the last step: lets the others go. lead() does it itself.
  void end();

  /// On the other ranks: computes what the first one says, until it ends.
  void follow();

  /// This rank's seconds in communication since the engine was made, waiting included.
  double communicationSeconds() const;

private:
  struct Header;

  /// Runs a step on all ranks. The token that was chosen, or -1. On the first rank.
  int32_t runStep(const LanguageStep &step);
  /// Computes the step that the header and the payload hold.
  int32_t compute(const Header &header, std::span<const int32_t> payload);
  /// Chooses a token from a row of the output.
  int32_t choose(std::span<const std::byte> row);
  void fill(std::string_view input, std::span<const int32_t> values);

  Job &job;
  LanguageOptions options;
  Engine *engine = nullptr;
  int64_t candidates = 0;           ///< of each row, in place of its logits; 0: logits
  int owner = 0;                    ///< the rank that has the output
  GroupId ownerAndFirst = -1;       ///< of the two, on these two, where they differ
  std::optional<Sampler> sampler;   ///< on the owner
  std::optional<NpyWriter> logits;  ///< on the owner
  std::vector<int32_t> payloadRoom; ///< what follows a header
  double exchangeSeconds = 0;       ///< in headers and tokens
};

} // namespace cleave::rt
