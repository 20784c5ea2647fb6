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
  candidates.resize(vocabularySize);
}

/// The most probable token; the lowest id among equals. Proves the logits on the
/// way.
static int32_t argmax(std::span<const float> logits) {
  size_t best = 0;
  for (size_t id = 0; id < logits.size(); ++id) {
    if (std::isnan(logits[id]) || logits[id] == std::numeric_limits<float>::infinity())
      throw std::runtime_error("the logit of token " + std::to_string(id) + " is " +
                               (std::isnan(logits[id]) ? "not a number" : "infinite") +
                               ": the model's computation has overflowed or its weights are "
                               "damaged");
    if (logits[id] > logits[best])
      best = id;
  }
  if (std::isinf(logits[best]))
    throw std::runtime_error("no token can be chosen: all logits are -inf");
  return static_cast<int32_t>(best);
}

int32_t Sampler::sample(std::span<const float> logits) {
  if (logits.size() != candidates.size())
    throw std::invalid_argument("got " + std::to_string(logits.size()) +
                                " logits, expected one for each of " +
                                std::to_string(candidates.size()) + " tokens");
  int32_t best = argmax(logits);
  if (options.temp <= 0)
    return best;
  for (size_t id = 0; id < logits.size(); ++id)
    candidates[id] = {static_cast<int32_t>(id), logits[id], 0};
  kept = candidates.size();
  keepTopK();
  keepTopP(setWeights(1));
  keepMinP();
  return draw();
}

void Sampler::keepTopK() {
  if (options.topK > 0)
    kept = std::min(kept, static_cast<size_t>(options.topK));
  // Sorted even where all are kept: the later stages and the draw go by rank, and
  // equal logits by id, so that the result does not depend on a library's sort.
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<ptrdiff_t>(kept),
                    candidates.end(), [](const Candidate &a, const Candidate &b) {
                      return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
                    });
}

double Sampler::setWeights(float temp) {
  double total = 0;
  for (size_t i = 0; i < kept; ++i) {
    double behind = double(candidates[i].logit) - double(candidates[0].logit);
    candidates[i].weight = std::exp(behind / double(temp));
    total += candidates[i].weight;
  }
  return total;
}

void Sampler::keepTopP(double total) {
  if (options.topP >= 1)
    return;
  double sum = 0;
  for (size_t i = 0; i < kept; ++i) {
    sum += candidates[i].weight;
    if (sum >= options.topP * total) {
      kept = i + 1;
      return;
    }
  }
}

void Sampler::keepMinP() {
  // The best has weight 1, and so the others' weights are their probabilities
  // relative to it.
  while (kept > 1 && candidates[kept - 1].weight < options.minP)
    --kept;
}

int32_t Sampler::draw() {
  double total = setWeights(options.temp);
  // Rounding must not lead past the last token that has a probability at all.
  while (candidates[kept - 1].weight == 0)
    --kept;
  // 53 random bits: uniform in [0, 1), the same on every platform.
  double point = static_cast<double>(random() >> 11) * 0x1p-53 * total;
  for (size_t i = 0; i + 1 < kept; ++i) {
    if (point < candidates[i].weight)
      return candidates[i].id;
    point -= candidates[i].weight;
  }
  return candidates[kept - 1].id;
}

} // namespace cleave::rt
