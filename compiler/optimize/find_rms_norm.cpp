// cleave-find-rms-norm: x / sqrt(mean(x^2) + epsilon) times a weight becomes one op.
#include "compiler/optimize/find_norms.h"
#include "compiler/passes.h"

namespace cleave {
#define GEN_PASS_DEF_FINDRMSNORMPASS
#include "compiler/Passes.h.inc"
} // namespace cleave

using namespace mlir;
using namespace cleave;

namespace {

struct FindRmsNorm : OpRewritePattern<MulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MulOp mul, PatternRewriter &rewriter) const override {
    for (auto [normed, weight] :
         {std::pair(mul.getX(), mul.getY()), std::pair(mul.getY(), mul.getX())}) {
      Operation *op = normed.getDefiningOp();
      auto type = cast<RankedTensorType>(weight.getType());
      if (!op || !op->hasOneUse() || !weight.getDefiningOp<UseOp>() || type.getRank() != 1 ||
          !type.getElementType().isF32() || normed.getType() != mul.getType() ||
          type.getDimSize(0) != cast<RankedTensorType>(mul.getType()).getShape().back())
        continue;
      std::optional<Normalized> found = getNormalized(op);
      if (!found || found->dims != 1 || found->squared != found->x)
        continue;
      SmallVector<Operation *> ops(found->ops.begin(), found->ops.end());
      ops.push_back(mul);
      if (!canJoin(ops))
        continue;
      replaceSpelling<RmsNormOp>(rewriter, mul, mul.getType(), found->x, weight,
                                 rewriter.getF32FloatAttr(static_cast<float>(found->epsilon)),
                                 UnitAttr());
      return success();
    }
    return failure();
  }
};

struct FindRmsNormPass : public cleave::impl::FindRmsNormPassBase<FindRmsNormPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FindRmsNorm>(&getContext());
    applySpellings(getOperation(), std::move(patterns));
  }
};

} // namespace
