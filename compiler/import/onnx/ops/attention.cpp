// Attention over queries, keys and values, and rotary position embedding. Both are computed in
// f32.
#include "compiler/import/onnx/ops/movement.h"
#include "compiler/import/onnx/registry.h"

#include <cmath>
#include <limits>

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {
namespace {

Shape shapeOf(Value value) {
  return getShape(cast<RankedTensorType>(value.getType()));
}

/// `OpT` of two values, broadcast; null where one is, or they do not fit.
template <typename OpT> Value binary(Node &node, Value a, Value b, Type resultType = {}) {
  if (!a || !b)
    return {};
  FailureOr<Shape> shape = node.broadcast({shapeOf(a), shapeOf(b)});
  if (failed(shape))
    return {};
  Type elementType = cast<RankedTensorType>(a.getType()).getElementType();
  return node.create<OpT>(getTensorType(*shape, resultType ? resultType : elementType), a, b,
                          DenseI64ArrayAttr());
}

/// 0 where a condition holds, else -inf.
Value maskedBias(Node &node, Value condition) {
  if (!condition)
    return {};
  Type f32 = node.builder().getF32Type();
  Value zero = node.scalar(0, f32),
        none = node.scalar(-std::numeric_limits<double>::infinity(), f32);
  return node.create<WhereOp>(getTensorType(shapeOf(condition), f32), condition, zero, none,
                              DenseI64ArrayAttr());
}

// ---- Attention ----

/// One Attention node: its operands as [batch, heads, tokens, features].
class AttentionImporter {
public:
  explicit AttentionImporter(Node &node) : node(node), f32(node.builder().getF32Type()) {}
  LogicalResult import();

private:
  Value headed(unsigned i, int64_t heads);
  Value joinPast(Value now, unsigned past);
  LogicalResult makeMask();
  Value makeBias();
  Value makeScores(float scale, float softcap);
  Value positions(const SizeExpression &count, bool isColumn);

  Node &node;
  Type f32;
  Value q, k, v, mask, bias;
  SizeExpression tokens, keys, past;
  bool isCausal = false;
  int64_t left = -1, right = -1, group = 1;
};

/// Operand `i` as f32 [b, heads, t, d]; with three dimensions the heads are in the last.
Value AttentionImporter::headed(unsigned i, int64_t heads) {
  Value x = node.convert(node.value(i), f32);
  if (!x || node.rank(i) == 4)
    return x;
  Shape shape = node.shape(i);
  std::optional<int64_t> width = shape.size() == 3 ? shape[2].constant() : std::nullopt;
  if (!width || heads < 1 || *width % heads) {
    (void)node.fail("has operand " + Twine(i) + " of shape " + describe(shape) + " for " +
                    Twine(heads) + " heads");
    return {};
  }
  return transpose(
      node,
      reshape(node, x, {shape[0], shape[1], SizeExpression(heads), SizeExpression(*width / heads)}),
      {0, 2, 1, 3});
}

Value AttentionImporter::joinPast(Value now, unsigned i) {
  if (!node.has(i) || !now)
    return now;
  Value before = node.convert(node.value(i), f32);
  if (before && node.rank(i) != 4) {
    (void)node.fail("has a cache of shape " + describe(node.shape(i)));
    return {};
  }
  return concat(node, {before, now}, 2);
}

/// Numbers 0, 1, ...: [count], or [count, 1].
Value AttentionImporter::positions(const SizeExpression &count, bool isColumn) {
  Value numbers = node.create<RangeOp>(getTensorType({count}, node.builder().getI64Type()),
                                       SizeExpression(0), 1);
  return isColumn ? reshape(node, numbers, {count, SizeExpression(1)}) : numbers;
}

/// The mask as long as the keys: what it lacks is not seen.
LogicalResult AttentionImporter::makeMask() {
  if (!node.has(3))
    return success();
  mask = node.value(3);
  if (!mask)
    return failure();
  Type type = node.elementType(3);
  if (!type.isInteger(1))
    mask = node.convert(mask, type = f32);
  Shape shape = node.shape(3);
  if (shape.empty() || shape.back() == keys || shape.back().constant() == 1)
    return success(static_cast<bool>(mask));
  FailureOr<SizeExpression> missing = node.size(sizeDifference(keys, shape.back()));
  if (failed(missing) || !mask)
    return failure();
  if (!missing->isNonNegative())
    return node.fail("has a mask for " + shape.back().text() + " keys, but there are " +
                     keys.text());
  double unseen = type.isInteger(1) ? 0 : -std::numeric_limits<double>::infinity();
  shape.back() = *missing;
  mask = concat(node, {mask, expand(node, node.scalar(unseen, type), shape)}, shape.size() - 1);
  return success(static_cast<bool>(mask));
}

/// All that hides keys, as a summand: the mask, causality, windows, and paddings behind keys.
Value AttentionImporter::makeBias() {
  Type i64 = node.builder().getI64Type(), i1 = node.builder().getI1Type();
  Value sum = mask;
  if (mask && node.elementType(3).isInteger(1))
    sum = maskedBias(node, mask);
  auto hide = [&](Value seen) {
    Value hidden = maskedBias(node, seen);
    sum = sum ? binary<AddOp>(node, sum, hidden) : hidden;
  };
  Value key = positions(keys, /*isColumn=*/false);
  Value lengths;
  if (node.has(6)) {
    lengths = node.value(6);
    lengths =
        lengths
            ? reshape(node, lengths,
                      {node.shape(6)[0], SizeExpression(1), SizeExpression(1), SizeExpression(1)})
            : Value();
    hide(binary<LessOp>(node, key, lengths, i1));
  }
  if (!isCausal && left < 0 && right < 0)
    return sum;
  // A query's place among the keys.
  Value place;
  if (lengths) {
    Value count = node.create<RangeOp>(getTensorType({SizeExpression(1)}, i64), tokens, 1);
    place = binary<AddOp>(node, positions(tokens, /*isColumn=*/true),
                          binary<SubOp>(node, lengths, count));
  } else {
    place = reshape(node, Value(node.create<RangeOp>(getTensorType({tokens}, i64), past, 1)),
                    {tokens, SizeExpression(1)});
  }
  if (isCausal)
    hide(binary<LessOrEqualOp>(node, key, place, i1));
  if (left >= 0)
    hide(binary<GreaterOrEqualOp>(node, key, binary<SubOp>(node, place, node.scalar(left, i64)),
                                  i1));
  if (right >= 0)
    hide(binary<LessOrEqualOp>(node, key, binary<AddOp>(node, place, node.scalar(right, i64)), i1));
  return sum;
}

/// The fourth result: the products of queries and keys, at the stage that the node asks for.
Value AttentionImporter::makeScores(float scale, float softcap) {
  int64_t mode = node.integerAttr("qk_matmul_output_mode", 0);
  Value repeated = k;
  if (group > 1) { // each key head stands for a group of query heads
    Shape shape = shapeOf(k), apart = shape, joined = shape;
    apart.insert(apart.begin() + 2, SizeExpression(1));
    Shape all = apart;
    all[2] = SizeExpression(group);
    joined[1] = shapeOf(q)[1];
    repeated = reshape(node, expand(node, reshape(node, k, apart), all), joined);
  }
  if (!repeated)
    return {};
  Shape shape = shapeOf(q);
  shape[3] = keys;
  Value scores = node.create<MatMulOp>(getTensorType(shape, f32), q, repeated, UnitAttr(),
                                       node.builder().getUnitAttr());
  auto scaled = [&](Value x, float factor) {
    return Value(node.create<ScaleOp>(x.getType(), x, node.builder().getF32FloatAttr(factor)));
  };
  scores = scaled(scores, scale);
  if (softcap > 0) {
    scores = scaled(scores, 1 / softcap);
    scores = scaled(node.create<TanhOp>(scores.getType(), scores), softcap);
  }
  if (mode >= 2 && bias)
    scores = binary<AddOp>(node, scores, bias);
  if (mode != 3 || !scores)
    return scores;
  scores = node.create<SoftmaxOp>(scores.getType(), scores, node.builder().getI64IntegerAttr(3));
  if (!bias)
    return scores;
  // A query that sees no key has zeros.
  Shape most = shapeOf(bias);
  int64_t last = static_cast<int64_t>(most.size()) - 1;
  most[last] = SizeExpression(1);
  Value seen = node.create<ReduceOp>(getTensorType(most, f32), bias,
                                     ReduceKindAttr::get(node.context(), ReduceKind::Max),
                                     node.builder().getDenseI64ArrayAttr({last}), IntegerAttr());
  Value hidden = node.scalar(-std::numeric_limits<double>::infinity(), f32);
  Value isSeen = binary<GreaterOp>(node, seen, hidden, node.builder().getI1Type());
  if (!isSeen)
    return {};
  return node.create<WhereOp>(scores.getType(), isSeen, scores, node.scalar(0, f32),
                              DenseI64ArrayAttr());
}

LogicalResult AttentionImporter::import() {
  for (unsigned i : {0, 1, 2})
    if (node.rank(i) != node.rank(0) || (node.rank(i) != 3 && node.rank(i) != 4))
      return node.fail("has operand " + Twine(i) + " of shape " + describe(node.shape(i)));
  int64_t heads = node.integerAttr("q_num_heads", 0),
          keyHeads = node.integerAttr("kv_num_heads", 0);
  q = headed(0, heads);
  k = q ? joinPast(headed(1, keyHeads), 4) : Value();
  v = k ? joinPast(headed(2, keyHeads), 5) : Value();
  if (!v)
    return failure();
  Shape queries = shapeOf(q), keyShape = shapeOf(k), values = shapeOf(v);
  tokens = queries[2];
  keys = keyShape[2];
  past = node.has(4) ? node.shape(4)[2] : SizeExpression(0);
  std::optional<int64_t> all = queries[1].constant(), shared = keyShape[1].constant();
  std::optional<int64_t> features = queries[3].constant();
  if (!all || !shared || *shared < 1 || *all % *shared || !features || *features < 1)
    return node.fail("has queries of shape " + describe(queries) + " and keys of shape " +
                     describe(keyShape) + ", whose heads do not fit each other");
  group = *all / *shared;
  isCausal = node.integerAttr("is_causal", 0);
  left = node.integerAttr("left_window_size", -1);
  right = node.integerAttr("right_window_size", -1);
  float scale =
      node.numberAttr("scale", static_cast<float>(1 / std::sqrt(static_cast<double>(*features))));
  float softcap = node.numberAttr("softcap", 0);
  if (failed(makeMask()))
    return failure();

  // Causality is the op's own where it knows it, from the first key or to the last.
  MaybeSize toLast = sizeDifference(keys, tokens);
  bool fromEnd = toLast && *toLast == past && !(past == SizeExpression(0));
  bool isPlain =
      left < 0 && right < 0 && !node.has(6) && (!isCausal || past == SizeExpression(0) || fromEnd);
  if (!isPlain || node.wants(3))
    bias = makeBias();
  auto flag = [&](bool isSet) { return isSet ? node.builder().getUnitAttr() : UnitAttr(); };
  OpBuilder &builder = node.builder();
  Shape shape = queries;
  shape[3] = values[3];
  Value result = node.create<ScaledDotProductAttentionOp>(
      getTensorType(shape, f32), q, k, v, isPlain ? mask : bias, builder.getI64IntegerAttr(group),
      builder.getI64IntegerAttr(0), builder.getF32FloatAttr(scale),
      builder.getF32FloatAttr(softcap), flag(isCausal && isPlain),
      flag(isCausal && isPlain && fromEnd));
  if (node.rank(0) == 3) {
    FailureOr<SizeExpression> width = node.size(sizeProduct(shape[1], shape[3]));
    if (failed(width))
      return failure();
    result = reshape(node, transpose(node, result, {0, 2, 1, 3}), {shape[0], shape[2], *width});
  }
  node.set(0, node.convert(result, node.elementType(0)));
  if (node.wants(1))
    node.set(1, node.convert(k, node.elementType(1)));
  if (node.wants(2))
    node.set(2, node.convert(v, node.elementType(2)));
  if (node.wants(3))
    node.set(3, node.convert(makeScores(scale, softcap), node.elementType(0)));
  return success(static_cast<bool>(result));
}

LogicalResult importAttention(Node &node) {
  return AttentionImporter(node).import();
}

// ---- Rotary embedding ----

/// Pairs of each head turn by angles whose cosines and sines are operands.
LogicalResult importRotaryEmbedding(Node &node) {
  bool isMicrosoft = node.message().domain() == "com.microsoft";
  unsigned cosines = isMicrosoft ? 2 : 1, sines = cosines + 1, ids = isMicrosoft ? 1 : 3;
  Type f32 = node.builder().getF32Type();
  Value x = node.convert(node.value(0), f32);
  if (!x)
    return failure();
  Shape own = node.shape(0), shape = own;
  if (own.size() == 4) {
    x = transpose(node, x, {0, 2, 1, 3});
    shape = shapeOf(x);
  } else if (own.size() == 3) {
    int64_t heads = node.integerAttr("num_heads", 0);
    std::optional<int64_t> width = own[2].constant();
    if (isMicrosoft && heads == 0 && width && node.type(cosines).hasStaticShape())
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
  bool interleaved = node.integerAttr("interleaved", 0);

  // [b or 1, t, 1, turned / 2] each.
  Value angles[2];
  for (unsigned i : {0, 1}) {
    unsigned operand = i == 0 ? cosines : sines;
    Value table = node.convert(node.value(operand), f32);
    if (!table)
      return failure();
    Shape found = node.shape(operand);
    if (node.has(ids)) {
      Value numbers = node.value(ids);
      if (!numbers || found.size() != 2)
        return node.fail("has a table of shape " + describe(found));
      if (isMicrosoft && node.rank(ids) == 1)
        return node.fail("has an offset for positions, expected the positions themselves");
      found = {node.shape(ids)[0], node.shape(ids).back(), found[1]};
      table = node.create<TakeOp>(getTensorType(found, f32), table, numbers,
                                  node.builder().getI64IntegerAttr(0));
    }
    if (found.size() != 3 || !(found[2] == SizeExpression(turned / 2)))
      return node.fail("has angles of shape " + describe(found) + " for " + Twine(turned) +
                       " features");
    angles[i] = reshape(node, table, {found[0], found[1], SizeExpression(1), found[2]});
  }
  SizeExpression half(turned / 2), step(turned);
  Value first, second;
  if (interleaved) {
    first = slice(node, x, 3, SizeExpression(0), half, 2);
    second = slice(node, x, 3, SizeExpression(1), half, 2);
  } else {
    first = slice(node, x, 3, SizeExpression(0), half);
    second = slice(node, x, 3, half, half);
  }
  Value real = binary<SubOp>(node, binary<MulOp>(node, first, angles[0]),
                             binary<MulOp>(node, second, angles[1]));
  Value imaginary = binary<AddOp>(node, binary<MulOp>(node, first, angles[1]),
                                  binary<MulOp>(node, second, angles[0]));
  if (!real || !imaginary)
    return failure();
  Shape turnedShape = shape;
  turnedShape[3] = step;
  Value result;
  if (interleaved) {
    Shape apart = shapeOf(real);
    apart.push_back(SizeExpression(1));
    result = reshape(node,
                     concat(node, {reshape(node, real, apart), reshape(node, imaginary, apart)}, 4),
                     turnedShape);
  } else {
    result = concat(node, {real, imaginary}, 3);
  }
  if (result && turned < *features)
    result = concat(node, {result, slice(node, x, 3, step, SizeExpression(*features - turned))}, 3);
  result = own.size() == 4 ? transpose(node, result, {0, 2, 1, 3}) : reshape(node, result, own);
  node.set(0, node.convert(result, node.elementType(0)));
  return success(static_cast<bool>(result));
}

constexpr OpEntry entries[] = {
    {"", "Attention", importAttention},
    {"", "RotaryEmbedding", importRotaryEmbedding},
    {"com.microsoft", "RotaryEmbedding", importRotaryEmbedding},
};

} // namespace

ArrayRef<OpEntry> attentionOps() {
  return entries;
}

} // namespace cleave::onnx
