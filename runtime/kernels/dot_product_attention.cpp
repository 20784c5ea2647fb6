// Attention by tiles: a block of queries meets one block of keys after the other, and keeps
// for each query the greatest score, the sum of the weights and the weighted values so far
// (online softmax; Milakov and Gimelshein, arXiv:1805.02867). Scores never lie in memory, and
// in a tile they lie by keys: vectors are of queries, so that neither keys nor values are
// packed and no vector is summed across.
#include "runtime/kernels/dot_product_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/dot_product_attention.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/weights-inl.h"

#include <hwy/contrib/math/math-inl.h>

#ifndef CLEAVE_KERNELS_DOT_PRODUCT_ATTENTION_SIZES
#define CLEAVE_KERNELS_DOT_PRODUCT_ATTENTION_SIZES
namespace cleave::rt {
/// Queries and keys of a tile. Queries are whole vectors on every vector unit.
constexpr int64_t tileQueries = 64, tileKeys = 72;
/// From one key's scores to the next one's: not a power of two, by which they would have to
/// share a few places of a cache.
constexpr int64_t scoreStride = tileQueries + 16;
constexpr float minusInfinity = -std::numeric_limits<float>::infinity();
/// So few queries do not fill vectors.
constexpr int64_t fewQueries = 3;
} // namespace cleave::rt
#endif

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

/// A matrix whose elements are read one by one.
struct Factors {
  const float *first;
  int64_t row, column; ///< from one to the next

  Factors from(int64_t r) const { return {first + r * row, row, column}; }
};

/// Vectors that a row has in registers.
inline constexpr int stripVectors = HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM ? 4 : 2;

/// c[R rows][J vectors] (+)= a [R, depth] times b [depth, J vectors].
template <int R, int J, class D>
HWY_INLINE void multiply(D d, Factors a, const float *b, int64_t bStride, int64_t depth, float *c,
                         int64_t cStride, bool adds) {
  constexpr int64_t lanes = hn::MaxLanes(d);
  hn::Vec<D> sums[R][J];
  for (int r = 0; r < R; ++r)
    for (int j = 0; j < J; ++j)
      sums[r][j] = adds ? hn::LoadU(d, c + r * cStride + j * lanes) : hn::Zero(d);
  for (int64_t i = 0; i < depth; ++i) {
    hn::Vec<D> columns[J];
    HWY_UNROLL(4)
    for (int j = 0; j < J; ++j)
      columns[j] = hn::LoadU(d, b + j * lanes);
    HWY_UNROLL(6)
    for (int r = 0; r < R; ++r) {
      const auto factor = hn::Set(d, a.first[r * a.row]);
      HWY_UNROLL(4)
      for (int j = 0; j < J; ++j)
        sums[r][j] = hn::MulAdd(factor, columns[j], sums[r][j]);
    }
    a.first += a.column;
    b += bStride;
  }
  for (int r = 0; r < R; ++r)
    for (int j = 0; j < J; ++j)
      hn::StoreU(sums[r][j], d, c + r * cStride + j * lanes);
}

template <int J, class D>
HWY_INLINE void multiplyRows(D d, Factors a, const float *b, int64_t bStride, int64_t depth,
                             float *c, int64_t cStride, int64_t rows, bool adds) {
  int64_t row = 0;
  for (; row + 6 <= rows; row += 6)
    multiply<6, J>(d, a.from(row), b, bStride, depth, c + row * cStride, cStride, adds);
  for (; row + 2 <= rows; row += 2)
    multiply<2, J>(d, a.from(row), b, bStride, depth, c + row * cStride, cStride, adds);
  if (row < rows)
    multiply<1, J>(d, a.from(row), b, bStride, depth, c + row * cStride, cStride, adds);
}

/// c [rows, columns] (+)= a [rows, depth] b [depth, columns].
HWY_INLINE void multiplyAll(Factors a, const float *b, int64_t bStride, int64_t depth, float *c,
                            int64_t cStride, int64_t rows, int64_t columns, bool adds) {
  const FloatTag d;
  const hn::CappedTag<float, 4> four;
  const hn::CappedTag<float, 1> single;
  constexpr int64_t lanes = hn::MaxLanes(d), lanesOfFour = hn::MaxLanes(four);
  int64_t column = 0;
  for (; column + stripVectors * lanes <= columns; column += stripVectors * lanes)
    multiplyRows<stripVectors>(d, a, b + column, bStride, depth, c + column, cStride, rows, adds);
  for (; column + lanes <= columns; column += lanes)
    multiplyRows<1>(d, a, b + column, bStride, depth, c + column, cStride, rows, adds);
  for (; column + lanesOfFour <= columns; column += lanesOfFour)
    multiplyRows<1>(four, a, b + column, bStride, depth, c + column, cStride, rows, adds);
  for (; column < columns; ++column)
    multiplyRows<1>(single, a, b + column, bStride, depth, c + column, cStride, rows, adds);
}

