// Quantizes activations to 8 bits: one block of 32 at a time, zeros where x has no
// column.
#include "runtime/kernels/quantize.h"

#include <algorithm>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/quantize.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/weights-inl.h"

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

HWY_INLINE void quantizeBlock(const float *x, int8_t *values, float *scale, int16_t *sums) {
  const FloatTag d;
  const hn::Rebind<int8_t, FloatTag> di8;
  auto largest = hn::Zero(d);
  auto zeroOrNaN = hn::Zero(d);
  for (int64_t j = 0; j < q8BlockLength; j += hn::MaxLanes(d)) {
    const auto v = hn::LoadU(d, x + j);
    largest = hn::Max(largest, hn::Abs(v));
    zeroOrNaN = hn::MulAdd(v, hn::Zero(d), zeroOrNaN);
  }
  const float maximum = hn::GetLane(hn::MaxOfLanes(d, largest));
  // Below this the reciprocal overflows; no activation means anything there.
  const bool tiny = maximum < 1e-35f;
  *scale = (tiny ? 0.0f : maximum / 127.0f) + sumLanes(d, zeroOrNaN);
  const auto inverse = hn::Set(d, tiny ? 0.0f : 127.0f / maximum);
  const hn::RebindToSigned<FloatTag> di32;
  constexpr int64_t half = q8BlockLength / 2;
  for (int64_t first = 0; first < q8BlockLength; first += half) {
    auto total = hn::Zero(di32);
    for (int64_t j = first; j < first + half; j += hn::MaxLanes(d)) {
      const auto rounded = hn::NearestInt(hn::Mul(hn::LoadU(d, x + j), inverse));
      total = hn::Add(total, rounded);
      hn::StoreU(hn::DemoteTo(di8, rounded), di8, values + j);
    }
    sums[first / half] = static_cast<int16_t>(hn::GetLane(hn::SumOfLanes(di32, total)));
  }
}

void quantizeQ8(const QuantizeArgs &args, Part part) {
  const int64_t blocks = args.columns / q8BlockLength;
  const int64_t rowBytes = q8RowBytes(args.columns);
  const PartRange range = partRange(args.tokens * blocks, part);
  for (int64_t item = range.begin; item < range.end; ++item) {
    const int64_t token = item / blocks;
    const int64_t block = item % blocks;
    std::byte *row = args.y + token * rowBytes;
    auto *values = reinterpret_cast<int8_t *>(row) + block * q8BlockLength;
    auto *scale = reinterpret_cast<float *>(row + q8ScalesOffset(args.columns)) + block;
    auto *sums = reinterpret_cast<int16_t *>(row + q8SumsOffset(args.columns)) + 2 * block;
    // Columns of x: the block's first, and those of the block that x has.
    const int64_t origin = block * q8BlockLength - args.padBefore;
    const int64_t begin = std::clamp<int64_t>(origin, 0, args.xColumns);
    const int64_t end = std::clamp<int64_t>(origin + q8BlockLength, 0, args.xColumns);
    const float *x = args.x + token * args.xStride;
    if (end - begin == q8BlockLength) {
      quantizeBlock(x + begin, values, scale, sums);
    } else {
      alignas(64) float padded[q8BlockLength] = {};
      if (begin < end)
        std::memcpy(padded + (begin - origin), x + begin, (end - begin) * sizeof(float));
      quantizeBlock(padded, values, scale, sums);
    }
  }
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(quantizeQ8);

void quantizeQ8(const QuantizeArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(quantizeQ8)(args, part);
}

} // namespace cleave::rt
#endif
