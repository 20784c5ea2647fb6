// Resizing of one dimension: each element of the result is a sum of some of x, with weights
// that are found once.
#pragma once

#include "runtime/kernels/part.h"

#include <cstdint>
#include <vector>

namespace cleave::rt {

enum class ResizeMode { nearest, linear, cubic };
enum class ResizeCoordinates {
  halfPixel,
  halfPixelSymmetric,
  pytorchHalfPixel,
  alignCorners,
  asymmetric,
  tfHalfPixelForNearest,
  tfCropAndResize,
};
enum class ResizeRounding { roundPreferFloor, roundPreferCeil, floor, ceil };

/// What ONNX's Resize says of one dimension; see there for the formulas.
struct ResizeShape {
  int64_t from = 0; ///< elements of x, at least 1
  int64_t to = 0;   ///< of the result
  double scale = 1;
  ResizeMode mode = ResizeMode::nearest;
  ResizeCoordinates coordinates = ResizeCoordinates::halfPixel;
  ResizeRounding rounding = ResizeRounding::roundPreferFloor;
  double cubicCoefficient = -0.75;
  bool antialias = false;
  bool excludesOutside = false;
  double cropBegin = 0; ///< in parts of x
  double cropEnd = 1;
  float extrapolation = 0;
};

/// Element i of the result is the sum of weights[j] * x[elements[j]] for j of
/// [first[i], first[i + 1]), plus constants[i].
struct ResizeTable {
  std::vector<int64_t> first;
  std::vector<int64_t> elements;
  std::vector<float> weights;
  std::vector<float> constants;
};

/// The table has a few entries for each element of the result, or with antialias 1 / scale as
/// many; throws std::runtime_error where that are more than 2^28.
ResizeTable makeResizeTable(const ResizeShape &shape);

/// Along the middle dimension.
struct ResizeArgs {
  const float *x = nullptr; ///< [outer, from, inner]
  float *y = nullptr;       ///< [outer, to, inner]
  int64_t outer = 0;
  int64_t inner = 0;
  int64_t from = 0;
  int64_t to = 0;
  const ResizeTable *table = nullptr;
};

void resize(const ResizeArgs &args, Part part);

} // namespace cleave::rt
