// cleave-find-layer-norm: (x - mean) / sqrt(variance + epsilon), and the weight and bias that
// follow, become one op.
#include "compiler/optimize/find_norms.h"
#include "compiler/passes.h"

namespace cleave {
#define GEN_PASS_DEF_FINDLAYERNORMPASS
#include "compiler/Passes.h.inc"
} // namespace cleave

using namespace mlir;
using namespace cleave;

namespace {

/// x where `value` is x minus its mean over the last dimensions, else null.
Value getCentered(Value value, int64_t dims) {
  auto sub = value.getDefiningOp<SubOp>();
  return sub && isMean(sub.getY(), sub.getX(), dims) ? sub.getX() : Value();
}

template <typename OpT> struct FindNorm : OpRewritePattern<OpT> {
  using OpRewritePattern<OpT>::OpRewritePattern;

  LogicalResult matchAndRewrite(OpT op, PatternRewriter &rewriter) const override {
    std::optional<Normalized> found = getNormalized(op);
    // Some exporters subtract the mean twice.
    Value x = found ? getCentered(found->x, found->dims) : Value();
    if (!x || getCentered(found->squared, found->dims) != x || x.getType() != op.getType())
      return failure();
    SmallVector<Operation *> ops(found->ops.begin(), found->ops.end());
    for (Value centered : {found->x, found->squared}) {
      auto sub = centered.getDefiningOp<SubOp>();
      ops.append({sub, sub.getY().getDefiningOp()});
    }
    if (!canJoin(ops))
      return failure();
    replaceSpelling<LayerNormOp>(rewriter, op, op.getType(), x, Value(), Value(),
                                 rewriter.getI64IntegerAttr(found->dims),
                                 rewriter.getF32FloatAttr(static_cast<float>(found->epsilon)));
    return success();
  }
};

/// A weight of the normalized dimensions of `norm`, which `op` alone reads.
bool isVectorOf(Value vector, LayerNormOp norm, Operation *op) {
  if (!norm || !vector.getDefiningOp<UseOp>() || !norm->hasOneUse() || !canJoin({norm, op}))
    return false;
  auto type = cast<RankedTensorType>(vector.getType()), x = norm.getType();
  return type.getElementType().isF32() &&
         type.getShape() == x.getShape().take_back(norm.getDims()) && type.hasStaticShape();
}

template <typename OpT> struct FindVector : OpRewritePattern<OpT> {
  using OpRewritePattern<OpT>::OpRewritePattern;

  LogicalResult matchAndRewrite(OpT op, PatternRewriter &rewriter) const override {
    constexpr bool isWeight = std::is_same_v<OpT, MulOp>;
    for (auto [normed, vector] :
         {std::pair(op.getX(), op.getY()), std::pair(op.getY(), op.getX())}) {
      auto norm = normed.template getDefiningOp<LayerNormOp>();
      if (!isVectorOf(vector, norm, op) || norm.getBias() || (isWeight && norm.getWeight()))
        continue;
      replaceSpelling<LayerNormOp>(
          rewriter, op, op.getType(), norm.getX(), isWeight ? vector : norm.getWeight(),
          isWeight ? Value() : vector, norm.getDimsAttr(), norm.getEpsilonAttr());
      return success();
    }
    return failure();
  }
};

struct FindLayerNormPass : public cleave::impl::FindLayerNormPassBase<FindLayerNormPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FindNorm<DivOp>, FindNorm<MulOp>, FindVector<MulOp>, FindVector<AddOp>>(
        &getContext());
    applySpellings(getOperation(), std::move(patterns));
  }
};

} // namespace
