// Scalar loops: few graphs ask where the largest elements were.
#include "runtime/kernels/pool_indices.h"

#include <algorithm>
#include <cmath>

namespace cleave::rt {

namespace {

/// The taps [first, last) of a window along one dimension that are inside, and where tap 0 is.
struct Taps {
  int64_t begin, first, last;

  Taps(const PoolIndicesArgs &args, int dim, int64_t output)
      : begin(output * args.strides[dim] - args.pads[dim]) {
    const int64_t dilation = args.dilations[dim];
    auto tapsBefore = [&](int64_t end) {
      const int64_t room = end - begin;
      return room <= 0 ? 0 : std::min(args.window[dim], (room + dilation - 1) / dilation);
    };
    first = tapsBefore(0);
    last = tapsBefore(args.sizes[dim]);
  }
};

} // namespace

void poolIndices(const PoolIndicesArgs &args, Part part) {
  const int64_t size = args.sizes[0] * args.sizes[1] * args.sizes[2];
  const int64_t results = args.outputs[0] * args.outputs[1] * args.outputs[2];
  const PartRange range = partRange(args.planes * results, part);
  for (int64_t item = range.begin; item < range.end; ++item) {
    const float *x = args.x + item / results * size;
    const int64_t result = item % results;
    const Taps depth(args, 0, result / args.outputs[2] / args.outputs[1]);
    const Taps height(args, 1, result / args.outputs[2] % args.outputs[1]);
    const Taps width(args, 2, result % args.outputs[2]);
    int64_t best = -1;
    float largest = 0;
    for (int64_t i = depth.first; i < depth.last; ++i)
      for (int64_t j = height.first; j < height.last; ++j)
        for (int64_t k = width.first; k < width.last; ++k) {
          const int64_t plane = depth.begin + i * args.dilations[0];
          const int64_t row = height.begin + j * args.dilations[1];
          const int64_t column = width.begin + k * args.dilations[2];
          const float value = x[(plane * args.sizes[1] + row) * args.sizes[2] + column];
          if (best >= 0 && !(value > largest) && !(std::isnan(value) && !std::isnan(largest)))
            continue;
          largest = value;
          best = args.columnMajor ? (column * args.sizes[1] + row) * args.sizes[0] + plane
                                  : (plane * args.sizes[1] + row) * args.sizes[2] + column;
        }
    args.y[item] = best;
  }
}

} // namespace cleave::rt
