// f32 activations times 5-bit weights in blocks of 256, promoted exactly; products and sums in f32.
#include "runtime/kernels/linear.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/linear_f32_q5_k.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/linear_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

void linear_f32_q5_k(const LinearArgs &args, Part part) {
  linearFloat<WeightsQ5_K>(args, part);
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(linear_f32_q5_k);

void linear_f32_q5_k(const LinearArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(linear_f32_q5_k)(args, part);
}

} // namespace cleave::rt
#endif
