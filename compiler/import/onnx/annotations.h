// The device annotations that ONNX (IR 11) lets a model carry: in which pipeline stage a node is
// and how its tensors are sharded. They become the module's mesh, splits of weights, shardings of
// inputs and of what nodes make, and stages of ops.
#pragma once

#include "compiler/import/onnx/model_file.h"
#include "compiler/import/onnx/operand.h"
#include "compiler/optimize/separate_segments.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/STLFunctionalExtras.h"

#include <map>
#include <optional>
#include <string>

namespace cleave::onnx {

/// What the annotations of one configuration say, checked as far as the file alone tells.
class Annotations {
public:
  /// Reads those of the configuration `name`, or where that is empty of the only one; a model
  /// without has none, and nothing then. Errors name the file and the node.
  static llvm::Expected<std::optional<Annotations>> read(const ModelFile &file,
                                                         llvm::StringRef name);

  /// The stage of a node of the main graph, where one is given.
  std::optional<int64_t> stageOf(const ::onnx::NodeProto &node) const;

  /// Whether two tensors of the main graph, which are one value, are to lie otherwise.
  bool differ(llvm::StringRef tensor, llvm::StringRef other) const;

  /// Gives what a tensor of the main graph stands for, or null.
  using FindOperand = llvm::function_ref<const Operand *(llvm::StringRef)>;
  /// Writes the mesh, and how inputs and the results of ops are to lie, into an imported module.
  llvm::Error applyToValues(mlir::ModuleOp module, mlir::func::FuncOp function, FindOperand find);
  /// Writes the splits of weights, once fused ones are taken apart, `gone` with them.
  llvm::Error applyToWeights(mlir::ModuleOp module, FindOperand find,
                             llvm::ArrayRef<TakenApart> gone);

  /// What cannot be followed to the letter.
  llvm::ArrayRef<std::string> getWarnings() const { return warnings; }

private:
  /// A dimension cut into `shards`: device d of a stage has number (d / stride) % shards. Where it
  /// is `segments` dimensions in one, as queries, keys and values are, each of them is cut.
  struct ShardedDim {
    int64_t axis;
    int64_t shards;
    int64_t stride;
    int64_t segments = 1;
    bool operator==(const ShardedDim &) const = default;
  };
  /// How a tensor lies over the devices of a stage, and the node that says so.
  struct Spec {
    llvm::SmallVector<ShardedDim, 2> dims;
    std::string node;
  };

  explicit Annotations(const ModelFile &file) : file(&file) {}
  llvm::Error readStages(const std::string &configuration);
  llvm::Error readSpecs(const std::string &configuration);
  llvm::Expected<Spec> readSpec(const ::onnx::NodeProto &node,
                                const ::onnx::NodeDeviceConfigurationProto &given,
                                const ::onnx::ShardingSpecProto &sharding) const;
  llvm::Error layOutMesh();
  llvm::Error checkFits(llvm::StringRef tensor, const Spec &spec,
                        mlir::RankedTensorType type) const;
  llvm::SmallVector<mlir::StringAttr> axesOf(mlir::MLIRContext *context,
                                             const ShardedDim &dim) const;
  ShardingAttr getSharding(const Spec &spec, mlir::RankedTensorType type) const;
  llvm::Error applyToInput(llvm::StringRef tensor, const Spec &spec, mlir::func::FuncOp function,
                           mlir::BlockArgument argument) const;
  llvm::Error applyToWeight(llvm::StringRef tensor, const Spec &spec, mlir::RankedTensorType type,
                            WeightOp weight) const;
  llvm::Error checkSegments(llvm::StringRef tensor, const Spec &spec, mlir::RankedTensorType type,
                            const TakenApart *apart);
  void warnOfInnerNodes(const std::string &configuration);
  void warn(llvm::StringRef tensor, const Spec &spec, const llvm::Twine &message);
  void warnOfParts(llvm::StringRef tensor, const Spec &spec, int64_t dim, size_t parts);

  const ModelFile *file;
  int64_t stages = 1;
  int64_t devices = 1; ///< of a stage
  llvm::DenseMap<const ::onnx::NodeProto *, int64_t> nodeStages;
  std::map<std::string, Spec, std::less<>> specs; ///< by tensor
  /// The ops whose results they are, as imported: some may be gone.
  std::map<std::string, const mlir::Operation *, std::less<>> makers;
  /// The mesh's axes, the last varying fastest.
  llvm::SmallVector<std::string> axisNames;
  llvm::SmallVector<int64_t> axisSizes;
  llvm::SmallVector<std::string> warnings;
};

} // namespace cleave::onnx
