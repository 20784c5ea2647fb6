// Elementwise functions of two tensors.
#include "runtime/kernels/binary.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/binary.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/weights-inl.h"

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

struct AddOp {
  template <class V> HWY_INLINE V operator()(V a, V b) const { return hn::Add(a, b); }
};
struct MulOp {
  template <class V> HWY_INLINE V operator()(V a, V b) const { return hn::Mul(a, b); }
};

template <class Op> HWY_INLINE void binary(const BinaryArgs &args, Part part) {
  const FloatTag d;
  const hn::CappedTag<float, 1> single;
  constexpr int64_t lanes = hn::MaxLanes(d);
  const Op op;
  const PartRange range = partRange(args.rows * args.columns, part, 64);
  for (int64_t item = range.begin; item < range.end;) {
    const int64_t row = item / args.columns;
    const int64_t first = item % args.columns;
    const int64_t count = std::min(args.columns - first, range.end - item);
    const float *x = args.x + row * args.xStride + first;
    const float *y = args.y + row * args.yStride + first;
    float *z = args.z + row * args.zStride + first;
    int64_t i = 0;
    for (; i + lanes <= count; i += lanes)
      hn::StoreU(op(hn::LoadU(d, x + i), hn::LoadU(d, y + i)), d, z + i);
    for (; i < count; ++i)
      hn::StoreU(op(hn::LoadU(single, x + i), hn::LoadU(single, y + i)), single, z + i);
    item += count;
  }
}

void add(const BinaryArgs &args, Part part) {
  binary<AddOp>(args, part);
}
void mul(const BinaryArgs &args, Part part) {
  binary<MulOp>(args, part);
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(add);
HWY_EXPORT(mul);

void add(const BinaryArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(add)(args, part);
}
void mul(const BinaryArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(mul)(args, part);
}

} // namespace cleave::rt
#endif
