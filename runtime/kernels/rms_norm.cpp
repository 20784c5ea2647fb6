// Root-mean-square normalization. With fewer rows than parts, parts share a row:
// each sums all of it and writes its columns.
#include "runtime/kernels/rms_norm.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/rms_norm.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/weights-inl.h"

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

HWY_INLINE float sumOfSquares(const float *x, int64_t columns) {
  const FloatTag d;
  constexpr int64_t lanes = hn::MaxLanes(d);
  auto sum0 = hn::Zero(d);
  auto sum1 = hn::Zero(d);
  auto sum2 = hn::Zero(d);
  auto sum3 = hn::Zero(d);
  int64_t c = 0;
  for (; c + 4 * lanes <= columns; c += 4 * lanes) {
    const auto v0 = hn::LoadU(d, x + c);
    const auto v1 = hn::LoadU(d, x + c + lanes);
    const auto v2 = hn::LoadU(d, x + c + 2 * lanes);
    const auto v3 = hn::LoadU(d, x + c + 3 * lanes);
    sum0 = hn::MulAdd(v0, v0, sum0);
    sum1 = hn::MulAdd(v1, v1, sum1);
    sum2 = hn::MulAdd(v2, v2, sum2);
    sum3 = hn::MulAdd(v3, v3, sum3);
  }
  for (; c + lanes <= columns; c += lanes) {
    const auto v = hn::LoadU(d, x + c);
    sum0 = hn::MulAdd(v, v, sum0);
  }
  float sum = sumLanes(d, hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3)));
  for (; c < columns; ++c)
    sum += x[c] * x[c];
  return sum;
}

void rmsNorm(const RmsNormArgs &args, Part part) {
  const FloatTag d;
  constexpr int64_t lanes = hn::MaxLanes(d);
  const bool shareRows = args.tokens < part.count;
  const PartRange rows = shareRows ? PartRange{0, args.tokens} : partRange(args.tokens, part);
  const PartRange columns =
      shareRows ? partRange(args.columns, part, 64) : PartRange{0, args.columns};
  if (columns.begin == columns.end)
    return;
  for (int64_t t = rows.begin; t < rows.end; ++t) {
    const float *x = args.x + t * args.xStride;
    float *y = args.y + t * args.yStride;
    const float mean = sumOfSquares(x, args.columns) / static_cast<float>(args.columns);
    const float scale = 1.0f / std::sqrt(mean + args.epsilon);
    int64_t c = columns.begin;
    for (; c + lanes <= columns.end; c += lanes) {
      const auto scaled = hn::Mul(hn::LoadU(d, x + c), hn::Set(d, scale));
      hn::StoreU(hn::Mul(scaled, hn::LoadU(d, args.weight + c)), d, y + c);
    }
    for (; c < columns.end; ++c)
      y[c] = x[c] * scale * args.weight[c];
  }
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(rmsNorm);

void rmsNorm(const RmsNormArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(rmsNorm)(args, part);
}

} // namespace cleave::rt
#endif
