// cleave-join-linears: products of one value with several weights become one op. Weights
// stay as they are: joined is their execution, not their storage.
#include "compiler/passes.h"
#include "dialect/dialect.h"

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
  OpBuilder builder(first);
  SmallVector<Value> weights;
  SmallVector<Type> types;
  SmallVector<Location> places;
  SmallVector<StringRef> names;
  for (LinearOp linear : linears) {
    // A weight is in reach everywhere; its `use` may stand further down.
    Operation *use = linear.getWeight().getDefiningOp();
    if (use->getBlock() == first->getBlock() && first->isBeforeInBlock(use))
      use->moveBefore(first);
    weights.push_back(linear.getWeight());
    types.push_back(linear.getType());
    places.push_back(linear.getLoc());
    auto name = linear->getAttrOfType<StringAttr>(CleaveDialect::nameAttrName);
    names.push_back(name ? name.getValue() : "");
  }
  bool isNamed = llvm::any_of(names, [](StringRef name) { return !name.empty(); });
  auto joined = builder.create<JoinedLinearOp>(
      builder.getFusedLoc(places), types, first.getX(), weights, first.getPadBefore(),
      isNamed ? builder.getStrArrayAttr(names) : ArrayAttr());
  for (auto [linear, product] : llvm::zip_equal(linears, joined.getProducts())) {
    LinearOp op = linear;
    op.getResult().replaceAllUsesWith(product);
    op.erase();
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
