// The other way round from annotations.h: the stages and shardings of a partitioned graph, written
// into its model file as ONNX's device annotations.
#pragma once

#include "compiler/import/onnx/model_file.h"

#include "mlir/IR/BuiltinOps.h"

namespace cleave::onnx {

/// The name of the configuration that is written.
inline constexpr llvm::StringLiteral annotatedConfiguration = "cleave";

/// A copy of the model in which the nodes of the main graph say in which pipeline stage they are,
/// and how the weights and inputs that they read are sharded. `sharded` is the sharded form of
/// what importModel made of the file. Device k is rank k. Fails, with a message that names the
/// file, where the annotations cannot say it (unequal shares).
llvm::Expected<::onnx::ModelProto> annotate(const ModelFile &file, mlir::ModuleOp sharded);

/// Writes a model to `path`, under a temporary name first. Files beside the model in which tensors
/// lie must be beside `path`, too.
llvm::Error writeModel(const ModelFile &file, const ::onnx::ModelProto &model,
                       llvm::StringRef path);

} // namespace cleave::onnx
