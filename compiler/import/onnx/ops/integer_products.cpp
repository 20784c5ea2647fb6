// Products and convolutions of quantized integers, which are exact: zero points are taken from the
// first operand beforehand, and what those of the second would add is taken from the result, so
// that weights stay as small as they are.
#include "compiler/import/onnx/ops/compute.h"
#include "compiler/import/onnx/ops/convolution.h"
#include "compiler/import/onnx/ops/movement.h"
#include "compiler/import/onnx/ops/quantization.h"
#include "compiler/import/onnx/registry.h"

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {
namespace {

bool isByte(Type type) {
  return type.isInteger(8) || type.isUnsignedInteger(8);
}

/// Operand `i`, numbers for rows (dimension -2) or columns of a matrix of `rank`: one number, a
/// vector, or already of a shape that broadcasts.
Value spread(Node &node, Value value, int64_t rank, bool isOfRows) {
  if (!value)
    return {};
  Shape shape = shapeOf(value);
  if (shape.empty() || (shape.size() == 1 && shape[0].constant() == 1))
    return reshape(node, value, {});
  if (shape.size() == 1 && isOfRows && rank > 1)
    return reshape(node, value, {shape[0], SizeExpression(1)});
  return value;
}

/// Whether operand `i`, a zero point, is absent or known to be 0.
bool isZero(Node &node, unsigned i) {
  if (!node.has(i))
    return true;
  if (!node.operand(i).isKnown())
    return false;
  FailureOr<SmallVector<double>> numbers = node.numbers(i, "a zero point");
  return succeeded(numbers) && llvm::all_of(*numbers, [](double number) { return number == 0; });
}

/// Matrix operand `i` [.., k, n] as [.., n, k]; a matrix of the file is a weight of that shape.
Value transposed(Node &node, unsigned i) {
  Operand weight = node.operand(i);
  if (weight.constant && weight.constant->tensor && weight.type.getRank() == 2) {
    weight.value = {};
    weight.sizes.reset();
    ArrayRef<int64_t> dims = weight.type.getShape();
    weight.type = RankedTensorType::get({dims[1], dims[0]}, weight.type.getElementType());
    weight.constant->transposed = !weight.constant->transposed;
    return node.materialize(weight);
  }
  SmallVector<int64_t> order = llvm::to_vector(llvm::seq<int64_t>(0, node.rank(i)));
  std::swap(order[order.size() - 1], order[order.size() - 2]);
  return transpose(node, node.value(i), order);
}

/// (a - aZero) (b - bZero) in i32 of matrices: `a`, whose zero point is in operand `aZero`, and
/// operand `b`.
Value multiply(Node &node, Value a, Value aZero, unsigned b, unsigned bZero) {
  OpBuilder &builder = node.builder();
  Type i32 = builder.getI32Type();
  if (!a)
    return {};
  Shape left = shapeOf(a), right = node.shape(b);
  if (left.size() < 2 || right.size() < 2 || !isByte(elementTypeOf(a)) ||
      !isByte(node.elementType(b)) || !(left.back() == right[right.size() - 2])) {
    (void)node.fail("multiplies " + describe(left) + " by " + describe(right) +
                    ", expected matrices of int8 or uint8 with inner sizes that are known to be "
                    "equal");
    return {};
  }
  if (aZero) {
    Type i16 = builder.getIntegerType(16);
    a = binary<SubOp>(node, node.convert(a, i16),
                      node.convert(spread(node, aZero, left.size(), /*isOfRows=*/true), i16));
  }
  Value other = transposed(node, b);
  if (!a || !other)
    return {};
  SizeExpression rows = left[left.size() - 2], columns = right.back();
  left.pop_back_n(2);
  right.pop_back_n(2);
  FailureOr<Shape> shape = node.broadcast({left, right});
  if (failed(shape))
    return {};
  shape->append({rows, columns});
  Value result = node.create<MatMulOp>(getTensorType(*shape, i32), a, other, UnitAttr(),
                                       builder.getUnitAttr());
  if (isZero(node, bZero))
    return result;
  Shape sums = shapeOf(a);
  auto last = static_cast<int64_t>(sums.size()) - 1;
  sums[last] = SizeExpression(1);
  Value sum = node.create<ReduceOp>(getTensorType(sums, i32), node.convert(a, i32),
                                    ReduceKindAttr::get(node.context(), ReduceKind::Sum),
                                    builder.getDenseI64ArrayAttr({last}), IntegerAttr());
  Value zero = spread(node, node.value(bZero), last + 1, /*isOfRows=*/false);
  return binary<SubOp>(node, result, binary<MulOp>(node, sum, node.convert(zero, i32)));
}

/// Zero point operand `i`; null where it is none or 0.
Value zeroPoint(Node &node, unsigned i) {
  return isZero(node, i) ? Value() : node.value(i);
}

LogicalResult importMatMulInteger(Node &node) {
  Value result = multiply(node, node.value(0), zeroPoint(node, 2), 1, 3);
  node.set(0, result);
  return success(static_cast<bool>(result));
}

/// What two scales make of an exact product, and a bias: f32.
Value scaled(Node &node, Value product, Value aScale, Value bScale, unsigned bias) {
  Value scale = binary<MulOp>(node, aScale, bScale);
  Value result = binary<MulOp>(node, node.convert(product, node.builder().getF32Type()), scale);
  return node.has(bias) && result ? binary<AddOp>(node, result, f32Value(node, bias)) : result;
}

LogicalResult importQLinearMatMul(Node &node) {
  Value product = multiply(node, node.value(0), zeroPoint(node, 2), 3, 5);
  Value aScale = spread(node, f32Value(node, 1), node.rank(0), /*isOfRows=*/true);
  Value bScale = spread(node, f32Value(node, 4), node.rank(3), /*isOfRows=*/false);
  Value yScale = spread(node, f32Value(node, 6), node.rank(0), /*isOfRows=*/true);
  Value scale = binary<DivOp>(node, binary<MulOp>(node, aScale, bScale), yScale);
  Value x = binary<MulOp>(node, node.convert(product, node.builder().getF32Type()), scale);
  Value zero = spread(node, node.value(7), node.rank(0), /*isOfRows=*/true);
  Value result = requantize(node, x, zero, node.elementType(7));
  node.set(0, result);
  return success(static_cast<bool>(result));
}

/// com.microsoft: of quantized a.
LogicalResult importMatMulIntegerToFloat(Node &node) {
  Value product = multiply(node, node.value(0), zeroPoint(node, 4), 1, 5);
  Value result =
      scaled(node, product, spread(node, f32Value(node, 2), node.rank(0), /*isOfRows=*/true),
             spread(node, f32Value(node, 3), node.rank(1), /*isOfRows=*/false), 6);
  node.set(0, node.convert(result, node.elementType(2)));
  return success(static_cast<bool>(result));
}

/// com.microsoft: of a in f32, which is quantized.
LogicalResult importDynamicQuantizeMatMul(Node &node) {
  Quantized a = quantize(node, f32Value(node, 0));
  Value product = multiply(node, a.values, a.zero, 1, 3);
  Value result = scaled(node, product, a.scale,
                        spread(node, f32Value(node, 2), node.rank(1), /*isOfRows=*/false), 4);
  node.set(0, result);
  return success(static_cast<bool>(result));
}

// ---- Convolutions ----

/// An f32 holds whole numbers up to this exactly.
constexpr int64_t mostExact = int64_t{1} << 24;
/// The greatest difference of two bytes.
constexpr int64_t mostOfByte = 255;

/// Bytes less their zero point as f32: [.., 1 a dimension behind `dims` of the zero point's].
Value centered(Node &node, unsigned i, unsigned zero, bool isOfOutputs) {
  if (!isByte(node.elementType(i))) {
    (void)node.fail("has operand " + Twine(i) + " of another type than int8 and uint8");
    return {};
  }
  Value x = f32Value(node, i);
  if (isZero(node, zero))
    return x;
  Value point = spread(node, f32Value(node, zero), 1, /*isOfRows=*/false);
  if (!point)
    return {};
  Shape shape = shapeOf(point);
  if (shape.size() == 1 && isOfOutputs) {
    shape.append(node.rank(i) - 1, SizeExpression(1));
    point = reshape(node, point, shape);
  }
  return binary<SubOp>(node, x, point);
}

/// The high and the low part of differences of bytes: 16 high + low.
std::pair<Value, Value> halves(Node &node, Value x) {
  Type f32 = node.builder().getF32Type();
  Value sixteen = node.scalar(16, f32);
  Value high = binary<DivOp>(node, x, sixteen);
  if (!high)
    return {};
  high = node.create<FloorOp>(high.getType(), high);
  return {high, binary<SubOp>(node, x, binary<MulOp>(node, high, sixteen))};
}

/// The exact convolution of operand 0 and filter operand `filter`, in i32. Where sums could be too
/// large for an f32, the filter is taken in halves, and then the image as well.
Value convolveExactly(Node &node, unsigned xZero, unsigned filter, unsigned filterZero) {
  FailureOr<Convolution> convolution = readConvolution(node, filter);
  if (failed(convolution))
    return {};
  Value x = centered(node, 0, xZero, false), w = centered(node, filter, filterZero, true);
  if (!x || !w)
    return {};
  int64_t products = 1;
  for (int64_t size : node.type(filter).getShape().drop_front())
    products = size > mostExact / products ? mostExact : products * std::max<int64_t>(size, 1);
  constexpr int64_t mostOfHalf = 16;
  Type i32 = node.builder().getI32Type();
  auto whole = [&](Value image, Value by) {
    return node.convert(convolve(node, *convolution, image, by, Value()), i32);
  };
  auto joined = [&](Value high, Value low) {
    return binary<AddOp>(node, binary<MulOp>(node, high, node.scalar(16, i32)), low);
  };
  if (products * mostOfByte * mostOfByte <= mostExact)
    return whole(x, w);
  auto [high, low] = halves(node, w);
  if (!low)
    return {};
  if (products * mostOfByte * mostOfHalf <= mostExact)
    return joined(whole(x, high), whole(x, low));
  if (products * mostOfHalf * mostOfHalf > mostExact) {
    (void)node.fail("adds " + Twine(products) +
                    " products for an element, more than are exact; expected at most " +
                    Twine(mostExact / mostOfHalf / mostOfHalf));
    return {};
  }
  auto [highX, lowX] = halves(node, x);
  return joined(joined(whole(highX, high), whole(highX, low)),
                joined(whole(lowX, high), whole(lowX, low)));
}

LogicalResult importConvInteger(Node &node) {
  Value result = convolveExactly(node, 2, 1, 3);
  node.set(0, result);
  return success(static_cast<bool>(result));
}

LogicalResult importQLinearConv(Node &node) {
  Value result = convolveExactly(node, 2, 3, 5);
  if (!result)
    return failure();
  // One number for each output channel.
  auto ofChannels = [&](Value value) {
    if (!value)
      return value;
    Shape shape = shapeOf(value);
    if (shape.size() == 1 && shape[0].constant() == 1)
      shape.clear();
    if (shape.size() == 1)
      shape.append(node.rank(0) - 2, SizeExpression(1));
    return reshape(node, value, shape);
  };
  if (node.has(8))
    result = binary<AddOp>(node, result, ofChannels(node.value(8)));
  Value scale = binary<DivOp>(
      node, binary<MulOp>(node, ofChannels(f32Value(node, 1)), ofChannels(f32Value(node, 4))),
      ofChannels(f32Value(node, 6)));
  Value x = binary<MulOp>(node, node.convert(result, node.builder().getF32Type()), scale);
  node.set(0, requantize(node, x, ofChannels(node.value(7)), node.elementType(7)));
  return success(static_cast<bool>(x));
}

constexpr OpEntry entries[] = {
    {"", "ConvInteger", importConvInteger},
    {"", "MatMulInteger", importMatMulInteger},
    {"", "QLinearConv", importQLinearConv},
    {"", "QLinearMatMul", importQLinearMatMul},
    {"com.microsoft", "DynamicQuantizeMatMul", importDynamicQuantizeMatMul},
    {"com.microsoft", "MatMulIntegerToFloat", importMatMulIntegerToFloat},
};

} // namespace

ArrayRef<OpEntry> integerProductOps() {
  return entries;
}

} // namespace cleave::onnx
