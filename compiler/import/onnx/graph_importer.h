// Walks a model's graph and imports node by node: scopes of names, functions and constant
// branches of If in place, weights for what is known. What an op means is left to ops/.
#pragma once

#include "compiler/import/onnx/annotations.h"
#include "compiler/import/onnx/block_matrix.h"
#include "compiler/import/onnx/import.h"
#include "compiler/import/onnx/node.h"
#include "compiler/import/onnx/node_names.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

namespace cleave::onnx {

class GraphImporter {
public:
  GraphImporter(ModelFile &file, const ImportOptions &options, mlir::MLIRContext &context);

  llvm::Expected<ImportedModel> import();

  /// Keeps the error if it is the first: "m.onnx: message".
  mlir::LogicalResult fail(const llvm::Twine &message);
  bool hasFailed() const { return error.has_value(); }

  /// A known operand as a value: a weight and its use, made once.
  mlir::Value materialize(Operand &operand, llvm::StringRef name);
  /// The bytes of a constant, row-major in the operand's type.
  mlir::FailureOr<std::vector<std::byte>> bytesOf(const Operand &operand);
  /// The elements of an operand of integers, where it is known and small.
  std::optional<SizeArray> sizesOf(Operand &operand);
  /// A matrix in blocks, checked.
  mlir::FailureOr<BlockMatrix> openBlockMatrix(const BlockMatrixSource &source);
  /// It as a weight of such a type, declared once.
  mlir::Value declareBlocks(const BlockMatrixSource &source, mlir::RankedTensorType type);
  /// The operand that a tensor of the file is.
  mlir::FailureOr<Operand> tensorOperand(const ::onnx::TensorProto &tensor, llvm::StringRef name);

  /// Imports the branch of an If that its condition chooses.
  mlir::LogicalResult importBranch(Node &node, const ::onnx::GraphProto &branch);

private:
  friend class Node;
  using OperandPtr = std::shared_ptr<Operand>;

  /// The names of one graph or function body.
  struct Scope {
    llvm::StringMap<OperandPtr> values;
    /// What the body can see: the graph around it, or nothing in a function.
    Scope *outer = nullptr;
    /// In a function: what its attributes are here.
    llvm::StringMap<const ::onnx::AttributeProto *> attributes;
    bool isFunction = false;
    /// Operator sets by domain.
    llvm::StringMap<int64_t> opsets;
    /// Before the names of nodes.
    std::string prefix;
  };

  mlir::LogicalResult checkOps();
  mlir::LogicalResult readDims();
  mlir::LogicalResult
  readOpsets(const google::protobuf::RepeatedPtrField<::onnx::OperatorSetIdProto> &sets,
             Scope &scope);
  mlir::LogicalResult importGraph();
  mlir::LogicalResult importInitializers(const ::onnx::GraphProto &graph, Scope &scope);
  mlir::LogicalResult importInputs();
  mlir::LogicalResult
  importNodes(const google::protobuf::RepeatedPtrField<::onnx::NodeProto> &nodes, Scope &scope);
  mlir::LogicalResult importNode(const ::onnx::NodeProto &node, Scope &scope,
                                 const llvm::StringSet<> &made);
  mlir::LogicalResult importCall(Node &node, const ::onnx::FunctionProto &function);
  mlir::LogicalResult importOutputs();
  mlir::LogicalResult readAnnotations();
  void keepApart(Node &node);
  mlir::LogicalResult separateAndAnnotate();
  mlir::FailureOr<mlir::RankedTensorType> inputType(const ::onnx::ValueInfoProto &input);
  mlir::FailureOr<Operand> readValue(llvm::StringRef name, const std::string &path);
  mlir::LogicalResult define(Scope &scope, llvm::StringRef name, OperandPtr operand,
                             const llvm::Twine &by);
  OperandPtr find(Scope &scope, llvm::StringRef name);
  const ::onnx::FunctionProto *findFunction(const ::onnx::NodeProto &node);
  mlir::Value materializeSizes(const SizeArray &sizes, mlir::RankedTensorType type,
                               llvm::StringRef name);
  std::string uniqueWeightName(llvm::StringRef name);
  mlir::Value useWeight(llvm::StringRef name, mlir::RankedTensorType type, SourceAttr source,
                        mlir::DenseI64ArrayAttr slice);

  ModelFile &file;
  const ImportOptions &options;
  mlir::MLIRContext &context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  mlir::OpBuilder declarations, ops;
  mlir::func::FuncOp function;
  Scope main;
  Scope *current = nullptr;
  std::map<std::string, SizeExpression, std::less<>> boundDims;
  llvm::StringSet<> knownDims;
  llvm::StringMap<const ::onnx::FunctionProto *> functions;
  llvm::SmallVector<const ::onnx::FunctionProto *> calls;
  /// Weights by where their bytes come from, so that each is declared once.
  llvm::StringMap<WeightOp> weights;
  UniqueNames weightNames, nodeNames;
  std::optional<Annotations> annotations;
  size_t nodesImported = 0;
  std::optional<std::string> error;
  std::vector<std::string> warnings;
};

} // namespace cleave::onnx
