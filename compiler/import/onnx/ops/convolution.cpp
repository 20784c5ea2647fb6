// Convolutions and pools: pads from the attribute or from auto_pad. They are computed in f32.
#include "compiler/import/onnx/ops/convolution.h"
#include "compiler/import/onnx/ops/compute.h"
#include "compiler/import/onnx/ops/movement.h"
#include "compiler/import/onnx/registry.h"

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {
namespace {

constexpr int64_t most = 32768;

LogicalResult checkNumbers(Node &node, StringRef name, ArrayRef<int64_t> numbers, size_t count,
                           int64_t least) {
  if (numbers.size() != count)
    return node.fail("attribute " + quote(name) + " has " + Twine(numbers.size()) +
                     " numbers, expected " + Twine(count));
  for (int64_t number : numbers)
    if (number < least || number > most)
      return node.fail("attribute " + quote(name) + " has the number " + Twine(number) +
                       ", expected " + Twine(least) + " to " + Twine(most));
  return success();
}

/// The window of `size` over the spatial dimensions of operand 0, whose sizes must be known.
FailureOr<Window> readWindow(Node &node, ArrayRef<int64_t> size, bool roundsUp = false) {
  Window window;
  size_t count = size.size();
  RankedTensorType type = node.type(0);
  if (type.getRank() < 3 || type.getRank() > 5)
    return node.fail("has an image of shape " + describe(node.shape(0)) +
                     ", expected one to three spatial dimensions");
  if (type.getRank() != static_cast<int64_t>(count) + 2)
    return node.fail("has a window of " + Twine(count) + " dimensions for an image of shape " +
                     describe(node.shape(0)));
  ArrayRef<int64_t> spatial = type.getShape().drop_front(2);
  if (llvm::any_of(spatial, ShapedType::isDynamic))
    return node.fail("has an image of shape " + describe(node.shape(0)) +
                     ", whose spatial sizes must be known; give them with --dim NAME=N");
  SmallVector<int64_t> ones(count, 1);
  window.size.assign(size.begin(), size.end());
  window.strides = node.integersAttr("strides").value_or(ones);
  window.dilations = node.integersAttr("dilations").value_or(ones);
  window.pads = node.integersAttr("pads").value_or(SmallVector<int64_t>(2 * count, 0));
  if (failed(checkNumbers(node, "kernel_shape", window.size, count, 1)) ||
      failed(checkNumbers(node, "strides", window.strides, count, 1)) ||
      failed(checkNumbers(node, "dilations", window.dilations, count, 1)) ||
      failed(checkNumbers(node, "pads", window.pads, 2 * count, 0)))
    return failure();
  std::string automatic = node.stringAttr("auto_pad", "NOTSET");
  if (automatic != "NOTSET" && automatic != "VALID" && automatic != "SAME_UPPER" &&
      automatic != "SAME_LOWER")
    return node.fail("attribute 'auto_pad' is " + quote(automatic) +
                     ", expected NOTSET, VALID, SAME_UPPER or SAME_LOWER");
  for (size_t dim = 0; dim < count; ++dim) {
    int64_t extent = window.dilations[dim] * (window.size[dim] - 1) + 1;
    if (automatic == "VALID")
      window.pads[dim] = window.pads[count + dim] = 0;
    if (automatic.starts_with("SAME")) {
      int64_t result = (spatial[dim] - 1) / window.strides[dim] + 1;
      int64_t all =
          std::max<int64_t>(0, (result - 1) * window.strides[dim] + extent - spatial[dim]);
      int64_t smaller = all / 2, larger = all - smaller;
      window.pads[dim] = automatic == "SAME_UPPER" ? smaller : larger;
      window.pads[count + dim] = all - window.pads[dim];
    }
    int64_t room = spatial[dim] + window.pads[dim] + window.pads[count + dim] - extent;
    if (room < 0)
      return node.fail("has a window of " + Twine(extent) + " elements, larger than the image's " +
                       Twine(extent + room) + " with its pads");
    int64_t stride = window.strides[dim];
    window.results.push_back(room / stride + 1);
    // The last window, which reaches behind the pads, must begin before them.
    if (roundsUp && room % stride != 0 &&
        window.results.back() * stride < spatial[dim] + window.pads[dim])
      ++window.results.back();
  }
  return window;
}

} // namespace

FailureOr<Convolution> readConvolution(Node &node, unsigned i) {
  RankedTensorType filter = node.type(i);
  if (!filter.hasStaticShape() || filter.getRank() < 3 || filter.getRank() > 5)
    return node.fail("has a filter of shape " + describe(node.shape(i)) +
                     ", expected known sizes and one to three spatial dimensions");
  FailureOr<Window> window = readWindow(node, filter.getShape().drop_front(2));
  if (failed(window))
    return failure();
  int64_t groups = node.integerAttr("group", 1), channels = node.type(0).getDimSize(1);
  if (groups < 1 || groups > most || filter.getDimSize(0) % groups ||
      channels != filter.getDimSize(1) * groups)
    return node.fail("has " + Twine(groups) + " groups for an image of shape " +
                     describe(node.shape(0)) + " and a filter of shape " + describe(node.shape(i)));
  Shape shape = {node.shape(0)[0], filter.getDimSize(0)};
  llvm::append_range(shape, window->results);
  return Convolution{std::move(*window), groups, shape};
}

Value convolve(Node &node, const Convolution &convolution, Value x, Value filter, Value bias) {
  OpBuilder &builder = node.builder();
  const Window &window = convolution.window;
  return node.create<ConvOp>(
      getTensorType(convolution.shape, builder.getF32Type()), x, filter, bias,
      builder.getDenseI64ArrayAttr(window.strides), builder.getDenseI64ArrayAttr(window.pads),
      builder.getDenseI64ArrayAttr(window.dilations),
      convolution.groups > 1 ? builder.getUnitAttr() : UnitAttr(), UnitAttr());
}

namespace {

LogicalResult importConv(Node &node) {
  FailureOr<Convolution> convolution = readConvolution(node, 1);
  if (failed(convolution))
    return failure();
  Value x = f32Value(node, 0), filter = f32Value(node, 1), bias = f32Value(node, 2);
  if (!x || !filter || (node.has(2) && !bias))
    return failure();
  Value result = convolve(node, *convolution, x, filter, bias);
  node.set(0, node.convert(result, node.elementType(0)));
  return success();
}

LogicalResult createPool(Node &node, PoolKind kind, const Window &window, bool countsPads) {
  OpBuilder &builder = node.builder();
  Type f32 = builder.getF32Type();
  Shape shape = {node.shape(0)[0], node.shape(0)[1]};
  llvm::append_range(shape, window.results);
  Type type = node.elementType(0);
  // Of 8 bits, too: an f32 has room for them.
  if (!isa<FloatType>(type) && type.getIntOrFloatBitWidth() > 16)
    return node.fail("pools integers of more than 16 bits");
  Value x = node.convert(node.value(0), f32);
  if (!x)
    return failure();
  Value result = node.create<PoolOp>(
      getTensorType(shape, f32), x, PoolKindAttr::get(node.context(), kind),
      builder.getDenseI64ArrayAttr(window.size), builder.getDenseI64ArrayAttr(window.strides),
      builder.getDenseI64ArrayAttr(window.pads), builder.getDenseI64ArrayAttr(window.dilations),
      countsPads ? builder.getUnitAttr() : UnitAttr());
  node.set(0, node.convert(result, type));
  return success();
}

/// Result 1 of a maximum: the places of the elements in all of x.
LogicalResult setPlaces(Node &node, const Window &window) {
  OpBuilder &builder = node.builder();
  Type i64 = builder.getI64Type();
  Value x = f32Value(node, 0);
  Shape own = node.shape(0), shape = {own[0], own[1]};
  std::optional<int64_t> channels = own[1].constant();
  if (!x || !channels)
    return node.fail("has an image of shape " + describe(own) + ", expected known channels");
  llvm::append_range(shape, window.results);
  int64_t plane = 1;
  for (const SizeExpression &size : ArrayRef<SizeExpression>(own).drop_front(2))
    plane *= *size.constant();
  bool isColumnMajor = node.integerAttr("storage_order", 0);
  Value places = node.create<PoolIndicesOp>(
      getTensorType(shape, i64), x, builder.getDenseI64ArrayAttr(window.size),
      builder.getDenseI64ArrayAttr(window.strides), builder.getDenseI64ArrayAttr(window.pads),
      builder.getDenseI64ArrayAttr(window.dilations),
      isColumnMajor ? builder.getUnitAttr() : UnitAttr());
  for (unsigned dim : {0, 1}) { // where the images and their channels begin
    int64_t step = dim == 0 ? *channels * plane : plane;
    Value begins = node.create<RangeOp>(getTensorType({own[dim]}, i64), SizeExpression(0), step);
    Shape spread(own.size() - dim, SizeExpression(1));
    spread[0] = own[dim];
    places = binary<AddOp>(node, places, reshape(node, begins, spread));
  }
  node.set(1, places);
  return success(static_cast<bool>(places));
}

template <PoolKind kind> LogicalResult importPool(Node &node) {
  auto size = node.integersAttr("kernel_shape");
  if (!size)
    return node.fail("lacks the attribute 'kernel_shape'");
  FailureOr<Window> window = readWindow(node, *size, node.integerAttr("ceil_mode", 0));
  if (failed(window))
    return failure();
  if (node.wants(1) && failed(setPlaces(node, *window)))
    return failure();
  bool countsPads = kind == PoolKind::Average && node.integerAttr("count_include_pad", 0);
  return createPool(node, kind, *window, countsPads);
}

template <PoolKind kind> LogicalResult importGlobalPool(Node &node) {
  RankedTensorType type = node.type(0);
  if (type.getRank() < 3)
    return node.fail("has an image of shape " + describe(node.shape(0)));
  FailureOr<Window> window = readWindow(node, type.getShape().drop_front(2));
  if (failed(window))
    return failure();
  return createPool(node, kind, *window, /*countsPads=*/false);
}

LogicalResult importConvTranspose(Node &node) {
  RankedTensorType filter = node.type(1), image = node.type(0);
  if (!filter.hasStaticShape() || filter.getRank() < 3 || filter.getRank() > 5 ||
      image.getRank() != filter.getRank())
    return node.fail("has an image of shape " + describe(node.shape(0)) +
                     " and a filter of shape " + describe(node.shape(1)));
  ArrayRef<int64_t> spatial = image.getShape().drop_front(2);
  if (llvm::any_of(spatial, ShapedType::isDynamic))
    return node.fail("has an image of shape " + describe(node.shape(0)) +
                     ", whose spatial sizes must be known; give them with --dim NAME=N");
  size_t count = spatial.size();
  SmallVector<int64_t> ones(count, 1), zeros(count, 0);
  SmallVector<int64_t> strides = node.integersAttr("strides").value_or(ones);
  SmallVector<int64_t> dilations = node.integersAttr("dilations").value_or(ones);
  SmallVector<int64_t> extra = node.integersAttr("output_padding").value_or(zeros);
  SmallVector<int64_t> pads =
      node.integersAttr("pads").value_or(SmallVector<int64_t>(2 * count, 0));
  auto wanted = node.integersAttr("output_shape");
  std::string automatic = node.stringAttr("auto_pad", "NOTSET");
  if (failed(checkNumbers(node, "kernel_shape", filter.getShape().drop_front(2), count, 1)) ||
      failed(checkNumbers(node, "strides", strides, count, 1)) ||
      failed(checkNumbers(node, "dilations", dilations, count, 1)) ||
      failed(checkNumbers(node, "output_padding", extra, count, 0)) ||
      failed(checkNumbers(node, "pads", pads, 2 * count, 0)))
    return failure();
  int64_t groups = node.integerAttr("group", 1);
  if (groups < 1 || groups > most || image.getDimSize(1) != filter.getDimSize(0) ||
      filter.getDimSize(0) % groups)
    return node.fail("has " + Twine(groups) + " groups for an image of shape " +
                     describe(node.shape(0)) + " and a filter of shape " + describe(node.shape(1)));
  Shape shape = {node.shape(0)[0], SizeExpression(filter.getDimSize(1) * groups)};
  if (wanted && wanted->size() > count)
    wanted->erase(wanted->begin(), wanted->end() - count);
  if (wanted && wanted->size() != count)
    return node.fail("attribute 'output_shape' has too few numbers");
  for (size_t dim = 0; dim < count; ++dim) {
    int64_t whole = strides[dim] * (spatial[dim] - 1) + extra[dim] +
                    dilations[dim] * (filter.getDimSize(dim + 2) - 1) + 1;
    if (wanted || automatic.starts_with("SAME")) {
      int64_t result = wanted ? (*wanted)[dim] : spatial[dim] * strides[dim];
      int64_t all = std::max<int64_t>(whole - result, 0), half = all / 2;
      pads[dim] = automatic == "SAME_UPPER" ? half : all - half;
      pads[count + dim] = all - pads[dim];
    }
    int64_t result = whole - pads[dim] - pads[count + dim];
    if (wanted && (*wanted)[dim] > whole) // what lies behind is zero, or the bias
      result = (*wanted)[dim];
    if (result < 1 || pads[dim] > most || pads[count + dim] > most)
      return node.fail("makes an image of " + Twine(result) + " elements in a dimension");
    shape.push_back(result);
  }
  OpBuilder &builder = node.builder();
  Type f32 = builder.getF32Type();
  Value x = node.convert(node.value(0), f32),
        weights = x ? node.convert(node.value(1), f32) : Value();
  if (!weights)
    return failure();
  Value result = node.create<ConvTransposeOp>(
      getTensorType(shape, f32), x, weights, builder.getDenseI64ArrayAttr(strides),
      builder.getDenseI64ArrayAttr(pads), builder.getDenseI64ArrayAttr(dilations),
      groups > 1 ? builder.getUnitAttr() : UnitAttr());
  if (node.has(2)) {
    Value bias = node.convert(node.value(2), f32);
    Shape perChannel = bias ? getShape(cast<RankedTensorType>(bias.getType())) : Shape();
    perChannel.append(count, SizeExpression(1));
    bias = reshape(node, bias, perChannel);
    if (!bias)
      return failure();
    result = node.create<AddOp>(result.getType(), result, bias, DenseI64ArrayAttr());
  }
  node.set(0, node.convert(result, node.elementType(0)));
  return success();
}

constexpr OpEntry entries[] = {
    {"", "AveragePool", importPool<PoolKind::Average>},
    {"", "Conv", importConv},
    {"", "ConvTranspose", importConvTranspose},
    {"", "GlobalAveragePool", importGlobalPool<PoolKind::Average>},
    {"", "GlobalMaxPool", importGlobalPool<PoolKind::Max>},
    {"", "MaxPool", importPool<PoolKind::Max>},
};

} // namespace

ArrayRef<OpEntry> convolutionOps() {
  return entries;
}

} // namespace cleave::onnx
