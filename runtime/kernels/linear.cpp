// The table of linear kernels.
#include "runtime/kernels/linear.h"

namespace cleave::rt {

namespace {

/// The first that this CPU has.
LinearKernel firstOf(LinearKernel a, LinearKernel b) {
  return a ? a : b;
}

/// For activations of 8 bits; null for types without blocks.
LinearKernel selectQ8(ElementType weight) {
  switch (weight) {
  case ElementType::q8_0:
    return firstOf(linear_q8_q8_0_avx512vnni(), linear_q8_q8_0);
  case ElementType::q4_0:
    return firstOf(linear_q8_q4_0_avx512vnni(), linear_q8_q4_0);
  case ElementType::q4_k:
    return firstOf(linear_q8_q4_k_avx512vnni(), linear_q8_q4_k);
  case ElementType::q5_k:
    return firstOf(linear_q8_q5_k_avx512vnni(), linear_q8_q5_k);
  case ElementType::q6_k:
    return firstOf(linear_q8_q6_k_avx512vnni(), linear_q8_q6_k);
  default:
    return nullptr;
  }
}

/// For activations of f32.
LinearKernel selectF32(ElementType weight) {
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

/// For many tokens and weights of 16 bits.
LinearVariant selectMany(ElementType weight) {
  switch (weight) {
  case ElementType::f16:
    return {linear_q16_f16_avx512vnni(), ActivationForm::q16};
  case ElementType::bf16:
    return {linear_bf16_bf16_avx512bf16(), ActivationForm::bf16};
  default:
    return {};
  }
}

} // namespace

std::optional<LinearChoice> chooseLinear(ElementType weight, int64_t inputs,
                                         bool quantizedActivations) {
  if (quantizedActivations)
    if (LinearKernel kernel = selectQ8(weight))
      return LinearChoice{{kernel, ActivationForm::q8}, {kernel, ActivationForm::q8}};
  LinearKernel kernel = selectF32(weight);
  if (!kernel)
    return std::nullopt;
  LinearChoice choice{{kernel, ActivationForm::f32}, {kernel, ActivationForm::f32}};
  if (quantizedActivations && inputs % q8BlockLength == 0)
    if (LinearVariant many = selectMany(weight); many.kernel)
      choice.many = many;
  return choice;
}

} // namespace cleave::rt
