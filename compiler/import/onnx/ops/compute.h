// Building blocks for ops that compute, which several families use.
#pragma once

#include "compiler/import/onnx/ops/movement.h"

namespace cleave::onnx {

inline Shape shapeOf(mlir::Value value) {
  return getShape(mlir::cast<mlir::RankedTensorType>(value.getType()));
}

inline mlir::Type elementTypeOf(mlir::Value value) {
  return mlir::cast<mlir::RankedTensorType>(value.getType()).getElementType();
}

/// Operand `i` as f32; null where it is absent.
inline mlir::Value f32Value(Node &node, unsigned i) {
  return node.has(i) ? node.convert(node.value(i), node.builder().getF32Type()) : mlir::Value();
}

/// `OpT` of two values, broadcast; of a's element type unless it says another. Null where a value
/// is, or where they do not fit, with an error at the node.
template <typename OpT>
mlir::Value binary(Node &node, mlir::Value a, mlir::Value b, mlir::Type resultType = {}) {
  if (!a || !b)
    return {};
  mlir::Value operands[] = {a, b};
  mlir::FailureOr<Shape> shape = broadcast(node, operands);
  if (failed(shape))
    return {};
  return node.create<OpT>(getTensorType(*shape, resultType ? resultType : elementTypeOf(a)),
                          operands[0], operands[1], mlir::DenseI64ArrayAttr());
}

} // namespace cleave::onnx
