// How both kinds of tokenizers put a text's symbols together to pieces: two neighbours at a time,
// the best first. What is a piece, and how good it is, is the tokenizer's business.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

namespace cleave::rt {

/// How good it is to join two neighbours into `piece`, of which the left one has the first
/// `leftSize` bytes; nothing where they must not be.
using MergePriority = std::function<std::optional<double>(std::string_view piece, size_t leftSize)>;

/// Joins neighbours of `symbols`, which lie one behind the other in one buffer, as long as any may
/// be joined: those of the highest priority first, and the leftmost among equals. Returns what is
/// left, in order. Takes O(n log n) steps.
std::vector<std::string_view> mergeSymbols(const std::vector<std::string_view> &symbols,
                                           const MergePriority &priority);

} // namespace cleave::rt
