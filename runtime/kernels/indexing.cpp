// Walks through indices and moves what they say.
#include "runtime/kernels/indexing.h"

#include "runtime/kernels/plain_types.h"
#include "runtime/program/packing.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

namespace cleave::rt {

namespace {

/// Calls visit(i, place) for elements `range` of the dense dims, in order.
template <typename Visit>
void forPlaces(const ElementPlaces &places, PartRange range, const Visit &visit) {
  const int last = places.rank - 1;
  if (range.begin == range.end)
    return;
  // The coordinates of the current element, and its place without the part along `dim`.
  std::array<int64_t, maxIndexedDims> at{};
  int64_t place = 0;
  int64_t rest = range.begin;
  auto stride = [&](int d) { return d == places.dim ? 0 : places.strides[d]; };
  for (int d = last; d >= 0; --d) {
    at[d] = rest % places.dims[d];
    rest /= places.dims[d];
    place += at[d] * stride(d);
  }
  const int64_t along = places.strides[places.dim];
  for (int64_t i = range.begin; i < range.end; ++i) {
    visit(i, place + places.indices.get(i, places.limit) * along);
    for (int d = last; d >= 0; --d) {
      place += stride(d);
      if (++at[d] < places.dims[d])
        break;
      place -= at[d] * stride(d);
      at[d] = 0;
    }
  }
}

int64_t countOf(const ElementPlaces &places) {
  int64_t count = 1;
  for (int d = 0; d < places.rank; ++d)
    count *= places.dims[d];
  return count;
}

/// The first element that tuple `i` chooses.
int64_t placeOf(const TuplePlaces &places, int64_t i) {
  int64_t place = i / places.count * places.batchStride;
  for (int j = 0; j < places.length; ++j)
    place += places.indices.get(i * places.length + j, places.limits[j]) * places.strides[j];
  return place;
}

template <typename T> void gatherElementsOf(const GatherElementsArgs &args, Part part) {
  const T *x = static_cast<const T *>(args.x);
  T *y = static_cast<T *>(args.y);
  forPlaces(args.places, partRange(countOf(args.places), part, 64),
            [&](int64_t i, int64_t place) { y[i] = x[place]; });
}

/// NumPy's maximum and minimum: what is not a number stays so.
template <typename T> T combine(ScatterKind kind, T old, T update) {
  // Small integers would be multiplied as signed ones, which may overflow.
  using Wide = std::conditional_t<std::is_floating_point_v<T>, T, uint64_t>;
  switch (kind) {
  case ScatterKind::set:
    return update;
  case ScatterKind::add:
    return static_cast<T>(static_cast<Wide>(old) + static_cast<Wide>(update));
  case ScatterKind::mul:
    return static_cast<T>(static_cast<Wide>(old) * static_cast<Wide>(update));
  case ScatterKind::max:
    return old != old || old > update ? old : update;
  case ScatterKind::min:
    return old != old || old < update ? old : update;
  }
  return update;
}

/// Calls visit with a pointer of a type of so many bytes.
template <typename Visit> void withBytes(int64_t bytes, const Visit &visit) {
  switch (bytes) {
  case 1:
    return visit(static_cast<uint8_t *>(nullptr));
  case 2:
    return visit(static_cast<uint16_t *>(nullptr));
  case 4:
    return visit(static_cast<uint32_t *>(nullptr));
  default:
    return visit(static_cast<uint64_t *>(nullptr));
  }
}

/// Calls visit with a pointer of the type that does `kind`.
template <typename Visit>
void withType(ScatterKind kind, ElementType type, int64_t bytes, const Visit &visit) {
  if (kind == ScatterKind::set)
    return withBytes(bytes, visit);
  withPlainType(type, [&]<typename T> {
    if constexpr (!std::is_same_v<T, bool>)
      visit(static_cast<T *>(nullptr));
  });
}

} // namespace

void take(const TakeArgs &args, Part part) {
  const PartRange rows = partRange(args.outer * args.count, part);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const int64_t index = args.indices.get(row % args.count, args.whole) - args.offset;
    char *y = static_cast<char *>(args.y) + row * args.bytes;
    const auto bytes = static_cast<size_t>(args.bytes);
    if (index < 0 || index >= args.limit)
      std::memset(y, 0, bytes);
    else if (args.layout == Layout::interleaved)
      unpackRow(elementTypeInfo(args.type), static_cast<const std::byte *>(args.x), args.bytes,
                index, 0, args.bytes, reinterpret_cast<std::byte *>(y));
    else
      std::memcpy(y,
                  static_cast<const char *>(args.x) +
                      (row / args.count * args.limit + index) * args.bytes,
                  bytes);
  }
}

void gatherElements(const GatherElementsArgs &args, Part part) {
  switch (args.places.elementBytes) {
  case 1:
    return gatherElementsOf<uint8_t>(args, part);
  case 2:
    return gatherElementsOf<uint16_t>(args, part);
  case 4:
    return gatherElementsOf<uint32_t>(args, part);
  default:
    return gatherElementsOf<uint64_t>(args, part);
  }
}

void gatherNd(const GatherNdArgs &args, Part part) {
  const TuplePlaces &places = args.places;
  const int64_t bytes = places.items * places.elementBytes;
  const PartRange tuples = partRange(places.batches * places.count, part);
  for (int64_t i = tuples.begin; i < tuples.end; ++i)
    std::memcpy(static_cast<char *>(args.y) + i * bytes,
                static_cast<const char *>(args.x) + placeOf(places, i) * places.elementBytes,
                static_cast<size_t>(bytes));
}

void scatterElements(const void *updates, void *y, const ElementPlaces &places, ScatterKind kind,
                     ElementType type) {
  withType(kind, type, places.elementBytes, [&](auto *tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    const T *from = static_cast<const T *>(updates);
    T *to = static_cast<T *>(y);
    forPlaces(places, {0, countOf(places)},
              [&](int64_t i, int64_t place) { to[place] = combine(kind, to[place], from[i]); });
  });
}

void scatterNd(const void *updates, void *y, const TuplePlaces &places, ScatterKind kind,
               ElementType type) {
  withType(kind, type, places.elementBytes, [&](auto *tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    for (int64_t i = 0; i < places.batches * places.count; ++i) {
      const T *from = static_cast<const T *>(updates) + i * places.items;
      T *to = static_cast<T *>(y) + placeOf(places, i);
      if (kind == ScatterKind::set)
        std::memcpy(to, from, static_cast<size_t>(places.items) * sizeof(T));
      else
        for (int64_t j = 0; j < places.items; ++j)
          to[j] = combine(kind, to[j], from[j]);
    }
  });
}

} // namespace cleave::rt
