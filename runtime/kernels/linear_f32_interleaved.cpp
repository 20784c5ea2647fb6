// f32 activations times weights in Layout::interleaved, promoted exactly; products and sums in
// f32. A lane is a row of the weight, so that no sum crosses lanes.
#include "runtime/kernels/linear.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/linear_f32_interleaved.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/interleaved-inl.h"

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

/// x of one token for the columns [column, column + chunkColumns) of the weight: x's own
/// memory, or a copy where x lacks some of them, which count as zero.
HWY_INLINE const float *chunkOfX(const LinearArgs &args, int64_t token, int64_t column,
                                 float *padded) {
  const float *x = args.x + token * args.xStride;
  const int64_t begin = column - args.padBefore;
  if (begin >= 0 && begin + chunkColumns <= args.xColumns)
    return x + begin;
  std::memset(padded, 0, chunkColumns * sizeof(float));
  const int64_t first = std::clamp<int64_t>(begin, 0, args.xColumns);
  const int64_t last = std::clamp<int64_t>(begin + chunkColumns, 0, args.xColumns);
  if (first < last)
    std::memcpy(padded + (first - begin), x + first, (last - first) * sizeof(float));
  return padded;
}

/// sums[t] += the products of `count` columns with T tokens; column j of the weight is load(j),
/// and columns j and j + 1, for an even j, are loadPair(j, first, second). Even and odd columns
/// have an accumulator each: one would wait for itself.
template <int T, class D, class Load, class LoadPair>
HWY_INLINE void addChunk(D d, const float *const (&x)[T], int64_t count, Load load,
                         LoadPair loadPair, hn::Vec<D> (&sums)[T]) {
  using V = hn::Vec<D>;
  V even[T], odd[T];
  for (int t = 0; t < T; ++t)
    even[t] = odd[t] = hn::Zero(d);
  const auto addPair = [&](int64_t j) HWY_ATTR {
    V first, second;
    loadPair(j, first, second);
    HWY_UNROLL(8)
    for (int t = 0; t < T; ++t) {
      even[t] = hn::MulAdd(hn::Set(d, x[t][j]), first, even[t]);
      odd[t] = hn::MulAdd(hn::Set(d, x[t][j + 1]), second, odd[t]);
    }
  };
  if (count == chunkColumns) {
    HWY_UNROLL(16)
    for (int64_t j = 0; j < chunkColumns; j += 2)
      addPair(j);
  } else {
    int64_t j = 0;
    for (; j + 2 <= count; j += 2)
      addPair(j);
    if (j < count)
      for (int t = 0; t < T; ++t)
        even[t] = hn::MulAdd(hn::Set(d, x[t][j]), load(j), even[t]);
  }
  for (int t = 0; t < T; ++t)
    sums[t] = hn::Add(sums[t], hn::Add(even[t], odd[t]));
}

/// `rows` rows of y for T tokens from `token` on, from a group of the weight.
template <class W, int T>
HWY_NOINLINE void linearGroup(const LinearArgs &args, const uint8_t *group, int64_t rows,
                              int64_t token, float *y) {
  const FloatTag d;
  constexpr int64_t lanes = hn::MaxLanes(d), pieces = groupRows / lanes;
  hn::Vec<FloatTag> sums[pieces][T];
  for (auto &piece : sums)
    for (auto &sum : piece)
      sum = hn::Zero(d);
  for (int64_t column = 0; column < args.inputs; column += chunkColumns) {
    alignas(64) float padded[T][chunkColumns];
    const float *x[T];
    for (int t = 0; t < T; ++t)
      x[t] = chunkOfX(args, token + t, column, padded[t]);
    if constexpr (requires { W::bytes; }) {
      const int64_t count = std::min(chunkColumns, args.inputs - column);
      constexpr int64_t columnBytes = W::bytes * groupRows;
      const uint8_t *chunk = group + column * columnBytes;
      for (int64_t piece = 0; piece < pieces; ++piece)
        addChunk<T>(
            d, x, count,
            [&](int64_t j)
                HWY_ATTR { return W::load(d, group, column + j, piece * lanes, args.inputs); },
            [&](int64_t j, auto &first, auto &second) HWY_ATTR {
              if (T == 1 && piece == 0)
                prefetchLines<chunkColumns * columnBytes>(chunk, j * columnBytes / 64,
                                                          (j + 2) * columnBytes / 64);
              W::loadPair(d, group, column + j, piece * lanes, first, second);
            },
            sums[piece]);
    } else {
      const int64_t number = column / chunkColumns;
      const int s = static_cast<int>(number % W::chunks);
      const uint8_t *block = group + number / W::chunks * sizeof(typename W::Block) * groupRows;
      if (T == 1 && s == 0)
        prefetchBlock<sizeof(typename W::Block) * groupRows>(block);
      for (int64_t piece = 0; piece < pieces; ++piece) {
        const auto chunk = W::chunk(d, block, s, piece * lanes);
        const auto load = [&](int64_t j) HWY_ATTR {
          const int column = static_cast<int>(j);
          return dequantize<W>(d, chunk, W::integers(d, block, s, column, piece * lanes), column);
        };
        addChunk<T>(
            d, x, chunkColumns, load,
            [&](int64_t j, auto &first, auto &second) HWY_ATTR {
              first = load(j);
              second = load(j + 1);
            },
            sums[piece]);
      }
    }
  }
  storeGroup(sums, rows, y, args.yStride);
}

template <class W> void linearInterleaved(const LinearArgs &args, Part part) {
  constexpr int tokens = HWY_TARGET <= HWY_AVX3 ? 8 : 2; // as many sums as registers allow
  forGroups<W, tokens>(args, part,
                       [&](auto T, const uint8_t *group, int64_t rows, int64_t token, float *y)
                           HWY_ATTR { linearGroup<W, T>(args, group, rows, token, y); });
}

LinearKernel linear_f32_interleaved(ElementType weight) {
  return withInterleaved(weight, []<class W>() -> LinearKernel { return linearInterleaved<W>; });
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(linear_f32_interleaved);

LinearKernel linear_f32_interleaved(ElementType weight) {
  return HWY_DYNAMIC_DISPATCH(linear_f32_interleaved)(weight);
}

} // namespace cleave::rt
#endif
