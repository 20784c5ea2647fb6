// Elements of a tensor of any plain type by numbers in another: reading and writing. That the
// numbers are in range is the caller's to check.
#pragma once

#include "runtime/kernels/part.h"
#include "runtime/program/element_type.h"
#include "runtime/program/layout.h"

#include <array>
#include <cstdint>

namespace cleave::rt {

inline constexpr int maxIndexedDims = 8;

/// Numbers of 4 or 8 bytes. Negative ones count from the end.
struct IndexView {
  const void *data = nullptr;
  bool isWide = false; ///< i64 instead of i32

  /// Number i of those in [-limit, limit), counted from the front.
  int64_t get(int64_t i, int64_t limit) const {
    int64_t index = isWide ? static_cast<const int64_t *>(data)[i]
                           : int64_t{static_cast<const int32_t *>(data)[i]};
    return index < 0 ? index + limit : index;
  }
};

/// y [outer, count] = x [outer, limit] at the indices [count], all of items of `bytes` bytes. x
/// has the items from `offset` on of `whole` ones, of which the indices choose; those that it
/// does not have are zeros. A matrix of `type` whose rows are the items may be interleaved.
struct TakeArgs {
  const void *x = nullptr;
  void *y = nullptr;
  IndexView indices;
  int64_t outer = 0, limit = 0, count = 0, bytes = 0;
  int64_t offset = 0, whole = 0;
  Layout layout = Layout::rows;
  ElementType type = ElementType::f32;
};

void take(const TakeArgs &args, Part part);

/// What gather_elements reads and scatter_elements writes: the place of each element of the
/// dense `dims` in a tensor with `strides` (in elements), where the coordinate along `dim` is
/// the index. `limit` is that tensor's size along `dim`. Elements have 1, 2, 4 or 8 bytes.
struct ElementPlaces {
  IndexView indices;
  int rank = 0;
  int dim = 0;
  int64_t limit = 0;
  int64_t elementBytes = 0;
  std::array<int64_t, maxIndexedDims> dims{};
  std::array<int64_t, maxIndexedDims> strides{};
};

struct GatherElementsArgs {
  const void *x = nullptr;
  void *y = nullptr;
  ElementPlaces places;
};

void gatherElements(const GatherElementsArgs &args, Part part);

/// What gather_nd reads and scatter_nd writes: tuples [batches, count, length] of numbers,
/// each of which chooses an item of `items` elements in a tensor of `batchStride` elements a
/// batch. Number j is below limits[j] and moves by strides[j] elements.
struct TuplePlaces {
  IndexView indices;
  int64_t batches = 1, count = 0, batchStride = 0, items = 0;
  int64_t elementBytes = 0;
  int length = 0;
  std::array<int64_t, maxIndexedDims> limits{};
  std::array<int64_t, maxIndexedDims> strides{};
};

struct GatherNdArgs {
  const void *x = nullptr;
  void *y = nullptr;
  TuplePlaces places;
};

void gatherNd(const GatherNdArgs &args, Part part);

enum class ScatterKind { set, add, mul, max, min };

/// Writes the dense `updates` into y, which is x already, one after the other. Kinds but `set`
/// compute with f32, f64 and integers, which wrap around.
void scatterElements(const void *updates, void *y, const ElementPlaces &places, ScatterKind kind,
                     ElementType type);
void scatterNd(const void *updates, void *y, const TuplePlaces &places, ScatterKind kind,
               ElementType type);

} // namespace cleave::rt
