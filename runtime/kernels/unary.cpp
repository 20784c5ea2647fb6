// Functions of one element.
#include "runtime/kernels/unary.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/unary.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/weights-inl.h"

#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

template <class D> HWY_INLINE hn::Vec<D> siluOf(D d, hn::Vec<D> x) {
  // Exp is defined up to 104; at 88 the quotient is already below 1e-36.
  const auto exponential = hn::Exp(d, hn::Min(hn::Neg(x), hn::Set(d, 88.0f)));
  return hn::Div(x, hn::Add(hn::Set(d, 1.0f), exponential));
}

void silu(const UnaryArgs &args, Part part) {
  const FloatTag d;
  constexpr int64_t lanes = hn::MaxLanes(d);
  const PartRange range = partRange(args.count, part, 64);
  int64_t i = range.begin;
  for (; i + lanes <= range.end; i += lanes)
    hn::StoreU(siluOf(d, hn::LoadU(d, args.x + i)), d, args.y + i);
  const hn::CappedTag<float, 1> single;
  for (; i < range.end; ++i)
    hn::StoreU(siluOf(single, hn::LoadU(single, args.x + i)), single, args.y + i);
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(silu);

void silu(const UnaryArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(silu)(args, part);
}

} // namespace cleave::rt
#endif
