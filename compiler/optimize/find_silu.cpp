// cleave-find-silu: x * sigmoid(x) becomes one op.
#include "compiler/optimize/spelling.h"
#include "compiler/passes.h"

namespace cleave {
#define GEN_PASS_DEF_FINDSILUPASS
#include "compiler/Passes.h.inc"
} // namespace cleave

using namespace mlir;
using namespace cleave;

namespace {

struct FindSilu : OpRewritePattern<MulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MulOp mul, PatternRewriter &rewriter) const override {
    for (auto [x, y] : {std::pair(mul.getX(), mul.getY()), std::pair(mul.getY(), mul.getX())}) {
      auto sigmoid = y.getDefiningOp<SigmoidOp>();
      if (!sigmoid || sigmoid.getX() != x || !canJoin({mul, sigmoid}))
        continue;
      replaceSpelling<SiluOp>(rewriter, mul, mul.getType(), x);
      return success();
    }
    return failure();
  }
};

struct FindSiluPass : public cleave::impl::FindSiluPassBase<FindSiluPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FindSilu>(&getContext());
    applySpellings(getOperation(), std::move(patterns));
  }
};

} // namespace
