// Resize: one dimension after the other.
#include "compiler/import/onnx/ops/movement.h"
#include "compiler/import/onnx/registry.h"

#include <cmath>

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {
namespace {

/// What a Resize or an Upsample says of each dimension that changes.
struct Resizing {
  SmallVector<int64_t> axes;
  SmallVector<double> scales;
  SmallVector<int64_t> sizes; ///< of the result
};

/// Scales or sizes, for the axes given or for all.
FailureOr<Resizing> readResizing(Node &node) {
  Resizing resizing;
  Shape own = node.shape(0);
  bool isUpsample = node.op() == "Upsample" || node.version() < 11;
  unsigned scales = isUpsample ? 1 : 2, sizes = 3;
  resizing.axes = llvm::to_vector(llvm::seq<int64_t>(0, own.size()));
  if (auto given = node.integersAttr("axes")) {
    resizing.axes = *given;
    for (int64_t &each : resizing.axes) {
      FailureOr<int64_t> axis = node.axis(each, own.size());
      if (failed(axis))
        return failure();
      each = *axis;
    }
  }
  SmallVector<double> factors;
  SmallVector<int64_t> wanted;
  if (const auto *given = isUpsample ? node.attribute("scales") : nullptr) { // of version 7
    factors.assign(given->floats().begin(), given->floats().end());
  } else if (node.has(scales) && node.type(scales).getNumElements() != 0) {
    FailureOr<SmallVector<double>> given = node.numbers(scales, "the scales");
    if (failed(given))
      return failure();
    factors = *given;
  } else if (!isUpsample && node.has(sizes)) {
    FailureOr<SmallVector<int64_t>> given = node.integers(sizes, "the sizes");
    if (failed(given))
      return failure();
    wanted = *given;
  }
  if (factors.size() != resizing.axes.size() && wanted.size() != resizing.axes.size())
    return node.fail("has scales or sizes for other than " + Twine(resizing.axes.size()) +
                     " dimensions");
  std::string policy = node.stringAttr("keep_aspect_ratio_policy", "stretch");
  SmallVector<int64_t> known;
  for (auto [i, dim] : llvm::enumerate(resizing.axes)) {
    std::optional<int64_t> size = own[dim].constant();
    bool stays = factors.empty() ? own[dim] == SizeExpression(wanted[i]) : factors[i] == 1;
    if (!size && !stays)
      return node.fail("resizes a dimension of size " + own[dim].text() +
                       ", which must be known; give it with --dim NAME=N");
    known.push_back(size.value_or(1));
    if (!factors.empty() && !(factors[i] > 0 && factors[i] < 1e6))
      return node.fail("has a scale that is not a positive number");
    if (!wanted.empty() && (wanted[i] < 1 || (size && *size < 1)))
      return node.fail("resizes " + own[dim].text() + " elements to " + Twine(wanted[i]));
  }
  if (!wanted.empty() && policy != "stretch") {
    double factor = policy == "not_larger" ? INFINITY : 0;
    for (auto [i, size] : llvm::enumerate(known)) {
      double each = static_cast<double>(wanted[i]) / static_cast<double>(size);
      factor = policy == "not_larger" ? std::min(factor, each) : std::max(factor, each);
    }
    for (auto [i, size] : llvm::enumerate(known)) {
      resizing.scales.push_back(factor);
      resizing.sizes.push_back(std::llround(factor * static_cast<double>(size)));
    }
    return resizing;
  }
  for (auto [i, size] : llvm::enumerate(known)) {
    bool hasFactor = !factors.empty();
    // The size is what shape inference makes of it, in f32.
    resizing.scales.push_back(
        hasFactor ? factors[i] : static_cast<double>(wanted[i]) / static_cast<double>(size));
    resizing.sizes.push_back(hasFactor
                                 ? static_cast<int64_t>(std::floor(static_cast<float>(factors[i]) *
                                                                   static_cast<float>(size)))
                                 : wanted[i]);
  }
  return resizing;
}

LogicalResult importResize(Node &node) {
  bool isUpsample = node.op() == "Upsample" || node.version() < 11;
  std::string modeName = node.stringAttr("mode", "nearest");
  std::string coordinates =
      node.stringAttr("coordinate_transformation_mode", isUpsample ? "asymmetric" : "half_pixel");
  std::string rounding =
      node.stringAttr("nearest_mode", isUpsample ? "floor" : "round_prefer_floor");
  auto mode = symbolizeResizeMode(modeName);
  auto place = symbolizeResizeCoordinates(coordinates);
  auto nearest = symbolizeResizeRounding(rounding);
  if (!mode || !place || !nearest)
    return node.fail("has the mode " + quote(modeName) + ", " + quote(coordinates) + " or " +
                     quote(rounding) + ", which is not supported");
  FailureOr<Resizing> resizing = readResizing(node);
  if (failed(resizing))
    return failure();
  SmallVector<double> crop;
  size_t count = resizing->axes.size();
  if (*place == ResizeCoordinates::TfCropAndResize) {
    FailureOr<SmallVector<double>> given = node.numbers(1, "the part to resize");
    if (failed(given))
      return failure();
    crop = *given;
    if (crop.size() != 2 * count)
      return node.fail("has a part to resize of " + Twine(crop.size()) + " numbers");
  }
  OpBuilder &builder = node.builder();
  Type f32 = builder.getF32Type();
  Value x = node.convert(node.value(0), f32);
  if (!x)
    return failure();
  for (size_t i = 0; i < count; ++i) {
    auto type = cast<RankedTensorType>(x.getType());
    Shape shape = getShape(type);
    int64_t dim = resizing->axes[i];
    bool isWhole = crop.empty() || (crop[i] == 0 && crop[count + i] == 1);
    if (shape[dim] == SizeExpression(resizing->sizes[i]) && resizing->scales[i] == 1 && isWhole)
      continue;
    if (!shape[dim].constant()) // stays, and its scale is 1
      continue;
    shape[dim] = SizeExpression(resizing->sizes[i]);
    // Version 10 says nothing of rounding; its tests expect the next element where there are fewer.
    bool roundsUp = isUpsample && resizing->scales[i] < 1;
    auto flag = [&](StringRef name) {
      return node.integerAttr(name, 0) ? builder.getUnitAttr() : UnitAttr();
    };
    x = node.create<ResizeOp>(
        getTensorType(shape, f32), x, ResizeModeAttr::get(node.context(), *mode),
        builder.getI64IntegerAttr(dim), builder.getF64FloatAttr(resizing->scales[i]),
        ResizeCoordinatesAttr::get(node.context(), *place),
        ResizeRoundingAttr::get(node.context(), roundsUp ? ResizeRounding::Ceil : *nearest),
        builder.getF64FloatAttr(node.numberAttr("cubic_coeff_a", -0.75f)), flag("antialias"),
        flag("exclude_outside"), builder.getF64FloatAttr(crop.empty() ? 0 : crop[i]),
        builder.getF64FloatAttr(crop.empty() ? 1 : crop[count + i]),
        builder.getF32FloatAttr(node.numberAttr("extrapolation_value", 0)));
  }
  node.set(0, node.convert(x, node.elementType(0)));
  return success();
}

constexpr OpEntry entries[] = {
    {"", "Resize", importResize},
    {"", "Upsample", importResize},
};

} // namespace

ArrayRef<OpEntry> resizeOps() {
  return entries;
}

} // namespace cleave::onnx
