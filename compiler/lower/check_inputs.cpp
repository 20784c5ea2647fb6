// Inputs by the ops that use them.
#include "compiler/lower/check_inputs.h"

#include "runtime/program/half.h"
#include "runtime/program/program.h"

#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"

#include <random>

using namespace mlir;
using namespace cleave;

using Sizes = std::map<std::string, int64_t, std::less<>>;

static constexpr int64_t checkedSlots = 2;
static constexpr int64_t checkedTokens = 6;
/// Longer than what is read in one step, so that a wrong length of the cache shows.
static constexpr int64_t checkedContext = 16;
/// More are a mistake in the file, or too slow to make one by one.
static constexpr int64_t maxInputElements = int64_t{1} << 28;

Sizes cleave::chooseSizes(func::FuncOp entry) {
  Sizes sizes;
  auto add = [&](Type type) {
    auto tensor = cast<RankedTensorType>(type);
    for (unsigned dim = 0; dim < tensor.getRank(); ++dim)
      if (tensor.isDynamicDim(dim))
        for (const std::string &symbol : getSize(getDimName(tensor, dim)).symbols())
          sizes[symbol] = checkedTokens;
  };
  int64_t context = checkedContext;
  for (Type type : entry.getArgumentTypes()) {
    add(type);
    for (int64_t size : cast<RankedTensorType>(type).getShape())
      if (cast<RankedTensorType>(type).getElementType().isInteger(32))
        context = std::max(context, size); // a run-time size is negative
  }
  entry.walk([&](Operation *op) {
    for (Type type : op->getResultTypes())
      add(type);
  });
  for (StateOp state : entry->getParentOfType<ModuleOp>().getOps<StateOp>()) {
    RankedTensorType type = state.getTensorType();
    sizes[getDimName(type, 0).str()] = checkedSlots;
    sizes[getDimName(type, 1).str()] = context;
  }
  return sizes;
}

int64_t cleave::getDimSize(RankedTensorType type, unsigned dim, const Sizes &sizes) {
  if (!type.isDynamicDim(dim))
    return type.getDimSize(dim);
  StringAttr name = getDimName(type, dim);
  DimShare share = getDimShare(name).value_or(DimShare{name, 0, 1});
  auto valueOf = [&](std::string_view symbol) {
    return std::optional(sizes.at(std::string(symbol)));
  };
  int64_t size = std::max<int64_t>(getSize(share.base).evaluate(valueOf).value_or(0), 0);
  return rt::shareSize(size, share.index, share.count);
}

int64_t cleave::countElements(RankedTensorType type, const Sizes &sizes) {
  int64_t elements = 1;
  for (unsigned dim = 0; dim < type.getRank(); ++dim) {
    if (llvm::MulOverflow(elements, getDimSize(type, dim, sizes), elements))
      return std::numeric_limits<int64_t>::max();
  }
  return elements;
}

namespace {
static constexpr int64_t chosenFromNothing = std::numeric_limits<int32_t>::max();
/// Numbers that choose nothing are below this one.
static constexpr int64_t plainNumbers = 8;

/// What an input of integers is for.
struct IndexUse {
  bool isSlot = false;
  bool isPosition = false;
  int64_t rows = chosenFromNothing; ///< of what it chooses from
};
} // namespace

/// The least of dims `begin` to `end` of what an op chooses from.
static int64_t leastSize(Value x, int64_t begin, int64_t end, const Sizes &sizes) {
  auto type = cast<RankedTensorType>(x.getType());
  int64_t least = chosenFromNothing;
  for (int64_t dim = begin; dim < end; ++dim)
    least = std::min(least, getDimSize(type, dim, sizes));
  return least;
}

/// The numbers below which `user` can take indices from `argument`.
static int64_t findRows(Operation *user, Value argument, const Sizes &sizes) {
  auto along = [&](auto op) {
    return op.getIndices() == argument ? leastSize(op.getX(), op.getDim(), op.getDim() + 1, sizes)
                                       : chosenFromNothing;
  };
  auto ofTuples = [&](auto op, int64_t begin) {
    int64_t length = cast<RankedTensorType>(op.getIndices().getType()).getShape().back();
    return op.getIndices() == argument ? leastSize(op.getX(), begin, begin + length, sizes)
                                       : chosenFromNothing;
  };
  return llvm::TypeSwitch<Operation *, int64_t>(user)
      .Case<TakeOp, GatherElementsOp, ScatterElementsOp>(along)
      .Case([&](GatherNdOp op) { return ofTuples(op, op.getBatchDims()); })
      .Case([&](ScatterNdOp op) { return ofTuples(op, 0); })
      .Default(chosenFromNothing);
}

