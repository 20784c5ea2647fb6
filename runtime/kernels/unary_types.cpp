// Functions of one element of any type: those of f32 are in unary.cpp, halves are computed as
// f32, the others one by one.
#include "runtime/kernels/unary.h"

#include "runtime/kernels/cast.h"
#include "runtime/kernels/plain_types.h"
#include "runtime/kernels/unary_functions.h"

#include <type_traits>

namespace cleave::rt {
namespace {

template <typename T, typename Function>
void apply(const UnaryArgs &args, PartRange range, const Function &f) {
  const auto *x = static_cast<const T *>(args.x);
  auto *y = static_cast<std::invoke_result_t<Function, T> *>(args.y);
  for (int64_t i = range.begin; i < range.end; ++i)
    y[i] = f(x[i]);
}

/// Of floats: gives an i1.
template <typename T> void test(const UnaryArgs &args, PartRange range) {
  if (args.kind == UnaryKind::isNan)
    return apply<T>(args, range, [](T x) { return std::isnan(x); });
  return apply<T>(args, range, [](T x) { return std::isinf(x); });
}

template <typename T> void unaryInteger(const UnaryArgs &args, PartRange range) {
  // Unsigned arithmetic wraps where there is no negative of a number.
  const auto negated = [](T x) { return static_cast<T>(T{0} - std::make_unsigned_t<T>(x)); };
  switch (args.kind) {
  case UnaryKind::abs:
    return apply<T>(args, range, [=](T x) { return x < T{0} ? negated(x) : x; });
  case UnaryKind::neg:
    return apply<T>(args, range, negated);
  case UnaryKind::sign:
    return apply<T>(args, range, [](T x) { return static_cast<T>((x > T{0}) - (x < T{0})); });
  case UnaryKind::relu:
    return apply<T>(args, range, [](T x) { return x < T{0} ? T{0} : x; });
  case UnaryKind::bitwiseNot:
    return apply<T>(args, range, [](T x) { return static_cast<T>(~x); });
  default:
    return; // proved not to be asked for
  }
}

void unaryHalf(const UnaryArgs &args, PartRange range) {
  constexpr int64_t piece = 256;
  float room[piece];
  const bool isTest = findUnary(static_cast<uint8_t>(args.kind))->isTest;
  for (int64_t begin = range.begin; begin < range.end; begin += piece) {
    UnaryArgs inner = args;
    inner.type = ElementType::f32;
    inner.x = inner.y = room;
    inner.count = std::min(piece, range.end - begin);
    widenHalves(static_cast<const uint16_t *>(args.x) + begin, room, inner.count, args.type);
    if (isTest) {
      inner.y = static_cast<bool *>(args.y) + begin;
      test<float>(inner, {0, inner.count});
    } else {
      unaryF32(inner, Part{});
      narrowToHalves(room, static_cast<uint16_t *>(args.y) + begin, inner.count, args.type);
    }
  }
}

} // namespace

void unary(const UnaryArgs &args, Part part) {
  const bool isTest = findUnary(static_cast<uint8_t>(args.kind))->isTest;
  if (args.type == ElementType::f32 && !isTest)
    return unaryF32(args, part);
  const PartRange range = partRange(args.count, part, 64);
  if (args.type == ElementType::f16 || args.type == ElementType::bf16)
    return unaryHalf(args, range);
  withPlainType(args.type, [&]<typename T>() {
    if constexpr (std::is_same_v<T, bool>)
      apply<uint8_t>(args, range, [](uint8_t x) { return x == 0; });
    else if constexpr (std::is_integral_v<T>)
      unaryInteger<T>(args, range);
    else if (isTest)
      test<T>(args, range);
    else
      withFunction<T>(args.kind, static_cast<T>(args.parameters[0]),
                      static_cast<T>(args.parameters[1]),
                      [&](const auto &f) { apply<T>(args, range, f); });
  });
}

} // namespace cleave::rt
