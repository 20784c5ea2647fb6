// Which values of a rank can be compared with a value of the whole model: they have its
// name, and what part of it they hold follows from the slices of weights.
#pragma once

#include "dialect/dialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/MapVector.h"

#include <map>

namespace cleave {

/// A value of the unpartitioned program, by its op's name in the model.
using NamedValues = llvm::MapVector<llvm::StringRef, mlir::Value>;

/// The named f32 results of the entry's ops, in program order. A name that stands for two
/// of them is left out.
NamedValues findNamedValues(mlir::func::FuncOp entry);

/// A rank's value that holds `begin` and what follows, as far as it is wide, of the last
/// dimension of the model's value `name`, and, where its type says so, a share of the first.
struct ComparableValue {
  mlir::Value value;
  llvm::StringRef name;
  int64_t begin;
};

/// Finds the comparable values of the ranks of one program, one after the other, in the
/// order of their numbers: what is received is known from who sent it. One summand of a
/// sum over ranks is not comparable as long as only linear ops have used it; what another
/// op makes of it is, so that a sum that is missing shows where it is missed.
class ValueTracer {
public:
  /// `whole` is the module of the unpartitioned program's only rank, with this entry.
  ValueTracer(mlir::ModuleOp whole, mlir::func::FuncOp entry)
      : whole(whole), names(findNamedValues(entry)) {}

  llvm::SmallVector<ComparableValue> trace(mlir::ModuleOp rank, mlir::func::FuncOp entry);

  const NamedValues &getNamedValues() const { return names; }

private:
  /// What part of a model's value a rank's value is; unknown where `isKnown` is false.
  struct Part {
    bool isKnown = false;
    bool isSummand = false;
    int64_t begin = 0; ///< of the last dimension
  };

  Part find(mlir::Operation *op);
  Part findUse(UseOp use);
  Part findLinear(LinearOp linear);
  Part findGather(GatherOp gather);
  Part findTake(TakeOp take);
  Part findMoe(MoeOp moe);
  Part findBroadcast(BroadcastOpInterface op);
  bool isComparable(mlir::Value value, Part part, mlir::Value reference);

  mlir::ModuleOp whole;
  NamedValues names;
  int64_t rankNumber = 0;
  llvm::DenseMap<mlir::Value, Part> parts;
  std::map<std::tuple<int64_t, int64_t, int64_t>, Part> sent; ///< by sender, receiver and tag
};

} // namespace cleave
