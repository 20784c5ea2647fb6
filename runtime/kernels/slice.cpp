// Copies a range of one dimension.
#include "runtime/kernels/slice.h"

#include <cstring>

namespace cleave::rt {

void slice(const SliceArgs &args, Part part) {
  const bool cutRows = args.rows < part.count;
  const PartRange rows = cutRows ? PartRange{0, args.rows} : partRange(args.rows, part);
  const PartRange bytes = cutRows ? partRange(args.bytes, part, 64) : PartRange{0, args.bytes};
  if (bytes.begin == bytes.end)
    return;
  for (int64_t r = rows.begin; r < rows.end; ++r)
    std::memcpy(static_cast<char *>(args.y) + r * args.yStride + bytes.begin,
                static_cast<const char *>(args.x) + r * args.xStride + bytes.begin,
                bytes.end - bytes.begin);
}

} // namespace cleave::rt
