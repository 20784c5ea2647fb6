// Ops that compute element by element, with broadcasting as NumPy has it, and casts.
#include "compiler/import/onnx/ops/movement.h"
#include "compiler/import/onnx/registry.h"
#include "compiler/import/onnx/shape_arithmetic.h"

#include <cmath>
#include <limits>

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {
namespace {

// ---- Functions of one element ----

template <typename OpT> LogicalResult importUnary(Node &node) {
  Value x = node.value(0);
  if (!x)
    return failure();
  node.set(0, node.create<OpT>(x.getType(), x));
  return success();
}

FloatAttr f32Attr(Node &node, double number) {
  return node.builder().getF32FloatAttr(number);
}

/// With the attribute `alpha`, whose default ONNX says.
template <typename OpT> LogicalResult importWithAlpha(Node &node, float fallback) {
  Value x = node.value(0);
  if (!x)
    return failure();
  node.set(0, node.create<OpT>(x.getType(), x, f32Attr(node, node.numberAttr("alpha", fallback))));
  return success();
}

LogicalResult importElu(Node &node) {
  return importWithAlpha<EluOp>(node, 1);
}
LogicalResult importCelu(Node &node) {
  return importWithAlpha<CeluOp>(node, 1);
}
LogicalResult importLeakyRelu(Node &node) {
  return importWithAlpha<LeakyReluOp>(node, 0.01f);
}
LogicalResult importThresholdedRelu(Node &node) {
  return importWithAlpha<ThresholdedReluOp>(node, 1);
}
/// x sigmoid(alpha x)
LogicalResult importSwish(Node &node) {
  return importWithAlpha<QuickGeluOp>(node, 1);
}
LogicalResult importQuickGelu(Node &node) {
  return importWithAlpha<QuickGeluOp>(node, 1.702f);
}

LogicalResult importSelu(Node &node) {
  Value x = node.value(0);
  if (!x)
    return failure();
  float alpha = node.numberAttr("alpha", 1.67326319217681884765625f);
  float gamma = node.numberAttr("gamma", 1.05070102214813232421875f);
  node.set(0, node.create<SeluOp>(x.getType(), x, f32Attr(node, alpha), f32Attr(node, gamma)));
  return success();
}

LogicalResult importHardSigmoid(Node &node) {
  Value x = node.value(0);
  if (!x)
    return failure();
  float alpha = node.numberAttr("alpha", 0.2f), beta = node.numberAttr("beta", 0.5f);
  node.set(0,
           node.create<HardSigmoidOp>(x.getType(), x, f32Attr(node, alpha), f32Attr(node, beta)));
  return success();
}

LogicalResult importGelu(Node &node) {
  std::string approximate = node.stringAttr("approximate", "none");
  if (approximate != "none" && approximate != "tanh")
    return node.fail("attribute 'approximate' is " + quote(approximate) +
                     ", expected none or tanh");
  return approximate == "tanh" ? importUnary<GeluTanhOp>(node) : importUnary<GeluOp>(node);
}

/// i1 from floats.
template <typename OpT> LogicalResult importTest(Node &node) {
  Value x = node.value(0);
  if (!x)
    return failure();
  bool negative = node.integerAttr("detect_negative", 1);
  bool positive = node.integerAttr("detect_positive", 1);
  if (std::is_same_v<OpT, IsInfOp> && negative != positive) {
    double sought = std::numeric_limits<double>::infinity() * (positive ? 1 : -1);
    Value infinity = node.scalar(sought, node.elementType(0));
    node.set(0, node.create<EqualOp>(getTensorType(node.shape(0), node.builder().getI1Type()), x,
                                     infinity, DenseI64ArrayAttr()));
    return success();
  }
  if (std::is_same_v<OpT, IsInfOp> && !negative)
    return node.fail("looks for infinities of neither sign");
  node.set(0, node.create<OpT>(getTensorType(node.shape(0), node.builder().getI1Type()), x));
  return success();
}

// ---- Functions of two ----

/// `OpT` of x and y, which have one element type; `resultType` null means theirs.
template <typename OpT> Value createBinary(Node &node, Value x, Value y, Type resultType = {}) {
  if (!x || !y)
    return {};
  auto xType = cast<RankedTensorType>(x.getType()), yType = cast<RankedTensorType>(y.getType());
  if (xType.getElementType() != yType.getElementType()) {
    (void)node.fail("has operands of different element types");
    return {};
  }
  Value operands[] = {x, y};
  FailureOr<Shape> shape = broadcast(node, operands);
  if (failed(shape))
    return {};
  RankedTensorType type = getTensorType(*shape, resultType ? resultType : xType.getElementType());
  return node.create<OpT>(type, operands[0], operands[1], DenseI64ArrayAttr());
}

template <typename OpT> LogicalResult importBinary(Node &node) {
  Value result = createBinary<OpT>(node, node.value(0), node.value(1));
  node.set(0, result);
  return success(static_cast<bool>(result));
}

template <typename OpT> LogicalResult importCompare(Node &node) {
  Value result = createBinary<OpT>(node, node.value(0), node.value(1), node.builder().getI1Type());
  node.set(0, result);
  return success(static_cast<bool>(result));
}

/// Any number of operands, one after the other.
template <typename OpT> Value createChain(Node &node) {
  Value result = node.value(0);
  for (unsigned i = 1; i < node.numInputs() && result; ++i)
    result = createBinary<OpT>(node, result, node.value(i));
  return result;
}

template <typename OpT> LogicalResult importChain(Node &node) {
  Value result = createChain<OpT>(node);
  node.set(0, result);
  return success(static_cast<bool>(result));
}

LogicalResult importMean(Node &node) {
  Value sum = createChain<AddOp>(node);
  if (!sum)
    return failure();
  Value count = node.scalar(node.numInputs(), node.elementType(0));
  Value result = createBinary<DivOp>(node, sum, count);
  node.set(0, result);
  return success(static_cast<bool>(result));
}

/// The exponent may be of another type; the result has x's.
LogicalResult importPow(Node &node) {
  Value x = node.value(0), y = node.value(1);
  if (!x || !y)
    return failure();
  Type xType = node.elementType(0), yType = node.elementType(1);
  bool viaFloat = isa<IntegerType>(xType) && isa<FloatType>(yType);
  // An f64 has all numbers of 32 bits, and the powers below 2^53.
  Type type = viaFloat ? node.builder().getF64Type() : xType;
  x = node.convert(x, type);
  y = node.convert(y, type);
  Value result = createBinary<PowOp>(node, x, y);
  node.set(0, node.convert(result, xType));
  return success(static_cast<bool>(result));
}

LogicalResult importMod(Node &node) {
  return node.integerAttr("fmod", 0) ? importBinary<FmodOp>(node) : importBinary<ModOp>(node);
}

LogicalResult importBitShift(Node &node) {
  std::string direction = node.stringAttr("direction", "");
  if (direction != "LEFT" && direction != "RIGHT")
    return node.fail("attribute 'direction' is " + quote(direction) + ", expected LEFT or RIGHT");
  if (direction == "LEFT")
    return importBinary<ShiftLeftOp>(node);
  Type type = node.elementType(0);
  if (type.isUnsignedInteger())
    return importBinary<ShiftRightOp>(node);
  // The sign moves in from the left: of negative numbers the complement is shifted.
  Value x = node.value(0), shift = node.value(1);
  if (!x || !shift)
    return failure();
  auto complementWhere = [&](Value negative, Value of) {
    Value complement = node.create<BitwiseNotOp>(of.getType(), of);
    return node.create<WhereOp>(of.getType(), negative, complement, of, DenseI64ArrayAttr());
  };
  FailureOr<Shape> shape = node.broadcast({node.shape(0), node.shape(1)});
  if (failed(shape))
    return failure();
  if (!(*shape == node.shape(0)))
    x = node.create<ExpandOp>(getTensorType(*shape, type), x);
  Value negative = createBinary<LessOp>(node, x, node.scalar(0, type), node.builder().getI1Type());
  Value shifted = createBinary<ShiftRightOp>(node, complementWhere(negative, x), shift);
  if (!shifted)
    return failure();
  node.set(0, complementWhere(negative, shifted));
  return success();
}

/// Bounds are attributes up to version 10, and scalars later; absent ones are the least and the
/// greatest finite numbers.
LogicalResult importClip(Node &node) {
  Value x = node.value(0);
  if (!x)
    return failure();
  Type type = node.elementType(0);
  constexpr float greatest = std::numeric_limits<float>::max();
  if (node.version() < 11) {
    float least = node.numberAttr("min", -greatest), most = node.numberAttr("max", greatest);
    node.set(0, node.create<ClipOp>(x.getType(), x, f32Attr(node, least), f32Attr(node, most)));
    return success();
  }
  // Numbers that are known are the op's own, where an f32 has room for them.
  bool isKnown = type.isF32();
  for (unsigned i : {1, 2})
    isKnown &= !node.has(i) || node.operand(i).isKnown();
  if (isKnown) {
    float bounds[] = {-greatest, greatest};
    for (unsigned i : {1, 2}) {
      if (!node.has(i))
        continue;
      FailureOr<SmallVector<double>> bound = node.numbers(i, i == 1 ? "min" : "max");
      if (failed(bound))
        return failure();
      if (bound->size() != 1)
        return node.fail("has a bound that is not one number");
      bounds[i - 1] = static_cast<float>(bound->front());
    }
    if (!std::isnan(bounds[0]) && !std::isnan(bounds[1])) {
      node.set(0, node.create<ClipOp>(x.getType(), x, f32Attr(node, bounds[0]),
                                      f32Attr(node, bounds[1])));
      return success();
    }
  }
  auto bound = [&](unsigned i, double sign) {
    auto floatType = dyn_cast<FloatType>(type);
    if (node.has(i) || !floatType) // no integer is beyond its type's bounds
      return node.has(i) ? node.value(i) : Value();
    double finite = llvm::APFloat::getLargest(floatType.getFloatSemantics()).convertToDouble();
    return node.scalar(sign * finite, type);
  };
  if (Value least = bound(1, -1))
    x = createBinary<MaxOp>(node, x, least);
  if (Value most = bound(2, 1))
    x = createBinary<MinOp>(node, x, most);
  node.set(0, x);
  return success(static_cast<bool>(x));
}

LogicalResult importWhere(Node &node) {
  Value condition = node.value(0), x = node.value(1), y = node.value(2);
  if (!condition || !x || !y)
    return failure();
  if (node.elementType(1) != node.elementType(2))
    return node.fail("has operands of different element types");
  Value operands[] = {condition, x, y};
  FailureOr<Shape> shape = broadcast(node, operands);
  if (failed(shape))
    return failure();
  node.set(0, node.create<WhereOp>(getTensorType(*shape, node.elementType(1)), operands[0],
                                   operands[1], operands[2], DenseI64ArrayAttr()));
  return success();
}

/// com.microsoft: gelu(x + bias).
template <typename OpT> LogicalResult importBiasGelu(Node &node) {
  Value x = node.value(0);
  if (node.has(1))
    x = createBinary<AddOp>(node, x, node.value(1));
  if (!x)
    return failure();
  node.set(0, node.create<OpT>(x.getType(), x));
  return success();
}

// ---- Casts ----

LogicalResult castTo(Node &node, Type type) {
  // Sizes stay known as integers of other widths, as floats, and as truth where they are numbers.
  bool isWide = type.isInteger(64) || type.isInteger(32) || type.isF32();
  if (std::optional<SizeArray> sizes = node.findSizes(0); sizes && (isWide || type.isInteger(1))) {
    bool fits = true;
    for (SizeExpression &element : sizes->elements) {
      std::optional<int64_t> number = element.constant();
      if (type.isInteger(1)) {
        fits &= number.has_value();
        element = SizeExpression(number && *number != 0);
      } else if (!type.isInteger(64)) {
        int64_t most = type.isF32() ? maxWholeFloat : std::numeric_limits<int32_t>::max();
        fits &= !number || (*number <= most && *number >= -most);
      }
    }
    if (fits) {
      node.set(0, std::move(*sizes), type);
      return success();
    }
  }
  if (type == node.elementType(0)) {
    node.set(0, node.operand(0));
    return success();
  }
  Value result = node.convert(node.value(0), type);
  node.set(0, result);
  return success(static_cast<bool>(result));
}

LogicalResult importCast(Node &node) {
  auto to = static_cast<int32_t>(node.integerAttr("to", 0));
  const ElementTypeInfo *info = findElementTypeOfOnnx(to);
  if (!info)
    return node.fail("casts to " + getOnnxTypeName(to) + ", which is not supported");
  return castTo(node, getElementMlirType(node.context(), *info));
}

LogicalResult importCastLike(Node &node) {
  return castTo(node, node.elementType(1));
}

constexpr OpEntry entries[] = {
    {"", "Abs", importUnary<AbsOp>},
    {"", "Acos", importUnary<AcosOp>},
    {"", "Acosh", importUnary<AcoshOp>},
    {"", "Add", importBinary<AddOp>},
    {"", "And", importBinary<AndOp>},
    {"", "Asin", importUnary<AsinOp>},
    {"", "Asinh", importUnary<AsinhOp>},
    {"", "Atan", importUnary<AtanOp>},
    {"", "Atanh", importUnary<AtanhOp>},
    {"", "BitShift", importBitShift},
    {"", "BitwiseAnd", importBinary<BitwiseAndOp>},
    {"", "BitwiseNot", importUnary<BitwiseNotOp>},
    {"", "BitwiseOr", importBinary<BitwiseOrOp>},
    {"", "BitwiseXor", importBinary<BitwiseXorOp>},
    {"", "Cast", importCast},
    {"", "CastLike", importCastLike},
    {"", "Ceil", importUnary<CeilOp>},
    {"", "Celu", importCelu},
    {"", "Clip", importClip},
    {"", "Cos", importUnary<CosOp>},
    {"", "Cosh", importUnary<CoshOp>},
    {"", "Div", importBinary<DivOp>},
    {"", "Elu", importElu},
    {"", "Equal", importCompare<EqualOp>},
    {"", "Erf", importUnary<ErfOp>},
    {"", "Exp", importUnary<ExpOp>},
    {"", "Floor", importUnary<FloorOp>},
    {"", "Gelu", importGelu},
    {"", "Greater", importCompare<GreaterOp>},
    {"", "GreaterOrEqual", importCompare<GreaterOrEqualOp>},
    {"", "HardSigmoid", importHardSigmoid},
    {"", "HardSwish", importUnary<HardSwishOp>},
    {"", "IsInf", importTest<IsInfOp>},
    {"", "IsNaN", importTest<IsNanOp>},
    {"", "LeakyRelu", importLeakyRelu},
    {"", "Less", importCompare<LessOp>},
    {"", "LessOrEqual", importCompare<LessOrEqualOp>},
    {"", "Log", importUnary<LogOp>},
    {"", "Max", importChain<MaxOp>},
    {"", "Mean", importMean},
    {"", "Min", importChain<MinOp>},
    {"", "Mish", importUnary<MishOp>},
    {"", "Mod", importMod},
    {"", "Mul", importBinary<MulOp>},
    {"", "Neg", importUnary<NegOp>},
    {"", "Not", importUnary<NotOp>},
    {"", "Or", importBinary<OrOp>},
    {"", "PRelu", importBinary<PreluOp>},
    {"", "Pow", importPow},
    {"", "Reciprocal", importUnary<ReciprocalOp>},
    {"", "Relu", importUnary<ReluOp>},
    {"", "Round", importUnary<RoundOp>},
    {"", "Selu", importSelu},
    {"", "Sigmoid", importUnary<SigmoidOp>},
    {"", "Sign", importUnary<SignOp>},
    {"", "Sin", importUnary<SinOp>},
    {"", "Sinh", importUnary<SinhOp>},
    {"", "Softplus", importUnary<SoftplusOp>},
    {"", "Softsign", importUnary<SoftsignOp>},
    {"", "Sqrt", importUnary<SqrtOp>},
    {"", "Sub", importBinary<SubOp>},
    {"", "Sum", importChain<AddOp>},
    {"", "Swish", importSwish},
    {"", "Tan", importUnary<TanOp>},
    {"", "Tanh", importUnary<TanhOp>},
    {"", "ThresholdedRelu", importThresholdedRelu},
    {"", "Where", importWhere},
    {"", "Xor", importBinary<XorOp>},
    {"com.microsoft", "BiasGelu", importBiasGelu<GeluOp>},
    {"com.microsoft", "FastGelu", importBiasGelu<GeluTanhOp>},
    {"com.microsoft", "Gelu", importUnary<GeluOp>},
    {"com.microsoft", "QuickGelu", importQuickGelu},
};

} // namespace

ArrayRef<OpEntry> elementwiseOps() {
  return entries;
}

} // namespace cleave::onnx
