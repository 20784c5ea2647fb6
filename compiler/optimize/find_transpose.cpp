// cleave-find-transpose: dimensions merged, others turned, and the merged ones taken apart again
// are one transpose, which leaves them as they are: merged, batch and heads could not be cut.
#include "compiler/optimize/spelling.h"
#include "compiler/passes.h"

namespace cleave {
#define GEN_PASS_DEF_FINDTRANSPOSEPASS
#include "compiler/Passes.h.inc"
} // namespace cleave

using namespace mlir;
using namespace cleave;

/// For each dimension of the result of `merge`, those of its operand that it is made of; nothing
/// where a dimension is taken apart.
static std::optional<SmallVector<SmallVector<int64_t, 2>>> getMerged(ReshapeOp merge) {
  SmallVector<SmallVector<int64_t, 2>> merged;
  int64_t from = 0;
  for (auto [before, after] : cleave::getRanges(merge.getGroups())) {
    if (after != 1)
      return std::nullopt;
    merged.push_back(llvm::to_vector<2>(llvm::seq(from, from + before)));
    from += before;
  }
  return merged;
}

namespace {

struct FindTranspose : OpRewritePattern<ReshapeOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ReshapeOp apart, PatternRewriter &rewriter) const override {
    auto turn = apart.getX().getDefiningOp<TransposeOp>();
    auto merge = turn ? turn.getX().getDefiningOp<ReshapeOp>() : ReshapeOp();
    if (!merge || !canJoin({apart, turn, merge}))
      return failure();
    auto merged = getMerged(merge);
    if (!merged)
      return failure();
    SmallVector<int64_t> order;
    for (int64_t dim : turn.getPermutation())
      llvm::append_range(order, (*merged)[dim]);
    auto x = cast<RankedTensorType>(merge.getX().getType());
    SmallVector<int64_t> shape;
    SmallVector<StringAttr> names;
    for (int64_t dim : order) {
      shape.push_back(x.getDimSize(dim));
      names.push_back(getDimName(x, dim));
    }
    if (getTensorType(shape, x.getElementType(), names) != apart.getType())
      return failure();
    replaceSpelling<TransposeOp>(rewriter, apart, apart.getType(), merge.getX(),
                                 rewriter.getDenseI64ArrayAttr(order));
    return success();
  }
};

struct FindTransposePass : public cleave::impl::FindTransposePassBase<FindTransposePass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FindTranspose>(&getContext());
    applySpellings(getOperation(), std::move(patterns));
  }
};

} // namespace
