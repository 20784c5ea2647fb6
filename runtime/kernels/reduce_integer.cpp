// Exact reductions of integers: scalar loops, since these are of masks and positions, not of what
// takes a model's time.
#include "runtime/kernels/plain_types.h"
#include "runtime/kernels/reduce.h"

#include <algorithm>
#include <limits>
#include <type_traits>

namespace cleave::rt {

namespace {

/// Where the elements are that make one result, and where each result's first one is.
struct Places {
  int rank = 0;
  int64_t dims[maxReduceDims] = {};
  int64_t strides[maxReduceDims] = {};
  int64_t count = 1;

  Places(const ReduceShape &shape, bool reduced) {
    int64_t stride = 1;
    for (int i = shape.rank - 1; i >= 0; stride *= shape.dims[i--]) {
      if (shape.reduced[i] != reduced)
        continue;
      dims[rank] = shape.dims[i]; // the innermost first
      strides[rank++] = stride;
      count *= shape.dims[i];
    }
  }

  int64_t operator[](int64_t index) const {
    int64_t place = 0;
    for (int i = 0; i < rank; ++i) {
      place += index % dims[i] * strides[i];
      index /= dims[i];
    }
    return place;
  }
};

/// One element more; sums and products wrap around.
template <typename T> T take(Reduction kind, T all, T x) {
  using U = std::make_unsigned_t<T>;
  const auto a = static_cast<U>(all), b = static_cast<U>(x);
  switch (kind) {
  case Reduction::max:
    return std::max(all, x);
  case Reduction::min:
    return std::min(all, x);
  case Reduction::prod:
    return static_cast<T>(a * b);
  case Reduction::l1:
    return static_cast<T>(a + (std::is_signed_v<T> && x < 0 ? U{0} - b : b));
  case Reduction::sumSquare:
    return static_cast<T>(a + b * b);
  default:
    return static_cast<T>(a + b);
  }
}

template <typename T> T identity(Reduction kind) {
  switch (kind) {
  case Reduction::max:
    return std::numeric_limits<T>::lowest();
  case Reduction::min:
    return std::numeric_limits<T>::max();
  case Reduction::prod:
    return 1;
  default:
    return 0;
  }
}

template <typename T> void reduceAll(const IntegerReduceArgs &args, Part part) {
  const Places kept(args, false), reduced(args, true);
  const auto *x = static_cast<const T *>(args.x);
  auto *y = static_cast<T *>(args.y);
  const PartRange range = partRange(kept.count, part);
  for (int64_t item = range.begin; item < range.end; ++item) {
    const T *first = x + kept[item];
    T all = identity<T>(args.kind);
    for (int64_t i = 0; i < reduced.count; ++i)
      all = take(args.kind, all, first[reduced[i]]);
    y[item] = all;
  }
}

} // namespace

void reduceIntegers(const IntegerReduceArgs &args, Part part) {
  withPlainType(args.type, [&]<typename T> {
    if constexpr (std::is_integral_v<T> && sizeof(T) >= 4)
      reduceAll<T>(args, part);
  });
}

} // namespace cleave::rt
