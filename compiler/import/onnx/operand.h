// What a name in a graph stands for while the graph is imported: a value that is computed at
// run time, or a tensor whose elements are known now, or sizes, which are known as expressions.
#pragma once

#include "dialect/dialect.h"
#include "runtime/program/size_expression.h"

#include "llvm/ADT/SmallVector.h"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace onnx {
class TensorProto;
}

namespace cleave::onnx {

/// The sizes of a tensor's dimensions, in the graph's symbols.
using Shape = llvm::SmallVector<SizeExpression, 4>;

/// A small tensor of integers that may depend on sizes, row-major. Booleans are 0 and 1.
struct SizeArray {
  llvm::SmallVector<int64_t, 2> dims;
  llvm::SmallVector<SizeExpression, 4> elements;
};

/// A tensor whose elements are known at import: one of the file's (which is not copied), or
/// bytes of its own.
struct Constant {
  const ::onnx::TensorProto *tensor = nullptr;
  /// Whether the last two dimensions of the file's tensor are swapped, after it has been
  /// given the shape that makes them so.
  bool transposed = false;
  std::vector<std::byte> bytes;
  /// What weights are named after.
  std::string name;
  /// What part of a fused tensor this is ("q"): as many rows as the type has, from `firstRow` on,
  /// of the file's tensor in its own shape, or transposed. Empty: all of it.
  std::string segment = {};
  int64_t firstRow = 0;
};

struct Operand {
  /// With run-time sizes named. The element type is that of the ONNX value.
  mlir::RankedTensorType type;
  /// Null until a known operand is used as a value.
  mlir::Value value;
  std::optional<Constant> constant;
  std::optional<SizeArray> sizes;

  bool isKnown() const { return constant || sizes; }
};

/// The sizes of a type's dimensions.
Shape getShape(mlir::RankedTensorType type);

/// "[batch, 4]".
std::string describe(llvm::ArrayRef<SizeExpression> shape);

} // namespace cleave::onnx
