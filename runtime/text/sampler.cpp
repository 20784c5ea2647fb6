// See sampler.h.
#include "runtime/text/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

namespace cleave::rt {

Sampler::Sampler(const SamplerOptions &options, size_t vocabularySize)
    : options(options), random(options.seed) {
  if (vocabularySize == 0 ||
      vocabularySize > static_cast<size_t>(std::numeric_limits<int32_t>::max()))
    throw std::invalid_argument("a vocabulary of " + std::to_string(vocabularySize) +
                                " tokens cannot be sampled from");
  auto check = [](const char *name, float value) {
    if (!std::isfinite(value))
      throw std::invalid_argument(std::string("the sampling option ") + name +
                                  " is not a finite number");
  };
  check("temp", options.temp);
  check("top-p", options.topP);
  check("min-p", options.minP);
  tokens.resize(vocabularySize);
}

static void refuseLogit(int64_t id, float logit) {
  throw std::runtime_error("the logit of token " + std::to_string(id) + " is " +
                           (std::isnan(logit) ? "not a number" : "infinite") +
                           ": the model's computation has overflowed or its weights are damaged");
}

static bool isBad(float logit) {
  return std::isnan(logit) || logit == std::numeric_limits<float>::infinity();
}

static void requireAny(float best) {
  if (std::isinf(best))
    throw std::runtime_error("no token can be chosen: all logits are -inf");
}

/// The most probable token; the lowest id among equals. Proves the logits on the
/// way.
static int32_t argmax(std::span<const float> logits) {
  size_t best = 0;
  for (size_t id = 0; id < logits.size(); ++id) {
    if (isBad(logits[id]))
      refuseLogit(static_cast<int64_t>(id), logits[id]);
    if (logits[id] > logits[best])
      best = id;
  }
  requireAny(logits[best]);
  return static_cast<int32_t>(best);
}

int32_t Sampler::sample(std::span<const float> logits) {
  if (logits.size() != tokens.size())
    throw std::invalid_argument("got " + std::to_string(logits.size()) +
                                " logits, expected one for each of " +
                                std::to_string(tokens.size()) + " tokens");
  int32_t best = argmax(logits);
  if (options.temp <= 0)
    return best;
  for (size_t id = 0; id < logits.size(); ++id)
    tokens[id] = {static_cast<int32_t>(id), logits[id], 0};
  kept = tokens.size();
  if (options.topK > 0)
    kept = std::min(kept, static_cast<size_t>(options.topK));
  // Sorted even where all are kept: the later stages and the draw go by rank, and
  // equal logits by id, so that the result does not depend on a library's sort.
  std::partial_sort(tokens.begin(), tokens.begin() + static_cast<ptrdiff_t>(kept), tokens.end(),
                    [](const Token &a, const Token &b) {
                      return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
                    });
  return choose();
}

bool Sampler::needsOnly(size_t count, const SamplerOptions &options) {
  return count > 0 &&
         (options.temp <= 0 || (options.topK > 0 && static_cast<size_t>(options.topK) <= count));
}

int32_t Sampler::sample(std::span<const Candidate> best) {
  if (best.size() < tokens.size() && !needsOnly(best.size(), options))
    throw std::invalid_argument(std::to_string(best.size()) +
                                " candidates are too few for the sampling options");
  // What is no number comes first, and the lowest id among such.
  if (isBad(best[0].value))
    refuseLogit(static_cast<int64_t>(best[0].id), best[0].value);
  requireAny(best[0].value);
  if (options.temp <= 0)
    return static_cast<int32_t>(best[0].id);
  kept = std::min(best.size(), tokens.size());
  if (options.topK > 0)
    kept = std::min(kept, static_cast<size_t>(options.topK));
  for (size_t i = 0; i < kept; ++i)
    tokens[i] = {static_cast<int32_t>(best[i].id), best[i].value, 0};
  return choose();
}

int32_t Sampler::choose() {
  keepTopP(setWeights(1));
  keepMinP();
  return draw();
}

double Sampler::setWeights(float temp) {
  double total = 0;
  for (size_t i = 0; i < kept; ++i) {
    double behind = double(tokens[i].logit) - double(tokens[0].logit);
    tokens[i].weight = std::exp(behind / double(temp));
    total += tokens[i].weight;
  }
  return total;
}

void Sampler::keepTopP(double total) {
  if (options.topP >= 1)
    return;
  double sum = 0;
  for (size_t i = 0; i < kept; ++i) {
    sum += tokens[i].weight;
    if (sum >= options.topP * total) {
      kept = i + 1;
      return;
    }
  }
}

void Sampler::keepMinP() {
  // The best has weight 1, and so the others' weights are their probabilities
  // relative to it.
  while (kept > 1 && tokens[kept - 1].weight < options.minP)
    --kept;
}

int32_t Sampler::draw() {
  double total = setWeights(options.temp);
  // Rounding must not lead past the last token that has a probability at all.
  while (tokens[kept - 1].weight == 0)
    --kept;
  // 53 random bits: uniform in [0, 1), the same on every platform.
  double point = static_cast<double>(random() >> 11) * 0x1p-53 * total;
  for (size_t i = 0; i + 1 < kept; ++i) {
    if (point < tokens[i].weight)
      return tokens[i].id;
    point -= tokens[i].weight;
  }
  return tokens[kept - 1].id;
}

} // namespace cleave::rt
