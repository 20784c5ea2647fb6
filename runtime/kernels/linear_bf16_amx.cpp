// The kernels of linear_bf16_tiles-inl.h with AMX.
#include "runtime/kernels/cpu_features.h"
#include "runtime/kernels/linear.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/linear_bf16_amx.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/linear_bf16_tiles-inl.h"

#ifndef CLEAVE_KERNELS_LINEAR_BF16_AMX_ONCE
#define CLEAVE_KERNELS_LINEAR_BF16_AMX_ONCE
namespace cleave::rt {
namespace {

#if defined(__x86_64__)

class AmxTiles {
public:
  ~AmxTiles() {
    if (first > 0)
      asm volatile("tilerelease" ::: "memory");
  }

  void configure(int64_t tokens, int64_t moreTokens) {
    if (first == tokens && second == moreTokens)
      return;
    first = tokens;
    second = moreTokens;
    // Palette 1: bytes of a row, and rows, of each tile. Tiles without rows are not used.
    Config config = {};
    config.palette = 1;
    const int64_t rows[8] = {first, first, second, second, first, second, tileRows, tileRows};
    for (int tile = 0; tile < 8; ++tile) {
      config.rows[tile] = static_cast<uint8_t>(rows[tile]);
      config.bytes[tile] = rows[tile] > 0 ? tileBytes : 0;
    }
    // GCC 12's intrinsic tells the compiler of the first eight bytes only.
    asm volatile("ldtilecfg %0" ::"m"(config));
  }

  template <int tile> void zero() { asm volatile("tilezero %%tmm%c0" ::"i"(tile)); }
  template <int tile> void load(const void *from, int64_t stride) {
    asm volatile("tileloadd (%1,%2,1), %%tmm%c0" ::"i"(tile), "r"(from), "r"(stride) : "memory");
  }
  template <int tile> void store(void *to, int64_t stride) {
    asm volatile("tilestored %%tmm%c0, (%1,%2,1)" ::"i"(tile), "r"(to), "r"(stride) : "memory");
  }
  template <int sum, int x, int weight> void multiply() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sum), "i"(x), "i"(weight));
  }

private:
  struct Config {
    uint8_t palette, startRow, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
  };
  static_assert(sizeof(Config) == 64);

  int64_t first = 0, second = 0;
};

#endif

} // namespace
} // namespace cleave::rt
#endif

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

LinearKernel amxKernel([[maybe_unused]] ElementType weight) {
#if HWY_TARGET <= HWY_AVX3 && defined(__x86_64__) // other CPUs have no AMX
  return tileKernel<AmxTiles>(weight);
#else
  return nullptr;
#endif
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(amxKernel);

LinearKernel linear_bf16_amx(ElementType weight) {
  if (!cpuFeatures().amxBf16)
    return nullptr;
  // Written without a machine that has AMX: what it computes is looked at before it is used.
  static const bool works = isExact(HWY_DYNAMIC_DISPATCH(amxKernel)(ElementType::bf16));
  return works ? HWY_DYNAMIC_DISPATCH(amxKernel)(weight) : nullptr;
}

} // namespace cleave::rt
#endif
