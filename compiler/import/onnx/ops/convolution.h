// Convolutions as attributes of nodes describe them.
#pragma once

#include "compiler/import/onnx/node.h"

namespace cleave::onnx {

/// A window over the spatial dimensions of an image, proved: attributes have one number for
/// each dimension, within what `conv` takes.
struct Window {
  llvm::SmallVector<int64_t> size, strides, dilations, pads;
  /// The sizes of the result's spatial dimensions.
  llvm::SmallVector<int64_t> results;
};

struct Convolution {
  Window window;
  int64_t groups;
  Shape shape; ///< of the result
};

/// That of operand 0 with the filter that operand `i` is.
mlir::FailureOr<Convolution> readConvolution(Node &node, unsigned i);

/// It, of values in f32; the bias may be null.
mlir::Value convolve(Node &node, const Convolution &convolution, mlir::Value x, mlir::Value filter,
                     mlir::Value bias);

} // namespace cleave::onnx
