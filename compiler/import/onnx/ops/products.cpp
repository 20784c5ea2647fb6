// Matrix products: by a constant matrix as `linear`, whose weight can be split, and otherwise
// as `matmul`. Products are computed in f32.
#include "compiler/import/onnx/ops/products.h"
#include "compiler/import/onnx/ops/compute.h"
#include "compiler/import/onnx/ops/movement.h"
#include "compiler/import/onnx/registry.h"

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {
namespace {

/// Whether a tensor of the file has the shape that it has there.
bool hasOwnShape(const Operand &operand) {
  SmallVector<int64_t> shape(operand.type.getShape());
  if (operand.constant->transposed)
    std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
  return operand.constant->segment.empty() && llvm::equal(shape, operand.constant->tensor->dims());
}

/// Whether operand `i` is a matrix of the file, which can be a weight.
bool isFileMatrix(Node &node, unsigned i) {
  const Operand &operand = node.operand(i);
  Type type = operand.type.getElementType();
  return operand.constant && operand.constant->tensor && operand.type.getRank() == 2 &&
         (type.isF32() || type.isF16() || type.isBF16());
}

/// The product of x [.., k] with constant operand `i` [k, n], or [n, k] where `hasRows`, or with
/// some of its outputs; null with an error where the shapes differ. ONNX's matrices are [inputs,
/// outputs]: they are read the other way round.
Value multiplyByMatrix(Node &node, Value x, unsigned i, bool isOutputMajor,
                       const Segment *segment = nullptr) {
  Operand weight = node.operand(i);
  weight.value = {};
  weight.sizes.reset();
  SmallVector<int64_t> dims(weight.type.getShape());
  if (!isOutputMajor) {
    std::swap(dims[0], dims[1]);
    weight.constant->transposed = !weight.constant->transposed;
  }
  if (segment) {
    dims[0] = segment->size;
    weight.constant->firstRow = segment->begin;
    weight.constant->segment = segment->name.str();
  }
  weight.type = RankedTensorType::get(dims, weight.type.getElementType());
  Shape shape = shapeOf(x);
  if (!(shape.back() == SizeExpression(dims[1]))) {
    (void)node.fail("multiplies " + describe(shape) + " by a matrix of " + describe(node.shape(i)));
    return {};
  }
  Value matrix = node.materialize(weight);
  if (!matrix)
    return {};
  shape.back() = dims[0];
  return node.create<LinearOp>(getTensorType(shape, node.builder().getF32Type()), x, matrix,
                               node.builder().getI64IntegerAttr(0));
}

/// a [.., m, k] times b [.., k, n], with the last two dimensions swapped where it says so.
Value multiply(Node &node, Value a, Value b, bool transposeA, bool transposeB) {
  Shape left = shapeOf(a), right = shapeOf(b);
  size_t m = left.size() - (transposeA ? 1 : 2), k = left.size() - (transposeA ? 2 : 1);
  size_t n = right.size() - (transposeB ? 2 : 1), otherK = right.size() - (transposeB ? 1 : 2);
  if (!(left[k] == right[otherK])) {
    (void)node.fail("multiplies " + describe(left) + " by " + describe(right) +
                    ", whose inner sizes " + left[k].text() + " and " + right[otherK].text() +
                    " are not known to be equal");
    return {};
  }
  SizeExpression rows = left[m], columns = right[n];
  left.pop_back_n(2);
  right.pop_back_n(2);
  FailureOr<Shape> shape = node.broadcast({left, right});
  if (failed(shape))
    return {};
  shape->append({rows, columns});
  auto flag = [&](bool isSet) { return isSet ? node.builder().getUnitAttr() : UnitAttr(); };
  return node.create<MatMulOp>(getTensorType(*shape, node.builder().getF32Type()), a, b,
                               flag(transposeA), flag(transposeB));
}

} // namespace

SmallVector<Value> multiplyBySegments(Node &node, Value x, unsigned i, ArrayRef<Segment> segments) {
  SmallVector<Value> results;
  if (isFileMatrix(node, i) && hasOwnShape(node.operand(i))) {
    for (const Segment &segment : segments)
      results.push_back(multiplyByMatrix(node, x, i, /*isOutputMajor=*/false, &segment));
    return results;
  }
  Value b = f32Value(node, i);
  Value all = b ? multiply(node, x, b, false, false) : Value();
  for (const Segment &segment : segments)
    results.push_back(all ? slice(node, all, static_cast<int64_t>(shapeOf(all).size()) - 1,
                                  SizeExpression(segment.begin), SizeExpression(segment.size))
                          : Value());
  return results;
}

Value segmentOf(Node &node, unsigned i, const Segment &segment) {
  Operand part = node.operand(i);
  if (!part.constant || !part.constant->tensor || !hasOwnShape(part))
    return slice(node, node.value(i), 0, SizeExpression(segment.begin),
                 SizeExpression(segment.size));
  part.value = {};
  part.sizes.reset();
  part.constant->firstRow = segment.begin;
  part.constant->segment = segment.name.str();
  part.type = RankedTensorType::get({segment.size}, part.type.getElementType());
  return node.materialize(part);
}

namespace {

LogicalResult importMatMul(Node &node) {
  Type f32 = node.builder().getF32Type(), type = node.elementType(0);
  if (!isa<FloatType>(type))
    return node.fail("multiplies integers, which is supported for MatMulInteger only");
  if (node.rank(0) == 0 || node.rank(1) == 0)
    return node.fail("multiplies a scalar");
  Value a = node.convert(node.value(0), f32);
  if (!a)
    return failure();
  // A vector is a matrix of one row, or of one column, whose dimension goes again.
  bool isRow = node.rank(0) == 1, isColumn = node.rank(1) == 1;
  if (isRow) {
    Shape shape = shapeOf(a);
    shape.insert(shape.begin(), SizeExpression(1));
    a = reshape(node, a, shape);
  }
  Value result;
  if (isFileMatrix(node, 1)) {
    result = multiplyByMatrix(node, a, 1, /*isOutputMajor=*/false);
  } else {
    Value b = node.convert(node.value(1), f32);
    if (!b)
      return failure();
    if (isColumn) {
      Shape shape = shapeOf(b);
      shape.push_back(SizeExpression(1));
      b = reshape(node, b, shape);
    }
    result = multiply(node, a, b, false, false);
  }
  if (!result)
    return failure();
  Shape shape = shapeOf(result);
  if (isColumn)
    shape.pop_back();
  if (isRow)
    shape.erase(shape.end() - (isColumn ? 1 : 2));
  result = node.convert(reshape(node, result, shape), type);
  node.set(0, result);
  return success(static_cast<bool>(result));
}

/// alpha a b + beta c
LogicalResult importGemm(Node &node) {
  Type f32 = node.builder().getF32Type(), type = node.elementType(0);
  if (!isa<FloatType>(type) || node.rank(0) != 2 || node.rank(1) != 2)
    return node.fail("multiplies " + describe(node.shape(0)) + " by " + describe(node.shape(1)) +
                     ", expected two matrices of floats");
  float alpha = node.numberAttr("alpha", 1), beta = node.numberAttr("beta", 1);
  bool transposeA = node.integerAttr("transA", 0), transposeB = node.integerAttr("transB", 0);
  Value a = node.convert(node.value(0), f32);
  Value result;
  if (a && isFileMatrix(node, 1)) {
    result = multiplyByMatrix(node, transposeA ? transpose(node, a, {1, 0}) : a, 1, transposeB);
  } else if (a) {
    Value b = node.convert(node.value(1), f32);
    result = b ? multiply(node, a, b, transposeA, transposeB) : Value();
  }
  if (!result)
    return failure();
  if (alpha != 1)
    result = node.create<ScaleOp>(result.getType(), result, node.builder().getF32FloatAttr(alpha));
  if (node.has(2) && beta != 0) {
    Value c = node.convert(node.value(2), f32);
    if (!c)
      return failure();
    if (beta != 1)
      c = node.create<ScaleOp>(c.getType(), c, node.builder().getF32FloatAttr(beta));
    FailureOr<Shape> shape = node.broadcast({shapeOf(result), shapeOf(c)});
    if (failed(shape))
      return failure();
    result = node.create<AddOp>(getTensorType(*shape, f32), result, c, DenseI64ArrayAttr());
  }
  node.set(0, node.convert(result, type));
  return success();
}

constexpr OpEntry entries[] = {
    {"", "Gemm", importGemm},
    {"", "MatMul", importMatMul},
};

} // namespace

ArrayRef<OpEntry> productOps() {
  return entries;
}

} // namespace cleave::onnx
