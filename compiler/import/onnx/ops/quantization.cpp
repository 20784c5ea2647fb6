// Linear quantization, spelled in element-wise ops.
#include "compiler/import/onnx/ops/quantization.h"
#include "compiler/import/onnx/ops/compute.h"
#include "compiler/import/onnx/ops/movement.h"
#include "compiler/import/onnx/registry.h"

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {
namespace {

/// Operand `i`, a scale or a zero point, as `type` in a shape that broadcasts to operand 0's: one
/// number, one for each element of the axis, or one for each block of them, of which the last may
/// be smaller.
Value parameter(Node &node, unsigned i, Type type) {
  Value value = node.convert(node.value(i), type);
  if (!value)
    return {};
  Shape own = node.shape(0), shape = node.shape(i);
  if (shape.empty() || (shape.size() == 1 && shape[0].constant() == 1))
    return reshape(node, value, {});
  FailureOr<int64_t> axis = node.axis(node.integerAttr("axis", 1), own.size());
  if (failed(axis))
    return {};
  int64_t block = node.integerAttr("block_size", 0);
  if (block == 0) {
    Shape spread(own.size(), SizeExpression(1));
    spread[*axis] = shape[0];
    if (shape.size() == 1 && shape[0] == own[*axis])
      return reshape(node, value, spread);
  } else if (shape.size() == own.size() && block > 0 && own.size() < maxValueDims) {
    MaybeSize whole = sizeProduct(shape[*axis], SizeExpression(block));
    MaybeSize behind = whole ? sizeDifference(*whole, own[*axis]) : MaybeSize();
    Shape apart = shape, all, others = shape;
    apart.insert(apart.begin() + *axis + 1, SizeExpression(1));
    all = apart;
    all[*axis + 1] = SizeExpression(block);
    others[*axis] = own[*axis];
    if (behind && behind->constant() && *behind->constant() >= 0 && *behind->constant() < block &&
        others == own) {
      Shape joined = shape;
      joined[*axis] = *whole;
      value = reshape(node, expand(node, reshape(node, value, apart), all), joined);
      return slice(node, value, *axis, SizeExpression(0), own[*axis]);
    }
  }
  (void)node.fail("has operand " + Twine(i) + " of shape " + describe(shape) + " for " +
                  describe(own) + " along axis " + Twine(*axis));
  return {};
}

/// The type that the attribute `output_dtype` names, or `fallback`; null with an error where there
/// is none such.
Type outputType(Node &node, Type fallback) {
  auto number = static_cast<int32_t>(node.integerAttr("output_dtype", 0));
  if (number == 0)
    return fallback;
  if (const ElementTypeInfo *info = findElementTypeOfOnnx(number))
    return getElementMlirType(node.context(), *info);
  (void)node.fail("makes " + getOnnxTypeName(number) + ", which is not supported");
  return {};
}

bool isSupported(Node &node, Type type) {
  if (type.isInteger(8) || type.isInteger(16) || type.isUnsignedInteger(8) ||
      type.isUnsignedInteger(16) || type.isInteger(32))
    return true;
  (void)node.fail(
      "has quantized elements of another type than int8, uint8, int16, uint16 and int32");
  return false;
}

/// (x - zero) * scale
LogicalResult importDequantize(Node &node) {
  if (!isSupported(node, node.elementType(0)))
    return failure();
  Type f32 = node.builder().getF32Type(), type = outputType(node, node.elementType(1));
  // Integers of 32 bits are subtracted before they are floats, which have not all of them.
  Type ofZero = node.elementType(0).isInteger(32) ? node.elementType(0) : f32;
  Value x = type ? node.convert(node.value(0), ofZero) : Value();
  if (node.has(2))
    x = binary<SubOp>(node, x, parameter(node, 2, ofZero));
  Value result = binary<MulOp>(node, node.convert(x, f32), parameter(node, 1, f32));
  node.set(0, node.convert(result, type));
  return success(static_cast<bool>(result));
}

/// round(x / scale) + zero, of which the nearest that the type has.
LogicalResult importQuantize(Node &node) {
  Type f32 = node.builder().getF32Type();
  Type type =
      node.has(2) ? node.elementType(2) : outputType(node, node.builder().getIntegerType(8, false));
  if (!type || !isSupported(node, type))
    return failure();
  Value x = binary<DivOp>(node, node.convert(node.value(0), f32), parameter(node, 1, f32));
  Value result = requantize(node, x, node.has(2) ? parameter(node, 2, f32) : Value(), type);
  node.set(0, result);
  return success(static_cast<bool>(result));
}

} // namespace

Quantized quantize(Node &node, Value x) {
  OpBuilder &builder = node.builder();
  Type f32 = builder.getF32Type(), u8 = builder.getIntegerType(8, false);
  if (!x)
    return {};
  SmallVector<int64_t> dims =
      llvm::to_vector(llvm::seq<int64_t>(0, static_cast<int64_t>(shapeOf(x).size())));
  auto extreme = [&](ReduceKind kind) -> Value {
    if (dims.empty())
      return x;
    return node.create<ReduceOp>(RankedTensorType::get({}, f32), x,
                                 ReduceKindAttr::get(node.context(), kind),
                                 builder.getDenseI64ArrayAttr(dims), IntegerAttr());
  };
  Value zero = node.scalar(0, f32);
  Value least = binary<MinOp>(node, extreme(ReduceKind::Min), zero);
  Value most = binary<MaxOp>(node, extreme(ReduceKind::Max), zero);
  Value scale = binary<DivOp>(node, binary<SubOp>(node, most, least), node.scalar(255, f32));
  Value point = binary<DivOp>(node, binary<SubOp>(node, zero, least), scale);
  if (!point)
    return {};
  point = node.convert(node.create<RoundOp>(point.getType(), point), u8);
  return {requantize(node, binary<DivOp>(node, x, scale), point, u8), scale, point};
}

Value requantize(Node &node, Value x, Value zero, Type type) {
  if (!x)
    return {};
  x = node.create<RoundOp>(x.getType(), x);
  if (zero)
    x = binary<AddOp>(node, x, node.convert(zero, node.builder().getF32Type()));
  return node.convert(x, type);
}

namespace {

LogicalResult importDynamicQuantize(Node &node) {
  Quantized quantized = quantize(node, f32Value(node, 0));
  node.set(0, quantized.values);
  node.set(1, quantized.scale);
  node.set(2, quantized.zero);
  return success(static_cast<bool>(quantized.values));
}

constexpr OpEntry entries[] = {
    {"", "DequantizeLinear", importDequantize},
    {"", "DynamicQuantizeLinear", importDynamicQuantize},
    {"", "QuantizeLinear", importQuantize},
    {"com.microsoft", "DequantizeLinear", importDequantize},
    {"com.microsoft", "QuantizeLinear", importQuantize},
};

} // namespace

ArrayRef<OpEntry> quantizationOps() {
  return entries;
}

} // namespace cleave::onnx
