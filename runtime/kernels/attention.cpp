// Fused causal attention: keys in chunks of 64, with a running maximum and sum per
// query row (online softmax; Milakov and Gimelshein, arXiv:1805.02867). Query rows
// that read the same keys, the heads of a group and neighbouring tokens, are taken
// together. Each row's arithmetic is its own, so that no result depends on how rows
// were put together.
#include "runtime/kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/attention.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/weights-inl.h"

#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

inline constexpr int64_t chunkKeys = 64;
inline constexpr int64_t maxRows = 8;

/// Query rows of one slot and key head.
struct QueryRows {
  int64_t count = 0;
  const float *q[maxRows];
  float *y[maxRows];
  int64_t begin[maxRows]; ///< the first key that the row sees
  int64_t end[maxRows];   ///< behind the last
  const uint8_t *k;       ///< the slot's and head's first key
  const uint8_t *v;
};

/// Products of R query rows with keys [0, keys) of a chunk; writes whole groups of 4.
template <class S, int R, class D>
HWY_INLINE void scoreRows(D d, const float *const *q, const uint8_t *k, int64_t keyBytes,
                          int64_t keys, int64_t headDim, float (*scores)[chunkKeys]) {
  constexpr int64_t lanes = hn::MaxLanes(d);
  using V = hn::Vec<D>;
  if constexpr (lanes >= 4) {
    for (int64_t key = 0; key < keys; key += 4) {
      // Behind the last key it stands again, so that each key's sum has one order.
      const uint8_t *group[4];
      for (int i = 0; i < 4; ++i)
        group[i] = k + std::min(key + i, keys - 1) * keyBytes;
      V acc[R][4];
      for (int r = 0; r < R; ++r)
        for (int i = 0; i < 4; ++i)
          acc[r][i] = hn::Zero(d);
      for (int64_t j = 0; j < headDim; j += lanes) {
        V values[4];
        HWY_UNROLL(4)
        for (int i = 0; i < 4; ++i)
          values[i] = S::load(d, group[i], j);
        HWY_UNROLL(4)
        for (int r = 0; r < R; ++r) {
          const V query = hn::LoadU(d, q[r] + j);
          HWY_UNROLL(4)
          for (int i = 0; i < 4; ++i)
            acc[r][i] = hn::MulAdd(query, values[i], acc[r][i]);
        }
      }
      for (int r = 0; r < R; ++r)
        hn::StoreU(sumLanesOfFour(d, acc[r][0], acc[r][1], acc[r][2], acc[r][3]),
                   hn::CappedTag<float, 4>(), scores[r] + key);
    }
  } else {
    for (int64_t key = 0; key < keys; ++key)
      for (int r = 0; r < R; ++r) {
        V acc = hn::Zero(d);
        for (int64_t j = 0; j < headDim; j += lanes)
          acc = hn::MulAdd(hn::LoadU(d, q[r] + j), S::load(d, k + key * keyBytes, j), acc);
        scores[r][key] = sumLanes(d, acc);
      }
  }
}

