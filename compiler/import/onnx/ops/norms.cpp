// Normalizations. They are computed in f32.
#include "compiler/import/onnx/ops/compute.h"
#include "compiler/import/onnx/ops/movement.h"
#include "compiler/import/onnx/registry.h"

#include <cmath>
#include <cstring>

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {
namespace {

/// `x` normalized over its last `dims` dimensions. `weight` and `bias` may be null; they are
/// expanded to these dimensions.
Value layerNorm(Node &node, Value x, Value weight, Value bias, int64_t dims, float epsilon) {
  Shape shape = shapeOf(x), last(shape.end() - dims, shape.end());
  for (Value *each : {&weight, &bias})
    if (*each && !(*each = expand(node, *each, last)))
      return {};
  return node.create<LayerNormOp>(x.getType(), x, weight, bias,
                                  node.builder().getI64IntegerAttr(dims),
                                  node.builder().getF32FloatAttr(epsilon));
}

Value reduce(Node &node, Value x, ReduceKind kind, ArrayRef<int64_t> dims) {
  if (!x)
    return {};
  Shape shape = shapeOf(x);
  for (int64_t dim : dims)
    shape[dim] = SizeExpression(1);
  return node.create<ReduceOp>(getTensorType(shape, node.builder().getF32Type()), x,
                               ReduceKindAttr::get(node.context(), kind),
                               node.builder().getDenseI64ArrayAttr(dims), IntegerAttr());
}

/// 1 / sqrt(the mean of the squares of x + epsilon).
Value inverseRoot(Node &node, Value x, ArrayRef<int64_t> dims, float epsilon) {
  Value square = reduce(node, binary<MulOp>(node, x, x), ReduceKind::Mean, dims);
  Value shifted = binary<AddOp>(node, square, node.scalar(epsilon, node.builder().getF32Type()));
  if (!shifted)
    return {};
  Value root = node.create<SqrtOp>(shifted.getType(), shifted);
  return node.create<ReciprocalOp>(root.getType(), root);
}

/// Results `i` and `i + 1`, where they are wanted: the mean over the dimensions from `axis` on, and
/// 1 / sqrt(variance + epsilon).
void setStatistics(Node &node, Value x, int64_t axis, unsigned i, float epsilon) {
  if (!node.wants(i) && !node.wants(i + 1))
    return;
  SmallVector<int64_t> dims =
      llvm::to_vector(llvm::seq<int64_t>(axis, static_cast<int64_t>(shapeOf(x).size())));
  Value mean = reduce(node, x, ReduceKind::Mean, dims);
  node.set(i, mean);
  if (node.wants(i + 1))
    node.set(i + 1, inverseRoot(node, binary<SubOp>(node, x, mean), dims, epsilon));
}

/// The result is of the weight's type, which onnxruntime's op may have apart from x.
LogicalResult importLayerNormalization(Node &node) {
  auto rank = node.rank(0);
  FailureOr<int64_t> axis = node.axis(node.integerAttr("axis", -1), rank);
  Value x = failed(axis) ? Value() : f32Value(node, 0);
  if (!x)
    return failure();
  float epsilon = node.numberAttr("epsilon", 1e-5f);
  int64_t dims = rank - *axis;
  Value result = layerNorm(node, x, f32Value(node, 1), f32Value(node, 2), dims, epsilon);
  if (!result)
    return failure();
  node.set(0, node.convert(result, node.elementType(1)));
  setStatistics(node, x, *axis, 1, epsilon);
  return success();
}

/// Over the last dimensions together, which are made one. The result is of the weight's type.
LogicalResult importRmsNormalization(Node &node) {
  auto rank = node.rank(0);
  FailureOr<int64_t> axis = node.axis(node.integerAttr("axis", -1), rank);
  Value x = failed(axis) ? Value() : f32Value(node, 0);
  Value weight = x ? f32Value(node, 1) : Value();
  if (!weight)
    return failure();
  Shape own = node.shape(0), last(own.begin() + *axis, own.end());
  FailureOr<SizeExpression> size = node.size(product(last));
  if (failed(size))
    return failure();
  if (!size->constant())
    return node.fail("normalizes " + size->text() +
                     " elements, whose number must be known; give "
                     "sizes a value with --dim NAME=N");
  weight = reshape(node, expand(node, weight, last), {*size});
  Shape joined(own.begin(), own.begin() + *axis);
  joined.push_back(*size);
  x = reshape(node, x, joined);
  if (!x || !weight)
    return failure();
  float epsilon = node.numberAttr("epsilon", 1e-5f);
  Value result = node.create<RmsNormOp>(x.getType(), x, weight,
                                        node.builder().getF32FloatAttr(epsilon), UnitAttr());
  result = node.convert(reshape(node, result, own), node.elementType(1));
  node.set(0, result);
  if (node.wants(1)) { // of onnxruntime's op
    Shape kept = own;
    std::fill(kept.begin() + *axis, kept.end(), SizeExpression(1));
    node.set(1, reshape(node, inverseRoot(node, x, {*axis}, epsilon), kept));
  }
  return success(static_cast<bool>(result));
}

/// [c] as [c, 1, ...] for an image of `rank` dimensions; one of one dimension has one channel.
Value perChannel(Node &node, Value value, size_t rank) {
  if (!value)
    return {};
  Shape shape = shapeOf(value);
  shape.append(std::max<size_t>(rank, 2) - 2, SizeExpression(1));
  return reshape(node, value, shape);
}

/// Channels in groups [n, g, c / g, s...], each normalized by itself.
LogicalResult normalizeGroups(Node &node, int64_t groups, bool perGroup) {
  Value x = f32Value(node, 0);
  Value scale = x ? f32Value(node, 1) : Value(), bias = scale ? f32Value(node, 2) : Value();
  if (!bias)
    return failure();
  Shape own = node.shape(0);
  if (own.size() < 2 || !own[1].constant() || groups < 1 || *own[1].constant() % groups)
    return node.fail("has " + Twine(groups) + " groups for an image of shape " + describe(own));
  Shape split = {own[0], SizeExpression(groups), SizeExpression(*own[1].constant() / groups)};
  split.append(own.begin() + 2, own.end());
  if (split.size() > maxValueDims)
    return node.fail("has an image of too many dimensions");
  Value result = layerNorm(node, reshape(node, x, split), {}, {}, split.size() - 2,
                           node.numberAttr("epsilon", 1e-5f));
  // One number a group, in version 18, stands for each of its channels.
  for (Value *each : {&scale, &bias}) {
    if (perGroup)
      *each =
          reshape(node,
                  expand(node, reshape(node, *each, {SizeExpression(groups), SizeExpression(1)}),
                         {SizeExpression(groups), split[2]}),
                  {own[1]});
    *each = perChannel(node, *each, own.size());
    if (!*each)
      return failure();
  }
  result = binary<MulOp>(node, reshape(node, result, own), scale);
  result = binary<AddOp>(node, result, bias);
  node.set(0, node.convert(result, node.elementType(0)));
  return success();
}

LogicalResult importInstanceNormalization(Node &node) {
  Shape own = node.shape(0);
  if (own.size() < 3 || !own[1].constant())
    return node.fail("has an image of shape " + describe(own) + ", expected known channels");
  return normalizeGroups(node, *own[1].constant(), /*perGroup=*/false);
}

LogicalResult importGroupNormalization(Node &node) {
  return normalizeGroups(node, node.integerAttr("num_groups", 0), node.version() < 21);
}

/// (x - mean) / sqrt(variance + epsilon) * scale + bias is x * a + b with numbers that are known.
LogicalResult importBatchNormalization(Node &node) {
  if (node.integerAttr("training_mode", 0))
    return node.fail("is in training mode; export the model for inference");
  Value x = f32Value(node, 0);
  if (!x || node.rank(0) < 1)
    return node.fail("has an image of shape " + describe(node.shape(0)));
  // In version 7 there may be numbers for each element of an image.
  bool isPerElement = node.version() < 9 && !node.integerAttr("spatial", 1);
  SmallVector<double> numbers[4]; // scale, bias, mean, variance
  double epsilon = node.numberAttr("epsilon", 1e-5f);
  bool isKnown = true;
  for (unsigned i = 1; i < 5; ++i)
    isKnown &= node.operand(i).isKnown();
  Type f32 = node.builder().getF32Type();
  Value factor, offset;
  if (isKnown) {
    for (unsigned i = 0; i < 4; ++i) {
      FailureOr<SmallVector<double>> values = node.numbers(i + 1, "a number for each channel");
      if (failed(values))
        return failure();
      numbers[i] = *values;
      if (numbers[i].size() != numbers[0].size())
        return node.fail("has operands of different sizes");
    }
    size_t channels = numbers[0].size();
    std::vector<std::byte> a(4 * channels), b(4 * channels);
    for (size_t i = 0; i < channels; ++i) {
      double exact = numbers[0][i] / std::sqrt(numbers[3][i] + epsilon);
      auto first = static_cast<float>(exact);
      auto second = static_cast<float>(numbers[1][i] - numbers[2][i] * exact);
      std::memcpy(&a[4 * i], &first, 4);
      std::memcpy(&b[4 * i], &second, 4);
    }
    ArrayRef<int64_t> shape = node.type(1).getShape();
    Operand known = node.makeConstant(shape, f32, std::move(a));
    factor = node.materialize(known);
    known = node.makeConstant(shape, f32, std::move(b));
    offset = node.materialize(known);
  } else {
    Value scale = f32Value(node, 1), bias = f32Value(node, 2), mean = f32Value(node, 3);
    Value variance = f32Value(node, 4);
    if (!scale || !bias || !mean || !variance)
      return failure();
    Value root = binary<AddOp>(node, variance, node.scalar(epsilon, f32));
    root = node.create<SqrtOp>(root.getType(), root);
    factor = node.create<DivOp>(scale.getType(), scale, root, DenseI64ArrayAttr());
    Value product = binary<MulOp>(node, mean, factor);
    offset = product ? Value(node.create<SubOp>(bias.getType(), bias, product, DenseI64ArrayAttr()))
                     : Value();
  }
  if (!isPerElement) {
    factor = perChannel(node, factor, node.rank(0));
    offset = perChannel(node, offset, node.rank(0));
  }
  if (!factor || !offset)
    return failure();
  Value result = binary<MulOp>(node, x, factor);
  result = result ? binary<AddOp>(node, result, offset) : Value();
  node.set(0, node.convert(result, node.elementType(0)));
  return success(static_cast<bool>(result));
}

/// x divided by a norm of it along an axis; zeros where that is zero.
LogicalResult importLpNormalization(Node &node) {
  FailureOr<int64_t> axis = node.axis(node.integerAttr("axis", -1), node.rank(0));
  int64_t p = node.integerAttr("p", 2);
  if (p != 1 && p != 2)
    return node.fail("has the norm of order " + Twine(p) + ", expected 1 or 2");
  Value x = failed(axis) ? Value() : f32Value(node, 0);
  if (!x)
    return failure();
  Value norm = reduce(node, x, p == 1 ? ReduceKind::L1 : ReduceKind::SumSquare, {*axis});
  if (!norm)
    return failure();
  if (p == 2)
    norm = node.create<SqrtOp>(norm.getType(), norm);
  // Where the norm is zero all elements are, and may be divided by anything else.
  Type f32 = node.builder().getF32Type();
  Value isZero = binary<EqualOp>(node, norm, node.scalar(0, f32), node.builder().getI1Type());
  if (!isZero)
    return failure();
  Value divisor =
      node.create<WhereOp>(norm.getType(), isZero, node.scalar(1, f32), norm, DenseI64ArrayAttr());
  Value result = binary<DivOp>(node, x, divisor);
  node.set(0, node.convert(result, node.elementType(0)));
  return success(static_cast<bool>(result));
}

/// (x - mean) / (standard deviation + 1e-9), as the standard spells it with other ops.
LogicalResult importMeanVarianceNormalization(Node &node) {
  auto rank = node.rank(0);
  FailureOr<SmallVector<int64_t>> axes =
      node.axes(node.integersAttr("axes").value_or(SmallVector<int64_t>{0, 2, 3}), rank);
  Value x = failed(axes) ? Value() : f32Value(node, 0);
  if (!x)
    return failure();
  Value centered = binary<SubOp>(node, x, reduce(node, x, ReduceKind::Mean, *axes));
  Value variance = reduce(node, binary<MulOp>(node, centered, centered), ReduceKind::Mean, *axes);
  if (!variance)
    return failure();
  Value deviation = node.create<SqrtOp>(variance.getType(), variance);
  Value result =
      binary<DivOp>(node, centered,
                    binary<AddOp>(node, deviation, node.scalar(1e-9, node.builder().getF32Type())));
  node.set(0, node.convert(result, node.elementType(0)));
  return success(static_cast<bool>(result));
}

/// com.microsoft: x + skip + bias, normalized; the sum is a result, too.
LogicalResult importSkipLayerNormalization(Node &node) {
  Value x = f32Value(node, 0), skip = f32Value(node, 1);
  if (!x || !skip)
    return failure();
  bool isSimple = node.op().starts_with("SkipSimplified");
  Value sum = binary<AddOp>(node, x, skip);
  if (Value bias = f32Value(node, isSimple ? 3 : 4); bias && sum)
    sum = binary<AddOp>(node, sum, bias);
  Value weight = f32Value(node, 2);
  if (!sum || !weight)
    return failure();
  float epsilon = node.numberAttr("epsilon", 1e-12f);
  Value result =
      isSimple ? Value(node.create<RmsNormOp>(sum.getType(), sum, weight,
                                              node.builder().getF32FloatAttr(epsilon), UnitAttr()))
               : layerNorm(node, sum, weight, f32Value(node, 3), 1, epsilon);
  node.set(0, node.convert(result, node.elementType(0)));
  if (!isSimple)
    setStatistics(node, sum, node.rank(0) - 1, 1, epsilon);
  else if (node.wants(2))
    node.set(2, inverseRoot(node, sum, {node.rank(0) - 1}, epsilon));
  node.set(3, node.convert(sum, node.elementType(0)));
  return success(static_cast<bool>(result));
}

/// Rows of table operand `i` by the numbers in operand `ids`, as f32.
Value embed(Node &node, unsigned i, unsigned ids) {
  Value table = node.value(i), numbers = node.value(ids);
  if (!table || !numbers || node.rank(i) != 2 || node.rank(ids) != 2) {
    (void)node.fail("has a table of shape " + describe(node.shape(i)) + " and numbers of shape " +
                    describe(node.shape(ids)));
    return {};
  }
  Shape shape = node.shape(ids);
  shape.push_back(node.shape(i)[1]);
  Value rows =
      node.create<TakeOp>(getTensorType(shape, node.elementType(i)), table, numbers, /*dim=*/0);
  return node.convert(rows, node.builder().getF32Type());
}

/// com.microsoft: the sum of the embeddings of words, places and segments, normalized.
LogicalResult importEmbedLayerNormalization(Node &node) {
  OpBuilder &builder = node.builder();
  Type f32 = builder.getF32Type(), i32 = builder.getI32Type();
  Value sum = embed(node, 2, 0), places;
  if (!sum)
    return failure();
  if (node.has(8)) {
    places = embed(node, 3, 8);
  } else if (node.rank(3) == 2) {
    Shape shape = {SizeExpression(1), node.shape(0)[1], node.shape(3)[1]};
    places = slice(node, node.value(3), 0, SizeExpression(0), shape[1]);
    places = node.convert(reshape(node, places, shape), f32);
  }
  sum = binary<AddOp>(node, sum, places);
  if (node.has(1) && node.has(4))
    sum = binary<AddOp>(node, sum, embed(node, 4, 1));
  Value weight = f32Value(node, 5), bias = f32Value(node, 6);
  if (!sum || !weight || !bias)
    return node.fail("lacks a table of places, a weight or a bias");
  Value result = layerNorm(node, sum, weight, bias, 1, node.numberAttr("epsilon", 1e-12f));
  Type type = node.elementType(2);
  node.set(0, node.convert(result, type));
  node.set(2, node.convert(sum, type));
  if (!result || !node.wants(1))
    return success(static_cast<bool>(result));
  // The number of words in each row, 0 where there is no mask.
  SizeExpression batch = node.shape(0)[0];
  if (!node.has(7)) {
    node.set(1, expand(node, node.scalar(0, i32), {batch}));
    return success();
  }
  Value mask = node.value(7);
  if (!mask || node.rank(7) != 2)
    return node.fail("has a mask of shape " + describe(node.shape(7)));
  Value isWord =
      binary<EqualOp>(node, mask, node.scalar(1, node.elementType(7)), builder.getI1Type());
  Value count = reduce(node, node.convert(isWord, f32), ReduceKind::Sum, {1});
  node.set(1, node.convert(reshape(node, count, {batch}), i32));
  return success();
}

constexpr OpEntry entries[] = {
    {"", "BatchNormalization", importBatchNormalization},
    {"", "GroupNormalization", importGroupNormalization},
    {"", "InstanceNormalization", importInstanceNormalization},
    {"", "LayerNormalization", importLayerNormalization},
    {"", "LpNormalization", importLpNormalization},
    {"", "MeanVarianceNormalization", importMeanVarianceNormalization},
    {"", "RMSNormalization", importRmsNormalization},
    {"", "SimplifiedLayerNormalization", importRmsNormalization},
    {"com.microsoft", "EmbedLayerNormalization", importEmbedLayerNormalization},
    {"com.microsoft", "LayerNormalization", importLayerNormalization},
    {"com.microsoft", "SimplifiedLayerNormalization", importRmsNormalization},
    {"com.microsoft", "SkipLayerNormalization", importSkipLayerNormalization},
    {"com.microsoft", "SkipSimplifiedLayerNormalization", importSkipLayerNormalization},
};

} // namespace

ArrayRef<OpEntry> normOps() {
  return entries;
}

} // namespace cleave::onnx
