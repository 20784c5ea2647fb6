// What a few query rows do with a block of keys: scores, softmax within the block, the
// weighted sum of values, and putting the block together with those before it (online
// softmax; Milakov and Gimelshein, arXiv:1805.02867). Each row's arithmetic is its own,
// so that no result depends on which rows are taken together. Included once per
// Highway target.
#if defined(CLEAVE_KERNELS_ATTENTION_TILE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef CLEAVE_KERNELS_ATTENTION_TILE_INL_H
#undef CLEAVE_KERNELS_ATTENTION_TILE_INL_H
#else
#define CLEAVE_KERNELS_ATTENTION_TILE_INL_H
#endif

#include "runtime/kernels/attention_panel-inl.h"

#include <limits>
#include <type_traits>

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

/// Keys over which a softmax is taken before it is put together with the others: blocks
/// begin at multiples of it. The longer, the less often that is, and the larger the panels.
inline constexpr int64_t blockKeys = 256;
/// From one row's scores of a block to the next one's: not a power of two, by which rows would
/// have to share a few places of a cache.
inline constexpr int64_t scoreStride = blockKeys + 16;

/// Query rows that are taken together, and the vectors that each has in registers.
inline constexpr int stripRows = 6;
inline constexpr int stripVectors = HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM ? 4 : 2;

/// 2 to the power of x <= 0, or of -100 where x is less, which adds nothing to a sum of
/// weights of which one is 1. Within 2.7 * 2^-24, and exact at 0. (Of several vectors at a
/// time, since the constants do not stay in registers.)
template <int N, class D> HWY_INLINE void powersOfTwo(D d, hn::Vec<D> (&x)[N]) {
  const hn::RebindToSigned<D> di;
  using V = hn::Vec<D>;
  // Adding 1.5 * 2^23 rounds to an integer, in the lowest bits.
  const V magic = hn::Set(d, 12582912.0f);
  V shifted[N], y[N];
  HWY_UNROLL(4)
  for (int i = 0; i < N; ++i) {
    x[i] = hn::Max(hn::Set(d, -100.0f), x[i]); // in this order a NaN stays one
    shifted[i] = hn::Add(x[i], magic);
    x[i] = hn::Sub(x[i], hn::Sub(shifted[i], magic));
  }
  // The polynomial with value 1 at 0 of the least relative error in [-0.5, 0.5].
  const V leading = hn::Set(d, 0x1.5bba14p-10f);
  HWY_UNROLL(4)
  for (int i = 0; i < N; ++i)
    y[i] = leading;
  HWY_UNROLL(5)
  for (const float factor :
       {0x1.3cea88p-7f, 0x1.c6b752p-5f, 0x1.ebf9bcp-3f, 0x1.62e42ap-1f, 1.0f}) {
    const V next = hn::Set(d, factor);
    HWY_UNROLL(4)
    for (int i = 0; i < N; ++i)
      y[i] = hn::MulAdd(y[i], x[i], next);
  }
  HWY_UNROLL(4)
  for (int i = 0; i < N; ++i)
    x[i] = hn::BitCast(
        d, hn::Add(hn::BitCast(di, y[i]), hn::ShiftLeft<23>(hn::BitCast(di, shifted[i]))));
}

/// Keys [begin, end) of a slot.
struct KeyRange {
  int64_t begin, end;

  /// Those in the block that begins at `first`, counted from there; begin < end, or none.
  KeyRange inBlock(int64_t first) const {
    return {std::max<int64_t>(0, begin - first), std::min(blockKeys, end - first)};
  }
};

/// Query rows, one after the other; the pointers are those of the first.
struct Rows {
  const float *q;       ///< [headDim][rows of the strip], times scale and log2(e)
  float *y;             ///< [rows][paddedDims]: the sum of weights times values so far
  const KeyRange *keys; ///< that a row sees
  float *maxima;        ///< of the scores so far
  float *sums;          ///< of the weights so far

  /// The rows from the r-th on, the first of a strip.
  Rows from(int64_t r, int64_t dims) const {
    return {q + r * dims, y + r * dims, keys + r, maxima + r, sums + r};
  }
};

