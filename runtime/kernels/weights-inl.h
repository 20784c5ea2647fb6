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
//   Group, what groupColumns columns of a row have in common and where they are,
//   group(d, row, column): of the columns from `column`, a multiple of groupColumns in
//     types with blocks,
//   load(d, group, j): columns j .. j + Lanes(d) of the group as f32, where Lanes(d)
//     divides 16.

/// Plain elements, of which load() alone differs.
template <int64_t bytes> struct PlainWeights {
  static constexpr int64_t blockLength = 1;
  static constexpr int64_t blockBytes = bytes;
  template <class D> using Group = const uint8_t *;

  template <class D> static HWY_INLINE const uint8_t *group(D, const uint8_t *row, int64_t column) {
    return row + column * bytes;
  }
};

struct WeightsF32 : PlainWeights<4> {
  template <class D> static HWY_INLINE hn::Vec<D> load(D d, const uint8_t *group, size_t j) {
    return hn::LoadU(d, reinterpret_cast<const float *>(group) + j);
  }
};

struct WeightsF16 : PlainWeights<2> {
  template <class D> static HWY_INLINE hn::Vec<D> load(D d, const uint8_t *group, size_t j) {
    const hn::Rebind<hwy::float16_t, D> dh;
    return hn::PromoteTo(d, hn::LoadU(dh, reinterpret_cast<const hwy::float16_t *>(group) + j));
  }
};

struct WeightsBF16 : PlainWeights<2> {
  template <class D> static HWY_INLINE hn::Vec<D> load(D d, const uint8_t *group, size_t j) {
    const hn::Rebind<hwy::bfloat16_t, D> dh;
    return hn::PromoteTo(d, hn::LoadU(dh, reinterpret_cast<const hwy::bfloat16_t *>(group) + j));
  }
};

/// Unsigned bytes as integers of 32 bits.
template <class D> HWY_INLINE hn::Vec<hn::Rebind<int32_t, D>> loadBytes(D, const uint8_t *bytes) {
  const hn::Rebind<uint8_t, D> du8;
  const hn::Rebind<int32_t, D> di32;
  return hn::PromoteTo(di32, hn::LoadU(du8, bytes));
}

/// The types with blocks.
template <class Block> struct Weights;

// A half has 11 significant bits, a sub-block's scale at most 7 and a quantized value at
// most 8 (6 beside such a scale), so that scale * value is exact in f32.

template <> struct Weights<BlockQ8_0> {
  static constexpr int64_t blockLength = 32;
  static constexpr int64_t blockBytes = sizeof(BlockQ8_0);
  template <class D> struct Group {
    const int8_t *values;
    hn::Vec<D> scale;
  };

  template <class D> static HWY_INLINE Group<D> group(D d, const uint8_t *row, int64_t column) {
    const BlockQ8_0 &block = reinterpret_cast<const BlockQ8_0 *>(row)[column / blockLength];
    return {block.values, hn::Set(d, halfToFloat(block.scale))};
  }
  template <class D> static HWY_INLINE hn::Vec<D> load(D d, const Group<D> &group, size_t j) {
    const hn::Rebind<int8_t, D> di8;
    const hn::Rebind<int32_t, D> di32;
    const auto values = hn::PromoteTo(di32, hn::LoadU(di8, group.values + j));
    return hn::Mul(group.scale, hn::ConvertTo(d, values));
  }
};

/// Blocks of 32 elements of 4 bits, or of 5 where there are high bits.
template <class Block>
  requires isNibbleBlock<Block>
struct Weights<Block> {
  static constexpr int64_t blockLength = 32;
  static constexpr int64_t blockBytes = sizeof(Block);
  template <class D> struct Group {
    const uint8_t *nibbles;
    uint32_t highBits;
    hn::Vec<D> scale, minimum;
  };

  template <class D> static HWY_INLINE Group<D> group(D d, const uint8_t *row, int64_t column) {
    const Block &block = reinterpret_cast<const Block *>(row)[column / blockLength];
    Group<D> group{block.nibbles, 0, hn::Set(d, halfToFloat(block.scale)), hn::Zero(d)};
    if constexpr (hasHighBits<Block>)
      std::memcpy(&group.highBits, block.highBits, sizeof(group.highBits));
    if constexpr (hasMinimum<Block>)
      group.minimum = hn::Set(d, halfToFloat(block.minimum));
    return group;
  }
  template <class D> static HWY_INLINE hn::Vec<D> load(D d, const Group<D> &group, size_t j) {
    const hn::Rebind<int32_t, D> di32;
    const hn::Rebind<uint32_t, D> du32;
    const auto bytes = loadBytes(d, group.nibbles + (j & 15));
    auto values = j < 16 ? hn::And(bytes, hn::Set(di32, 15)) : hn::ShiftRight<4>(bytes);
    if constexpr (hasHighBits<Block>) {
      const auto high = hn::Shr(hn::Set(du32, group.highBits), hn::Iota(du32, j));
      values = hn::Or(values, hn::BitCast(di32, hn::ShiftLeft<4>(hn::And(high, hn::Set(du32, 1)))));
    }
    if constexpr (hasMinimum<Block>)
      return hn::MulAdd(group.scale, hn::ConvertTo(d, values), group.minimum);
    const auto offset = hn::Set(di32, hasHighBits<Block> ? 16 : 8);
    return hn::Mul(group.scale, hn::ConvertTo(d, hn::Sub(values, offset)));
  }
};

