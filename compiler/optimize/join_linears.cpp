// cleave-join-linears: products of one value with several weights become one op. Weights
// stay as they are: joined is their execution, not their storage.
#include "compiler/optimize/fusing.h"
#include "compiler/passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/MapVector.h"

namespace cleave {
#define GEN_PASS_DEF_JOINLINEARSPASS
#include "compiler/Passes.h.inc"
} // namespace cleave

using namespace mlir;
using namespace cleave;

namespace {
/// What products must agree in to be joined: x, and the weight's columns with the place
/// of x in them, so that x is prepared once for all.
using Key = std::tuple<Value, int64_t, int64_t>;
} // namespace

static Key keyOf(LinearOp linear) {
  int64_t columns = cast<RankedTensorType>(linear.getWeight().getType()).getDimSize(1);
  return {linear.getX(), columns, linear.getPadBefore()};
}

/// Puts one op in the place of the first.
static void join(ArrayRef<LinearOp> linears) {
  LinearOp first = linears.front();
  SmallVector<Operation *> ops(linears.begin(), linears.end());
  SmallVector<Value> weights;
  SmallVector<Type> types;
  for (LinearOp linear : linears) {
    bringBefore(linear.getWeight(), first);
    weights.push_back(linear.getWeight());
    types.push_back(linear.getType());
  }
  OpBuilder builder(first);
  auto joined = builder.create<JoinedLinearOp>(getFusedLoc(ops), types, first.getX(), weights,
                                               first.getPadBefore(), getNames(ops));
  for (auto [op, product] : llvm::zip_equal(ops, joined.getProducts())) {
    op->getResult(0).replaceAllUsesWith(product);
    op->erase();
  }
}

/// Joins what stands between two ops that communicate: a product is not computed before a
/// message that was to go first.
static void joinIn(Block &block) {
  llvm::MapVector<Key, SmallVector<LinearOp>> groups;
  auto joinAll = [&] {
    for (auto &[key, linears] : groups)
      for (ArrayRef<LinearOp> rest = linears; rest.size() > 1;) {
        size_t count = std::min<size_t>(rest.size(), maxOperands - 1);
        join(rest.take_front(count));
        rest = rest.drop_front(count);
      }
    groups.clear();
  };
  for (Operation &op : llvm::make_early_inc_range(block)) {
    auto linear = dyn_cast<LinearOp>(op);
    if (linear && linear.getWeight().getDefiningOp<UseOp>())
      groups[keyOf(linear)].push_back(linear);
    else if (communicates(&op))
      joinAll();
  }
  joinAll();
}

namespace {
struct JoinLinearsPass : public cleave::impl::JoinLinearsPassBase<JoinLinearsPass> {
  void runOnOperation() override {
    for (ModuleOp rank : getOperation().getOps<ModuleOp>())
      for (auto function : rank.getOps<func::FuncOp>())
        for (Block &block : function.getFunctionBody())
          joinIn(block);
  }
};
} // namespace
