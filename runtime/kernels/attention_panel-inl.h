// Keys and values as panels: the keys transposed, so that a vector holds one dimension of
// many keys, and the values row by row. Included once per Highway target.
#if defined(CLEAVE_KERNELS_ATTENTION_PANEL_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef CLEAVE_KERNELS_ATTENTION_PANEL_INL_H
#undef CLEAVE_KERNELS_ATTENTION_PANEL_INL_H
#else
#define CLEAVE_KERNELS_ATTENTION_PANEL_INL_H
#endif

#include "runtime/kernels/weights-inl.h"

#include <hwy/cache_control.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

/// Keys of a tile's panel: [dimensions][panelKeys].
inline constexpr int64_t panelKeys = 64;
/// Panels have whole vectors of dimensions, whatever a head has.
inline constexpr int64_t panelDims = 16;

constexpr int64_t paddedDims(int64_t headDim) {
  return (headDim + panelDims - 1) / panelDims * panelDims;
}

/// Asks memory for the lines of some rows, a few at a time, long before they are read: a
/// head's keys lie too far apart for a processor to see what comes next.
class Prefetcher {
public:
  Prefetcher() = default;
  Prefetcher(const uint8_t *first, int64_t stride, int64_t rowBytes, int64_t rows)
      : row(first), stride(stride), rowBytes(rowBytes), rows(rows) {
    if (stride == rowBytes) { // one long row
      this->rowBytes *= rows;
      this->rows = std::min<int64_t>(rows, 1);
    }
  }

  HWY_INLINE void prefetch(int64_t lines) {
    while (lines > 0 && rows > 0) {
      const int64_t now = std::min(lines, (rowBytes - at + 63) / 64);
      for (int64_t i = 0; i < now; ++i)
        hwy::Prefetch(row + at + i * 64);
      lines -= now;
      at += now * 64;
      if (at >= rowBytes) {
        at = 0;
        row += stride;
        --rows;
      }
    }
  }

private:
  const uint8_t *row = nullptr;
  int64_t at = 0, stride = 0, rowBytes = 0, rows = 0;
};

/// Keys or values of one head in memory.
struct StateRows {
  const uint8_t *first;
  int64_t stride; ///< in bytes
  int64_t count;
};

/// Transposes the N x N elements in each block of 128 bits of N vectors: one perfect
/// shuffle of all elements turns the bits of their numbers, vector and place, by one.
template <int N, class D> HWY_INLINE void transposeBlocks(D d, hn::Vec<D> (&v)[N]) {
  HWY_UNROLL(4)
  for (int round = 1; round < N; round *= 2) {
    hn::Vec<D> zipped[N];
    HWY_UNROLL(8)
    for (int i = 0; i < N / 2; ++i) {
      zipped[2 * i] = hn::InterleaveLower(d, v[i], v[i + N / 2]);
      zipped[2 * i + 1] = hn::InterleaveUpper(d, v[i], v[i + N / 2]);
    }
    HWY_UNROLL(8)
    for (int i = 0; i < N; ++i)
      v[i] = zipped[i];
  }
}

/// How many keys are transposed together, panelDims dimensions of each.
inline constexpr int64_t keysTogether = 2 * hn::MaxLanes(FloatTag());

/// One vector of keys' elements of S as elements of To at a place of a panel.
template <class S, class To, class V> HWY_INLINE void storeKeys(V keys, uint8_t *to) {
  const FloatTag d;
  if constexpr (S::blockBytes == 4) {
    static_assert(To::blockBytes == 4);
    hn::Store(keys, d, reinterpret_cast<float *>(to));
  } else {
    const hn::Repartition<uint16_t, FloatTag> d16;
    if constexpr (To::blockBytes == 2) {
      hn::Store(keys, d16, reinterpret_cast<uint16_t *>(to));
    } else {
      const hn::Half<decltype(d16)> dh16;
      const hn::Rebind<hwy::float16_t, FloatTag> df16;
      auto *floats = reinterpret_cast<float *>(to);
      hn::Store(hn::PromoteTo(d, hn::BitCast(df16, hn::LowerHalf(dh16, keys))), d, floats);
      hn::Store(hn::PromoteTo(d, hn::BitCast(df16, hn::UpperHalf(dh16, keys))), d,
                floats + hn::MaxLanes(d));
    }
  }
}

/// Keys in memory, as transposeKeys() finds them.
struct StridedKeys {
  const uint8_t *first;
  int64_t stride;
  HWY_INLINE const uint8_t *operator[](int64_t i) const { return first + i * stride; }
};

/// Two vectors, in whose i-th blocks of 128 bits are the first and the second block at `offset`
/// of key `key` + i * step: few and wide loads.
template <class D, class V = hn::Vec<D>>
HWY_INLINE void loadBlocks(D d, const StridedKeys &keys, int64_t key, int64_t step, int64_t offset,
                           V &first, V &second) {
  using T = hn::TFromD<D>;
  const auto at = [&](int64_t i) HWY_ATTR {
    return reinterpret_cast<const T *>(keys[key + i * step] + offset);
  };
  constexpr int64_t blocks = hn::MaxLanes(d) * sizeof(T) / 16;
  if constexpr (blocks == 1) {
    first = hn::LoadU(d, at(0));
    second = hn::LoadU(d, at(0) + hn::MaxLanes(d));
  } else if constexpr (blocks == 2) {
    const V a = hn::LoadU(d, at(0)), b = hn::LoadU(d, at(1));
    first = hn::ConcatLowerLower(d, b, a);
    second = hn::ConcatUpperUpper(d, b, a);
  } else {
    const hn::Half<D> dh;
    const auto a = hn::LoadU(dh, at(0)), b = hn::LoadU(dh, at(1)), e = hn::LoadU(dh, at(2)),
               f = hn::LoadU(dh, at(3));
    first = hn::Combine(d, hn::ConcatLowerLower(dh, f, e), hn::ConcatLowerLower(dh, b, a));
    second = hn::Combine(d, hn::ConcatUpperUpper(dh, f, e), hn::ConcatUpperUpper(dh, b, a));
  }
}

