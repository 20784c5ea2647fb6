// Quantizes activations: one block of 32 at a time, zeros where x has no column.
#include "runtime/kernels/quantize.h"

#include <algorithm>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/quantize.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/weights-inl.h"
#include "runtime/kernels/wrapping_sum-inl.h"

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

/// What makes integers of a block.
struct BlockScale {
  float scale;   ///< of the integers
  float inverse; ///< of the elements
};

/// With `largest` for the integers' largest magnitude.
HWY_INLINE BlockScale scaleOf(const float *x, float largest) {
  const FloatTag d;
  auto maxima = hn::Zero(d);
  auto zeroOrNaN = hn::Zero(d);
  for (int64_t j = 0; j < q8BlockLength; j += hn::MaxLanes(d)) {
    const auto v = hn::LoadU(d, x + j);
    maxima = hn::Max(maxima, hn::Abs(v));
    zeroOrNaN = hn::MulAdd(v, hn::Zero(d), zeroOrNaN);
  }
  const float maximum = hn::GetLane(hn::MaxOfLanes(d, maxima));
  // Below this the reciprocal overflows; no activation means anything there.
  const bool tiny = maximum < 1e-35f * largest;
  return {(tiny ? 0.0f : maximum / largest) + sumLanes(d, zeroOrNaN),
          tiny ? 0.0f : largest / maximum};
}

struct ToQ8 {
  static HWY_INLINE void block(const float *x, const QuantizeArgs &args, int64_t token, int64_t b) {
    const Q8Row row(args.y, token, args.columns);
    int8_t *values = row.values + b * q8BlockLength;
    const FloatTag d;
    const hn::Rebind<int8_t, FloatTag> di8;
    const hn::RebindToSigned<FloatTag> di32;
    const BlockScale scale = scaleOf(x, 127.0f);
    constexpr int64_t half = q8BlockLength / 2;
    float sums[2];
    for (int64_t first = 0; first < q8BlockLength; first += half) {
      auto total = hn::Zero(di32);
      for (int64_t j = first; j < first + half; j += hn::MaxLanes(d)) {
        const auto rounded =
            hn::NearestInt(hn::Mul(hn::LoadU(d, x + j), hn::Set(d, scale.inverse)));
        total = hn::Add(total, rounded);
        hn::StoreU(hn::DemoteTo(di8, rounded), di8, values + j);
      }
      sums[first / half] = static_cast<float>(wrappingSum(di32, total));
    }
    row.scales[b] = scale.scale;
    row.sums[b] = scale.scale * (sums[0] + sums[1]);
    row.halfSums[2 * b] = scale.scale * sums[0];
    row.halfSums[2 * b + 1] = scale.scale * sums[1];
  }
};

struct ToQ16 {
  static HWY_INLINE void block(const float *x, const QuantizeArgs &args, int64_t token, int64_t b) {
    std::byte *row = args.y + token * q16RowBytes(args.columns);
    auto *values = reinterpret_cast<int16_t *>(row) + b * q8BlockLength;
    const FloatTag d;
    const hn::Rebind<int16_t, FloatTag> di16;
    const BlockScale scale = scaleOf(x, q16Largest);
    for (int64_t j = 0; j < q8BlockLength; j += hn::MaxLanes(d))
      hn::StoreU(hn::DemoteTo(
                     di16, hn::NearestInt(hn::Mul(hn::LoadU(d, x + j), hn::Set(d, scale.inverse)))),
                 di16, values + j);
    reinterpret_cast<float *>(row + q16ScalesOffset(args.columns))[b] = scale.scale;
  }
};

struct ToBF16 {
  static HWY_INLINE void block(const float *x, const QuantizeArgs &args, int64_t token, int64_t b) {
    auto *values = reinterpret_cast<uint16_t *>(args.y + token * bf16RowBytes(args.columns)) +
                   b * q8BlockLength;
    for (int64_t j = 0; j < q8BlockLength; ++j) {
      uint32_t bits;
      std::memcpy(&bits, x + j, sizeof(bits));
      const bool isNaN = (bits & 0x7fffffffu) > 0x7f800000u;
      // To nearest, ties to even; a NaN stays one.
      const uint32_t rounded = bits + 0x7fffu + (bits >> 16 & 1);
      values[j] = static_cast<uint16_t>((isNaN ? bits | 0x400000u : rounded) >> 16);
    }
  }
};

template <class To> HWY_INLINE void quantizeRows(const QuantizeArgs &args, Part part) {
  const int64_t blocks = args.columns / q8BlockLength;
  const PartRange range = partRange(args.tokens * blocks, part);
  for (int64_t item = range.begin; item < range.end; ++item) {
    const int64_t token = item / blocks;
    const int64_t block = item % blocks;
    // Columns of x: the block's first, and those of the block that x has.
    const int64_t origin = block * q8BlockLength - args.padBefore;
    const int64_t begin = std::clamp<int64_t>(origin, 0, args.xColumns);
    const int64_t end = std::clamp<int64_t>(origin + q8BlockLength, 0, args.xColumns);
    const float *x = args.x + token * args.xStride;
    if (end - begin == q8BlockLength) {
      To::block(x + begin, args, token, block);
    } else {
      alignas(64) float padded[q8BlockLength] = {};
      if (begin < end)
        std::memcpy(padded + (begin - origin), x + begin, (end - begin) * sizeof(float));
      To::block(padded, args, token, block);
    }
  }
}

void quantizeQ8(const QuantizeArgs &args, Part part) {
  quantizeRows<ToQ8>(args, part);
}
void quantizeQ16(const QuantizeArgs &args, Part part) {
  quantizeRows<ToQ16>(args, part);
}
void quantizeBF16(const QuantizeArgs &args, Part part) {
  quantizeRows<ToBF16>(args, part);
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(quantizeQ8);
HWY_EXPORT(quantizeQ16);
HWY_EXPORT(quantizeBF16);

void quantizeQ8(const QuantizeArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(quantizeQ8)(args, part);
}
void quantizeQ16(const QuantizeArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(quantizeQ16)(args, part);
}
void quantizeBF16(const QuantizeArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(quantizeBF16)(args, part);
}

QuantizeKernel quantizeKernel(ActivationForm form) {
  switch (form) {
  case ActivationForm::q8:
    return quantizeQ8;
  case ActivationForm::q16:
    return quantizeQ16;
  case ActivationForm::bf16:
    return quantizeBF16;
  case ActivationForm::f32:
    break;
  }
  return nullptr;
}

} // namespace cleave::rt
#endif
