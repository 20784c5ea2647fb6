// Reshapes, transposes, slices, concatenations: as few ops as the case needs.
#include "compiler/import/onnx/ops/movement.h"

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
