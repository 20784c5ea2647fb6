// Functions of two elements by their definitions: for types and functions that have no vector
// code.
#pragma once

#include "runtime/program/elementwise.h"

#include <cmath>
#include <limits>
#include <type_traits>

namespace cleave::rt {

/// Integers wrap, which is undefined of signed ones; and smaller ones become int.
template <typename T> using Wrapping = std::make_unsigned_t<std::common_type_t<T, int>>;

template <typename T> T integerQuotient(T x, T y) {
  if (y == 0)
    return 0;
  if constexpr (std::is_signed_v<T>)
    if (y == -1) // the least number has no negative
      return static_cast<T>(Wrapping<T>{0} - static_cast<Wrapping<T>>(x));
  return static_cast<T>(x / y);
}

template <typename T> T integerRemainder(T x, T y) {
  if constexpr (std::is_signed_v<T>)
    if (y == -1)
      return 0;
  return y == 0 ? T{0} : static_cast<T>(x % y);
}

template <typename T> T integerPower(T x, T y) {
  if constexpr (std::is_signed_v<T>)
    if (y < 0)
      return x == 1 ? T{1} : x == -1 ? (y % 2 == 0 ? T{1} : T{-1}) : T{0};
  Wrapping<T> power = 1, factor = static_cast<Wrapping<T>>(x);
  for (auto rest = static_cast<std::make_unsigned_t<T>>(y); rest != 0;
       rest = static_cast<std::make_unsigned_t<T>>(rest >> 1)) {
    if (rest & 1)
      power *= factor;
    factor *= factor;
  }
  return static_cast<T>(power);
}

/// The float nearest to x^y; the powers that models are full of are quicker than others.
template <typename T> T floatPower(T x, T y) {
  if (y == 2)
    return x * x;
  if (y == 3)
    return x * x * x;
  if (y == 1)
    return x;
  return std::pow(x, y);
}

/// The remainder with the sign of y.
template <typename T> T floorRemainder(T x, T y) {
  if constexpr (std::is_integral_v<T>) {
    const T rest = integerRemainder(x, y);
    return rest != 0 && (rest < 0) != (y < 0) ? static_cast<T>(rest + y) : rest;
  } else {
    const T rest = std::fmod(x, y);
    return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
  }
}

template <typename T> T fillShift(T x, T y, bool left) {
  using Unsigned = std::make_unsigned_t<T>;
  const auto places = static_cast<Unsigned>(y);
  if (places >= std::numeric_limits<Unsigned>::digits)
    return 0;
  const auto bits = static_cast<Unsigned>(x);
  return static_cast<T>(left ? static_cast<Wrapping<T>>(bits) << places : bits >> places);
}

/// Calls `body` with the function of two numbers of type T: a float, a double, or an integer.
template <typename T, typename Body> void withFunction(BinaryKind kind, const Body &body) {
  constexpr bool isInteger = std::is_integral_v<T>;
  const auto arithmetic = [&](auto f) {
    if constexpr (isInteger)
      body([f](T x, T y) {
        return static_cast<T>(f(static_cast<Wrapping<T>>(x), static_cast<Wrapping<T>>(y)));
      });
    else
      body([f](T x, T y) { return f(x, y); });
  };
  switch (kind) {
  case BinaryKind::add:
    return arithmetic([](auto x, auto y) { return x + y; });
  case BinaryKind::mul:
    return arithmetic([](auto x, auto y) { return x * y; });
  case BinaryKind::sub:
    return arithmetic([](auto x, auto y) { return x - y; });
  case BinaryKind::div:
    if constexpr (isInteger)
      return body(integerQuotient<T>);
    else
      return body([](T x, T y) { return x / y; });
  case BinaryKind::pow:
    if constexpr (isInteger)
      return body(integerPower<T>);
    else
      return body(floatPower<T>);
  case BinaryKind::min:
    return body([](T x, T y) { return x < y || x != x ? x : y; });
  case BinaryKind::max:
    return body([](T x, T y) { return x > y || x != x ? x : y; });
  case BinaryKind::mod:
    return body(floorRemainder<T>);
  case BinaryKind::fmod:
    if constexpr (isInteger)
      return body(integerRemainder<T>);
    else
      return body([](T x, T y) { return std::fmod(x, y); });
  case BinaryKind::prelu:
    if constexpr (isInteger)
      return body([](T x, T y) {
        return x < T{0} ? static_cast<T>(static_cast<Wrapping<T>>(x) * static_cast<Wrapping<T>>(y))
                        : x;
      });
    else
      return body([](T x, T y) { return x < 0 ? x * y : x; });
  case BinaryKind::equal:
    return body([](T x, T y) { return x == y; });
  case BinaryKind::greater:
    return body([](T x, T y) { return x > y; });
  case BinaryKind::less:
    return body([](T x, T y) { return x < y; });
  case BinaryKind::greaterOrEqual:
    return body([](T x, T y) { return x >= y; });
  case BinaryKind::lessOrEqual:
    return body([](T x, T y) { return x <= y; });
  default:
    break;
  }
  if constexpr (isInteger)
    switch (kind) {
    case BinaryKind::bitwiseAnd:
      return body([](T x, T y) { return static_cast<T>(x & y); });
    case BinaryKind::bitwiseOr:
      return body([](T x, T y) { return static_cast<T>(x | y); });
    case BinaryKind::bitwiseXor:
      return body([](T x, T y) { return static_cast<T>(x ^ y); });
    case BinaryKind::shiftLeft:
      return body([](T x, T y) { return fillShift(x, y, true); });
    case BinaryKind::shiftRight:
      return body([](T x, T y) { return fillShift(x, y, false); });
    default:
      break; // not of numbers
    }
}

} // namespace cleave::rt
