// The table of linear kernels.
#include "runtime/kernels/linear.h"

namespace cleave::rt {

namespace {

/// The first that this CPU has.
LinearKernel firstOf(LinearKernel a, LinearKernel b, LinearKernel c) {
  return a ? a : b ? b : c;
}

} // namespace

LinearKernel selectLinear(ElementType weight, bool quantizedActivations) {
  if (quantizedActivations) {
    switch (weight) {
    case ElementType::q8_0:
      return firstOf(linear_q8_q8_0_avx512vnni(), linear_q8_q8_0_avxvnni(), linear_q8_q8_0);
    case ElementType::q4_0:
      return firstOf(linear_q8_q4_0_avx512vnni(), linear_q8_q4_0_avxvnni(), linear_q8_q4_0);
    case ElementType::q4_k:
      return firstOf(linear_q8_q4_k_avx512vnni(), linear_q8_q4_k_avxvnni(), linear_q8_q4_k);
    case ElementType::q5_k:
      return firstOf(linear_q8_q5_k_avx512vnni(), linear_q8_q5_k_avxvnni(), linear_q8_q5_k);
    case ElementType::q6_k:
      return firstOf(linear_q8_q6_k_avx512vnni(), linear_q8_q6_k_avxvnni(), linear_q8_q6_k);
    default:
      return nullptr;
    }
  }
  switch (weight) {
  case ElementType::f32:
    return linear_f32_f32;
  case ElementType::f16:
    return linear_f32_f16;
  case ElementType::bf16:
    return linear_f32_bf16;
  case ElementType::q8_0:
    return linear_f32_q8_0;
  case ElementType::q4_0:
    return linear_f32_q4_0;
  case ElementType::q4_k:
    return linear_f32_q4_k;
  case ElementType::q5_k:
    return linear_f32_q5_k;
  case ElementType::q6_k:
    return linear_f32_q6_k;
  default:
    return nullptr;
  }
}

} // namespace cleave::rt
