// Few query rows a key head, as when tokens are generated: keys and values are read once,
// in the order in which they lie in memory, some keys of all heads at a time, and the next
// are asked for in advance. Computes what attendBlock() of attention_tile-inl.h does, in
// the same order. Included once per Highway target.
#if defined(CLEAVE_KERNELS_ATTENTION_FEW_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef CLEAVE_KERNELS_ATTENTION_FEW_INL_H
#undef CLEAVE_KERNELS_ATTENTION_FEW_INL_H
#else
#define CLEAVE_KERNELS_ATTENTION_FEW_INL_H
#endif

#include "runtime/kernels/attention_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

/// Rows that are taken together, and the vectors that each has in registers: fewer than in
/// a tile, since other work needs registers, too.
inline constexpr int fewStripRows = stripVectors == 4 ? 8 : 6;
inline constexpr int fewVectors = 2;
static_assert(keysTogether == fewVectors * hn::MaxLanes(FloatTag()));

/// What rows have in common that read one slot.
struct FewArgs {
  int64_t headDim;
  int64_t keyBytes;      ///< from one key to the next
  float *panel;          ///< [panelKeys][paddedDims]
  float *scores;         ///< [rows][scoreStride]
  float *acc;            ///< [rows][paddedDims]: sums of a block
  MergeFactors *factors; ///< one a bundle
};

/// Packs some of the next keys where scores are computed, and prefetches what comes after
/// them: these need different parts of a processor. (A lambda would not be inlined.)
template <class S> struct PackBeside {
  KeyPacker<S, S> &packer;
  Prefetcher &prefetcher;
  int64_t lines; ///< to be prefetched at a time
  static constexpr int64_t dims = panelDims;
  HWY_INLINE void operator()() const {
    prefetcher.prefetch(lines);
    packer.step();
  }
};

/// acc[r][..] += the sum of weights times values. Prefetches `lines` lines a value.
template <class S, int R>
HWY_INLINE void addValuesOfFew(const float *weights, const StateRows &v, float *acc, int64_t dims,
                               Prefetcher &prefetcher, int64_t lines) {
  const FloatTag d;
  constexpr int64_t lanes = hn::MaxLanes(d);
  const auto columns = [&](auto vectors, int64_t column) {
    constexpr int J = decltype(vectors)::value;
    hn::Vec<decltype(d)> sums[R][J];
    for (int r = 0; r < R; ++r)
      for (int i = 0; i < J; ++i)
        sums[r][i] = hn::Load(d, acc + r * dims + column + i * lanes);
    for (int64_t key = 0; key < v.count; key += 16) {
      if (column == 0)
        prefetcher.prefetch(16 * lines);
      addValues<S, R, J>(d, weights + key,
                         {v.first + key * v.stride, v.stride, std::min<int64_t>(16, v.count - key)},
                         column, sums);
    }
    for (int r = 0; r < R; ++r)
      for (int i = 0; i < J; ++i)
        hn::Store(sums[r][i], d, acc + r * dims + column + i * lanes);
  };
  int64_t column = 0;
  for (; column + fewVectors * lanes <= dims; column += fewVectors * lanes)
    columns(std::integral_constant<int, fewVectors>(), column);
  for (; column < dims; column += lanes)
    columns(std::integral_constant<int, 1>(), column);
}

