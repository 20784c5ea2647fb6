// See merging.h. Symbols stand in a doubly linked list, and candidates for a merge wait in a
// priority queue.
#include "runtime/text/merging.h"

#include <cstdint>
#include <queue>

namespace cleave::rt {
namespace {

struct Symbol {
  std::string_view text; ///< empty once merged into its left neighbour
  int64_t previous, next;
};

/// Two neighbours that may be joined.
struct Candidate {
  int64_t left, right;
  double priority;
  size_t size; ///< of both when proposed; differs once either has changed

  /// Whether the other is nearer to the queue's top.
  bool operator<(const Candidate &other) const {
    return priority != other.priority ? priority < other.priority : left > other.left;
  }
};

} // namespace

std::vector<std::string_view> mergeSymbols(const std::vector<std::string_view> &symbols,
                                           const MergePriority &priority) {
  const auto count = static_cast<int64_t>(symbols.size());
  std::vector<Symbol> list;
  list.reserve(symbols.size());
  for (int64_t i = 0; i < count; ++i)
    list.push_back({symbols[static_cast<size_t>(i)], i - 1, i + 1 < count ? i + 1 : -1});
  const auto at = [&](int64_t index) -> Symbol & { return list[static_cast<size_t>(index)]; };
  const auto joined = [&](int64_t left, int64_t right) {
    return std::string_view(at(left).text.data(), at(left).text.size() + at(right).text.size());
  };

  std::priority_queue<Candidate> queue;
  const auto propose = [&](int64_t left, int64_t right) {
    if (left < 0 || right < 0)
      return;
    const std::string_view piece = joined(left, right);
    if (std::optional<double> value = priority(piece, at(left).text.size()))
      queue.push({left, right, *value, piece.size()});
  };
  for (int64_t i = 1; i < count; ++i)
    propose(i - 1, i);
  while (!queue.empty()) {
    const Candidate merge = queue.top();
    queue.pop();
    Symbol &left = at(merge.left), &right = at(merge.right);
    if (left.text.empty() || right.text.empty() ||
        left.text.size() + right.text.size() != merge.size)
      continue;
    left.text = joined(merge.left, merge.right);
    right.text = {};
    left.next = right.next;
    if (left.next >= 0)
      at(left.next).previous = merge.left;
    propose(left.previous, merge.left);
    propose(merge.left, left.next);
  }

  std::vector<std::string_view> pieces;
  for (int64_t i = list.empty() ? -1 : 0; i >= 0; i = at(i).next)
    pieces.push_back(at(i).text);
  return pieces;
}

} // namespace cleave::rt
