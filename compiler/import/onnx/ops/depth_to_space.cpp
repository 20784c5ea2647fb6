// Channels of an image that become pixels, and back: reshapes and transposes.
#include "compiler/import/onnx/ops/movement.h"
#include "compiler/import/onnx/registry.h"

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {
namespace {

/// What becomes a pixel's channels, or the channels of which it is made.
struct Blocks {
  int64_t size;    ///< pixels of a side
  bool placeFirst; ///< whether among the channels the place in a block comes before the depth
};

/// The blocks of an image [n, c, h, w].
FailureOr<Blocks> readBlocks(Node &node) {
  int64_t size = node.integerAttr("blocksize", 0);
  if (size < 1 || size > INT32_MAX)
    return node.fail("has blocks of size " + Twine(size) + ", expected 1 or more");
  if (node.rank(0) != 4)
    return node.fail("has an image of shape " + describe(node.shape(0)) +
                     ", expected four dimensions");
  std::string mode = node.stringAttr("mode", "DCR");
  if (mode != "DCR" && mode != "CRD")
    return node.fail("attribute 'mode' is " + quote(mode) + ", expected DCR or CRD");
  return Blocks{size, mode == "DCR"};
}

/// A size in parts, an error where it is not known to be whole.
FailureOr<SizeExpression> divide(Node &node, const SizeExpression &size, int64_t parts) {
  if (MaybeSize quotient = sizeQuotient(size, SizeExpression(parts)))
    return *quotient;
  return node.fail("has an image of shape " + describe(node.shape(0)) + ", of which " +
                   size.text() + " is not known to be a multiple of " + Twine(parts));
}

LogicalResult importDepthToSpace(Node &node) {
  FailureOr<Blocks> blocks = readBlocks(node);
  if (failed(blocks))
    return failure();
  Shape own = node.shape(0);
  FailureOr<SizeExpression> depth = divide(node, own[1], blocks->size * blocks->size);
  FailureOr<SizeExpression> height = node.size(sizeProduct(own[2], SizeExpression(blocks->size)));
  FailureOr<SizeExpression> width = node.size(sizeProduct(own[3], SizeExpression(blocks->size)));
  if (failed(depth) || failed(height) || failed(width))
    return failure();
  SizeExpression b(blocks->size);
  Value x = node.value(0), split;
  SmallVector<int64_t> order;
  if (blocks->placeFirst) {
    split = reshape(node, x, {own[0], b, b, *depth, own[2], own[3]});
    order = {0, 3, 4, 1, 5, 2};
  } else {
    split = reshape(node, x, {own[0], *depth, b, b, own[2], own[3]});
    order = {0, 1, 4, 2, 5, 3};
  }
  if (!split)
    return failure();
  Value result = reshape(node, transpose(node, split, order), {own[0], *depth, *height, *width});
  node.set(0, result);
  return success(static_cast<bool>(result));
}

LogicalResult importSpaceToDepth(Node &node) {
  FailureOr<Blocks> blocks = readBlocks(node);
  if (failed(blocks))
    return failure();
  Shape own = node.shape(0);
  FailureOr<SizeExpression> height = divide(node, own[2], blocks->size);
  FailureOr<SizeExpression> width = divide(node, own[3], blocks->size);
  FailureOr<SizeExpression> depth =
      node.size(sizeProduct(own[1], SizeExpression(blocks->size * blocks->size)));
  if (failed(depth) || failed(height) || failed(width))
    return failure();
  SizeExpression b(blocks->size);
  Value split = reshape(node, node.value(0), {own[0], own[1], *height, b, *width, b});
  if (!split)
    return failure();
  SmallVector<int64_t> order = {0, 3, 5, 1, 2, 4};
  if (!blocks->placeFirst)
    order = {0, 1, 3, 5, 2, 4};
  Value result = reshape(node, transpose(node, split, order), {own[0], *depth, *height, *width});
  node.set(0, result);
  return success(static_cast<bool>(result));
}

constexpr OpEntry entries[] = {
    {"", "DepthToSpace", importDepthToSpace},
    {"", "SpaceToDepth", importSpaceToDepth},
};

} // namespace

ArrayRef<OpEntry> depthToSpaceOps() {
  return entries;
}

} // namespace cleave::onnx
