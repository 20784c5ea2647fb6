// Functions of two elements of any type: those of f32 are in binary.cpp, halves are computed as
// f32, the others one by one.
#include "runtime/kernels/binary.h"

#include "runtime/kernels/binary_functions.h"
#include "runtime/kernels/cast.h"
#include "runtime/kernels/plain_types.h"

namespace cleave::rt {
namespace {

using At = std::array<int64_t, 2>;

template <typename T, typename Function>
void apply(const BinaryArgs &args, PartRange range, const Function &f) {
  const auto *x = static_cast<const T *>(args.x);
  const auto *y = static_cast<const T *>(args.y);
  auto *z = static_cast<std::invoke_result_t<Function, T, T> *>(args.z);
  const auto last = static_cast<size_t>(args.shape.rank - 1);
  const int64_t xStride = args.shape.strides[0][last], yStride = args.shape.strides[1][last];
  forEachRow(args.shape, range, [&](const At &at, int64_t result, int64_t count) {
    for (int64_t i = 0; i < count; ++i)
      z[result + i] = f(x[at[0] + i * xStride], y[at[1] + i * yStride]);
  });
}

/// An i1 is true whatever its bits are but 0.
void binaryBoolean(const BinaryArgs &args, PartRange range) {
  switch (args.kind) {
  case BinaryKind::logicalAnd:
    return apply<uint8_t>(args, range, [](uint8_t x, uint8_t y) { return x != 0 && y != 0; });
  case BinaryKind::logicalOr:
    return apply<uint8_t>(args, range, [](uint8_t x, uint8_t y) { return x != 0 || y != 0; });
  case BinaryKind::logicalXor:
    return apply<uint8_t>(args, range, [](uint8_t x, uint8_t y) { return (x != 0) != (y != 0); });
  default: // equal
    return apply<uint8_t>(args, range, [](uint8_t x, uint8_t y) { return (x != 0) == (y != 0); });
  }
}

void binaryHalf(const BinaryArgs &args, PartRange range) {
  constexpr int64_t piece = 256;
  float x[piece], y[piece];
  const bool isTest = findBinary(static_cast<uint8_t>(args.kind))->isTest;
  const auto last = static_cast<size_t>(args.shape.rank - 1);
  BinaryArgs inner;
  inner.kind = args.kind;
  inner.x = x;
  inner.y = y;
  forEachRow(args.shape, range, [&](const At &at, int64_t result, int64_t count) {
    for (int64_t begin = 0; begin < count; begin += piece) {
      const int64_t size = std::min(piece, count - begin);
      auto widen = [&](size_t operand, const void *from, float *to) {
        const int64_t stride = args.shape.strides[operand][last];
        inner.shape.strides[operand][0] = stride;
        widenHalves(static_cast<const uint16_t *>(from) + at[operand] + begin * stride, to,
                    stride == 0 ? 1 : size, args.type);
      };
      widen(0, args.x, x);
      widen(1, args.y, y);
      inner.shape.dims[0] = size;
      if (isTest) {
        inner.z = static_cast<bool *>(args.z) + result + begin;
        binary(inner, Part{});
      } else {
        float z[piece];
        inner.z = z;
        binaryF32(inner, Part{});
        narrowToHalves(z, static_cast<uint16_t *>(args.z) + result + begin, size, args.type);
      }
    }
  });
}

} // namespace

void binary(const BinaryArgs &args, Part part) {
  const bool isTest = findBinary(static_cast<uint8_t>(args.kind))->isTest;
  if (args.type == ElementType::f32 && !isTest)
    return binaryF32(args, part);
  const PartRange range = partRange(args.shape.count(), part, 64);
  if (args.type == ElementType::f16 || args.type == ElementType::bf16)
    return binaryHalf(args, range);
  withPlainType(args.type, [&]<typename T>() {
    if constexpr (std::is_same_v<T, bool>)
      binaryBoolean(args, range);
    else
      withFunction<T>(args.kind, [&](const auto &f) { apply<T>(args, range, f); });
  });
}

} // namespace cleave::rt
