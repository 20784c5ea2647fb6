// Einsum: sums, diagonals, transposes, and a batched product for each operand after the first.
#include "compiler/import/onnx/ops/compute.h"
#include "compiler/import/onnx/ops/movement.h"
#include "compiler/import/onnx/registry.h"

#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {
namespace {

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
  Shape shape, own = shapeOf(x.value);
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
  Shape all = shapeOf(value);
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

/// The value with each letter once: where dimensions share one, their diagonal.
Lettered takeDiagonals(Node &node, Lettered x) {
  for (size_t second = 0; second < x.letters.size(); ++second) {
    size_t first = x.letters.find(x.letters[second]);
    if (first == second)
      continue;
    Shape own = shapeOf(x.value);
    std::optional<int64_t> size = own[first].constant();
    if (!size || !(own[first] == own[second])) {
      (void)node.fail("takes the diagonal of dimensions of " + own[first].text() + " and " +
                      own[second].text() + " elements, expected as many, known, of each");
      return {};
    }
    SmallVector<int64_t> order;
    Lettered rest;
    Shape joined;
    for (size_t dim = 0; dim < own.size(); ++dim)
      if (dim != first && dim != second) {
        order.push_back(static_cast<int64_t>(dim));
        joined.push_back(own[dim]);
        rest.letters += x.letters[dim];
      }
    order.append({static_cast<int64_t>(first), static_cast<int64_t>(second)});
    joined.push_back(SizeExpression(*size * *size));
    Value pairs = reshape(node, transpose(node, x.value, order), joined);
    rest.value = slice(node, pairs, static_cast<int64_t>(joined.size()) - 1, SizeExpression(0),
                       SizeExpression(*size), *size + 1);
    rest.letters += x.letters[second];
    if (!rest.value)
      return {};
    x = rest;
    second = 0;
  }
  return x;
}

/// The product of two operands, summed over the letters that they share and that are not `kept`.
/// What one alone has and is not kept is summed beforehand.
Lettered contract(Node &node, Lettered x, Lettered y, StringRef kept) {
  x = sumOthers(node, x, (kept + y.letters).str());
  y = sumOthers(node, y, (kept + x.letters).str());
  std::string batch, left, right, inner;
  for (char letter : x.letters)
    (!StringRef(y.letters).contains(letter) ? left
     : kept.contains(letter)                ? batch
                                            : inner) += letter;
  for (char letter : y.letters)
    if (!StringRef(x.letters).contains(letter))
      right += letter;
  Shape xBatch, xRows, xInner, yBatch, yInner, yColumns;
  Value a = arrange(node, x, batch, left, inner, xRows, xInner, xBatch);
  Value b = a ? arrange(node, y, batch, inner, right, yInner, yColumns, yBatch) : Value();
  if (!b)
    return {};
  FailureOr<Shape> shape = node.broadcast({xBatch, yBatch});
  if (failed(shape))
    return {};
  if (!(xInner == yInner)) {
    (void)node.fail("multiplies dimensions of one letter whose sizes are not known to be equal");
    return {};
  }
  Shape apart = *shape;
  shape->append({shapeOf(a)[batch.size()], shapeOf(b).back()});
  Value product = node.create<MatMulOp>(getTensorType(*shape, node.builder().getF32Type()), a, b,
                                        UnitAttr(), UnitAttr());
  llvm::append_range(apart, xRows);
  llvm::append_range(apart, yColumns);
  return {reshape(node, product, apart), batch + left + right};
}

/// The terms with an ellipsis as digits, the last of which is the last dimension it stands for.
std::optional<std::string> spellOut(StringRef term, int64_t count) {
  std::string letters;
  size_t at = term.find("...");
  for (size_t i = 0; i < term.size(); ++i) {
    if (i == at) {
      for (int64_t digit = count; digit-- > 0;)
        letters += static_cast<char>('0' + digit);
      i += 2;
    } else if (llvm::isAlpha(term[i])) {
      letters += term[i];
    } else {
      return std::nullopt;
    }
  }
  return letters;
}

/// What a result has that the equation does not name: the ellipsis, and in alphabetical order the
/// letters that stand once in `all` terms.
std::string implicitOutput(StringRef all, int64_t most) {
  std::string output;
  for (int64_t digit = most; digit-- > 0;)
    output += static_cast<char>('0' + digit);
  std::string letters = all.str();
  llvm::sort(letters);
  for (char letter : letters)
    if (llvm::isAlpha(letter) && llvm::count(all, letter) == 1)
      output += letter;
  return output;
}

LogicalResult importEinsum(Node &node) {
  std::string equation = node.stringAttr("equation", "");
  llvm::erase(equation, ' ');
  auto [inputs, given] = StringRef(equation).split("->");
  SmallVector<StringRef> terms;
  inputs.split(terms, ',');
  auto refuse = [&] {
    return node.fail("has the equation " + quote(equation) +
                     ", which is not one of its operands' dimensions, or has a result with other "
                     "letters, or with one twice");
  };
  if (terms.size() != node.numInputs())
    return refuse();
  SmallVector<Lettered> operands;
  std::string all;  // terms, spelled out
  int64_t most = 0; // dimensions of an ellipsis
  for (auto [i, term] : llvm::enumerate(terms)) {
    if (!isa<FloatType>(node.elementType(i)))
      return node.fail("multiplies elements that are no floats, which is not supported");
    bool hasEllipsis = term.contains("...");
    int64_t others = node.rank(i) - static_cast<int64_t>(term.size()) + (hasEllipsis ? 3 : 0);
    std::optional<std::string> letters = spellOut(term, std::max<int64_t>(others, 0));
    if (!letters || others < 0 || (others > 0 && !hasEllipsis))
      return refuse();
    most = std::max(most, others);
    all += *letters;
    Value value = f32Value(node, i);
    if (!value)
      return failure();
    operands.push_back(takeDiagonals(node, {value, *letters}));
    if (!operands.back().value)
      return failure();
  }
  std::optional<std::string> output =
      StringRef(equation).contains("->") ? spellOut(given, most) : implicitOutput(all, most);
  if (!output)
    return refuse();
  for (auto [i, letter] : llvm::enumerate(*output)) {
    auto hasLetter = [&](const Lettered &each) { return StringRef(each.letters).contains(letter); };
    if (output->find(letter) != i || llvm::none_of(operands, hasLetter))
      return refuse();
  }
  Lettered result = operands.front();
  for (size_t i = 1; i < operands.size(); ++i) {
    std::string kept = *output;
    for (const Lettered &later : ArrayRef<Lettered>(operands).drop_front(i + 1))
      kept += later.letters;
    result = contract(node, result, operands[i], kept);
    if (!result.value)
      return failure();
  }
  result = sumOthers(node, result, *output);
  Value final = transpose(node, result.value, orderOf(result.letters, *output));
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
