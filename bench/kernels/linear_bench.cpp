// Matrix products by one thread: bytes of weights and multiplications a second of every kernel
// for every weight type, on every vector unit of this CPU. The weights are many matrices one
// after the other, far more than a cache holds, as in a model; activations are quantized before.
#include "runtime/kernels/linear.h"
#include "runtime/kernels/quantize.h"
#include "runtime/program/packing.h"

#include <benchmark/benchmark.h>
#include <hwy/targets.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cleave::rt {
namespace {

/// The shape of a gate of a model of 1.1 billion weights.
constexpr int64_t outputs = 5632;
constexpr int64_t inputs = 2048;
constexpr int64_t weightBytes = int64_t{256} << 20;
constexpr int64_t maxTokens = 512;

/// Memory that begins at a page, as a weight file and the engine's arena do.
struct AlignedMemory {
  explicit AlignedMemory(int64_t bytes)
      : data(static_cast<std::byte *>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096))) {
    if (!data)
      throw std::bad_alloc();
  }
  ~AlignedMemory() { std::free(data); }
  AlignedMemory(const AlignedMemory &) = delete;
  AlignedMemory &operator=(const AlignedMemory &) = delete;
  std::byte *data;
};

void putHalf(std::byte *at, float value) {
  const auto half = static_cast<_Float16>(value);
  std::memcpy(at, &half, sizeof(half));
}

/// Random elements of `type`, with scales as models have them: halves of random bits would be
/// infinite or NaN here and there.
std::vector<std::byte> randomRow(const ElementTypeInfo &info, std::mt19937 &random) {
  std::vector<std::byte> row(rowBytes(info, inputs).value());
  for (std::byte &byte : row)
    byte = static_cast<std::byte>(random());
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (size_t at = 0; at < row.size(); at += info.blockBytes) {
    std::byte *block = row.data() + at;
    float value = uniform(random);
    switch (info.type) {
    case ElementType::f32:
    case ElementType::bf16: {
      std::byte bytes[4];
      std::memcpy(bytes, &value, 4);
      std::memcpy(block, bytes + 4 - info.blockBytes, info.blockBytes);
      break;
    }
    case ElementType::f16:
      putHalf(block, value);
      break;
    default:
      for (uint32_t half = info.halvesBegin; half < info.halvesEnd; half += 2)
        putHalf(block + half, value * (info.blockLength == 32 ? 0.01f : 0.001f));
    }
  }
  return row;
}

/// As many equal matrices as fill weightBytes, in the layout that kernels want.
struct Weights {
  explicit Weights(ElementType type)
      : type(type), matrixBytes(layoutBytes(matrixLayout(type), elementTypeInfo(type),
                                            std::array{outputs, inputs})
                                    .value()),
        count((weightBytes + matrixBytes - 1) / matrixBytes), memory(matrixBytes * count) {
    const ElementTypeInfo &info = elementTypeInfo(type);
    std::mt19937 random(1);
    std::byte *at = memory.data;
    auto write = [&](std::span<const std::byte> bytes) {
      std::memcpy(at, bytes.data(), bytes.size());
      at += bytes.size();
    };
    MatrixPacker packer(info, outputs, rowBytes(info, inputs).value(), write);
    for (int64_t row = 0; row < outputs; ++row) {
      std::vector<std::byte> bytes = randomRow(info, random);
      if (matrixLayout(type) == Layout::interleaved)
        packer.append(bytes);
      else
        write(bytes);
    }
    for (int64_t matrix = 1; matrix < count; ++matrix)
      std::memcpy(memory.data + matrix * matrixBytes, memory.data, matrixBytes);
  }

  ElementType type;
  int64_t matrixBytes;
  int64_t count;
  AlignedMemory memory;
};

/// Those of the type that is measured now; types come one after the other.
const Weights &weightsOf(ElementType type) {
  static std::unique_ptr<Weights> weights;
  if (!weights || weights->type != type) {
    weights.reset();
    weights = std::make_unique<Weights>(type);
  }
  return *weights;
}

using KernelOf = LinearKernel (*)(ElementType);

/// A kernel on the vector unit `target`, or on what it was written for where that is 0.
struct Variant {
  ElementType type;
  KernelOf kernelOf; ///< to be asked once the unit is chosen
  ActivationForm form;
  int64_t target;
};

