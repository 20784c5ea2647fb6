// First-fit placement of buffers by lifetime, over a list of free gaps.
#include "runtime/engine/memory_plan.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <queue>
#include <stdexcept>

namespace cleave::rt {

namespace {

constexpr int64_t maxArenaBytes = int64_t{1} << 56;

/// The free parts of the arena, by offset. Neighbours are always merged; beyond
/// `top` everything is free.
class Gaps {
public:
  int64_t take(int64_t bytes) {
    for (auto gap = gaps.begin(); gap != gaps.end(); ++gap) {
      auto [offset, size] = *gap;
      if (size < bytes)
        continue;
      gaps.erase(gap);
      if (size > bytes)
        gaps[offset + bytes] = size - bytes;
      return offset;
    }
    // The last gap may end at the top: it grows instead of being left behind.
    int64_t offset = top;
    if (!gaps.empty() && gaps.rbegin()->first + gaps.rbegin()->second == top) {
      offset = gaps.rbegin()->first;
      gaps.erase(std::prev(gaps.end()));
    }
    if (bytes > maxArenaBytes - offset)
      throw std::runtime_error("the activations of a step need more memory than any machine has; "
                               "lower the bounds of its sizes");
    top = offset + bytes;
    return offset;
  }

  void give(int64_t offset, int64_t bytes) {
    auto [gap, inserted] = gaps.emplace(offset, bytes);
    if (auto after = std::next(gap); after != gaps.end() && offset + bytes == after->first) {
      gap->second += after->second;
      gaps.erase(after);
    }
    if (gap != gaps.begin())
      if (auto before = std::prev(gap); before->first + before->second == offset) {
        before->second += gap->second;
        gaps.erase(gap);
      }
  }

  int64_t size() const { return top; }

private:
  std::map<int64_t, int64_t> gaps;
  int64_t top = 0;
};

} // namespace

MemoryPlan planMemory(const std::vector<BufferRequest> &requests) {
  MemoryPlan plan;
  plan.offsets.resize(requests.size());
  std::vector<size_t> order(requests.size());
  std::iota(order.begin(), order.end(), size_t{0});
  // Of those that begin together the larger first, so that small ones do not break
  // up the gaps.
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(requests[a].begin, -requests[a].bytes) <
           std::pair(requests[b].begin, -requests[b].bytes);
  });

  using Ending = std::pair<int64_t, size_t>; // last instruction, request
  std::priority_queue<Ending, std::vector<Ending>, std::greater<>> live;
  auto rounded = [&](size_t i) {
    return (requests[i].bytes + bufferAlignment - 1) / bufferAlignment * bufferAlignment;
  };
  Gaps gaps;
  for (size_t i : order) {
    while (!live.empty() && live.top().first < requests[i].begin) {
      size_t dead = live.top().second;
      live.pop();
      gaps.give(plan.offsets[dead], rounded(dead));
    }
    if (requests[i].bytes == 0)
      continue; // never touched: any address will do
    plan.offsets[i] = gaps.take(rounded(i));
    live.emplace(requests[i].end, i);
  }
  plan.bytes = gaps.size();
  return plan;
}

} // namespace cleave::rt
