// The attention ops of the domain com.microsoft, as onnxruntime's optimizer and the exporters for
// it make them: meaning and defaults are onnxruntime's.
#include "compiler/import/onnx/ops/attention.h"
#include "compiler/import/onnx/ops/compute.h"
#include "compiler/import/onnx/ops/movement.h"
#include "compiler/import/onnx/ops/products.h"
#include "compiler/import/onnx/registry.h"

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {
namespace {

constexpr llvm::StringLiteral partNames[] = {"q", "k", "v"};

/// Refuses the operands and attributes that are not supported, by name.
LogicalResult refuse(Node &node, ArrayRef<std::pair<unsigned, StringRef>> operands,
                     ArrayRef<StringRef> flags) {
  for (auto [i, what] : operands)
    if (node.has(i))
      return node.fail("has operand " + Twine(i) + ", " + what + ", which is not supported");
  for (StringRef flag : flags)
    if (node.integerAttr(flag, 0) > 0)
      return node.fail("has the attribute " + quote(flag) + ", which is not supported");
  return success();
}

/// The attribute `scale`, which also 0 leaves open.
std::optional<float> scaleOf(Node &node) {
  float scale = node.numberAttr("scale", 0);
  return scale == 0 ? std::nullopt : std::optional(scale);
}

/// What operand `i` hides as a summand: lengths [b], with `canHaveStarts` ends and starts [2 * b],
/// or what is seen where it is above 0, [b, s] or [b, t, s]. The keys that are hidden are not gone:
/// a query that sees none weighs them all.
Value maskSummand(Node &node, unsigned i, AttentionBuilder &attention, bool canHaveStarts) {
  Value given = node.value(i);
  if (!given)
    return {};
  Shape shape = node.shape(i), queries = shapeOf(attention.q);
  SizeExpression one(1), batch = queries[0], tokens = queries[2];
  SizeExpression keys = shapeOf(attention.k)[2];
  OpBuilder &builder = node.builder();
  Type type = node.elementType(i), i1 = builder.getI1Type(), f32 = builder.getF32Type();
  auto half = [&](const SizeExpression &begin) {
    return reshape(node, slice(node, given, 0, begin, batch), {batch, one, one, one});
  };
  MaybeSize twice = sizeProduct(batch, SizeExpression(2));
  bool hasStarts = canHaveStarts && shape.size() == 1 && twice && shape[0] == *twice;
  Value seen;
  if (hasStarts || shape == Shape{batch}) {
    Value key = node.create<RangeOp>(getTensorType({keys}, type), SizeExpression(0), 1);
    seen = binary<LessOp>(node, key, half(SizeExpression(0)), i1);
    if (hasStarts)
      seen = binary<AndOp>(node, seen, binary<GreaterOrEqualOp>(node, key, half(batch), i1));
  } else if (shape == Shape{batch, keys} || shape == Shape{batch, tokens, keys}) {
    Shape spread = {batch, one, shape.size() == 3 ? tokens : one, keys};
    seen = binary<GreaterOp>(node, reshape(node, given, spread), node.scalar(0, type), i1);
  } else {
    (void)node.fail("has a mask of shape " + describe(shape) + " for queries of shape " +
                    describe(queries) + " and " + keys.text() + " keys");
  }
  if (!seen)
    return {};
  Value hidden = node.scalar(node.numberAttr("mask_filter_value", -10000), f32);
  return node.create<WhereOp>(getTensorType(shapeOf(seen), f32), seen, node.scalar(0, f32), hidden,
                              DenseI64ArrayAttr());
}

/// Adds operand `i` to the mask; it is a summand of the scores.
LogicalResult addBias(Node &node, unsigned i, AttentionBuilder &attention) {
  if (!node.has(i))
    return success();
  Value bias = f32Value(node, i);
  attention.mask = attention.mask && bias ? binary<AddOp>(node, attention.mask, bias) : bias;
  return success(static_cast<bool>(attention.mask));
}

/// Sets the result, which is as operand 0 in its element type.
LogicalResult finish(Node &node, AttentionBuilder &attention) {
  Value result = attention.joinHeads(attention.create());
  node.set(0, node.convert(result, node.elementType(0)));
  return success(static_cast<bool>(result));
}

// ---- Attention ----

/// Part `part` of a tensor whose first dimension says which, without that dimension.
Value partOf(Node &node, Value x, int64_t dim, int64_t part) {
  if (!x)
    return {};
  Shape shape = shapeOf(x);
  shape.erase(shape.begin() + dim);
  return reshape(node, slice(node, x, dim, SizeExpression(part), SizeExpression(1)), shape);
}

/// The widths of q, k and v in a matrix of so many columns.
FailureOr<SmallVector<Segment>> segmentsOf(Node &node, int64_t columns, int64_t heads) {
  SmallVector<int64_t> widths(3, columns / 3);
  if (auto given = node.integersAttr("qkv_hidden_sizes"); given && !given->empty())
    widths = *given;
  bool fits = widths.size() == 3 && heads > 0 && widths[0] == widths[1];
  int64_t sum = 0;
  for (int64_t width : widths) {
    fits &= width > 0 && width <= columns && width % std::max<int64_t>(heads, 1) == 0;
    sum += fits ? width : 0;
  }
  if (!fits || sum != columns)
    return node.fail("has a matrix of " + Twine(columns) +
                     " columns, which are not those of q, k "
                     "and v with " +
                     Twine(heads) + " heads");
  return SmallVector<Segment>{{0, widths[0], partNames[0]},
                              {widths[0], widths[1], partNames[1]},
                              {widths[0] + widths[1], widths[2], partNames[2]}};
}

/// One matrix makes q, k and v from the operand.
LogicalResult importPackedAttention(Node &node) {
  if (failed(refuse(node, {{6, "the length of a cache that is written in place"}},
                    {"do_rotary", "past_present_share_buffer"})))
    return failure();
  int64_t heads = node.integerAttr("num_heads", 0);
  std::optional<int64_t> columns;
  if (node.rank(0) == 3 && node.rank(1) == 2)
    columns = node.shape(1)[1].constant();
  if (!columns)
    return node.fail("has an operand of shape " + describe(node.shape(0)) +
                     " and a matrix of shape " + describe(node.shape(1)));
  FailureOr<SmallVector<Segment>> segments = segmentsOf(node, *columns, heads);
  Value x = failed(segments) ? Value() : f32Value(node, 0);
  if (!x)
    return failure();
  if (node.has(2) && !(node.shape(2) == Shape{SizeExpression(*columns)}))
    return node.fail("has a bias of shape " + describe(node.shape(2)) + " for " + Twine(*columns) +
                     " columns");
  AttentionBuilder attention(node);
  SmallVector<Value> parts = multiplyBySegments(node, x, 1, *segments);
  for (auto [part, segment] : llvm::zip_equal(parts, *segments)) {
    if (node.has(2) && part)
      part = binary<AddOp>(node, part,
                           node.convert(segmentOf(node, 2, segment), node.builder().getF32Type()));
    part = attention.splitHeads(part, heads);
  }
  attention.q = parts[0];
  attention.k = parts[1];
  attention.v = parts[2];
  if (node.has(4)) {
    if (node.rank(4) != 5 || node.shape(4)[0].constant() != 2)
      return node.fail("has a cache of shape " + describe(node.shape(4)));
    Value past = f32Value(node, 4);
    attention.past = node.shape(4)[3];
    attention.k = concat(node, {partOf(node, past, 0, 0), attention.k}, 2);
    attention.v = concat(node, {partOf(node, past, 0, 1), attention.v}, 2);
  }
  attention.isCausal = node.integerAttr("unidirectional", 0);
  attention.scale = scaleOf(node);
  if (failed(attention.check()))
    return failure();
  if (node.has(3) && !(attention.mask = maskSummand(node, 3, attention, /*canHaveStarts=*/true)))
    return failure();
  if (failed(addBias(node, 5, attention)) || failed(finish(node, attention)))
    return failure();
  if (!node.wants(1))
    return success();
  SmallVector<Value> both;
  for (Value each : {attention.k, attention.v}) {
    Shape shape = shapeOf(each);
    shape.insert(shape.begin(), SizeExpression(1));
    both.push_back(reshape(node, each, shape));
  }
  node.set(1, node.convert(concat(node, both, 0), node.elementType(0)));
  return success();
}

// ---- MultiHeadAttention ----

/// The queries, keys and values, [b, t, heads * d] each, of which keys and values may be in a
/// cache's form, [b, heads, s, d].
LogicalResult readParts(Node &node, Value (&parts)[3]) {
  // [b, t, heads, n, d]: n of them side by side.
  auto packed = [&](unsigned i, ArrayRef<Value *> into) {
    Value all = f32Value(node, i);
    Shape shape = node.shape(i);
    if (shape[3].constant() != static_cast<int64_t>(into.size()))
      return node.fail("has operand " + Twine(i) + " of shape " + describe(shape));
    FailureOr<SizeExpression> width = node.size(sizeProduct(shape[2], shape[4]));
    if (failed(width))
      return failure();
    for (auto [part, value] : llvm::enumerate(into))
      *value = reshape(node, partOf(node, all, 3, part), {shape[0], shape[1], *width});
    return success();
  };
  if (node.rank(0) == 5)
    return packed(0, {&parts[0], &parts[1], &parts[2]});
  parts[0] = f32Value(node, 0);
  if (node.has(1) && node.rank(1) == 5)
    return packed(1, {&parts[1], &parts[2]});
  if (!node.has(1) || !node.has(2) || node.rank(1) != node.rank(2))
    return node.fail("lacks keys or values that fit its queries");
  parts[1] = f32Value(node, 1);
  parts[2] = f32Value(node, 2);
  return success();
}

LogicalResult importMultiHeadAttention(Node &node) {
  if (failed(refuse(
          node,
          {{8, "the length of a cache that is written in place"}, {9, "an indirection of a cache"}},
          {})))
    return failure();
  int64_t heads = node.integerAttr("num_heads", 0);
  Value parts[3];
  if (failed(readParts(node, parts)))
    return failure();
  AttentionBuilder attention(node);
  int64_t begin = 0;
  for (auto [i, part] : llvm::enumerate(parts)) {
    if (!part)
      return failure();
    Shape shape = shapeOf(part);
    bool isHeaded = i > 0 && shape.size() == 4;
    if (!isHeaded && shape.size() != 3)
      return node.fail("has queries, keys or values of shape " + describe(shape));
    std::optional<int64_t> width = shape.back().constant();
    if (node.has(3)) {
      std::optional<int64_t> all = node.rank(3) == 1 ? node.shape(3)[0].constant() : std::nullopt;
      if (isHeaded || !width || *width < 1 || !all || begin + *width > *all)
        return node.fail("has a bias of shape " + describe(node.shape(3)) +
                         ", which does not fit q, k and v");
      Value bias = segmentOf(node, 3, {begin, *width, partNames[i]});
      part = binary<AddOp>(node, part, node.convert(bias, node.builder().getF32Type()));
      begin += *width;
    }
    if (!isHeaded)
      part = attention.splitHeads(part, heads);
  }
  attention.q = parts[0];
  attention.k = parts[1];
  attention.v = parts[2];
  if (node.has(6) != node.has(7) || (node.has(6) && (node.rank(6) != 4 || node.rank(7) != 4)))
    return node.fail("has a cache that is not one of keys and one of values");
  if (node.has(6)) {
    attention.past = node.shape(6)[2];
    attention.k = concat(node, {f32Value(node, 6), attention.k}, 2);
    attention.v = concat(node, {f32Value(node, 7), attention.v}, 2);
  }
  attention.isCausal = node.integerAttr("unidirectional", 0);
  attention.scale = scaleOf(node);
  if (failed(attention.check()))
    return failure();
  if (node.has(4) && !(attention.mask = maskSummand(node, 4, attention, /*canHaveStarts=*/false)))
    return failure();
  if (failed(addBias(node, 5, attention)) || failed(finish(node, attention)))
    return failure();
  Type type = node.elementType(0);
  if (node.wants(1))
    node.set(1, node.convert(attention.k, type));
  if (node.wants(2))
    node.set(2, node.convert(attention.v, type));
  if (node.wants(3))
    node.set(3, node.convert(attention.scores(/*mode=*/2), type));
  return success();
}

// ---- GroupQueryAttention ----

/// One GroupQueryAttention node. Each batch has its own length: its new keys come behind the ones
/// that its cache has, and what is behind them in the cache is not seen.
class GroupQueryImporter {
public:
  explicit GroupQueryImporter(Node &node)
      : node(node), attention(node), i64(node.builder().getI64Type()) {}
  LogicalResult import();

private:
  LogicalResult readParts();
  LogicalResult readLengths();
  LogicalResult turn();
  Value headsFirst(Value x) { return transpose(node, x, {0, 2, 1, 3}); }
  Value joinPast(Value now, unsigned i);

  Node &node;
  AttentionBuilder attention;
  Type i64;
  SizeExpression batch, tokens, past, present;
  /// Whether all batches are as long as their caches say, whose end is where new keys begin.
  bool isUniform = false;
  Value positions; ///< otherwise: those of the new tokens, i64 [b, t]
  Value parts[3];  ///< q, k and v [b, t, heads, d]
};

LogicalResult GroupQueryImporter::readParts() {
  int64_t heads = node.integerAttr("num_heads", 0), shared = node.integerAttr("kv_num_heads", 0);
  Shape shape = node.shape(0);
  std::optional<int64_t> width = shape.size() == 3 ? shape[2].constant() : std::nullopt;
  bool isPacked = !node.has(1);
  int64_t all = isPacked ? heads + 2 * shared : heads;
  if (!width || heads < 1 || shared < 1 || heads > *width || shared > *width || *width % all)
    return node.fail("has queries of shape " + describe(shape) + " for " + Twine(heads) +
                     " heads, and " + Twine(shared) + " of keys");
  batch = shape[0];
  tokens = shape[1];
  int64_t features = *width / all, begin = 0;
  for (auto [i, part] : llvm::enumerate(parts)) {
    int64_t count = i == 0 ? heads : shared;
    part = f32Value(node, isPacked ? 0 : i);
    if (isPacked) {
      part = slice(node, part, 2, SizeExpression(begin), SizeExpression(count * features));
      begin += count * features;
    }
    part = reshape(node, part, {batch, tokens, SizeExpression(count), SizeExpression(features)});
    if (!part)
      return failure();
  }
  return success();
}

/// Where the new tokens are among the keys.
LogicalResult GroupQueryImporter::readLengths() {
  if (node.has(3) != node.has(4) || (node.has(3) && (node.rank(3) != 4 || node.rank(4) != 4)))
    return node.fail("has a cache that is not one of keys and one of values");
  past = node.has(3) ? node.shape(3)[2] : SizeExpression(0);
  FailureOr<SizeArray> given = node.sizes(6, "the total sequence length");
  if (failed(given))
    return failure();
  if (given->elements.size() != 1)
    return node.fail("has " + Twine(given->elements.size()) +
                     " total sequence lengths, expected one");
  SizeExpression total = given->elements.front();
  FailureOr<SizeExpression> grown = node.size(sizeSum(past, tokens));
  if (failed(grown))
    return failure();
  MaybeSize room = sizeDifference(past, total);
  bool grows = total == *grown;
  if (!grows && !(room && room->isNonNegative()))
    return node.fail("has a cache of " + past.text() + " keys and " + tokens.text() +
                     " new ones, of which " + total.text() + " together are to be seen; they are " +
                     "not known to be equal (--dim NAME=SIZE), and the cache has no room for them");
  present = grows ? total : past;
  bool isPrompt = past == SizeExpression(0);
  isUniform = grows && (batch.constant() == 1 || isPrompt);
  bool isCausal = node.integerAttr("causal", 1);
  if (isUniform && (isCausal || batch.constant() == 1))
    return success();
  Value last = node.convert(node.value(5), i64); // the number of the last key
  if (!last || !(node.shape(5) == Shape{batch}))
    return node.fail("has lengths of shape " + describe(node.shape(5)) + " for a batch of " +
                     batch.text());
  Value length = binary<AddOp>(node, last, node.scalar(1, i64));
  if (!isCausal)
    attention.lengths =
        reshape(node, length, {batch, SizeExpression(1), SizeExpression(1), SizeExpression(1)});
  if (isUniform)
    return success();
  // In a prompt that is shorter than the tokens, they begin at 0.
  Value begin = binary<SubOp>(node, length, node.sizeValue(tokens));
  begin = binary<MaxOp>(node, begin, node.scalar(0, i64));
  Value number = node.create<RangeOp>(getTensorType({tokens}, i64), SizeExpression(0), 1);
  positions = binary<AddOp>(node, reshape(node, begin, {batch, SizeExpression(1)}), number);
  attention.places =
      reshape(node, positions, {batch, SizeExpression(1), tokens, SizeExpression(1)});
  return success(static_cast<bool>(attention.places));
}

/// Rotary position embedding of queries and keys.
LogicalResult GroupQueryImporter::turn() {
  if (!node.integerAttr("do_rotary", 0))
    return success();
  Value angles[2];
  for (unsigned i : {0, 1}) {
    Value table = f32Value(node, 7 + i);
    if (!table || node.rank(7 + i) != 2)
      return node.fail("lacks tables of cosines and sines");
    Value places = node.has(9) ? node.value(9) : positions;
    if (places) {
      Shape taken = shapeOf(places);
      taken.push_back(shapeOf(table)[1]);
      angles[i] = node.create<TakeOp>(getTensorType(taken, node.builder().getF32Type()), table,
                                      places, /*dim=*/0);
    } else {
      angles[i] = slice(node, table, 0, past, tokens);
      angles[i] = reshape(node, angles[i], {SizeExpression(1), tokens, shapeOf(table)[1]});
    }
  }
  for (unsigned i : {0, 1})
    if (!(parts[i] = rotate(node, parts[i], angles[0], angles[1],
                            node.integerAttr("rotary_interleaved", 0))))
      return failure();
  return success();
}

/// New keys or values [b, heads, t, d] in the cache that operand `i` is.
Value GroupQueryImporter::joinPast(Value now, unsigned i) {
  if (!node.has(i) || !now)
    return now;
  Value before = f32Value(node, i);
  if (isUniform)
    return concat(node, {before, now}, 2);
  Shape shape = shapeOf(now);
  if (!(present == past)) {
    Value nothing = expand(node, node.scalar(0, node.builder().getF32Type()), shape);
    before = concat(node, {before, nothing}, 2);
  }
  Value rows = expand(node, attention.places, shape);
  if (!before || !rows)
    return {};
  return node.create<ScatterElementsOp>(before.getType(), ScatterKind::Set, now, before, rows, 2);
}

LogicalResult GroupQueryImporter::import() {
  if (failed(refuse(node,
                    {{12, "a scale of a quantized cache"},
                     {13, "a scale of a quantized cache"},
                     {14, "a norm of queries"},
                     {15, "a norm of keys"},
                     {16, "lengths of padded queries"}},
                    {"sliding_window_cache", "qk_output"})) ||
      failed(readParts()) || failed(readLengths()) || failed(turn()))
    return failure();
  attention.q = headsFirst(parts[0]);
  attention.k = joinPast(headsFirst(parts[1]), 3);
  attention.v = joinPast(headsFirst(parts[2]), 4);
  attention.past = past;
  attention.isCausal = node.integerAttr("causal", 1);
  // A window counts the query's own key.
  int64_t window = node.integerAttr("local_window_size", -1);
  attention.left = window > 0 ? window - 1 : -1;
  attention.scale = scaleOf(node);
  attention.softcap = node.numberAttr("softcap", 0);
  Type f32 = node.builder().getF32Type();
  SizeExpression heads = shapeOf(parts[0])[2];
  if (node.has(11)) {
    attention.sinks = f32Value(node, 11);
    if (!attention.sinks || !(node.shape(11) == Shape{heads}))
      return node.fail("has sinks of shape " + describe(node.shape(11)) + " for " + heads.text() +
                       " heads");
  } else if (node.integerAttr("smooth_softmax", 0) > 0) {
    attention.sinks = expand(node, node.scalar(0, f32), {heads});
  }
  if (failed(attention.check()) || failed(addBias(node, 10, attention)) ||
      failed(finish(node, attention)))
    return failure();
  if (node.wants(1))
    node.set(1, node.convert(attention.k, node.elementType(0)));
  if (node.wants(2))
    node.set(2, node.convert(attention.v, node.elementType(0)));
  return success();
}

LogicalResult importGroupQueryAttention(Node &node) {
  return GroupQueryImporter(node).import();
}

constexpr OpEntry entries[] = {
    {"com.microsoft", "Attention", importPackedAttention},
    {"com.microsoft", "GroupQueryAttention", importGroupQueryAttention},
    {"com.microsoft", "MultiHeadAttention", importMultiHeadAttention},
};

} // namespace

ArrayRef<OpEntry> contribAttentionOps() {
  return entries;
}

} // namespace cleave::onnx
