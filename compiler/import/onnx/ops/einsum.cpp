// Einsum of one or two operands: sums, transposes, and one batched product.
#include "compiler/import/onnx/ops/movement.h"
#include "compiler/import/onnx/registry.h"

#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {
namespace {

RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

/// A value whose dimensions have letters.
struct Lettered {
  Value value;
  std::string letters;
};

/// The places in `from` of the letters `to`.
SmallVector<int64_t> orderOf(StringRef from, StringRef to) {
  SmallVector<int64_t> order;
  for (char letter : to)
    order.push_back(static_cast<int64_t>(from.find(letter)));
  return order;
}

/// The value with the dimensions gone whose letters are not in `kept`: they are summed.
Lettered sumOthers(Node &node, Lettered x, StringRef kept) {
  SmallVector<int64_t> dims;
  std::string rest;
  Shape shape, own = getShape(typeOf(x.value));
  for (auto [dim, letter] : llvm::enumerate(x.letters)) {
    if (kept.contains(letter)) {
      rest += letter;
      shape.push_back(own[dim]);
    } else {
      dims.push_back(static_cast<int64_t>(dim));
    }
  }
  if (dims.empty())
    return x;
  Type f32 = node.builder().getF32Type();
  return {node.create<ReduceOp>(getTensorType(shape, f32), x.value,
                                ReduceKindAttr::get(node.context(), ReduceKind::Sum),
                                node.builder().getDenseI64ArrayAttr(dims), IntegerAttr()),
          rest};
}

/// In the order batch, then `first`, then `second`, the latter two joined into one each.
Value arrange(Node &node, const Lettered &x, StringRef batch, StringRef first, StringRef second,
              Shape &firstShape, Shape &secondShape, Shape &batchShape) {
  Value value = transpose(node, x.value, orderOf(x.letters, (batch + first + second).str()));
  if (!value)
    return {};
  Shape all = getShape(typeOf(value));
  batchShape.assign(all.begin(), all.begin() + batch.size());
  firstShape.assign(all.begin() + batch.size(), all.begin() + batch.size() + first.size());
  secondShape.assign(all.begin() + batch.size() + first.size(), all.end());
  FailureOr<SizeExpression> rows = node.size(product(firstShape));
  FailureOr<SizeExpression> columns = node.size(product(secondShape));
  if (failed(rows) || failed(columns))
    return {};
  Shape joined = batchShape;
  joined.append({*rows, *columns});
  return reshape(node, value, joined);
}

LogicalResult importEinsum(Node &node) {
  std::string equation = node.stringAttr("equation", "");
  llvm::erase(equation, ' ');
  auto [inputs, output] = StringRef(equation).split("->");
  SmallVector<StringRef> terms;
  inputs.split(terms, ',');
  auto refuse = [&] {
    return node.fail("has the equation " + quote(equation) +
                     ", which is not supported; expected one or two operands, each with distinct "
                     "letters, and a result whose letters they have");
  };
  if (!StringRef(equation).contains("->") || terms.size() != node.numInputs() || terms.size() > 2)
    return refuse();
  Type f32 = node.builder().getF32Type();
  auto isDistinct = [](StringRef letters) {
    for (auto [i, letter] : llvm::enumerate(letters))
      if (!llvm::isAlpha(letter) || letters.drop_front(i + 1).contains(letter))
        return false;
    return true;
  };
  SmallVector<Lettered> operands;
  if (!isDistinct(output))
    return refuse();
  for (auto [i, term] : llvm::enumerate(terms)) {
    if (!isDistinct(term) || static_cast<int64_t>(term.size()) != node.rank(i) ||
        !isa<FloatType>(node.elementType(i)))
      return refuse();
    Value value = node.convert(node.value(i), f32);
    if (!value)
      return failure();
    operands.push_back({value, term.str()});
  }
  std::string everything = inputs.str();
  for (char letter : output)
    if (!StringRef(everything).contains(letter))
      return refuse();
  Lettered result =
      sumOthers(node, operands[0], terms.size() == 2 ? (output + terms[1]).str() : output.str());
  if (terms.size() == 2) {
    Lettered other = sumOthers(node, operands[1], (output + result.letters).str());
    std::string batch, left, right, inner;
    for (char letter : result.letters)
      (!StringRef(other.letters).contains(letter) ? left
       : output.contains(letter)                  ? batch
                                                  : inner) += letter;
    for (char letter : other.letters)
      if (!StringRef(result.letters).contains(letter))
        right += letter;
    Shape batchShape, leftShape, innerShape, otherBatch, otherInner, rightShape;
    Value a = arrange(node, result, batch, left, inner, leftShape, innerShape, batchShape);
    Value b =
        a ? arrange(node, other, batch, inner, right, otherInner, rightShape, otherBatch) : Value();
    if (!b)
      return failure();
    if (!(batchShape == otherBatch) || !(innerShape == otherInner))
      return node.fail("multiplies dimensions of one letter whose sizes are not known to be equal");
    Shape shape = batchShape;
    shape.append({getShape(typeOf(a))[batch.size()], getShape(typeOf(b)).back()});
    Value multiplied =
        node.create<MatMulOp>(getTensorType(shape, f32), a, b, UnitAttr(), UnitAttr());
    Shape apart = batchShape;
    llvm::append_range(apart, leftShape);
    llvm::append_range(apart, rightShape);
    result = {reshape(node, multiplied, apart), batch + left + right};
  }
  Value final =
      result.value ? transpose(node, result.value, orderOf(result.letters, output)) : Value();
  node.set(0, node.convert(final, node.elementType(0)));
  return success(static_cast<bool>(final));
}

constexpr OpEntry entries[] = {
    {"", "Einsum", importEinsum},
};

} // namespace

ArrayRef<OpEntry> einsumOps() {
  return entries;
}

} // namespace cleave::onnx
