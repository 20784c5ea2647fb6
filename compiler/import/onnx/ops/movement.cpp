// Reshapes, transposes, slices, concatenations: as few ops as the case needs.
#include "compiler/import/onnx/ops/movement.h"

#include <array>

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {

MaybeSize product(ArrayRef<SizeExpression> shape) {
  MaybeSize result = SizeExpression(1);
  for (const SizeExpression &size : shape)
    result = sizeProduct(result, size);
  return result;
}

Value reshape(Node &node, Value x, ArrayRef<SizeExpression> shape) {
  if (!x)
    return {};
  auto type = cast<RankedTensorType>(x.getType());
  Shape own = getShape(type);
  if (ArrayRef<SizeExpression>(own) == shape)
    return x;
  RankedTensorType result = getTensorType(shape, type.getElementType());
  if (result.hasStaticShape() && result.getNumElements() == 0 && type.hasStaticShape() &&
      type.getNumElements() == 0) { // whichever sizes the others are
    Operand empty = node.makeConstant(result.getShape(), type.getElementType(), {});
    return node.materialize(empty);
  }
  std::optional<SmallVector<int64_t>> groups = findReshapeGroups(type, result);
  if (!groups) {
    (void)node.fail("reshapes " + describe(own) + " to " + describe(shape) +
                    ", whose numbers of elements are not known to be equal; symbolic sizes get "
                    "values with --dim NAME=N");
    return {};
  }
  return node.create<ReshapeOp>(result, x, node.builder().getDenseI64ArrayAttr(*groups));
}

Value transpose(Node &node, Value x, ArrayRef<int64_t> order) {
  if (!x)
    return {};
  auto type = cast<RankedTensorType>(x.getType());
  if (llvm::equal(order, llvm::seq<int64_t>(0, order.size())))
    return x;
  Shape own = getShape(type), shape;
  for (int64_t dim : order)
    shape.push_back(own[dim]);
  return node.create<TransposeOp>(getTensorType(shape, type.getElementType()), x,
                                  node.builder().getDenseI64ArrayAttr(order));
}

Value slice(Node &node, Value x, int64_t dim, const SizeExpression &begin,
            const SizeExpression &size, int64_t step) {
  if (!x)
    return {};
  auto type = cast<RankedTensorType>(x.getType());
  Shape shape = getShape(type);
  if (begin == SizeExpression(0) && size == shape[dim] && step == 1)
    return x;
  shape[dim] = size;
  return node.create<SliceOp>(getTensorType(shape, type.getElementType()), x, dim, begin, step);
}

Value concat(Node &node, ArrayRef<Value> given, int64_t dim) {
  SmallVector<Value> parts(given);
  if (parts.empty() || llvm::is_contained(parts, Value()))
    return {};
  while (parts.size() > 1) {
    SmallVector<Value> joined;
    for (size_t begin = 0; begin < parts.size(); begin += maxOperands) {
      ArrayRef<Value> some =
          ArrayRef<Value>(parts).slice(begin, std::min<size_t>(maxOperands, parts.size() - begin));
      auto type = cast<RankedTensorType>(some.front().getType());
      Shape shape = getShape(type);
      MaybeSize sum = SizeExpression(0);
      for (Value part : some)
        sum = sizeSum(sum, getShape(cast<RankedTensorType>(part.getType()))[dim]);
      FailureOr<SizeExpression> size = node.size(sum);
      if (failed(size))
        return {};
      shape[dim] = *size;
      joined.push_back(some.size() == 1
                           ? some.front()
                           : Value(node.create<ConcatOp>(
                                 getTensorType(shape, type.getElementType()), some, dim)));
    }
    parts = std::move(joined);
  }
  return parts.front();
}

/// Whether the size is 1 where no symbol is 0.
static bool isOneUnlessEmpty(const SizeExpression &size) {
  MaybeSize positive = size.substitute([](std::string_view name) {
    return sizeSum(SizeExpression::symbol(name), SizeExpression(1));
  });
  return positive && positive->constant() == 1;
}

/// Whether the size is `other` up to a limit, as `min(seq,512)` is `seq`: never more, and no less
/// for small symbols.
static bool isLimited(const SizeExpression &size, const SizeExpression &other) {
  MaybeSize difference = sizeDifference(other, size);
  return difference && difference->isNonNegative() &&
         llvm::all_of(std::array{1, 2}, [&](int64_t small) {
           return difference->evaluate([&](std::string_view) { return std::optional(small); }) == 0;
         });
}

/// What a value of size `own` is read as beside one of `size`: that, 1, or nothing where the two
/// are not known to match.
static std::optional<SizeExpression> matchSize(const SizeExpression &own,
                                               const SizeExpression &size) {
  if (own == size || own.constant() == 1)
    return own;
  if (own.constant())
    return std::nullopt;
  if (isOneUnlessEmpty(own))
    return SizeExpression(1);
  return isLimited(own, size) ? std::optional(size) : std::nullopt;
}

/// `shapes` broadcast: their sizes are read so that they match.
static FailureOr<Shape> matchShapes(Node &node, MutableArrayRef<Shape> shapes) {
  Shape result;
  for (const Shape &shape : shapes)
    if (shape.size() > result.size())
      result.resize(shape.size(), SizeExpression(1));
  for (size_t behind = 1; behind <= result.size(); ++behind) {
    SizeExpression &size = result[result.size() - behind];
    for (const Shape &shape : shapes)
      if (behind <= shape.size()) {
        const SizeExpression &own = shape[shape.size() - behind];
        if (size.constant() == 1 || !matchSize(own, size))
          size = own;
      }
    for (Shape &shape : shapes)
      if (behind <= shape.size()) {
        SizeExpression &own = shape[shape.size() - behind];
        own = matchSize(own, size).value_or(own);
      }
  }
  return node.broadcast(shapes);
}

/// The first elements of each dimension, as many as `shape` says.
static Value takeFirst(Node &node, Value x, const Shape &shape) {
  for (auto [dim, size] : llvm::enumerate(shape))
    x = slice(node, x, static_cast<int64_t>(dim), SizeExpression(0), size);
  return x;
}

FailureOr<Shape> broadcast(Node &node, MutableArrayRef<Value> values) {
  SmallVector<Shape, 3> shapes;
  for (Value value : values)
    shapes.push_back(getShape(cast<RankedTensorType>(value.getType())));
  FailureOr<Shape> result = matchShapes(node, shapes);
  if (succeeded(result))
    for (auto [value, shape] : llvm::zip_equal(values, shapes))
      value = takeFirst(node, value, shape);
  return result;
}

FailureOr<Shape> broadcastTo(Node &node, Value &x, ArrayRef<SizeExpression> wanted) {
  Shape shapes[] = {getShape(cast<RankedTensorType>(x.getType())), Shape(wanted)};
  FailureOr<Shape> result = matchShapes(node, shapes);
  if (failed(result) || !(ArrayRef<SizeExpression>(shapes[1]) == wanted))
    return node.broadcast({getShape(cast<RankedTensorType>(x.getType())), Shape(wanted)});
  x = takeFirst(node, x, shapes[0]);
  return result;
}

Value expand(Node &node, Value x, ArrayRef<SizeExpression> shape) {
  if (!x)
    return {};
  auto type = cast<RankedTensorType>(x.getType());
  Shape own = getShape(type);
  if (ArrayRef<SizeExpression>(own) == shape)
    return x;
  return node.create<ExpandOp>(getTensorType(shape, type.getElementType()), x);
}

} // namespace cleave::onnx
