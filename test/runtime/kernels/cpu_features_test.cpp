// CLEAVE_ISA bounds the variants, Highway and nothing else. It is read once, so each case has a
// process of its own.
#include "runtime/kernels/cpu_features.h"
#include "runtime/kernels/linear.h"

#include <gtest/gtest.h>
#include <hwy/highway.h>

#include <cstdlib>
#include <stdexcept>

namespace cleave::rt {
namespace {

#if defined(__x86_64__)

class CpuFeaturesTest : public testing::Test {
protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

/// Not asked of cpuFeatures(), which would read the bound before a case sets it.
bool cpuHasAvx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("f16c");
}

/// Ends the process with 0 where `holds` does with this bound.
template <class Check> [[noreturn]] void exitWith(const char *isa, Check holds) {
  setenv("CLEAVE_ISA", isa, 1);
  std::exit(holds(cpuFeatures()) ? 0 : 1);
}

TEST_F(CpuFeaturesTest, TheLeastLeavesThePortableKernels) {
  EXPECT_EXIT(exitWith("sse4",
                       [](const CpuFeatures &has) {
                         return !has.avx2 && !has.avxVnni && !has.avx512 && !has.avx512Vnni &&
                                !has.avx512Bf16 && (hwy::SupportedTargets() & HWY_AVX2) == 0 &&
                                chooseLinear(ElementType::q4_0, 64, true)->few.kernel ==
                                    linear_q8(ElementType::q4_0);
                       }),
              testing::ExitedWithCode(0), "");
}

TEST_F(CpuFeaturesTest, ABoundIsIncluded) {
  if (!cpuHasAvx2())
    GTEST_SKIP() << "this CPU has no AVX2";
  EXPECT_EXIT(exitWith("avx2",
                       [](const CpuFeatures &has) {
                         return has.avx2 && !has.avxVnni && !has.avx512 &&
                                (hwy::SupportedTargets() & HWY_AVX2) != 0 &&
                                (hwy::SupportedTargets() & HWY_AVX3) == 0 &&
                                chooseLinear(ElementType::q4_0, 64, true)->few.kernel ==
                                    linear_q8_avx2(ElementType::q4_0) &&
                                chooseLinear(ElementType::f16, 64, true)->many.kernel ==
                                    linear_q16_avx2(ElementType::f16) &&
                                chooseLinear(ElementType::bf16, 64, true)->many.kernel ==
                                    linear_q16_avx2(ElementType::bf16);
                       }),
              testing::ExitedWithCode(0), "");
}

TEST_F(CpuFeaturesTest, FloatsIn512BitsComeBeforePairsIn256) {
  if (!__builtin_cpu_supports("avx512f"))
    GTEST_SKIP() << "this CPU has no AVX-512";
  EXPECT_EXIT(exitWith("avx512",
                       [](const CpuFeatures &has) {
                         return has.avx512 && !has.avx512Vnni &&
                                chooseLinear(ElementType::bf16, 64, true)->many.form ==
                                    ActivationForm::f32;
                       }),
              testing::ExitedWithCode(0), "");
}

TEST_F(CpuFeaturesTest, AnEmptyBoundIsNone) {
  EXPECT_EXIT(exitWith("", [](const CpuFeatures &has) { return has.avx2 == cpuHasAvx2(); }),
              testing::ExitedWithCode(0), "");
}

TEST_F(CpuFeaturesTest, AnotherNameIsRefused) {
  EXPECT_EXIT(
      {
        try {
          exitWith("avx3", [](const CpuFeatures &) { return true; });
        } catch (const std::runtime_error &error) {
          fputs(error.what(), stderr);
          std::exit(2);
        }
      },
      testing::ExitedWithCode(2), "CLEAVE_ISA is 'avx3'.*sse4, avx2, avxvnni");
}

#endif

} // namespace
} // namespace cleave::rt
