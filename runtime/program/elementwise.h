// The tables of functions that are computed element by element: what each is called, which
// element types it takes, and in what it is linear. Dialect, loader, engine and kernels read
// these tables; what a function computes is said where it has its op (ElementwiseOps.td).
#pragma once

#include "runtime/program/element_type.h"

#include <array>
#include <cstdint>
#include <string_view>

namespace cleave {

/// Sets of plain element types.
enum class TypeSet : uint8_t {
  floats,
  signedNumbers, ///< floats and integers with a sign
  numbers,       ///< floats and integers
  integers,
  booleans, ///< i1 alone
  plain,    ///< all
};

constexpr bool contains(TypeSet set, ElementType type) {
  switch (set) {
  case TypeSet::floats:
    return isFloatType(type);
  case TypeSet::signedNumbers:
    return isFloatType(type) || type == ElementType::i8 || type == ElementType::i16 ||
           type == ElementType::i32 || type == ElementType::i64;
  case TypeSet::numbers:
    return isFloatType(type) || isIntegerType(type);
  case TypeSet::integers:
    return isIntegerType(type);
  case TypeSet::booleans:
    return type == ElementType::i1;
  case TypeSet::plain:
    return isFloatType(type) || isIntegerType(type) || type == ElementType::i1;
  }
  return false;
}

/// Functions of one element. The numbers stand in programs on disk: never reuse one.
enum class UnaryKind : uint8_t {
  silu,
  scale,
  exp,
  log,
  sqrt,
  reciprocal,
  abs,
  neg,
  sign,
  floor,
  ceil,
  round,
  tanh,
  sigmoid,
  relu,
  leakyRelu,
  thresholdedRelu,
  elu,
  selu,
  celu,
  gelu,
  geluTanh,
  quickGelu,
  hardSigmoid,
  hardSwish,
  mish,
  softplus,
  softsign,
  erf,
  clip,
  sin,
  cos,
  tan,
  asin,
  acos,
  atan,
  sinh,
  cosh,
  asinh,
  acosh,
  atanh,
  logicalNot,
  bitwiseNot,
  isNan,
  isInf,
};

/// A row of the table. `parameters` are how many numbers the function is told of, at most 2.
/// A test gives i1, any other function its operand's type.
struct UnaryInfo {
  UnaryKind kind;
  std::string_view name;
  TypeSet types;
  uint8_t parameters = 0;
  bool isTest = false;
  bool isLinear = false;
};

inline constexpr std::array unaryFunctions = {
    UnaryInfo{UnaryKind::silu, "silu", TypeSet::floats},
    UnaryInfo{UnaryKind::scale, "scale", TypeSet::floats, 1, false, true},
    UnaryInfo{UnaryKind::exp, "exp", TypeSet::floats},
    UnaryInfo{UnaryKind::log, "log", TypeSet::floats},
    UnaryInfo{UnaryKind::sqrt, "sqrt", TypeSet::floats},
    UnaryInfo{UnaryKind::reciprocal, "reciprocal", TypeSet::floats},
    UnaryInfo{UnaryKind::abs, "abs", TypeSet::numbers},
    UnaryInfo{UnaryKind::neg, "neg", TypeSet::signedNumbers, 0, false, true},
    UnaryInfo{UnaryKind::sign, "sign", TypeSet::numbers},
    UnaryInfo{UnaryKind::floor, "floor", TypeSet::floats},
    UnaryInfo{UnaryKind::ceil, "ceil", TypeSet::floats},
    UnaryInfo{UnaryKind::round, "round", TypeSet::floats},
    UnaryInfo{UnaryKind::tanh, "tanh", TypeSet::floats},
    UnaryInfo{UnaryKind::sigmoid, "sigmoid", TypeSet::floats},
    UnaryInfo{UnaryKind::relu, "relu", TypeSet::signedNumbers},
    UnaryInfo{UnaryKind::leakyRelu, "leaky_relu", TypeSet::floats, 1},
    UnaryInfo{UnaryKind::thresholdedRelu, "thresholded_relu", TypeSet::floats, 1},
    UnaryInfo{UnaryKind::elu, "elu", TypeSet::floats, 1},
    UnaryInfo{UnaryKind::selu, "selu", TypeSet::floats, 2},
    UnaryInfo{UnaryKind::celu, "celu", TypeSet::floats, 1},
    UnaryInfo{UnaryKind::gelu, "gelu", TypeSet::floats},
    UnaryInfo{UnaryKind::geluTanh, "gelu_tanh", TypeSet::floats},
    UnaryInfo{UnaryKind::quickGelu, "quick_gelu", TypeSet::floats, 1},
    UnaryInfo{UnaryKind::hardSigmoid, "hard_sigmoid", TypeSet::floats, 2},
    UnaryInfo{UnaryKind::hardSwish, "hard_swish", TypeSet::floats},
    UnaryInfo{UnaryKind::mish, "mish", TypeSet::floats},
    UnaryInfo{UnaryKind::softplus, "softplus", TypeSet::floats},
    UnaryInfo{UnaryKind::softsign, "softsign", TypeSet::floats},
    UnaryInfo{UnaryKind::erf, "erf", TypeSet::floats},
    UnaryInfo{UnaryKind::clip, "clip", TypeSet::floats, 2},
    UnaryInfo{UnaryKind::sin, "sin", TypeSet::floats},
    UnaryInfo{UnaryKind::cos, "cos", TypeSet::floats},
    UnaryInfo{UnaryKind::tan, "tan", TypeSet::floats},
    UnaryInfo{UnaryKind::asin, "asin", TypeSet::floats},
    UnaryInfo{UnaryKind::acos, "acos", TypeSet::floats},
    UnaryInfo{UnaryKind::atan, "atan", TypeSet::floats},
    UnaryInfo{UnaryKind::sinh, "sinh", TypeSet::floats},
    UnaryInfo{UnaryKind::cosh, "cosh", TypeSet::floats},
    UnaryInfo{UnaryKind::asinh, "asinh", TypeSet::floats},
    UnaryInfo{UnaryKind::acosh, "acosh", TypeSet::floats},
    UnaryInfo{UnaryKind::atanh, "atanh", TypeSet::floats},
    UnaryInfo{UnaryKind::logicalNot, "not", TypeSet::booleans},
    UnaryInfo{UnaryKind::bitwiseNot, "bitwise_not", TypeSet::integers},
    UnaryInfo{UnaryKind::isNan, "is_nan", TypeSet::floats, 0, true},
    UnaryInfo{UnaryKind::isInf, "is_inf", TypeSet::floats, 0, true},
};

/// Functions of two elements. The numbers stand in programs on disk: never reuse one.
enum class BinaryKind : uint8_t {
  add,
  mul,
  sub,
  div,
  pow,
  min,
  max,
  mod,
  fmod,
  prelu,
  logicalAnd,
  logicalOr,
  logicalXor,
  bitwiseAnd,
  bitwiseOr,
  bitwiseXor,
  shiftLeft,
  shiftRight,
  equal,
  greater,
  less,
  greaterOrEqual,
  lessOrEqual,
};

/// In which operands together a function is linear.
enum class Linearity : uint8_t { none, first, both };

struct BinaryInfo {
  BinaryKind kind;
  std::string_view name;
  TypeSet types; ///< both operands have one of these
  bool isTest = false;
  Linearity linearity = Linearity::none; ///< of numbers that are not rounded to 16 bits
};

inline constexpr std::array binaryFunctions = {
    BinaryInfo{BinaryKind::add, "add", TypeSet::numbers, false, Linearity::both},
    BinaryInfo{BinaryKind::mul, "mul", TypeSet::numbers, false, Linearity::first},
    BinaryInfo{BinaryKind::sub, "sub", TypeSet::numbers, false, Linearity::both},
    BinaryInfo{BinaryKind::div, "div", TypeSet::numbers, false, Linearity::first},
    BinaryInfo{BinaryKind::pow, "pow", TypeSet::numbers},
    BinaryInfo{BinaryKind::min, "min", TypeSet::numbers},
    BinaryInfo{BinaryKind::max, "max", TypeSet::numbers},
    BinaryInfo{BinaryKind::mod, "mod", TypeSet::numbers},
    BinaryInfo{BinaryKind::fmod, "fmod", TypeSet::numbers},
    BinaryInfo{BinaryKind::prelu, "prelu", TypeSet::signedNumbers},
    BinaryInfo{BinaryKind::logicalAnd, "and", TypeSet::booleans},
    BinaryInfo{BinaryKind::logicalOr, "or", TypeSet::booleans},
    BinaryInfo{BinaryKind::logicalXor, "xor", TypeSet::booleans},
    BinaryInfo{BinaryKind::bitwiseAnd, "bitwise_and", TypeSet::integers},
    BinaryInfo{BinaryKind::bitwiseOr, "bitwise_or", TypeSet::integers},
    BinaryInfo{BinaryKind::bitwiseXor, "bitwise_xor", TypeSet::integers},
    BinaryInfo{BinaryKind::shiftLeft, "shift_left", TypeSet::integers},
    BinaryInfo{BinaryKind::shiftRight, "shift_right", TypeSet::integers},
    BinaryInfo{BinaryKind::equal, "equal", TypeSet::plain, true},
    BinaryInfo{BinaryKind::greater, "greater", TypeSet::numbers, true},
    BinaryInfo{BinaryKind::less, "less", TypeSet::numbers, true},
    BinaryInfo{BinaryKind::greaterOrEqual, "greater_or_equal", TypeSet::numbers, true},
    BinaryInfo{BinaryKind::lessOrEqual, "less_or_equal", TypeSet::numbers, true},
};

/// The row of a kind, or null for a number that names none (hostile input).
constexpr const UnaryInfo *findUnary(uint8_t kind) {
  return kind < unaryFunctions.size() ? &unaryFunctions[kind] : nullptr;
}
constexpr const BinaryInfo *findBinary(uint8_t kind) {
  return kind < binaryFunctions.size() ? &binaryFunctions[kind] : nullptr;
}

// Rows stand in the order of their kinds.
static_assert([] {
  for (size_t i = 0; i < unaryFunctions.size(); ++i)
    if (static_cast<size_t>(unaryFunctions[i].kind) != i)
      return false;
  for (size_t i = 0; i < binaryFunctions.size(); ++i)
    if (static_cast<size_t>(binaryFunctions[i].kind) != i)
      return false;
  return true;
}());

/// Whether sums of such elements are the same in any order, but for their last bits: what is
/// linear in partial sums passes them only then. Rounding each summand to 16 bits would cost
/// too much.
constexpr bool passesSums(ElementType type) {
  return type == ElementType::f32 || type == ElementType::f64 || isIntegerType(type);
}

} // namespace cleave
