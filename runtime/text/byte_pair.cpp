// See byte_pair.h. Words are found by PCRE2, since their patterns look ahead and ask for
// classes of Unicode. A word's symbols are merged by rank, the lowest first.
#include "runtime/text/byte_pair.h"

#include "runtime/text/merging.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <new>
#include <optional>
#include <stdexcept>

namespace cleave::rt {

// ---- Bytes as characters ----

namespace {

/// GPT-2's table: printable bytes of Latin-1 stand for themselves, the others for U+0100 and
/// on, in their order. So no piece holds a space or a control character.
class ByteCharacters {
public:
  ByteCharacters() {
    bytes.fill(-1);
    uint32_t next = 0x100;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      bool isPrintable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
      uint32_t code = isPrintable ? byte : next++;
      bytes[code] = static_cast<int16_t>(byte);
      if (code < 0x80)
        characters[byte] = {static_cast<char>(code)};
      else
        characters[byte] = {static_cast<char>(0xC0 | code >> 6),
                            static_cast<char>(0x80 | (code & 0x3F))};
    }
  }

  const std::string &of(char byte) const { return characters[static_cast<uint8_t>(byte)]; }

  /// Appends the bytes that `piece` means. What is no character of the table stays.
  void decode(std::string_view piece, std::string &out) const {
    while (!piece.empty()) {
      auto lead = static_cast<uint8_t>(piece[0]);
      bool isPair = lead >= 0xC2 && lead <= 0xDF && piece.size() > 1;
      uint32_t code = isPair ? (lead & 0x1F) << 6 | (piece[1] & 0x3F) : lead;
      int16_t byte = code < bytes.size() && (isPair || lead < 0x80) ? bytes[code] : -1;
      if (byte >= 0)
        out += static_cast<char>(byte);
      else
        out += piece.substr(0, isPair ? 2 : 1);
      piece.remove_prefix(isPair ? 2 : 1);
    }
  }

private:
  std::array<std::string, 256> characters;
  std::array<int16_t, 0x180> bytes; ///< by character; -1 for none
};

const ByteCharacters &byteCharacters() {
  static const ByteCharacters table;
  return table;
}

/// The patterns that the families' own tokenizers publish.
const char *patternOf(PreTokenizer preTokenizer) {
  switch (preTokenizer) {
  case PreTokenizer::gpt2:
    return R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
  case PreTokenizer::llama3:
  case PreTokenizer::dbrx:
    return R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
           R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  case PreTokenizer::qwen2:
    return R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
           R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  }
  throw std::logic_error("checkTokenizer let an unknown pre-tokenizer pass");
}

} // namespace

// ---- Words ----

/// A compiled pattern; finding words changes nothing of it.
class WordPattern {
public:
  explicit WordPattern(const char *pattern) {
    int number = 0;
    size_t at = 0;
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern), PCRE2_ZERO_TERMINATED,
                         PCRE2_UTF | PCRE2_UCP, &number, &at, nullptr);
    if (!code)
      throw std::logic_error("a word pattern does not compile");
  }
  WordPattern(const WordPattern &) = delete;
  WordPattern &operator=(const WordPattern &) = delete;
  ~WordPattern() { pcre2_code_free(code); }

  /// Calls `take` with each word of `text`, in order: together they are the text. A byte that
  /// is no UTF-8 is a word.
  template <class Take> void forEach(std::string_view text, const Take &take) const {
    std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match(
        pcre2_match_data_create(1, nullptr), pcre2_match_data_free);
    if (!match)
      throw std::bad_alloc();
    while (!text.empty()) {
      size_t valid = validLength(text, match.get());
      forEachInValid(text.substr(0, valid), match.get(), take);
      text.remove_prefix(valid);
      if (!text.empty()) {
        take(text.substr(0, 1));
        text.remove_prefix(1);
      }
    }
  }

