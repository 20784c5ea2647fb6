// Matrix products of activations with a weight: y = x w^T. One kernel for each
// pair of element types (linear_*.cpp), chosen at load by chooseLinear. Dense f32
// products of many tokens: linear_dense.h.
#pragma once

#include "runtime/kernels/part.h"
#include "runtime/kernels/quantize.h"
#include "runtime/program/element_type.h"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace cleave::rt {

/// y[t, o] = sum over j of x[t, j] * weight[o, padBefore + j].
/// Requires padBefore + xColumns <= inputs, and `inputs` a whole number of the
/// weight's blocks (of 32 for quantized activations). y overlaps nothing else.
struct LinearArgs {
  /// [tokens, xColumns], xStride elements from row to row. Read by the linear_f32
  /// kernels.
  const float *x = nullptr;
  /// [tokens] rows as quantize.h writes them in the kernel's form, of `inputs` columns each
  /// (xColumns and padBefore are then in them). Read by the other kernels.
  const std::byte *quantized = nullptr;
  /// [outputs, inputs] in the matrixLayout of its type; where that is interleaved, from the
  /// beginning of a group of rows on.
  const void *weight = nullptr;
  /// [tokens, outputs], yStride elements from row to row.
  float *y = nullptr;
  int64_t tokens = 0;
  int64_t outputs = 0;
  int64_t inputs = 0;
  int64_t xColumns = 0;
  int64_t padBefore = 0;
  int64_t xStride = 0;
  int64_t yStride = 0;
};

/// What a token's row of y becomes does not depend on the other tokens, nor on the
/// number of parts; it does depend on the CPU's vector unit in its last bits.
using LinearKernel = void (*)(const LinearArgs &, Part);

/// A kernel and the form of the activations that it reads.
struct LinearVariant {
  LinearKernel kernel = nullptr;
  ActivationForm form = ActivationForm::f32;
};

/// Tokens from which on a kernel for many is worth turning activations into its form.
inline constexpr int64_t manyTokens = 8;

/// The kernels for a weight on this CPU: for one token or a few, and for at least manyTokens,
/// which is often the same. Where it is not, they sum in another order, so that a token's last
/// bits differ.
struct LinearChoice {
  LinearVariant few;
  LinearVariant many;
};

/// The choice for weights of a type, whose rows have `inputs` elements, or nothing where there
/// is no kernel. Without `quantizedActivations` products and sums are f32, weights being
/// promoted exactly. With it, block types meet activations of 8 bits, and many tokens meet
/// weights of f16 and bf16 as integers of 14 bits, or those of bf16 in bf16, and with AMX also
/// those of block types, which are rounded to bf16, where the CPU has instructions for that.
std::optional<LinearChoice> chooseLinear(ElementType weight, int64_t inputs,
                                         bool quantizedActivations);

/// The kernels themselves, named op_activationtype_weighttype, or, where there is one for each of
/// many types of weight, op_activationtype: null for other types.
void linear_f32_f32(const LinearArgs &args, Part part);
LinearKernel linear_f32_interleaved(ElementType weight); ///< f16, bf16 and block types
LinearKernel linear_f32_panels(ElementType weight);      ///< the same, for many tokens
LinearKernel linear_q8(ElementType weight);              ///< block types

/// The same with instructions that Highway lacks; null where cpuFeatures() has them not.
LinearKernel linear_q8_avx2(ElementType weight);
LinearKernel linear_q8_avxvnni(ElementType weight);
LinearKernel linear_q8_avx512vnni(ElementType weight);
LinearKernel linear_bf16_bf16_avx512bf16();       ///< for many tokens
LinearKernel linear_bf16_amx(ElementType weight); ///< bf16 and block types, for many tokens

/// Likewise, f16 and bf16, for many tokens. 32 columns of a row of the weight become integers with
/// one scale, once for all tokens: an element's error is at most 2^-14 of their largest magnitude.
/// All are zero where that is too small to have a reciprocal. An infinity or NaN stays in the
/// scale, so that it is not hidden.
LinearKernel linear_q16_avx2(ElementType weight);
LinearKernel linear_q16_avx512vnni(ElementType weight);

} // namespace cleave::rt
