// Reductions: along the innermost dimension in vectors that are combined at the end, along
// others in vectors across them.
#include "runtime/kernels/reduce.h"

#include <algorithm>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/reduce.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/weights-inl.h"

#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

// How one element more is taken in. `shift` is a number that the reduction is given.

struct SumOf {
  static constexpr float identity = 0;
  template <class D, class V> static HWY_INLINE V take(D, V sum, V x, V) { return hn::Add(sum, x); }
  template <class D, class V> static HWY_INLINE V join(D, V a, V b) { return hn::Add(a, b); }
};
struct AbsOf : SumOf {
  template <class D, class V> static HWY_INLINE V take(D, V sum, V x, V) {
    return hn::Add(sum, hn::Abs(x));
  }
};
struct SquareOf : SumOf {
  template <class D, class V> static HWY_INLINE V take(D, V sum, V x, V) {
    return hn::MulAdd(x, x, sum);
  }
};
struct ExpOf : SumOf {
  template <class D, class V> static HWY_INLINE V take(D d, V sum, V x, V shift) {
    const V shifted = hn::Sub(x, shift);
    return hn::Add(sum, hn::IfThenElse(hn::IsNaN(shifted), shifted, hn::Exp(d, shifted)));
  }
};
struct ProductOf {
  static constexpr float identity = 1;
  template <class D, class V> static HWY_INLINE V take(D, V product, V x, V) {
    return hn::Mul(product, x);
  }
  template <class D, class V> static HWY_INLINE V join(D, V a, V b) { return hn::Mul(a, b); }
};
// What is not a number stays, whatever a vector unit's own maximum does with it.
struct MaxOf {
  static constexpr float identity = -std::numeric_limits<float>::infinity();
  template <class D, class V> static HWY_INLINE V join(D, V a, V b) {
    return hn::IfThenElse(hn::IsNaN(a), a, hn::IfThenElse(hn::IsNaN(b), b, hn::Max(a, b)));
  }
  template <class D, class V> static HWY_INLINE V take(D d, V a, V x, V) { return join(d, a, x); }
};
struct MinOf {
  static constexpr float identity = std::numeric_limits<float>::infinity();
  template <class D, class V> static HWY_INLINE V join(D, V a, V b) {
    return hn::IfThenElse(hn::IsNaN(a), a, hn::IfThenElse(hn::IsNaN(b), b, hn::Min(a, b)));
  }
  template <class D, class V> static HWY_INLINE V take(D d, V a, V x, V) { return join(d, a, x); }
};

/// Of `length` elements that follow each other.
template <class Op> HWY_INLINE float alongRow(const float *x, int64_t length, float shift) {
  const FloatTag d;
  const hn::CappedTag<float, 1> single;
  constexpr int64_t lanes = hn::MaxLanes(d);
  const auto shifts = hn::Set(d, shift);
  auto all0 = hn::Set(d, Op::identity), all1 = all0, all2 = all0, all3 = all0;
  int64_t i = 0;
  for (; i + 4 * lanes <= length; i += 4 * lanes) {
    all0 = Op::take(d, all0, hn::LoadU(d, x + i), shifts);
    all1 = Op::take(d, all1, hn::LoadU(d, x + i + lanes), shifts);
    all2 = Op::take(d, all2, hn::LoadU(d, x + i + 2 * lanes), shifts);
    all3 = Op::take(d, all3, hn::LoadU(d, x + i + 3 * lanes), shifts);
  }
  for (; i + lanes <= length; i += lanes)
    all0 = Op::take(d, all0, hn::LoadU(d, x + i), shifts);
  alignas(64) float parts[lanes];
  hn::Store(Op::join(d, Op::join(d, all0, all1), Op::join(d, all2, all3)), d, parts);
  auto result = hn::Set(single, Op::identity);
  for (; i < length; ++i)
    result = Op::take(single, result, hn::LoadU(single, x + i), hn::Set(single, shift));
  for (const float each : parts)
    result = Op::join(single, result, hn::Set(single, each));
  return hn::GetLane(result);
}

/// The dimensions of one kind, and where in x their elements are.
struct Walk {
  int rank = 0;
  int64_t dims[maxReduceDims];
  int64_t strides[maxReduceDims];
  int64_t count = 1;

  /// All of args' reduced or kept ones, but for the innermost where it is such.
  Walk(const ReduceArgs &args, bool reduced, bool withInnermost) {
    int64_t stride = 1;
    int64_t allDims[maxReduceDims], allStrides[maxReduceDims];
    for (int i = args.rank - 1; i >= 0; --i) {
      if (args.reduced[i] == reduced && (withInnermost || i != args.rank - 1)) {
        allDims[rank] = args.dims[i];
        allStrides[rank++] = stride;
        count *= args.dims[i];
      }
      stride *= args.dims[i];
    }
    std::reverse_copy(allDims, allDims + rank, dims);
    std::reverse_copy(allStrides, allStrides + rank, strides);
  }

  /// Where element `index` of them is.
  int64_t offset(int64_t index) const {
    int64_t result = 0;
    for (int i = rank - 1; i >= 0; --i) {
      result += index % dims[i] * strides[i];
      index /= dims[i];
    }
    return result;
  }
};

