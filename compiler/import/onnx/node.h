// A node of a graph as the importer of its op sees it: its operands, attributes, and where its
// results go. Functions that give something else than what was asked for have kept an error:
// what follows gets harmless values, and the node is refused in the end.
#pragma once

#include "compiler/import/onnx/model_file.h"
#include "compiler/import/onnx/operand.h"

#include "mlir/IR/Builders.h"

#include <memory>

namespace cleave::onnx {

class GraphImporter;

class Node {
public:
  Node(GraphImporter &importer, const ::onnx::NodeProto &proto, int64_t version, std::string name);

  llvm::StringRef op() const { return proto.op_type(); }
  /// What plans, cuts and messages call the node: its name, or that of its first output.
  llvm::StringRef name() const { return nodeName; }
  /// The version of the operator set that the node's meaning is from.
  int64_t version() const { return opsetVersion; }
  const ::onnx::NodeProto &message() const { return proto; }
  GraphImporter &graph() { return importer; }
  mlir::OpBuilder &builder();
  mlir::MLIRContext *context();

  /// Keeps the error, "m.onnx: node 'x' (Add): message", if it is the first.
  mlir::LogicalResult fail(const llvm::Twine &message);

  // ---- Operands ----

  unsigned numInputs() const { return inputs.size(); }
  unsigned numOutputs() const { return proto.output_size(); }
  /// Whether optional operand `i` is there.
  bool has(unsigned i) const { return i < inputs.size() && inputs[i]; }
  /// Whether result `i` has a name, so that something may use it.
  bool wants(unsigned i) const;
  /// Operand `i`, which the op must have.
  Operand &operand(unsigned i);
  /// It as a value of a program; a known one becomes a weight.
  mlir::Value value(unsigned i);
  mlir::RankedTensorType type(unsigned i) { return operand(i).type; }
  mlir::Type elementType(unsigned i) { return type(i).getElementType(); }
  Shape shape(unsigned i) { return getShape(type(i)); }
  int64_t rank(unsigned i) { return type(i).getRank(); }

  /// The elements of operand `i`, which is of integers and must be known now: `what` says in
  /// messages what for. They may depend on sizes.
  mlir::FailureOr<SizeArray> sizes(unsigned i, llvm::StringRef what);
  /// As above, independent of sizes.
  mlir::FailureOr<llvm::SmallVector<int64_t>> integers(unsigned i, llvm::StringRef what);
  /// The elements of operand `i`, numbers of any type that must be known now.
  mlir::FailureOr<llvm::SmallVector<double>> numbers(unsigned i, llvm::StringRef what);
  /// `sizes` where they can be had, without a word where not.
  std::optional<SizeArray> findSizes(unsigned i);
  /// As `findSizes`, or of known floats, where all of them are small whole numbers.
  std::optional<SizeArray> findWholeNumbers(unsigned i);

  // ---- Attributes ----

  const ::onnx::AttributeProto *attribute(llvm::StringRef name);
  int64_t integerAttr(llvm::StringRef name, int64_t fallback);
  float numberAttr(llvm::StringRef name, float fallback);
  std::string stringAttr(llvm::StringRef name, llvm::StringRef fallback);
  std::optional<llvm::SmallVector<int64_t>> integersAttr(llvm::StringRef name);
  /// The integers that newer operator sets have as operand `i` and older ones as an attribute:
  /// nothing where the node has neither.
  mlir::FailureOr<std::optional<llvm::SmallVector<int64_t>>> integersOf(unsigned i,
                                                                        llvm::StringRef name);
  /// `axis` counted from the front; an error where it is not in [-rank, rank).
  mlir::FailureOr<int64_t> axis(int64_t axis, int64_t rank);
  /// Distinct axes, in order.
  mlir::FailureOr<llvm::SmallVector<int64_t>> axes(llvm::ArrayRef<int64_t> axes, int64_t rank);

  // ---- Results ----

  void set(unsigned i, mlir::Value value);
  void set(unsigned i, Operand operand);
  void set(unsigned i, SizeArray sizes, mlir::Type elementType);

  /// Makes an op at the node's place. The first has the node's name in the model.
  template <typename OpT, typename... Args> OpT create(Args &&...args) {
    auto op = builder().create<OpT>(location(), std::forward<Args>(args)...);
    nameOp(op);
    return op;
  }

  /// The shape that operands of these shapes have together, as NumPy broadcasts.
  mlir::FailureOr<Shape> broadcast(llvm::ArrayRef<Shape> shapes);
  /// The size, where it is not too large to be written.
  mlir::FailureOr<SizeExpression> size(const MaybeSize &size);
  /// `value` with elements of type `elementType`.
  mlir::Value convert(mlir::Value value, mlir::Type elementType);
  /// A known operand as a value, under the node's own name.
  mlir::Value materialize(Operand &operand);
  /// A known tensor as an operand, with bytes of its own.
  Operand makeConstant(llvm::ArrayRef<int64_t> dims, mlir::Type elementType,
                       std::vector<std::byte> bytes);
  /// A size as a value: i64 [1].
  mlir::Value sizeValue(const SizeExpression &size);
  /// A known scalar, converted to `elementType`, as a value.
  mlir::Value scalar(double number, mlir::Type elementType);

private:
  friend class GraphImporter;
  mlir::Location location();
  mlir::LogicalResult failUnknown(unsigned i, llvm::StringRef what);
  void nameOp(mlir::Operation *op);

  GraphImporter &importer;
  const ::onnx::NodeProto &proto;
  int64_t opsetVersion;
  std::string nodeName;
  llvm::SmallVector<std::shared_ptr<Operand>, 4> inputs; ///< null where absent
  llvm::SmallVector<std::shared_ptr<Operand>, 2> outputs;
  Operand none;
  unsigned opsMade = 0;
};

/// Imports one node: sets its results, or fails with an error kept at the node.
using ImportOp = mlir::LogicalResult (*)(Node &node);

/// The importer of an op of a domain ("" is ONNX's own), or null.
ImportOp findOpImporter(llvm::StringRef domain, llvm::StringRef op);

} // namespace cleave::onnx
