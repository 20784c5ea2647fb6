// Transposed convolution over one to three spatial dimensions.
#pragma once

#include "runtime/kernels/part.h"

#include <cstdint>

namespace cleave::rt {

/// y[n, o, strides * i + dilations * j - pads] gets the sum of x[n, c, i] * filter[c, o, j] over
/// the channels c of o's group. With fewer than three spatial dimensions the first ones have
/// size 1.
struct ConvTransposeArgs {
  const float *x = nullptr;      ///< [images, channels, sizes...]
  const float *filter = nullptr; ///< [channels, outputChannels / groups, kernel...]
  float *y = nullptr;            ///< [images, outputChannels, outputs...]
  int64_t images = 0;
  int64_t channels = 0;
  int64_t outputChannels = 0;
  int64_t groups = 1;
  int64_t sizes[3] = {1, 1, 1};
  int64_t outputs[3] = {1, 1, 1};
  int64_t kernel[3] = {1, 1, 1};
  int64_t strides[3] = {1, 1, 1};
  int64_t pads[3] = {0, 0, 0}; ///< before
  int64_t dilations[3] = {1, 1, 1};
};

void convTranspose(const ConvTransposeArgs &args, Part part);

} // namespace cleave::rt
