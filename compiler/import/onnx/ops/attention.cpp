// ONNX's own Attention.
#include "compiler/import/onnx/ops/attention.h"
#include "compiler/import/onnx/ops/compute.h"
#include "compiler/import/onnx/ops/movement.h"
#include "compiler/import/onnx/registry.h"

#include <limits>

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {
namespace {

/// Operand `i`, a cache, before what is new: along the tokens.
Value joinPast(Node &node, Value now, unsigned i) {
  if (!node.has(i) || !now)
    return now;
  if (node.rank(i) != 4) {
    (void)node.fail("has a cache of shape " + describe(node.shape(i)));
    return {};
  }
  return concat(node, {f32Value(node, i), now}, 2);
}

/// Operand 3 as long as the keys: what it lacks is not seen.
Value maskOf(Node &node, const SizeExpression &keys) {
  Value mask = node.value(3);
  Type type = node.elementType(3);
  if (!type.isInteger(1))
    mask = node.convert(mask, type = node.builder().getF32Type());
  Shape shape = node.shape(3);
  if (!mask || shape.empty() || shape.back() == keys || shape.back().constant() == 1)
    return mask;
  FailureOr<SizeExpression> missing = node.size(sizeDifference(keys, shape.back()));
  if (failed(missing))
    return {};
  if (!missing->isNonNegative()) {
    (void)node.fail("has a mask for " + shape.back().text() + " keys, but there are " +
                    keys.text());
    return {};
  }
  double unseen = type.isInteger(1) ? 0 : -std::numeric_limits<double>::infinity();
  shape.back() = *missing;
  return concat(node, {mask, expand(node, node.scalar(unseen, type), shape)}, shape.size() - 1);
}

LogicalResult importAttention(Node &node) {
  for (unsigned i : {0, 1, 2})
    if (node.rank(i) != node.rank(0) || (node.rank(i) != 3 && node.rank(i) != 4))
      return node.fail("has operand " + Twine(i) + " of shape " + describe(node.shape(i)));
  int64_t heads = node.integerAttr("q_num_heads", 0),
          keyHeads = node.integerAttr("kv_num_heads", 0);
  AttentionBuilder attention(node);
  auto headed = [&](unsigned i, int64_t count) {
    Value x = f32Value(node, i);
    return node.rank(i) == 4 ? x : attention.splitHeads(x, count);
  };
  attention.q = headed(0, heads);
  attention.k = joinPast(node, headed(1, keyHeads), 4);
  attention.v = joinPast(node, headed(2, keyHeads), 5);
  if (!attention.k || !attention.v)
    return failure();
  attention.past = node.has(4) ? node.shape(4)[2] : SizeExpression(0);
  attention.isCausal = node.integerAttr("is_causal", 0);
  attention.left = node.integerAttr("left_window_size", -1);
  attention.right = node.integerAttr("right_window_size", -1);
  if (node.attribute("scale"))
    attention.scale = node.numberAttr("scale", 0);
  attention.softcap = node.numberAttr("softcap", 0);
  if (failed(attention.check()))
    return failure();
  Shape queries = shapeOf(attention.q);
  if (node.has(3) && !(attention.mask = maskOf(node, shapeOf(attention.k)[2])))
    return failure();
  if (node.has(6)) { // keys that there are, of which the last are the queries' own
    if (node.rank(6) != 1)
      return node.fail("has numbers of keys of shape " + describe(node.shape(6)));
    Shape column = {node.shape(6)[0], SizeExpression(1), SizeExpression(1), SizeExpression(1)};
    attention.lengths = reshape(node, node.value(6), column);
    attention.places =
        binary<AddOp>(node, attention.queryNumbers(),
                      binary<SubOp>(node, attention.lengths, node.sizeValue(queries[2])));
  }
  Value result = attention.create();
  if (node.rank(0) == 3)
    result = attention.joinHeads(result);
  node.set(0, node.convert(result, node.elementType(0)));
  if (node.wants(1))
    node.set(1, node.convert(attention.k, node.elementType(1)));
  if (node.wants(2))
    node.set(2, node.convert(attention.v, node.elementType(2)));
  if (node.wants(3))
    node.set(3, node.convert(attention.scores(node.integerAttr("qk_matmul_output_mode", 0)),
                             node.elementType(0)));
  return success(static_cast<bool>(result));
}

constexpr OpEntry entries[] = {
    {"", "Attention", importAttention},
};

} // namespace

ArrayRef<OpEntry> attentionOps() {
  return entries;
}

} // namespace cleave::onnx
