// cleave-fold-constants: what only constants decide is computed now, by the kernels that would
// compute it in each run, so that the results are the same to the last bit.
#include "compiler/lower/rank_memory.h"
#include "compiler/passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringSet.h"

namespace cleave {
#define GEN_PASS_DEF_FOLDCONSTANTSPASS
#include "compiler/Passes.h.inc"
} // namespace cleave

using namespace mlir;
using namespace cleave;

/// Larger weights are not read for this.
static constexpr int64_t maxOperandBytes = 1 << 20;
/// What all folded values of a module may have together.
static constexpr int64_t maxFoldedBytes = 4 << 20;

/// The bytes of a static tensor of plain elements; nothing where it is none, or has too many.
static std::optional<int64_t> getPlainBytes(Value value, int64_t most) {
  auto type = cast<RankedTensorType>(value.getType());
  if (!type.hasStaticShape() || isa<BlockType>(type.getElementType()))
    return std::nullopt;
  int64_t bytes = getElementTypeInfo(type.getElementType())->blockBytes;
  for (int64_t size : type.getShape())
    if (__builtin_mul_overflow(bytes, size, &bytes) || bytes > most)
      return std::nullopt;
  return bytes;
}

namespace {

class Folder {
public:
  explicit Folder(ModuleOp module) : module(module), symbols(module) {}
  void fold(func::FuncOp function);

private:
  bool isConstant(Value value);
  bool canFold(Operation &op);
  bool isWorthIt(Value value);
  FailureOr<rt::NamedArrays> evaluate(ArrayRef<Operation *> ops, ArrayRef<Value> wanted);
  void replace(Value value, ArrayRef<std::byte> bytes);

  ModuleOp module;
  SymbolTable symbols;
  WeightSources sources;
  llvm::SetVector<Operation *> foldable;
  int64_t bytesLeft = maxFoldedBytes;
};

} // namespace

/// Whether a value is a small weight of the file or the module, or can be folded.
bool Folder::isConstant(Value value) {
  Operation *op = value.getDefiningOp();
  auto use = dyn_cast_or_null<UseOp>(op);
  if (!use)
    return op && foldable.contains(op);
  auto weight = symbols.lookup<WeightOp>(use.getWeight());
  SourceKind kind = weight.getSource().getKind();
  return (kind == SourceKind::Onnx || kind == SourceKind::Dense) && !weight.getSplits() &&
         getPlainBytes(value, maxOperandBytes);
}

bool Folder::canFold(Operation &op) {
  if (!isa<ShardingRuleOpInterface>(op) || !isMemoryEffectFree(&op) || isa<UseOp>(op))
    return false;
  // A size that comes with a run.
  if (auto range = dyn_cast<RangeOp>(op); range && range.getStartSizeAttr())
    return false;
  if (auto slice = dyn_cast<SliceOp>(op); slice && slice.getBeginSizeAttr())
    return false;
  for (Value result : op.getResults()) {
    // Outputs are computed: a weight would have to be copied.
    bool isOutput =
        llvm::any_of(result.getUsers(), [](Operation *user) { return isa<func::ReturnOp>(user); });
    if (isOutput || !getPlainBytes(result, maxDenseBytes))
      return false;
  }
  return llvm::all_of(op.getOperands(), [&](Value operand) { return isConstant(operand); });
}

/// Whether anything is computed for the value that takes longer than to read it.
bool Folder::isWorthIt(Value value) {
  SmallVector<Value> pending = {value};
  llvm::DenseSet<Value> seen;
  while (!pending.empty()) {
    Operation *op = pending.pop_back_val().getDefiningOp();
    if (isa<UseOp>(op))
      continue;
    if (!isa<ExpandOp, RangeOp, ReshapeOp>(op))
      return true;
    for (Value operand : op->getOperands())
      if (seen.insert(operand).second)
        pending.push_back(operand);
  }
  return false;
}

/// The ops in a module of one rank, whose outputs are the values that are wanted, by number.
FailureOr<rt::NamedArrays> Folder::evaluate(ArrayRef<Operation *> ops, ArrayRef<Value> wanted) {
  Location location = module.getLoc();
  OwningOpRef<ModuleOp> rank = ModuleOp::create(location);
  OpBuilder builder(rank->getContext());
  rank.get()->setAttr(CleaveDialect::rankAttrName, builder.getI64IntegerAttr(0));
  rank.get()->setAttr(CleaveDialect::stageAttrName, builder.getI64IntegerAttr(0));
  builder.setInsertionPointToEnd(rank->getBody());
  auto function = func::FuncOp::create(location, "fold", builder.getFunctionType({}, {}));
  Block *body = function.addEntryBlock();
  llvm::StringSet<> declared;
  IRMapping copies;
  OpBuilder inner = OpBuilder::atBlockEnd(body);
  for (Operation *op : ops) {
    for (Value operand : op->getOperands())
      if (auto use = operand.getDefiningOp<UseOp>(); use && !copies.contains(operand)) {
        if (declared.insert(use.getWeight()).second)
          cast<WeightOp>(builder.clone(*symbols.lookup(use.getWeight()))).removeShardingAttr();
        inner.clone(*use, copies);
      }
    inner.clone(*op, copies)->removeAttr(CleaveDialect::shardingAttrName);
  }
  SmallVector<Value> results;
  for (Value value : wanted)
    results.push_back(copies.lookup(value));
  inner.create<func::ReturnOp>(location, results);
  function.setType(builder.getFunctionType({}, ValueRange(results).getTypes()));
  for (unsigned i = 0; i < results.size(); ++i) {
    function.setResultAttr(i, CleaveDialect::outputAttrName,
                           builder.getStringAttr(std::to_string(i)));
    function.setResultAttr(i, CleaveDialect::ownerAttrName, builder.getI64IntegerAttr(0));
  }
  builder.insert(function);
  // What fails is left as it is: who reads the weight, or runs the op, will say why.
  ScopedDiagnosticHandler silence(rank->getContext(), [](Diagnostic &) { return success(); });
  FailureOr<rt::RankInMemory> loaded = loadRank(*rank, /*ranks=*/1, sources);
  if (failed(loaded))
    return failure();
  std::vector<rt::RankInMemory> ranks;
  ranks.push_back(std::move(*loaded));
  try {
    return rt::evaluate(std::move(ranks), {}, {.entry = "fold"});
  } catch (const std::exception &) {
    return failure();
  }
}

