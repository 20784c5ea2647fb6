// The choice of experts and the weights of the chosen.
#pragma once

#include "runtime/kernels/part.h"

#include <cstdint>

namespace cleave::rt {

/// chosen[t] = the numbers of the `perToken` largest of logits[t], the largest first, of
/// equals the lower number first. Always distinct numbers from 0 to experts - 1: a NaN
/// is chosen when the others are.
struct RouteArgs {
  const float *logits = nullptr; ///< [tokens, experts]
  int32_t *chosen = nullptr;     ///< [tokens, perToken]
  int64_t tokens = 0;
  int64_t experts = 0;
  int64_t perToken = 0; ///< at most `experts`
};

void route(const RouteArgs &args, Part part);

/// weights[t, j] = scale * exp(logits[t, chosen[t, j]]) / sum of exp(logits[t, n]), over all n,
/// or with `normalized` over those chosen. A choice outside the experts has the weight 0.
struct RouteWeightsArgs {
  const float *logits = nullptr;   ///< [tokens, experts]
  const int32_t *chosen = nullptr; ///< [tokens, perToken]
  float *weights = nullptr;        ///< [tokens, perToken]
  int64_t tokens = 0;
  int64_t experts = 0;
  int64_t perToken = 0;
  bool normalized = false;
  float scale = 1;
};

void routeWeights(const RouteWeightsArgs &args, Part part);

} // namespace cleave::rt
