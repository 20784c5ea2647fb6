// The linear_q8 kernels with AVX-VNNI: AVX2's vectors, and products of bytes that are summed in 32
// bits.
#include "runtime/kernels/cpu_features.h"
#include "runtime/kernels/linear.h"

#if defined(__x86_64__)
#define CLEAVE_LINEAR_AVXVNNI 1
#include "runtime/kernels/linear_q8_avx2_weights-inl.h"
#endif

cleave::rt::LinearKernel cleave::rt::linear_q8_avxvnni([[maybe_unused]] ElementType weight) {
#if defined(__x86_64__)
  if (!cpuFeatures().avxVnni)
    return nullptr;
  return withBlock(weight, []<class Block>() -> LinearKernel { return linear<Weights<Block>>; });
#else
  return nullptr;
#endif
}
