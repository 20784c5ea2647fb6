// The state of the abstract interpretation that verify_partials.cpp begins: what every
// value of every rank is a part of. Its steps are in part_reading.cpp (ops that compute)
// and verify_collectives.cpp.
#pragma once

#include "compiler/partition/decision_sets.h"
#include "compiler/partition/rank_value.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

#include <deque>
#include <map>

namespace cleave {

/// The part of an operand's dim that an op reads, and how far it was rebased onto one of
/// its windows to be so (0: not at all).
struct Reading {
  int64_t size;
  ElementRange range;
  unsigned window;
  int64_t shares = 1; ///< as PartDim has them
};

/// A dim of an operand.
struct DimRef {
  unsigned operand, dim;
};

/// The operands' dims that are made of one list of factors, and what the op reads of all.
struct FactorGroup {
  llvm::ArrayRef<unsigned> factors;
  llvm::SmallVector<DimRef, 2> dims;
  Reading reading{0, {}, 0};
  bool keepsWindows = true; ///< whether the results' dims are still windows
};

/// All readings of a dim, the plain one first.
llvm::SmallVector<Reading, 2> getReadings(const PartDim &dim);

/// A value's dims where a rank has all of it, but for the shares of run-time sizes that
/// its type names.
llvm::SmallVector<PartDim, 3> getTypeDims(mlir::RankedTensorType type);

/// A run-time dim of which a rank has share `index` of `count`.
PartDim getSharedDim(int64_t index, int64_t count);

/// "0:48 of 96", of a run-time size "all" or "share 1 of 4"
std::string describe(ElementRange range, int64_t size, int64_t shares = 1);
inline std::string describe(const PartDim &dim) {
  return describe(dim.range, dim.size, dim.shares);
}
inline std::string describe(const Reading &reading) {
  return describe(reading.range, reading.size, reading.shares);
}

/// An error of `op`, with its name in the model and its rank.
mlir::InFlightDiagnostic rankError(int64_t rank, mlir::Operation *op);

inline mlir::RankedTensorType tensorOf(mlir::Value value) {
  return mlir::cast<mlir::RankedTensorType>(value.getType());
}

inline bool isRuntime(int64_t size) {
  return mlir::ShapedType::isDynamic(size);
}

class PartVerifier {
public:
  explicit PartVerifier(const std::map<int64_t, mlir::ModuleOp> &ranks) : ranks(ranks) {}

  mlir::LogicalResult findWeights();
  mlir::LogicalResult run(const std::map<int64_t, mlir::func::FuncOp> &functions);

private:
  struct Cursor {
    mlir::Block::iterator next, end;
    bool isDone() const { return next == end; }
  };

  mlir::LogicalResult advance(int64_t rank, bool &moved);
  mlir::LogicalResult evaluate(int64_t rank, mlir::Operation *op);
  mlir::LogicalResult evaluateUse(int64_t rank, UseOp use);
  void findSlices(const std::map<int64_t, mlir::func::FuncOp> &functions);
  bool isOfModel(SliceOp slice);
  void evaluateSlice(SliceOp slice);
  void evaluateShare(ShareOp share);
  mlir::LogicalResult evaluateCompute(int64_t rank, ShardingRuleOpInterface op);
  mlir::LogicalResult readFactors(int64_t rank, ShardingRuleOpInterface op,
                                  const ShardingRule &rule,
                                  llvm::SmallVectorImpl<FactorGroup> &groups);
  mlir::LogicalResult checkLeading(int64_t rank, ShardingRuleOpInterface op,
                                   const ShardingRule &rule, llvm::ArrayRef<FactorGroup> groups);
  mlir::LogicalResult checkLocalAttributes(int64_t rank, ShardingRuleOpInterface op);
  mlir::FailureOr<llvm::SmallVector<Summands, 1>> readPartials(int64_t rank, mlir::Operation *op,
                                                               const ShardingRule &rule);
  mlir::LogicalResult checkState(int64_t rank, mlir::Operation *op);
  mlir::LogicalResult evaluateReturn(int64_t rank, mlir::func::ReturnOp op);
  mlir::LogicalResult
  evaluateCollective(llvm::ArrayRef<std::pair<int64_t, mlir::Operation *>> members);
  mlir::LogicalResult
  evaluateReduction(llvm::ArrayRef<std::pair<int64_t, mlir::Operation *>> members);
  mlir::FailureOr<RankValue>
  joinShares(llvm::ArrayRef<std::pair<int64_t, mlir::Operation *>> members, unsigned dim,
             llvm::ArrayRef<ElementRange> ranges, int64_t size);
  mlir::LogicalResult evaluateGather(llvm::ArrayRef<std::pair<int64_t, mlir::Operation *>> members);
  mlir::LogicalResult
  evaluateExchange(llvm::ArrayRef<std::pair<int64_t, mlir::Operation *>> members);

  /// What follows from both; an error at `op` of `rank`, which `does` something with both, where
  /// two ranks made one decision.
  mlir::FailureOr<unsigned> joinDecisions(unsigned a, unsigned b, int64_t rank, mlir::Operation *op,
                                          llvm::StringRef does);
  RankValue rebase(const RankValue &value, unsigned dim, unsigned window);
  unsigned numberOf(ShardingRuleOpInterface op, bool isWhole);
  mlir::InFlightDiagnostic partialError(int64_t rank, mlir::Operation *op, const RankValue &value,
                                        const llvm::Twine &what);

  const std::map<int64_t, mlir::ModuleOp> &ranks;
  LogicalValues values;
  DecisionSets decisionSets;
  /// The ranges of a weight that the ranks hold, together: where each dim begins and ends.
  std::map<std::string, llvm::SmallVector<ElementRange, 2>> weights;
  llvm::DenseMap<mlir::Value, RankValue> known;
  /// Which ranks cut constant ranges under a name in the model, and which make one cut of them.
  llvm::DenseMap<mlir::Attribute, llvm::DenseSet<int64_t>> slicedBy;
  std::map<std::vector<const void *>, llvm::DenseSet<int64_t>> cutBy;
  std::map<int64_t, Cursor> cursors;
  std::map<std::tuple<int64_t, int64_t, int64_t>, std::deque<RankValue>> messages;
  std::map<std::string, std::pair<mlir::Operation *, RankValue>> outputs;
  std::map<std::pair<int64_t, std::string>, std::pair<mlir::Operation *, PartDim>> states;
};

} // namespace cleave
