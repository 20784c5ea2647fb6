// Normalizations. They are computed in f32.
#include "compiler/import/onnx/ops/movement.h"
#include "compiler/import/onnx/registry.h"

#include <cmath>
#include <cstring>

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {
namespace {

RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

Value f32Value(Node &node, unsigned i) {
  return node.has(i) ? node.convert(node.value(i), node.builder().getF32Type()) : Value();
}

/// `x` normalized over its last `dims` dimensions. `weight` and `bias` may be null; they are
/// expanded to these dimensions.
Value layerNorm(Node &node, Value x, Value weight, Value bias, int64_t dims, float epsilon) {
  Shape shape = getShape(typeOf(x)), last(shape.end() - dims, shape.end());
  for (Value *each : {&weight, &bias})
    if (*each && !(*each = expand(node, *each, last)))
      return {};
  return node.create<LayerNormOp>(x.getType(), x, weight, bias,
                                  node.builder().getI64IntegerAttr(dims),
                                  node.builder().getF32FloatAttr(epsilon));
}

Value binary(Node &node, Value a, Value b, bool multiplies) {
  FailureOr<Shape> shape = node.broadcast({getShape(typeOf(a)), getShape(typeOf(b))});
  if (failed(shape))
    return {};
  RankedTensorType type = getTensorType(*shape, typeOf(a).getElementType());
  return multiplies ? Value(node.create<MulOp>(type, a, b, DenseI64ArrayAttr()))
                    : Value(node.create<AddOp>(type, a, b, DenseI64ArrayAttr()));
}

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
  node.set(0, node.convert(result, node.elementType(0)));
  if (!node.wants(1) && !node.wants(2))
    return success();
  // The mean, and 1 / sqrt(variance + epsilon), the variance being the mean of squares.
  Type f32 = node.builder().getF32Type();
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(*axis, rank));
  Shape shape = node.shape(0);
  for (int64_t dim : axes)
    shape[dim] = SizeExpression(1);
  auto mean = [&](Value of) {
    return Value(node.create<ReduceOp>(getTensorType(shape, f32), of,
                                       ReduceKindAttr::get(node.context(), ReduceKind::Mean),
                                       node.builder().getDenseI64ArrayAttr(axes), IntegerAttr()));
  };
  Value average = mean(x);
  node.set(1, average);
  if (!node.wants(2))
    return success();
  Value difference = node.create<SubOp>(x.getType(), x, average, DenseI64ArrayAttr());
  Value variance = mean(binary(node, difference, difference, /*multiplies=*/true));
  Value shifted = binary(node, variance, node.scalar(epsilon, f32), /*multiplies=*/false);
  Value root = node.create<SqrtOp>(shifted.getType(), shifted);
  node.set(2, Value(node.create<ReciprocalOp>(root.getType(), root)));
  return success();
}

/// Over the last dimensions together, which are made one.
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
  weight = reshape(node, expand(node, weight, last), {*size});
  Shape joined(own.begin(), own.begin() + *axis);
  joined.push_back(*size);
  x = reshape(node, x, joined);
  if (!x || !weight)
    return failure();
  Value result = node.create<RmsNormOp>(
      x.getType(), x, weight, node.builder().getF32FloatAttr(node.numberAttr("epsilon", 1e-5f)),
      UnitAttr());
  result = node.convert(reshape(node, result, own), node.elementType(0));
  node.set(0, result);
  return success(static_cast<bool>(result));
}

/// [c] as [c, 1, ...] for an image of `rank` dimensions.
Value perChannel(Node &node, Value value, size_t rank) {
  if (!value)
    return {};
  Shape shape = getShape(typeOf(value));
  shape.append(rank - 2, SizeExpression(1));
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
  result = binary(node, reshape(node, result, own), scale, /*multiplies=*/true);
  result = binary(node, result, bias, /*multiplies=*/false);
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
  if (!x || node.rank(0) < 2)
    return node.fail("has an image of shape " + describe(node.shape(0)));
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
    auto count = static_cast<int64_t>(channels);
    Operand known = node.makeConstant({count}, f32, std::move(a));
    factor = node.materialize(known);
    known = node.makeConstant({count}, f32, std::move(b));
    offset = node.materialize(known);
  } else {
    Value scale = f32Value(node, 1), bias = f32Value(node, 2), mean = f32Value(node, 3);
    Value variance = f32Value(node, 4);
    if (!scale || !bias || !mean || !variance)
      return failure();
    Value root = binary(node, variance, node.scalar(epsilon, f32), /*multiplies=*/false);
    root = node.create<SqrtOp>(root.getType(), root);
    factor = node.create<DivOp>(scale.getType(), scale, root, DenseI64ArrayAttr());
    Value product = binary(node, mean, factor, /*multiplies=*/true);
    offset = product ? Value(node.create<SubOp>(bias.getType(), bias, product, DenseI64ArrayAttr()))
                     : Value();
  }
  factor = perChannel(node, factor, node.rank(0));
  offset = perChannel(node, offset, node.rank(0));
  if (!factor || !offset)
    return failure();
  Value result = binary(node, x, factor, /*multiplies=*/true);
  result = result ? binary(node, result, offset, /*multiplies=*/false) : Value();
  node.set(0, node.convert(result, node.elementType(0)));
  return success(static_cast<bool>(result));
}

/// com.microsoft: x + skip + bias, normalized; the sum is a result, too.
LogicalResult importSkipLayerNormalization(Node &node) {
  Value x = f32Value(node, 0), skip = f32Value(node, 1);
  if (!x || !skip)
    return failure();
  bool isSimple = node.op().starts_with("SkipSimplified");
  Value sum = binary(node, x, skip, /*multiplies=*/false);
  if (Value bias = f32Value(node, isSimple ? 3 : 4); bias && sum)
    sum = binary(node, sum, bias, /*multiplies=*/false);
  Value weight = f32Value(node, 2);
  if (!sum || !weight)
    return failure();
  float epsilon = node.numberAttr("epsilon", isSimple ? 1e-5f : 1e-12f);
  Value result =
      isSimple ? Value(node.create<RmsNormOp>(sum.getType(), sum, weight,
                                              node.builder().getF32FloatAttr(epsilon), UnitAttr()))
               : layerNorm(node, sum, weight, f32Value(node, 3), 1, epsilon);
  node.set(0, node.convert(result, node.elementType(0)));
  node.set(3, node.convert(sum, node.elementType(0)));
  return success(static_cast<bool>(result));
}

constexpr OpEntry entries[] = {
    {"", "BatchNormalization", importBatchNormalization},
    {"", "GroupNormalization", importGroupNormalization},
    {"", "InstanceNormalization", importInstanceNormalization},
    {"", "LayerNormalization", importLayerNormalization},
    {"", "RMSNormalization", importRmsNormalization},
    {"", "SimplifiedLayerNormalization", importRmsNormalization},
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
