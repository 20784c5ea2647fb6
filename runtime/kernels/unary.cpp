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

struct SiluOp {
  template <class D> HWY_INLINE hn::Vec<D> operator()(D d, hn::Vec<D> x, float) const {
    // Exp is defined up to 104; at 88 the quotient is already below 1e-36.
    const auto exponential = hn::Exp(d, hn::Min(hn::Neg(x), hn::Set(d, 88.0f)));
    return hn::Div(x, hn::Add(hn::Set(d, 1.0f), exponential));
  }
};
struct ScaleOp {
  template <class D> HWY_INLINE hn::Vec<D> operator()(D d, hn::Vec<D> x, float factor) const {
    return hn::Mul(x, hn::Set(d, factor));
  }
};

template <class Op> HWY_INLINE void unary(const UnaryArgs &args, Part part) {
  const FloatTag d;
  const hn::CappedTag<float, 1> single;
  constexpr int64_t lanes = hn::MaxLanes(d);
  const Op op;
  const PartRange range = partRange(args.count, part, 64);
  int64_t i = range.begin;
  for (; i + lanes <= range.end; i += lanes)
    hn::StoreU(op(d, hn::LoadU(d, args.x + i), args.parameter), d, args.y + i);
  for (; i < range.end; ++i)
    hn::StoreU(op(single, hn::LoadU(single, args.x + i), args.parameter), single, args.y + i);
}

void silu(const UnaryArgs &args, Part part) {
  unary<SiluOp>(args, part);
}
void scale(const UnaryArgs &args, Part part) {
  unary<ScaleOp>(args, part);
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(silu);
HWY_EXPORT(scale);

void silu(const UnaryArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(silu)(args, part);
}
void scale(const UnaryArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(scale)(args, part);
}

} // namespace cleave::rt
#endif
