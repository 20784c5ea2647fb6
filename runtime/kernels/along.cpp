// Scalar loops: none of these is where a model's time goes.
#include "runtime/kernels/along.h"

#include <type_traits>
#include <utility>

namespace cleave::rt {

namespace {

template <typename T> bool isNan(T x) {
  return x != x;
}

template <typename T> T add(T a, T b) {
  if constexpr (std::is_floating_point_v<T>)
    return a + b;
  else
    return static_cast<T>(static_cast<std::make_unsigned_t<T>>(a) +
                          static_cast<std::make_unsigned_t<T>>(b));
}

} // namespace

template <typename T> void argReduce(const ArgReduceArgs<T> &args, Part part) {
  const PartRange range = partRange(args.outer * args.inner, part);
  for (int64_t item = range.begin; item < range.end; ++item) {
    const T *x = args.x + item / args.inner * args.length * args.inner + item % args.inner;
    int64_t best = 0;
    T value = x[0];
    for (int64_t i = 1; i < args.length; ++i) {
      const T next = x[i * args.inner];
      bool wins = args.smallest ? next < value : next > value;
      wins |= args.last && next == value;
      if (isNan(next))
        wins = args.last || !isNan(value);
      if (wins) {
        best = i;
        value = next;
      }
    }
    args.y[item] = best;
  }
}

namespace {

/// The elements chosen so far, in their places of the results: a heap whose first element
/// is the one to be given up next.
template <typename T> class Heap {
public:
  Heap(T *values, int64_t *indices, int64_t stride, bool smallest)
      : values(values), indices(indices), stride(stride), smallest(smallest) {}

  int64_t size = 0;

  /// Whether (value, index) comes before element i in the results.
  bool precedes(T value, int64_t index, int64_t i) const {
    return precedes(value, index, values[i * stride], indices[i * stride]);
  }

  void push(T value, int64_t index) {
    int64_t at = size++;
    // The parent is to be given up later than its child: then the child rises.
    for (; at > 0 &&
           precedes(values[(at - 1) / 2 * stride], indices[(at - 1) / 2 * stride], value, index);
         at = (at - 1) / 2)
      move((at - 1) / 2, at);
    set(at, value, index);
  }

  void replaceFirst(T value, int64_t index) { sink(0, value, index); }

  /// Puts the elements in order. Nothing is pushed after it.
  void sort() {
    while (size > 1) {
      --size;
      const T value = values[size * stride];
      const int64_t index = indices[size * stride];
      move(0, size);
      sink(0, value, index);
    }
  }

private:
  bool precedes(T a, int64_t indexA, T b, int64_t indexB) const {
    if (isNan(a) || isNan(b)) {
      if (isNan(a) != isNan(b))
        return isNan(a) != smallest;
    } else if (a != b) {
      return smallest ? a < b : a > b;
    }
    return indexA < indexB;
  }
  void set(int64_t i, T value, int64_t index) {
    values[i * stride] = value;
    indices[i * stride] = index;
  }
  void move(int64_t from, int64_t to) { set(to, values[from * stride], indices[from * stride]); }

  void sink(int64_t at, T value, int64_t index) {
    for (int64_t child; (child = 2 * at + 1) < size; at = child) {
      if (child + 1 < size && precedes(values[child * stride], indices[child * stride],
                                       values[(child + 1) * stride], indices[(child + 1) * stride]))
        ++child;
      if (!precedes(value, index, child))
        break;
      move(child, at);
    }
    set(at, value, index);
  }

  T *values;
  int64_t *indices;
  int64_t stride;
  bool smallest;
};

} // namespace

template <typename T> void topElements(const TopElementsArgs<T> &args, Part part) {
  const PartRange range = partRange(args.outer * args.inner, part);
  if (args.count == 0)
    return;
  for (int64_t item = range.begin; item < range.end; ++item) {
    const int64_t outer = item / args.inner, inner = item % args.inner;
    const T *x = args.x + outer * args.length * args.inner + inner;
    const int64_t first = outer * args.count * args.inner + inner;
    Heap heap(args.y + first, args.indices + first, args.inner, args.smallest);
    for (int64_t i = 0; i < args.length; ++i) {
      const T value = x[i * args.inner];
      if (heap.size < args.count)
        heap.push(value, i);
      else if (heap.precedes(value, i, 0))
        heap.replaceFirst(value, i);
    }
    heap.sort();
  }
}

template <typename T> void cumulativeSum(const CumulativeSumArgs<T> &args, Part part) {
  const PartRange range = partRange(args.outer * args.inner, part);
  for (int64_t item = range.begin; item < range.end; ++item) {
    const int64_t first = item / args.inner * args.length * args.inner + item % args.inner;
    T sum = 0;
    for (int64_t i = 0; i < args.length; ++i) {
      const int64_t at = first + (args.reverse ? args.length - 1 - i : i) * args.inner;
      const T value = args.x[at];
      const T next = add(sum, value);
      args.y[at] = args.exclusive ? sum : next;
      sum = next;
    }
  }
}

template void argReduce(const ArgReduceArgs<float> &, Part);
template void topElements(const TopElementsArgs<float> &, Part);
template void cumulativeSum(const CumulativeSumArgs<float> &, Part);
template void argReduce(const ArgReduceArgs<int32_t> &, Part);
template void topElements(const TopElementsArgs<int32_t> &, Part);
template void cumulativeSum(const CumulativeSumArgs<int32_t> &, Part);
template void argReduce(const ArgReduceArgs<uint32_t> &, Part);
template void topElements(const TopElementsArgs<uint32_t> &, Part);
template void cumulativeSum(const CumulativeSumArgs<uint32_t> &, Part);
template void argReduce(const ArgReduceArgs<int64_t> &, Part);
template void topElements(const TopElementsArgs<int64_t> &, Part);
template void cumulativeSum(const CumulativeSumArgs<int64_t> &, Part);
template void argReduce(const ArgReduceArgs<uint64_t> &, Part);
template void topElements(const TopElementsArgs<uint64_t> &, Part);
template void cumulativeSum(const CumulativeSumArgs<uint64_t> &, Part);

} // namespace cleave::rt
