// Activations quantized to 8 bits (quantize.h) times block-quantized weights in
// Layout::interleaved, for any vector unit: integer sums of 32 columns, exact in 32 bits, then
// one f32 product of scales. A lane is a row of the weight. Variants with instructions for
// products of bytes: linear_q8_avx512vnni.cpp, linear_q8_avx2.cpp.
#include "runtime/kernels/linear.h"
#include "runtime/kernels/quantize.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/linear_q8.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/interleaved-inl.h"

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

/// `rows` rows of y for T tokens from `token` on, from a group of the weight.
template <class W, int T>
HWY_NOINLINE void linearGroupQ8(const LinearArgs &args, const uint8_t *group, int64_t rows,
                                int64_t token, float *y) {
  const FloatTag d;
  const hn::RebindToSigned<FloatTag> di32;
  constexpr int64_t lanes = hn::MaxLanes(d), pieces = groupRows / lanes;
  constexpr int partColumns = q8BlockLength / W::parts;
  const int64_t blocks = args.inputs / q8BlockLength;
  hn::Vec<FloatTag> acc[pieces][T];
  for (auto &piece : acc)
    for (auto &sum : piece)
      sum = hn::Zero(d);
  for (int64_t b = 0; b < blocks; ++b) {
    const int s = static_cast<int>(b % W::chunks);
    const uint8_t *block = group + b / W::chunks * sizeof(typename W::Block) * groupRows;
    if (T == 1 && s == 0)
      prefetchBlock<sizeof(typename W::Block) * groupRows>(block);
    for (int64_t piece = 0; piece < pieces; ++piece) {
      const auto chunk = W::chunk(d, block, s, piece * lanes);
      for (int part = 0; part < W::parts; ++part) {
        hn::Vec<decltype(di32)> sums[T];
        for (auto &sum : sums)
          sum = hn::Zero(di32);
        for (int j = part * partColumns; j < (part + 1) * partColumns; ++j) {
          const auto weights = W::integers(d, block, s, j, piece * lanes);
          for (int t = 0; t < T; ++t) {
            const Q8Row x(args.quantized, token + t, args.inputs);
            sums[t] =
                hn::Add(sums[t], hn::Mul(weights, hn::Set(di32, x.values[b * q8BlockLength + j])));
          }
        }
        auto minimum = chunk.minimum;
        if constexpr (!W::hasMinimum)
          minimum = hn::Mul(chunk.scales[part], hn::Set(d, W::offset));
        for (int t = 0; t < T; ++t) {
          const Q8Row x(args.quantized, token + t, args.inputs);
          const float sum = W::parts == 1 ? x.sums[b] : x.halfSums[2 * b + part];
          auto &to = acc[piece][t];
          to = hn::MulAdd(asFloats(sums[t]), hn::Mul(chunk.scales[part], hn::Set(d, x.scales[b])),
                          to);
          to = hn::NegMulAdd(minimum, hn::Set(d, sum), to);
        }
      }
    }
  }
  storeGroup(acc, rows, y, args.yStride);
}

template <class W> void linearInterleavedQ8(const LinearArgs &args, Part part) {
  forGroups<W, 4>(args, part,
                  [&](auto T, const uint8_t *group, int64_t rows, int64_t token, float *y)
                      HWY_ATTR { linearGroupQ8<W, T>(args, group, rows, token, y); });
}

LinearKernel linear_q8(ElementType weight) {
  return withBlock(weight, []<class Block>() -> LinearKernel {
    return linearInterleavedQ8<Interleaved<Block>>;
  });
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(linear_q8);

LinearKernel linear_q8(ElementType weight) {
  return HWY_DYNAMIC_DISPATCH(linear_q8)(weight);
}

} // namespace cleave::rt
#endif