void measure(benchmark::State &state, const Variant &variant) {
  const int64_t tokens = state.range(0);
  const Weights &weights = weightsOf(variant.type);
  if (variant.target) {
    hwy::SetSupportedTargetsForTest(variant.target);
    hwy::GetChosenTarget().Update(variant.target);
  }
  std::mt19937 random(2);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> x(tokens * inputs);
  for (float &value : x)
    value = uniform(random);
  AlignedMemory quantized(tokens * activationRowBytes(variant.form, inputs));
  if (variant.form != ActivationForm::f32)
    quantizeKernel(variant.form)(
        {x.data(), quantized.data, tokens, inputs, inputs, /*padBefore=*/0, inputs}, Part{});
  AlignedMemory y(tokens * outputs * static_cast<int64_t>(sizeof(float)));

  LinearArgs args;
  args.x = x.data();
  args.quantized = quantized.data;
  args.y = reinterpret_cast<float *>(y.data);
  args.tokens = tokens;
  args.outputs = args.yStride = outputs;
  args.inputs = args.xColumns = args.xStride = inputs;
  const LinearKernel kernel = variant.kernelOf(variant.type);
  int64_t matrix = 0;
  for (auto _ : state) {
    args.weight = weights.memory.data + matrix * weights.matrixBytes;
    matrix = (matrix + 1) % weights.count;
    kernel(args, Part{});
    benchmark::ClobberMemory();
  }
  auto perSecond = [&](int64_t count) {
    return benchmark::Counter(static_cast<double>(state.iterations() * count),
                              benchmark::Counter::kIsRate, benchmark::Counter::kIs1000);
  };
  state.counters["B/s"] = perSecond(weights.matrixBytes);
  state.counters["MAC/s"] = perSecond(tokens * outputs * inputs);
  if (variant.target) {
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().DeInit();
  }
}

void add(const std::string &name, const Variant &variant) {
  benchmark::RegisterBenchmark(name.c_str(), measure, variant)
      ->ArgName("tokens")
      ->Arg(1)
      ->Arg(4)
      ->Arg(32)
      ->Arg(maxTokens);
}

/// On every vector unit that it was compiled for and this CPU has.
void addHighway(const std::string &name, ElementType type, KernelOf kernelOf, ActivationForm form) {
  for (int64_t target : hwy::SupportedAndGeneratedTargets())
    add(name + "/" + hwy::TargetName(target), {type, kernelOf, form, target});
}

/// A variant for one instruction set; null where this CPU has it not.
void addVariant(const std::string &name, ElementType type, KernelOf kernelOf, ActivationForm form) {
  if (kernelOf(type))
    add(name, {type, kernelOf, form, 0});
}

void addAll() {
  using enum ElementType;
  for (const ElementTypeInfo &info : elementTypes) {
    const auto named = [&](std::string_view kernel) {
      return std::string(kernel) + "_" + std::string(info.name);
    };
    if (isBlockType(info)) {
      addHighway(named("linear_q8"), info.type, linear_q8, ActivationForm::q8);
      addVariant(named("linear_q8") + "_avx2", info.type, linear_q8_avx2, ActivationForm::q8);
      addVariant(named("linear_q8") + "_avxvnni", info.type, linear_q8_avxvnni, ActivationForm::q8);
      addVariant(named("linear_q8") + "_avx512vnni", info.type, linear_q8_avx512vnni,
                 ActivationForm::q8);
    }
    if (isBlockType(info) || info.type == f16 || info.type == bf16)
      addHighway(named("linear_f32"), info.type, linear_f32_interleaved, ActivationForm::f32);
    if (info.type == f16 || info.type == bf16) {
      addHighway(named("linear_f32") + "_panels", info.type, linear_f32_panels,
                 ActivationForm::f32);
      addVariant(named("linear_q16") + "_avx2", info.type, linear_q16_avx2, ActivationForm::q16);
      addVariant(named("linear_q16") + "_avx512vnni", info.type, linear_q16_avx512vnni,
                 ActivationForm::q16);
    }
    if (info.type == bf16)
      addVariant(
          "linear_bf16_bf16_avx512bf16", bf16,
          [](ElementType) { return linear_bf16_bf16_avx512bf16(); }, ActivationForm::bf16);
  }
  addHighway(
      "linear_f32_f32", f32, [](ElementType) -> LinearKernel { return linear_f32_f32; },
      ActivationForm::f32);
}

} // namespace
} // namespace cleave::rt

int main(int argc, char **argv) {
  cleave::rt::addAll();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv))
    return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
