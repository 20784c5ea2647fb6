// Weights of resizing, after the formulas of ONNX's Resize, and their use.
#include "runtime/kernels/resize.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace cleave::rt {

namespace {

/// Where in x element i of the result comes from.
double coordinateOf(const ResizeShape &shape, int64_t i) {
  const auto x = static_cast<double>(i), from = static_cast<double>(shape.from),
             to = static_cast<double>(shape.to);
  // A scale is an f32, as 0.6 is not: 3 / 0.6 is to be 5, and no less, where it is rounded.
  const auto divided = [&](double at) {
    const double quotient = at / shape.scale;
    return shape.mode == ResizeMode::nearest ? static_cast<double>(static_cast<float>(quotient))
                                             : quotient;
  };
  switch (shape.coordinates) {
  case ResizeCoordinates::halfPixel:
    return divided(x + 0.5) - 0.5;
  case ResizeCoordinates::halfPixelSymmetric: {
    // The size that the scale would give is not whole: what is cut off is shared out.
    const double adjustment = to / (shape.scale * from), center = from / 2;
    return center * (1 - adjustment) + divided(x + 0.5) - 0.5;
  }
  case ResizeCoordinates::pytorchHalfPixel:
    return to > 1 ? divided(x + 0.5) - 0.5 : 0;
  case ResizeCoordinates::alignCorners:
    // Of as many elements as the scale says, which may be no whole number.
    return to > 1 ? x * (from - 1) / (from * shape.scale - 1) : 0;
  case ResizeCoordinates::asymmetric:
    return divided(x);
  case ResizeCoordinates::tfHalfPixelForNearest:
    return divided(x + 0.5);
  case ResizeCoordinates::tfCropAndResize:
    return to > 1 ? shape.cropBegin * (from - 1) +
                        x * (shape.cropEnd - shape.cropBegin) * (from - 1) / (to - 1)
                  : 0.5 * (shape.cropBegin + shape.cropEnd) * (from - 1);
  }
  return 0;
}

double roundTo(ResizeRounding rounding, double x) {
  switch (rounding) {
  case ResizeRounding::roundPreferFloor:
    return std::ceil(x - 0.5);
  case ResizeRounding::roundPreferCeil:
    return std::floor(x + 0.5);
  case ResizeRounding::floor:
    return std::floor(x);
  case ResizeRounding::ceil:
    return std::ceil(x);
  }
  return x;
}

/// The weight of an element at this distance (Keys, 1981, for cubic ones).
double weightAt(const ResizeShape &shape, double distance) {
  const double d = std::abs(distance), a = shape.cubicCoefficient;
  if (shape.mode == ResizeMode::linear)
    return std::max(0.0, 1 - d);
  if (d < 1)
    return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

} // namespace

ResizeTable makeResizeTable(const ResizeShape &shape) {
  constexpr double maxEntries = 1 << 28;
  const double radius = shape.mode == ResizeMode::cubic ? 2 : 1;
  // With antialias a window that covers what it makes one element of.
  const double stretch =
      shape.antialias && shape.mode != ResizeMode::nearest ? std::min(shape.scale, 1.0) : 1;
  const auto last = static_cast<double>(shape.from - 1);
  if (static_cast<double>(shape.to) * (2 * radius / stretch + 2) > maxEntries)
    throw std::runtime_error("resizing to " + std::to_string(shape.to) + " elements of " +
                             std::to_string(shape.from) + " takes too many weights");
  ResizeTable table;
  table.first.push_back(0);
  std::vector<std::pair<int64_t, double>> taps;
  for (int64_t i = 0; i < shape.to; ++i) {
    taps.clear();
    const double at = coordinateOf(shape, i);
    const bool isOutside =
        shape.coordinates == ResizeCoordinates::tfCropAndResize && !(at >= 0 && at <= last);
    if (isOutside) {
      table.constants.push_back(shape.extrapolation);
    } else {
      table.constants.push_back(0);
      if (shape.mode == ResizeMode::nearest) {
        const double nearest = std::clamp(roundTo(shape.rounding, at), 0.0, last);
        taps.emplace_back(static_cast<int64_t>(nearest), 1);
      } else {
        // A scale may be anything; what is far outside is like the border.
        const double center = std::clamp(at, -4 / stretch - 4, last + 4 / stretch + 4);
        const auto begin = static_cast<int64_t>(std::floor(center - radius / stretch)) + 1;
        const auto end = static_cast<int64_t>(std::ceil(center + radius / stretch));
        for (int64_t tap = begin; tap < end || tap == begin; ++tap) {
          const bool isInside = tap >= 0 && tap < shape.from;
          if (shape.excludesOutside && !isInside)
            continue;
          const double weight = weightAt(shape, (static_cast<double>(tap) - center) * stretch);
          taps.emplace_back(std::clamp<int64_t>(tap, 0, shape.from - 1), weight);
        }
      }
    }
    double sum = 0;
    for (auto [element, weight] : taps)
      sum += weight;
    const bool isRelative = (shape.excludesOutside || stretch < 1) && sum != 0;
    for (auto [element, weight] : taps) {
      if (weight == 0) // an infinite element would make nothing of it
        continue;
      table.elements.push_back(element);
      table.weights.push_back(static_cast<float>(isRelative ? weight / sum : weight));
    }
    table.first.push_back(static_cast<int64_t>(table.elements.size()));
  }
  return table;
}

void resize(const ResizeArgs &args, Part part) {
  const ResizeTable &table = *args.table;
  const PartRange range = partRange(args.outer * args.to, part);
  for (int64_t item = range.begin; item < range.end; ++item) {
    const int64_t i = item % args.to;
    const float *x = args.x + item / args.to * args.from * args.inner;
    float *y = args.y + item * args.inner;
    const float *constant = &table.constants[static_cast<size_t>(i)];
    std::fill_n(y, args.inner, *constant);
    for (int64_t tap = table.first[static_cast<size_t>(i)];
         tap < table.first[static_cast<size_t>(i) + 1]; ++tap) {
      const float weight = table.weights[static_cast<size_t>(tap)];
      const float *from = x + table.elements[static_cast<size_t>(tap)] * args.inner;
      for (int64_t j = 0; j < args.inner; ++j)
        y[j] += weight * from[j];
    }
  }
}

} // namespace cleave::rt