/// Adds block `number` of the keys to what the rows of some bundles, all of one slot, have
/// seen so far. `next` is the first key that will be read after the block, or null, and
/// isCold says that none of this block has been prefetched.
template <class S> class FewRowsBlock {
public:
  FewRowsBlock(const FewArgs &args, const Bundle *bundles, int64_t count, int64_t number,
               const uint8_t *next, bool isCold)
      : args(args), bundles(bundles), bundleCount(count), first(number * blockKeys), next(next) {
    const Bundle &last = bundles[count - 1];
    headBytes = args.headDim * S::blockBytes;
    keyBytesRead = last.k - bundles[0].k + headBytes;
    // So many keys at a time that what is asked for in advance stays in a cache.
    step = std::clamp<int64_t>(
        32768 / std::max<int64_t>(1, keyBytesRead) / keysTogether * keysTogether, keysTogether, 64);
    keys = {blockKeys, 0};
    for (int64_t i = 0; i < count; ++i) {
      const KeyRange seen = bundles[i].keys.inBlock(first);
      if (seen.begin < seen.end) {
        keys.begin = std::min(keys.begin, seen.begin);
        keys.end = std::max(keys.end, seen.end);
      }
    }
    keys.begin = keys.begin / step * step;
    if (isCold)
      prefetcher(bundles[0].k + (first + keys.begin) * args.keyBytes)
          .prefetch((keyBytesRead + 63) / 64 * std::min(step, keys.end - keys.begin));
  }

  void run() {
    scoreAll();
    softmaxAll();
    addAllValues();
    mergeAll();
  }

private:
  /// What is read after `step` keys or values.
  Prefetcher prefetcher(const uint8_t *after) const {
    return {after, args.keyBytes, keyBytesRead, after ? step : 0};
  }
  int64_t linesOfKey() const { return (headBytes + 63) / 64; }

  /// Computes scores of some keys of one head while the next keys are packed.
  void scoreAll() {
    const uint8_t *k = bundles[0].k + first * args.keyBytes;
    const uint8_t *v = bundles[0].v + first * args.keyBytes;
    uint8_t *panel = panels();
    for (int64_t key = keys.begin; key < keys.end; key += step) {
      prefetch = prefetcher(key + step < keys.end ? k + (key + step) * args.keyBytes
                                                  : v + keys.begin * args.keyBytes);
      int64_t row = 0;
      for (const Bundle *bundle = bundles; bundle != bundles + bundleCount; ++bundle) {
        const KeyRange seen = bundle->keys.inBlock(first);
        const int64_t end = std::min(key + step, seen.end);
        for (int64_t at = key; at < end && end > seen.begin; at += keysTogether) {
          const int64_t count = std::min(keysTogether, end - at);
          packer.start({bundle->k + (first + at) * args.keyBytes, args.keyBytes, count},
                       args.headDim, panel, panelStride);
          scorePacked();
          packed = {bundle, panel, args.scores + row * scoreStride + at, count};
          panel = panel == panels() ? panels() + dims() * panelStride : panels();
        }
        row += bundle->count;
      }
    }
    scorePacked();
  }

  /// Computes the scores of the keys that have been packed, and packs the next.
  HWY_NOINLINE void scorePacked() {
    const FloatTag d;
    constexpr int64_t lanes = hn::MaxLanes(d);
    if (const Bundle *bundle = packed.bundle) {
      const PackBeside<S> beside{packer, prefetch,
                                 packed.count * linesOfKey() * panelDims / dims()};
      for (int64_t r = 0; r < bundle->count; r += bundle->stripRows)
        withRows<fewStripRows>(std::min(bundle->stripRows, bundle->count - r), [&](auto rows) {
          constexpr int R = decltype(rows)::value;
          const float *q = bundle->rows.q + r * dims();
          float *scores = packed.scores + r * scoreStride;
          if (packed.count > lanes)
            scoreKeys<S, R, fewVectors>(d, q, packed.panel, panelStride, args.headDim, scores,
                                        beside);
          else
            scoreKeys<S, R, 1>(d, q, packed.panel, panelStride, args.headDim, scores, beside);
        });
    }
    packer.finish();
  }

  void softmaxAll() {
    constexpr int64_t lanes = hn::MaxLanes(FloatTag());
    int64_t row = 0;
    for (int64_t i = 0; i < bundleCount; ++i) {
      const KeyRange seen = bundles[i].keys.inBlock(first);
      if (seen.begin < seen.end)
        softmaxRows(bundles[i].rows, bundles[i].count, first, seen.begin / lanes * lanes,
                    (seen.end + lanes - 1) / lanes * lanes, args.scores + row * scoreStride,
                    args.factors[i]);
      row += bundles[i].count;
    }
    std::fill(args.acc, args.acc + row * dims(), 0.0f);
  }

  void addAllValues() {
    const FloatTag d;
    const uint8_t *v = bundles[0].v + first * args.keyBytes;
    const bool isPacked = dims() != args.headDim;
    for (int64_t key = keys.begin; key < keys.end; key += step) {
      prefetch = prefetcher(key + step < keys.end ? v + (key + step) * args.keyBytes : next);
      int64_t row = 0;
      for (const Bundle *bundle = bundles; bundle != bundles + bundleCount; ++bundle) {
        const KeyRange seen = bundle->keys.inBlock(first);
        const int64_t begin = std::max(key, seen.begin);
        const int64_t end = std::min(key + step, seen.end);
        if (begin < end) {
          const StateRows rows{bundle->v + (first + begin) * args.keyBytes, args.keyBytes,
                               end - begin};
          const float *weights = args.scores + row * scoreStride + begin;
          float *acc = args.acc + row * dims();
          if (isPacked) {
            packValues<S>(d, rows, args.headDim, args.panel);
            const StateRows packedRows{reinterpret_cast<const uint8_t *>(args.panel),
                                       dims() * static_cast<int64_t>(sizeof(float)), rows.count};
            addValuesOf<WeightsF32>(*bundle, weights, packedRows, acc, prefetch);
          } else {
            addValuesOf<S>(*bundle, weights, rows, acc, prefetch);
          }
        }
        row += bundle->count;
      }
    }
  }

  template <class T>
  HWY_NOINLINE void addValuesOf(const Bundle &bundle, const float *weights, const StateRows &v,
                                float *acc, Prefetcher &prefetch) {
    for (int64_t r = 0; r < bundle.count; r += bundle.stripRows)
      withRows<fewStripRows>(std::min(bundle.stripRows, bundle.count - r), [&](auto rows) {
        addValuesOfFew<T, decltype(rows)::value>(weights + r * scoreStride, v, acc + r * dims(),
                                                 dims(), prefetch, r == 0 ? linesOfKey() : 0);
      });
  }

  void mergeAll() {
    const FloatTag d;
    const float *acc = args.acc;
    for (int64_t i = 0; i < bundleCount; ++i) {
      const KeyRange seen = bundles[i].keys.inBlock(first);
      for (int64_t r = 0; r < bundles[i].count; ++r, acc += dims())
        for (int64_t j = 0; j < dims() && seen.begin < seen.end; j += hn::MaxLanes(d))
          mergeValues(d, hn::Load(d, acc + j), args.factors[i].older[r], args.factors[i].newer[r],
                      bundles[i].rows.y + r * dims() + j);
    }
  }

  int64_t dims() const { return paddedDims(args.headDim); }

  /// Two panels of keysTogether keys, of which one is packed while the other is read.
  static constexpr int64_t panelStride = keysTogether * S::blockBytes;
  uint8_t *panels() const { return reinterpret_cast<uint8_t *>(args.panel); }

  const FewArgs &args;
  const Bundle *bundles;
  int64_t bundleCount;
  int64_t first; ///< the number of the block's first key
  const uint8_t *next;
  int64_t headBytes, keyBytesRead;
  int64_t step;
  KeyRange keys; ///< of the block, what is read
  KeyPacker<S, S> packer;
  Prefetcher prefetch;
  struct {
    const Bundle *bundle = nullptr;
    const uint8_t *panel = nullptr;
    float *scores = nullptr;
    int64_t count = 0;
  } packed;
};

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
