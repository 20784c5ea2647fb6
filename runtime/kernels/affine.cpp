// One pass over the rows, in vectors of columns.
#include "runtime/kernels/affine.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/affine.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/weights-inl.h"

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

template <class D>
HWY_INLINE void affineVector(D d, const AffineArgs &args, int64_t row, int64_t column) {
  const int64_t at = row * args.columns + column;
  auto y = hn::LoadU(d, args.y + at);
  if (args.factor)
    y = hn::Mul(y, hn::LoadU(d, args.factor + column));
  if (args.offset)
    y = hn::Add(y, hn::LoadU(d, args.offset + column));
  if (args.residual)
    y = hn::Add(y, hn::LoadU(d, args.residual + at));
  if (args.isRelu) // what is not a number stays so
    y = hn::IfThenElse(hn::Lt(y, hn::Zero(d)), hn::Zero(d), y);
  hn::StoreU(y, d, args.y + at);
}

void affine(const AffineArgs &args, Part part) {
  const FloatTag d;
  const hn::CappedTag<float, 1> single;
  constexpr int64_t lanes = hn::MaxLanes(d);
  const PartRange rows = partRange(args.rows, part);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    int64_t column = 0;
    for (; column + lanes <= args.columns; column += lanes)
      affineVector(d, args, row, column);
    for (; column < args.columns; ++column)
      affineVector(single, args, row, column);
  }
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(affine);

void affine(const AffineArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(affine)(args, part);
}

} // namespace cleave::rt
#endif
