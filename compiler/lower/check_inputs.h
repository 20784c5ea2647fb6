// What a program is checked on: run-time sizes, and inputs that its ops accept.
#pragma once

#include "dialect/dialect.h"
#include "runtime/engine/evaluate.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

namespace cleave {

/// A value for each symbol among the run-time sizes of the entry and of the states in its module:
/// two slots where there are states, a context in which all positions fit, and 6 of all else.
std::map<std::string, int64_t, std::less<>> chooseSizes(mlir::func::FuncOp entry);

/// The size of dimension `dim` at these sizes of the symbols; 0 where it would be negative.
int64_t getDimSize(mlir::RankedTensorType type, unsigned dim,
                   const std::map<std::string, int64_t, std::less<>> &sizes);

/// The elements of a tensor of this type at these sizes, or the largest int64_t if more.
int64_t countElements(mlir::RankedTensorType type,
                      const std::map<std::string, int64_t, std::less<>> &sizes);

/// Inputs for every argument of the entry, always the same: floats uniform in [-1, 1);
/// slots 0, 1, 0, 1, ... and positions 0, 0, 1, 1, ..., so that two sequences are under
/// way; row numbers (tokens of a vocabulary) uniform in what they choose from. Fails, with
/// an error at the entry, for an input of another type or with more than 2^28 elements.
mlir::FailureOr<rt::NamedArrays>
makeInputs(mlir::func::FuncOp entry, const std::map<std::string, int64_t, std::less<>> &sizes);

} // namespace cleave
