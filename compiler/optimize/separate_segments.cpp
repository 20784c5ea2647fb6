// cleave-separate-segments: a product with a fused matrix (queries, keys and values in one, gate
// and up in one) of which only ranges of features are read becomes one product a range, each with
// its slice of the weight. How these are split is left to the plan.
#include "compiler/optimize/separate_segments.h"

#include "compiler/passes.h"
#include "dialect/dialect.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringSet.h"

namespace cleave {
#define GEN_PASS_DEF_SEPARATESEGMENTSPASS
#include "compiler/Passes.h.inc"
} // namespace cleave

using namespace mlir;
using namespace cleave;

namespace {

/// Where a product's features lie in a value that is made of it: element i of dimension `dim`
/// is, with all that is behind it, `inner` features from i * inner on.
struct Features {
  unsigned dim;
  int64_t inner;
};

/// Names that ops and weights of a module have, so that new ones differ.
class Names {
public:
  explicit Names(ModuleOp module) {
    module.walk([&](Operation *op) {
      if (auto name = op->getAttrOfType<StringAttr>(CleaveDialect::nameAttrName))
        used.insert(name.getValue());
    });
  }

  /// `name` and the first of `:2`, `:3`, ... that is free.
  StringAttr makeFurther(StringAttr name) {
    for (unsigned number = 2;; ++number) {
      std::string further = (name.getValue() + ":" + Twine(number)).str();
      if (used.insert(further).second)
        return StringAttr::get(name.getContext(), further);
    }
  }

private:
  llvm::StringSet<> used;
};

/// One product, and what is made of it up to the slices.
class Separation {
public:
  Separation(LinearOp linear, Names &names)
      : linear(linear), names(names), builder(linear.getContext()) {}

  /// Whether its features are read by slices alone, which have none in common.
  bool find();
  void rewrite(SmallVectorImpl<TakenApart> &gone);

private:
  bool follow(Value value);
  std::optional<Features> throughReshape(ReshapeOp reshape, Features of);
  std::optional<Features> throughOp(Operation *op, unsigned operand, Features of);
  Value make(Value value, ElementRange range);
  Value makeProduct(ElementRange range);
  Value takeSegment(UseOp use, unsigned dim, ElementRange range);
  void keepName(Operation *from, Operation *made, ElementRange range);

  LinearOp linear;
  Names &names;
  OpBuilder builder;
  llvm::DenseMap<Value, Features> features;
  /// The ops between it and the slices, and which operand comes from it.
  llvm::MapVector<Operation *, unsigned> links;
  SmallVector<std::pair<SliceOp, ElementRange>> slices;
  SmallVector<ElementRange> ranges;                      ///< all different, in their order
  llvm::DenseMap<std::pair<Value, int64_t>, Value> made; ///< by a range's begin
};

} // namespace

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

static WeightOp getWeight(UseOp use) {
  return SymbolTable::lookupNearestSymbolFrom<WeightOp>(use, use.getWeightAttr());
}

/// A weight made from a seed depends on its own name: a slice of it is another.
static bool canSlice(UseOp use) {
  return use && getWeight(use).getSource().getKind() != SourceKind::Random;
}

/// The dimension becomes several, of which the first has the features' leading part.
std::optional<Features> Separation::throughReshape(ReshapeOp reshape, Features of) {
  unsigned from = 0, to = 0;
  for (auto [before, after] : cleave::getRanges(reshape.getGroups())) {
    if (from == of.dim && before == 1) {
      // Sizes of 1 in front hold nothing.
      RankedTensorType type = reshape.getType();
      Features result{to, of.inner};
      while (result.dim + 1 < to + after && type.getDimSize(result.dim) == 1)
        ++result.dim;
      for (unsigned dim = result.dim + 1; dim < to + after; ++dim)
        result.inner *= type.getDimSize(dim);
      return after > 0 ? std::optional(result) : std::nullopt;
    }
    from += before;
    to += after;
  }
  return std::nullopt;
}

/// Where the features lie in the op's result, if each of them is made of the same feature of
/// operand number `operand`.
std::optional<Features> Separation::throughOp(Operation *op, unsigned operand, Features of) {
  if (auto reshape = dyn_cast<ReshapeOp>(op))
    return throughReshape(reshape, of);
  if (auto transpose = dyn_cast<TransposeOp>(op)) {
    auto *at = llvm::find(transpose.getPermutation(), static_cast<int64_t>(of.dim));
    return Features{static_cast<unsigned>(at - transpose.getPermutation().begin()), of.inner};
  }
  if (isa<UnaryOpInterface, CastOp>(op))
    return of;
  if (!isa<BinaryOpInterface>(op))
    return std::nullopt;
  // The other operand is a weight, with an element for each feature or for all alike.
  Value x = op->getOperand(operand), other = op->getOperand(1 - operand);
  auto use = other.getDefiningOp<UseOp>();
  RankedTensorType type = typeOf(op->getResult(0));
  of.dim += type.getRank() - typeOf(x).getRank();
  int64_t missing = type.getRank() - typeOf(other).getRank(), at = of.dim - missing;
  bool isSliced = at >= 0 && typeOf(other).getDimSize(at) != 1;
  if (!use ||
      type.getDimSize(of.dim) !=
          typeOf(x).getDimSize(of.dim - type.getRank() + typeOf(x).getRank()) ||
      (isSliced && !canSlice(use)))
    return std::nullopt;
  return of;
}

