// Activations quantized to 8 bits times 4-bit weights in blocks of 256: integer dot
// products, scales in f32. Variants with VNNI instructions: linear_q8_k_avx512vnni.cpp,
// linear_q8_avxvnni.cpp.
#include "runtime/kernels/linear.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/linear_q8_q4_k.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/linear_q8_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

void linear_q8_q4_k(const LinearArgs &args, Part part) {
  linearQuantized<IntegersQ4_K>(args, part);
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(linear_q8_q4_k);

void linear_q8_q4_k(const LinearArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(linear_q8_q4_k)(args, part);
}

} // namespace cleave::rt
#endif