/// y = y * factors + the sum of weights times values over keys [0, keys).
template <class S, int R, int J, class D>
HWY_INLINE void addValues(D d, const float (*weights)[chunkKeys], const float *factors,
                          const uint8_t *v, int64_t keyBytes, int64_t keys, int64_t column,
                          float *const *y) {
  constexpr int64_t lanes = hn::MaxLanes(d);
  using V = hn::Vec<D>;
  V acc[R][J];
  for (int r = 0; r < R; ++r)
    for (int j = 0; j < J; ++j)
      acc[r][j] = hn::Mul(hn::LoadU(d, y[r] + column + j * lanes), hn::Set(d, factors[r]));
  for (int64_t key = 0; key < keys; ++key) {
    V values[J];
    HWY_UNROLL(4)
    for (int j = 0; j < J; ++j)
      values[j] = S::load(d, v + key * keyBytes, column + j * lanes);
    HWY_UNROLL(4)
    for (int r = 0; r < R; ++r) {
      const V weight = hn::Set(d, weights[r][key]);
      HWY_UNROLL(4)
      for (int j = 0; j < J; ++j)
        acc[r][j] = hn::MulAdd(weight, values[j], acc[r][j]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int j = 0; j < J; ++j)
      hn::StoreU(acc[r][j], d, y[r] + column + j * lanes);
}

template <class S, int R, class D>
HWY_INLINE void addAllValues(D d, const float (*weights)[chunkKeys], const float *factors,
                             const uint8_t *v, int64_t keyBytes, int64_t keys, int64_t headDim,
                             float *const *y) {
  constexpr int64_t lanes = hn::MaxLanes(d);
  int64_t column = 0;
  for (; column + 4 * lanes <= headDim; column += 4 * lanes)
    addValues<S, R, 4>(d, weights, factors, v, keyBytes, keys, column, y);
  for (; column < headDim; column += lanes)
    addValues<S, R, 1>(d, weights, factors, v, keyBytes, keys, column, y);
}

/// Turns a row's scores of keys [begin, keys) into weights exp(scale * score - maximum),
/// with zeros before them and from there to `padded`, and returns the factor by which
/// older sums shrink.
HWY_INLINE float softmaxChunk(float *scores, int64_t begin, int64_t keys, int64_t padded,
                              float scale, float *maximum, float *sum) {
  const FloatTag d;
  constexpr int64_t lanes = hn::MaxLanes(d);
  const int64_t end = (keys + lanes - 1) / lanes * lanes;
  std::fill(scores, scores + begin, scores[begin]);
  std::fill(scores + keys, scores + end, scores[begin]);
  auto largest = hn::Set(d, -std::numeric_limits<float>::infinity());
  for (int64_t i = 0; i < end; i += lanes) {
    const auto scaled = hn::Mul(hn::Set(d, scale), hn::LoadU(d, scores + i));
    hn::StoreU(scaled, d, scores + i);
    largest = hn::Max(largest, scaled);
  }
  const float newMaximum = std::max(*maximum, hn::GetLane(hn::MaxOfLanes(d, largest)));
  const float factor = std::exp(*maximum - newMaximum);
  for (int64_t i = 0; i < end; i += lanes)
    hn::StoreU(hn::Exp(d, hn::Sub(hn::LoadU(d, scores + i), hn::Set(d, newMaximum))), d,
               scores + i);
  std::fill(scores, scores + begin, 0.0f);
  std::fill(scores + keys, scores + std::max(end, padded), 0.0f);
  auto total = hn::Zero(d);
  for (int64_t i = 0; i < end; i += lanes)
    total = hn::Add(total, hn::LoadU(d, scores + i));
  *sum = *sum * factor + sumLanes(d, total);
  *maximum = newMaximum;
  return factor;
}

template <class S, class D>
HWY_NOINLINE void attendRows(D d, const AttentionArgs &args, const QueryRows &rows) {
  constexpr int R = HWY_TARGET <= HWY_AVX3 ? 4 : 2;
  const int64_t keyBytes = args.kvWidth * S::blockBytes;
  alignas(64) float scores[maxRows][chunkKeys];
  float factors[maxRows];
  float maxima[maxRows];
  float sums[maxRows];
  int64_t first = rows.begin[0], last = 0;
  for (int64_t r = 0; r < rows.count; ++r) {
    maxima[r] = -std::numeric_limits<float>::infinity();
    sums[r] = 0;
    first = std::min(first, rows.begin[r]);
    last = std::max(last, rows.end[r]);
    std::memset(rows.y[r], 0, args.headDim * sizeof(float));
  }
  // Chunks begin at the same keys for all rows, whichever are taken together.
  for (first -= first % chunkKeys; first < last; first += chunkKeys) {
    const int64_t keys = std::min(chunkKeys, last - first);
    const uint8_t *k = rows.k + first * keyBytes;
    const uint8_t *v = rows.v + first * keyBytes;
    int64_t r = 0;
    for (; r + R <= rows.count; r += R)
      scoreRows<S, R>(d, rows.q + r, k, keyBytes, keys, args.headDim, scores + r);
    for (; r < rows.count; ++r)
      scoreRows<S, 1>(d, rows.q + r, k, keyBytes, keys, args.headDim, scores + r);

    for (r = 0; r < rows.count; ++r) {
      const int64_t begin = std::max<int64_t>(0, rows.begin[r] - first);
      const int64_t end = std::min(keys, rows.end[r] - first);
      if (begin < end) {
        factors[r] = softmaxChunk(scores[r], begin, end, keys, args.scale, &maxima[r], &sums[r]);
      } else {
        std::fill(scores[r], scores[r] + keys, 0.0f);
        factors[r] = 1;
      }
    }

    r = 0;
    for (; r + R <= rows.count; r += R)
      addAllValues<S, R>(d, scores + r, factors + r, v, keyBytes, keys, args.headDim, rows.y + r);
    for (; r < rows.count; ++r)
      addAllValues<S, 1>(d, scores + r, factors + r, v, keyBytes, keys, args.headDim, rows.y + r);
  }
  for (int64_t r = 0; r < rows.count; ++r) {
    const auto inverse = hn::Set(d, 1.0f / sums[r]);
    for (int64_t j = 0; j < args.headDim; j += hn::MaxLanes(d))
      hn::StoreU(hn::Mul(hn::LoadU(d, rows.y[r] + j), inverse), d, rows.y[r] + j);
  }
}

/// Heads [headBegin, headEnd), of one key head, for tokens [tokenBegin, tokenEnd):
/// neighbours of one slot together.
template <class S, class D>
HWY_INLINE void attendItem(D d, const AttentionArgs &args, int64_t headBegin, int64_t headEnd,
                           int64_t tokenBegin, int64_t tokenEnd) {
  const int64_t keyHead = (args.firstHead + headBegin) / args.group;
  for (int64_t t = tokenBegin; t < tokenEnd;) {
    const int64_t slot = args.slots[t];
    const int64_t at =
        (slot * args.context * args.kvWidth + keyHead * args.headDim) * S::blockBytes;
    QueryRows rows;
    rows.k = static_cast<const uint8_t *>(args.k) + at;
    rows.v = static_cast<const uint8_t *>(args.v) + at;
    for (; t < tokenEnd && args.slots[t] == slot; ++t)
      for (int64_t head = headBegin; head < headEnd; ++head) {
        rows.q[rows.count] = args.q + t * args.qStride + head * args.headDim;
        rows.y[rows.count] = args.y + t * args.yStride + head * args.headDim;
        rows.end[rows.count] = int64_t{args.positions[t]} + 1;
        rows.begin[rows.count] = rows.end[rows.count] - keysSeen(args, t);
        ++rows.count;
      }
    attendRows<S>(d, args, rows);
  }
}

/// Walks items (heads of one key head x neighbouring tokens), and does those whose
/// first key, counted over all items, falls into this part's share of all keys.
template <class S, class D> HWY_INLINE void attend(D d, const AttentionArgs &args, Part part) {
  // Rows of an item: as many heads of a group as there are, filled up with tokens;
  // fewer where items would not go round.
  int64_t itemHeads = std::clamp<int64_t>(args.group, 1, maxRows);
  int64_t itemTokens = maxRows / itemHeads;
  const auto items = [&] {
    return (args.heads + itemHeads - 1) / itemHeads * ((args.tokens + itemTokens - 1) / itemTokens);
  };
  while (itemTokens > 1 && items() < 2 * part.count)
    itemTokens /= 2;
  while (itemHeads > 1 && items() < part.count)
    itemHeads = (itemHeads + 1) / 2;

  int64_t keysOfTokens = 0;
  for (int64_t t = 0; t < args.tokens; ++t)
    keysOfTokens += keysSeen(args, t);
  const PartRange share = partRange(keysOfTokens * args.heads, part);
  int64_t done = 0;
  for (int64_t head = 0; head < args.heads;) {
    const int64_t inGroup = (args.firstHead + head) % args.group;
    const int64_t headEnd = std::min({head + itemHeads, head + args.group - inGroup, args.heads});
    for (int64_t t = 0; t < args.tokens && done < share.end;) {
      const int64_t tokenEnd = std::min(t + itemTokens, args.tokens);
      if (done >= share.begin)
        attendItem<S>(d, args, head, headEnd, t, tokenEnd);
      for (; t < tokenEnd; ++t)
        done += keysSeen(args, t) * (headEnd - head);
    }
    head = headEnd;
  }
}

/// With vectors that divide a head, so that nothing is ragged.
template <class S> HWY_INLINE void attendHeads(const AttentionArgs &args, Part part) {
  const auto divides = [&](auto d) { return args.headDim % int64_t(hn::MaxLanes(d)) == 0; };
  if (divides(hn::CappedTag<float, 16>()))
    attend<S>(hn::CappedTag<float, 16>(), args, part);
  else if (divides(hn::CappedTag<float, 8>()))
    attend<S>(hn::CappedTag<float, 8>(), args, part);
  else if (divides(hn::CappedTag<float, 4>()))
    attend<S>(hn::CappedTag<float, 4>(), args, part);
  else
    attend<S>(hn::CappedTag<float, 1>(), args, part);
}

void attention(const AttentionArgs &args, Part part) {
  if (args.stateType == ElementType::f16)
    attendHeads<WeightsF16>(args, part);
  else
    attendHeads<WeightsF32>(args, part);
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(attention);

void attention(const AttentionArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(attention)(args, part);
}

} // namespace cleave::rt
#endif