HWY_INLINE float dot(const float *a, const float *b, int64_t count) {
  const FloatTag d;
  constexpr int64_t lanes = hn::MaxLanes(d);
  auto sums = hn::Zero(d);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    sums = hn::MulAdd(hn::LoadU(d, a + i), hn::LoadU(d, b + i), sums);
  float sum = sumLanes(d, sums);
  for (; i < count; ++i)
    sum += a[i] * b[i];
  return sum;
}

/// One block of queries of a head.
class Tile {
public:
  Tile(const DotProductAttentionArgs &args, float *scratch, int64_t batch, int64_t head,
       int64_t firstQuery)
      : args(args), first(firstQuery), rows(std::min(tileQueries, args.queries - firstQuery)),
        rounded((rows + lanes - 1) / lanes * lanes), packed(scratch),
        scores(packed + args.headDim * tileQueries), sums(scores + tileKeys * scoreStride) {
    const int64_t keyHead = batch * args.keyHeads + (args.firstHead + head) / args.group;
    const int64_t queryHead = batch * args.heads + head;
    q = args.q + (queryHead * args.queries + first) * args.headDim;
    k = args.k + keyHead * args.keys * args.headDim;
    v = args.v + keyHead * args.keys * args.valueDim;
    y = args.y + (queryHead * args.queries + first) * args.valueDim;
    mask = batch * args.maskStrides[0] + head * args.maskStrides[1] + first * args.maskStrides[2];
  }

  void run() {
    std::fill_n(maxima, tileQueries, minusInfinity);
    std::fill_n(weights, tileQueries, 0.0f);
    std::fill_n(sums, rows * args.valueDim, 0.0f);
    if (!isFew())
      packQueries();
    int64_t end = args.keys; // what the last query sees
    if (args.causal)
      end = std::clamp<int64_t>(first + rows + args.causalOffset, 0, args.keys);
    for (int64_t key = 0; key < end; key += tileKeys)
      addKeys(key, std::min(tileKeys, end - key));
    for (int64_t row = 0; row < rows; ++row) {
      const float factor = weights[row] == 0 ? 0 : 1 / weights[row];
      for (int64_t j = 0; j < args.valueDim; ++j)
        y[row * args.valueDim + j] = sums[row * args.valueDim + j] * factor;
    }
  }

private:
  static constexpr int64_t lanes = hn::MaxLanes(FloatTag());

  /// Queries side by side, times the scale.
  void packQueries() {
    for (int64_t row = 0; row < rounded; ++row)
      for (int64_t j = 0; j < args.headDim; ++j)
        packed[j * tileQueries + row] = row < rows ? q[row * args.headDim + j] * args.scale : 0;
  }