/// panelDims dimensions from `dim` on of keysTogether keys, transposed.
template <class S, class To>
HWY_INLINE void transposeKeys(const StridedKeys &keys, int64_t dim, uint8_t *panel,
                              int64_t stride) {
  constexpr int64_t inBlock = 16 / S::blockBytes; // elements
  using Element = std::conditional_t<S::blockBytes == 2, uint16_t, float>;
  const hn::Repartition<Element, FloatTag> d;
  constexpr int64_t lanes = hn::MaxLanes(d);
  for (int64_t j = 0; j < panelDims; j += 2 * inBlock)
    for (int64_t key = 0; key < keysTogether; key += lanes) {
      hn::Vec<decltype(d)> first[inBlock], second[inBlock];
      HWY_UNROLL(8)
      for (int64_t i = 0; i < inBlock; ++i)
        loadBlocks(d, keys, key + i, inBlock, (dim + j) * S::blockBytes, first[i], second[i]);
      uint8_t *to = panel + j * stride + key * To::blockBytes;
      transposeBlocks(d, first);
      HWY_UNROLL(8)
      for (int64_t i = 0; i < inBlock; ++i)
        storeKeys<S, To>(first[i], to + i * stride);
      transposeBlocks(d, second);
      HWY_UNROLL(8)
      for (int64_t i = 0; i < inBlock; ++i)
        storeKeys<S, To>(second[i], to + (inBlock + i) * stride);
    }
}

/// Packs keys of S as elements of To into a panel, piece by piece: [paddedDims][..], with rows
/// `stride` bytes apart; behind the last key it stands again, up to keysTogether.
template <class S, class To> class KeyPacker {
public:
  HWY_INLINE void start(const StateRows &newK, int64_t newHeadDim, uint8_t *newPanel,
                        int64_t newStride) {
    k = newK;
    headDim = newHeadDim;
    panel = newPanel;
    stride = newStride;
    key = dim = 0;
  }

  /// Packs keysTogether keys' next panelDims dimensions, if there are any.
  HWY_INLINE void step() {
    if (key >= k.count)
      return;
    if (dim + panelDims <= headDim && key + keysTogether <= k.count)
      transposeKeys<S, To>(StridedKeys{k.first + key * k.stride, k.stride}, dim, place(), stride);
    else
      packRest();
    dim += panelDims;
    if (dim >= headDim) {
      dim = 0;
      key += keysTogether;
    }
  }
  HWY_INLINE void finish() {
    while (key < k.count)
      step();
  }

private:
  uint8_t *place() const { return panel + dim * stride + key * To::blockBytes; }

  /// Where there are no keysTogether keys left, or no panelDims dimensions.
  HWY_NOINLINE void packRest() {
    constexpr int64_t rowBytes = panelDims * S::blockBytes;
    alignas(64) uint8_t rest[keysTogether * rowBytes] = {};
    for (int64_t i = 0; i < keysTogether; ++i)
      std::memcpy(rest + i * rowBytes,
                  k.first + std::min(key + i, k.count - 1) * k.stride + dim * S::blockBytes,
                  std::min(panelDims, headDim - dim) * S::blockBytes);
    transposeKeys<S, To>(StridedKeys{rest, rowBytes}, 0, place(), stride);
  }

  StateRows k = {};
  int64_t headDim = 0;
  uint8_t *panel = nullptr;
  int64_t stride = 0;
  int64_t key = 0, dim = 0;
};

/// Keys as panels of f32, of panelKeys each.
template <class S> HWY_INLINE void packKeys(const StateRows &k, int64_t headDim, float *panels) {
  for (int64_t key = 0; key < k.count; key += panelKeys) {
    auto *panel = reinterpret_cast<uint8_t *>(panels + key * paddedDims(headDim));
    KeyPacker<S, WeightsF32> packer;
    packer.start({k.first + key * k.stride, k.stride, std::min(panelKeys, k.count - key)}, headDim,
                 panel, panelKeys * static_cast<int64_t>(sizeof(float)));
    packer.finish();
  }
}

/// Values as rows of paddedDims.
template <class S, class D>
HWY_INLINE void packValues(D d, const StateRows &v, int64_t headDim, float *panel) {
  constexpr int64_t lanes = hn::MaxLanes(d);
  const int64_t whole = headDim - headDim % lanes;
  for (int64_t key = 0; key < v.count; ++key) {
    const uint8_t *row = v.first + key * v.stride;
    int64_t j = 0;
    for (; j < whole; j += lanes)
      hn::Store(S::load(d, row, j), d, panel + j);
    if (j < headDim) {
      alignas(64) uint8_t rest[lanes * S::blockBytes] = {};
      std::memcpy(rest, row + j * S::blockBytes, (headDim - j) * S::blockBytes);
      hn::Store(S::load(d, rest, 0), d, panel + j);
      j += lanes;
    }
    for (; j < paddedDims(headDim); j += lanes)
      hn::Store(hn::Zero(d), d, panel + j);
    panel += paddedDims(headDim);
  }
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
