// The cleave dialect in C++: what TableGen makes of the .td files beside this header.
#pragma once

#include "dialect/sharding_rule.h"
#include "runtime/program/element_type.h"
#include "runtime/program/elementwise.h"
#include "runtime/program/size_expression.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/IR/TensorEncoding.h"
#include "mlir/IR/TypeUtilities.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include <array>

namespace cleave {

/// What state_update reads and writes: states only, so that communication and
/// states do not order each other.
struct StateResource : public mlir::SideEffects::Resource::Base<StateResource> {
  llvm::StringRef getName() final { return "state"; }
};

/// See Cleave_IsDecision in Interfaces.td.
template <typename OpT> class IsDecision : public mlir::OpTrait::TraitBase<OpT, IsDecision> {};

/// Names an op's result after the op's name in the model, or the weight it uses.
void setResultName(mlir::Operation *op, mlir::OpAsmSetValueNameFn setName);

} // namespace cleave

#include "dialect/Enums.h.inc"

#include "dialect/Interfaces.h.inc"

#include "dialect/Dialect.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialect/Types.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialect/Attributes.h.inc"

#define GET_OP_CLASSES
#include "dialect/Ops.h.inc"

namespace cleave {

/// The most bytes that a weight may have in the module itself (`from dense<...>`).
inline constexpr int64_t maxDenseBytes = 64 << 10;

/// The row of the table for a type of elements, block types included, or null for a
/// type that is not in the table.
const ElementTypeInfo *getElementTypeInfo(mlir::Type type);

/// The type of elements for a row of the table.
mlir::Type getElementMlirType(mlir::MLIRContext *context, const ElementTypeInfo &info);

/// The bytes of a static tensor; its type is known to be valid.
int64_t getTensorBytes(mlir::RankedTensorType type);

/// Whether `type` can be that of a value in a program: a ranked tensor of a type in the
/// table, its run-time sizes named and its constant ones within maxTensorBytes. If not, an
/// error at `op`.
mlir::LogicalResult verifyValueType(mlir::Operation *op, mlir::Type type);
/// The name of run-time dimension `dim`, null where the dimension is static.
mlir::StringAttr getDimName(mlir::RankedTensorType type, unsigned dim);

/// Share number `index` of `count` even shares of a run-time size n, of which the first
/// n mod count have one element more. Written `base[index of count]`.
struct DimShare {
  mlir::StringAttr base;
  int64_t index;
  int64_t count;
  bool operator==(const DimShare &) const = default;
};

/// The share that a run-time size's name says, or nothing where it is a size of its own.
std::optional<DimShare> getDimShare(mlir::StringAttr name);

/// The name of a share; the base's own where there is one share only.
mlir::StringAttr getDimShareName(mlir::StringAttr base, int64_t index, int64_t count);

/// What the name of a run-time size that is no share says, as an expression of symbols.
SizeExpression getSize(mlir::StringAttr name);

/// The size of dimension `dim`, constant or not; nothing where it is a share.
MaybeSize getDimSize(mlir::RankedTensorType type, unsigned dim);

/// Whether a run-time size of `type` is a share, as only types of the rank form have it.
bool hasDimShare(mlir::RankedTensorType type);

/// A tensor type in which `names[d]` names dimension d wherever it is run-time.
mlir::RankedTensorType getTensorType(llvm::ArrayRef<int64_t> shape, mlir::Type elementType,
                                     llvm::ArrayRef<mlir::StringAttr> names);

/// A tensor type of these sizes, which may depend on symbols.
mlir::RankedTensorType getTensorType(llvm::ArrayRef<SizeExpression> shape, mlir::Type elementType);

/// `type` with other sizes; names of dimensions that stay run-time are kept.
mlir::RankedTensorType withShape(mlir::RankedTensorType type, llvm::ArrayRef<int64_t> shape);

/// `type` with the name of run-time dimension `dim` changed.
mlir::RankedTensorType withDimName(mlir::RankedTensorType type, unsigned dim,
                                   mlir::StringAttr name);

/// The op's name in the model, or its operation name where it has none.
llvm::StringRef getModelName(mlir::Operation *op);

/// Whether the op is one of the rank form's that exchange values between ranks.
bool communicates(mlir::Operation *op);

/// How the parts are combined that ranks have of a result over a reduced factor.
inline ReductionKind getReduction(FactorKind kind) {
  return kind == FactorKind::top ? ReductionKind::Top : ReductionKind::Sum;
}

/// What messages call a value whose parts are combined so: "a partial sum".
llvm::StringRef describePartial(ReductionKind kind);

/// A copy of a module in which the ops that fused ops stand for take their place. Maps the
/// module's values to the copy's.
mlir::OwningOpRef<mlir::ModuleOp> cloneExpanded(mlir::ModuleOp module, mlir::IRMapping &values);

/// A name for a fused op, after those of all ops that it stands for.
std::string getJoinedName(FusedOpInterface op);

/// The product of x with a weight is one that a kernel computes (see LinearOp); if not, an
/// error at `op`.
mlir::LogicalResult verifyLinear(mlir::Operation *op, mlir::Value x, mlir::Value weight,
                                 mlir::Value result, int64_t padBefore);

/// The norm of x by `weight` is one that a kernel computes (see RmsNormOp); if not, an error
/// at `op`.
mlir::LogicalResult verifyRmsNorm(mlir::Operation *op, mlir::Value x, mlir::Value weight);

/// Which dimensions of x become which of the result, as the groups of a `cleave.reshape`, as
/// small as can be so that much can be cut. Nothing where the elements are not as many, or not
/// known to be.
std::optional<llvm::SmallVector<int64_t>> findReshapeGroups(mlir::RankedTensorType x,
                                                            mlir::RankedTensorType result);

/// The parameters of a function of one element are ones that it takes; if not, an error.
mlir::LogicalResult verifyUnary(UnaryOpInterface op);

/// Each dimension of the operand is a factor.
ShardingRule getUnaryRule(UnaryOpInterface op);

/// The type of a result of `elementType` over the operands' shapes, as NumPy matches them; an
/// error at `location`, which names the op, where they do not match.
mlir::LogicalResult inferBroadcast(llvm::StringRef opName, std::optional<mlir::Location> location,
                                   mlir::ValueRange operands, mlir::Type elementType,
                                   llvm::SmallVectorImpl<mlir::Type> &types);

/// Checks what a type's inference does not; see Cleave_BroadcastOp.
mlir::LogicalResult verifyBroadcast(BroadcastOpInterface op);

/// Each dimension of the result is a factor, and one of size 1 that is repeated along it a
/// whole factor of its own.
ShardingRule getBroadcastRule(BroadcastOpInterface op);

/// What `repeats` is on a rank with these ranges.
llvm::SmallVector<int64_t> findRepeats(BroadcastOpInterface op, const LocalRanges &ranges);

/// A group lists distinct ranks that a program can name; if not, an error at `op`.
mlir::LogicalResult verifyGroup(mlir::Operation *op, llvm::ArrayRef<int64_t> group);

/// The pipeline stage of an op; 0 where none is given.
int64_t getStage(mlir::Operation *op);

/// The sharding that a value carries in the sharded form, or null.
ShardingAttr getSharding(mlir::Value value);

/// Ranges `[a:b, c:d]` as pairs.
llvm::SmallVector<ElementRange> getRanges(llvm::ArrayRef<int64_t> flat);

/// Prints and parses `[a:b, c:d]`.
void printRanges(mlir::AsmPrinter &printer, llvm::ArrayRef<int64_t> flat);
mlir::ParseResult parseRanges(mlir::AsmParser &parser, llvm::SmallVectorImpl<int64_t> &flat);

} // namespace cleave
