// Attention by tiles: a block of queries meets one block of keys after the other, and keeps
// for each query the greatest score, the sum of the weights and the weighted values so far
// (online softmax; Milakov and Gimelshein, arXiv:1805.02867). Scores never lie in memory.
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
/// Queries and keys of a tile. Keys are whole vectors on every vector unit.
constexpr int64_t tileQueries = 64, tileKeys = 64;
/// From one query's scores to the next one's: not a power of two, by which they would have to
/// share a few places of a cache.
constexpr int64_t scoreStride = tileKeys + 16;
constexpr float minusInfinity = -std::numeric_limits<float>::infinity();
/// Of so few queries keys are not worth packing.
constexpr int64_t fewQueries = 3;
} // namespace cleave::rt
#endif

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

/// c[R rows][J vectors] (+)= a [R, depth] times b [depth, J vectors].
template <int R, int J, class D>
HWY_INLINE void multiply(D d, const float *a, int64_t aStride, const float *b, int64_t bStride,
                         int64_t depth, float *c, int64_t cStride, bool adds) {
  constexpr int64_t lanes = hn::MaxLanes(d);
  hn::Vec<D> sums[R][J];
  for (int r = 0; r < R; ++r)
    for (int j = 0; j < J; ++j)
      sums[r][j] = adds ? hn::LoadU(d, c + r * cStride + j * lanes) : hn::Zero(d);
  for (int64_t i = 0; i < depth; ++i) {
    hn::Vec<D> columns[J];
    for (int j = 0; j < J; ++j)
      columns[j] = hn::LoadU(d, b + i * bStride + j * lanes);
    for (int r = 0; r < R; ++r) {
      const auto factor = hn::Set(d, a[r * aStride + i]);
      for (int j = 0; j < J; ++j)
        sums[r][j] = hn::MulAdd(factor, columns[j], sums[r][j]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int j = 0; j < J; ++j)
      hn::StoreU(sums[r][j], d, c + r * cStride + j * lanes);
}

template <int J, class D>
HWY_INLINE void multiplyRows(D d, const float *a, int64_t aStride, const float *b, int64_t bStride,
                             int64_t depth, float *c, int64_t cStride, int64_t rows, bool adds) {
  constexpr int R = 4;
  int64_t row = 0;
  for (; row + R <= rows; row += R)
    multiply<R, J>(d, a + row * aStride, aStride, b, bStride, depth, c + row * cStride, cStride,
                   adds);
  for (; row < rows; ++row)
    multiply<1, J>(d, a + row * aStride, aStride, b, bStride, depth, c + row * cStride, cStride,
                   adds);
}

/// c [rows, columns] (+)= a [rows, depth] b [depth, columns].
HWY_INLINE void multiplyAll(const float *a, int64_t aStride, const float *b, int64_t bStride,
                            int64_t depth, float *c, int64_t cStride, int64_t rows, int64_t columns,
                            bool adds) {
  const FloatTag d;
  const hn::CappedTag<float, 4> four;
  const hn::CappedTag<float, 1> single;
  constexpr int64_t lanes = hn::MaxLanes(d), lanesOfFour = hn::MaxLanes(four);
  constexpr int J = HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM ? 4 : 2;
  int64_t column = 0;
  for (; column + J * lanes <= columns; column += J * lanes)
    multiplyRows<J>(d, a, aStride, b + column, bStride, depth, c + column, cStride, rows, adds);
  for (; column + lanes <= columns; column += lanes)
    multiplyRows<1>(d, a, aStride, b + column, bStride, depth, c + column, cStride, rows, adds);
  for (; column + lanesOfFour <= columns; column += lanesOfFour)
    multiplyRows<1>(four, a, aStride, b + column, bStride, depth, c + column, cStride, rows, adds);
  for (; column < columns; ++column)
    multiplyRows<1>(single, a, aStride, b + column, bStride, depth, c + column, cStride, rows,
                    adds);
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
        packed(scratch), scores(packed + args.headDim * tileKeys),
        sums(scores + tileQueries * scoreStride) {
    const int64_t keyHead = batch * args.keyHeads + (args.firstHead + head) / args.group;
    const int64_t queryHead = batch * args.heads + head;
    q = args.q + (queryHead * args.queries + first) * args.headDim;
    k = args.k + keyHead * args.keys * args.headDim;
    v = args.v + keyHead * args.keys * args.valueDim;
    y = args.y + (queryHead * args.queries + first) * args.valueDim;
    mask = batch * args.maskStrides[0] + head * args.maskStrides[1] + first * args.maskStrides[2];
  }

  void run() {
    std::fill_n(maxima, rows, minusInfinity);
    std::fill_n(weights, rows, 0.0f);
    std::fill_n(sums, rows * args.valueDim, 0.0f);
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
  void addKeys(int64_t key, int64_t count) {
    const float *keys = k + key * args.headDim;
    if (rows <= fewQueries) {
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t i = 0; i < count; ++i)
          scores[row * scoreStride + i] =
              dot(q + row * args.headDim, keys + i * args.headDim, args.headDim);
    } else {
      for (int64_t i = 0; i < count; ++i)
        for (int64_t j = 0; j < args.headDim; ++j)
          packed[j * tileKeys + i] = keys[i * args.headDim + j];
      if (count < tileKeys)
        for (int64_t j = 0; j < args.headDim; ++j)
          std::fill(packed + j * tileKeys + count, packed + (j + 1) * tileKeys, 0.0f);
      multiplyAll(q, args.headDim, packed, tileKeys, args.headDim, scores, scoreStride, rows,
                  tileKeys, false);
    }
    for (int64_t row = 0; row < rows; ++row)
      weigh(row, key, count);
    multiplyAll(scores, scoreStride, v + key * args.valueDim, args.valueDim, count, sums,
                args.valueDim, rows, args.valueDim, true);
  }

  /// Makes a row's weights of its scores.
  void weigh(int64_t row, int64_t key, int64_t count) {
    const FloatTag d;
    constexpr int64_t lanes = hn::MaxLanes(d);
    float *const row0 = scores + row * scoreStride;
    const int64_t rounded = (count + lanes - 1) / lanes * lanes;
    const auto scale = hn::Set(d, args.scale);
    for (int64_t i = 0; i < rounded; i += lanes)
      hn::StoreU(hn::Mul(hn::LoadU(d, row0 + i), scale), d, row0 + i);
    if (args.softcap != 0)
      for (int64_t i = 0; i < count; ++i)
        row0[i] = args.softcap * std::tanh(row0[i] / args.softcap);
    const int64_t at = mask + row * args.maskStrides[2] + key * args.maskStrides[3];
    if (args.mask)
      for (int64_t i = 0; i < count; ++i)
        row0[i] += args.mask[at + i * args.maskStrides[3]];
    if (args.seen)
      for (int64_t i = 0; i < count; ++i)
        row0[i] = args.seen[at + i * args.maskStrides[3]] ? row0[i] : minusInfinity;
    int64_t visible = count;
    if (args.causal)
      visible = std::clamp<int64_t>(first + row + args.causalOffset + 1 - key, 0, count);
    std::fill(row0 + visible, row0 + rounded, minusInfinity);

    auto greatest = hn::Set(d, minusInfinity);
    for (int64_t i = 0; i < rounded; i += lanes)
      greatest = hn::Max(greatest, hn::LoadU(d, row0 + i));
    const float maximum = std::max(maxima[row], hn::GetLane(hn::MaxOfLanes(d, greatest)));
    if (maximum == minusInfinity) { // nothing is seen so far
      std::fill_n(row0, rounded, 0.0f);
      return;
    }
    const auto shift = hn::Set(d, maximum);
    auto total = hn::Zero(d);
    for (int64_t i = 0; i < rounded; i += lanes) {
      const auto score = hn::Sub(hn::LoadU(d, row0 + i), shift);
      // What is not a number stays so.
      const auto weight = hn::IfThenElse(hn::IsNaN(score), score, hn::Exp(d, score));
      total = hn::Add(total, weight);
      hn::StoreU(weight, d, row0 + i);
    }
    const float older = std::exp(maxima[row] - maximum);
    weights[row] = weights[row] * older + sumLanes(d, total);
    if (older != 1)
      for (int64_t j = 0; j < args.valueDim; ++j)
        sums[row * args.valueDim + j] *= older;
    maxima[row] = maximum;
  }

  const DotProductAttentionArgs &args;
  const int64_t first, rows;
  float *packed; ///< [headDim, tileKeys]
  float *scores; ///< [tileQueries, scoreStride]
  float *sums;   ///< [tileQueries, valueDim]
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
  const int64_t floats = headDim * tileKeys + tileQueries * (scoreStride + valueDim);
  return (floats + 15) / 16 * 64;
}

void dotProductAttention(const DotProductAttentionArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(dotProductAttention)(args, part);
}

} // namespace cleave::rt
#endif
