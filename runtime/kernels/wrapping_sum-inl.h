// The sum of a vector's 32-bit integers, which wraps around: included for each target of Highway's.
#if defined(CLEAVE_KERNELS_WRAPPING_SUM_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef CLEAVE_KERNELS_WRAPPING_SUM_INL_H
#undef CLEAVE_KERNELS_WRAPPING_SUM_INL_H
#else
#define CLEAVE_KERNELS_WRAPPING_SUM_INL_H
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

/// Of a whole vector. GCC's function for 512 bits, which Highway calls, adds the last two as signed
/// integers, which must not overflow.
template <class D> HWY_INLINE int32_t wrappingSum(D d, hwy::HWY_NAMESPACE::Vec<D> v) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::Half<D> half;
  return hn::GetLane(hn::SumOfLanes(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v))));
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
