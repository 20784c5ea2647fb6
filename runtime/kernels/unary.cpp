// Functions of one element of f32, in vectors. What is not worth it (the sine and its kin) is
// computed one by one.
#include "runtime/kernels/unary.h"

#include "runtime/kernels/unary_functions.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/unary.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/weights-inl.h"

#include <hwy/contrib/math/math-inl.h>

#include <limits>

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

// Highway's functions hold in ranges; outside of these, and of a NaN, they give anything.

template <class D, class V> HWY_INLINE V keepNan(D, V x, V y) {
  return hn::IfThenElse(hn::IsNaN(x), x, y);
}

template <class D, class V> HWY_INLINE V constant(D d, V, double value) {
  return hn::Set(d, static_cast<float>(value));
}

/// 1 + exp(-x) for an x of any size. Exp is defined up to 104; at 88 what is divided by it is
/// already below 1e-36.
template <class D, class V> HWY_INLINE V onePlusExpOfMinus(D d, V x) {
  const auto exponential = hn::Exp(d, hn::Min(hn::Neg(x), hn::Set(d, 88.0f)));
  return hn::Add(hn::Set(d, 1.0f), exponential);
}

/// exp(x) - 1 where x is negative, else what is of no use.
template <class D, class V> HWY_INLINE V expm1OfNegative(D d, V x) {
  return hn::Expm1(d, hn::Min(x, hn::Zero(d)));
}

/// `negative` where x is negative, else x, which may be a NaN.
template <class V> HWY_INLINE V unlessNegative(V x, V zero, V negative) {
  return hn::IfThenElse(hn::Lt(x, zero), negative, x);
}

template <class D, class V> HWY_INLINE V clamp(D, V x, V least, V most) {
  x = hn::IfThenElse(hn::Lt(x, least), least, x);
  return hn::IfThenElse(hn::Gt(x, most), most, x);
}

/// log(1 + exp(x)).
template <class D, class V> HWY_INLINE V softplus(D d, V x) {
  const V smaller = hn::Log1p(d, hn::Exp(d, hn::Neg(hn::Abs(x))));
  return keepNan(d, x, hn::Add(hn::Max(x, hn::Zero(d)), smaller));
}

/// The error function to 3 units in the last place, by minimax polynomials: up to 1 it is x
/// times one in x^2; from there to 4, where it becomes 1, 1 - exp of minus one in |x|.
template <class D, class V> HWY_INLINE V erf(D d, V x) {
  const auto c = [&](double value) { return constant(d, x, value); };
  const V magnitude = hn::Abs(x), square = hn::Mul(x, x);
  V small = c(7.85385345807299e-05);
  small = hn::MulAdd(small, square, c(-0.000801019137725234));
  small = hn::MulAdd(small, square, c(0.00518832728266716));
  small = hn::MulAdd(small, square, c(-0.026853810995817184));
  small = hn::MulAdd(small, square, c(0.1128358542919159));
  small = hn::MulAdd(small, square, c(-0.3761262595653534));
  small = hn::Mul(hn::MulAdd(small, square, c(1.1283791065216064)), x);
  const V t = hn::Min(magnitude, c(4));
  V large = c(-0.00018557651492301375);
  large = hn::MulAdd(large, t, c(0.002939632860943675));
  large = hn::MulAdd(large, t, c(-0.021805424243211746));
  large = hn::MulAdd(large, t, c(0.10303760319948196));
  large = hn::MulAdd(large, t, c(0.6382253766059875));
  large = hn::MulAdd(large, t, c(1.1270402669906616));
  large = hn::MulAdd(large, t, c(0.0003536746371537447));
  large = hn::CopySign(hn::Sub(c(1), hn::Exp(d, hn::Neg(large))), x);
  return keepNan(d, x, hn::IfThenElse(hn::Lt(magnitude, c(1)), small, large));
}