/// Calls f(offset) for all of `walk`, which may be empty.
template <class F> HWY_INLINE void forEach(const Walk &walk, const F &f) {
  if (walk.rank == 0)
    return f(int64_t{0});
  const int last = walk.rank - 1;
  for (int64_t index = 0; index < walk.count; index += walk.dims[last]) {
    int64_t offset = walk.offset(index);
    for (int64_t i = 0; i < walk.dims[last]; ++i, offset += walk.strides[last])
      f(offset);
  }
}

template <class D, class Op>
HWY_INLINE hn::Vec<D> acrossRows(D d, const float *x, const Walk &walk, hn::Vec<D> shift) {
  auto result = hn::Set(d, Op::identity);
  const float *const first = x;
  forEach(walk, [&](int64_t offset) HWY_ATTR {
    result = Op::take(d, result, hn::LoadU(d, first + offset), shift);
  });
  return result;
}

/// What the result is of the combined elements.
template <class D> HWY_INLINE hn::Vec<D> finish(D d, hn::Vec<D> value, const ReduceArgs &args) {
  if (args.kind != Reduction::mean)
    return value;
  return hn::Div(value, hn::Set(d, static_cast<float>(args.count)));
}

/// The logarithm of the sum, whose largest exponent was taken out.
HWY_INLINE float finishLog(float sum, float maximum) {
  // Of infinities nothing is taken out: they, or nothing, are the sum.
  return std::isfinite(maximum) ? maximum + std::log(sum) : maximum;
}

template <class Op> void reduceAll(const ReduceArgs &args, Part part) {
  const FloatTag d;
  const hn::CappedTag<float, 1> single;
  constexpr int64_t lanes = hn::MaxLanes(d);
  const bool isLog = args.kind == Reduction::logSumExp;
  if (args.rank == 0 || args.reduced[args.rank - 1]) {
    // Rows, of which there is one where nothing is reduced or kept.
    const int64_t length = args.rank == 0 ? 1 : args.dims[args.rank - 1];
    const Walk kept(args, false, true), outer(args, true, false);
    const PartRange range = partRange(kept.count, part);
    for (int64_t i = range.begin; i < range.end; ++i) {
      const float *x = args.x + kept.offset(i);
      float maximum = 0;
      if (isLog) {
        auto greatest = hn::Set(single, MaxOf::identity);
        forEach(outer, [&](int64_t offset) HWY_ATTR {
          const float row = alongRow<MaxOf>(x + offset, length, 0);
          greatest = MaxOf::join(single, greatest, hn::Set(single, row));
        });
        maximum = hn::GetLane(greatest);
      }
      auto all = hn::Set(single, Op::identity);
      forEach(outer, [&](int64_t offset) HWY_ATTR {
        all = Op::join(single, all, hn::Set(single, alongRow<Op>(x + offset, length, maximum)));
      });
      const float value = hn::GetLane(finish(single, all, args));
      args.y[i] = isLog ? finishLog(value, maximum) : value;
    }
    return;
  }
  const int64_t width = args.dims[args.rank - 1];
  const Walk kept(args, false, false), reducedDims(args, true, true);
  constexpr int64_t block = 64;
  const int64_t blocks = (width + block - 1) / block;
  const PartRange range = partRange(kept.count * blocks, part);
  auto one = [&](auto tag, const float *x, float *y) HWY_ATTR {
    using D = decltype(tag);
    auto maximum = hn::Zero(tag);
    if (isLog)
      maximum = acrossRows<D, MaxOf>(tag, x, reducedDims, maximum);
    const auto all = acrossRows<D, Op>(tag, x, reducedDims, maximum);
    hn::StoreU(finish(tag, all, args), tag, y);
    if (isLog) {
      alignas(64) float maxima[hn::MaxLanes(tag)];
      hn::Store(maximum, tag, maxima);
      for (size_t lane = 0; lane < hn::MaxLanes(tag); ++lane)
        y[lane] = finishLog(y[lane], maxima[lane]);
    }
  };
  for (int64_t item = range.begin; item < range.end; ++item) {
    const float *x = args.x + kept.offset(item / blocks);
    float *y = args.y + item / blocks * width;
    const int64_t end = std::min(width, item % blocks * block + block);
    int64_t column = item % blocks * block;
    for (; column + lanes <= end; column += lanes)
      one(d, x + column, y + column);
    for (; column < end; ++column)
      one(single, x + column, y + column);
  }
}

void reduce(const ReduceArgs &args, Part part) {
  switch (args.kind) {
  case Reduction::sum:
  case Reduction::mean:
    return reduceAll<SumOf>(args, part);
  case Reduction::max:
    return reduceAll<MaxOf>(args, part);
  case Reduction::min:
    return reduceAll<MinOf>(args, part);
  case Reduction::prod:
    return reduceAll<ProductOf>(args, part);
  case Reduction::l1:
    return reduceAll<AbsOf>(args, part);
  case Reduction::sumSquare:
    return reduceAll<SquareOf>(args, part);
  case Reduction::logSumExp:
    return reduceAll<ExpOf>(args, part);
  }
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(reduce);

void reduce(const ReduceArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(reduce)(args, part);
}

} // namespace cleave::rt
#endif
