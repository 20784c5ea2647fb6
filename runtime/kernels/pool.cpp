// Pooling: for each output the taps of its window that are inside. Where channels are last,
// vectors are of channels; else the taps are taken one by one.
#include "runtime/kernels/pool.h"

#include <algorithm>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/pool.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/weights-inl.h"

#ifndef CLEAVE_KERNELS_POOL_TAPS
#define CLEAVE_KERNELS_POOL_TAPS
namespace cleave::rt {
namespace {

/// The taps of a window along one dimension that are inside, and how many count.
struct Taps {
  int64_t first; ///< the element of x that the first tap inside reads
  int64_t count;
  int64_t counted; ///< with the pads
};

Taps tapsOf(const PoolArgs &args, int dim, int64_t output) {
  const int64_t dilation = args.dilations[dim];
  const int64_t begin = output * args.strides[dim] - args.padsBefore[dim];
  // Taps [low, high) are inside of x, [0, padded) not behind the pads.
  const int64_t low = begin >= 0 ? 0 : (-begin + dilation - 1) / dilation;
  auto tapsBefore = [&](int64_t end) {
    return std::clamp<int64_t>((end - begin + dilation - 1) / dilation, 0, args.window[dim]);
  };
  const int64_t high = begin >= args.sizes[dim] ? 0 : tapsBefore(args.sizes[dim]);
  const int64_t padded = tapsBefore(args.sizes[dim] + args.padsAfter[dim]);
  return {begin + low * dilation, std::max<int64_t>(high - low, 0), padded};
}

} // namespace
} // namespace cleave::rt
#endif

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

/// Where the taps of a window are: steps of elements in three dimensions.
struct Window {
  const float *first;
  int64_t counts[3];
  int64_t steps[3];
};

/// What is not a number stays, whatever a vector unit's own maximum does with it.
struct Largest {
  template <class D> static HWY_INLINE hn::Vec<D> start(D d) {
    return hn::Set(d, -std::numeric_limits<float>::infinity());
  }
  template <class V> static HWY_INLINE V take(V largest, V x) {
    return hn::IfThenElse(hn::Or(hn::Gt(x, largest), hn::IsNaN(x)), x, largest);
  }
};

struct Sum {
  template <class D> static HWY_INLINE hn::Vec<D> start(D d) { return hn::Zero(d); }
  template <class V> static HWY_INLINE V take(V sum, V x) { return hn::Add(sum, x); }
};

/// N vectors of channels from `c` on.
template <class Op, int N, class D>
HWY_INLINE void poolVectors(D d, const Window &window, int64_t c, float divisor, float *y) {
  hn::Vec<D> all[N];
  for (int n = 0; n < N; ++n)
    all[n] = Op::start(d);
  for (int64_t i = 0; i < window.counts[0]; ++i)
    for (int64_t j = 0; j < window.counts[1]; ++j) {
      const float *x = window.first + i * window.steps[0] + j * window.steps[1] + c;
      for (int64_t k = 0; k < window.counts[2]; ++k, x += window.steps[2])
        for (int n = 0; n < N; ++n)
          all[n] = Op::take(all[n], hn::LoadU(d, x + n * hn::MaxLanes(d)));
    }
  for (int n = 0; n < N; ++n)
    hn::StoreU(hn::Div(all[n], hn::Set(d, divisor)), d, y + c + n * hn::MaxLanes(d));
}

template <class Op>
HWY_INLINE void poolPixel(const Window &window, int64_t inner, float divisor, float *y) {
  const FloatTag d;
  const hn::CappedTag<float, 4> four;
  const hn::CappedTag<float, 1> single;
  constexpr int64_t lanes = hn::MaxLanes(d), lanesOfFour = hn::MaxLanes(four);
  int64_t c = 0;
  for (; c + 4 * lanes <= inner; c += 4 * lanes)
    poolVectors<Op, 4>(d, window, c, divisor, y);
  for (; c + lanes <= inner; c += lanes)
    poolVectors<Op, 1>(d, window, c, divisor, y);
  for (; c + lanesOfFour <= inner; c += lanesOfFour)
    poolVectors<Op, 1>(four, window, c, divisor, y);
  for (; c < inner; ++c)
    poolVectors<Op, 1>(single, window, c, divisor, y);
}

void pool(const PoolArgs &args, Part part) {
  const int64_t size = args.sizes[0] * args.sizes[1] * args.sizes[2] * args.inner;
  const int64_t rows = args.outputs[0] * args.outputs[1]; // of a plane
  const int64_t steps[3] = {args.sizes[1] * args.sizes[2] * args.inner, args.sizes[2] * args.inner,
                            args.inner};
  const PartRange range = partRange(args.planes * rows, part);
  for (int64_t item = range.begin; item < range.end; ++item) {
    const float *x = args.x + item / rows * size;
    float *y = args.y + item * args.outputs[2] * args.inner;
    const Taps depth = tapsOf(args, 0, item % rows / args.outputs[1]);
    const Taps height = tapsOf(args, 1, item % args.outputs[1]);
    for (int64_t column = 0; column < args.outputs[2]; ++column, y += args.inner) {
      const Taps width = tapsOf(args, 2, column);
      Window window{x + depth.first * steps[0] + height.first * steps[1] + width.first * steps[2],
                    {depth.count, height.count, width.count},
                    {steps[0] * args.dilations[0], steps[1] * args.dilations[1],
                     steps[2] * args.dilations[2]}};
      if (args.isMax) {
        poolPixel<Largest>(window, args.inner, 1, y);
        continue;
      }
      const int64_t counted = args.countsPads ? depth.counted * height.counted * width.counted
                                              : depth.count * height.count * width.count;
      poolPixel<Sum>(window, args.inner, static_cast<float>(std::max<int64_t>(counted, 1)), y);
    }
  }
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(pool);

void pool(const PoolArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(pool)(args, part);
}

} // namespace cleave::rt
#endif