bool Separation::follow(Value value) {
  Features of = features.lookup(value);
  for (OpOperand &use : value.getUses()) {
    Operation *op = use.getOwner();
    if (op->getBlock() != linear->getBlock())
      return false;
    if (auto slice = dyn_cast<SliceOp>(op); slice && slice.getDim() == of.dim) {
      if (!slice.isConstantRange())
        return false;
      int64_t begin = slice.getBegin() * of.inner;
      slices.push_back({slice, {begin, begin + slice.getType().getDimSize(of.dim) * of.inner}});
      continue;
    }
    // Exporters compute little between the two.
    constexpr size_t most = 64;
    std::optional<Features> result = throughOp(op, use.getOperandNumber(), of);
    if (!result || links.size() == most || !links.insert({op, use.getOperandNumber()}).second)
      return false;
    features[op->getResult(0)] = *result;
    if (!follow(op->getResult(0)))
      return false;
  }
  return true;
}

bool Separation::find() {
  auto use = linear.getWeight().getDefiningOp<UseOp>();
  RankedTensorType type = linear.getType();
  auto last = static_cast<unsigned>(type.getRank() - 1);
  features[linear.getResult()] = {last, 1};
  if (!canSlice(use) || !follow(linear.getResult()) || slices.empty())
    return false;
  for (auto &[slice, range] : slices)
    if (!llvm::is_contained(ranges, range))
      ranges.push_back(range);
  llvm::sort(ranges, [](ElementRange a, ElementRange b) { return a.begin < b.begin; });
  for (size_t i = 0; i < ranges.size(); ++i)
    if (ranges[i].size() == 0 || (i > 0 && ranges[i].begin < ranges[i - 1].end))
      return false;
  return ranges.size() > 1;
}

/// The weight's elements `range` along `dim` as a weight of their own, named as the fused one
/// with a number behind a colon. One serves all that read the same.
Value Separation::takeSegment(UseOp use, unsigned dim, ElementRange range) {
  WeightOp weight = getWeight(use);
  RankedTensorType type = weight.getTensorType();
  SmallVector<int64_t> shape(type.getShape()), slice;
  for (int64_t size : shape)
    slice.append({0, size});
  if (std::optional<ArrayRef<int64_t>> given = weight.getSlice())
    slice.assign(given->begin(), given->end());
  shape[dim] = range.size();
  slice[2 * dim + 1] = slice[2 * dim] + range.end;
  slice[2 * dim] += range.begin;
  auto segmentType = RankedTensorType::get(shape, type.getElementType());
  auto sliceAttr = builder.getDenseI64ArrayAttr(slice);
  auto module = weight->getParentOfType<ModuleOp>();
  WeightOp segment;
  for (unsigned number = 1; !segment; ++number) {
    std::string name = (weight.getSymName() + ":" + Twine(number)).str();
    Operation *known = SymbolTable::lookupSymbolIn(module, name);
    if (!known) {
      OpBuilder::InsertionGuard guard(builder);
      builder.setInsertionPoint(weight);
      segment = builder.create<WeightOp>(weight.getLoc(), builder.getStringAttr(name),
                                         TypeAttr::get(segmentType), weight.getSource(), sliceAttr,
                                         weight.getSplitsAttr(), ShardingAttr());
    } else if (auto same = dyn_cast<WeightOp>(known);
               same && same.getSource() == weight.getSource() &&
               same.getTensorType() == segmentType && same.getSliceAttr() == sliceAttr) {
      segment = same;
    }
  }
  return builder.create<UseOp>(use.getLoc(), segmentType,
                               FlatSymbolRefAttr::get(segment.getSymNameAttr()));
}

/// The first range's ops keep the names; each of the others' gets one of its own.
void Separation::keepName(Operation *from, Operation *made, ElementRange range) {
  made->setDiscardableAttrs(from->getDiscardableAttrDictionary());
  auto name = from->getAttrOfType<StringAttr>(CleaveDialect::nameAttrName);
  if (name && !(range == ranges.front()))
    made->setAttr(CleaveDialect::nameAttrName, names.makeFurther(name));
}

