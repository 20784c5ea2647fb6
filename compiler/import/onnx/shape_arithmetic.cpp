// Shapes computed at import. An op that is not here, or has an operand that is not known, is
// left to the op's importer.
#include "compiler/import/onnx/shape_arithmetic.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSwitch.h"

#include <functional>
#include <limits>

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {
namespace {

int64_t count(ArrayRef<int64_t> dims) {
  int64_t product = 1;
  for (int64_t dim : dims)
    if (__builtin_mul_overflow(product, dim, &product) || product > maxSizeElements)
      return maxSizeElements + 1;
  return product;
}

/// The place in a row-major tensor of each index of `dims`, moving by `strides`.
SmallVector<int64_t> places(ArrayRef<int64_t> dims, ArrayRef<int64_t> strides, int64_t base = 0) {
  SmallVector<int64_t> result;
  int64_t total = count(dims);
  SmallVector<int64_t> index(dims.size());
  for (int64_t i = 0; i < total; ++i) {
    int64_t place = base;
    for (size_t dim = 0; dim < dims.size(); ++dim)
      place += index[dim] * strides[dim];
    result.push_back(place);
    for (size_t dim = dims.size(); dim-- > 0 && ++index[dim] == dims[dim];)
      index[dim] = 0;
  }
  return result;
}

SmallVector<int64_t> stridesOf(ArrayRef<int64_t> dims) {
  SmallVector<int64_t> strides(dims.size(), 1);
  for (size_t dim = dims.size(); dim-- > 1;)
    strides[dim - 1] = strides[dim] * dims[dim];
  return strides;
}

SizeArray pick(const SizeArray &from, ArrayRef<int64_t> dims, ArrayRef<int64_t> from_places) {
  SizeArray result{SmallVector<int64_t, 2>(dims), {}};
  for (int64_t place : from_places)
    result.elements.push_back(from.elements[place]);
  return result;
}

/// `array` repeated to `dims`, to which it broadcasts.
SizeArray expand(const SizeArray &array, ArrayRef<int64_t> dims) {
  SmallVector<int64_t> own = stridesOf(array.dims), strides(dims.size(), 0);
  size_t missing = dims.size() - array.dims.size();
  for (size_t dim = 0; dim < array.dims.size(); ++dim)
    strides[missing + dim] = array.dims[dim] == 1 ? 0 : own[dim];
  return pick(array, dims, places(dims, strides));
}

/// One fold: computes the only result from operands that are all known, or says in `why` what
/// is wrong; nothing and no `why` where it cannot tell now.
class Fold {
public:
  Fold(Node &node, ArrayRef<SizeArray> operands) : node(node), operands(operands) {}

  std::optional<SizeArray> run();
  std::string why;

private:
  using Result = std::optional<SizeArray>;
  Result refuse(const Twine &message) {
    why = message.str();
    return std::nullopt;
  }
  std::optional<SmallVector<int64_t, 2>> broadcastDims();
  Result elementwise(const std::function<MaybeSize(ArrayRef<SizeExpression>)> &compute);
  Result compare(const std::function<std::optional<bool>(const SizeExpression &difference)> &test);
  Result reduce();
  Result gather();
  Result concat();
  Result slice();
  Result reshape();
  Result squeeze(bool adds);
  Result transpose();
  Result range();
  Result expandTo();

  std::optional<SmallVector<int64_t>> constants(size_t operand) {
    SmallVector<int64_t> values;
    for (const SizeExpression &element : operands[operand].elements) {
      if (!element.constant())
        return std::nullopt;
      values.push_back(*element.constant());
    }
    return values;
  }
  /// From the attribute of older operator sets or from an operand.
  std::optional<SmallVector<int64_t>> integers(size_t operand, StringRef attribute) {
    if (operand < operands.size())
      return constants(operand);
    return node.integersAttr(attribute);
  }
  std::optional<int64_t> axisOf(int64_t axis, int64_t rank) {
    if (axis < -rank || axis >= rank)
      return std::nullopt;
    return axis < 0 ? axis + rank : axis;
  }

  Node &node;
  ArrayRef<SizeArray> operands;
};

std::optional<SmallVector<int64_t, 2>> Fold::broadcastDims() {
  SmallVector<int64_t, 2> dims;
  for (const SizeArray &operand : operands) {
    if (operand.dims.size() > dims.size())
      dims.insert(dims.begin(), operand.dims.size() - dims.size(), 1);
    size_t missing = dims.size() - operand.dims.size();
    for (auto [dim, size] : llvm::enumerate(operand.dims)) {
      int64_t &found = dims[missing + dim];
      if (found != size && found != 1 && size != 1)
        return std::nullopt;
      if (found == 1)
        found = size;
    }
  }
  return count(dims) > maxSizeElements ? std::nullopt : std::optional(dims);
}

std::optional<SizeArray>
Fold::elementwise(const std::function<MaybeSize(ArrayRef<SizeExpression>)> &compute) {
  auto dims = broadcastDims();
  if (!dims)
    return std::nullopt; // the op's importer says what is wrong
  SmallVector<SizeArray> expanded;
  for (const SizeArray &operand : operands)
    expanded.push_back(expand(operand, *dims));
  SizeArray result{*dims, {}};
  for (int64_t i = 0, end = count(*dims); i < end; ++i) {
    SmallVector<SizeExpression> each;
    for (const SizeArray &operand : expanded)
      each.push_back(operand.elements[i]);
    MaybeSize size = compute(each);
    if (!size)
      return std::nullopt;
    result.elements.push_back(*size);
  }
  return result;
}

std::optional<SizeArray>
Fold::compare(const std::function<std::optional<bool>(const SizeExpression &)> &test) {
  return elementwise([&](ArrayRef<SizeExpression> each) -> MaybeSize {
    MaybeSize difference = sizeDifference(each[0], each[1]);
    std::optional<bool> holds = difference ? test(*difference) : std::nullopt;
    return holds ? MaybeSize(SizeExpression(*holds)) : MaybeSize();
  });
}

std::optional<SizeArray> Fold::reduce() {
  auto axes = integers(1, "axes");
  const SizeArray &x = operands[0];
  auto rank = static_cast<int64_t>(x.dims.size());
  if (operands.size() > 1 && !axes)
    return std::nullopt;
  if (!axes || axes->empty()) {
    if (node.integerAttr("noop_with_empty_axes", 0))
      return x;
    axes = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  }
  SmallVector<bool> reduced(rank, false);
  for (int64_t &axis : *axes) {
    auto normal = axisOf(axis, rank);
    if (!normal)
      return std::nullopt;
    reduced[*normal] = true;
  }
  bool keeps = node.integerAttr("keepdims", 1) != 0;
  SmallVector<int64_t, 2> outer, dims;
  SmallVector<int64_t> all = stridesOf(x.dims), outerStrides, inner, innerStrides;
  for (int64_t dim = 0; dim < rank; ++dim) {
    if (!reduced[dim]) {
      outer.push_back(x.dims[dim]);
      outerStrides.push_back(all[dim]);
    } else {
      inner.push_back(x.dims[dim]);
      innerStrides.push_back(all[dim]);
    }
    if (!reduced[dim] || keeps)
      dims.push_back(reduced[dim] ? 1 : x.dims[dim]);
  }
  StringRef op = node.op();
  SizeArray result{dims, {}};
  for (int64_t base : places(outer, outerStrides)) {
    SmallVector<int64_t> from = places(inner, innerStrides, base);
    MaybeSize sum;
    if (op == "ReduceProd" || op == "ReduceSum")
      sum = SizeExpression(op == "ReduceProd");
    else if (from.empty())
      return std::nullopt;
    else
      sum = x.elements[from.front()];
    for (int64_t place : from) {
      const SizeExpression &each = x.elements[place];
      sum = op == "ReduceProd"  ? sizeProduct(sum, each)
            : op == "ReduceSum" ? sizeSum(sum, each)
            : op == "ReduceMax" ? sizeMax(sum, each)
                                : sizeMin(sum, each);
    }
    if (!sum)
      return std::nullopt;
    result.elements.push_back(*sum);
  }
  return result;
}

std::optional<SizeArray> Fold::gather() {
  const SizeArray &x = operands[0], &indices = operands[1];
  auto rank = static_cast<int64_t>(x.dims.size());
  auto axis = axisOf(node.integerAttr("axis", 0), rank);
  auto numbers = constants(1);
  if (!axis || !numbers)
    return std::nullopt;
  for (int64_t &number : *numbers) {
    if (number < -x.dims[*axis] || number >= x.dims[*axis])
      return refuse("has the index " + Twine(number) + " for a dimension of size " +
                    Twine(x.dims[*axis]));
    number += number < 0 ? x.dims[*axis] : 0;
  }
  SmallVector<int64_t> strides = stridesOf(x.dims);
  ArrayRef<int64_t> all = x.dims, allStrides = strides;
  SmallVector<int64_t> dims(all.take_front(*axis));
  dims.append(indices.dims.begin(), indices.dims.end());
  llvm::append_range(dims, all.drop_front(*axis + 1));
  if (count(dims) > maxSizeElements)
    return std::nullopt;
  SmallVector<int64_t> from;
  for (int64_t before : places(all.take_front(*axis), allStrides.take_front(*axis)))
    for (int64_t number : *numbers)
      llvm::append_range(from, places(all.drop_front(*axis + 1), allStrides.drop_front(*axis + 1),
                                      before + number * strides[*axis]));
  return pick(x, dims, from);
}

std::optional<SizeArray> Fold::concat() {
  auto rank = static_cast<int64_t>(operands[0].dims.size());
  auto axis = axisOf(node.integerAttr("axis", 0), rank);
  if (!axis)
    return std::nullopt;
  SmallVector<int64_t, 2> dims = operands[0].dims;
  dims[*axis] = 0;
  for (const SizeArray &operand : operands) {
    if (static_cast<int64_t>(operand.dims.size()) != rank)
      return std::nullopt;
    for (int64_t dim = 0; dim < rank; ++dim)
      if (dim != *axis && operand.dims[dim] != dims[dim])
        return std::nullopt;
    dims[*axis] += operand.dims[*axis];
  }
  if (count(dims) > maxSizeElements)
    return std::nullopt;
  SizeArray result{dims, {}};
  int64_t outer = count(ArrayRef<int64_t>(dims).take_front(*axis));
  for (int64_t i = 0; i < outer; ++i)
    for (const SizeArray &operand : operands) {
      int64_t run = count(ArrayRef<int64_t>(operand.dims).drop_front(*axis));
      for (int64_t j = 0; j < run; ++j)
        result.elements.push_back(operand.elements[i * run + j]);
    }
  return result;
}

std::optional<SizeArray> Fold::slice() {
  const SizeArray &x = operands[0];
  auto rank = static_cast<int64_t>(x.dims.size());
  auto starts = integers(1, "starts"), ends = integers(2, "ends");
  if (!starts || !ends || starts->size() != ends->size())
    return std::nullopt;
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(0, starts->size()));
  SmallVector<int64_t> steps(starts->size(), 1);
  if (operands.size() > 3 || (operands.size() == 1 && node.integersAttr("axes"))) {
    auto given = integers(3, "axes");
    if (!given || given->size() != starts->size())
      return std::nullopt;
    axes = *given;
  }
  if (operands.size() > 4) {
    auto given = constants(4);
    if (!given || given->size() != starts->size())
      return std::nullopt;
    steps = *given;
  }
  SmallVector<int64_t> strides = stridesOf(x.dims), dims(ArrayRef<int64_t>(x.dims));
  int64_t base = 0;
  SmallVector<bool> seen(rank, false);
  for (size_t i = 0; i < axes.size(); ++i) {
    auto axis = axisOf(axes[i], rank);
    if (!axis || seen[*axis] || steps[i] == 0 || steps[i] == std::numeric_limits<int64_t>::min())
      return std::nullopt;
    seen[*axis] = true;
    int64_t size = x.dims[*axis], step = steps[i];
    auto clamp = [&](int64_t at, int64_t least, int64_t most) {
      at = at < 0 && at >= -size ? at + size : at < 0 ? int64_t{-1} : at;
      return std::min(std::max(at, least), most); // of nothing, least is above most
    };
    int64_t begin = clamp((*starts)[i], 0, step > 0 ? size : size - 1);
    int64_t end = step > 0 ? clamp((*ends)[i], 0, size) : clamp((*ends)[i], -1, size - 1);
    int64_t span = step > 0 ? end - begin : begin - end, magnitude = step > 0 ? step : -step;
    dims[*axis] = span <= 0 ? 0 : (span - 1) / magnitude + 1;
    base += dims[*axis] ? begin * strides[*axis] : 0;
    strides[*axis] *= dims[*axis] > 1 ? step : 1;
  }
  return pick(x, dims, places(dims, strides, base));
}

std::optional<SizeArray> Fold::reshape() {
  auto wanted = constants(1);
  if (!wanted)
    return std::nullopt;
  auto total = static_cast<int64_t>(operands[0].elements.size());
  SmallVector<int64_t, 2> dims;
  int64_t product = 1;
  std::optional<size_t> rest;
  for (auto [i, size] : llvm::enumerate(*wanted)) {
    if (size == 0 && !node.integerAttr("allowzero", 0) && i < operands[0].dims.size())
      size = operands[0].dims[i];
    if (size < -1 || (size == -1 && rest) || size > maxSizeElements)
      return std::nullopt;
    if (size == -1)
      rest = i;
    else if ((product *= size) > maxSizeElements)
      return std::nullopt;
    dims.push_back(size);
  }
  if (rest) {
    if (product == 0 || total % product)
      return std::nullopt;
    dims[*rest] = total / product;
  } else if (product != total) {
    return std::nullopt;
  }
  return SizeArray{dims, operands[0].elements};
}

std::optional<SizeArray> Fold::squeeze(bool adds) {
  auto axes = integers(1, "axes");
  const SizeArray &x = operands[0];
  if (operands.size() > 1 && !axes)
    return std::nullopt;
  SmallVector<int64_t, 2> dims;
  if (!adds) {
    SmallVector<bool> gone(x.dims.size(), false);
    for (auto [dim, size] : llvm::enumerate(x.dims))
      gone[dim] = !axes && size == 1;
    for (int64_t axis : axes.value_or(SmallVector<int64_t>())) {
      auto normal = axisOf(axis, x.dims.size());
      if (!normal || x.dims[*normal] != 1)
        return std::nullopt;
      gone[*normal] = true;
    }
    for (auto [dim, size] : llvm::enumerate(x.dims))
      if (!gone[dim])
        dims.push_back(size);
    return SizeArray{dims, x.elements};
  }
  if (!axes || axes->size() > 8)
    return std::nullopt;
  SmallVector<bool> isNew(x.dims.size() + axes->size(), false);
  for (int64_t axis : *axes) {
    auto normal = axisOf(axis, isNew.size());
    if (!normal || isNew[*normal])
      return std::nullopt;
    isNew[*normal] = true;
  }
  const int64_t *next = x.dims.begin();
  for (bool each : isNew)
    dims.push_back(each ? 1 : *next++);
  return SizeArray{dims, x.elements};
}

std::optional<SizeArray> Fold::transpose() {
  const SizeArray &x = operands[0];
  SmallVector<int64_t> order = llvm::to_vector(llvm::reverse(llvm::seq<int64_t>(0, x.dims.size())));
  if (auto given = node.integersAttr("perm"))
    order = *given;
  SmallVector<int64_t> sorted(order), strides = stridesOf(x.dims), dims, moved;
  llvm::sort(sorted);
  if (!llvm::equal(sorted, llvm::seq<int64_t>(0, x.dims.size())))
    return std::nullopt;
  for (int64_t dim : order) {
    dims.push_back(x.dims[dim]);
    moved.push_back(strides[dim]);
  }
  return pick(x, dims, places(dims, moved));
}

std::optional<SizeArray> Fold::range() {
  SmallVector<int64_t, 3> numbers;
  for (const SizeArray &operand : operands) {
    if (operand.elements.size() != 1 || !operand.elements[0].constant())
      return std::nullopt;
    numbers.push_back(*operand.elements[0].constant());
  }
  SizeArray result{{0}, {}};
  int64_t step = numbers[2];
  if (step == 0)
    return refuse("has a step of 0");
  for (int64_t at = numbers[0]; step > 0 ? at < numbers[1] : at > numbers[1];) {
    if (static_cast<int64_t>(result.elements.size()) == maxSizeElements)
      return std::nullopt;
    result.elements.push_back(at);
    if (__builtin_add_overflow(at, step, &at))
      break;
  }
  result.dims[0] = result.elements.size();
  return result;
}

std::optional<SizeArray> Fold::expandTo() {
  auto wanted = constants(1);
  if (!wanted || wanted->size() > 8)
    return std::nullopt;
  const SizeArray &x = operands[0];
  SmallVector<int64_t, 2> dims(wanted->begin(), wanted->end());
  if (x.dims.size() > dims.size())
    dims.insert(dims.begin(), x.dims.size() - dims.size(), 1);
  size_t missing = dims.size() - x.dims.size();
  for (auto [dim, size] : llvm::enumerate(x.dims)) {
    int64_t &found = dims[missing + dim];
    if (found != size && found != 1 && size != 1)
      return std::nullopt;
    if (found == 1)
      found = size;
  }
  if (llvm::any_of(dims, [](int64_t dim) { return dim < 0; }) || count(dims) > maxSizeElements)
    return std::nullopt;
  return expand(x, dims);
}

std::optional<SizeArray> Fold::run() {
  StringRef op = node.op();
  auto fold = [&](auto combine) {
    return elementwise([&](ArrayRef<SizeExpression> each) {
      MaybeSize result = each[0];
      for (const SizeExpression &next : each.drop_front())
        result = combine(result, next);
      return result;
    });
  };
  auto isZero = [](const SizeExpression &size) { return size.constant() == 0; };
  auto rangeOf = [](const SizeExpression &size) {
    return size.range([](std::string_view) { return SizeRange(); });
  };
  if (op == "Add" && operands.size() == 2)
    return fold(sizeSum);
  if (op == "Sub" && operands.size() == 2)
    return fold(sizeDifference);
  if (op == "Mul" && operands.size() == 2)
    return fold(sizeProduct);
  if (op == "Max")
    return fold(sizeMax);
  if (op == "Min")
    return fold(sizeMin);
  if (op == "Div" && operands.size() == 2)
    return elementwise([&](ArrayRef<SizeExpression> each) -> MaybeSize {
      std::optional<int64_t> a = each[0].constant(), b = each[1].constant();
      if (b && *b == 0) {
        why = "divides by 0";
        return std::nullopt;
      }
      if (a && b) // integers are truncated
        return *b == -1 ? sizeDifference(0, each[0]) : MaybeSize(SizeExpression(*a / *b));
      if (MaybeSize whole = sizeQuotient(each[0], each[1]))
        return whole;
      return b && *b > 0 && each[0].isNonNegative() ? sizeFloorDiv(each[0], *b) : MaybeSize();
    });
  if (op == "Mod" && operands.size() == 2)
    return elementwise([&](ArrayRef<SizeExpression> each) -> MaybeSize {
      std::optional<int64_t> a = each[0].constant(), b = each[1].constant();
      if (!a || !b || *b <= 0 || *a < 0)
        return std::nullopt;
      return SizeExpression(*a % *b);
    });
  if (op == "Neg")
    return elementwise([](ArrayRef<SizeExpression> each) { return sizeDifference(0, each[0]); });
  if (op == "Abs")
    return elementwise([](ArrayRef<SizeExpression> each) -> MaybeSize {
      return each[0].isNonNegative() ? MaybeSize(each[0])
                                     : sizeMax(each[0], sizeDifference(0, each[0]));
    });
  if (op == "Not")
    return elementwise([](ArrayRef<SizeExpression> each) { return sizeDifference(1, each[0]); });
  if (op == "And")
    return fold(sizeMin);
  if (op == "Or")
    return fold(sizeMax);
  if (op == "Equal")
    return compare([&](const SizeExpression &difference) -> std::optional<bool> {
      if (isZero(difference))
        return true;
      SizeRange range = rangeOf(difference);
      // A size is no -1, as Reshape's and Expand's operands are compared with; that it is not
      // another constant is not known.
      if (range.least > 0 || range.most < 0)
        return false;
      return std::nullopt;
    });
  if (op == "Less" || op == "GreaterOrEqual" || op == "Greater" || op == "LessOrEqual")
    return compare([&](const SizeExpression &difference) -> std::optional<bool> {
      SizeRange range = rangeOf(difference);
      bool strict = op == "Less" || op == "GreaterOrEqual"; // decided by a < b
      bool holds = strict ? range.most < 0 : range.least > 0;
      bool fails = strict ? range.least >= 0 : range.most <= 0;
      if (!holds && !fails)
        return std::nullopt;
      return op == "Less" || op == "Greater" ? holds : fails;
    });
  if (op == "Where" && operands.size() == 3)
    return elementwise([](ArrayRef<SizeExpression> each) -> MaybeSize {
      if (std::optional<int64_t> condition = each[0].constant())
        return *condition ? each[1] : each[2];
      return each[1] == each[2] ? MaybeSize(each[1]) : MaybeSize();
    });
  if (op == "Gather" && operands.size() == 2)
    return gather();
  if (op == "Concat")
    return concat();
  if (op == "Slice")
    return slice();
  if (op == "Reshape" && operands.size() == 2)
    return reshape();
  if (op == "Flatten" && operands[0].dims.size() == 1)
    return SizeArray{{1, operands[0].dims[0]}, operands[0].elements};
  if (op == "Squeeze" || op == "Unsqueeze")
    return squeeze(op == "Unsqueeze");
  if (op == "Transpose")
    return transpose();
  if (op == "Range" && operands.size() == 3)
    return range();
  if (op == "Expand" && operands.size() == 2)
    return expandTo();
  if (op == "ReduceProd" || op == "ReduceSum" || op == "ReduceMax" || op == "ReduceMin")
    return reduce();
  return std::nullopt;
}

} // namespace