template <class D, class V> HWY_INLINE V log(D d, V x) {
  const auto c = [&](double value) { return constant(d, x, value); };
  constexpr double infinity = std::numeric_limits<double>::infinity();
  V y = hn::IfThenElse(hn::Eq(x, hn::Zero(d)), c(-infinity), hn::Log(d, x));
  y = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::NaN(d), y);
  return keepNan(d, x, hn::IfThenElse(hn::Eq(x, c(infinity)), x, y));
}

/// f(d, x) for all elements of the part.
template <class Function>
HWY_INLINE void apply(const UnaryArgs &args, Part part, const Function &f) {
  const FloatTag d;
  const hn::CappedTag<float, 1> single;
  constexpr int64_t lanes = hn::MaxLanes(d);
  const auto *x = static_cast<const float *>(args.x);
  auto *y = static_cast<float *>(args.y);
  const PartRange range = partRange(args.count, part, 64);
  int64_t i = range.begin;
  for (; i + lanes <= range.end; i += lanes)
    hn::StoreU(f(d, hn::LoadU(d, x + i)), d, y + i);
  for (; i < range.end; ++i)
    hn::StoreU(f(single, hn::LoadU(single, x + i)), single, y + i);
}

void unaryF32(const UnaryArgs &args, Part part) {
  const auto [a, b] = args.parameters;
  switch (args.kind) {
  case UnaryKind::silu:
    return apply(args, part, [](auto d, auto x) { return hn::Div(x, onePlusExpOfMinus(d, x)); });
  case UnaryKind::scale:
    return apply(args, part, [a](auto d, auto x) { return hn::Mul(x, hn::Set(d, a)); });
  case UnaryKind::exp:
    return apply(args, part, [](auto d, auto x) {
      return keepNan(d, x, hn::Exp(d, hn::Min(x, hn::Set(d, 104.0f))));
    });
  case UnaryKind::log:
    return apply(args, part, [](auto d, auto x) { return log(d, x); });
  case UnaryKind::sqrt:
    return apply(args, part, [](auto, auto x) { return hn::Sqrt(x); });
  case UnaryKind::reciprocal:
    return apply(args, part, [](auto d, auto x) { return hn::Div(hn::Set(d, 1.0f), x); });
  case UnaryKind::abs:
    return apply(args, part, [](auto, auto x) { return hn::Abs(x); });
  case UnaryKind::neg:
    return apply(args, part, [](auto, auto x) { return hn::Neg(x); });
  case UnaryKind::sign:
    return apply(args, part, [](auto d, auto x) {
      const auto zero = hn::Zero(d), one = hn::Set(d, 1.0f);
      return hn::IfThenElse(hn::Gt(x, zero), one, unlessNegative(x, zero, hn::Neg(one)));
    });
  case UnaryKind::floor:
    return apply(args, part, [](auto, auto x) { return hn::Floor(x); });
  case UnaryKind::ceil:
    return apply(args, part, [](auto, auto x) { return hn::Ceil(x); });
  case UnaryKind::round:
    return apply(args, part, [](auto, auto x) { return hn::Round(x); });
  case UnaryKind::tanh:
    return apply(args, part, [](auto d, auto x) { return keepNan(d, x, hn::Tanh(d, x)); });
  case UnaryKind::sigmoid:
    return apply(args, part, [](auto d, auto x) {
      return keepNan(d, x, hn::Div(hn::Set(d, 1.0f), onePlusExpOfMinus(d, x)));
    });
  case UnaryKind::relu:
    return apply(args, part,
                 [](auto d, auto x) { return unlessNegative(x, hn::Zero(d), hn::Zero(d)); });
  case UnaryKind::leakyRelu:
    return apply(args, part, [a](auto d, auto x) {
      return unlessNegative(x, hn::Zero(d), hn::Mul(x, hn::Set(d, a)));
    });
  case UnaryKind::thresholdedRelu:
    return apply(args, part,
                 [a](auto d, auto x) { return hn::IfThenElseZero(hn::Gt(x, hn::Set(d, a)), x); });
  case UnaryKind::elu:
    return apply(args, part, [a](auto d, auto x) {
      return unlessNegative(x, hn::Zero(d), hn::Mul(hn::Set(d, a), expm1OfNegative(d, x)));
    });
  case UnaryKind::selu:
    return apply(args, part, [a, b](auto d, auto x) {
      const auto negative = hn::Mul(hn::Set(d, a), expm1OfNegative(d, x));
      return hn::Mul(hn::Set(d, b), unlessNegative(x, hn::Zero(d), negative));
    });
  case UnaryKind::celu:
    return apply(args, part, [a](auto d, auto x) {
      const auto alpha = hn::Set(d, a);
      // Of a negative alpha the exponent is positive.
      const auto exponent = hn::Min(hn::Div(x, alpha), hn::Set(d, 88.0f));
      return unlessNegative(x, hn::Zero(d), hn::Mul(alpha, hn::Expm1(d, exponent)));
    });
  case UnaryKind::gelu:
    return apply(args, part, [](auto d, auto x) {
      const auto sum = hn::Add(hn::Set(d, 1.0f), erf(d, hn::Mul(x, constant(d, x, M_SQRT1_2))));
      return hn::Mul(hn::Mul(x, hn::Set(d, 0.5f)), sum);
    });
  case UnaryKind::geluTanh:
    return apply(args, part, [](auto d, auto x) {
      // (1 + tanh(u)) / 2 = 1 / (1 + exp(-2u)).
      const auto cube = hn::Mul(hn::Mul(x, x), x);
      const auto inner = hn::MulAdd(cube, hn::Set(d, 0.044715f), x);
      const auto twice = hn::Mul(inner, constant(d, x, 2 * M_SQRT1_2 * M_2_SQRTPI));
      return hn::Div(x, onePlusExpOfMinus(d, twice));
    });
  case UnaryKind::quickGelu:
    return apply(args, part, [a](auto d, auto x) {
      return hn::Div(x, onePlusExpOfMinus(d, hn::Mul(x, hn::Set(d, a))));
    });
  case UnaryKind::hardSigmoid:
    return apply(args, part, [a, b](auto d, auto x) {
      return clamp(d, hn::Add(hn::Mul(x, hn::Set(d, a)), hn::Set(d, b)), hn::Zero(d),
                   hn::Set(d, 1.0f));
    });
  case UnaryKind::hardSwish:
    return apply(args, part, [](auto d, auto x) {
      const auto line = hn::Add(hn::Div(x, hn::Set(d, 6.0f)), hn::Set(d, 0.5f));
      return hn::Mul(x, clamp(d, line, hn::Zero(d), hn::Set(d, 1.0f)));
    });
  case UnaryKind::mish:
    return apply(args, part, [](auto d, auto x) {
      // tanh(log(1 + e)) = n / (n + 2), n = e (e + 2); from 20 on it is 1.
      const auto two = hn::Set(d, 2.0f);
      const auto e = hn::Exp(d, hn::Min(x, hn::Set(d, 20.0f)));
      const auto n = hn::Mul(e, hn::Add(e, two));
      return hn::Mul(x, hn::Div(n, hn::Add(n, two)));
    });
  case UnaryKind::softplus:
    return apply(args, part, [](auto d, auto x) { return softplus(d, x); });
  case UnaryKind::softsign:
    return apply(args, part,
                 [](auto d, auto x) { return hn::Div(x, hn::Add(hn::Set(d, 1.0f), hn::Abs(x))); });
  case UnaryKind::erf:
    return apply(args, part, [](auto d, auto x) { return erf(d, x); });
  case UnaryKind::clip:
    return apply(args, part,
                 [a, b](auto d, auto x) { return clamp(d, x, hn::Set(d, a), hn::Set(d, b)); });
  default:
    break;
  }
  const PartRange range = partRange(args.count, part, 64);
  withFunction<float>(args.kind, a, b, [&](const auto &function) {
    for (int64_t i = range.begin; i < range.end; ++i)
      static_cast<float *>(args.y)[i] = function(static_cast<const float *>(args.x)[i]);
  });
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(unaryF32);

void unaryF32(const UnaryArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(unaryF32)(args, part);
}

} // namespace cleave::rt
#endif
