// Selection by elements: types differ in their size only.
#include "runtime/kernels/where.h"

namespace cleave::rt {

template <typename T> static void select(const WhereArgs &args, PartRange range) {
  const auto *x = static_cast<const T *>(args.x);
  const auto *y = static_cast<const T *>(args.y);
  auto *z = static_cast<T *>(args.z);
  const auto last = static_cast<size_t>(args.shape.rank - 1);
  const int64_t conditionStride = args.shape.strides[0][last];
  const int64_t xStride = args.shape.strides[1][last], yStride = args.shape.strides[2][last];
  forEachRow(args.shape, range,
             [&](const std::array<int64_t, 3> &at, int64_t result, int64_t count) {
               for (int64_t i = 0; i < count; ++i) {
                 const T a = x[at[1] + i * xStride], b = y[at[2] + i * yStride];
                 z[result + i] = args.condition[at[0] + i * conditionStride] != 0 ? a : b;
               }
             });
}

void where(const WhereArgs &args, Part part) {
  const PartRange range = partRange(args.shape.count(), part, 64);
  switch (args.elementBytes) {
  case 1:
    return select<uint8_t>(args, range);
  case 2:
    return select<uint16_t>(args, range);
  case 4:
    return select<uint32_t>(args, range);
  default:
    return select<uint64_t>(args, range);
  }
}

} // namespace cleave::rt
