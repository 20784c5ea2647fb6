// Matrix products of activations with a weight: y = x w^T. One kernel for each
// pair of element types (linear_f32_*.cpp, linear_q8_*.cpp), chosen at load by
// selectLinear. Dense f32 products of many tokens: linear_dense.h.
#pragma once

#include "runtime/kernels/part.h"
#include "runtime/program/element_type.h"

#include <cstddef>
#include <cstdint>

namespace cleave::rt {

/// y[t, o] = sum over j of x[t, j] * weight[o, padBefore + j].
/// Requires padBefore + xColumns <= inputs, and `inputs` a whole number of the
/// weight's blocks (of 32 for quantized activations). y overlaps nothing else.
struct LinearArgs {
  /// [tokens, xColumns], xStride elements from row to row. Read by the linear_f32
  /// kernels.
  const float *x = nullptr;
  /// [tokens] rows as quantizeQ8 writes them, of `inputs` columns each (xColumns
  /// and padBefore are then in them). Read by the linear_q8 kernels.
  const std::byte *quantized = nullptr;
  /// [outputs, inputs] in Layout::rows.
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

/// The kernel for `weight` on this CPU, or null where there is none. With
/// `quantizedActivations` it is one that reads LinearArgs::quantized (types with
/// blocks only); otherwise products and sums are f32, weights being promoted exactly.
LinearKernel selectLinear(ElementType weight, bool quantizedActivations);

/// The kernels themselves, named op_activationtype_weighttype.
void linear_f32_f32(const LinearArgs &args, Part part);
void linear_f32_f16(const LinearArgs &args, Part part);
void linear_f32_bf16(const LinearArgs &args, Part part);
void linear_f32_q8_0(const LinearArgs &args, Part part);
void linear_f32_q4_0(const LinearArgs &args, Part part);
void linear_f32_q4_k(const LinearArgs &args, Part part);
void linear_f32_q5_k(const LinearArgs &args, Part part);
void linear_f32_q6_k(const LinearArgs &args, Part part);
void linear_q8_q8_0(const LinearArgs &args, Part part);
void linear_q8_q4_0(const LinearArgs &args, Part part);
void linear_q8_q4_k(const LinearArgs &args, Part part);
void linear_q8_q5_k(const LinearArgs &args, Part part);
void linear_q8_q6_k(const LinearArgs &args, Part part);

/// The same with an instruction that Highway lacks; null where the compiler or this
/// CPU has it not.
LinearKernel linear_q8_q8_0_avx512vnni();
LinearKernel linear_q8_q4_0_avx512vnni();
LinearKernel linear_q8_q4_k_avx512vnni();
LinearKernel linear_q8_q5_k_avx512vnni();
LinearKernel linear_q8_q6_k_avx512vnni();
LinearKernel linear_q8_q8_0_avxvnni();
LinearKernel linear_q8_q4_0_avxvnni();
LinearKernel linear_q8_q4_k_avxvnni();
LinearKernel linear_q8_q5_k_avxvnni();
LinearKernel linear_q8_q6_k_avxvnni();

} // namespace cleave::rt
