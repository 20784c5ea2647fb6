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
    while (stripMask(scores))
      if (!scores.hasOneUse() || masks.size() > 4)
        return failure();
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
    int64_t ofValues = 1;
    stripRepeat(k, turned ? turned.getPermutation() : ArrayRef<int64_t>{0, 1, 2, 3}, group);
    stripRepeat(v, {0, 1, 2, 3}, ofValues);
    return success(group == ofValues && fits());
  }

  void rewrite(PatternRewriter &rewriter) {
    if (turned) {
      SmallVector<int64_t> order(turned.getPermutation());
      std::swap(order[2], order[3]);
      if (!llvm::is_sorted(order)) // else k is as it should be
        k = transpose(rewriter, order);
    }
    Value mask;
    for (const Mask &each : llvm::reverse(masks))
      mask = join(rewriter, mask, each);
    replaceSpelling<ScaledDotProductAttentionOp>(
        rewriter, last, last.getType(), q, k, v, mask, rewriter.getI64IntegerAttr(group),
        rewriter.getI64IntegerAttr(0), rewriter.getF32FloatAttr(static_cast<float>(scale)),
        rewriter.getF32FloatAttr(0), UnitAttr(), UnitAttr());
  }

private:
  /// What is added to the scores, or chosen in their place.
  struct Mask {
    Value other;
    WhereOp choice; ///< null for a summand
    bool isFirst;   ///< whether the scores come before it
    /// The value that is broadcast to the scores.
    Value shaped() const { return WhereOp(choice) ? WhereOp(choice).getCondition() : other; }
  };

  /// Takes a mask off `scores`: a summand, or a choice between scores and a number that is none.
  bool stripMask(Value &scores) {
    Operation *op = scores.getDefiningOp();
    if (!isa_and_nonnull<AddOp, WhereOp>(op))
      return false;
    // The last two operands, of which one leads to the product.
    Value x = op->getOperands().drop_back().back(), y = op->getOperands().back();
    bool isFirst = leadsToProduct(x);
    Value other = isFirst ? y : x;
    if (!isFirst && !leadsToProduct(y))
      return false;
    auto choice = dyn_cast<WhereOp>(op);
    // As small as exporters write for "not seen", so that no score shows beside it.
    constexpr double unseen = -1e30;
    std::optional<double> number = getNumber(other);
    if (choice && !(number && *number <= unseen))
      return false;
    ops.push_back(op);
    masks.push_back({other, choice, isFirst});
    scores = isFirst ? x : y;
    return true;
  }

  /// Whether a value is the product, scaled and masked.
  static bool leadsToProduct(Value value, unsigned depth = 0) {
    constexpr unsigned most = 4;
    if (getScores(value))
      return true;
    Operation *op = value.getDefiningOp();
    return isa_and_nonnull<AddOp, WhereOp>(op) && depth < most &&
           llvm::any_of(
               op->getOperands().take_back(2),
               [&](Value operand) { return leadsToProduct(operand, depth + 1); });
  }

  /// What `mask`, null where nothing is masked yet, and then `next` do to the scores, as a summand.
  Value join(PatternRewriter &rewriter, Value mask, const Mask &next) {
    if (!mask)
      return next.choice ? makeSummand(rewriter, next) : next.other;
    if (next.choice)
      return makeChoice(rewriter, next, mask);
    auto sum = rewriter.create<AddOp>(last.getLoc(), mask, next.other, DenseI64ArrayAttr());
    placeLike(sum, last);
    return sum;
  }

  /// A choice between `kept`, where the scores are chosen, and the number.
  Value makeChoice(PatternRewriter &rewriter, const Mask &mask, Value kept) {
    WhereOp choice = mask.choice;
    auto made = rewriter.create<WhereOp>(choice.getLoc(), choice.getCondition(),
                                         mask.isFirst ? kept : mask.other,
                                         mask.isFirst ? mask.other : kept, DenseI64ArrayAttr());
    placeLike(made, choice);
    return made;
  }

  /// A choice as a summand: 0 where the scores are chosen, and otherwise the number. One that is
  /// there serves all.
  Value makeSummand(PatternRewriter &rewriter, const Mask &mask) {
    WhereOp choice = mask.choice;
    Value condition = choice.getCondition();
    auto weightOf = [](Value value) { return value.getDefiningOp<UseOp>().getWeightAttr(); };
    for (Operation *user : condition.getUsers()) {
      auto known = dyn_cast<WhereOp>(user);
      if (!known || !known->isBeforeInBlock(last) || !canJoin({known, last}))
        continue;
      Value kept = mask.isFirst ? known.getX() : known.getY(),
            other = mask.isFirst ? known.getY() : known.getX();
      if (getNumber(kept) == 0.0 && getNumber(other) && weightOf(other) == weightOf(mask.other))
        return known;
    }
    // The number's use may stand behind its other readers, but not behind this one.
    return makeChoice(rewriter, mask, makeNumber(rewriter, last, 0));
  }

  /// Where heads of `value` (dimension 1 when it is turned by `order`) are each repeated, in a row,
  /// for the queries of a group: the value before that. Counts the group.
  static void stripRepeat(Value &value, ArrayRef<int64_t> order, int64_t &count) {
    auto merge = value.getDefiningOp<ReshapeOp>();
    auto repeat = merge ? merge.getX().getDefiningOp<ExpandOp>() : ExpandOp();
    auto unsqueeze = repeat ? repeat.getX().getDefiningOp<ReshapeOp>() : ReshapeOp();
    if (!unsqueeze)
      return;
    Value heads = unsqueeze.getX();
    int64_t dim = order[1];
    RankedTensorType from = typeOf(heads), apart = typeOf(unsqueeze), all = typeOf(repeat),
                     to = typeOf(merge);
    if (from.getRank() != 4 || apart.getRank() != 5 || all.getRank() != 5 || to.getRank() != 4 ||
        from.isDynamicDim(dim) || all.isDynamicDim(dim + 1))
      return;
    int64_t group = all.getDimSize(dim + 1);
    for (int64_t at = 0; at < 5; ++at) {
      int64_t of = at > dim ? at - 1 : at; // in four dimensions
      if (at == dim + 1) {
        if (apart.getDimSize(at) != 1)
          return;
        continue;
      }
      if (!sameDim(heads, of, unsqueeze, at) || !sameDim(heads, of, repeat, at) ||
          (of != dim && !sameDim(heads, of, merge, of)))
        return;
    }
    if (group < 1 || to.getDimSize(dim) != from.getDimSize(dim) * group)
      return;
    count = group;
    value = heads;
  }

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
    placeLike(keys, turned);
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
    if (!sameDim(q, 0, k, keyDim(0)) || !sameDim(q, 0, v, 0) || !sameDim(k, keyDim(1), v, 1))
      return false;
    for (Value value : {q, v})
      if (typeOf(value).isDynamicDim(1) || typeOf(value).isDynamicDim(3))
        return false;
    if (!sameDim(q, 3, k, keyDim(3)) || !sameDim(v, 2, k, keyDim(2)) || !std::isfinite(scale))
      return false;
    if (typeOf(q).getDimSize(1) != typeOf(v).getDimSize(1) * group)
      return false;
    return llvm::all_of(masks, [&](const Mask &mask) {
      RankedTensorType type = typeOf(mask.shaped());
      bool isBroadcast = type.getRank() <= 4;
      for (int64_t dim = 0; isBroadcast && dim < type.getRank(); ++dim) {
        unsigned of = 4 - type.getRank() + dim;
        isBroadcast = type.getDimSize(dim) == 1 || (of == 3 ? sameDim(mask.shaped(), dim, v, 2)
                                                            : sameDim(mask.shaped(), dim, q, of));
      }
      return isBroadcast && (WhereOp(mask.choice) || type.getElementType().isF32());
    });
  }

  MatMulOp last;
  SmallVector<Operation *> ops;
  Value q, k, v;
  SmallVector<Mask, 2> masks; ///< the last one first
  int64_t group = 1;
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
