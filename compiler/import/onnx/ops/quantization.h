// Linear quantization as other ops need it.
#pragma once

#include "compiler/import/onnx/node.h"

namespace cleave::onnx {

/// (values - zero) * scale, the latter two numbers.
struct Quantized {
  mlir::Value values, scale, zero;
};

/// x, which is f32, in ui8 over the range of it and 0. Null values where x is null.
Quantized quantize(Node &node, mlir::Value x);

/// round(x) + zero, of which the nearest that `type` has; x is f32, `zero` may be null.
mlir::Value requantize(Node &node, mlir::Value x, mlir::Value zero, mlir::Type type);

} // namespace cleave::onnx
