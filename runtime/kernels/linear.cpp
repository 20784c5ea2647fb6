// The table of linear kernels.
#include "runtime/kernels/linear.h"

#include "runtime/kernels/cpu_features.h"

namespace cleave::rt {

namespace {

/// For activations of 8 bits: the fastest that this CPU has; null for types without blocks.
LinearKernel selectQ8(ElementType weight) {
  for (const auto kernelOf : {linear_q8_avx512vnni, linear_q8_avxvnni, linear_q8_avx2, linear_q8})
    if (LinearKernel kernel = kernelOf(weight))
      return kernel;
  return nullptr;
}

/// For activations of f32.
LinearKernel selectF32(ElementType weight) {
  return weight == ElementType::f32 ? linear_f32_f32 : linear_f32_interleaved(weight);
}

/// For many tokens, where that is another kernel: its activations are no integers of 8 bits.
LinearVariant selectMany(ElementType weight) {
  if (LinearKernel kernel = linear_bf16_amx(weight))
    return {kernel, ActivationForm::bf16};
  if (weight == ElementType::bf16)
    if (LinearKernel kernel = linear_bf16_bf16_avx512bf16())
      return {kernel, ActivationForm::bf16};
  if (LinearKernel kernel = linear_q16_avx512vnni(weight))
    return {kernel, ActivationForm::q16};
  // Floats in 512 bits are as fast as pairs of 16 bits in 256.
  if (LinearKernel kernel = linear_q16_avx2(weight); kernel && !cpuFeatures().avx512)
    return {kernel, ActivationForm::q16};
  return {};
}

} // namespace

std::optional<LinearChoice> chooseLinear(ElementType weight, int64_t inputs,
                                         bool quantizedActivations) {
  LinearChoice choice;
  if (quantizedActivations)
    choice.few = {selectQ8(weight), ActivationForm::q8};
  if (choice.few.kernel) {
    choice.many = choice.few;
  } else {
    choice.few = {selectF32(weight), ActivationForm::f32};
    if (!choice.few.kernel)
      return std::nullopt;
    choice.many = {linear_f32_panels(weight), ActivationForm::f32};
    if (!choice.many.kernel)
      choice.many = choice.few;
  }
  if (quantizedActivations && inputs % q8BlockLength == 0)
    if (LinearVariant many = selectMany(weight); many.kernel)
      choice.many = many;
  return choice;
}

} // namespace cleave::rt
