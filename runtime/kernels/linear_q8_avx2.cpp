// The linear_q8 kernels with AVX2, FMA and F16C.
#include "runtime/kernels/cpu_features.h"
#include "runtime/kernels/linear.h"

#if defined(__x86_64__)
#define CLEAVE_LINEAR_AVXVNNI 0
#include "runtime/kernels/linear_q8_avx2_weights-inl.h"
#endif

cleave::rt::LinearKernel cleave::rt::linear_q8_avx2([[maybe_unused]] ElementType weight) {
#if defined(__x86_64__)
  if (!cpuFeatures().avx2)
    return nullptr;
  return withBlock(weight, []<class Block>() -> LinearKernel { return linear<Weights<Block>>; });
#else
  return nullptr;
#endif
}
