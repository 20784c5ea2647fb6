// Gathers and dequantizes rows of a table.
#include "runtime/kernels/gather.h"

#include "runtime/program/packing.h"

#include <algorithm>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/gather.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/weights-inl.h"

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

template <class W> HWY_INLINE void gatherRows(const GatherArgs &args, Part part) {
  const FloatTag d;
  const hn::CappedTag<float, 1> single;
  const ElementTypeInfo &info = elementTypeInfo(args.type);
  const auto bytesOf = [](int64_t columns) { return columns / W::blockLength * W::blockBytes; };
  const int64_t rowBytes = bytesOf(args.columns);
  constexpr int64_t pieceColumns = std::max(groupColumns, W::blockLength);
  const PartRange range = partRange(args.tokens, part);
  for (int64_t t = range.begin; t < range.end; ++t) {
    const int64_t row = int64_t{args.indices[t]} - args.offset;
    float *y = args.y + t * args.yStride;
    if (args.masked && (row < 0 || row >= args.rows)) {
      std::memset(y, 0, args.columns * sizeof(float));
      continue;
    }
    for (int64_t first = 0; first < args.columns; first += pieceColumns) {
      const int64_t columns = std::min(pieceColumns, args.columns - first);
      uint8_t unpacked[pieceColumns / W::blockLength * W::blockBytes];
      const uint8_t *bytes = unpacked;
      if (args.layout == Layout::interleaved)
        unpackRow(info, static_cast<const std::byte *>(args.source), rowBytes, row, bytesOf(first),
                  bytesOf(columns), reinterpret_cast<std::byte *>(unpacked));
      else
        bytes = static_cast<const uint8_t *>(args.source) + row * rowBytes + bytesOf(first);
      int64_t column = 0;
      for (; column + groupColumns <= columns; column += groupColumns) {
        const auto group = W::group(d, bytes, column);
        for (int64_t j = 0; j < groupColumns; j += hn::MaxLanes(d))
          hn::StoreU(W::load(d, group, j), d, y + first + column + j);
      }
      if constexpr (W::blockLength == 1)
        for (; column < columns; ++column)
          hn::StoreU(W::load(single, W::group(single, bytes, column), 0), single,
                     y + first + column);
    }
  }
}

void gather(const GatherArgs &args, Part part) {
  switch (args.type) {
  case ElementType::f32:
    return gatherRows<WeightsF32>(args, part);
  case ElementType::f16:
    return gatherRows<WeightsF16>(args, part);
  case ElementType::bf16:
    return gatherRows<WeightsBF16>(args, part);
  default: // a block type, or canGather says no
    return withBlock(args.type,
                     [&]<class Block>() HWY_ATTR { gatherRows<Weights<Block>>(args, part); });
  }
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(gather);

bool canGather(ElementType type) {
  switch (type) {
  case ElementType::f32:
  case ElementType::f16:
  case ElementType::bf16:
    return true;
  default:
    const ElementTypeInfo *info = findElementType(type);
    return info && isBlockType(*info);
  }
}

void gather(const GatherArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(gather)(args, part);
}

} // namespace cleave::rt
#endif