/// Rows that read one key head of one slot.
struct Bundle {
  int64_t slot, keyHead;
  const uint8_t *k; ///< the slot's and head's place in the first panel of keys
  const uint8_t *v; ///< their first value
  KeyRange keys;    ///< that at least one row sees
  int64_t count;
  int64_t stripRows; ///< of each strip, but for the last
  Rows rows;
};

/// Keys of a block as a strip of rows reads them.
struct KeyBlock {
  const float *keys;   ///< as of packKeys()
  const float *values; ///< as of packValues()
  int64_t first;       ///< the number of the first
};

/// Nothing to do beside a computation.
struct NothingBeside {
  static constexpr int64_t dims = std::numeric_limits<int32_t>::max();
  void operator()() const {}
};

/// scores[r][0 .. J vectors) = the rows' products with keys of a panel of S, whose rows are
/// `stride` bytes apart. Calls side() every Side::dims dimensions, for what else can be done.
template <class S, int R, int J, class D, class Side>
HWY_INLINE void scoreKeys(D d, const float *q, const uint8_t *panel, int64_t stride,
                          int64_t headDim, float *scores, Side side) {
  constexpr int64_t lanes = hn::MaxLanes(d);
  const int64_t qStride = paddedDims(headDim);
  hn::Vec<D> acc[R][J];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < J; ++v)
      acc[r][v] = hn::Zero(d);
  for (int64_t first = 0; first < headDim; first += Side::dims) {
    const int64_t dims = std::min(Side::dims, headDim - first);
    for (int64_t j = 0; j < dims; ++j) {
      hn::Vec<D> keys[J];
      HWY_UNROLL(4)
      for (int v = 0; v < J; ++v)
        keys[v] = S::load(d, panel, v * lanes);
      HWY_UNROLL(8)
      for (int r = 0; r < R; ++r) {
        const auto query = hn::Set(d, q[r * qStride]);
        HWY_UNROLL(4)
        for (int v = 0; v < J; ++v)
          acc[r][v] = hn::MulAdd(query, keys[v], acc[r][v]);
      }
      ++q;
      panel += stride;
    }
    side();
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < J; ++v)
      hn::Store(acc[r][v], d, scores + r * scoreStride + v * lanes);
}

/// The same for keys [from, to), whole vectors, of a packed block.
template <int R, class D>
HWY_INLINE void scoreBlock(D d, const float *q, const float *packed, int64_t headDim, int64_t from,
                           int64_t to, float *scores) {
  constexpr int64_t lanes = hn::MaxLanes(d);
  constexpr int J = stripVectors;
  constexpr int64_t stride = packedKeys * static_cast<int64_t>(sizeof(float));
  for (int64_t key = from; key < to;) {
    const auto *panel = reinterpret_cast<const uint8_t *>(
        packed + key / packedKeys * (packedKeys * paddedDims(headDim)) + key % packedKeys);
    if (key % (J * lanes) == 0 && key + J * lanes <= to) {
      scoreKeys<WeightsF32, R, J>(d, q, panel, stride, headDim, scores + key, NothingBeside());
      key += J * lanes;
    } else if (J > 2 && key % (2 * lanes) == 0 && key + 2 * lanes <= to) {
      scoreKeys<WeightsF32, R, 2>(d, q, panel, stride, headDim, scores + key, NothingBeside());
      key += 2 * lanes;
    } else {
      scoreKeys<WeightsF32, R, 1>(d, q, panel, stride, headDim, scores + key, NothingBeside());
      key += lanes;
    }
  }
}

