// How many multiplications with addition this machine does in a second when it does nothing
// else: each instruction on registers alone, as often as it can be issued. What prompts reach is
// held against it. Inline assembly, so that nothing is left out or added. AMX is not in it.
#include "bench/pinned_threads.h"
#include "runtime/kernels/cpu_features.h"

#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <vector>

using namespace cleave;

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::duration<double> timePerInstruction{0.1};
/// Times that an instruction stands in its loop, each on an accumulator of its own, so that
/// none waits for the one before.
constexpr int64_t unroll = 12;
constexpr int64_t loops = 10000;

struct Instruction {
  const char *name;
  int bits;      ///< of what is multiplied
  int64_t width; ///< multiplications of one
  bool supported;
  void (*run)(); ///< unroll * loops of them
};

#if defined(__x86_64__)

/// A function that runs INSTRUCTIONS unroll * loops times; there, \\n is the accumulator's
/// number, registers 14 and 15, filled with BITS, are what is multiplied, and 12 is for what
/// lies between. REGISTER is "ymm" or "zmm".
#define CLEAVE_LOOP(NAME, REGISTER, BITS, INSTRUCTIONS)                                            \
  void NAME() {                                                                                    \
    const uint32_t bits = BITS;                                                                    \
    int64_t left = loops;                                                                          \
    asm volatile(".irp n,0,1,2,3,4,5,6,7,8,9,10,11\n"                                              \
                 "vpxor %%xmm\\n, %%xmm\\n, %%xmm\\n\n"                                            \
                 ".endr\n"                                                                         \
                 "vpbroadcastd %1, %%" REGISTER "14\n"                                             \
                 "vpbroadcastd %1, %%" REGISTER "15\n"                                             \
                 "1:\n"                                                                            \
                 ".irp n,0,1,2,3,4,5,6,7,8,9,10,11\n" INSTRUCTIONS ".endr\n"                       \
                 "dec %0\n"                                                                        \
                 "jnz 1b\n"                                                                        \
                 "vzeroupper\n"                                                                    \
                 : "+r"(left)                                                                      \
                 : "m"(bits)                                                                       \
                 : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",   \
                   "xmm9", "xmm10", "xmm11", "xmm12", "xmm14", "xmm15");                           \
  }

constexpr uint32_t floatBits = 0x3f9df3b6; // 1.234
constexpr uint32_t bf16Bits = 0x3f9d3f9d;
constexpr uint32_t integerBits = 0x5b3a17c9;

CLEAVE_LOOP(fma256, "ymm", floatBits, "vfmadd231ps %%ymm14, %%ymm15, %%ymm\\n\n")
CLEAVE_LOOP(fma512, "zmm", floatBits, "vfmadd231ps %%zmm14, %%zmm15, %%zmm\\n\n")
CLEAVE_LOOP(bf16Dot512, "zmm", bf16Bits, "vdpbf16ps %%zmm14, %%zmm15, %%zmm\\n\n")
CLEAVE_LOOP(wordDot256, "ymm", integerBits,
            "vpmaddwd %%ymm14, %%ymm15, %%ymm12\n"
            "vpaddd %%ymm12, %%ymm\\n, %%ymm\\n\n")
CLEAVE_LOOP(wordDot512, "zmm", integerBits, "vpdpwssd %%zmm14, %%zmm15, %%zmm\\n\n")
CLEAVE_LOOP(byteDot256, "ymm", integerBits,
            "vpmaddubsw %%ymm14, %%ymm15, %%ymm12\n"
            "vpmaddwd %%ymm12, %%ymm15, %%ymm12\n"
            "vpaddd %%ymm12, %%ymm\\n, %%ymm\\n\n")
CLEAVE_LOOP(byteDotVnni256, "ymm", integerBits, "%{vex%} vpdpbusd %%ymm14, %%ymm15, %%ymm\\n\n")
CLEAVE_LOOP(byteDotVnni512, "zmm", integerBits, "vpdpbusd %%zmm14, %%zmm15, %%zmm\\n\n")

std::vector<Instruction> instructions() {
  const rt::CpuFeatures &has = rt::cpuFeatures();
  return {
      {"AVX2 FMA", 32, 8, has.avx2, fma256},
      {"AVX-512 FMA", 32, 16, has.avx512, fma512},
      {"AVX2 vpmaddwd", 16, 16, has.avx2, wordDot256},
      {"AVX-512 vpdpwssd", 16, 32, has.avx512Vnni, wordDot512},
      {"AVX-512 vdpbf16ps", 16, 32, has.avx512Bf16, bf16Dot512},
      {"AVX2 vpmaddubsw", 8, 32, has.avx2, byteDot256},
      {"AVX vpdpbusd", 8, 32, has.avxVnni, byteDotVnni256},
      {"AVX-512 vpdpbusd", 8, 64, has.avx512Vnni, byteDotVnni512},
  };
}

#else

std::vector<Instruction> instructions() {
  return {};
}

#endif

/// Multiplications per second, all threads together, each on a processor of its own.
double measure(const Instruction &instruction, size_t threads) {
  std::atomic<int64_t> done = 0;
  std::atomic<double> longest = 0;
  std::barrier start(static_cast<std::ptrdiff_t>(threads));
  runPinned(threads, [&](size_t) {
    instruction.run(); // wakes the vector unit
    start.arrive_and_wait();
    const auto begin = Clock::now();
    std::chrono::duration<double> taken{};
    while (taken < timePerInstruction) {
      instruction.run();
      taken = Clock::now() - begin;
      done += unroll * loops * instruction.width;
    }
    double known = longest;
    while (known < taken.count() && !longest.compare_exchange_weak(known, taken.count())) {
    }
  });
  return static_cast<double>(done) / longest;
}

} // namespace

int main(int argc, char **argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: compute-limit THREADS...\n"
                         "Multiplies with each number of threads, and prints a line of JSON for "
                         "each instruction of this CPU, up to what CLEAVE_ISA allows.\n");
    return 2;
  }
  try {
    for (size_t threads : parseThreadCounts(argv + 1, argv + argc))
      for (const Instruction &instruction : instructions())
        if (instruction.supported)
          std::printf("{\"threads\":%zu,\"instruction\":\"%s\",\"bits\":%d,"
                      "\"products_per_second\":%.0f}\n",
                      threads, instruction.name, instruction.bits, measure(instruction, threads));
  } catch (const std::exception &error) {
    std::fprintf(stderr, "compute-limit: error: %s\n", error.what());
    return 1;
  }
}
