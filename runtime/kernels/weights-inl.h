// How the elements of each weight type become vectors of f32, exactly, and the
// horizontal sums that kernels share. Included once per Highway target, so it
// has a guard that toggles and no declarations outside HWY_NAMESPACE.
#if defined(CLEAVE_KERNELS_WEIGHTS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef CLEAVE_KERNELS_WEIGHTS_INL_H
#undef CLEAVE_KERNELS_WEIGHTS_INL_H
#else
#define CLEAVE_KERNELS_WEIGHTS_INL_H
#endif

#include "runtime/program/block_formats.h"

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// The widest vector that kernels use: 16 floats, half a block of 32 elements.
using FloatTag = hn::CappedTag<float, 16>;

/// Columns are taken in groups of this many, whatever the weight's type.
inline constexpr int64_t groupColumns = 32;

/// The value of an IEEE half.
HWY_INLINE float halfToFloat(uint16_t bits) {
  const hn::CappedTag<float, 1> d;
  const hn::Rebind<hwy::float16_t, decltype(d)> dh;
  hwy::float16_t half;
  std::memcpy(&half, &bits, sizeof(half));
  return hn::GetLane(hn::PromoteTo(d, hn::LoadU(dh, &half)));
}

// A weight type is a struct with
//   blockLength, and blockBytes as in the table of element types,
//   Scale, what a group's vectors have in common, made by scale(d, group),
//   load(d, group, scale, j): elements j .. j + Lanes(d) of the group as f32,
// where `group` points to groupColumns elements; Lanes(d) divides 16.

struct NoScale {};

struct WeightsF32 {
  static constexpr int64_t blockLength = 1;
  static constexpr int64_t blockBytes = 4;
  template <class D> using Scale = NoScale;

  template <class D> static HWY_INLINE NoScale scale(D, const uint8_t *) { return {}; }
  template <class D>
  static HWY_INLINE hn::Vec<D> load(D d, const uint8_t *group, NoScale, size_t j) {
    return hn::LoadU(d, reinterpret_cast<const float *>(group) + j);
  }
};

struct WeightsF16 {
  static constexpr int64_t blockLength = 1;
  static constexpr int64_t blockBytes = 2;
  template <class D> using Scale = NoScale;

  template <class D> static HWY_INLINE NoScale scale(D, const uint8_t *) { return {}; }
  template <class D>
  static HWY_INLINE hn::Vec<D> load(D d, const uint8_t *group, NoScale, size_t j) {
    const hn::Rebind<hwy::float16_t, D> dh;
    return hn::PromoteTo(d, hn::LoadU(dh, reinterpret_cast<const hwy::float16_t *>(group) + j));
  }
};

struct WeightsBF16 {
  static constexpr int64_t blockLength = 1;
  static constexpr int64_t blockBytes = 2;
  template <class D> using Scale = NoScale;

  template <class D> static HWY_INLINE NoScale scale(D, const uint8_t *) { return {}; }
  template <class D>
  static HWY_INLINE hn::Vec<D> load(D d, const uint8_t *group, NoScale, size_t j) {
    const hn::Rebind<hwy::bfloat16_t, D> dh;
    return hn::PromoteTo(d, hn::LoadU(dh, reinterpret_cast<const hwy::bfloat16_t *>(group) + j));
  }
};

// A half has 11 significant bits and a quantized value at most 8, so scale * value is
// exact in f32.

struct WeightsQ8_0 {
  static constexpr int64_t blockLength = 32;
  static constexpr int64_t blockBytes = sizeof(BlockQ8_0);
  template <class D> using Scale = hn::Vec<D>;

  template <class D> static HWY_INLINE hn::Vec<D> scale(D d, const uint8_t *group) {
    return hn::Set(d, halfToFloat(reinterpret_cast<const BlockQ8_0 *>(group)->scale));
  }
  template <class D>
  static HWY_INLINE hn::Vec<D> load(D d, const uint8_t *group, hn::Vec<D> scale, size_t j) {
    const hn::Rebind<int8_t, D> di8;
    const hn::Rebind<int32_t, D> di32;
    const int8_t *values = reinterpret_cast<const BlockQ8_0 *>(group)->values;
    return hn::Mul(scale, hn::ConvertTo(d, hn::PromoteTo(di32, hn::LoadU(di8, values + j))));
  }
};

struct WeightsQ4_0 {
  static constexpr int64_t blockLength = 32;
  static constexpr int64_t blockBytes = sizeof(BlockQ4_0);
  template <class D> using Scale = hn::Vec<D>;

  template <class D> static HWY_INLINE hn::Vec<D> scale(D d, const uint8_t *group) {
    return hn::Set(d, halfToFloat(reinterpret_cast<const BlockQ4_0 *>(group)->scale));
  }
  template <class D>
  static HWY_INLINE hn::Vec<D> load(D d, const uint8_t *group, hn::Vec<D> scale, size_t j) {
    const hn::Rebind<uint8_t, D> du8;
    const hn::Rebind<int32_t, D> di32;
    const uint8_t *nibbles = reinterpret_cast<const BlockQ4_0 *>(group)->nibbles;
    const auto bytes = hn::PromoteTo(di32, hn::LoadU(du8, nibbles + (j & 15)));
    const auto values = j < 16 ? hn::And(bytes, hn::Set(di32, 15)) : hn::ShiftRight<4>(bytes);
    return hn::Mul(scale, hn::ConvertTo(d, hn::Sub(values, hn::Set(di32, 8))));
  }
};

/// The sum of a vector's lanes.
template <class D> HWY_INLINE float sumLanes(D d, hn::Vec<D> v) {
  return hn::GetLane(hn::SumOfLanes(d, v));
}

HWY_INLINE hn::Vec<hn::CappedTag<float, 4>> sumBlocks(hn::CappedTag<float, 4>,
                                                      hn::Vec<hn::CappedTag<float, 4>> v) {
  return v;
}

/// The sum of a vector's blocks of 4 lanes.
template <class D> HWY_INLINE hn::Vec<hn::CappedTag<float, 4>> sumBlocks(D d, hn::Vec<D> v) {
  const hn::Half<D> dh;
  return sumBlocks(dh, hn::Add(hn::LowerHalf(dh, v), hn::UpperHalf(dh, v)));
}

/// The sums of the lanes of four vectors, in this order: fewer shuffles than four
/// sums. Lanes(d) is at least 4.
template <class D>
HWY_INLINE hn::Vec<hn::CappedTag<float, 4>> sumLanesOfFour(D d, hn::Vec<D> v0, hn::Vec<D> v1,
                                                           hn::Vec<D> v2, hn::Vec<D> v3) {
  const hn::Repartition<double, D> pairs;
  // In each block of 4 lanes: (v0, v1, v0, v1) and (v2, v3, v2, v3), halfway summed.
  const auto v01 =
      hn::BitCast(pairs, hn::Add(hn::InterleaveLower(d, v0, v1), hn::InterleaveUpper(d, v0, v1)));
  const auto v23 =
      hn::BitCast(pairs, hn::Add(hn::InterleaveLower(d, v2, v3), hn::InterleaveUpper(d, v2, v3)));
  return sumBlocks(d, hn::Add(hn::BitCast(d, hn::InterleaveLower(pairs, v01, v23)),
                              hn::BitCast(d, hn::InterleaveUpper(pairs, v01, v23))));
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
