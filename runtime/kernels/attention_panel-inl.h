// Keys and values of a block, of f16 or f32, as panels of f32: the keys transposed,
// so that a vector holds one dimension of many keys, and the values row by row.
// Included once per Highway target.
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

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

/// Keys of a panel: [dimensions][panelKeys].
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
      : row(first), at(first), stride(stride), rowBytes(rowBytes), rows(rows) {}

  HWY_INLINE void prefetch(int64_t lines) {
    for (; lines > 0 && rows > 0; --lines) {
      hwy::Prefetch(at);
      at += 64;
      if (at >= row + rowBytes) {
        row += stride;
        at = row;
        --rows;
      }
    }
  }

private:
  const uint8_t *row = nullptr, *at = nullptr;
  int64_t stride = 0, rowBytes = 0, rows = 0;
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

/// How many keys are transposed together.
template <class D> constexpr int64_t keysTogether(D d) {
  return std::max<int64_t>(8, hn::MaxLanes(d));
}

/// panelDims dimensions from `first` on of keysTogether keys, transposed.
template <class D>
HWY_INLINE void transposeKeys(D d, WeightsF32, const uint8_t *const *rows, int64_t first,
                              float *panel) {
  constexpr int64_t lanes = hn::MaxLanes(d);
  const hn::CappedTag<float, 4> d4;
  const auto piece = [&](int64_t key, int64_t j) {
    return hn::LoadU(d4, reinterpret_cast<const float *>(rows[key]) + first + j);
  };
  for (int64_t key = 0; key < keysTogether(d); key += lanes)
    for (int64_t j = 0; j < panelDims; j += 4) {
      hn::Vec<D> v[4]; // of each block of 4 lanes another key
      HWY_UNROLL(4)
      for (int64_t i = 0; i < 4; ++i) {
        if constexpr (lanes == 4) {
          v[i] = piece(key + i, j);
        } else {
          const hn::Half<D> dh;
          if constexpr (lanes == 8) {
            v[i] = hn::Combine(d, piece(key + i + 4, j), piece(key + i, j));
          } else {
            v[i] = hn::Combine(d, hn::Combine(dh, piece(key + i + 12, j), piece(key + i + 8, j)),
                               hn::Combine(dh, piece(key + i + 4, j), piece(key + i, j)));
          }
        }
      }
      transposeBlocks(d, v);
      HWY_UNROLL(4)
      for (int64_t i = 0; i < 4; ++i)
        hn::Store(v[i], d, panel + (j + i) * panelKeys + key);
    }
}

template <class D>
HWY_INLINE void transposeKeys(D d, WeightsF16, const uint8_t *const *rows, int64_t first,
                              float *panel) {
  constexpr int64_t lanes = hn::MaxLanes(d);
  const hn::Repartition<uint16_t, D> d16;
  const hn::Half<decltype(d16)> dh16;
  const hn::Rebind<hwy::float16_t, D> df16;
  const hn::CappedTag<uint16_t, 8> d8;
  using V = hn::Vec<decltype(d16)>;
  const auto piece = [&](int64_t key, int64_t j) {
    return hn::LoadU(d8, reinterpret_cast<const uint16_t *>(rows[key]) + first + j);
  };
  // A vector of 16-bit elements has two halves of `lanes`; each becomes a vector of f32.
  constexpr int64_t dims = lanes == 4 ? 8 : 16;
  for (int64_t j = 0; j < panelDims; j += dims) {
    V v[8];
    HWY_UNROLL(8)
    for (int64_t i = 0; i < 8; ++i) {
      if constexpr (lanes == 4) {
        v[i] = piece(i, j);
      } else if constexpr (lanes == 8) {
        v[i] = hn::LoadU(d16, reinterpret_cast<const uint16_t *>(rows[i]) + first + j);
      } else {
        v[i] = hn::Combine(d16, hn::Combine(dh16, piece(i + 8, j + 8), piece(i, j + 8)),
                           hn::Combine(dh16, piece(i + 8, j), piece(i, j)));
      }
    }
    transposeBlocks(d16, v);
    float *to = panel + j * panelKeys;
    HWY_UNROLL(8)
    for (int64_t i = 0; i < 8; ++i) {
      const auto low = hn::PromoteTo(d, hn::BitCast(df16, hn::LowerHalf(dh16, v[i])));
      const auto high = hn::PromoteTo(d, hn::BitCast(df16, hn::UpperHalf(dh16, v[i])));
      hn::Store(low, d, to + i * panelKeys);
      hn::Store(high, d, to + (lanes == 4 ? i * panelKeys + 4 : (i + 8) * panelKeys));
    }
  }
}

/// Packs keys, at most panelKeys of them, piece by piece into a panel [paddedDims][panelKeys];
/// behind the last key it stands again, up to keysTogether.
template <class S> class KeyPacker {
public:
  KeyPacker() = default;
  KeyPacker(const StateRows &k, int64_t headDim, float *panel)
      : k(k), headDim(headDim), panel(panel) {
    startGroup();
  }

  /// Packs keysTogether keys' next panelDims dimensions, if there are any.
  HWY_INLINE void step() {
    if (key >= k.count)
      return;
    const FloatTag d;
    constexpr int64_t together = keysTogether(d);
    if (dim + panelDims <= headDim) {
      transposeKeys(d, S(), rows, dim, panel + dim * panelKeys + key);
    } else {
      packRest();
    }
    dim += panelDims;
    if (dim >= headDim) {
      dim = 0;
      key += together;
      startGroup();
    }
  }
  HWY_INLINE void finish() {
    while (key < k.count)
      step();
  }

private:
  /// The last dimensions, where they are no panelDims.
  HWY_NOINLINE void packRest() {
    const FloatTag d;
    constexpr int64_t together = keysTogether(d);
    alignas(64) uint8_t rest[together][panelDims * S::blockBytes] = {};
    const uint8_t *restRows[together];
    for (int64_t i = 0; i < together; ++i) {
      std::memcpy(rest[i], rows[i] + dim * S::blockBytes, (headDim - dim) * S::blockBytes);
      restRows[i] = rest[i];
    }
    transposeKeys(d, S(), restRows, 0, panel + dim * panelKeys + key);
  }

  HWY_INLINE void startGroup() {
    for (int64_t i = 0; i < keysTogether(FloatTag()); ++i)
      rows[i] = k.first + std::min(key + i, k.count - 1) * k.stride;
  }

  StateRows k = {};
  int64_t headDim = 0;
  float *panel = nullptr;
  int64_t key = 0, dim = 0;
  const uint8_t *rows[16];
};

/// Keys as panels of panelKeys each.
template <class S> HWY_INLINE void packKeys(const StateRows &k, int64_t headDim, float *panels) {
  for (int64_t key = 0; key < k.count; key += panelKeys) {
    KeyPacker<S> packer({k.first + key * k.stride, k.stride, std::min(panelKeys, k.count - key)},
                        headDim, panels + key * paddedDims(headDim));
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
