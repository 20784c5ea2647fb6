// What the passes share that find an op in the way that graphs spell it with smaller ones, in
// the logical form: numbers, products, and which ops may become one.
#pragma once

#include "dialect/dialect.h"

#include "mlir/IR/PatternMatch.h"

#include <optional>

namespace cleave {

/// The number that a value of one f32 element is, where the module holds it.
std::optional<double> getNumber(mlir::Value value);

/// A value of one f32 element, 0-dimensional, that the module holds: made before `op`.
mlir::Value makeNumber(mlir::OpBuilder &builder, mlir::Operation *op, float number);

/// Whether two numbers are the same but for how precisely a graph spells them.
bool isAbout(double a, double b);

/// A product taken apart: the numbers' product, and the other factors. A power of a small
/// whole number is as many factors.
struct Product {
  double number = 1;
  llvm::SmallVector<mlir::Value, 4> factors;
  llvm::SmallVector<mlir::Operation *, 8> ops; ///< the multiplications and divisions
};

/// Takes `value` apart, through multiplications whose results nothing else reads; the first
/// one may be read by anything.
Product getProduct(mlir::Value value);

/// A sum of a value and a number, in any order.
struct SumWithNumber {
  mlir::Value x;
  double number;
};
std::optional<SumWithNumber> getSumWithNumber(mlir::Value value);

/// Whether the ops can become one at the place of the last: they are of one block and stage,
/// and no cut lies between them.
bool canJoin(llvm::ArrayRef<mlir::Operation *> ops);

/// Gives an op that is made beside `op` its name in the model and its stage. How `op`'s results
/// are to lie says nothing of it.
void placeLike(mlir::Operation *made, mlir::Operation *op);

/// Replaces `op` by `OpT`, which gets its name in the model, its stage, and how its result, which
/// is the same value, is to lie.
template <typename OpT, typename... Args>
OpT replaceSpelling(mlir::PatternRewriter &rewriter, mlir::Operation *op, Args &&...args) {
  mlir::DictionaryAttr kept = op->getDiscardableAttrDictionary();
  auto made = rewriter.replaceOpWithNewOp<OpT>(op, std::forward<Args>(args)...);
  made->setDiscardableAttrs(kept);
  return made;
}

/// Applies the patterns to all of the module until none fits. What is not read any more is
/// erased; what was not read before stays.
void applySpellings(mlir::ModuleOp module, mlir::RewritePatternSet &&patterns);

} // namespace cleave
