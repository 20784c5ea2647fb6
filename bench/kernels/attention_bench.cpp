// Attention by one thread, as a model of 1.1 billion weights has it (32 query heads, 4 key
// heads of 64, f16): a token that sees many keys, over so many layers that no cache holds them,
// or again and again those of one layer, and the last 512 tokens of a prompt; on every vector
// unit of this CPU.
#include "runtime/kernels/attention.h"

#include <benchmark/benchmark.h>
#include <hwy/targets.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <sys/mman.h>
#include <vector>

namespace cleave::rt {
namespace {

constexpr int64_t heads = 32;
constexpr int64_t group = 8;
constexpr int64_t headDim = 64;
constexpr int64_t kvWidth = heads / group * headDim;
constexpr int64_t layers = 22;

using Memory = std::unique_ptr<void, decltype(&std::free)>;

/// In large pages, as the engine has it.
Memory allocate(int64_t bytes) {
  constexpr int64_t page = 2 << 20;
  Memory memory(std::aligned_alloc(page, (bytes + page - 1) / page * page), &std::free);
  if (!memory)
    throw std::bad_alloc();
  (void)::madvise(memory.get(), static_cast<size_t>(bytes), MADV_HUGEPAGE);
  return memory;
}

/// `tokens` tokens, the last of which sees `depth` keys, in all layers of `layerCount`.
void measure(benchmark::State &state, int64_t target, int64_t tokens, int64_t layerCount) {
  const int64_t depth = state.range(0);
  hwy::SetSupportedTargetsForTest(target);
  hwy::GetChosenTarget().Update(target);
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1, 1);

  const int64_t stateElements = depth * kvWidth;
  const Memory states = allocate(layerCount * 2 * stateElements * 2);
  auto *halves = static_cast<uint16_t *>(states.get());
  for (int64_t i = 0; i < 2 * stateElements; ++i) {
    const auto half = static_cast<_Float16>(uniform(random));
    std::memcpy(halves + i, &half, sizeof(half));
  }
  for (int64_t layer = 1; layer < layerCount; ++layer)
    std::memcpy(halves + layer * 2 * stateElements, halves, 2 * stateElements * 2);

  const int64_t width = heads * headDim;
  std::vector<float> q(tokens * width), y(tokens * width);
  for (float &value : q)
    value = 3 * uniform(random);
  const std::vector<int32_t> slots(tokens, 0);
  std::vector<int32_t> positions(tokens);
  int64_t keys = 0;
  for (int64_t t = 0; t < tokens; ++t) {
    positions[t] = static_cast<int32_t>(depth - tokens + t);
    keys += positions[t] + 1;
  }

  AttentionArgs args;
  args.q = q.data();
  args.y = y.data();
  args.stateType = ElementType::f16;
  args.slots = slots.data();
  args.positions = positions.data();
  args.tokens = tokens;
  args.heads = heads;
  args.headDim = headDim;
  args.context = depth;
  args.kvWidth = kvWidth;
  args.group = group;
  args.qStride = args.yStride = width;
  args.scale = 1 / std::sqrt(static_cast<float>(headDim));
  const Memory scratch = allocate(attentionScratch(args, 1));
  args.scratch = static_cast<float *>(scratch.get());
  for (auto _ : state)
    for (int64_t layer = 0; layer < layerCount; ++layer) {
      args.k = halves + layer * 2 * stateElements;
      args.v = halves + (layer * 2 + 1) * stateElements;
      attention(args, Part{});
      benchmark::ClobberMemory();
    }
  const auto perSecond = [&](int64_t count) {
    return benchmark::Counter(static_cast<double>(state.iterations() * layerCount * count),
                              benchmark::Counter::kIsRate, benchmark::Counter::kIs1000);
  };
  state.counters["B/s"] = perSecond(2 * stateElements * 2);
  state.counters["MAC/s"] = perSecond(2 * keys * width);
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().DeInit();
}

void add(const std::string &name, int64_t target, int64_t tokens, int64_t layerCount,
         const std::vector<int64_t> &depths) {
  auto *benchmark = benchmark::RegisterBenchmark(
      (name + "/" + hwy::TargetName(target)).c_str(),
      [=](benchmark::State &state) { measure(state, target, tokens, layerCount); });
  benchmark->ArgName("depth")->Unit(benchmark::kMillisecond);
  for (int64_t depth : depths)
    benchmark->Arg(depth);
}

} // namespace
} // namespace cleave::rt

int main(int argc, char **argv) {
  using namespace cleave::rt;
  for (int64_t target : hwy::SupportedAndGeneratedTargets()) {
    add("attention_1_token", target, 1, layers, {64, 2048, 8192});
    add("attention_1_token_cached", target, 1, 1, {64, 512});
    add("attention_512_tokens", target, 512, 1, {512, 2048, 8192});
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv))
    return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