static IndexUse findUse(Value argument, const Sizes &sizes) {
  IndexUse found;
  for (Operation *user : argument.getUsers()) {
    found.rows = std::min(found.rows, findRows(user, argument, sizes));
    if (isa<CastOp, ReshapeOp, TransposeOp, SliceOp>(user)) { // numbers that choose later
      IndexUse later = findUse(user->getResult(0), sizes);
      found.isSlot |= later.isSlot;
      found.isPosition |= later.isPosition;
      found.rows = std::min(found.rows, later.rows);
    }
    if (auto gather = dyn_cast<GatherOp>(user)) {
      auto source = cast<RankedTensorType>(gather.getSource().getType());
      auto one = RankedTensorType::get({source.getDimSize(0)}, source.getElementType());
      if (source.isDynamicDim(0))
        one =
            getTensorType({ShapedType::kDynamic}, source.getElementType(), {getDimName(source, 0)});
      found.rows = std::min(found.rows, countElements(one, sizes));
    } else if (auto update = dyn_cast<StateUpdateOp>(user)) {
      found.isSlot |= update.getSlots() == argument;
      found.isPosition |= update.getPositions() == argument;
    } else if (auto attention = dyn_cast<AttentionOp>(user)) {
      found.isSlot |= attention.getSlots() == argument;
      found.isPosition |= attention.getPositions() == argument;
    } else if (isa<RopeOp>(user)) {
      found.isPosition = true;
    }
  }
  return found;
}

/// Appends a number as an element of a type of floats.
static void putFloat(ElementType type, float value, std::vector<std::byte> &bytes) {
  auto put = [&](auto element) {
    auto view = std::as_bytes(std::span(&element, 1));
    bytes.insert(bytes.end(), view.begin(), view.end());
  };
  switch (type) {
  case ElementType::f64:
    return put(static_cast<double>(value));
  case ElementType::f16:
    return put(rt::f16OfFloat(value));
  case ElementType::bf16:
    return put(rt::bf16OfFloat(value));
  default:
    return put(value);
  }
}

FailureOr<rt::NamedArrays> cleave::makeInputs(func::FuncOp entry, const Sizes &sizes) {
  std::mt19937 random; // its sequence is the standard's, its seed always the same
  rt::NamedArrays inputs;
  for (BlockArgument argument : entry.getArguments()) {
    auto name =
        entry.getArgAttrOfType<StringAttr>(argument.getArgNumber(), CleaveDialect::inputAttrName);
    auto type = cast<RankedTensorType>(argument.getType());
    std::vector<std::byte> &bytes = inputs[name.str()];
    int64_t elements = countElements(type, sizes);
    if (elements > maxInputElements)
      return entry.emitOpError("input '")
             << name.getValue() << "' of type " << type << " has more elements than the "
             << maxInputElements << " that a check makes at most";
    auto put = [&](auto value) {
      auto view = std::as_bytes(std::span(&value, 1));
      bytes.insert(bytes.end(), view.begin(), view.end());
    };
    ElementType element = getElementTypeInfo(type.getElementType())->type;
    if (isFloatType(element)) {
      for (int64_t i = 0; i < elements; ++i)
        putFloat(element, static_cast<float>(random() >> 8) * 0x1p-23f - 1.0f, bytes);
    } else if (element == ElementType::i1) {
      for (int64_t i = 0; i < elements; ++i)
        put(static_cast<uint8_t>(random() >> 31));
    } else {
      IndexUse use = findUse(argument, sizes);
      for (int64_t i = 0; i < elements; ++i) {
        int64_t limit = use.rows == chosenFromNothing ? plainNumbers : use.rows;
        int64_t value = random() % std::max<int64_t>(limit, 1);
        if (use.isSlot)
          value = i % checkedSlots;
        else if (use.isPosition)
          value = i / checkedSlots;
        auto view = std::as_bytes(std::span(&value, 1)); // its low bytes come first
        bytes.insert(bytes.end(), view.begin(), view.begin() + elementTypeInfo(element).blockBytes);
      }
    }
  }
  return inputs;
}