Value Separation::makeProduct(ElementRange range) {
  builder.setInsertionPoint(linear);
  Value weight = takeSegment(linear.getWeight().getDefiningOp<UseOp>(), 0, range);
  SmallVector<int64_t> shape(linear.getType().getShape());
  shape.back() = range.size();
  auto product = builder.create<LinearOp>(linear.getLoc(), withShape(linear.getType(), shape),
                                          linear.getX(), weight, linear.getPadBeforeAttr());
  keepName(linear, product, range);
  return product;
}

/// What `value` is of the features in `range` alone.
Value Separation::make(Value value, ElementRange range) {
  if (Value known = made.lookup({value, range.begin}))
    return known;
  if (value == linear.getResult())
    return made[{value, range.begin}] = makeProduct(range);
  Operation *op = value.getDefiningOp();
  unsigned from = links.lookup(op);
  Features of = features.lookup(value);
  ElementRange part{range.begin / of.inner, range.end / of.inner};
  Value x = make(op->getOperand(from), range);
  builder.setInsertionPoint(op);
  SmallVector<int64_t> shape(typeOf(value).getShape());
  shape[of.dim] = part.size();
  RankedTensorType type = withShape(typeOf(value), shape);
  Operation *copy = nullptr;
  if (auto reshape = dyn_cast<ReshapeOp>(op)) {
    // Sizes of 1 are apart from others, so that more can be cut.
    std::optional<SmallVector<int64_t>> groups = findReshapeGroups(typeOf(x), type);
    copy = builder.create<ReshapeOp>(op->getLoc(), type, x,
                                     groups ? builder.getDenseI64ArrayAttr(*groups)
                                            : reshape.getGroupsAttr());
  } else {
    IRMapping mapping;
    mapping.map(op->getOperand(from), x);
    if (op->getNumOperands() == 2) {
      Value other = op->getOperand(1 - from);
      int64_t at = of.dim - (type.getRank() - typeOf(other).getRank());
      if (at >= 0 && typeOf(other).getDimSize(at) != 1)
        mapping.map(other, takeSegment(other.getDefiningOp<UseOp>(), at, part));
    }
    copy = builder.clone(*op, mapping);
    copy->getResult(0).setType(type);
  }
  keepName(op, copy, range);
  return made[{value, range.begin}] = copy->getResult(0);
}

void Separation::rewrite(SmallVectorImpl<TakenApart> &gone) {
  for (const auto &[value, of] : features) {
    TakenApart each{value.getDefiningOp(), of.dim, {}};
    for (ElementRange range : ranges)
      each.segments.push_back({range.begin / of.inner, range.end / of.inner});
    gone.push_back(std::move(each));
  }
  for (ElementRange range : ranges)
    for (auto &[slice, of] : slices)
      if (of == range) {
        Value part = make(slice.getX(), range);
        // How the slice is to lie goes before what follows from all segments.
        if (Attribute sharding = slice->getAttr(CleaveDialect::shardingAttrName))
          part.getDefiningOp()->setAttr(CleaveDialect::shardingAttrName, sharding);
        slice.getResult().replaceAllUsesWith(part);
        slice.erase();
      }
  for (auto &[op, from] : llvm::reverse(links))
    op->erase();
  linear.erase();
}

/// Fused weights that nothing reads any more are gone; so are their uses.
static void eraseUnread(ModuleOp module, const llvm::DenseSet<StringAttr> &readBefore) {
  SmallVector<UseOp> uses;
  llvm::DenseSet<StringAttr> read;
  module.walk([&](UseOp use) { uses.push_back(use); });
  for (UseOp use : uses)
    if (use.use_empty())
      use.erase();
    else
      read.insert(use.getWeightAttr().getAttr());
  for (WeightOp weight : llvm::make_early_inc_range(module.getOps<WeightOp>()))
    if (StringAttr name = weight.getSymNameAttr();
        readBefore.contains(name) && !read.contains(name))
      weight.erase();
}

SmallVector<TakenApart> cleave::separateSegments(ModuleOp module) {
  llvm::DenseSet<StringAttr> read;
  SmallVector<LinearOp> linears;
  module.walk([&](Operation *op) {
    if (auto linear = dyn_cast<LinearOp>(op))
      linears.push_back(linear);
    else if (auto use = dyn_cast<UseOp>(op); use && !use.use_empty())
      read.insert(use.getWeightAttr().getAttr());
  });
  Names names(module);
  SmallVector<TakenApart> gone;
  for (LinearOp linear : linears)
    if (Separation separation(linear, names); separation.find())
      separation.rewrite(gone);
  if (!gone.empty())
    eraseUnread(module, read);
  return gone;
}

namespace {
struct SeparateSegmentsPass : public cleave::impl::SeparateSegmentsPassBase<SeparateSegmentsPass> {
  void runOnOperation() override { (void)separateSegments(getOperation()); }
};
} // namespace
