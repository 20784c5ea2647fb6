// Small loops: a token has as many logits here as there are experts.
#include "runtime/kernels/route.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace cleave::rt {

void route(const RouteArgs &args, Part part) {
  const PartRange range = partRange(args.tokens, part);
  for (int64_t t = range.begin; t < range.end; ++t) {
    const float *logits = args.logits + t * args.experts;
    int32_t *chosen = args.chosen + t * args.perToken;
    for (int64_t j = 0; j < args.perToken; ++j) {
      int64_t best = -1;
      for (int64_t n = 0; n < args.experts; ++n) {
        const bool isTaken = std::find(chosen, chosen + j, n) != chosen + j;
        if (!isTaken && (best < 0 || logits[n] > logits[best] ||
                         (std::isnan(logits[best]) && !std::isnan(logits[n]))))
          best = n;
      }
      chosen[j] = static_cast<int32_t>(best);
    }
  }
}

void routeWeights(const RouteWeightsArgs &args, Part part) {
  const PartRange range = partRange(args.tokens, part);
  for (int64_t t = range.begin; t < range.end; ++t) {
    const float *logits = args.logits + t * args.experts;
    const int32_t *chosen = args.chosen + t * args.perToken;
    float *weights = args.weights + t * args.perToken;
    auto exists = [&](int64_t j) { return chosen[j] >= 0 && chosen[j] < args.experts; };
    // Calls `visit` with the logits that the softmax is over.
    auto forEach = [&](auto visit) {
      if (!args.normalized)
        std::for_each(logits, logits + args.experts, visit);
      else
        for (int64_t j = 0; j < args.perToken; ++j)
          if (exists(j))
            visit(logits[chosen[j]]);
    };
    float largest = -std::numeric_limits<float>::infinity();
    forEach([&](float logit) { largest = std::max(largest, logit); });
    float sum = 0;
    forEach([&](float logit) { sum += std::exp(logit - largest); });
    for (int64_t j = 0; j < args.perToken; ++j)
      weights[j] = exists(j) ? std::exp(logits[chosen[j]] - largest) / sum * args.scale : 0;
  }
}

} // namespace cleave::rt
