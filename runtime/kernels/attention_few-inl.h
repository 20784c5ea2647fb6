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
/// Two halves of a panel: keys are packed into one while those in the other are read.
inline constexpr int64_t halfPanel = panelKeys / 2;

/// What rows have in common that read one slot.
struct FewArgs {
  int64_t headDim;
  int64_t keyBytes;      ///< from one key to the next
  float *panel;          ///< [paddedDims][panelKeys]
  float *scores;         ///< [rows][blockKeys]
  float *acc;            ///< [rows][paddedDims]: sums of a block
  MergeFactors *factors; ///< one a bundle
};

/// Packs some of the next keys where scores are computed: the two need different parts of
/// a processor. (A lambda would not be inlined.)
template <class S> struct PackBeside {
  KeyPacker<S> &packer;
  HWY_INLINE void operator()() const {
    packer.step();
    packer.step();
  }
};

/// acc[r][..] += the sum of weights times values.
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
    addValues<S, R, J>(d, weights, v, column, sums, prefetcher, column == 0 ? lines : 0);
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
/// seen so far. `next` is the first key that will be read after the block, or null.
template <class S> class FewRowsBlock {
public:
  FewRowsBlock(const FewArgs &args, const Bundle *bundles, int64_t count, int64_t number,
               const uint8_t *next)
      : args(args), bundles(bundles), bundleCount(count), first(number * blockKeys), next(next) {
    const Bundle &last = bundles[count - 1];
    headBytes = args.headDim * S::blockBytes;
    keyBytesRead = last.k - bundles[0].k + headBytes;
    // So many keys at a time that what is asked for in advance stays in a cache.
    step = std::clamp<int64_t>(32768 / std::max<int64_t>(1, keyBytesRead) / panelDims * panelDims,
                               panelDims, panelKeys);
    keys = {blockKeys, 0};
    for (int64_t i = 0; i < count; ++i) {
      const KeyRange seen = bundles[i].keys.inBlock(first);
      if (seen.begin < seen.end) {
        keys.begin = std::min(keys.begin, seen.begin);
        keys.end = std::max(keys.end, seen.end);
      }
    }
    keys.begin = keys.begin / step * step;
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
    float *half = args.panel;
    for (int64_t key = keys.begin; key < keys.end; key += step) {
      Prefetcher prefetch =
          prefetcher(key + step < keys.end ? k + (key + step) * args.keyBytes
                                           : bundles[0].v + (first + keys.begin) * args.keyBytes);
      int64_t row = 0;
      for (const Bundle *bundle = bundles; bundle != bundles + bundleCount; ++bundle) {
        const KeyRange seen = bundle->keys.inBlock(first);
        const int64_t end = std::min(key + step, seen.end);
        for (int64_t at = key; at < end && end > seen.begin; at += halfPanel) {
          const int64_t count = std::min(halfPanel, end - at);
          prefetch.prefetch(linesOfKey() * count);
          packer = KeyPacker<S>({bundle->k + (first + at) * args.keyBytes, args.keyBytes, count},
                                args.headDim, half);
          scorePacked();
          packed = {bundle, half, args.scores + row * blockKeys + at, count};
          half = half == args.panel ? args.panel + halfPanel : args.panel;
        }
        row += bundle->count;
      }
    }
    packer = KeyPacker<S>();
    scorePacked();
  }

  /// Computes the scores of the keys that have been packed, and packs the next.
  HWY_NOINLINE void scorePacked() {
    const FloatTag d;
    constexpr int64_t lanes = hn::MaxLanes(d);
    if (const Bundle *bundle = packed.bundle) {
      const int64_t to = (packed.count + lanes - 1) / lanes * lanes;
      for (int64_t r = 0; r < bundle->count; r += bundle->stripRows)
        withRows<fewStripRows>(std::min(bundle->stripRows, bundle->count - r), [&](auto rows) {
          scoreRange<decltype(rows)::value, fewVectors>(
              d, bundle->rows.q + r * dims(), packed.panel, args.headDim, 0, to,
              packed.scores + r * blockKeys, PackBeside<S>{packer});
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
                    (seen.end + lanes - 1) / lanes * lanes, args.scores + row * blockKeys,
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
      Prefetcher prefetch =
          prefetcher(key + step < keys.end ? v + (key + step) * args.keyBytes : next);
      int64_t row = 0;
      for (const Bundle *bundle = bundles; bundle != bundles + bundleCount; ++bundle) {
        const KeyRange seen = bundle->keys.inBlock(first);
        const int64_t begin = std::max(key, seen.begin);
        const int64_t end = std::min(key + step, seen.end);
        if (begin < end) {
          const StateRows rows{bundle->v + (first + begin) * args.keyBytes, args.keyBytes,
                               end - begin};
          const float *weights = args.scores + row * blockKeys + begin;
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
        addValuesOfFew<T, decltype(rows)::value>(weights + r * blockKeys, v, acc + r * dims(),
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

  const FewArgs &args;
  const Bundle *bundles;
  int64_t bundleCount;
  int64_t first; ///< the number of the block's first key
  const uint8_t *next;
  int64_t headBytes, keyBytesRead;
  int64_t step;
  KeyRange keys; ///< of the block, what is read
  KeyPacker<S> packer;
  struct {
    const Bundle *bundle = nullptr;
    const float *panel = nullptr;
    float *scores = nullptr;
    int64_t count = 0;
  } packed;
};

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
