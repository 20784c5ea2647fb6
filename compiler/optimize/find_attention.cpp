// cleave-find-attention: matmul, softmax and matmul over heads become one op, with the scale
// and the mask between them. Scores then never lie in memory.
#include "compiler/optimize/spelling.h"
#include "compiler/passes.h"

namespace cleave {
#define GEN_PASS_DEF_FINDATTENTIONPASS
#include "compiler/Passes.h.inc"
} // namespace cleave

using namespace mlir;
using namespace cleave;

namespace {

RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

bool sameDim(Value a, unsigned dimA, Value b, unsigned dimB) {
  return typeOf(a).getDimSize(dimA) == typeOf(b).getDimSize(dimB) &&
         getDimName(typeOf(a), dimA) == getDimName(typeOf(b), dimB);
}

/// What is found of an attention, from its last product backwards.
class Spelling {
public:
  explicit Spelling(MatMulOp last) : last(last), ops{last} {}

  LogicalResult find() {
    Value weights = last.getA();
    v = last.getB();
    if (last.getTransposeA() || last.getTransposeB() || typeOf(v).getRank() != 4 ||
        !weights.hasOneUse())
      return failure();
    stripNanGuard(weights);
    auto softmax = weights.getDefiningOp<SoftmaxOp>();
    if (!softmax || softmax.getDim() != 3 || typeOf(weights).getRank() != 4)
      return failure();
    ops.push_back(softmax);
    Value scores = softmax.getX();
    if (!scores.hasOneUse())
      return failure();
    if (auto add = scores.getDefiningOp<AddOp>()) {
      ops.push_back(add);
      // The scores are the summand that comes from a product.
      bool isFirst = getScores(add.getX()) != nullptr;
      mask = isFirst ? add.getY() : add.getX();
      scores = isFirst ? add.getX() : add.getY();
      if (!scores.hasOneUse())
        return failure();
    }
    MatMulOp product = getScores(scores);
    if (!product || product.getTransposeA() || product.getType() != typeOf(weights))
      return failure();
    Product outer = getProduct(scores);
    ops.append(outer.ops.begin(), outer.ops.end());
    ops.push_back(product);
    scale = outer.number;
    q = strip(product.getA());
    k = strip(product.getB());
    if (!product.getTransposeB()) {
      turned = k.getDefiningOp<TransposeOp>();
      if (!turned || typeOf(k).getRank() != 4)
        return failure();
      // Between the transpose and what it turns there may be a factor, too.
      k = strip(turned.getX());
    }
    return success(fits());
  }

  void rewrite(PatternRewriter &rewriter) {
    if (turned) {
      SmallVector<int64_t> order(turned.getPermutation());
      std::swap(order[2], order[3]);
      if (!llvm::is_sorted(order)) // else k is as it should be
        k = transpose(rewriter, order);
    }
    replaceSpelling<ScaledDotProductAttentionOp>(
        rewriter, last, last.getType(), q, k, v, mask, rewriter.getI64IntegerAttr(1),
        rewriter.getI64IntegerAttr(0), rewriter.getF32FloatAttr(static_cast<float>(scale)),
        rewriter.getF32FloatAttr(0), UnitAttr(), UnitAttr());
  }

private:
  Value transpose(PatternRewriter &rewriter, ArrayRef<int64_t> order) {
    SmallVector<int64_t> shape;
    SmallVector<StringAttr> names;
    for (int64_t dim : order) {
      shape.push_back(typeOf(k).getDimSize(dim));
      names.push_back(getDimName(typeOf(k), dim));
    }
    RankedTensorType type = getTensorType(shape, typeOf(k).getElementType(), names);
    auto keys = rewriter.create<TransposeOp>(turned.getLoc(), type, k,
                                             rewriter.getDenseI64ArrayAttr(order));
    keys->setDiscardableAttrs(turned->getDiscardableAttrDictionary());
    return keys;
  }

  /// The product behind numbers that scale it, or null.
  static MatMulOp getScores(Value value) {
    Product product = getProduct(value);
    return product.factors.size() == 1 ? product.factors.front().getDefiningOp<MatMulOp>()
                                       : MatMulOp();
  }

  /// where(is_nan(w), 0, w): of a query that sees nothing, which gets zeros anyway.
  void stripNanGuard(Value &weights) {
    auto guard = weights.getDefiningOp<WhereOp>();
    auto test = guard ? guard.getCondition().getDefiningOp<IsNanOp>() : IsNanOp();
    if (!test || test.getX() != guard.getY() || getNumber(guard.getX()) != 0.0)
      return;
    ops.append({guard, test});
    weights = guard.getY();
  }

  /// `value` without a factor, which goes into the scale.
  Value strip(Value value) {
    Product product = getProduct(value);
    if (product.ops.empty() || product.factors.size() != 1 ||
        product.factors.front().getType() != value.getType())
      return value;
    scale *= product.number;
    ops.append(product.ops.begin(), product.ops.end());
    return product.factors.front();
  }

  /// Whether the op takes these shapes.
  bool fits() {
    if (turned)
      ops.push_back(turned);
    if (typeOf(q).getRank() != 4 || typeOf(k).getRank() != 4 || !canJoin(ops))
      return false;
    // k's dims as they are when it is turned back.
    auto keyDim = [&](unsigned dim) -> unsigned {
      if (!turned)
        return dim;
      return turned.getPermutation()[dim < 2 ? dim : 5 - dim];
    };
    for (unsigned dim : {0u, 1u})
      if (!sameDim(q, dim, k, keyDim(dim)) || !sameDim(q, dim, v, dim))
        return false;
    for (Value value : {q, v})
      if (typeOf(value).isDynamicDim(1) || typeOf(value).isDynamicDim(3))
        return false;
    if (!sameDim(q, 3, k, keyDim(3)) || !sameDim(v, 2, k, keyDim(2)) || !std::isfinite(scale))
      return false;
    if (!mask)
      return true;
    int64_t rank = typeOf(mask).getRank();
    if (rank > 4 || !typeOf(mask).getElementType().isF32())
      return false;
    for (int64_t dim = 0; dim < rank; ++dim) {
      unsigned of = 4 - rank + dim;
      if (typeOf(mask).getDimSize(dim) != 1 &&
          !(of == 3 ? sameDim(mask, dim, v, 2) : sameDim(mask, dim, q, of)))
        return false;
    }
    return true;
  }

  MatMulOp last;
  SmallVector<Operation *> ops;
  Value q, k, v, mask;
  TransposeOp turned; ///< the one that makes the scores' second operand of k
  double scale = 1;
};

struct FindAttention : OpRewritePattern<MatMulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MatMulOp last, PatternRewriter &rewriter) const override {
    Spelling spelling(last);
    if (failed(spelling.find()))
      return failure();
    spelling.rewrite(rewriter);
    return success();
  }
};

struct FindAttentionPass : public cleave::impl::FindAttentionPassBase<FindAttentionPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FindAttention>(&getContext());
    applySpellings(getOperation(), std::move(patterns));
  }
};

} // namespace
