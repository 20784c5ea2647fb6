// One pass over a row beside a heap of the best so far. Most elements are smaller than the
// worst of these, which vectors find out; few reach the heap.
#include "runtime/kernels/top_k.h"

#include <algorithm>
#include <array>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/top_k.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/weights-inl.h"

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

/// The first column from `begin` on, as far as it is known in steps of vectors, that holds
/// more than `least` or no number.
inline int64_t skipSmaller(const float *x, int64_t begin, int64_t end, float least) {
  const FloatTag d;
  constexpr int64_t lanes = hn::MaxLanes(d);
  const auto limit = hn::Set(d, least);
  for (; begin + 4 * lanes <= end; begin += 4 * lanes) {
    const auto allSmaller = hn::And(hn::And(hn::Le(hn::LoadU(d, x + begin), limit),
                                            hn::Le(hn::LoadU(d, x + begin + lanes), limit)),
                                    hn::And(hn::Le(hn::LoadU(d, x + begin + 2 * lanes), limit),
                                            hn::Le(hn::LoadU(d, x + begin + 3 * lanes), limit)));
    if (!hn::AllTrue(d, allSmaller))
      return begin;
  }
  return begin;
}

void topK(const TopKArgs &args, Part part) {
  constexpr int64_t step = 4 * hn::MaxLanes(FloatTag());
  const PartRange range = partRange(args.rows, part);
  for (int64_t r = range.begin; r < range.end; ++r) {
    const float *x = args.x + r * args.columns;
    // The worst of the best so far stands first.
    Candidate *best = args.y + r * args.count;
    const int64_t held = std::min(args.count, args.columns);
    auto candidate = [&](int64_t c) {
      return Candidate{x[c], static_cast<float>(args.offset + c)};
    };
    for (int64_t c = 0; c < held; ++c)
      best[c] = candidate(c);
    std::make_heap(best, best + held, comesBefore);
    for (int64_t c = held; c < args.columns;) {
      c = skipSmaller(x, c, args.columns, candidateKey(best->value));
      for (const int64_t end = std::min(c + step, args.columns); c < end; ++c) {
        if (!comesBefore(candidate(c), *best))
          continue;
        std::pop_heap(best, best + held, comesBefore);
        best[held - 1] = candidate(c);
        std::push_heap(best, best + held, comesBefore);
      }
    }
    std::sort_heap(best, best + held, comesBefore);
    std::fill(best + held, best + args.count, Candidate());
  }
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(topK);

void topK(const TopKArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(topK)(args, part);
}

void mergeTop(const MergeTopArgs &args, Part part) {
  const PartRange range = partRange(args.rows, part);
  std::array<Candidate, maxCandidates> merged;
  for (int64_t r = range.begin; r < range.end; ++r) {
    Candidate *y = args.y + r * args.count;
    std::copy_n(args.x + r * args.count, args.count, y);
    for (int64_t list = 1; list < args.lists; ++list) {
      const Candidate *mine = y, *theirs = args.x + (list * args.rows + r) * args.count;
      for (int64_t i = 0; i < args.count; ++i)
        merged[static_cast<size_t>(i)] = comesBefore(*theirs, *mine) ? *theirs++ : *mine++;
      std::copy_n(merged.begin(), args.count, y);
    }
  }
}

} // namespace cleave::rt
#endif
