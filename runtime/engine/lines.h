// A value's dimensions as steps need them: one by one, or as lines along one of them.
#pragma once

#include "runtime/engine/size.h"

#include <cstdint>
#include <span>
#include <vector>

namespace cleave::rt {

/// A value as lines along one of its dimensions.
struct Lines {
  Size outer, length, inner;

  Lines() = default;
  Lines(std::span<const int64_t> dims, size_t dim)
      : outer(dims.first(dim)), length(dims.subspan(dim, 1)), inner(dims.subspan(dim + 1)) {}

  template <typename Args> void prepare(Args &args, const int64_t *symbols) const {
    args.outer = outer(symbols);
    args.length = length(symbols);
    args.inner = inner(symbols);
  }
};

inline std::vector<Size> sizesOf(std::span<const int64_t> dims) {
  std::vector<Size> sizes;
  for (size_t i = 0; i < dims.size(); ++i)
    sizes.emplace_back(dims.subspan(i, 1));
  return sizes;
}

} // namespace cleave::rt
