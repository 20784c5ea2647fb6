// In which layout (runtime/program/layout.h) each weight of a rank is packaged.
#pragma once

#include "dialect/dialect.h"
#include "runtime/program/layout.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringMap.h"

namespace cleave {

/// The layout of each weight of the rank that `module` is, by what reads it: matrices of products
/// are laid out for their kernels, all else stays as the model has it.
llvm::StringMap<Layout> chooseLayouts(mlir::ModuleOp module);

/// The bytes of a weight of this type in this layout.
uint64_t packedBytes(mlir::RankedTensorType type, Layout layout);

} // namespace cleave
