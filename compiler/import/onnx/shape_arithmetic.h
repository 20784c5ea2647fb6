// Arithmetic on small tensors of integers that are known at import, as exporters compute shapes
// with: Shape, Gather, Concat, Mul and the like on numbers and symbolic sizes.
#pragma once

#include "compiler/import/onnx/node.h"

namespace cleave::onnx {

/// Computes the node's results where all its operands are known integers and the op is one of
/// those that shapes are computed with: whether it did. Fails where the op cannot be done.
mlir::FailureOr<bool> foldSizes(Node &node);

/// The most elements that such a tensor may have.
inline constexpr int64_t maxSizeElements = 4096;
/// Below this an f32 has every integer.
inline constexpr int64_t maxWholeFloat = int64_t{1} << 24;

} // namespace cleave::onnx