private:
  /// How much of `text` is UTF-8, from the beginning on. PCRE2 looks at all of it, or at as
  /// much as is valid, before it looks for a word.
  size_t validLength(std::string_view text, pcre2_match_data *match) const {
    int found = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0,
                            PCRE2_ANCHORED, match, nullptr);
    bool isInvalid = found <= PCRE2_ERROR_UTF8_ERR1 && found >= PCRE2_ERROR_UTF8_ERR21;
    return isInvalid ? pcre2_get_startchar(match) : text.size();
  }

  template <class Take>
  void forEachInValid(std::string_view text, pcre2_match_data *match, const Take &take) const {
    for (size_t at = 0; at < text.size();) {
      int found = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                              PCRE2_NO_UTF_CHECK, match, nullptr);
      if (found < 0 && found != PCRE2_ERROR_NOMATCH)
        throw std::runtime_error("the text has a run of more characters of one kind than can be "
                                 "cut into words");
      const size_t *place = pcre2_get_ovector_pointer(match);
      size_t begin = found < 0 ? text.size() : place[0];
      if (begin > at) // what the pattern leaves out
        take(text.substr(at, begin - at));
      if (found < 0)
        return;
      at = place[1];
      take(text.substr(begin, at - begin));
    }
  }

  pcre2_code *code;
};

// ---- Pieces ----

BytePairTokenizer::BytePairTokenizer(TokenizerData source)
    : Tokenizer(std::move(source)),
      words(std::make_unique<WordPattern>(patternOf(preTokenizer()))) {
  pieces.reserve(size());
  for (size_t i = 0; i < size(); ++i) {
    const TokenData &t = token(static_cast<int32_t>(i));
    if (t.type != TokenType::control && t.type != TokenType::unknown && !t.bytes.empty())
      pieces[t.bytes] = static_cast<int32_t>(i);
  }
  ranks.reserve(merges().size());
  for (size_t i = 0; i < merges().size(); ++i) {
    ranks.try_emplace(merges()[i], static_cast<int32_t>(i));
    longestMerge = std::max(longestMerge, merges()[i].size());
  }
}

BytePairTokenizer::~BytePairTokenizer() = default;

int32_t BytePairTokenizer::find(std::string_view piece) const {
  auto found = pieces.find(piece);
  return found == pieces.end() ? -1 : found->second;
}

int32_t BytePairTokenizer::findMerge(std::string_view both, size_t leftSize) const {
  if (both.size() + 1 > longestMerge)
    return -1;
  std::string key(both.substr(0, leftSize));
  key += ' ';
  key += both.substr(leftSize);
  auto found = ranks.find(key);
  return found == ranks.end() ? -1 : found->second;
}

void BytePairTokenizer::encodePlain(std::string_view text, std::vector<int32_t> &out) const {
  words->forEach(text, [&](std::string_view word) { encodeWord(word, out); });
}

void BytePairTokenizer::encodeWord(std::string_view word, std::vector<int32_t> &out) const {
  std::string buffer;
  for (char byte : word)
    buffer += byteCharacters().of(byte);
  std::string_view view = buffer;
  // Llama 3's tokenizer takes a word that is a piece, whether or not merges lead to it.
  if (preTokenizer() == PreTokenizer::llama3)
    if (int32_t id = find(view); id >= 0) {
      out.push_back(id);
      return;
    }

  std::vector<std::string_view> symbols;
  for (size_t at = 0; char byte : word) {
    const size_t size = byteCharacters().of(byte).size();
    symbols.push_back(view.substr(at, size));
    at += size;
  }
  const auto priority = [&](std::string_view piece, size_t leftSize) -> std::optional<double> {
    const int32_t rank = findMerge(piece, leftSize);
    return rank < 0 ? std::nullopt : std::optional<double>(-rank);
  };
  for (std::string_view piece : mergeSymbols(symbols, priority)) {
    int32_t id = find(piece);
    if (id >= 0) {
      out.push_back(id);
      continue;
    }
    // A merge without a piece of its own: its bytes.
    for (size_t at = 0; at < piece.size();) {
      size_t length = static_cast<uint8_t>(piece[at]) < 0x80 ? 1 : 2;
      int32_t byte = find(piece.substr(at, length));
      if (byte < 0)
        throw std::runtime_error("the text holds '" + std::string(word) +
                                 "', for which the vocabulary has no tokens");
      out.push_back(byte);
      at += length;
    }
  }
}

void BytePairTokenizer::decodePlain(int32_t id, std::string &out) const {
  if (type(id) == TokenType::userDefined)
    out += token(id).bytes;
  else
    byteCharacters().decode(token(id).bytes, out);
}

} // namespace cleave::rt
