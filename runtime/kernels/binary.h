// Functions of two elements with broadcasting, for all element types that they take
// (elementwise.h).
#pragma once

#include "runtime/kernels/broadcast.h"
#include "runtime/program/elementwise.h"

namespace cleave::rt {

/// z = f(x, y) for elements of a type that f takes, z being of it too, or i1 where f is a test.
/// z may be x or y where that has z's type and shape.
struct BinaryArgs {
  const void *x = nullptr;
  const void *y = nullptr;
  void *z = nullptr;
  BinaryKind kind = BinaryKind::add;
  ElementType type = ElementType::f32;
  BroadcastShape<2> shape;

  /// Of x and y with as many elements each.
  void setCount(int64_t count) {
    shape.rank = 1;
    shape.dims[0] = count;
    shape.strides[0][0] = shape.strides[1][0] = 1;
  }
};

void binary(const BinaryArgs &args, Part part);

/// The same for elements of f32 and functions that are no tests, in vectors.
void binaryF32(const BinaryArgs &args, Part part);

} // namespace cleave::rt
