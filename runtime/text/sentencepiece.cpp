// See sentencepiece.h. The text lies in one buffer; its symbols are ranges of it
// in a doubly linked list, and candidates for a merge wait in a priority queue.
#include "runtime/text/sentencepiece.h"

#include <algorithm>
#include <queue>
#include <stdexcept>

namespace cleave::rt {

/// The length of the UTF-8 character that `text`, which is not empty, begins with;
/// 1 for a byte that begins none. Overlong and other forbidden forms pass: no piece
/// holds them, and so they become bytes all the same.
static size_t characterLength(std::string_view text) {
  auto lead = static_cast<uint8_t>(text[0]);
  size_t length = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF8 ? 4 : 1;
  if (length > text.size())
    return 1;
  for (char c : text.substr(1, length - 1))
    if ((static_cast<uint8_t>(c) & 0xC0) != 0x80)
      return 1;
  return length;
}

SentencePieceTokenizer::SentencePieceTokenizer(TokenizerData source)
    : Tokenizer(std::move(source)) {
  byteTokens.fill(-1);
  pieces.reserve(size());
  for (size_t i = 0; i < size(); ++i) {
    auto id = static_cast<int32_t>(i);
    const TokenData &t = token(id);
    switch (t.type) {
    case TokenType::byte:
      byteTokens[*parseBytePiece(t.bytes)] = id;
      break;
    case TokenType::normal:
    case TokenType::userDefined:
    case TokenType::unused:
      if (t.bytes.empty())
        break;
      pieces[t.bytes] = id;
      longestPiece = std::max(longestPiece, t.bytes.size());
      break;
    default:
      break;
    }
  }
}

int32_t SentencePieceTokenizer::find(std::string_view piece) const {
  if (piece.size() > longestPiece)
    return -1;
  auto found = pieces.find(piece);
  return found == pieces.end() ? -1 : found->second;
}

void SentencePieceTokenizer::encodeUnmatched(std::string_view character, bool &lastUnknown,
                                             std::vector<int32_t> &out) const {
  auto byteToken = [&](char c) { return byteTokens[static_cast<uint8_t>(c)]; };
  if (std::ranges::all_of(character, [&](char c) { return byteToken(c) >= 0; })) {
    for (char c : character)
      out.push_back(byteToken(c));
    lastUnknown = false;
    return;
  }
  if (unknown() < 0)
    throw std::runtime_error("the text holds '" + std::string(character) +
                             "', for which the vocabulary has no token");
  if (!lastUnknown)
    out.push_back(unknown());
  lastUnknown = true;
}

namespace {

/// A range of the buffer, in the list of those not merged away.
struct Symbol {
  size_t begin;
  size_t size; ///< 0 once merged into its left neighbour
  int64_t previous, next;
};

/// Two adjacent symbols that together are a piece.
struct Merge {
  int64_t left, right;
  float score;
  size_t size; ///< of both when proposed; differs once either has changed

  /// The queue's top is the highest score, and the leftmost among equals.
  bool operator<(const Merge &other) const {
    return score != other.score ? score < other.score : left > other.left;
  }
};

} // namespace

void SentencePieceTokenizer::encodePlain(std::string_view text, std::vector<int32_t> &out) const {
  std::string buffer;
  buffer.reserve(text.size() + spaceMark.size());
  if (addSpacePrefix())
    buffer += spaceMark;
  for (char c : text) {
    if (c == ' ')
      buffer += spaceMark;
    else
      buffer += c;
  }

  std::string_view view = buffer;
  std::vector<Symbol> symbols;
  for (size_t at = 0; at < view.size();) {
    size_t length = characterLength(view.substr(at));
    auto index = static_cast<int64_t>(symbols.size());
    symbols.push_back({at, length, index - 1, index + 1});
    at += length;
  }
  symbols.back().next = -1;

  // Unused pieces are stepping stones: merged like others, and at the end taken
  // apart again. For each of them met here, the size of its left part.
  std::unordered_map<std::string_view, size_t> unusedParts;
  std::priority_queue<Merge> queue;
  auto propose = [&](int64_t left, int64_t right) {
    if (left < 0 || right < 0)
      return;
    size_t size = symbols[left].size + symbols[right].size;
    std::string_view piece = view.substr(symbols[left].begin, size);
    int32_t id = find(piece);
    if (id < 0)
      return;
    queue.push({left, right, token(id).score, size});
    if (type(id) == TokenType::unused)
      unusedParts[piece] = symbols[left].size;
  };
  for (size_t i = 1; i < symbols.size(); ++i)
    propose(static_cast<int64_t>(i) - 1, static_cast<int64_t>(i));
  while (!queue.empty()) {
    Merge merge = queue.top();
    queue.pop();
    Symbol &left = symbols[merge.left], &right = symbols[merge.right];
    if (!left.size || !right.size || left.size + right.size != merge.size)
      continue;
    left.size = merge.size;
    right.size = 0;
    left.next = right.next;
    if (left.next >= 0)
      symbols[left.next].previous = merge.left;
    propose(left.previous, merge.left);
    propose(merge.left, left.next);
  }

  bool lastUnknown = false;
  std::vector<std::string_view> parts; // still to be written, the first on top
  for (int64_t i = 0; i >= 0; i = symbols[i].next) {
    parts.push_back(view.substr(symbols[i].begin, symbols[i].size));
    while (!parts.empty()) {
      std::string_view part = parts.back();
      parts.pop_back();
      int32_t id = find(part);
      bool unused = id >= 0 && type(id) == TokenType::unused;
      auto leftSize = unused ? unusedParts.find(part) : unusedParts.end();
      if (leftSize != unusedParts.end()) {
        parts.push_back(part.substr(leftSize->second));
        parts.push_back(part.substr(0, leftSize->second));
        continue;
      }
      if (id < 0 || unused) {
        encodeUnmatched(part, lastUnknown, out);
        continue;
      }
      out.push_back(id);
      lastUnknown = false;
    }
  }
}

void SentencePieceTokenizer::decodePlain(int32_t id, std::string &out) const {
  const TokenData &t = token(id);
  if (t.type == TokenType::byte)
    out += static_cast<char>(*parseBytePiece(t.bytes));
  else
    out += replaceSpaceMarks(t.bytes);
}

} // namespace cleave::rt
