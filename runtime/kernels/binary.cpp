// Functions of two elements of f32, in vectors. Powers and remainders are computed one by one.
#include "runtime/kernels/binary.h"

#include "runtime/kernels/binary_functions.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/binary.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/weights-inl.h"

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

/// The operand for a vector of results; of one that is repeated along a row, its one element.
template <bool isRepeated, class D> HWY_INLINE hn::Vec<D> load(D d, const float *x, int64_t i) {
  if constexpr (isRepeated)
    return hn::Set(d, *x);
  else
    return hn::LoadU(d, x + i);
}

template <bool repeatsX, bool repeatsY, class Function>
HWY_INLINE void row(const float *x, const float *y, float *z, int64_t count, const Function &f) {
  const FloatTag d;
  const hn::CappedTag<float, 1> single;
  constexpr int64_t lanes = hn::MaxLanes(d);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    hn::StoreU(f(load<repeatsX>(d, x, i), load<repeatsY>(d, y, i)), d, z + i);
  for (; i < count; ++i)
    hn::StoreU(f(load<repeatsX>(single, x, i), load<repeatsY>(single, y, i)), single, z + i);
}

template <class Function>
HWY_INLINE void apply(const BinaryArgs &args, Part part, const Function &f) {
  const auto *x = static_cast<const float *>(args.x);
  const auto *y = static_cast<const float *>(args.y);
  auto *z = static_cast<float *>(args.z);
  const auto last = static_cast<size_t>(args.shape.rank - 1);
  const bool repeatsX = args.shape.strides[0][last] == 0;
  const bool repeatsY = args.shape.strides[1][last] == 0;
  forEachRow(args.shape, partRange(args.shape.count(), part, 64),
             [&](const std::array<int64_t, 2> &at, int64_t result, int64_t count) {
               if (repeatsX)
                 row<true, false>(x + at[0], y + at[1], z + result, count, f);
               else if (repeatsY)
                 row<false, true>(x + at[0], y + at[1], z + result, count, f);
               else
                 row<false, false>(x + at[0], y + at[1], z + result, count, f);
             });
}

void binaryF32(const BinaryArgs &args, Part part) {
  switch (args.kind) {
  case BinaryKind::add:
    return apply(args, part, [](auto x, auto y) { return hn::Add(x, y); });
  case BinaryKind::mul:
    return apply(args, part, [](auto x, auto y) { return hn::Mul(x, y); });
  case BinaryKind::sub:
    return apply(args, part, [](auto x, auto y) { return hn::Sub(x, y); });
  case BinaryKind::div:
    return apply(args, part, [](auto x, auto y) { return hn::Div(x, y); });
  case BinaryKind::min: // of a NaN in x, x; of one in y the comparison is false, and it is y
    return apply(args, part, [](auto x, auto y) {
      return hn::IfThenElse(hn::Or(hn::Lt(x, y), hn::IsNaN(x)), x, y);
    });
  case BinaryKind::max:
    return apply(args, part, [](auto x, auto y) {
      return hn::IfThenElse(hn::Or(hn::Gt(x, y), hn::IsNaN(x)), x, y);
    });
  case BinaryKind::prelu:
    return apply(args, part, [](auto x, auto y) {
      return hn::IfThenElse(hn::Lt(x, hn::Xor(x, x)), hn::Mul(x, y), x);
    });
  default:
    break;
  }
  const auto *x = static_cast<const float *>(args.x);
  const auto *y = static_cast<const float *>(args.y);
  auto *z = static_cast<float *>(args.z);
  const auto last = static_cast<size_t>(args.shape.rank - 1);
  const int64_t xStride = args.shape.strides[0][last], yStride = args.shape.strides[1][last];
  withFunction<float>(args.kind, [&](const auto &f) {
    if constexpr (std::is_same_v<decltype(f(0.0f, 0.0f)), float>)
      forEachRow(args.shape, partRange(args.shape.count(), part, 64),
                 [&](const std::array<int64_t, 2> &at, int64_t result, int64_t count) {
                   for (int64_t i = 0; i < count; ++i)
                     z[result + i] = f(x[at[0] + i * xStride], y[at[1] + i * yStride]);
                 });
  });
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(binaryF32);

void binaryF32(const BinaryArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(binaryF32)(args, part);
}

} // namespace cleave::rt
#endif
