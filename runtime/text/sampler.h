// Chooses the next token from a model's logits: top-k, top-p, min-p, temperature
// and a draw. The chain, its order and its defaults are those that llama.cpp's
// users know. Who draws (one rank) and who is told is the caller's business.
#pragma once

#include "runtime/program/candidates.h"

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace cleave::rt {

/// Each stage works on what the stage before it has kept, in this order.
struct SamplerOptions {
  /// Keep the `topK` tokens of the largest logits; 0 or less keeps all.
  int topK = 40;
  /// Keep the fewest most probable tokens whose probabilities sum to at least
  /// `topP`; 1 or more keeps all. At least one token is kept.
  float topP = 0.95f;
  /// Keep tokens at least `minP` times as probable as the most probable one; 0 or
  /// less keeps all.
  float minP = 0.05f;
  /// Divide the logits by `temp` before drawing. 0 or less: take the largest logit
  /// (the lowest id among equals), and nothing is drawn.
  float temp = 0.8f;
  uint64_t seed = 0;
};

/// Draws tokens. The same options and logits give the same tokens on every
/// platform, but for a platform's last bit of exp().
class Sampler {
public:
  /// `vocabularySize` is the number of logits in each sample; at least 1. Throws
  /// std::invalid_argument if an option is not a finite number.
  Sampler(const SamplerOptions &options, size_t vocabularySize);

  /// The id of the next token. `logits` has vocabularySize elements; -inf
  /// excludes a token. Throws std::runtime_error, naming the token, if a logit is
  /// NaN or +inf, or if all are -inf. Allocates nothing.
  int32_t sample(std::span<const float> logits);

  /// Whether the best `count` logits decide: sample() then gives the same tokens for them
  /// as for all logits.
  static bool needsOnly(size_t count, const SamplerOptions &options);

  /// The same of the best logits, in the order of candidates: all, or as many as needsOnly
  /// asks for. Throws as above where the first is NaN, +inf or -inf.
  int32_t sample(std::span<const Candidate> best);

private:
  struct Token {
    int32_t id;
    float logit;
    double weight; ///< proportional to the probability; the largest is 1
  };

  /// Chooses among tokens[0, kept), which are the best of all, best first.
  int32_t choose();
  /// Sets the weights of what is kept, and returns their sum.
  double setWeights(float temp);
  void keepTopP(double total);
  void keepMinP();
  int32_t draw();

  SamplerOptions options;
  std::mt19937_64 random;
  std::vector<Token> tokens; ///< room for the whole vocabulary
  size_t kept = 0;           ///< tokens[0, kept) are in the race, best first
};

} // namespace cleave::rt
