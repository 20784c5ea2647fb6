// Functions of one element, for all element types that they take (elementwise.h).
#pragma once

#include "runtime/kernels/part.h"
#include "runtime/program/elementwise.h"

#include <array>
#include <cstdint>

namespace cleave::rt {

/// y = f(x) for `count` elements of a type that f takes; y has that type too, or i1 where f is a
/// test, and may be x itself where it has x's type.
struct UnaryArgs {
  const void *x = nullptr;
  void *y = nullptr;
  int64_t count = 0;
  UnaryKind kind = UnaryKind::silu;
  ElementType type = ElementType::f32;
  std::array<float, 2> parameters{};
};

void unary(const UnaryArgs &args, Part part);

/// The same for elements of f32 and functions that are no tests, in vectors.
void unaryF32(const UnaryArgs &args, Part part);

} // namespace cleave::rt
