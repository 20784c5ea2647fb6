// Shapes of what is computed element by element with broadcasting, with as few dimensions as
// will do, and the rows over which kernels go.
#pragma once

#include "runtime/kernels/part.h"
#include "runtime/program/element_type.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace cleave::rt {

/// A dense result and its operands, which are dense or repeated. The last dimension's strides
/// are 0 or 1.
template <size_t operands> struct BroadcastShape {
  using Dims = std::array<int64_t, maxValueDims>;

  int rank = 1;
  Dims dims{0};                         ///< of the result; a shape that is not set is empty
  std::array<Dims, operands> strides{}; ///< in elements, 0 along what is repeated

  int64_t count() const {
    int64_t product = 1;
    for (int d = 0; d < rank; ++d)
      product *= dims[static_cast<size_t>(d)];
    return product;
  }

  /// Of a result of `to`, at most maxValueDims dimensions, of which each operand's are 1 or
  /// the same, matched from the last one on.
  void set(std::span<const int64_t> to, const std::array<std::span<const int64_t>, operands> &from);
};

template <size_t operands>
void BroadcastShape<operands>::set(std::span<const int64_t> to,
                                   const std::array<std::span<const int64_t>, operands> &from) {
  // From the last dimension on: `mine` is one that may join the dimension behind it.
  int count = 0;
  Dims backDims{};
  std::array<Dims, operands> backStrides{};
  std::array<int64_t, operands> inner; // elements of each operand behind the dimension
  inner.fill(1);
  bool empty = false;
  for (size_t back = 0; back < to.size(); ++back) {
    const int64_t size = to[to.size() - 1 - back];
    empty |= size == 0;
    if (size == 1)
      continue;
    std::array<int64_t, operands> mine;
    for (size_t i = 0; i < operands; ++i) {
      const int64_t own = back < from[i].size() ? from[i][from[i].size() - 1 - back] : 1;
      mine[i] = own == 1 ? 0 : inner[i];
      inner[i] *= own;
    }
    bool joins = count > 0;
    const auto last = static_cast<size_t>(count - 1);
    for (size_t i = 0; joins && i < operands; ++i)
      joins = mine[i] == backStrides[i][last] * backDims[last];
    if (joins) {
      backDims[last] *= size;
      continue;
    }
    backDims[static_cast<size_t>(count)] = size;
    for (size_t i = 0; i < operands; ++i)
      backStrides[i][static_cast<size_t>(count)] = mine[i];
    ++count;
  }
  if (empty || count == 0) {
    rank = 1;
    dims[0] = empty ? 0 : 1;
    for (Dims &each : strides)
      each[0] = 1;
    return;
  }
  rank = count;
  for (size_t d = 0; d < static_cast<size_t>(count); ++d) {
    const size_t back = static_cast<size_t>(count) - 1 - d;
    dims[d] = backDims[back];
    for (size_t i = 0; i < operands; ++i)
      strides[i][d] = backStrides[i][back];
  }
}

/// Calls row(at, result, count) for the elements [range.begin, range.end) of the result, row by
/// row of its last dimension: elements [result, result + count), of which the first is made of
/// element at[i] of operand i.
template <size_t operands, class Row>
void forEachRow(const BroadcastShape<operands> &shape, PartRange range, const Row &row) {
  if (range.begin >= range.end)
    return;
  const auto last = static_cast<size_t>(shape.rank - 1);
  const int64_t width = shape.dims[last];
  std::array<int64_t, maxValueDims> index{}; // of the row
  std::array<int64_t, operands> at{};
  int64_t rest = range.begin / width;
  for (size_t d = last; d-- > 0; rest /= shape.dims[d]) {
    index[d] = rest % shape.dims[d];
    for (size_t i = 0; i < operands; ++i)
      at[i] += index[d] * shape.strides[i][d];
  }
  int64_t first = range.begin % width;
  for (int64_t item = range.begin; item < range.end; first = 0) {
    const int64_t count = std::min(width - first, range.end - item);
    std::array<int64_t, operands> begin = at;
    for (size_t i = 0; i < operands; ++i)
      begin[i] += first * shape.strides[i][last];
    row(begin, item, count);
    item += count;
    for (size_t d = last; d-- > 0;) {
      for (size_t i = 0; i < operands; ++i)
        at[i] += shape.strides[i][d];
      if (++index[d] < shape.dims[d])
        break;
      for (size_t i = 0; i < operands; ++i)
        at[i] -= index[d] * shape.strides[i][d];
      index[d] = 0;
    }
  }
}

} // namespace cleave::rt