/// Turns a row's scores of keys [begin, end) of a block into weights 2^(score - maximum),
/// and those from `from` to `begin` and from `end` to `to`, whole vectors, into zeros.
/// Returns the maximum and the sum.
struct BlockSums {
  float maximum, sum;
};
HWY_INLINE BlockSums softmaxBlock(float *scores, int64_t begin, int64_t end, int64_t from,
                                  int64_t to) {
  const FloatTag d;
  constexpr int64_t lanes = hn::MaxLanes(d);
  constexpr float lowest = -std::numeric_limits<float>::infinity();
  std::fill(scores + from, scores + begin, lowest);
  std::fill(scores + end, scores + to, lowest);
  auto largest = hn::Set(d, lowest);
  for (int64_t i = from; i < to; i += lanes)
    largest = hn::Max(largest, hn::Load(d, scores + i));
  const auto maximum = hn::MaxOfLanes(d, largest);
  auto sum = hn::Zero(d);
  const auto weigh = [&](auto vectors, int64_t i) HWY_ATTR {
    constexpr int N = decltype(vectors)::value;
    hn::Vec<decltype(d)> weights[N];
    HWY_UNROLL(4)
    for (int v = 0; v < N; ++v)
      weights[v] = hn::Sub(hn::Load(d, scores + i + v * lanes), maximum);
    powersOfTwo(d, weights);
    HWY_UNROLL(4)
    for (int v = 0; v < N; ++v) {
      hn::Store(weights[v], d, scores + i + v * lanes);
      sum = hn::Add(sum, weights[v]);
    }
  };
  int64_t i = from;
  for (; i + 4 * lanes <= to; i += 4 * lanes)
    weigh(std::integral_constant<int, 4>(), i);
  for (; i < to; i += lanes)
    weigh(std::integral_constant<int, 1>(), i);
  if (from != begin || end != to) {
    std::fill(scores + from, scores + begin, 0.0f);
    std::fill(scores + end, scores + to, 0.0f);
    sum = hn::Zero(d);
    for (i = from; i < to; i += lanes)
      sum = hn::Add(sum, hn::Load(d, scores + i));
  }
  return {hn::GetLane(maximum), sumLanes(d, sum)};
}

/// Rows that are put together with a block at once, at most.
inline constexpr int64_t mergedRows = 16;

/// By how much older and newer sums shrink where they are put together.
struct MergeFactors {
  alignas(64) float older[mergedRows];
  alignas(64) float newer[mergedRows];
};

/// Puts the maxima and sums of blocks together with those of rows, up to mergedRows.
/// (In vectors, so that each operation is rounded as written, wherever this is inlined.)
HWY_INLINE void mergeSums(int64_t count, const BlockSums *added, float *maxima, float *sums,
                          MergeFactors &factors) {
  const FloatTag d;
  alignas(64) float oldMaxima[mergedRows] = {}, newMaxima[mergedRows] = {};
  alignas(64) float oldSums[mergedRows] = {}, newSums[mergedRows] = {};
  for (int64_t r = 0; r < count; ++r) {
    oldMaxima[r] = maxima[r];
    oldSums[r] = sums[r];
    newMaxima[r] = added[r].maximum;
    newSums[r] = added[r].sum;
  }
  for (int64_t r = 0; r < count; r += hn::MaxLanes(d)) {
    const auto oldMaximum = hn::Load(d, oldMaxima + r), newMaximum = hn::Load(d, newMaxima + r);
    const auto maximum = hn::Max(oldMaximum, newMaximum);
    hn::Vec<decltype(d)> powers[] = {hn::Sub(oldMaximum, maximum), hn::Sub(newMaximum, maximum)};
    powersOfTwo(d, powers);
    const auto older = powers[0], newer = powers[1];
    hn::Store(older, d, factors.older + r);
    hn::Store(newer, d, factors.newer + r);
    hn::Store(maximum, d, newMaxima + r);
    hn::Store(hn::MulAdd(hn::Load(d, newSums + r), newer, hn::Mul(hn::Load(d, oldSums + r), older)),
              d, newSums + r);
  }
  std::copy(newMaxima, newMaxima + count, maxima);
  std::copy(newSums, newSums + count, sums);
}

/// softmaxBlock() and mergeSums() for up to mergedRows rows and the keys of a block that begins
/// at `first`. What is in scores from `from` to `to` becomes weights.
HWY_INLINE void softmaxRows(const Rows &rows, int64_t count, int64_t first, int64_t from,
                            int64_t to, float *scores, MergeFactors &factors) {
  BlockSums added[mergedRows];
  for (int64_t r = 0; r < count; ++r) {
    float *row = scores + r * scoreStride;
    const KeyRange keys = rows.keys[r].inBlock(first);
    if (keys.begin < keys.end) {
      added[r] = softmaxBlock(row, keys.begin, keys.end, from, to);
    } else { // nothing for this row: what it has stays as it is
      std::fill(row + from, row + to, 0.0f);
      added[r] = {rows.maxima[r], 0};
    }
  }
  mergeSums(count, added, rows.maxima, rows.sums, factors);
}

