// A thread's part of a kernel's work.
#pragma once

#include <cstdint>

namespace cleave::rt {

/// Part `index` of `count`. A kernel called with each index once, in any order or
/// at the same time, has done all its work; parts do not depend on each other.
struct Part {
  int index = 0;
  int count = 1;
};

struct PartRange {
  int64_t begin;
  int64_t end;
};

/// The share of `total` items that falls to `part`, in multiples of `grain`
/// (the last share takes the rest).
constexpr PartRange partRange(int64_t total, Part part, int64_t grain = 1) {
  int64_t grains = (total + grain - 1) / grain;
  int64_t begin = grains * part.index / part.count * grain;
  int64_t end = grains * (part.index + 1) / part.count * grain;
  return {begin < total ? begin : total, end < total ? end : total};
}

} // namespace cleave::rt
