// Ops that take and write elements by numbers in tensors; triangles, and pads.
#include "compiler/import/onnx/ops/compute.h"
#include "compiler/import/onnx/registry.h"

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {
namespace {

/// Operand `i`, which is of i32 or i64.
Value indices(Node &node, unsigned i) {
  Type type = node.elementType(i);
  if (type.isInteger(32) || type.isInteger(64))
    return node.value(i);
  (void)node.fail("has indices of another type than int32 and int64");
  return {};
}

LogicalResult importGather(Node &node) {
  FailureOr<int64_t> dim = node.axis(node.integerAttr("axis", 0), node.rank(0));
  if (failed(dim))
    return failure();
  Shape own = node.shape(0), shape(own.begin(), own.begin() + *dim);
  // One row that is known is a slice.
  if (std::optional<SizeArray> known = node.findSizes(1);
      known && known->elements.size() == 1 && known->elements[0].constant()) {
    SizeExpression index = known->elements[0];
    std::optional<int64_t> size = own[*dim].constant();
    if (size && (*index.constant() >= *size || *index.constant() < -*size))
      return node.fail("takes element " + index.text() + " of a dimension of " + own[*dim].text());
    MaybeSize begin = *index.constant() < 0 ? sizeSum(own[*dim], index) : MaybeSize(index);
    FailureOr<SizeExpression> from = node.size(begin);
    if (failed(from))
      return failure();
    shape.append(known->dims.size(), SizeExpression(1));
    shape.append(own.begin() + *dim + 1, own.end());
    Value result = reshape(node, slice(node, node.value(0), *dim, *from, SizeExpression(1)), shape);
    node.set(0, result);
    return success(static_cast<bool>(result));
  }
  Value x = node.value(0), numbers = indices(node, 1);
  if (!x || !numbers)
    return failure();
  llvm::append_range(shape, node.shape(1));
  shape.append(own.begin() + *dim + 1, own.end());
  node.set(0, node.create<TakeOp>(getTensorType(shape, node.elementType(0)), x, numbers, *dim));
  return success();
}

LogicalResult importGatherElements(Node &node) {
  FailureOr<int64_t> dim = node.axis(node.integerAttr("axis", 0), node.rank(0));
  Value x = failed(dim) ? Value() : node.value(0), numbers = x ? indices(node, 1) : Value();
  if (!numbers)
    return failure();
  node.set(0, node.create<GatherElementsOp>(getTensorType(node.shape(1), node.elementType(0)), x,
                                            numbers, node.builder().getI64IntegerAttr(*dim)));
  return success();
}

LogicalResult importGatherNd(Node &node) {
  int64_t batchDims = node.integerAttr("batch_dims", 0);
  Shape own = node.shape(0), numbers = node.shape(1);
  auto rank = static_cast<int64_t>(own.size());
  if (numbers.empty() || !numbers.back().constant())
    return node.fail("has indices of shape " + describe(numbers));
  int64_t depth = *numbers.back().constant();
  if (batchDims < 0 || batchDims >= static_cast<int64_t>(numbers.size()) || depth < 1 ||
      batchDims + depth > rank)
    return node.fail("has tuples of " + Twine(depth) + " indices and " + Twine(batchDims) +
                     " batch dimensions for an operand of " + Twine(rank) + " dimensions");
  Shape shape(numbers.begin(), numbers.end() - 1);
  shape.append(own.begin() + batchDims + depth, own.end());
  Value x = node.value(0), index = x ? indices(node, 1) : Value();
  if (!index)
    return failure();
  node.set(0, node.create<GatherNdOp>(getTensorType(shape, node.elementType(0)), x, index,
                                      node.builder().getI64IntegerAttr(batchDims)));
  return success();
}

FailureOr<ScatterKind> readScatterKind(Node &node) {
  std::string name = node.stringAttr("reduction", "none");
  std::optional<ScatterKind> kind = name == "none" ? ScatterKind::Set : symbolizeScatterKind(name);
  if (!kind || name == "set")
    return node.fail("attribute 'reduction' is " + quote(name) +
                     ", expected none, add, mul, max or min");
  return *kind;
}

LogicalResult importScatterElements(Node &node) {
  FailureOr<int64_t> dim = node.axis(node.integerAttr("axis", 0), node.rank(0));
  FailureOr<ScatterKind> kind = readScatterKind(node);
  if (failed(dim) || failed(kind))
    return failure();
  Value x = node.value(0), numbers = indices(node, 1), updates = node.value(2);
  if (!x || !numbers || !updates)
    return failure();
  node.set(0, node.create<ScatterElementsOp>(x.getType(), *kind, updates, x, numbers, *dim));
  return success();
}

LogicalResult importScatterNd(Node &node) {
  FailureOr<ScatterKind> kind = readScatterKind(node);
  if (failed(kind))
    return failure();
  Value x = node.value(0), numbers = indices(node, 1), updates = node.value(2);
  if (!x || !numbers || !updates)
    return failure();
  node.set(0, node.create<ScatterNdOp>(x.getType(), *kind, updates, x, numbers));
  return success();
}

/// Zero above or below a diagonal: rows and columns are numbered, and compared.
LogicalResult importTrilu(Node &node) {
  int64_t offset = 0;
  if (node.has(1)) {
    FailureOr<SmallVector<int64_t>> given = node.integers(1, "k");
    if (failed(given))
      return failure();
    if (given->size() != 1)
      return node.fail("has " + Twine(given->size()) + " diagonals, expected one");
    offset = given->front();
  }
  Shape own = node.shape(0);
  Value x = node.value(0);
  if (own.size() < 2 || !x)
    return node.fail("has an operand of shape " + describe(own) + ", expected a matrix");
  SizeExpression rows = own[own.size() - 2], columns = own.back();
  Type i64 = node.builder().getI64Type(), i1 = node.builder().getI1Type();
  // Far off, all diagonals are alike.
  constexpr int64_t far = int64_t{1} << 40;
  offset = std::clamp(offset, -far, far);
  Value row = node.create<RangeOp>(getTensorType({rows}, i64), SizeExpression(offset), 1);
  row = reshape(node, row, {rows, SizeExpression(1)});
  Value column = node.create<RangeOp>(getTensorType({columns}, i64), SizeExpression(0), 1);
  if (!row)
    return failure();
  RankedTensorType type = getTensorType({rows, columns}, i1);
  // The upper triangle has columns >= row + k, the lower one columns <= row + k.
  Value keeps = node.integerAttr("upper", 1)
                    ? Value(node.create<GreaterOrEqualOp>(type, column, row, DenseI64ArrayAttr()))
                    : Value(node.create<LessOrEqualOp>(type, column, row, DenseI64ArrayAttr()));
  Value zero = node.scalar(0, node.elementType(0));
  node.set(0, node.create<WhereOp>(x.getType(), keeps, x, zero, DenseI64ArrayAttr()));
  return success();
}

/// A row of `depth` elements for each index: one value where it points to, else another. An index
/// outside [-depth, depth) points nowhere.
LogicalResult importOneHot(Node &node) {
  // It may be written as a float.
  FailureOr<SizeArray> depth = failure();
  if (std::optional<SizeArray> whole = node.findWholeNumbers(1))
    depth = *whole;
  else
    depth = node.sizes(1, "the depth");
  if (failed(depth))
    return failure();
  if (depth->elements.size() != 1 || (depth->elements[0].constant().value_or(1) < 1))
    return node.fail("has the depth " + describe(depth->elements) +
                     ", expected one number above 0");
  if (node.rank(2) != 1 || node.shape(2)[0].constant() != 2)
    return node.fail("has values of shape " + describe(node.shape(2)) + ", expected two");
  Shape own = node.shape(0);
  FailureOr<int64_t> dim =
      node.axis(node.integerAttr("axis", -1), static_cast<int64_t>(own.size()) + 1);
  Type i64 = node.builder().getI64Type(), i1 = node.builder().getI1Type();
  Value index = failed(dim) ? Value() : node.convert(node.value(0), i64);
  Value values = index ? node.value(2) : Value();
  if (!values)
    return failure();
  const SizeExpression count = depth->elements[0];
  Shape shape = own, places(own.size() + 1, SizeExpression(1));
  shape.insert(shape.begin() + *dim, SizeExpression(1));
  places[*dim] = count;
  Value place = node.create<RangeOp>(getTensorType({count}, i64), SizeExpression(0), 1);
  index = reshape(node, index, shape);
  place = reshape(node, place, places);
  Value end = reshape(node, node.sizeValue(count), {});
  Value isHit = binary<EqualOp>(node, index, place, i1);
  Value isHitFromEnd = binary<EqualOp>(node, binary<AddOp>(node, index, end), place, i1);
  isHit = binary<OrOp>(node, isHit, isHitFromEnd);
  Value off = slice(node, values, 0, SizeExpression(0), SizeExpression(1));
  Value on = slice(node, values, 0, SizeExpression(1), SizeExpression(1));
  if (!isHit || !off || !on)
    return failure();
  RankedTensorType type =
      getTensorType(getShape(cast<RankedTensorType>(isHit.getType())), node.elementType(2));
  node.set(0, node.create<WhereOp>(type, isHit, reshape(node, on, {}), reshape(node, off, {}),
                                   DenseI64ArrayAttr()));
  return success();
}

// ---- Pad ----

enum class PadMode { constant, edge, reflect, wrap };

/// `count` elements to put before (or behind) `x` along `dim`.
Value makePad(Node &node, Value x, int64_t dim, const SizeExpression &count, bool isBefore,
              PadMode mode, Value fill) {
  Shape shape = getShape(cast<RankedTensorType>(x.getType()));
  SizeExpression size = shape[dim];
  if (mode == PadMode::constant || mode == PadMode::edge) {
    Value one = fill;
    if (mode == PadMode::edge) {
      FailureOr<SizeExpression> last = node.size(sizeDifference(size, SizeExpression(1)));
      if (failed(last))
        return {};
      one = slice(node, x, dim, isBefore ? SizeExpression(0) : *last, SizeExpression(1));
    }
    shape[dim] = count;
    return expand(node, one, shape);
  }
  std::optional<int64_t> number = count.constant(), whole = size.constant();
  int64_t most = mode == PadMode::reflect ? 1 : 0;
  if (!number || !whole || *number > *whole - most) {
    (void)node.fail("pads " + count.text() + " elements from a dimension of " + size.text() +
                    ", which does not have them");
    return {};
  }
  if (mode == PadMode::wrap)
    return slice(node, x, dim, SizeExpression(isBefore ? *whole - *number : 0), count);
  return slice(node, x, dim, SizeExpression(isBefore ? *number : *whole - 2), count, -1);
}

LogicalResult importPad(Node &node) {
  std::string name = node.stringAttr("mode", "constant");
  PadMode mode = name == "edge"      ? PadMode::edge
                 : name == "reflect" ? PadMode::reflect
                 : name == "wrap"    ? PadMode::wrap
                                     : PadMode::constant;
  if (mode == PadMode::constant && name != "constant")
    return node.fail("attribute 'mode' is " + quote(name) +
                     ", expected constant, edge, reflect or wrap");
  SmallVector<SizeExpression> pads;
  bool hasAttributes = node.version() < 11;
  if (hasAttributes) {
    auto given = node.integersAttr("pads");
    if (!given)
      return node.fail("lacks the attribute 'pads'");
    pads.assign(given->begin(), given->end());
  } else {
    FailureOr<SizeArray> given = node.sizes(1, "the pads");
    if (failed(given))
      return failure();
    pads.assign(given->elements.begin(), given->elements.end());
  }
  auto rank = node.rank(0);
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  if (node.has(3)) {
    FailureOr<SmallVector<int64_t>> given = node.integers(3, "the axes");
    if (failed(given))
      return failure();
    axes = *given;
  }
  if (pads.size() != 2 * axes.size())
    return node.fail("has " + Twine(pads.size()) + " pads for " + Twine(axes.size()) +
                     " dimensions");
  Value x = node.value(0);
  Value fill;
  if (mode == PadMode::constant)
    fill = node.has(2)
               ? reshape(node, node.value(2), {})
               : node.scalar(hasAttributes ? node.numberAttr("value", 0) : 0, node.elementType(0));
  if (!x || (mode == PadMode::constant && !fill))
    return failure();
  for (auto [i, given] : llvm::enumerate(axes)) {
    FailureOr<int64_t> dim = node.axis(given, rank);
    if (failed(dim))
      return failure();
    SizeExpression counts[] = {pads[i], pads[axes.size() + i]};
    // A negative pad takes elements away.
    for (int end : {0, 1}) {
      std::optional<int64_t> number = counts[end].constant();
      if (!number || *number >= 0)
        continue;
      SizeExpression size = getShape(cast<RankedTensorType>(x.getType()))[*dim];
      MaybeSize rest = sizeSum(size, counts[end]);
      if (!rest || (rest->constant() && *rest->constant() < 0))
        return node.fail("takes " + Twine(-*number) + " elements from a dimension of " +
                         size.text());
      x = slice(node, x, *dim, SizeExpression(end == 0 ? -*number : 0), *rest);
      counts[end] = SizeExpression(0);
    }
    SmallVector<Value> parts;
    for (int end : {0, 1}) {
      if (end == 1)
        parts.push_back(x);
      if (counts[end].constant() == 0)
        continue;
      Value part = makePad(node, x, *dim, counts[end], end == 0, mode, fill);
      if (!part)
        return failure();
      parts.push_back(part);
    }
    x = concat(node, parts, *dim);
    if (!x)
      return failure();
  }
  node.set(0, x);
  return success();
}

constexpr OpEntry entries[] = {
    {"", "Gather", importGather},
    {"", "GatherElements", importGatherElements},
    {"", "GatherND", importGatherNd},
    {"", "OneHot", importOneHot},
    {"", "Pad", importPad},
    {"", "Scatter", importScatterElements},
    {"", "ScatterElements", importScatterElements},
    {"", "ScatterND", importScatterNd},
    {"", "Trilu", importTrilu},
};

} // namespace

ArrayRef<OpEntry> indexingOps() {
  return entries;
}

} // namespace cleave::onnx
