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
inline constexpr int64_t fewKeys = fewVectors * hn::MaxLanes(FloatTag());
static_assert(panelKeys % fewKeys == 0);
/// Keys that are asked for at a time, at most.
inline constexpr int64_t mostAhead = 64;

/// What rows have in common that read one slot.
struct FewArgs {
  int64_t headDim;
  int64_t keyBytes;      ///< of all heads; from one value to the next
  float *values;         ///< [mostAhead][paddedDims]
  float *scores;         ///< [rows][scoreStride]
  float *acc;            ///< [rows][paddedDims]: sums of a block
  MergeFactors *factors; ///< one a bundle
};

/// Prefetches while scores are computed. (A lambda would not be inlined.)
struct PrefetchBeside {
  Prefetcher &prefetcher;
  int64_t lines; ///< at a time
  static constexpr int64_t dims = 16;
  HWY_INLINE void operator()() const { prefetcher.prefetch(lines); }
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
    valueBytesRead = last.v - bundles[0].v + headBytes;
    // So many keys at a time that what is asked for in advance stays in a cache.
    step = std::clamp<int64_t>(32768 / std::max<int64_t>(1, valueBytesRead) / panelKeys * panelKeys,
                               panelKeys, mostAhead);
    keys = {blockKeys, 0};
    for (int64_t i = 0; i < count; ++i) {
      const KeyRange seen = bundles[i].keys.inBlock(first);
      if (seen.begin < seen.end) {
        keys.begin = std::min(keys.begin, seen.begin);
        keys.end = std::max(keys.end, seen.end);
      }
    }
    keys.begin = keys.begin / step * step;
    if (isCold) {
      const int64_t panels = (std::min(step, keys.end - keys.begin) + panelKeys - 1) / panelKeys;
      keysAhead(bundles[0].k + (first + keys.begin) * args.keyBytes)
          .prefetch((valueBytesRead * panelKeys + 63) / 64 * panels);
    }
  }

  void run() {
    scoreAll();
    softmaxAll();
    addAllValues();
    mergeAll();
  }

private:
  /// `step` keys, from a panel's beginning on, or none.
  Prefetcher keysAhead(const uint8_t *from) const {
    return {from, args.keyBytes * panelKeys, valueBytesRead * panelKeys,
            from ? step / panelKeys : 0};
  }
  Prefetcher valuesAhead(const uint8_t *from) const {
    return {from, args.keyBytes, valueBytesRead, step};
  }
  int64_t linesOfValue() const { return (headBytes + 63) / 64; }

  /// Panel by panel, and in each head by head, as they lie in memory.
  void scoreAll() {
    const uint8_t *k = bundles[0].k + first * args.keyBytes;
    const uint8_t *v = bundles[0].v + first * args.keyBytes;
    for (int64_t key = keys.begin; key < keys.end; key += step) {
      prefetch = key + step < keys.end ? keysAhead(k + (key + step) * args.keyBytes)
                                       : valuesAhead(v + keys.begin * args.keyBytes);
      for (int64_t at = key; at < std::min(key + step, keys.end); at += panelKeys) {
        float *scores = args.scores + at;
        for (const Bundle *bundle = bundles; bundle != bundles + bundleCount; ++bundle) {
          const KeyRange seen = bundle->keys.inBlock(first);
          if (at + panelKeys > seen.begin && at < seen.end)
            scorePanel(*bundle, bundle->k + (first + at) * args.keyBytes,
                       std::min(panelKeys, seen.end - at), scores);
          scores += bundle->count * scoreStride;
        }
      }
    }
  }

  HWY_NOINLINE void scorePanel(const Bundle &bundle, const uint8_t *panel, int64_t count,
                               float *scores) {
    const FloatTag d;
    constexpr int64_t linesOfPart = PrefetchBeside::dims * fewKeys * S::blockBytes / 64;
    for (int64_t r = 0; r < bundle.count; r += bundle.stripRows)
      withRows<fewStripRows>(std::min(bundle.stripRows, bundle.count - r), [&](auto rows) {
        constexpr int R = decltype(rows)::value;
        const PrefetchBeside beside{prefetch, r == 0 ? linesOfPart : 0};
        const float *q = bundle.rows.q + r * dims();
        for (int64_t key = 0; key < count; key += fewKeys) {
          const uint8_t *from = panel + key * S::blockBytes;
          float *to = scores + r * scoreStride + key;
          if (count - key > fewKeys / 2)
            scoreKeys<S, R, fewVectors>(d, q, from, panelRowBytes<S>, args.headDim, to, beside);
          else
            scoreKeys<S, R, 1>(d, q, from, panelRowBytes<S>, args.headDim, to, beside);
        }
      });
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
      prefetch =
          key + step < keys.end ? valuesAhead(v + (key + step) * args.keyBytes) : keysAhead(next);
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
            packValues<S>(d, rows, args.headDim, args.values);
            const StateRows packedRows{reinterpret_cast<const uint8_t *>(args.values),
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
                                                 dims(), prefetch, r == 0 ? linesOfValue() : 0);
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
  int64_t headBytes, valueBytesRead;
  int64_t step;
  KeyRange keys; ///< of the block, what is read
  Prefetcher prefetch;
};

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
