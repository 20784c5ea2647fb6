// Functions of one element by their definitions: for types and functions that have no vector
// code.
#pragma once

#include "runtime/program/elementwise.h"

#include <algorithm>
#include <cmath>

namespace cleave::rt {

/// Calls `body` with the function of a float of type T, which is float or double; no test.
template <typename T, typename Body> void withFunction(UnaryKind kind, T a, T b, const Body &body) {
  const auto sigmoid = [](T x) { return 1 / (1 + std::exp(-x)); };
  const auto clamp = [](T x, T least, T most) {
    x = x < least ? least : x; // a NaN stays one
    return x > most ? most : x;
  };
  switch (kind) {
  case UnaryKind::silu:
    return body([=](T x) { return x * sigmoid(x); });
  case UnaryKind::scale:
    return body([=](T x) { return x * a; });
  case UnaryKind::exp:
    return body([](T x) { return std::exp(x); });
  case UnaryKind::log:
    return body([](T x) { return std::log(x); });
  case UnaryKind::sqrt:
    return body([](T x) { return std::sqrt(x); });
  case UnaryKind::reciprocal:
    return body([](T x) { return 1 / x; });
  case UnaryKind::abs:
    return body([](T x) { return std::abs(x); });
  case UnaryKind::neg:
    return body([](T x) { return -x; });
  case UnaryKind::sign:
    return body([](T x) { return x > 0 ? T{1} : x < 0 ? T{-1} : x; });
  case UnaryKind::floor:
    return body([](T x) { return std::floor(x); });
  case UnaryKind::ceil:
    return body([](T x) { return std::ceil(x); });
  case UnaryKind::round:
    return body([](T x) { return std::nearbyint(x); });
  case UnaryKind::tanh:
    return body([](T x) { return std::tanh(x); });
  case UnaryKind::sigmoid:
    return body(sigmoid);
  case UnaryKind::relu:
    return body([](T x) { return x < 0 ? T{0} : x; });
  case UnaryKind::leakyRelu:
    return body([=](T x) { return x < 0 ? a * x : x; });
  case UnaryKind::thresholdedRelu:
    return body([=](T x) { return x > a ? x : T{0}; });
  case UnaryKind::elu:
    return body([=](T x) { return x < 0 ? a * std::expm1(x) : x; });
  case UnaryKind::selu:
    return body([=](T x) { return x < 0 ? b * a * std::expm1(x) : b * x; });
  case UnaryKind::celu:
    return body([=](T x) { return x < 0 ? a * std::expm1(x / a) : x; });
  case UnaryKind::gelu:
    return body([](T x) { return x / 2 * (1 + std::erf(x * static_cast<T>(M_SQRT1_2))); });
  case UnaryKind::geluTanh:
    return body([=](T x) {
      return x * sigmoid(static_cast<T>(2 * M_SQRT1_2 * M_2_SQRTPI) *
                         (x + static_cast<T>(0.044715) * x * x * x));
    });
  case UnaryKind::quickGelu:
    return body([=](T x) { return x * sigmoid(a * x); });
  case UnaryKind::hardSigmoid:
    return body([=](T x) { return clamp(a * x + b, 0, 1); });
  case UnaryKind::hardSwish:
    return body([=](T x) { return x * clamp(x / 6 + T{0.5}, 0, 1); });
  case UnaryKind::mish:
    return body(
        [](T x) { return x * std::tanh(std::max(x, T{0}) + std::log1p(std::exp(-std::abs(x)))); });
  case UnaryKind::softplus:
    return body([](T x) { return (x < 0 ? T{0} : x) + std::log1p(std::exp(-std::abs(x))); });
  case UnaryKind::softsign:
    return body([](T x) { return x / (1 + std::abs(x)); });
  case UnaryKind::erf:
    return body([](T x) { return std::erf(x); });
  case UnaryKind::clip:
    return body([=](T x) { return clamp(x, a, b); });
  case UnaryKind::sin:
    return body([](T x) { return std::sin(x); });
  case UnaryKind::cos:
    return body([](T x) { return std::cos(x); });
  case UnaryKind::tan:
    return body([](T x) { return std::tan(x); });
  case UnaryKind::asin:
    return body([](T x) { return std::asin(x); });
  case UnaryKind::acos:
    return body([](T x) { return std::acos(x); });
  case UnaryKind::atan:
    return body([](T x) { return std::atan(x); });
  case UnaryKind::sinh:
    return body([](T x) { return std::sinh(x); });
  case UnaryKind::cosh:
    return body([](T x) { return std::cosh(x); });
  case UnaryKind::asinh:
    return body([](T x) { return std::asinh(x); });
  case UnaryKind::acosh:
    return body([](T x) { return std::acosh(x); });
  case UnaryKind::atanh:
    return body([](T x) { return std::atanh(x); });
  case UnaryKind::logicalNot: // not of floats
  case UnaryKind::bitwiseNot:
  case UnaryKind::isNan:
  case UnaryKind::isInf:
    break;
  }
}

} // namespace cleave::rt
