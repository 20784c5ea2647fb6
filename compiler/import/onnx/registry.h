// Which ops the importer knows: a table a family, beside the functions that import its ops.
#pragma once

#include "compiler/import/onnx/node.h"

namespace cleave::onnx {

/// An op of a domain, "" being ONNX's own.
struct OpEntry {
  llvm::StringLiteral domain;
  llvm::StringLiteral name;
  ImportOp import;
};

llvm::ArrayRef<OpEntry> attentionOps();
llvm::ArrayRef<OpEntry> blockProductOps();
llvm::ArrayRef<OpEntry> contribAttentionOps();
llvm::ArrayRef<OpEntry> convolutionOps();
llvm::ArrayRef<OpEntry> depthToSpaceOps();
llvm::ArrayRef<OpEntry> einsumOps();
llvm::ArrayRef<OpEntry> elementwiseOps();
llvm::ArrayRef<OpEntry> indexingOps();
llvm::ArrayRef<OpEntry> integerProductOps();
llvm::ArrayRef<OpEntry> normOps();
llvm::ArrayRef<OpEntry> productOps();
llvm::ArrayRef<OpEntry> quantizationOps();
llvm::ArrayRef<OpEntry> reductionOps();
llvm::ArrayRef<OpEntry> resizeOps();
llvm::ArrayRef<OpEntry> rotaryOps();
llvm::ArrayRef<OpEntry> shapeOps();
llvm::ArrayRef<OpEntry> structureOps();

} // namespace cleave::onnx
