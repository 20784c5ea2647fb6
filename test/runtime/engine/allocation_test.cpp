// A run allocates nothing, profiled or not: this program counts every call of the allocator, from
// whichever thread and library.
#include "runtime/engine/profile.h"
#include "runtime/kernels/linear_dense.h"
#include "test/runtime/engine/engine_test_util.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>

namespace {

std::atomic<long> allocations{0};

} // namespace

// The sanitizers replace the allocator themselves.
#if !defined(__SANITIZE_ADDRESS__)
extern "C" {
// glibc's own entry points.
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

void *malloc(size_t size) {
  ++allocations;
  return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
  ++allocations;
  return __libc_calloc(count, size);
}
void *realloc(void *old, size_t size) {
  ++allocations;
  return __libc_realloc(old, size);
}
void *memalign(size_t alignment, size_t size) {
  ++allocations;
  return __libc_memalign(alignment, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
  ++allocations;
  return __libc_memalign(alignment, size);
}
int posix_memalign(void **result, size_t alignment, size_t size) {
  ++allocations;
  *result = __libc_memalign(alignment, size);
  return *result ? 0 : ENOMEM;
}
}
#endif

namespace cleave::rt {
namespace {

/// A decoder layer in small, wide enough that threads share its work.
void buildLayer(ProgramBuilder &b, ElementType weightType) {
  constexpr int64_t width = 256;
  int64_t t = b.symbol("tokens"), context = b.symbol("context");
  ProgramBuilder::Dims dims{t, width};
  uint32_t ids = b.input("ids", {t}, ElementType::i32);
  uint32_t slots = b.input("slots", {t}, ElementType::i32);
  uint32_t positions = b.input("positions", {t}, ElementType::i32);
  uint32_t table = b.weight("table", {10, width}, std::vector<float>(10 * width, 0.5f));
  uint32_t norm = b.weight("norm", {width}, std::vector<float>(width, 1.0f));
  size_t rowBytes = static_cast<size_t>(*cleave::rowBytes(elementTypeInfo(weightType), width));
  uint32_t w = b.matrix("w", weightType, {width, width}, std::vector<std::byte>(width * rowBytes));
  uint32_t keys = b.state("keys", {1, context, width});
  uint32_t x = b.activation(dims), n = b.activation(dims), q = b.activation(dims),
           a = b.activation(dims);
  b.add(fb::CreateGather(b.fbb), {table, ids}, {x});
  b.add(fb::CreateRmsNorm(b.fbb, 1e-5f), {x, norm}, {n});
  uint32_t k = b.linear(n, w, dims);
  b.add(fb::CreateRope(b.fbb, 64, 64, 1e4f, 1.0f), {k, positions}, {q});
  b.add(fb::CreateStateUpdate(b.fbb), {keys, q, slots, positions}, {});
  b.add(fb::CreateAttention(b.fbb, 64, 1, 0, 0.125f), {q, keys, keys, slots, positions}, {a});
  uint32_t y = b.binary(BinaryKind::add, x, b.silu(b.linear(a, w, dims), dims), dims);
  uint32_t chosen = b.activation({t, 2}, ElementType::i32), shares = b.activation({t, 2});
  uint32_t mixed = b.activation(dims);
  uint32_t experts = b.matrix("experts", weightType, {3, width, width},
                              std::vector<std::byte>(3 * width * rowBytes));
  b.add(fb::CreateRoute(b.fbb), {y}, {chosen});
  b.add(fb::CreateRouteWeights(b.fbb, true, 1.0f), {y, chosen}, {shares});
  b.add(fb::CreateMoe(b.fbb), {y, chosen, shares, experts, experts, experts}, {mixed});
  y = b.binary(BinaryKind::add, y, mixed, dims);
  uint32_t half = b.activation({t, width / 2});
  b.add(fb::CreateSlice(b.fbb, 1, 0), {y}, {half});
  b.output("y", half);
  // Shares of what varies are evaluated in each run.
  std::vector<uint32_t> alone{0};
  int64_t second = b.share("tokens[1 of 2]", t, 1, 2);
  uint32_t share = b.activation({second, width}), whole = b.activation(dims),
           sum = b.activation(dims);
  b.add(fb::CreateSlice(b.fbb), {y}, {share});
  b.add(fb::CreateAllGatherDirect(b.fbb, &alone), {y}, {whole});
  b.add(fb::CreateReduceScatterDirect(b.fbb, &alone), {whole}, {sum});
}

TEST(Allocation, RunsAllocateNothing) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizer has the allocator";
#endif
  for (ElementType type :
       {ElementType::f32, ElementType::q8_0, ElementType::q6_k, ElementType::f16})
    for (auto [threads, isProfiled] : {std::pair(1, false), {2, false}, {1, true}, {2, true}}) {
      ProgramBuilder b;
      buildLayer(b, type);
      Profiler profiler(50); // a few runs' ops: the rest is cut
      SingleRank one(b, {.threads = threads,
                         .bounds = {{"tokens", 100}, {"context", 200}},
                         .profiler = isProfiled ? &profiler : nullptr});
      auto run = [&](int64_t tokens, int32_t first) {
        one.engine.setSymbol("tokens", tokens);
        std::span<std::byte> ids = one.engine.input("ids");
        std::span<std::byte> slots = one.engine.input("slots");
        std::span<std::byte> positions = one.engine.input("positions");
        std::memset(ids.data(), 0, ids.size());
        std::memset(slots.data(), 0, slots.size());
        // Descending, which the check of places has to sort.
        for (int32_t i = 0; i < tokens; ++i)
          reinterpret_cast<int32_t *>(positions.data())[i] =
              first + static_cast<int32_t>(tokens) - 1 - i;
        profiler.beginStep();
        profiler.setPhase(Phase::prompt, tokens);
        one.engine.run();
        profiler.endStep();
      };
      // oneDNN, which takes f32 products of 16 tokens and more, keeps books of its own
      // on the heap for each call; no run for one token at a time gets there.
      int64_t prompt = type == ElementType::f32 ? DenseLinear::minTokens - 1 : 85;
      // OpenMP makes its threads in the first parallel region.
      run(prompt, 0);
      run(1, 85);
      long before = allocations;
      run(prompt - 1, 0);
      for (int32_t step = 0; step < 5; ++step)
        run(1, 70 + step);
      one.engine.clearStates();
      run(prompt, 0);
      EXPECT_EQ(allocations - before, 0) << elementTypeInfo(type).name << " weights, " << threads
                                         << " threads" << (isProfiled ? ", profiled" : "");
    }
}

TEST(Allocation, IsCounted) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizer has the allocator";
#endif
  long before = allocations;
  std::vector<int> elements(100);
  EXPECT_EQ(elements.size(), 100u);
  EXPECT_EQ(allocations - before, 1);
}

} // namespace
} // namespace cleave::rt
