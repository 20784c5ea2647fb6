// Numbers, products and sums as graphs spell them.
#include "compiler/optimize/spelling.h"

#include "mlir/Rewrite/FrozenRewritePatternSet.h"
#include "mlir/Rewrite/PatternApplicator.h"
#include "llvm/Support/Endian.h"

#include <cmath>

using namespace mlir;
using namespace cleave;

std::optional<double> cleave::getNumber(Value value) {
  auto use = value.getDefiningOp<UseOp>();
  auto type = cast<RankedTensorType>(value.getType());
  if (!use || !type.getElementType().isF32() || !type.hasStaticShape() ||
      type.getNumElements() != 1)
    return std::nullopt;
  auto weight = SymbolTable::lookupNearestSymbolFrom<WeightOp>(use, use.getWeightAttr());
  if (!weight || weight.getSource().getKind() != SourceKind::Dense ||
      weight.getSource().getData().size() != sizeof(float))
    return std::nullopt;
  uint32_t bits = llvm::support::endian::read32le(weight.getSource().getData().data());
  return llvm::bit_cast<float>(bits);
}

Value cleave::makeNumber(OpBuilder &builder, Operation *op, float number) {
  MLIRContext *context = op->getContext();
  auto module = op->getParentOfType<ModuleOp>();
  char bytes[sizeof number];
  llvm::support::endian::write32le(bytes, llvm::bit_cast<uint32_t>(number));
  auto source = SourceAttr::getDense(context, {bytes, sizeof bytes}, {});
  auto type = RankedTensorType::get({}, builder.getF32Type());
  WeightOp weight;
  for (unsigned tries = 0; !weight; ++tries) {
    std::string name = "number:" + std::to_string(tries);
    Operation *known = SymbolTable::lookupSymbolIn(module, name);
    if (!known) {
      OpBuilder::InsertionGuard guard(builder);
      builder.setInsertionPointToStart(module.getBody());
      weight = builder.create<WeightOp>(op->getLoc(), StringAttr::get(context, name),
                                        TypeAttr::get(type), source, DenseI64ArrayAttr(),
                                        ArrayAttr(), ShardingAttr());
    } else if (auto same = dyn_cast<WeightOp>(known);
               same && same.getSource() == source && same.getTensorType() == type) {
      weight = same;
    }
  }
  return builder.create<UseOp>(op->getLoc(), type, FlatSymbolRefAttr::get(weight.getSymNameAttr()));
}

bool cleave::isAbout(double a, double b) {
  return std::abs(a - b) <= 1e-5 * std::abs(b);
}

static void addFactors(Value value, bool isFirst, Product &product) {
  Operation *op = value.getDefiningOp();
  if (std::optional<double> number = getNumber(value)) {
    product.number *= *number;
    return;
  }
  // More than a few factors are no spelling of anything.
  if (op && (isFirst || op->hasOneUse()) && product.ops.size() < 8) {
    if (auto mul = dyn_cast<MulOp>(op)) {
      product.ops.push_back(op);
      addFactors(mul.getX(), false, product);
      return addFactors(mul.getY(), false, product);
    }
    if (auto scale = dyn_cast<ScaleOp>(op)) {
      product.ops.push_back(op);
      product.number *= scale.getFactor().convertToDouble();
      return addFactors(scale.getX(), false, product);
    }
    if (auto div = dyn_cast<DivOp>(op))
      if (std::optional<double> number = getNumber(div.getY()); number && *number != 0) {
        product.ops.push_back(op);
        product.number /= *number;
        return addFactors(div.getX(), false, product);
      }
    if (auto power = dyn_cast<PowOp>(op))
      if (std::optional<double> number = getNumber(power.getY()); number == 2.0 || number == 3.0) {
        product.ops.push_back(op);
        product.factors.append(static_cast<size_t>(*number), power.getX());
        return;
      }
  }
  product.factors.push_back(value);
}

Product cleave::getProduct(Value value) {
  Product product;
  addFactors(value, true, product);
  return product;
}

std::optional<SumWithNumber> cleave::getSumWithNumber(Value value) {
  auto add = value.getDefiningOp<AddOp>();
  if (!add)
    return std::nullopt;
  if (std::optional<double> number = getNumber(add.getY()))
    return SumWithNumber{add.getX(), *number};
  if (std::optional<double> number = getNumber(add.getX()))
    return SumWithNumber{add.getY(), *number};
  return std::nullopt;
}

bool cleave::canJoin(ArrayRef<Operation *> ops) {
  Operation *first = ops.front(), *last = ops.front();
  for (Operation *op : ops) {
    if (op->getBlock() != last->getBlock() ||
        op->getAttr(CleaveDialect::stageAttrName) != last->getAttr(CleaveDialect::stageAttrName))
      return false;
    first = op->isBeforeInBlock(first) ? op : first;
    last = last->isBeforeInBlock(op) ? op : last;
  }
  for (Operation *op = first; op != last; op = op->getNextNode())
    if (isa<CutOp>(op))
      return false;
  return true;
}

void cleave::placeLike(Operation *made, Operation *op) {
  made->setDiscardableAttrs(op->getDiscardableAttrDictionary());
  made->removeAttr(CleaveDialect::shardingAttrName);
}

/// All ops that nothing reads and that do nothing.
static llvm::DenseSet<Operation *> findDead(ModuleOp module) {
  llvm::DenseSet<Operation *> dead;
  module.walk([&](Operation *op) {
    if (isOpTriviallyDead(op))
      dead.insert(op);
  });
  return dead;
}

void cleave::applySpellings(ModuleOp module, RewritePatternSet &&patterns) {
  llvm::DenseSet<Operation *> deadBefore = findDead(module);
  FrozenRewritePatternSet frozen(std::move(patterns));
  PatternApplicator applicator(frozen);
  applicator.applyDefaultCostModel();
  PatternRewriter rewriter(module.getContext());
  for (bool changed = true; changed;) {
    changed = false;
    SmallVector<Operation *> ops;
    module.walk([&](Operation *op) { ops.push_back(op); });
    // A pattern erases the op that it is tried on and no other.
    for (Operation *op : ops) {
      rewriter.setInsertionPoint(op);
      changed |= op != module && succeeded(applicator.matchAndRewrite(op, rewriter));
    }
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (Operation *op : findDead(module))
      if (!deadBefore.contains(op)) {
        op->erase();
        changed = true;
      }
  }
}
