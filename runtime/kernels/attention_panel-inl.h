// Reading the cache: asking for keys and values in advance, and packing them for rows that are
// many. Included once per Highway target.
#if defined(CLEAVE_KERNELS_ATTENTION_PANEL_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef CLEAVE_KERNELS_ATTENTION_PANEL_INL_H
#undef CLEAVE_KERNELS_ATTENTION_PANEL_INL_H
#else
#define CLEAVE_KERNELS_ATTENTION_PANEL_INL_H
#endif

#include "runtime/kernels/key_panels.h"
#include "runtime/kernels/weights-inl.h"

#include <hwy/cache_control.h>

#include <algorithm>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

/// Keys side by side where they are packed: a row of a tile's registers.
inline constexpr int64_t packedKeys = 64;
static_assert(packedKeys % panelKeys == 0);

/// Values and sums have whole vectors of dimensions, whatever a head has.
constexpr int64_t paddedDims(int64_t headDim) {
  return (headDim + 15) / 16 * 16;
}

/// From one dimension to the next in the cache's panels of keys.
template <class S> inline constexpr int64_t panelRowBytes = panelKeys * S::blockBytes;

/// Asks memory for the lines of some rows, a few at a time, long before they are read: some
/// heads' values lie too far apart for a processor to see what comes next.
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

/// Values of one head in memory.
struct StateRows {
  const uint8_t *first;
  int64_t stride; ///< in bytes
  int64_t count;
};

/// Keys of one head as [headDim][packedKeys] of f32, packedKeys after packedKeys: a wider panel
/// than the cache has. `k` is the head's place in the first of the cache's panels, which are
/// `panelBytes` apart.
template <class S>
HWY_INLINE void packKeys(const uint8_t *k, int64_t panelBytes, int64_t count, int64_t headDim,
                         float *packed) {
  const FloatTag d;
  for (int64_t key = 0; key < count; key += panelKeys) {
    const uint8_t *row = k + key / panelKeys * panelBytes;
    float *to = packed + key / packedKeys * (packedKeys * paddedDims(headDim)) + key % packedKeys;
    for (int64_t j = 0; j < headDim; ++j) {
      HWY_UNROLL(2)
      for (int64_t i = 0; i < panelKeys; i += hn::MaxLanes(d))
        hn::Store(S::load(d, row, i), d, to + i);
      row += panelRowBytes<S>;
      to += packedKeys;
    }
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
