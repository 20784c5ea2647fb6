// The bytes of weights: from GGUF, ONNX or NumPy files, the module itself, or made from a seed.
#pragma once

#include "compiler/import/gguf/reader.h"
#include "compiler/import/onnx/model_file.h"
#include "compiler/lower/program_builder.h"
#include "dialect/dialect.h"

#include "mlir/IR/BuiltinOps.h"

#include <cstddef>
#include <functional>
#include <map>
#include <span>

namespace cleave {

/// Opens each source file once and reads slices of it. Files stay open and mapped as
/// long as this lives.
class WeightSources {
public:
  using Sink = std::function<void(std::span<const std::byte>)>;

  /// Gives the weight's bytes to `sink`, row-major, in one or more pieces, without
  /// holding more than a piece in memory. Fails, with an error at the weight, where
  /// there are no bytes (`from none`), or the file lacks the tensor, or has it with
  /// another type or a shape in which the slice does not lie.
  mlir::LogicalResult read(WeightOp weight, const Sink &sink);

private:
  mlir::LogicalResult readGguf(WeightOp weight, const Sink &sink);
  mlir::LogicalResult readNpy(WeightOp weight, const Sink &sink);
  mlir::LogicalResult readOnnx(WeightOp weight, const Sink &sink);

  std::map<std::string, gguf::File> ggufFiles;
  std::map<std::string, onnx::ModelFile> onnxFiles;
};

/// Reads the weights of the rank that `module` is, one after the other. `begin` says where
/// the next one lies; its bytes follow through `append`. Returns every weight's place.
/// Errors are diagnostics.
mlir::FailureOr<llvm::StringMap<WeightPlace>>
placeWeights(mlir::ModuleOp module, WeightSources &sources,
             llvm::function_ref<uint64_t(WeightOp)> begin, const WeightSources::Sink &append);

} // namespace cleave