FailureOr<bool> foldSizes(Node &node) {
  if (!node.message().domain().empty() && node.message().domain() != "ai.onnx")
    return false;
  if (node.numInputs() == 0 || node.numOutputs() != 1)
    return false;
  Type type = node.elementType(node.op() == "Where" && node.numInputs() == 3 ? 1 : 0);
  // Of floats only those that are sizes, cast for a while: what is exact for them. Other
  // integers wrap around sooner than sizes do.
  static constexpr llvm::StringLiteral exactOps[] = {"Add",     "Concat", "Gather",   "Max",
                                                     "Min",     "Mul",    "Reshape",  "Slice",
                                                     "Squeeze", "Sub",    "Unsqueeze"};
  bool isFloat = type.isF32();
  if (isFloat ? !llvm::is_contained(exactOps, node.op())
              : !type.isInteger(64) && !type.isInteger(32) && !type.isInteger(1))
    return false;
  SmallVector<SizeArray> operands;
  bool hasSizes = false;
  for (unsigned i = 0; i < node.numInputs(); ++i) {
    if (!node.has(i))
      return false;
    hasSizes |= node.operand(i).sizes.has_value();
    std::optional<SizeArray> known = isFloat ? node.findWholeNumbers(i) : node.findSizes(i);
    if (!known)
      return false;
    operands.push_back(std::move(*known));
  }
  if (isFloat && !node.operand(0).sizes && !hasSizes)
    return false;
  Fold fold(node, operands);
  std::optional<SizeArray> result = fold.run();
  if (!fold.why.empty())
    return node.fail(fold.why);
  if (!result)
    return false;
  const int64_t most = isFloat ? maxWholeFloat : std::numeric_limits<int32_t>::max();
  if (!type.isInteger(64))
    for (const SizeExpression &element : result->elements)
      if (element.constant() && (*element.constant() > most || *element.constant() < -most))
        return false;
  bool isTest =
      llvm::is_contained({"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"}, node.op());
  node.set(0, std::move(*result), isTest ? IntegerType::get(node.context(), 1) : type);
  return true;
}

} // namespace cleave::onnx
