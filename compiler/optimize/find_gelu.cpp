// cleave-find-gelu: x / 2 * (1 + erf(x / sqrt(2))) and its approximation by tanh become one op
// (Hendrycks and Gimpel, 2016), in whichever order the factors stand.
#include "compiler/optimize/spelling.h"
#include "compiler/passes.h"

#include <cmath>

namespace cleave {
#define GEN_PASS_DEF_FINDGELUPASS
#include "compiler/Passes.h.inc"
} // namespace cleave

using namespace mlir;
using namespace cleave;

namespace {

/// Whether the product is number * x^power.
bool isPower(const Product &product, double number, Value x, size_t power) {
  return isAbout(product.number, number) && product.factors.size() == power &&
         llvm::all_of(product.factors, [&](Value factor) { return factor == x; });
}

/// Whether `value` is x + 0.044715 x^3.
bool isCubic(Value value, Value x) {
  auto add = value.getDefiningOp<AddOp>();
  return add && ((add.getX() == x && isPower(getProduct(add.getY()), 0.044715, x, 3)) ||
                 (add.getY() == x && isPower(getProduct(add.getX()), 0.044715, x, 3)));
}

/// Whether `value` is sqrt(2 / pi) (x + 0.044715 x^3), or that with x before the bracket.
bool isTanhArgument(Value value, Value x) {
  Product product = getProduct(value);
  if (!isAbout(product.number, std::sqrt(2 / M_PI)))
    return false;
  if (product.factors.size() == 1)
    return isCubic(product.factors.front(), x);
  if (product.factors.size() != 2 || !llvm::is_contained(product.factors, x))
    return false;
  Value bracket = product.factors.front() == x ? product.factors.back() : product.factors.front();
  std::optional<SumWithNumber> sum = getSumWithNumber(bracket);
  return sum && sum->number == 1 && isPower(getProduct(sum->x), 0.044715, x, 2);
}

struct FindGelu : OpRewritePattern<MulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MulOp mul, PatternRewriter &rewriter) const override {
    Product product = getProduct(mul.getResult());
    if (!isAbout(product.number, 0.5) || product.factors.size() != 2)
      return failure();
    for (auto [x, bracket] : {std::pair(product.factors[0], product.factors[1]),
                              std::pair(product.factors[1], product.factors[0])}) {
      std::optional<SumWithNumber> sum = getSumWithNumber(bracket);
      if (!sum || sum->number != 1 || x.getType() != mul.getType() || !sum->x.getDefiningOp())
        continue;
      SmallVector<Operation *> ops = {mul, bracket.getDefiningOp(), sum->x.getDefiningOp()};
      ops.append(product.ops.begin(), product.ops.end());
      if (!canJoin(ops))
        continue;
      if (auto erf = sum->x.getDefiningOp<ErfOp>();
          erf && isPower(getProduct(erf.getX()), std::sqrt(0.5), x, 1)) {
        replaceSpelling<GeluOp>(rewriter, mul, mul.getType(), x);
        return success();
      }
      if (auto tanh = sum->x.getDefiningOp<TanhOp>(); tanh && isTanhArgument(tanh.getX(), x)) {
        replaceSpelling<GeluTanhOp>(rewriter, mul, mul.getType(), x);
        return success();
      }
    }
    return failure();
  }
};

struct FindGeluPass : public cleave::impl::FindGeluPassBase<FindGeluPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FindGelu>(&getContext());
    applySpellings(getOperation(), std::move(patterns));
  }
};

} // namespace