// The types with blocks of 256: a group is a sub-block, or two.

template <> struct Weights<BlockQ4_K> {
  static constexpr int64_t blockLength = 256;
  static constexpr int64_t blockBytes = sizeof(BlockQ4_K);
  template <class D> struct Group {
    const uint8_t *nibbles;
    int shift;
    hn::Vec<D> scale, minimum;
  };

  template <class D> static HWY_INLINE Group<D> group(D d, const uint8_t *row, int64_t column) {
    const BlockQ4_K &block = reinterpret_cast<const BlockQ4_K *>(row)[column / blockLength];
    const int s = static_cast<int>(column % blockLength / groupColumns);
    const SubBlock sub = subBlock(block.packed, s);
    return {block.nibbles + s / 2 * 32, s % 2 * 4, hn::Set(d, halfToFloat(block.scale) * sub.scale),
            hn::Set(d, halfToFloat(block.minimum) * sub.minimum)};
  }
  template <class D> static HWY_INLINE hn::Vec<D> load(D d, const Group<D> &group, size_t j) {
    const hn::Rebind<int32_t, D> di32;
    const auto bytes = hn::ShiftRightSame(loadBytes(d, group.nibbles + j), group.shift);
    const auto values = hn::And(bytes, hn::Set(di32, 15));
    return hn::MulSub(group.scale, hn::ConvertTo(d, values), group.minimum);
  }
};

template <> struct Weights<BlockQ5_K> {
  static constexpr int64_t blockLength = 256;
  static constexpr int64_t blockBytes = sizeof(BlockQ5_K);
  template <class D> struct Group {
    const uint8_t *nibbles, *highBits;
    int shift, highShift;
    hn::Vec<D> scale, minimum;
  };

  template <class D> static HWY_INLINE Group<D> group(D d, const uint8_t *row, int64_t column) {
    const BlockQ5_K &block = reinterpret_cast<const BlockQ5_K *>(row)[column / blockLength];
    const int s = static_cast<int>(column % blockLength / groupColumns);
    const SubBlock sub = subBlock(block.packed, s);
    return {block.nibbles + s / 2 * 32,
            block.highBits,
            s % 2 * 4,
            s,
            hn::Set(d, halfToFloat(block.scale) * sub.scale),
            hn::Set(d, halfToFloat(block.minimum) * sub.minimum)};
  }
  template <class D> static HWY_INLINE hn::Vec<D> load(D d, const Group<D> &group, size_t j) {
    const hn::Rebind<int32_t, D> di32;
    const auto low = hn::ShiftRightSame(loadBytes(d, group.nibbles + j), group.shift);
    const auto high = hn::ShiftRightSame(loadBytes(d, group.highBits + j), group.highShift);
    const auto values =
        hn::Or(hn::And(low, hn::Set(di32, 15)), hn::ShiftLeft<4>(hn::And(high, hn::Set(di32, 1))));
    return hn::MulSub(group.scale, hn::ConvertTo(d, values), group.minimum);
  }
};

template <> struct Weights<BlockQ6_K> {
  static constexpr int64_t blockLength = 256;
  static constexpr int64_t blockBytes = sizeof(BlockQ6_K);
  template <class D> struct Group {
    const uint8_t *nibbles, *highBits;
    int shift, highShift;
    hn::Vec<D> scales[2];
  };

  template <class D> static HWY_INLINE Group<D> group(D d, const uint8_t *row, int64_t column) {
    const BlockQ6_K &block = reinterpret_cast<const BlockQ6_K *>(row)[column / blockLength];
    const int64_t s = column % blockLength / groupColumns;
    const float scale = halfToFloat(block.scale);
    return {block.nibbles + s / 4 * 64 + s % 2 * 32,
            block.highBits + s / 4 * 32,
            static_cast<int>(s % 4 / 2 * 4),
            static_cast<int>(s % 4 * 2),
            {hn::Set(d, scale * block.scales[2 * s]), hn::Set(d, scale * block.scales[2 * s + 1])}};
  }
  template <class D> static HWY_INLINE hn::Vec<D> load(D d, const Group<D> &group, size_t j) {
    const hn::Rebind<int32_t, D> di32;
    const auto low = hn::ShiftRightSame(loadBytes(d, group.nibbles + j), group.shift);
    const auto high = hn::ShiftRightSame(loadBytes(d, group.highBits + j), group.highShift);
    const auto values =
        hn::Or(hn::And(low, hn::Set(di32, 15)), hn::ShiftLeft<4>(hn::And(high, hn::Set(di32, 3))));
    return hn::Mul(group.scales[j / 16], hn::ConvertTo(d, hn::Sub(values, hn::Set(di32, 32))));
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
