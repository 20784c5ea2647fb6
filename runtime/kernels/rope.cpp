// Rotary position embedding: the table of angles in double, the turning in f32.
#include "runtime/kernels/rope.h"

#include <cmath>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/rope.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/weights-inl.h"

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

HWY_INLINE void turnInterleaved(const float *x, const float *cosines, const float *sines,
                                int64_t pairs, float *y) {
  const FloatTag d;
  constexpr int64_t lanes = hn::MaxLanes(d);
  int64_t j = 0;
  for (; j + lanes <= pairs; j += lanes) {
    hn::Vec<FloatTag> a;
    hn::Vec<FloatTag> b;
    hn::LoadInterleaved2(d, x + 2 * j, a, b);
    const auto cosine = hn::LoadU(d, cosines + j);
    const auto sine = hn::LoadU(d, sines + j);
    hn::StoreInterleaved2(hn::NegMulAdd(b, sine, hn::Mul(a, cosine)),
                          hn::MulAdd(b, cosine, hn::Mul(a, sine)), d, y + 2 * j);
  }
  for (; j < pairs; ++j) {
    const float a = x[2 * j];
    const float b = x[2 * j + 1];
    y[2 * j] = a * cosines[j] - b * sines[j];
    y[2 * j + 1] = a * sines[j] + b * cosines[j];
  }
}

HWY_INLINE void turnHalves(const float *x, const float *cosines, const float *sines, int64_t pairs,
                           float *y) {
  const FloatTag d;
  constexpr int64_t lanes = hn::MaxLanes(d);
  int64_t j = 0;
  for (; j + lanes <= pairs; j += lanes) {
    const auto a = hn::LoadU(d, x + j);
    const auto b = hn::LoadU(d, x + pairs + j);
    const auto cosine = hn::LoadU(d, cosines + j);
    const auto sine = hn::LoadU(d, sines + j);
    hn::StoreU(hn::NegMulAdd(b, sine, hn::Mul(a, cosine)), d, y + j);
    hn::StoreU(hn::MulAdd(b, cosine, hn::Mul(a, sine)), d, y + pairs + j);
  }
  for (; j < pairs; ++j) {
    const float a = x[j];
    const float b = x[pairs + j];
    y[j] = a * cosines[j] - b * sines[j];
    y[pairs + j] = a * sines[j] + b * cosines[j];
  }
}

void rope(const RopeArgs &args, Part part) {
  const int64_t pairs = args.rotaryDim / 2;
  const PartRange range = partRange(args.tokens * args.heads, part);
  for (int64_t item = range.begin; item < range.end; ++item) {
    const int64_t token = item / args.heads;
    const int64_t head = item % args.heads;
    const float *x = args.x + token * args.xStride + head * args.headDim;
    float *y = args.y + token * args.yStride + head * args.headDim;
    const float *cosines = args.table + token * args.rotaryDim;
    if (args.pairs == RopePairs::interleaved)
      turnInterleaved(x, cosines, cosines + pairs, pairs, y);
    else
      turnHalves(x, cosines, cosines + pairs, pairs, y);
    if (x != y)
      std::memcpy(y + args.rotaryDim, x + args.rotaryDim,
                  (args.headDim - args.rotaryDim) * sizeof(float));
  }
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(rope);

void ropeTable(const RopeTableArgs &args, Part part) {
  const int64_t pairs = args.rotaryDim / 2;
  // By pair, so that each part computes the power of its pairs once.
  const PartRange range = partRange(pairs, part);
  for (int64_t j = range.begin; j < range.end; ++j) {
    const double exponent = -2.0 * static_cast<double>(j) / static_cast<double>(args.rotaryDim);
    double frequency = args.scale * std::pow(double{args.base}, exponent);
    if (args.factors)
      frequency /= args.factors[j];
    for (int64_t t = 0; t < args.tokens; ++t) {
      const double angle = args.positions[t] * frequency;
      args.table[t * args.rotaryDim + j] = static_cast<float>(std::cos(angle));
      args.table[t * args.rotaryDim + pairs + j] = static_cast<float>(std::sin(angle));
    }
  }
}

void rope(const RopeArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(rope)(args, part);
}

} // namespace cleave::rt
#endif
