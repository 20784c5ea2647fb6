// Layer normalization. The variance is taken of differences from the mean, so that it is
// exact where all elements are large and close together.
#include "runtime/kernels/layer_norm.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/layer_norm.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/weights-inl.h"

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

/// The sum of f(element) over a row, f being of vectors.
template <class F> HWY_INLINE float sumOf(const float *x, int64_t columns, const F &f) {
  const FloatTag d;
  const hn::CappedTag<float, 1> single;
  constexpr int64_t lanes = hn::MaxLanes(d);
  auto sum0 = hn::Zero(d), sum1 = hn::Zero(d), sum2 = hn::Zero(d), sum3 = hn::Zero(d);
  int64_t c = 0;
  for (; c + 4 * lanes <= columns; c += 4 * lanes) {
    sum0 = hn::Add(sum0, f(d, hn::LoadU(d, x + c)));
    sum1 = hn::Add(sum1, f(d, hn::LoadU(d, x + c + lanes)));
    sum2 = hn::Add(sum2, f(d, hn::LoadU(d, x + c + 2 * lanes)));
    sum3 = hn::Add(sum3, f(d, hn::LoadU(d, x + c + 3 * lanes)));
  }
  for (; c + lanes <= columns; c += lanes)
    sum0 = hn::Add(sum0, f(d, hn::LoadU(d, x + c)));
  float sum = sumLanes(d, hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3)));
  for (; c < columns; ++c)
    sum += hn::GetLane(f(single, hn::LoadU(single, x + c)));
  return sum;
}

template <class D>
HWY_INLINE void normalize(D d, const LayerNormArgs &args, const float *x, float *y, int64_t c,
                          float mean, float scale) {
  auto value = hn::Mul(hn::Sub(hn::LoadU(d, x + c), hn::Set(d, mean)), hn::Set(d, scale));
  if (args.weight)
    value = hn::Mul(value, hn::LoadU(d, args.weight + c));
  if (args.bias)
    value = hn::Add(value, hn::LoadU(d, args.bias + c));
  hn::StoreU(value, d, y + c);
}

void layerNorm(const LayerNormArgs &args, Part part) {
  const FloatTag d;
  const hn::CappedTag<float, 1> single;
  constexpr int64_t lanes = hn::MaxLanes(d);
  const PartRange rows = partRange(args.rows, part);
  const float count = static_cast<float>(args.columns);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const float *x = args.x + row * args.columns;
    float *y = args.y + row * args.columns;
    const float mean =
        sumOf(x, args.columns, [](auto, auto value) HWY_ATTR { return value; }) / count;
    const float squares = sumOf(x, args.columns, [mean](auto tag, auto value) HWY_ATTR {
      const auto difference = hn::Sub(value, hn::Set(tag, mean));
      return hn::Mul(difference, difference);
    });
    const float scale = 1.0f / std::sqrt(squares / count + args.epsilon);
    int64_t c = 0;
    for (; c + lanes <= args.columns; c += lanes)
      normalize(d, args, x, y, c, mean, scale);
    for (; c < args.columns; ++c)
      normalize(single, args, x, y, c, mean, scale);
  }
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(layerNorm);

void layerNorm(const LayerNormArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(layerNorm)(args, part);
}

} // namespace cleave::rt
#endif
