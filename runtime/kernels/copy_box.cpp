// Copies a range of several dimensions.
#include "runtime/kernels/copy_box.h"

#include <cstring>

namespace cleave::rt {

void copyBox(const CopyBoxArgs &args, Part part) {
  const auto [outer, middle, inner] = args.counts;
  const PartRange runs = partRange(outer * middle * inner, part);
  if (args.bytes == 0)
    return;
  for (int64_t run = runs.begin; run < runs.end; ++run) {
    const int64_t i = run / (middle * inner), j = run / inner % middle, k = run % inner;
    std::memcpy(static_cast<char *>(args.y) + i * args.yStrides[0] + j * args.yStrides[1] +
                    k * args.yStrides[2],
                static_cast<const char *>(args.x) + i * args.xStrides[0] + j * args.xStrides[1] +
                    k * args.xStrides[2],
                static_cast<size_t>(args.bytes));
  }
}

} // namespace cleave::rt