/// Makes the value a weight of the module, named as the op that computed it.
void Folder::replace(Value value, ArrayRef<std::byte> bytes) {
  auto type = cast<RankedTensorType>(value.getType());
  Operation *op = value.getDefiningOp();
  OpBuilder builder(op->getParentOfType<func::FuncOp>());
  StringRef data(reinterpret_cast<const char *>(bytes.data()), bytes.size());
  StringRef name = getModelName(op);
  if (ShardingAttr sharding = getSharding(value); sharding && !sharding.isReplicated())
    op->emitWarning() << "'" << name << "' is to be " << sharding
                      << ", but is known before the model runs: it lies as its readers need it";
  auto weight = builder.create<WeightOp>(
      op->getLoc(), builder.getStringAttr(name.empty() ? "constant" : name), TypeAttr::get(type),
      SourceAttr::getDense(op->getContext(), data, type.getShape()), DenseI64ArrayAttr(),
      ArrayAttr(), ShardingAttr());
  StringAttr symbol = symbols.insert(weight, Block::iterator(op->getParentOfType<func::FuncOp>()));
  builder.setInsertionPoint(op);
  value.replaceAllUsesWith(
      builder.create<UseOp>(op->getLoc(), type, FlatSymbolRefAttr::get(symbol)).getResult());
}

void Folder::fold(func::FuncOp function) {
  foldable.clear();
  if (function.isExternal())
    return;
  for (Operation &op : function.getFunctionBody().front())
    if (canFold(op))
      foldable.insert(&op);
  // What is needed of them, as far as there is room.
  SmallVector<Value> wanted;
  llvm::DenseSet<Operation *> needed;
  for (Operation *op : foldable)
    for (Value result : op->getResults()) {
      bool isRead = llvm::any_of(result.getUsers(),
                                 [&](Operation *user) { return !foldable.contains(user); });
      if (!isRead || !isWorthIt(result))
        continue;
      int64_t bytes = *getPlainBytes(result, maxDenseBytes);
      if (bytes > bytesLeft)
        continue;
      bytesLeft -= bytes;
      wanted.push_back(result);
      SmallVector<Operation *> pending = {op};
      while (!pending.empty()) {
        Operation *next = pending.pop_back_val();
        if (!needed.insert(next).second)
          continue;
        for (Value operand : next->getOperands())
          if (!operand.getDefiningOp<UseOp>())
            pending.push_back(operand.getDefiningOp());
      }
    }
  if (wanted.empty())
    return;
  SmallVector<Operation *> ops;
  for (Operation *op : foldable)
    if (needed.contains(op))
      ops.push_back(op);
  FailureOr<rt::NamedArrays> arrays = evaluate(ops, wanted);
  if (failed(arrays))
    return;
  for (auto [i, value] : llvm::enumerate(wanted))
    replace(value, arrays->at(std::to_string(i)));
  // What nothing reads any more, and the weights that were for that alone.
  for (Operation &op :
       llvm::make_early_inc_range(llvm::reverse(function.getFunctionBody().front())))
    if (op.use_empty() && (needed.contains(&op) || isa<UseOp>(op)))
      op.erase();
}

namespace {

struct FoldConstantsPass : public cleave::impl::FoldConstantsPassBase<FoldConstantsPass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    llvm::DenseSet<StringAttr> before = usedWeights(module);
    Folder folder(module);
    for (auto function : module.getOps<func::FuncOp>())
      folder.fold(function);
    llvm::DenseSet<StringAttr> after = usedWeights(module);
    for (WeightOp weight : llvm::make_early_inc_range(module.getOps<WeightOp>()))
      if (before.contains(weight.getSymNameAttr()) && !after.contains(weight.getSymNameAttr()))
        weight.erase();
  }

  static llvm::DenseSet<StringAttr> usedWeights(ModuleOp module) {
    llvm::DenseSet<StringAttr> used;
    module.walk([&](UseOp use) { used.insert(use.getWeightAttr().getAttr()); });
    return used;
  }
};

} // namespace
