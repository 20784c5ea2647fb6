// Products with matrices of few bits: their weights become those of a block type that has the same
// numbers, where there is one.
#include "compiler/import/onnx/block_matrix.h"
#include "compiler/import/onnx/graph_importer.h"
#include "compiler/import/onnx/ops/compute.h"
#include "compiler/import/onnx/registry.h"

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {
namespace {

/// The name of the file's tensor that operand `i` is; empty, with an error, where it is none.
std::string tensorName(Node &node, unsigned i, StringRef what) {
  const Operand &operand = node.operand(i);
  if (operand.constant && operand.constant->tensor && !operand.constant->transposed)
    return operand.constant->name;
  (void)node.fail("has operand " + Twine(i) + ", " + what +
                  ", that is not an initializer of the graph itself");
  return {};
}

LogicalResult importMatMulNBits(Node &node) {
  if (node.has(4))
    return node.fail("has operand 4, the groups of input features (g_idx), which is not supported");
  if (node.integerAttr("weight_prepacked", 0))
    return node.fail("has a matrix in the layout of one device (weight_prepacked)");
  BlockMatrixSource source;
  source.bits = node.integerAttr("bits", 4);
  source.length = node.integerAttr("block_size", 0);
  int64_t inputs = node.integerAttr("K", 0), outputs = node.integerAttr("N", 0);
  if ((source.bits != 4 && source.bits != 8) || source.length < 16 || source.length > 32768 ||
      !llvm::isPowerOf2_64(source.length))
    return node.fail("has blocks of " + Twine(source.length) + " integers of " +
                     Twine(source.bits) +
                     " bits, expected 4 or 8 bits and a power of 2 from 16 to 32768");
  source.values = tensorName(node, 1, "the matrix");
  source.scales = tensorName(node, 2, "the scales");
  if (node.has(3))
    source.zeros = tensorName(node, 3, "the zero points");
  if (source.values.empty() || source.scales.empty() || (node.has(3) && source.zeros.empty()))
    return failure();
  FailureOr<BlockMatrix> matrix = node.graph().openBlockMatrix(source);
  if (failed(matrix))
    return failure();
  Shape shape = node.shape(0);
  if (matrix->outputs() != outputs || inputs < 1 || inputs > matrix->paddedInputs() ||
      inputs <= matrix->paddedInputs() - source.length || shape.empty() ||
      !(shape.back() == SizeExpression(inputs)))
    return node.fail("multiplies " + describe(shape) + " by a matrix of N = " + Twine(outputs) +
                     " and K = " + Twine(inputs) + ", of which there are blocks for " +
                     Twine(matrix->outputs()) + " and " + Twine(matrix->paddedInputs()));
  Value x = f32Value(node, 0);
  Value weight =
      x ? node.graph().declareBlocks(
              source,
              RankedTensorType::get(
                  {outputs, inputs},
                  getElementMlirType(node.context(), elementTypeInfo(matrix->exactType(inputs)))))
        : Value();
  if (!weight)
    return failure();
  shape.back() = SizeExpression(outputs);
  Value result = node.create<LinearOp>(getTensorType(shape, node.builder().getF32Type()), x, weight,
                                       node.builder().getI64IntegerAttr(0));
  if (node.has(5))
    result = binary<AddOp>(node, result, f32Value(node, 5));
  node.set(0, node.convert(result, node.elementType(0)));
  return success(static_cast<bool>(result));
}

constexpr OpEntry entries[] = {
    {"com.microsoft", "MatMulNBits", importMatMulNBits},
};

} // namespace

ArrayRef<OpEntry> blockProductOps() {
  return entries;
}

} // namespace cleave::onnx
