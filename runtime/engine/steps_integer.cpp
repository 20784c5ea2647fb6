// The step of exact products of matrices of integers.
#include "runtime/engine/lines.h"
#include "runtime/engine/step_builder.h"
#include "runtime/kernels/matmul_integer.h"

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

} // namespace cleave::rt
