// Softmax: of rows in vectors along them, of columns in vectors across them.
#include "runtime/kernels/softmax.h"

#include <algorithm>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/softmax.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/weights-inl.h"

#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

/// e to the power of x <= 0; what is not a number stays so.
template <class D> HWY_INLINE hn::Vec<D> exponential(D d, hn::Vec<D> x) {
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Exp(d, x));
}

HWY_INLINE void softmaxRow(const float *x, float *y, int64_t length, bool logarithm) {
  const FloatTag d;
  const hn::CappedTag<float, 1> single;
  constexpr int64_t lanes = hn::MaxLanes(d);
  auto maxima = hn::Set(d, -std::numeric_limits<float>::infinity());
  int64_t i = 0;
  for (; i + lanes <= length; i += lanes)
    maxima = hn::Max(maxima, hn::LoadU(d, x + i));
  float maximum = hn::GetLane(hn::MaxOfLanes(d, maxima));
  for (; i < length; ++i)
    maximum = std::max(maximum, x[i]);

  const auto least = hn::Set(d, maximum);
  auto sums = hn::Zero(d);
  for (i = 0; i + lanes <= length; i += lanes) {
    const auto shifted = hn::Sub(hn::LoadU(d, x + i), least);
    const auto power = exponential(d, shifted);
    sums = hn::Add(sums, power);
    hn::StoreU(logarithm ? shifted : power, d, y + i);
  }
  float sum = sumLanes(d, sums);
  for (; i < length; ++i) {
    const float shifted = x[i] - maximum;
    const float power = hn::GetLane(exponential(single, hn::Set(single, shifted)));
    sum += power;
    y[i] = logarithm ? shifted : power;
  }

  const float last = logarithm ? std::log(sum) : 1.0f / sum;
  const auto all = hn::Set(d, last);
  for (i = 0; i + lanes <= length; i += lanes) {
    const auto value = hn::LoadU(d, y + i);
    hn::StoreU(logarithm ? hn::Sub(value, all) : hn::Mul(value, all), d, y + i);
  }
  for (; i < length; ++i)
    y[i] = logarithm ? y[i] - last : y[i] * last;
}

/// As many columns as a vector has, `stride` elements from row to row.
template <class D>
HWY_INLINE void softmaxColumns(D d, const float *x, float *y, int64_t length, int64_t stride,
                               bool logarithm) {
  auto maximum = hn::Set(d, -std::numeric_limits<float>::infinity());
  for (int64_t i = 0; i < length; ++i)
    maximum = hn::Max(maximum, hn::LoadU(d, x + i * stride));
  auto sum = hn::Zero(d);
  for (int64_t i = 0; i < length; ++i) {
    const auto shifted = hn::Sub(hn::LoadU(d, x + i * stride), maximum);
    const auto power = exponential(d, shifted);
    sum = hn::Add(sum, power);
    hn::StoreU(logarithm ? shifted : power, d, y + i * stride);
  }
  const auto last = logarithm ? hn::Log(d, sum) : hn::Div(hn::Set(d, 1.0f), sum);
  for (int64_t i = 0; i < length; ++i) {
    const auto value = hn::LoadU(d, y + i * stride);
    hn::StoreU(logarithm ? hn::Sub(value, last) : hn::Mul(value, last), d, y + i * stride);
  }
}

void softmax(const SoftmaxArgs &args, Part part) {
  if (args.inner == 1) {
    const PartRange rows = partRange(args.outer, part);
    for (int64_t row = rows.begin; row < rows.end; ++row)
      softmaxRow(args.x + row * args.length, args.y + row * args.length, args.length,
                 args.logarithm);
    return;
  }
  const FloatTag d;
  const hn::CappedTag<float, 1> single;
  constexpr int64_t lanes = hn::MaxLanes(d);
  // Blocks of columns of each of the outer elements.
  constexpr int64_t block = 64;
  const int64_t blocks = (args.inner + block - 1) / block;
  const PartRange range = partRange(args.outer * blocks, part);
  for (int64_t item = range.begin; item < range.end; ++item) {
    const int64_t first = item / blocks * args.length * args.inner;
    const int64_t end = std::min(args.inner, item % blocks * block + block);
    int64_t column = item % blocks * block;
    for (; column + lanes <= end; column += lanes)
      softmaxColumns(d, args.x + first + column, args.y + first + column, args.length, args.inner,
                     args.logarithm);
    for (; column < end; ++column)
      softmaxColumns(single, args.x + first + column, args.y + first + column, args.length,
                     args.inner, args.logarithm);
  }
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(softmax);

void softmax(const SoftmaxArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(softmax)(args, part);
}

} // namespace cleave::rt
#endif