/// acc[r][..] += the sum of weights times values, for J vectors of columns. Values are of S;
/// row r's weights are r * scoreStride further.
template <class S, int R, int J, class D>
HWY_INLINE void addValues(D d, const float *weights, const StateRows &v, int64_t column,
                          hn::Vec<D> (&acc)[R][J]) {
  constexpr int64_t lanes = hn::MaxLanes(d);
  const uint8_t *row = v.first;
  for (int64_t key = 0; key < v.count; ++key) {
    hn::Vec<D> value[J];
    HWY_UNROLL(4)
    for (int i = 0; i < J; ++i)
      value[i] = S::load(d, row, column + i * lanes);
    HWY_UNROLL(8)
    for (int r = 0; r < R; ++r) {
      const auto weight = hn::Set(d, weights[r * scoreStride + key]);
      HWY_UNROLL(4)
      for (int i = 0; i < J; ++i)
        acc[r][i] = hn::MulAdd(weight, value[i], acc[r][i]);
    }
    row += v.stride;
  }
}

/// y * older + acc * newer
template <class D>
HWY_INLINE void mergeValues(D d, hn::Vec<D> acc, float older, float newer, float *y) {
  hn::Store(hn::MulAdd(acc, hn::Set(d, newer), hn::Mul(hn::Load(d, y), hn::Set(d, older))), d, y);
}

template <int R, int J, class D>
HWY_INLINE void addValuesOfBlock(D d, const float *weights, const KeyBlock &block, int64_t begin,
                                 int64_t end, int64_t column, int64_t dims,
                                 const MergeFactors &factors, float *y) {
  constexpr int64_t lanes = hn::MaxLanes(d);
  hn::Vec<D> acc[R][J];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < J; ++v)
      acc[r][v] = hn::Zero(d);
  const StateRows v{reinterpret_cast<const uint8_t *>(block.values + begin * dims),
                    dims * static_cast<int64_t>(sizeof(float)), end - begin};
  addValues<WeightsF32, R, J>(d, weights + begin, v, column, acc);
  HWY_UNROLL(8)
  for (int r = 0; r < R; ++r) {
    HWY_UNROLL(4)
    for (int v = 0; v < J; ++v)
      mergeValues(d, acc[r][v], factors.older[r], factors.newer[r],
                  y + r * dims + column + v * lanes);
  }
}

/// Adds the keys of a block to what R rows have seen so far.
template <int R>
HWY_NOINLINE void attendBlock(const Rows &rows, const KeyBlock &block, int64_t headDim) {
  const FloatTag d;
  constexpr int64_t lanes = hn::MaxLanes(d);
  constexpr int J = stripVectors;
  const int64_t dims = paddedDims(headDim);
  int64_t begin = blockKeys, end = 0; // what at least one row sees
  for (int r = 0; r < R; ++r) {
    const KeyRange keys = rows.keys[r].inBlock(block.first);
    if (keys.begin < keys.end) {
      begin = std::min(begin, keys.begin);
      end = std::max(end, keys.end);
    }
  }
  if (begin >= end)
    return;
  const int64_t from = begin / lanes * lanes, to = (end + lanes - 1) / lanes * lanes;
  alignas(64) float scores[R * scoreStride];
  scoreBlock<R>(d, rows.q, block.keys, headDim, from, to, scores);

  MergeFactors factors;
  softmaxRows(rows, R, block.first, from, to, scores, factors);

  int64_t column = 0;
  for (; column + J * lanes <= dims; column += J * lanes)
    addValuesOfBlock<R, J>(d, scores, block, begin, end, column, dims, factors, rows.y);
  for (; column < dims; column += lanes)
    addValuesOfBlock<R, 1>(d, scores, block, begin, end, column, dims, factors, rows.y);
}

/// Calls body(std::integral_constant<int, rows>()), for 1 to most rows.
template <int most, class Body> HWY_INLINE void withRows(int64_t rows, Body body) {
  if constexpr (most > 1)
    if (rows < most)
      return withRows<most - 1>(rows, body);
  body(std::integral_constant<int, most>());
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
