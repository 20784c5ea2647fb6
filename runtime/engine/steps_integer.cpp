// The steps of exact arithmetic on integers: products of matrices and reductions.
#include "runtime/engine/lines.h"
#include "runtime/engine/step_builder.h"
#include "runtime/kernels/matmul_integer.h"
#include "runtime/kernels/reduce.h"

#include <algorithm>

namespace cleave::rt {

namespace {

class IntegerMatMulStep : public Step {
public:
  IntegerMatMulArgs args;
  Location a, b, c;
  std::vector<Size> aDims, bDims;

  void bind(const Memory &memory) override {
    args.a = memory.read<void>(a);
    args.b = memory.read<void>(b);
    args.c = memory.write<int32_t>(c);
  }
  void prepare(const int64_t *symbols) override {
    args.rows = aDims[aDims.size() - 2](symbols);
    args.columns = bDims[bDims.size() - 2](symbols);
    args.inner = aDims.back()(symbols);
    double products = static_cast<double>(args.rows * args.columns) *
                      static_cast<double>(std::max<int64_t>(args.inner, 1));
    int64_t aStride = 1, bStride = 1;
    for (int i = args.batchRank - 1; i >= 0; --i) {
      const int64_t ofA = sizeOf(aDims, i, symbols), ofB = sizeOf(bDims, i, symbols);
      args.aStrides[i] = ofA == 1 ? 0 : aStride;
      args.bStrides[i] = ofB == 1 ? 0 : bStride;
      args.batches[i] = ofA == 1 ? ofB : ofA;
      aStride *= ofA;
      bStride *= ofB;
      products *= static_cast<double>(args.batches[i]);
    }
    constexpr double productsAtOnce = 8;
    work = static_cast<int64_t>(std::min(products / productsAtOnce, 1e15));
  }
  void run(RunContext &context) const override { runParts(integerMatMul, args, work, context); }

private:
  /// Batch dimension `i` of an operand, 1 where it has fewer.
  int64_t sizeOf(const std::vector<Size> &dims, int i, const int64_t *symbols) const {
    const int missing = args.batchRank + 2 - static_cast<int>(dims.size());
    return i < missing ? 1 : dims[static_cast<size_t>(i - missing)](symbols);
  }

  int64_t work = 0;
};

class IntegerReduceStep : public Step {
public:
  IntegerReduceArgs args;
  Location x, y;
  std::vector<Size> dims;
  std::vector<bool> reduced;

  void bind(const Memory &memory) override {
    args.x = memory.read<void>(x);
    args.y = memory.write<void>(y);
  }
  void prepare(const int64_t *symbols) override {
    args.rank = 0;
    work = 1;
    for (size_t i = 0; i < dims.size(); ++i) {
      const int64_t size = dims[i](symbols);
      args.add(size, reduced[i]);
      work *= std::max<int64_t>(size, 1); // of nothing there are results, too
    }
  }
  void run(RunContext &context) const override {
    constexpr int64_t elementWork = 4;
    runParts(reduceIntegers, args, work * elementWork, context);
  }

private:
  int64_t work = 0;
};

} // namespace

void StepBuilder::addIntegerMatMul() {
  auto step = std::make_unique<IntegerMatMulStep>();
  step->a = locations[operand(0)];
  step->b = locations[operand(1)];
  step->c = locations[result(0)];
  step->aDims = sizesOf(dimsOf(value(operand(0)).dims()));
  step->bDims = sizesOf(dimsOf(value(operand(1)).dims()));
  step->args.aType = type(operand(0));
  step->args.bType = type(operand(1));
  step->args.batchRank = static_cast<int>(std::max(step->aDims.size(), step->bDims.size())) - 2;
  add(std::move(step));
}

void StepBuilder::addIntegerReduce(const fb::Reduce &op) {
  auto step = std::make_unique<IntegerReduceStep>();
  step->x = locations[operand(0)];
  step->y = locations[result(0)];
  step->dims = sizesOf(dimsOf(value(operand(0)).dims()));
  step->reduced.resize(step->dims.size());
  for (uint32_t dim : *op.dims())
    step->reduced[dim] = true;
  step->args.kind = static_cast<Reduction>(op.kind());
  step->args.type = type(operand(0));
  add(std::move(step));
}

} // namespace cleave::rt
