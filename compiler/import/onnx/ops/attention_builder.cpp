// Attention from its parts: what hides keys becomes the op's own flags where it knows them, and
// a summand otherwise.
#include "compiler/import/onnx/ops/attention.h"
#include "compiler/import/onnx/ops/compute.h"
#include "compiler/import/onnx/ops/movement.h"

#include <cmath>
#include <limits>

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {

static constexpr double infinity = std::numeric_limits<double>::infinity();

Value AttentionBuilder::splitHeads(Value x, int64_t heads) {
  if (!x)
    return {};
  Shape shape = shapeOf(x);
  std::optional<int64_t> width = shape.size() == 3 ? shape[2].constant() : std::nullopt;
  if (!width || heads < 1 || *width % heads) {
    (void)node.fail("has an operand of shape " + describe(shape) + " for " + Twine(heads) +
                    " heads");
    return {};
  }
  Shape apart = {shape[0], shape[1], SizeExpression(heads), SizeExpression(*width / heads)};
  return transpose(node, reshape(node, x, apart), {0, 2, 1, 3});
}

Value AttentionBuilder::joinHeads(Value x) {
  if (!x)
    return {};
  Shape shape = shapeOf(x);
  FailureOr<SizeExpression> width = node.size(sizeProduct(shape[1], shape[3]));
  if (failed(width))
    return {};
  return reshape(node, transpose(node, x, {0, 2, 1, 3}), {shape[0], shape[2], *width});
}

Shape AttentionBuilder::shapeOfKeys() {
  return shapeOf(k);
}

/// Numbers 0, 1, ...: [count], or [count, 1].
Value AttentionBuilder::numbers(const SizeExpression &count, bool isColumn) {
  Value all = node.create<RangeOp>(getTensorType({count}, node.builder().getI64Type()),
                                   SizeExpression(0), 1);
  return isColumn ? reshape(node, all, {count, SizeExpression(1)}) : all;
}

Value AttentionBuilder::queryNumbers() {
  return numbers(shapeOf(q)[2], /*isColumn=*/true);
}

LogicalResult AttentionBuilder::check() {
  if (!q || !k || !v)
    return failure();
  Shape queries = shapeOf(q), keyShape = shapeOf(k), values = shapeOf(v);
  if (queries.size() != 4 || keyShape.size() != 4 || values.size() != 4)
    return node.fail("has queries of shape " + describe(queries) + ", keys of shape " +
                     describe(keyShape) + " and values of shape " + describe(values));
  tokens = queries[2];
  keys = keyShape[2];
  std::optional<int64_t> all = queries[1].constant(), shared = keyShape[1].constant();
  std::optional<int64_t> features = queries[3].constant();
  if (!all || !shared || *shared < 1 || *all % *shared || !features || *features < 1)
    return node.fail("has queries of shape " + describe(queries) + " and keys of shape " +
                     describe(keyShape) + ", whose heads do not fit each other");
  group = *all / *shared;
  if (!scale)
    scale = static_cast<float>(1 / std::sqrt(static_cast<double>(*features)));
  return success();
}

/// 0 where a condition holds, else -inf.
Value AttentionBuilder::hiddenBy(Value seen) {
  if (!seen)
    return {};
  return node.create<WhereOp>(getTensorType(shapeOf(seen), f32), seen, node.scalar(0, f32),
                              node.scalar(-infinity, f32), DenseI64ArrayAttr());
}

/// All that hides keys, as a summand: the mask, causality, windows, and paddings behind keys.
/// Null where nothing does.
Value AttentionBuilder::makeBias() {
  Type i64 = node.builder().getI64Type(), i1 = node.builder().getI1Type();
  Value sum = mask;
  if (mask && elementTypeOf(mask).isInteger(1))
    sum = hiddenBy(mask);
  auto hide = [&](Value seen) {
    Value hidden = hiddenBy(seen);
    sum = sum ? binary<AddOp>(node, sum, hidden) : hidden;
  };
  if (!lengths && !isCausal && left < 0 && right < 0)
    return sum;
  Value key = keyPlaces();
  if (lengths)
    hide(binary<LessOp>(node, key, lengths, i1));
  if (!isCausal && left < 0 && right < 0)
    return sum;
  Value place = places;
  if (!place)
    place = reshape(node, Value(node.create<RangeOp>(getTensorType({tokens}, i64), past, 1)),
                    {tokens, SizeExpression(1)});
  if (isCausal)
    hide(binary<LessOrEqualOp>(node, key, place, i1));
  if (left >= 0)
    hide(binary<GreaterOrEqualOp>(node, key, binary<SubOp>(node, place, node.scalar(left, i64)),
                                  i1));
  if (right >= 0)
    hide(binary<LessOrEqualOp>(node, key, binary<AddOp>(node, place, node.scalar(right, i64)), i1));
  return sum;
}

Value AttentionBuilder::bias() {
  if (!madeBias)
    madeBias = makeBias();
  return *madeBias;
}

/// Keys or values and one more, of zeros.
Value AttentionBuilder::withSink(Value x) {
  Shape shape = shapeOf(x);
  shape[2] = SizeExpression(1);
  return concat(node, {x, expand(node, node.scalar(0, f32), shape)}, 2);
}

/// What hides keys, and behind it the sinks as the scores of one key more.
Value AttentionBuilder::biasWithSink() {
  Value hidden = bias() ? bias() : node.scalar(0, f32);
  SizeExpression one(1);
  Shape shape = shapeOf(hidden), heads = {one, shapeOf(q)[1], one, one};
  if (shape.size() > 4) {
    (void)node.fail("has a mask of shape " + describe(shape));
    return {};
  }
  shape.insert(shape.begin(), 4 - shape.size(), one);
  Shape all = {shape[0], heads[1], tokens, keys}, last = all;
  last[3] = one;
  return concat(node, {expand(node, hidden, all), expand(node, reshape(node, sinks, heads), last)},
                3);
}

Value AttentionBuilder::create() {
  // Causality is the op's own where it knows it, from the first key or to the last.
  MaybeSize toLast = sizeDifference(keys, tokens);
  bool fromStart = past == SizeExpression(0);
  bool fromEnd = toLast && *toLast == past && !fromStart;
  bool isPlain =
      !sinks && left < 0 && right < 0 && !lengths && !places && (!isCausal || fromStart || fromEnd);
  OpBuilder &builder = node.builder();
  auto flag = [&](bool isSet) { return isSet ? builder.getUnitAttr() : UnitAttr(); };
  Shape shape = shapeOf(q);
  shape[3] = shapeOf(v)[3];
  Value hidden = isPlain ? mask : sinks ? biasWithSink() : bias();
  Value seenKeys = sinks ? withSink(k) : k, seenValues = sinks ? withSink(v) : v;
  if (!seenKeys || !seenValues || (sinks && !hidden))
    return {};
  return node.create<ScaledDotProductAttentionOp>(
      getTensorType(shape, f32), q, seenKeys, seenValues, hidden, builder.getI64IntegerAttr(group),
      builder.getI64IntegerAttr(0), builder.getF32FloatAttr(*scale),
      builder.getF32FloatAttr(softcap), flag(isCausal && isPlain),
      flag(isCausal && isPlain && fromEnd), builder.getDenseI64ArrayAttr({}));
}

Value AttentionBuilder::scores(int64_t mode) {
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
  Value products = node.create<MatMulOp>(getTensorType(shape, f32), q, repeated, UnitAttr(),
                                         node.builder().getUnitAttr());
  auto scaled = [&](Value x, float factor) {
    return Value(node.create<ScaleOp>(x.getType(), x, node.builder().getF32FloatAttr(factor)));
  };
  products = scaled(products, *scale);
  if (softcap > 0) {
    products = scaled(products, 1 / softcap);
    products = scaled(node.create<TanhOp>(products.getType(), products), softcap);
  }
  if (mode >= 2 && bias())
    products = binary<AddOp>(node, products, bias());
  if (mode != 3 || !products)
    return products;
  products =
      node.create<SoftmaxOp>(products.getType(), products, node.builder().getI64IntegerAttr(3));
  if (!bias())
    return products;
  // A query that sees no key has zeros.
  Shape most = shapeOf(bias());
  int64_t last = static_cast<int64_t>(most.size()) - 1;
  most[last] = SizeExpression(1);
  Value seen = node.create<ReduceOp>(getTensorType(most, f32), bias(),
                                     ReduceKindAttr::get(node.context(), ReduceKind::Max),
                                     node.builder().getDenseI64ArrayAttr({last}), IntegerAttr());
  Value isSeen =
      binary<GreaterOp>(node, seen, node.scalar(-infinity, f32), node.builder().getI1Type());
  if (!isSeen)
    return {};
  return node.create<WhereOp>(products.getType(), isSeen, products, node.scalar(0, f32),
                              DenseI64ArrayAttr());
}

} // namespace cleave::onnx
