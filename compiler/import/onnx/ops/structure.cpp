// Ops that compute nothing at run time: constants, names for values, shapes as values, and If
// whose condition is known.
#include "compiler/import/onnx/graph_importer.h"
#include "compiler/import/onnx/ops/movement.h"
#include "compiler/import/onnx/registry.h"
#include "compiler/import/onnx/shape_arithmetic.h"

#include <cstring>

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {
namespace {

template <typename T> std::vector<std::byte> toBytes(ArrayRef<T> values) {
  auto begin = reinterpret_cast<const std::byte *>(values.data());
  return {begin, begin + values.size() * sizeof(T)};
}

LogicalResult importConstant(Node &node) {
  if (const ::onnx::AttributeProto *value = node.attribute("value"); value && value->has_t()) {
    FailureOr<Operand> operand = node.graph().tensorOperand(value->t(), node.message().output(0));
    if (failed(operand))
      return failure();
    node.set(0, std::move(*operand));
    return success();
  }
  Type i64 = node.builder().getI64Type(), f32 = node.builder().getF32Type();
  if (node.attribute("value_int"))
    node.set(0, SizeArray{{}, {node.integerAttr("value_int", 0)}}, i64);
  else if (node.attribute("value_float"))
    node.set(
        0, node.makeConstant({}, f32, toBytes(ArrayRef<float>{node.numberAttr("value_float", 0)})));
  else if (auto integers = node.integersAttr("value_ints"))
    node.set(0, node.makeConstant({static_cast<int64_t>(integers->size())}, i64,
                                  toBytes(ArrayRef<int64_t>(*integers))));
  else if (const ::onnx::AttributeProto *floats = node.attribute("value_floats"))
    node.set(0, node.makeConstant(
                    {floats->floats_size()}, f32,
                    toBytes(ArrayRef<float>(floats->floats().data(), floats->floats_size()))));
  else
    return node.fail("has no value that is a tensor of numbers; strings and sparse tensors are "
                     "not supported");
  return success();
}

LogicalResult importIdentity(Node &node) {
  node.set(0, node.operand(0));
  return success();
}

/// Nothing is dropped when a model is not trained; the mask is true everywhere, up to version 9 a
/// number.
LogicalResult importDropout(Node &node) {
  if (node.has(2)) {
    FailureOr<SmallVector<int64_t>> training = node.integers(2, "training_mode");
    if (failed(training))
      return failure();
    FailureOr<SmallVector<double>> ratio = SmallVector<double>{0.5};
    if (node.has(1))
      ratio = node.numbers(1, "ratio");
    if (failed(ratio))
      return failure();
    bool drops = !ratio->empty() && ratio->front() != 0;
    if (!training->empty() && training->front() && drops)
      return node.fail("drops elements at random, as in training; export the model for inference");
  }
  node.set(0, node.operand(0));
  if (!node.wants(1))
    return success();
  Type type = node.version() < 10 ? node.elementType(0) : node.builder().getI1Type();
  Value mask = expand(node, node.scalar(1, type), node.shape(0));
  node.set(1, mask);
  return success(static_cast<bool>(mask));
}

LogicalResult importShape(Node &node) {
  Shape shape = node.shape(0);
  auto rank = static_cast<int64_t>(shape.size());
  auto clamp = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank); };
  int64_t begin = clamp(node.integerAttr("start", 0)), end = clamp(node.integerAttr("end", rank));
  SizeArray sizes;
  for (int64_t dim = begin; dim < end; ++dim)
    sizes.elements.push_back(shape[dim]);
  sizes.dims = {static_cast<int64_t>(sizes.elements.size())};
  node.set(0, std::move(sizes), node.builder().getI64Type());
  return success();
}

LogicalResult importSize(Node &node) {
  MaybeSize product = SizeExpression(1);
  for (const SizeExpression &size : node.shape(0))
    product = sizeProduct(product, size);
  FailureOr<SizeExpression> size = node.size(product);
  if (failed(size))
    return failure();
  node.set(0, SizeArray{{}, {*size}}, node.builder().getI64Type());
  return success();
}

LogicalResult importIf(Node &node) {
  FailureOr<SmallVector<int64_t>> condition = node.integers(0, "the condition");
  if (failed(condition))
    return failure();
  if (condition->size() != 1)
    return node.fail("has a condition of " + Twine(condition->size()) + " elements, expected one");
  StringRef name = condition->front() ? "then_branch" : "else_branch";
  const ::onnx::AttributeProto *branch = node.attribute(name);
  if (!branch || !branch->has_g())
    return node.fail("has no attribute " + quote(name) + " that is a graph");
  return node.graph().importBranch(node, branch->g());
}

constexpr OpEntry entries[] = {
    {"", "Constant", importConstant}, {"", "Dropout", importDropout},
    {"", "Identity", importIdentity}, {"", "If", importIf},
    {"", "Shape", importShape},       {"", "Size", importSize},
};

} // namespace

ArrayRef<OpEntry> structureOps() {
  return entries;
}

} // namespace cleave::onnx
