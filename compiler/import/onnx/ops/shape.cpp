// Ops that give elements another shape or another place.
#include "compiler/import/onnx/graph_importer.h"
#include "compiler/import/onnx/ops/movement.h"
#include "compiler/import/onnx/registry.h"
#include "compiler/import/onnx/shape_arithmetic.h"

#include <cmath>
#include <cstring>
#include <limits>

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {
namespace {

/// Operand 0 in another shape: what is known stays so.
LogicalResult setReshaped(Node &node, ArrayRef<SizeExpression> shape) {
  Operand &x = node.operand(0);
  RankedTensorType type = getTensorType(shape, x.type.getElementType());
  if (x.constant && !x.constant->transposed && type.hasStaticShape() &&
      type.getNumElements() == x.type.getNumElements()) {
    Operand result = x;
    result.type = type;
    result.value = {};
    result.sizes.reset();
    node.set(0, std::move(result));
    return success();
  }
  Value result = reshape(node, node.value(0), shape);
  node.set(0, result);
  return success(static_cast<bool>(result));
}

LogicalResult importReshape(Node &node) {
  FailureOr<SizeArray> wanted = node.sizes(1, "the shape");
  if (failed(wanted))
    return failure();
  Shape own = node.shape(0), shape;
  std::optional<size_t> rest;
  bool keepsZeros = node.integerAttr("allowzero", 0);
  for (auto [dim, size] : llvm::enumerate(wanted->elements)) {
    if (size.constant() == 0 && !keepsZeros) {
      if (dim >= own.size())
        return node.fail("keeps dimension " + Twine(dim) + " of an operand of shape " +
                         describe(own));
      size = own[dim];
    } else if (size.constant() == -1) {
      if (rest)
        return node.fail("has a shape with -1 twice");
      rest = dim;
      size = SizeExpression(1);
    } else if (size.constant() && *size.constant() < 0) {
      return node.fail("has a shape with the size " + size.text());
    }
    shape.push_back(size);
  }
  if (rest) {
    MaybeSize all = product(own), others = product(shape);
    MaybeSize quotient = sizeQuotient(all, others);
    if (!quotient)
      return node.fail("reshapes " + describe(own) + " to " + describe(wanted->elements) +
                       ", which leaves no size that is known to be whole for the -1");
    shape[*rest] = *quotient;
  }
  if (shape.size() > maxValueDims)
    return node.fail("makes " + Twine(shape.size()) + " dimensions, expected at most " +
                     Twine(maxValueDims));
  return setReshaped(node, shape);
}

LogicalResult importFlatten(Node &node) {
  Shape own = node.shape(0);
  auto rank = static_cast<int64_t>(own.size());
  int64_t axis = node.integerAttr("axis", 1);
  if (axis < -rank || axis > rank)
    return node.fail("has the axis " + Twine(axis) + " for " + Twine(rank) + " dimensions");
  axis += axis < 0 ? rank : 0;
  ArrayRef<SizeExpression> sizes = own;
  FailureOr<SizeExpression> before = node.size(product(sizes.take_front(axis)));
  FailureOr<SizeExpression> after = node.size(product(sizes.drop_front(axis)));
  if (failed(before) || failed(after))
    return failure();
  return setReshaped(node, {*before, *after});
}

LogicalResult importSqueeze(Node &node) {
  auto given = node.integersOf(1, "axes");
  if (failed(given))
    return failure();
  Shape own = node.shape(0), shape;
  SmallVector<int64_t> axes;
  if (*given) {
    FailureOr<SmallVector<int64_t>> normal = node.axes(**given, own.size());
    if (failed(normal))
      return failure();
    axes = *normal;
  } else {
    for (auto [dim, size] : llvm::enumerate(own))
      if (size.constant() == 1)
        axes.push_back(dim);
  }
  for (auto [dim, size] : llvm::enumerate(own)) {
    if (!llvm::is_contained(axes, static_cast<int64_t>(dim)))
      shape.push_back(size);
    else if (size.constant() != 1)
      return node.fail("squeezes dimension " + Twine(dim) + " of " + describe(own) +
                       ", which is not of size 1");
  }
  return setReshaped(node, shape);
}

LogicalResult importUnsqueeze(Node &node) {
  auto given = node.integersOf(1, "axes");
  if (failed(given))
    return failure();
  if (!*given)
    return node.fail("has no axes");
  Shape own = node.shape(0), shape;
  if ((*given)->size() > maxValueDims)
    return node.fail("has " + Twine((*given)->size()) + " axes");
  size_t rank = own.size() + (*given)->size();
  FailureOr<SmallVector<int64_t>> axes = node.axes(**given, rank);
  if (failed(axes))
    return failure();
  auto next = own.begin();
  for (size_t dim = 0; dim < rank; ++dim)
    shape.push_back(llvm::is_contained(*axes, static_cast<int64_t>(dim)) ? SizeExpression(1)
                                                                         : *next++);
  return setReshaped(node, shape);
}

LogicalResult importTranspose(Node &node) {
  auto rank = node.rank(0);
  SmallVector<int64_t> order = llvm::to_vector(llvm::reverse(llvm::seq<int64_t>(0, rank)));
  if (auto given = node.integersAttr("perm"))
    order = *given;
  SmallVector<int64_t> sorted(order);
  llvm::sort(sorted);
  if (!llvm::equal(sorted, llvm::seq<int64_t>(0, rank)))
    return node.fail("attribute 'perm' does not name each of " + Twine(rank) + " dimensions once");
  // A matrix of the file is read the other way round.
  Operand &x = node.operand(0);
  bool swapsLast =
      rank >= 2 && order[rank - 1] == rank - 2 && order[rank - 2] == rank - 1 &&
      llvm::equal(ArrayRef<int64_t>(order).drop_back(2), llvm::seq<int64_t>(0, rank - 2));
  if (x.constant && x.constant->tensor && swapsLast) {
    Operand result = x;
    SmallVector<int64_t> dims(x.type.getShape());
    std::swap(dims[rank - 1], dims[rank - 2]);
    result.type = RankedTensorType::get(dims, x.type.getElementType());
    result.constant->transposed = !x.constant->transposed;
    result.value = {};
    result.sizes.reset();
    node.set(0, std::move(result));
    return success();
  }
  Value result = transpose(node, node.value(0), order);
  node.set(0, result);
  return success(static_cast<bool>(result));
}

LogicalResult importConcat(Node &node) {
  if (node.numInputs() == 0)
    return node.fail("has no operands");
  FailureOr<int64_t> dim = node.axis(node.integerAttr("axis", 0), node.rank(0));
  if (failed(dim))
    return failure();
  SmallVector<Value> parts;
  Shape first = node.shape(0);
  for (unsigned i = 0; i < node.numInputs(); ++i) {
    Shape shape = node.shape(i);
    bool fits = shape.size() == first.size() && node.elementType(i) == node.elementType(0);
    for (size_t each = 0; fits && each < shape.size(); ++each)
      fits = static_cast<int64_t>(each) == *dim || shape[each] == first[each];
    if (!fits)
      return node.fail("joins " + describe(first) + " and " + describe(shape) + " along axis " +
                       Twine(*dim) + ", which differ in other dimensions or in their elements");
    // What is empty adds nothing.
    if (shape[*dim].constant() != 0 || node.numInputs() == 1)
      parts.push_back(node.value(i));
  }
  if (parts.empty())
    parts.push_back(node.value(0));
  Value result = concat(node, parts, *dim);
  node.set(0, result);
  return success(static_cast<bool>(result));
}

LogicalResult importSplit(Node &node) {
  FailureOr<int64_t> dim = node.axis(node.integerAttr("axis", 0), node.rank(0));
  if (failed(dim))
    return failure();
  auto given = node.integersOf(1, "split");
  if (failed(given))
    return failure();
  SizeExpression whole = node.shape(0)[*dim];
  auto count = static_cast<int64_t>(node.numOutputs());
  SmallVector<SizeExpression> sizes;
  if (*given) {
    if (static_cast<int64_t>((*given)->size()) != count)
      return node.fail("has " + Twine((*given)->size()) + " sizes for " + Twine(count) +
                       " results");
    for (int64_t size : **given) {
      if (size < 0)
        return node.fail("has the size " + Twine(size));
      sizes.push_back(size);
    }
    MaybeSize sum = SizeExpression(0);
    for (const SizeExpression &size : sizes)
      sum = sizeSum(sum, size);
    if (!sum || !(*sum == whole))
      return node.fail("has sizes for " + (sum ? sum->text() : "too many") +
                       " elements of a dimension of " + whole.text());
  } else {
    if (node.integerAttr("num_outputs", count) != count)
      return node.fail("has another number of results than 'num_outputs'");
    FailureOr<SizeExpression> each = node.size(sizeCeilDiv(whole, count));
    if (failed(each))
      return failure();
    for (int64_t i = 0; i + 1 < count; ++i)
      sizes.push_back(*each);
    FailureOr<SizeExpression> last =
        node.size(sizeDifference(whole, sizeProduct(*each, SizeExpression(count - 1))));
    if (failed(last))
      return failure();
    if (last->constant() && *last->constant() < 0)
      return node.fail("splits " + whole.text() + " elements into " + Twine(count) + " parts");
    sizes.push_back(*last);
  }
  Value x = node.value(0);
  MaybeSize begin = SizeExpression(0);
  for (auto [i, size] : llvm::enumerate(sizes)) {
    FailureOr<SizeExpression> from = node.size(begin);
    if (failed(from))
      return failure();
    Value part = slice(node, x, *dim, *from, size);
    if (!part)
      return failure();
    node.set(i, part);
    begin = sizeSum(begin, size);
  }
  return success();
}

// ---- Slice ----

/// Whether a size is certainly at least 0 (true) or below 0 (false); nothing where symbols
/// decide.
std::optional<bool> isAtLeastZero(const MaybeSize &size) {
  if (!size)
    return std::nullopt;
  SizeRange range = size->range([](std::string_view) { return SizeRange(); });
  if (range.least >= 0)
    return true;
  return range.most < 0 ? std::optional(false) : std::nullopt;
}

/// A bound of a slice, counted from the front and within [least, dim + most]. Where symbols
/// decide whether a symbolic bound lies in it, it is taken to: that it does is checked at
/// run time, when the elements are read.
MaybeSize normalizeBound(const SizeExpression &bound, const SizeExpression &dim, int64_t least,
                         int64_t most) {
  constexpr int64_t endless = std::numeric_limits<int32_t>::max();
  MaybeSize upper = sizeSum(dim, SizeExpression(most));
  // As large a number as exporters write for "to the end".
  if (bound.constant() && *bound.constant() >= endless)
    return upper;
  if (bound.constant() && *bound.constant() <= -endless)
    return SizeExpression(least);
  MaybeSize at = bound;
  if (isAtLeastZero(at) == false)
    at = sizeSum(at, dim);
  if (bound.constant()) // of a symbolic dimension, too: the result may be empty
    return sizeMin(sizeMax(at, SizeExpression(least)), upper);
  if (isAtLeastZero(sizeDifference(upper, at)) == false)
    return upper;
  return at;
}

LogicalResult importSlice(Node &node) {
  auto rank = node.rank(0);
  SmallVector<SizeExpression> starts, ends;
  SmallVector<int64_t> axes, steps;
  if (node.version() < 10) {
    auto first = node.integersAttr("starts"), last = node.integersAttr("ends");
    if (!first || !last)
      return node.fail("lacks the attributes 'starts' or 'ends'");
    starts.assign(first->begin(), first->end());
    ends.assign(last->begin(), last->end());
    if (auto given = node.integersAttr("axes"))
      axes = *given;
    else
      axes = llvm::to_vector(llvm::seq<int64_t>(0, starts.size()));
  } else {
    FailureOr<SizeArray> first = node.sizes(1, "the starts"), last = node.sizes(2, "the ends");
    if (failed(first) || failed(last))
      return failure();
    starts.assign(first->elements.begin(), first->elements.end());
    ends.assign(last->elements.begin(), last->elements.end());
    axes = llvm::to_vector(llvm::seq<int64_t>(0, starts.size()));
    for (unsigned i : {3, 4}) {
      if (!node.has(i))
        continue;
      FailureOr<SmallVector<int64_t>> given = node.integers(i, i == 3 ? "the axes" : "the steps");
      if (failed(given))
        return failure();
      (i == 3 ? axes : steps) = *given;
    }
  }
  if (steps.empty())
    steps.assign(starts.size(), 1);
  if (ends.size() != starts.size() || axes.size() != starts.size() || steps.size() != starts.size())
    return node.fail("has different numbers of starts, ends, axes and steps");
  SmallVector<bool> seen(rank, false);
  Value x = node.value(0);
  for (size_t i = 0; i < axes.size(); ++i) {
    FailureOr<int64_t> dim = node.axis(axes[i], rank);
    if (failed(dim))
      return failure();
    if (seen[*dim])
      return node.fail("slices axis " + Twine(*dim) + " twice");
    seen[*dim] = true;
    int64_t step = steps[i];
    if (step == 0 || std::abs(step) > std::numeric_limits<int32_t>::max())
      return node.fail("has the step " + Twine(step));
    SizeExpression size = node.shape(0)[*dim];
    bool forward = step > 0;
    MaybeSize begin = normalizeBound(starts[i], size, 0, forward ? 0 : -1);
    MaybeSize end =
        forward ? normalizeBound(ends[i], size, 0, 0) : normalizeBound(ends[i], size, -1, -1);
    MaybeSize span = forward ? sizeDifference(end, begin) : sizeDifference(begin, end);
    MaybeSize count = sizeCeilDiv(span, std::abs(step));
    // Of numbers the end may lie before the begin, as of symbols it must not.
    bool areNumbers = starts[i].constant() && ends[i].constant();
    if (isAtLeastZero(count) == false)
      count = SizeExpression(0);
    else if (areNumbers && isAtLeastZero(count) != true)
      count = sizeMax(count, SizeExpression(0));
    if (count && count->constant() == 0)
      begin = SizeExpression(0);
    FailureOr<SizeExpression> from = node.size(begin), length = node.size(count);
    if (failed(from) || failed(length))
      return failure();
    x = slice(node, x, *dim, *from, *length, step);
    if (!x)
      return failure();
  }
  node.set(0, x);
  return success();
}

// ---- Repeating ----

LogicalResult importExpand(Node &node) {
  FailureOr<SizeArray> wanted = node.sizes(1, "the shape");
  if (failed(wanted))
    return failure();
  Value x = node.value(0);
  FailureOr<Shape> shape = x ? broadcastTo(node, x, wanted->elements) : FailureOr<Shape>(failure());
  if (failed(shape))
    return failure();
  for (const SizeExpression &size : *shape)
    if (size.constant() && *size.constant() < 0)
      return node.fail("expands to a size of " + size.text());
  Value result = expand(node, x, *shape);
  node.set(0, result);
  return success(static_cast<bool>(result));
}

/// [a, b] repeated [r, s] times is [1, a, 1, b], expanded to [r, a, s, b].
LogicalResult importTile(Node &node) {
  FailureOr<SizeArray> repeats = node.sizes(1, "the repeats");
  if (failed(repeats))
    return failure();
  Shape own = node.shape(0), apart, expanded, shape;
  if (repeats->elements.size() != own.size())
    return node.fail("has " + Twine(repeats->elements.size()) + " repeats for " +
                     Twine(own.size()) + " dimensions");
  for (auto [size, count] : llvm::zip_equal(own, repeats->elements)) {
    FailureOr<SizeExpression> whole = node.size(sizeProduct(size, count));
    if (failed(whole))
      return failure();
    if (count.constant() && *count.constant() < 0)
      return node.fail("repeats a dimension " + count.text() + " times");
    shape.push_back(*whole);
    if (!(count.constant() == 1)) {
      apart.push_back(1);
      expanded.push_back(count);
    }
    apart.push_back(size);
    expanded.push_back(size);
  }
  if (apart.size() > maxValueDims)
    return node.fail("repeats more dimensions than is supported");
  Value result = reshape(node, expand(node, reshape(node, node.value(0), apart), expanded), shape);
  node.set(0, result);
  return success(static_cast<bool>(result));
}

LogicalResult importConstantOfShape(Node &node) {
  FailureOr<SizeArray> wanted = node.sizes(0, "the shape");
  if (failed(wanted))
    return failure();
  Shape shape(wanted->elements);
  if (shape.size() > maxValueDims)
    return node.fail("makes " + Twine(shape.size()) + " dimensions");
  for (const SizeExpression &size : shape)
    if (size.constant() && *size.constant() < 0)
      return node.fail("makes a dimension of size " + size.text());
  Operand scalar = node.makeConstant({}, node.builder().getF32Type(), std::vector<std::byte>(4));
  if (const ::onnx::AttributeProto *value = node.attribute("value"); value && value->has_t()) {
    try {
      NpyArray array = readOnnxTensor(value->t(), "its value");
      if (array.data.size() != elementTypeInfo(array.type).blockBytes)
        return node.fail("has a value that is not one number");
      scalar =
          node.makeConstant({}, getElementMlirType(node.context(), elementTypeInfo(array.type)),
                            std::move(array.data));
    } catch (const std::exception &error) {
      return node.fail(error.what());
    }
  }
  RankedTensorType type = getTensorType(shape, scalar.type.getElementType());
  const std::vector<std::byte> &element = scalar.constant->bytes;
  bool isSmall = type.hasStaticShape();
  int64_t count = 1;
  for (int64_t size : type.getShape())
    isSmall = isSmall && !__builtin_mul_overflow(count, size, &count) && count <= maxSizeElements;
  if (isSmall) {
    std::vector<std::byte> bytes;
    for (int64_t i = 0; i < count; ++i)
      bytes.insert(bytes.end(), element.begin(), element.end());
    node.set(0, node.makeConstant(type.getShape(), type.getElementType(), std::move(bytes)));
    return success();
  }
  Value result = expand(node, node.materialize(scalar), shape);
  node.set(0, result);
  return success(static_cast<bool>(result));
}

/// A bound of a range that is a size, or a whole number.
std::optional<SizeExpression> findBound(Node &node, unsigned i) {
  std::optional<SizeArray> known = node.findWholeNumbers(i);
  if (!known || known->elements.size() != 1)
    return std::nullopt;
  return known->elements[0];
}

template <typename T> Operand makeRange(Node &node, ArrayRef<double> bounds, int64_t count) {
  std::vector<std::byte> bytes(count * sizeof(T));
  for (int64_t i = 0; i < count; ++i) {
    auto value = static_cast<T>(bounds[0] + static_cast<double>(i) * bounds[2]);
    std::memcpy(&bytes[i * sizeof(T)], &value, sizeof(T));
  }
  OpBuilder &builder = node.builder();
  return node.makeConstant({count},
                           sizeof(T) == sizeof(float) ? builder.getF32Type() : builder.getF64Type(),
                           std::move(bytes));
}

/// A range of floats that is known, and not long.
LogicalResult importRangeOfFloats(Node &node) {
  SmallVector<double, 3> bounds;
  for (unsigned i = 0; i < 3; ++i) {
    FailureOr<SmallVector<double>> number = node.numbers(i, "a bound of the range");
    if (failed(number))
      return failure();
    if (number->size() != 1)
      return node.fail("has a bound that is not one number");
    bounds.push_back(number->front());
  }
  double count = std::ceil((bounds[1] - bounds[0]) / bounds[2]);
  if (!(count <= maxSizeElements))
    return node.fail("makes a range of floats that is too long");
  auto total = static_cast<int64_t>(std::max(count, 0.0));
  Type type = node.elementType(0);
  Operand range =
      type.isF64() ? makeRange<double>(node, bounds, total) : makeRange<float>(node, bounds, total);
  if (range.type.getElementType() == type)
    node.set(0, std::move(range));
  else
    node.set(0, node.convert(node.materialize(range), type));
  return success();
}

LogicalResult importRange(Node &node) {
  Type type = node.elementType(0);
  if (isa<FloatType>(type)) {
    // Sizes, and what is long, are counted in integers.
    SmallVector<SizeExpression, 3> bounds;
    for (unsigned i = 0; i < 3; ++i)
      if (std::optional<SizeExpression> bound = findBound(node, i))
        bounds.push_back(*bound);
    auto isSmall = [](const SizeExpression &bound) {
      return bound.constant() && std::abs(*bound.constant()) <= maxSizeElements / 2;
    };
    if (bounds.size() < 3 || llvm::all_of(bounds, isSmall))
      return importRangeOfFloats(node);
  }
  SmallVector<SizeExpression, 3> bounds;
  for (unsigned i = 0; i < 3; ++i) {
    if (std::optional<SizeExpression> bound = findBound(node, i)) {
      bounds.push_back(*bound);
      continue;
    }
    FailureOr<SizeArray> bound = node.sizes(i, i == 2 ? "the step" : "a bound of the range");
    if (failed(bound))
      return failure();
    return node.fail("has a bound that is not one number");
  }
  std::optional<int64_t> step = bounds[2].constant();
  if (!step || *step == 0 || std::abs(*step) > std::numeric_limits<int32_t>::max())
    return node.fail("has the step " + bounds[2].text() + ", expected a number other than 0");
  MaybeSize span =
      *step > 0 ? sizeDifference(bounds[1], bounds[0]) : sizeDifference(bounds[0], bounds[1]);
  MaybeSize count = sizeMax(sizeCeilDiv(span, std::abs(*step)), SizeExpression(0));
  FailureOr<SizeExpression> size = node.size(count);
  if (failed(size))
    return failure();
  Type counted = isa<FloatType>(type) ? node.builder().getI64Type() : type;
  Value range = node.create<RangeOp>(getTensorType({*size}, counted), bounds[0], *step);
  node.set(0, node.convert(range, type));
  return success();
}

constexpr OpEntry entries[] = {
    {"", "Concat", importConcat},       {"", "ConstantOfShape", importConstantOfShape},
    {"", "Expand", importExpand},       {"", "Flatten", importFlatten},
    {"", "Range", importRange},         {"", "Reshape", importReshape},
    {"", "Slice", importSlice},         {"", "Split", importSplit},
    {"", "Squeeze", importSqueeze},     {"", "Tile", importTile},
    {"", "Transpose", importTranspose}, {"", "Unsqueeze", importUnsqueeze},
};

} // namespace

ArrayRef<OpEntry> shapeOps() {
  return entries;
}

} // namespace cleave::onnx
