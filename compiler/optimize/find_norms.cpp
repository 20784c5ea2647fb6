// Divisions by the root of a mean of squares.
#include "compiler/optimize/find_norms.h"

using namespace mlir;
using namespace cleave;

/// How many last dimensions a mean is over that keeps them; 0 where it is none.
static int64_t getMeanDims(ReduceOp reduce) {
  int64_t rank = cast<RankedTensorType>(reduce.getX().getType()).getRank();
  ArrayRef<int64_t> dims = reduce.getDims();
  if (reduce.getKind() != ReduceKind::Mean || reduce.getCount() || !reduce.keepsDims())
    return 0;
  auto count = static_cast<int64_t>(dims.size());
  return dims.front() == rank - count && dims.back() == rank - 1 ? count : 0;
}

bool cleave::isMean(Value value, Value x, int64_t dims) {
  auto reduce = value.getDefiningOp<ReduceOp>();
  return reduce && reduce.getX() == x && getMeanDims(reduce) == dims;
}

/// `root` is the root of a mean of squares, or, where `isInverse`, one over it.
static std::optional<Normalized> getDivided(Value x, Value root, bool isInverse) {
  Normalized found;
  found.x = x;
  if (isInverse) {
    auto reciprocal = root.getDefiningOp<ReciprocalOp>();
    auto div = root.getDefiningOp<DivOp>();
    if (div && getNumber(div.getX()) == 1.0)
      root = div.getY();
    else if (reciprocal)
      root = reciprocal.getX();
    else
      return std::nullopt;
    found.ops.push_back(reciprocal ? reciprocal.getOperation() : div.getOperation());
  }
  auto sqrt = root.getDefiningOp<SqrtOp>();
  std::optional<SumWithNumber> sum = sqrt ? getSumWithNumber(sqrt.getX()) : std::nullopt;
  auto mean = sum ? sum->x.getDefiningOp<ReduceOp>() : ReduceOp();
  if (!mean || !(sum->number >= 0))
    return std::nullopt;
  found.epsilon = sum->number;
  found.dims = getMeanDims(mean);
  Product square = getProduct(mean.getX());
  if (found.dims == 0 || square.number != 1 || square.factors.size() != 2 ||
      square.factors[0] != square.factors[1])
    return std::nullopt;
  found.squared = square.factors[0];
  found.ops.append({sqrt, sqrt.getX().getDefiningOp(), mean});
  found.ops.append(square.ops.begin(), square.ops.end());
  return found;
}

std::optional<Normalized> cleave::getNormalized(Operation *op) {
  std::optional<Normalized> found;
  if (auto div = dyn_cast<DivOp>(op))
    found = getDivided(div.getX(), div.getY(), false);
  if (auto mul = dyn_cast<MulOp>(op)) {
    found = getDivided(mul.getX(), mul.getY(), true);
    if (!found)
      found = getDivided(mul.getY(), mul.getX(), true);
  }
  if (!found || found->x.getType() != op->getResult(0).getType())
    return std::nullopt;
  found->ops.push_back(op);
  return found;
}