  void addKeys(int64_t key, int64_t count) {
    const float *keys = k + key * args.headDim;
    if (isFew()) {
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t i = 0; i < count; ++i)
          scores[row * scoreStride + i] =
              args.scale * dot(q + row * args.headDim, keys + i * args.headDim, args.headDim);
      hide(key, count, scoreStride, 1);
      for (int64_t row = 0; row < rows; ++row)
        weighRow(row, count);
    } else {
      multiplyAll({keys, args.headDim, 1}, packed, tileQueries, args.headDim, scores, scoreStride,
                  count, rounded, false);
      hide(key, count, 1, scoreStride);
      for (int64_t row = 0; row < rounded; row += lanes)
        weigh(row, count);
    }
    const Factors factors =
        isFew() ? Factors{scores, scoreStride, 1} : Factors{scores, 1, scoreStride};
    multiplyAll(factors, v + key * args.valueDim, args.valueDim, count, sums, args.valueDim, rows,
                args.valueDim, true);
  }

  bool isFew() const { return rows <= fewQueries; }

  /// The cap and the masks. From one query's scores to the next one's are `rowStep` elements,
  /// from one key's `keyStep`.
  void hide(int64_t key, int64_t count, int64_t rowStep, int64_t keyStep) {
    for (int64_t i = 0; i < count; ++i) {
      float *of = scores + i * keyStep; // this key
      if (args.softcap != 0)
        for (int64_t row = 0; row < rows; ++row)
          of[row * rowStep] = args.softcap * std::tanh(of[row * rowStep] / args.softcap);
      const int64_t at = mask + (key + i) * args.maskStrides[3], stride = args.maskStrides[2];
      if (args.mask)
        for (int64_t row = 0; row < rows; ++row)
          of[row * rowStep] += args.mask[at + row * stride];
      if (args.seen)
        for (int64_t row = 0; row < rows; ++row)
          of[row * rowStep] = args.seen[at + row * stride] ? of[row * rowStep] : minusInfinity;
      const int64_t hidden = args.causal ? key + i - args.causalOffset - first : 0;
      for (int64_t row = 0; row < std::min(hidden, rows); ++row)
        of[row * rowStep] = minusInfinity;
    }
  }

  /// Makes weights of one query's scores, which follow each other.
  void weighRow(int64_t row, int64_t count) {
    const FloatTag d;
    float *const from = scores + row * scoreStride;
    std::fill(from + count, from + (count + lanes - 1) / lanes * lanes, minusInfinity);
    auto maximum = hn::Set(d, maxima[row]);
    for (int64_t i = 0; i < count; i += lanes)
      maximum = hn::Max(maximum, hn::LoadU(d, from + i));
    const float greatest = hn::GetLane(hn::MaxOfLanes(d, maximum));
    const float shift = greatest == minusInfinity ? 0 : greatest;
    auto total = hn::Zero(d);
    for (int64_t i = 0; i < count; i += lanes) {
      const auto weight = weightOf(d, hn::LoadU(d, from + i), hn::Set(d, shift));
      total = hn::Add(total, weight);
      hn::StoreU(weight, d, from + i);
    }
    const float older = std::exp(maxima[row] - shift);
    weights[row] = weights[row] * older + sumLanes(d, total);
    maxima[row] = greatest;
    shrink(row, older);
  }

  /// What is not a number stays so.
  template <class D>
  static HWY_INLINE hn::Vec<D> weightOf(D d, hn::Vec<D> score, hn::Vec<D> shift) {
    const auto shifted = hn::Sub(score, shift);
    return hn::IfThenElse(hn::IsNaN(shifted), shifted, hn::Exp(d, shifted));
  }

  /// Weighs what a query has so far again.
  void shrink(int64_t row, float factor) {
    if (factor != 1)
      for (int64_t j = 0; j < args.valueDim; ++j)
        sums[row * args.valueDim + j] *= factor;
  }

  /// Makes weights of the scores of a vector of queries.
  void weigh(int64_t row, int64_t count) {
    const FloatTag d;
    float *const from = scores + row;
    const auto before = hn::LoadU(d, maxima + row);
    auto greatest = before;
    for (int64_t i = 0; i < count; ++i)
      greatest = hn::Max(greatest, hn::LoadU(d, from + i * scoreStride));
    // Of a query that has seen nothing so far all weights are 0.
    const auto shift =
        hn::IfThenElse(hn::Eq(greatest, hn::Set(d, minusInfinity)), hn::Zero(d), greatest);
    auto total = hn::Zero(d);
    for (int64_t i = 0; i < count; ++i) {
      const auto weight = weightOf(d, hn::LoadU(d, from + i * scoreStride), shift);
      total = hn::Add(total, weight);
      hn::StoreU(weight, d, from + i * scoreStride);
    }
    const auto older = hn::Exp(d, hn::Sub(before, shift));
    hn::StoreU(hn::MulAdd(hn::LoadU(d, weights + row), older, total), d, weights + row);
    hn::StoreU(greatest, d, maxima + row);
    alignas(64) float factors[lanes];
    hn::Store(older, d, factors);
    for (int64_t i = 0; i < std::min(lanes, rows - row); ++i)
      shrink(row + i, factors[i]);
  }

  const DotProductAttentionArgs &args;
  const int64_t first, rows;
  const int64_t rounded; ///< rows to whole vectors
  float *packed;         ///< [headDim, tileQueries]
  float *scores;         ///< [tileKeys, scoreStride]
  float *sums;           ///< [tileQueries, valueDim]
  const float *q, *k, *v;
  float *y;
  int64_t mask; ///< where the first query's mask begins
  float maxima[tileQueries], weights[tileQueries];
};

void dotProductAttention(const DotProductAttentionArgs &args, Part part) {
  const int64_t tiles = (args.queries + tileQueries - 1) / tileQueries;
  float *scratch = args.scratch + dotProductAttentionScratch(args.headDim, args.valueDim) /
                                      static_cast<int64_t>(sizeof(float)) * part.index;
  const PartRange range = partRange(args.batch * args.heads * tiles, part);
  for (int64_t item = range.begin; item < range.end; ++item) {
    const int64_t head = item / tiles;
    Tile(args, scratch, head / args.heads, head % args.heads, item % tiles * tileQueries).run();
  }
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(dotProductAttention);

int64_t dotProductAttentionScratch(int64_t headDim, int64_t valueDim) {
  const int64_t floats = tileQueries * (headDim + valueDim) + tileKeys * scoreStride;
  return (floats + 15) / 16 * 64;
}

void dotProductAttention(const DotProductAttentionArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(dotProductAttention)(args, part);
}

} // namespace cleave::rt
#endif
