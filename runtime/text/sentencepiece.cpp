// See sentencepiece.h. A text's characters are merged by score, the highest first.
#include "runtime/text/sentencepiece.h"

#include "runtime/text/merging.h"

#include <algorithm>
#include <optional>
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
  std::vector<std::string_view> symbols;
  for (size_t at = 0; at < view.size();) {
    size_t length = characterLength(view.substr(at));
    symbols.push_back(view.substr(at, length));
    at += length;
  }

  // Unused pieces are stepping stones: merged like others, and at the end taken
  // apart again. For each of them met here, the size of its left part.
  std::unordered_map<std::string_view, size_t> unusedParts;
  const auto priority = [&](std::string_view piece, size_t leftSize) -> std::optional<double> {
    int32_t id = find(piece);
    if (id < 0)
      return std::nullopt;
    if (type(id) == TokenType::unused)
      unusedParts[piece] = leftSize;
    return token(id).score;
  };

  bool lastUnknown = false;
  std::vector<std::string_view> parts; // still to be written, the first on top
  for (std::string_view merged : mergeSymbols(symbols, priority)) {
    parts.push_back(merged);
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
