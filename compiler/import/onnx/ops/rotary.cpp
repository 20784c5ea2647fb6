// Rotary position embedding (Su et al., 2021), spelled in products and sums. It is computed in f32.
#include "compiler/import/onnx/ops/attention.h"
#include "compiler/import/onnx/ops/compute.h"
#include "compiler/import/onnx/ops/movement.h"
#include "compiler/import/onnx/registry.h"

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {

Value rotate(Node &node, Value x, Value cosines, Value sines, bool interleaved) {
  if (!x || !cosines || !sines)
    return {};
  Shape shape = shapeOf(x), found = shapeOf(cosines);
  std::optional<int64_t> features = shape[3].constant(), pairs = found.back().constant();
  if (found.size() != 3 || !(shapeOf(sines) == found) || !features || !pairs || *pairs < 1 ||
      *pairs > *features / 2) {
    (void)node.fail("has angles of shape " + describe(found) + " and " + describe(shapeOf(sines)) +
                    " for " + shape[3].text() + " features");
    return {};
  }
  Shape spread = {found[0], found[1], SizeExpression(1), found[2]};
  cosines = reshape(node, cosines, spread);
  sines = reshape(node, sines, spread);
  SizeExpression half(*pairs), turned(2 * *pairs);
  Value first, second;
  if (interleaved) {
    first = slice(node, x, 3, SizeExpression(0), half, 2);
    second = slice(node, x, 3, SizeExpression(1), half, 2);
  } else {
    first = slice(node, x, 3, SizeExpression(0), half);
    second = slice(node, x, 3, half, half);
  }
  Value real =
      binary<SubOp>(node, binary<MulOp>(node, first, cosines), binary<MulOp>(node, second, sines));
  Value imaginary =
      binary<AddOp>(node, binary<MulOp>(node, first, sines), binary<MulOp>(node, second, cosines));
  if (!real || !imaginary)
    return {};
  Value result;
  if (interleaved) {
    Shape apart = shapeOf(real), joined = shape;
    apart.push_back(SizeExpression(1));
    joined[3] = turned;
    result = reshape(node,
                     concat(node, {reshape(node, real, apart), reshape(node, imaginary, apart)}, 4),
                     joined);
  } else {
    result = concat(node, {real, imaginary}, 3);
  }
  if (result && 2 * *pairs < *features)
    result = concat(node,
                    {result, slice(node, x, 3, turned, SizeExpression(*features - 2 * *pairs))}, 3);
  return result;
}

namespace {

/// The positions [b or 1, t] of operand `i`; com.microsoft's may be that of the first token.
Value positionsOf(Node &node, unsigned i, const SizeExpression &tokens) {
  Value given = node.value(i);
  if (!given || node.rank(i) != 1)
    return given;
  Value numbers =
      node.create<RangeOp>(getTensorType({tokens}, node.elementType(i)), SizeExpression(0), 1);
  Value places = binary<AddOp>(node, numbers, given);
  return places ? reshape(node, places, {SizeExpression(1), tokens}) : Value();
}

/// Pairs of each head turn by angles whose cosines and sines are operands.
LogicalResult importRotaryEmbedding(Node &node) {
  bool isMicrosoft = node.message().domain() == "com.microsoft";
  unsigned cosines = isMicrosoft ? 2 : 1, sines = cosines + 1, ids = isMicrosoft ? 1 : 3;
  if (node.integerAttr("is_packed_batching", 0))
    return node.fail("has batches without padding (is_packed_batching), which is not supported");
  if (node.numberAttr("scale", 1) != 1)
    return node.fail("scales what it turns, which is not supported");
  Value x = f32Value(node, 0);
  if (!x)
    return failure();
  Shape own = node.shape(0), shape = own;
  if (own.size() == 4) {
    x = transpose(node, x, {0, 2, 1, 3});
    shape = shapeOf(x);
  } else if (own.size() == 3) {
    int64_t heads = node.integerAttr("num_heads", 0);
    std::optional<int64_t> width = own[2].constant();
    if (isMicrosoft && heads == 0 && width && node.type(cosines).hasStaticShape() &&
        node.rank(cosines) > 0)
      heads = *width / std::max<int64_t>(1, 2 * node.type(cosines).getShape().back());
    if (!width || heads < 1 || *width % heads)
      return node.fail("has an operand of shape " + describe(own) + " for " + Twine(heads) +
                       " heads");
    shape = {own[0], own[1], SizeExpression(heads), SizeExpression(*width / heads)};
    x = reshape(node, x, shape);
  } else {
    return node.fail("has an operand of shape " + describe(own));
  }
  std::optional<int64_t> features = shape[3].constant();
  int64_t turned = node.integerAttr("rotary_embedding_dim", 0);
  turned = turned ? turned : features.value_or(0);
  if (!features || turned < 2 || turned % 2 || turned > *features)
    return node.fail("turns " + Twine(turned) + " of " + shape[3].text() + " features");

  Value places;
  if (node.has(ids) && !(places = positionsOf(node, ids, shape[1])))
    return failure();
  Value angles[2]; // [b or 1, t, turned / 2] each
  for (unsigned i : {0, 1}) {
    unsigned operand = i == 0 ? cosines : sines;
    Value table = f32Value(node, operand);
    Shape found = node.shape(operand);
    if (!table)
      return failure();
    if (places) {
      if (found.size() != 2)
        return node.fail("has a table of shape " + describe(found));
      Shape taken = shapeOf(places);
      taken.push_back(found[1]);
      found = taken;
      table =
          node.create<TakeOp>(getTensorType(taken, elementTypeOf(table)), table, places, /*dim=*/0);
    }
    if (found.size() != 3 || !(found[2] == SizeExpression(turned / 2)))
      return node.fail("has angles of shape " + describe(found) + " for " + Twine(turned) +
                       " features");
    angles[i] = table;
  }
  Value result = rotate(node, x, angles[0], angles[1], node.integerAttr("interleaved", 0));
  result = own.size() == 4 ? transpose(node, result, {0, 2, 1, 3}) : reshape(node, result, own);
  node.set(0, node.convert(result, node.elementType(0)));
  return success(static_cast<bool>(result));
}

constexpr OpEntry entries[] = {
    {"", "RotaryEmbedding", importRotaryEmbedding},
    {"com.microsoft", "RotaryEmbedding", importRotaryEmbedding},
};

} // namespace

ArrayRef<OpEntry> rotaryOps() {
  return entries;
}

} // namespace cleave::onnx
