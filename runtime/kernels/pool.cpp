// Pooling: for each output the taps of its window that are inside, which the compiler's own
// vectors make fast enough beside convolutions.
#include "runtime/kernels/pool.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace cleave::rt {

namespace {

/// The taps of a window along one dimension that are inside, and how many count.
struct Taps {
  int64_t first; ///< the element of x that the first tap inside reads
  int64_t count;
  int64_t counted; ///< with the pads
};

Taps tapsOf(const PoolArgs &args, int dim, int64_t output) {
  const int64_t dilation = args.dilations[dim];
  const int64_t begin = output * args.strides[dim] - args.padsBefore[dim];
  // Taps [low, high) are inside of x, [0, padded) not behind the pads.
  const int64_t low = begin >= 0 ? 0 : (-begin + dilation - 1) / dilation;
  auto tapsBefore = [&](int64_t end) {
    return std::clamp<int64_t>((end - begin + dilation - 1) / dilation, 0, args.window[dim]);
  };
  const int64_t high = begin >= args.sizes[dim] ? 0 : tapsBefore(args.sizes[dim]);
  const int64_t padded = tapsBefore(args.sizes[dim] + args.padsAfter[dim]);
  return {begin + low * dilation, std::max<int64_t>(high - low, 0), padded};
}

} // namespace

void pool(const PoolArgs &args, Part part) {
  const int64_t size = args.sizes[0] * args.sizes[1] * args.sizes[2];
  const int64_t rows = args.outputs[0] * args.outputs[1]; // of a plane
  const PartRange range = partRange(args.planes * rows, part);
  for (int64_t item = range.begin; item < range.end; ++item) {
    const float *x = args.x + item / rows * size;
    float *y = args.y + item * args.outputs[2];
    const Taps depth = tapsOf(args, 0, item % rows / args.outputs[1]);
    const Taps height = tapsOf(args, 1, item % args.outputs[1]);
    for (int64_t column = 0; column < args.outputs[2]; ++column) {
      const Taps width = tapsOf(args, 2, column);
      float largest = -std::numeric_limits<float>::infinity(), sum = 0;
      for (int64_t i = 0; i < depth.count; ++i)
        for (int64_t j = 0; j < height.count; ++j) {
          const int64_t plane = depth.first + i * args.dilations[0];
          const int64_t row = height.first + j * args.dilations[1];
          const float *from = x + (plane * args.sizes[1] + row) * args.sizes[2] + width.first;
          for (int64_t k = 0; k < width.count; ++k) {
            const float value = from[k * args.dilations[2]];
            largest = value > largest || std::isnan(value) ? value : largest;
            sum += value;
          }
        }
      const int64_t inside = depth.count * height.count * width.count;
      const int64_t counted =
          args.countsPads ? depth.counted * height.counted * width.counted : inside;
      y[column] = args.isMax ? largest : sum / static_cast<float>(std::max<int64_t>(counted, 1));
    }
  }
}

} // namespace cleave::rt
