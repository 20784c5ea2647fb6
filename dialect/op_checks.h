// What the files of ops share: an op's view of its operands' dims, checks of them with
// their messages, and the pieces of which sharding rules are made.
#pragma once

#include "dialect/dialect.h"

namespace cleave {

inline mlir::RankedTensorType tensorOf(mlir::Value value) {
  return mlir::cast<mlir::RankedTensorType>(value.getType());
}

inline int64_t dimOf(mlir::Value value, unsigned dim) {
  return tensorOf(value).getDimSize(dim);
}

/// Sizes and, where they are run-time, names are equal.
inline bool sameDim(mlir::Value a, unsigned dimA, mlir::Value b, unsigned dimB) {
  return dimOf(a, dimA) == dimOf(b, dimB) &&
         getDimName(tensorOf(a), dimA) == getDimName(tensorOf(b), dimB);
}

/// The elements of a value's quantization block, 1 where it has none.
inline int64_t blockLengthOf(mlir::Value value) {
  auto block = mlir::dyn_cast<BlockType>(tensorOf(value).getElementType());
  return block ? block.getBlockLength() : 1;
}

inline mlir::LogicalResult expectRank(mlir::Operation *op, mlir::Value value, llvm::StringRef what,
                                      int64_t rank) {
  if (tensorOf(value).getRank() == rank)
    return mlir::success();
  return op->emitOpError("expects ")
         << what << " of rank " << rank << ", found " << value.getType();
}

inline mlir::LogicalResult expectSameDim(mlir::Operation *op, mlir::Value a, unsigned dimA,
                                         llvm::StringRef whatA, mlir::Value b, unsigned dimB,
                                         llvm::StringRef whatB) {
  if (sameDim(a, dimA, b, dimB))
    return mlir::success();
  return op->emitOpError("expects dim ")
         << dimA << " of " << whatA << " to be dim " << dimB << " of " << whatB << ", found "
         << a.getType() << " and " << b.getType();
}

/// Whether kernels that move elements compute with this type, too.
inline bool isComputedInPlace(mlir::Type type) {
  return type.isF32() || type.isF64() || (type.isInteger() && !type.isInteger(1));
}

/// The factor list of a dim that is one factor.
inline ShardingRule::Dim one(unsigned factor) {
  return {factor};
}

/// The rule of a convolution without a bias: of x [n, in, s...] with the filter [out, in of a
/// group, s...], or, where it is transposed, [in, out of a group, s...].
ShardingRule convolutionRule(mlir::Value x, mlir::Value filter, mlir::Value result, bool isGrouped,
                             bool isTransposed);

} // namespace cleave
