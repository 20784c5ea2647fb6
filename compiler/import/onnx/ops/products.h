// Products with matrices that several others lie in, side by side.
#pragma once

#include "compiler/import/onnx/node.h"

namespace cleave::onnx {

/// Outputs [begin, begin + size) of a fused matrix or bias, and what they are: "q".
struct Segment {
  int64_t begin, size;
  llvm::StringRef name;
};

/// The products of x [.., k], which is f32, with the segments of matrix operand `i` [k, n]. Of a
/// matrix of the file each segment is a weight of its own, so that each can be cut by itself. Null
/// ones with an error at the node.
llvm::SmallVector<mlir::Value> multiplyBySegments(Node &node, mlir::Value x, unsigned i,
                                                  llvm::ArrayRef<Segment> segments);

/// A segment of vector operand `i`, likewise.
mlir::Value segmentOf(Node &node, unsigned i, const Segment &segment);

} // namespace cleave::onnx
