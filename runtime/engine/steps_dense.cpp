// The steps of products of matrices, norms and attention over plain values.
#include "runtime/engine/lines.h"
#include "runtime/engine/step_builder.h"
#include "runtime/kernels/dot_product_attention.h"
#include "runtime/kernels/layer_norm.h"
#include "runtime/kernels/matmul.h"

#include <algorithm>

namespace cleave::rt {

namespace {

class MatMulStep : public Step {
public:
  std::shared_ptr<MatMuls> matmuls;
  Location a, b, c;
  std::vector<Size> aDims, bDims;
  bool transposeA = false, transposeB = false;

  void bind(const Memory &memory) override {
    args.a = memory.read<float>(a);
    args.b = memory.read<float>(b);
    args.c = memory.write<float>(c);
  }
  void prepare(const int64_t *symbols) override {
    const size_t rank = std::max(aDims.size(), bDims.size());
    auto batchOf = [&](const std::vector<Size> &dims) {
      std::vector<int64_t> batch(rank - dims.size(), 1);
      for (size_t i = 0; i + 2 < dims.size(); ++i)
        batch.push_back(dims[i](symbols));
      return batch;
    };
    auto sizeOf = [&](const std::vector<Size> &dims, size_t fromEnd) {
      return dims[dims.size() - fromEnd](symbols);
    };
    MatMulShape shape{.aBatch = batchOf(aDims),
                      .bBatch = batchOf(bDims),
                      .m = sizeOf(aDims, transposeA ? 1 : 2),
                      .n = sizeOf(bDims, transposeB ? 2 : 1),
                      .k = sizeOf(aDims, transposeA ? 2 : 1),
                      .transposeA = transposeA,
                      .transposeB = transposeB};
    product = matmuls->get(shape);
  }
  bool usesLibrary() const override { return true; }
  void runLibrary() override { matmuls->run(*product, args); }
  bool usesTeam() const override { return false; }
  void run(RunContext &) const override {}

private:
  std::shared_ptr<MatMuls::Product> product;
  MatMulArgs args;
};

class LayerNormStep : public Step {
public:
  LayerNormArgs args;
  Location x, weight, bias, y;
  bool hasWeight = false, hasBias = false;
  Size rows, columns;

  void bind(const Memory &memory) override {
    args.x = memory.read<float>(x);
    args.weight = hasWeight ? memory.read<float>(weight) : nullptr;
    args.bias = hasBias ? memory.read<float>(bias) : nullptr;
    args.y = memory.write<float>(y);
  }
  void prepare(const int64_t *symbols) override {
    args.rows = rows(symbols);
    args.columns = columns(symbols);
  }
  void run(RunContext &context) const override {
    runParts(layerNorm, args, args.rows * args.columns * 3, context);
  }
};

class DotProductAttentionStep : public Step {
public:
  DotProductAttentionArgs args;
  Location q, k, v, mask, y, scratch;
  bool hasMask = false, isBoolean = false, isFromEnd = false;
  Size batch, queries, keys;
  std::vector<Size> maskDims; ///< as many as the scores have, 1 where missing

  void bind(const Memory &memory) override {
    args.q = memory.read<float>(q);
    args.k = memory.read<float>(k);
    args.v = memory.read<float>(v);
    if (hasMask && isBoolean)
      args.seen = memory.read<uint8_t>(mask);
    else if (hasMask)
      args.mask = memory.read<float>(mask);
    args.y = memory.write<float>(y);
    args.scratch = memory.write<float>(scratch);
  }
  void prepare(const int64_t *symbols) override {
    args.batch = batch(symbols);
    args.queries = queries(symbols);
    args.keys = keys(symbols);
    args.causalOffset = isFromEnd ? args.keys - args.queries : 0;
    int64_t stride = 1;
    for (size_t i = maskDims.size(); i-- > 0;) {
      const int64_t size = maskDims[i](symbols);
      args.maskStrides[i] = size == 1 ? 0 : stride;
      stride *= size;
    }
  }
  void run(RunContext &context) const override {
    const int64_t products = args.batch * args.heads * args.queries * args.keys;
    runParts(dotProductAttention, args, products * (args.headDim + args.valueDim), context);
  }
};

} // namespace

std::shared_ptr<MatMuls> StepBuilder::sharedMatMuls() {
  if (!matmuls)
    matmuls = std::make_shared<MatMuls>();
  return matmuls;
}

void StepBuilder::addMatMul(const fb::MatMul &op) {
  if (isIntegerType(type(operand(0))))
    return addIntegerMatMul();
  auto step = std::make_unique<MatMulStep>();
  step->matmuls = sharedMatMuls();
  step->a = locations[operand(0)];
  step->b = locations[operand(1)];
  step->c = locations[result(0)];
  step->aDims = sizesOf(dimsOf(value(operand(0)).dims()));
  step->bDims = sizesOf(dimsOf(value(operand(1)).dims()));
  step->transposeA = op.transpose_a();
  step->transposeB = op.transpose_b();
  add(std::move(step));
}

void StepBuilder::addLayerNorm(const fb::LayerNorm &op) {
  std::span<const int64_t> x = dimsOf(value(operand(0)).dims());
  auto step = std::make_unique<LayerNormStep>();
  step->x = locations[operand(0)];
  step->y = locations[result(0)];
  step->hasWeight = operandCount() > 1;
  step->hasBias = operandCount() > 2;
  if (step->hasWeight)
    step->weight = locations[operand(1)];
  if (step->hasBias)
    step->bias = locations[operand(2)];
  step->rows = Size(x.first(x.size() - op.dims()));
  step->columns = Size(x.last(op.dims()));
  step->args.epsilon = op.epsilon();
  add(std::move(step));
}

void StepBuilder::addDotProductAttention(const fb::DotProductAttention &op) {
  std::span<const int64_t> q = dimsOf(value(operand(0)).dims());
  std::span<const int64_t> k = dimsOf(value(operand(1)).dims());
  auto step = std::make_unique<DotProductAttentionStep>();
  step->q = locations[operand(0)];
  step->k = locations[operand(1)];
  step->v = locations[operand(2)];
  step->y = locations[result(0)];
  step->batch = Size(q.first(1));
  step->queries = Size(q.subspan(2, 1));
  step->keys = Size(k.subspan(2, 1));
  step->isFromEnd = op.causal_from_end();
  if (operandCount() == 4) {
    std::span<const int64_t> mask = dimsOf(value(operand(3)).dims());
    step->mask = locations[operand(3)];
    step->hasMask = true;
    step->isBoolean = type(operand(3)) == ElementType::i1;
    step->maskDims.resize(4 - mask.size());
    for (Size size : sizesOf(mask))
      step->maskDims.push_back(size);
  }
  DotProductAttentionArgs &args = step->args;
  args.heads = q[1];
  args.keyHeads = k[1];
  args.headDim = q[3];
  args.valueDim = dimsOf(value(operand(2)).dims())[3];
  args.group = op.group();
  args.firstHead = op.first_head();
  args.scale = op.scale();
  args.softcap = op.softcap();
  args.causal = op.causal();
  // Widths are at most 2^46, as tensors have at most 2^48 bytes.
  int64_t bytes = 0;
  if (__builtin_mul_overflow(dotProductAttentionScratch(args.headDim, args.valueDim),
                             int64_t{input.options.threads}, &bytes) ||
      bytes > maxTensorBytes)
    refuse("its heads are too wide");
  step->scratch = scratch(bytes);
  add(std::move(step));
}

} // namespace cleave::rt
