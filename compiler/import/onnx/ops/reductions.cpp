// Reductions over dimensions, softmax, and what finds the best or adds up along one. Floats are
// computed in f32, integers exactly.
#include "compiler/import/onnx/ops/compute.h"
#include "compiler/import/onnx/ops/movement.h"
#include "compiler/import/onnx/registry.h"

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {
namespace {

/// Operand 0 in a type that reductions know: floats as f32, integers in their own type, or as
/// i32 where they have fewer bits, as truth has.
Value wideOperand(Node &node) {
  Type type = node.elementType(0);
  OpBuilder &builder = node.builder();
  if (isa<FloatType>(type))
    return node.convert(node.value(0), builder.getF32Type());
  return type.getIntOrFloatBitWidth() >= 32 ? node.value(0)
                                            : node.convert(node.value(0), builder.getI32Type());
}

/// The axes of operand 1 or of the attribute; all where there are none. `isNothing` says that
/// none means to do nothing.
FailureOr<SmallVector<int64_t>> readAxes(Node &node, bool &isNothing) {
  auto given = node.integersOf(1, "axes");
  if (failed(given))
    return failure();
  isNothing = false;
  if (*given && !(*given)->empty())
    return node.axes(**given, node.rank(0));
  isNothing = node.integerAttr("noop_with_empty_axes", 0);
  return llvm::to_vector(llvm::seq<int64_t>(0, node.rank(0)));
}

/// What follows the reduction of these kinds.
enum class After { nothing, root, logarithm };

template <ReduceKind kind, After after = After::nothing> LogicalResult importReduce(Node &node) {
  bool isNothing = false;
  FailureOr<SmallVector<int64_t>> axes = readAxes(node, isNothing);
  if (failed(axes))
    return failure();
  Value x = wideOperand(node);
  if (!x)
    return failure();
  bool isOfFloats = isa<FloatType>(elementTypeOf(x));
  if (kind == ReduceKind::LogSumExp && !isOfFloats)
    return node.fail("is a logarithm of exponentials of integers, expected floats");
  // A mean of integers is their sum, divided.
  bool divides = kind == ReduceKind::Mean && !isOfFloats;
  bool keeps = node.integerAttr("keepdims", 1);
  Shape shape, own = node.shape(0);
  MaybeSize count = SizeExpression(1);
  if (isNothing)
    axes->clear();
  for (auto [dim, size] : llvm::enumerate(own)) {
    bool isReduced = llvm::is_contained(*axes, static_cast<int64_t>(dim));
    if (!isReduced || keeps)
      shape.push_back(isReduced ? SizeExpression(1) : size);
    if (isReduced)
      count = sizeProduct(count, size);
  }
  Value result = x;
  if (!axes->empty()) {
    ReduceKind ofElements = divides ? ReduceKind::Sum : kind;
    result = node.create<ReduceOp>(getTensorType(shape, elementTypeOf(x)), x,
                                   ReduceKindAttr::get(node.context(), ofElements),
                                   node.builder().getDenseI64ArrayAttr(*axes), IntegerAttr());
  } else if (kind == ReduceKind::SumSquare) { // of each element alone
    result = node.create<MulOp>(x.getType(), x, x, DenseI64ArrayAttr());
  } else if (kind == ReduceKind::L1) {
    result = node.create<AbsOp>(x.getType(), x);
  }
  if (divides) {
    FailureOr<SizeExpression> divisor = node.size(count);
    if (failed(divisor))
      return failure();
    Value number = reshape(node, node.sizeValue(*divisor), {});
    result = binary<DivOp>(node, result, node.convert(number, elementTypeOf(x)));
  }
  if (after != After::nothing)
    result = node.convert(result, node.builder().getF32Type());
  if (!result)
    return failure();
  if (after == After::root)
    result = node.create<SqrtOp>(result.getType(), result);
  if (after == After::logarithm)
    result = node.create<LogOp>(result.getType(), result);
  if (Type truth = node.elementType(0); truth.isInteger(1)) // of nothing a maximum is the least
    result = binary<GreaterOp>(node, result, node.scalar(0, elementTypeOf(result)), truth);
  node.set(0, node.convert(result, node.elementType(0)));
  return success(static_cast<bool>(result));
}

/// Up to version 12 all dimensions from the axis on are one.
template <typename OpT> LogicalResult importSoftmax(Node &node) {
  bool isFlat = node.version() < 13;
  auto rank = node.rank(0);
  FailureOr<int64_t> dim =
      node.axis(node.integerAttr("axis", isFlat ? 1 : -1), std::max<int64_t>(rank, 1));
  Value x = failed(dim) ? Value() : f32Value(node, 0);
  if (!x)
    return failure();
  Shape own = node.shape(0);
  if (rank == 0)
    x = reshape(node, x, {SizeExpression(1)});
  bool joins = isFlat && *dim + 1 < rank;
  if (joins) {
    FailureOr<SizeExpression> last =
        node.size(product(ArrayRef<SizeExpression>(own).drop_front(*dim)));
    if (failed(last))
      return failure();
    Shape shape(own.begin(), own.begin() + *dim);
    shape.push_back(*last);
    x = reshape(node, x, shape);
  }
  if (!x)
    return failure();
  Value result = node.create<OpT>(x.getType(), x, node.builder().getI64IntegerAttr(*dim));
  result = node.convert(reshape(node, result, own), node.elementType(0));
  node.set(0, result);
  return success(static_cast<bool>(result));
}

template <typename OpT> LogicalResult importArg(Node &node) {
  FailureOr<int64_t> dim = node.axis(node.integerAttr("axis", 0), node.rank(0));
  Value x = failed(dim) ? Value() : wideOperand(node);
  if (!x)
    return failure();
  Shape shape = node.shape(0);
  if (node.integerAttr("keepdims", 1))
    shape[*dim] = SizeExpression(1);
  else
    shape.erase(shape.begin() + *dim);
  bool last = node.integerAttr("select_last_index", 0);
  node.set(0, node.create<OpT>(getTensorType(shape, node.builder().getI64Type()), x,
                               node.builder().getI64IntegerAttr(*dim),
                               last ? node.builder().getUnitAttr() : UnitAttr()));
  return success();
}

LogicalResult importTopK(Node &node) {
  FailureOr<int64_t> dim = node.axis(node.integerAttr("axis", -1), node.rank(0));
  if (failed(dim))
    return failure();
  SmallVector<int64_t> count = {node.integerAttr("k", 0)};
  if (node.version() >= 10) {
    FailureOr<SmallVector<int64_t>> given = node.integers(1, "k");
    if (failed(given))
      return failure();
    count = *given;
  }
  Value x = wideOperand(node);
  if (!x)
    return failure();
  Shape shape = node.shape(0);
  if (count.size() != 1 || count[0] < 0 || !shape[*dim].constant() ||
      count[0] > *shape[*dim].constant())
    return node.fail("wants " + (count.empty() ? "no number" : std::to_string(count[0])) +
                     " elements of a dimension of " + shape[*dim].text());
  shape[*dim] = SizeExpression(count[0]);
  bool smallest = !node.integerAttr("largest", 1);
  auto op = node.builder().create<TopElementsOp>(
      NameLoc::get(node.builder().getStringAttr(node.name())),
      getTensorType(shape, elementTypeOf(x)), getTensorType(shape, node.builder().getI64Type()), x,
      node.builder().getI64IntegerAttr(*dim), smallest ? node.builder().getUnitAttr() : UnitAttr());
  op->setAttr(CleaveDialect::nameAttrName, node.builder().getStringAttr(node.name()));
  node.set(0, node.convert(op.getValues(), node.elementType(0)));
  node.set(1, Value(op.getIndices()));
  return success();
}

LogicalResult importCumSum(Node &node) {
  FailureOr<SmallVector<int64_t>> axis = node.integers(1, "the axis");
  if (failed(axis))
    return failure();
  if (axis->size() != 1)
    return node.fail("has " + Twine(axis->size()) + " axes, expected one");
  FailureOr<int64_t> dim = node.axis(axis->front(), node.rank(0));
  Value x = failed(dim) ? Value() : wideOperand(node);
  if (!x)
    return failure();
  auto flag = [&](StringRef name) {
    return node.integerAttr(name, 0) ? node.builder().getUnitAttr() : UnitAttr();
  };
  Value result = node.create<CumulativeSumOp>(
      x.getType(), x, node.builder().getI64IntegerAttr(*dim), flag("exclusive"), flag("reverse"));
  node.set(0, node.convert(result, node.elementType(0)));
  return success();
}

constexpr OpEntry entries[] = {
    {"", "ArgMax", importArg<ArgMaxOp>},
    {"", "ArgMin", importArg<ArgMinOp>},
    {"", "CumSum", importCumSum},
    {"", "LogSoftmax", importSoftmax<LogSoftmaxOp>},
    {"", "ReduceL1", importReduce<ReduceKind::L1>},
    {"", "ReduceL2", importReduce<ReduceKind::SumSquare, After::root>},
    {"", "ReduceLogSum", importReduce<ReduceKind::Sum, After::logarithm>},
    {"", "ReduceLogSumExp", importReduce<ReduceKind::LogSumExp>},
    {"", "ReduceMax", importReduce<ReduceKind::Max>},
    {"", "ReduceMean", importReduce<ReduceKind::Mean>},
    {"", "ReduceMin", importReduce<ReduceKind::Min>},
    {"", "ReduceProd", importReduce<ReduceKind::Prod>},
    {"", "ReduceSum", importReduce<ReduceKind::Sum>},
    {"", "ReduceSumSquare", importReduce<ReduceKind::SumSquare>},
    {"", "Softmax", importSoftmax<SoftmaxOp>},
    {"", "TopK", importTopK},
};

} // namespace

ArrayRef<OpEntry> reductionOps() {
  return entries;
}

} // namespace cleave::onnx
