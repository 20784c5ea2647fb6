// Building blocks for ops that move elements, which other families use too.
#pragma once

#include "compiler/import/onnx/node.h"

namespace cleave::onnx {

/// `x` in another shape with as many elements; `x` itself where it has the shape. Null, with
/// an error at the node, where the products of the sizes are not known to be equal.
mlir::Value reshape(Node &node, mlir::Value x, llvm::ArrayRef<SizeExpression> shape);

/// Dimension d of the result is dimension `order[d]` of x.
mlir::Value transpose(Node &node, mlir::Value x, llvm::ArrayRef<int64_t> order);

/// `size` elements of dimension `dim`, `step` apart, from `begin`.
mlir::Value slice(Node &node, mlir::Value x, int64_t dim, const SizeExpression &begin,
                  const SizeExpression &size, int64_t step = 1);

/// Values behind each other along `dim`, however many.
mlir::Value concat(Node &node, llvm::ArrayRef<mlir::Value> parts, int64_t dim);

/// `x` repeated to a shape to which it broadcasts.
mlir::Value expand(Node &node, mlir::Value x, llvm::ArrayRef<SizeExpression> shape);

/// The shape that the values have together, as NumPy broadcasts. Where sizes of two are equal or 1
/// only if symbols are such (`min(seq,512)` beside `seq`, `min(batch,1)` beside `batch`), they
/// are taken to be: a slice is put before the value, which each run checks.
mlir::FailureOr<Shape> broadcast(Node &node, llvm::MutableArrayRef<mlir::Value> values);

/// As above, for one value that is repeated to `wanted`.
mlir::FailureOr<Shape> broadcastTo(Node &node, mlir::Value &x,
                                   llvm::ArrayRef<SizeExpression> wanted);

/// The product of sizes, or nothing where it is too large to be written.
MaybeSize product(llvm::ArrayRef<SizeExpression> shape);

} // namespace cleave::onnx
