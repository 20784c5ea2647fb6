// See tokenizer.h.
#include "runtime/text/tokenizer.h"

#include "runtime/program/package.h"
#include "runtime/text/byte_pair.h"
#include "runtime/text/sentencepiece.h"

#include <algorithm>
#include <bitset>
#include <stdexcept>
#include <utility>

namespace cleave::rt {

/// What stands for the unknown token in a text, as in SentencePiece.
static constexpr std::string_view unknownText = " \u2047 ";

std::string replaceSpaceMarks(std::string_view piece) {
  std::string text;
  text.reserve(piece.size());
  while (!piece.empty()) {
    size_t mark = std::min(piece.find(spaceMark), piece.size());
    text += piece.substr(0, mark);
    piece.remove_prefix(mark);
    if (!piece.empty()) {
      text += ' ';
      piece.remove_prefix(spaceMark.size());
    }
  }
  return text;
}

namespace {

/// Names of tokens, to be found at a place in a text.
class NameTable {
public:
  void add(std::string name, int32_t id) {
    if (!name.empty())
      names.push_back({std::move(name), id});
  }

  /// Sorts; of equal names the last added stays.
  void finish() {
    std::ranges::stable_sort(names, {}, &Entry::name);
    size_t kept = 0;
    for (Entry &entry : names) {
      if (kept && names[kept - 1].name == entry.name)
        names[kept - 1].id = entry.id;
      else if (&names[kept++] != &entry)
        names[kept - 1] = std::move(entry);
    }
    names.resize(kept);
    for (const Entry &entry : names)
      firstBytes.set(static_cast<uint8_t>(entry.name[0]));
  }

  /// The longest name that `text`, which is not empty, begins with; {-1, 0} if
  /// none. Narrows the range of names that agree with the text, byte by byte.
  std::pair<int32_t, size_t> match(std::string_view text) const {
    std::pair<int32_t, size_t> best = {-1, 0};
    if (!firstBytes.test(static_cast<uint8_t>(text[0])))
      return best;
    auto begin = names.begin(), end = names.end();
    for (size_t depth = 0; depth < text.size(); ++depth) {
      auto byteAt = [depth](const Entry &e) { return static_cast<uint8_t>(e.name[depth]); };
      auto range =
          std::ranges::equal_range(begin, end, static_cast<uint8_t>(text[depth]), {}, byteAt);
      begin = range.begin();
      end = range.end();
      if (begin == end)
        break;
      // A name that ends here sorts before those that go on.
      if (begin->name.size() == depth + 1) {
        best = {begin->id, depth + 1};
        ++begin;
      }
    }
    return best;
  }

private:
  struct Entry {
    std::string name;
    int32_t id;
  };
  std::vector<Entry> names;
  std::bitset<256> firstBytes;
};

} // namespace

struct Tokenizer::SpecialTokens {
  NameTable userDefined;
  NameTable all; ///< control tokens too
};

Tokenizer::Tokenizer(TokenizerData source)
    : data(std::move(source)), specials(std::make_unique<SpecialTokens>()) {
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    auto id = static_cast<int32_t>(i);
    TokenData &token = data.tokens[i];
    if (token.type == TokenType::undefined) {
      if (parseBytePiece(token.bytes))
        token.type = TokenType::byte;
      else if (id == data.unknown)
        token.type = TokenType::unknown;
      else if (id == data.bos || id == data.eos || id == data.eot)
        token.type = TokenType::control;
      else
        token.type = TokenType::normal;
    }
    if (token.type == TokenType::control) {
      specials->all.add(token.bytes, id);
    } else if (token.type == TokenType::userDefined) {
      // Files write a space in such a piece in either way.
      for (NameTable *table : {&specials->userDefined, &specials->all}) {
        table->add(token.bytes, id);
        table->add(replaceSpaceMarks(token.bytes), id);
      }
    }
  }
  specials->userDefined.finish();
  specials->all.finish();
}

Tokenizer::~Tokenizer() = default;

std::unique_ptr<Tokenizer> Tokenizer::create(TokenizerData data, std::string_view name) {
  checkTokenizer(data, name);
  switch (data.model) {
  case TokenizerModel::sentencePiece:
    return std::make_unique<SentencePieceTokenizer>(std::move(data));
  case TokenizerModel::bytePair:
    return std::make_unique<BytePairTokenizer>(std::move(data));
  }
  throw std::logic_error("checkTokenizer let an unknown tokenizer model pass");
}

std::unique_ptr<Tokenizer> Tokenizer::parse(std::span<const std::byte> file, std::string_view name,
                                            std::string_view packageId) {
  return create(readTokenizer(file, name, packageId), name);
}

std::unique_ptr<Tokenizer> Tokenizer::load(const std::filesystem::path &path,
                                           std::string_view packageId) {
  return parse(readFile(path, maxProgramBytes).span(), path.string(), packageId);
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions &options) const {
  std::vector<int32_t> ids;
  if (options.addSpecial && data.addBos)
    ids.push_back(data.bos);
  const NameTable &table = options.parseSpecial ? specials->all : specials->userDefined;
  size_t plainBegin = 0;
  for (size_t at = 0; at < text.size();) {
    auto [id, length] = table.match(text.substr(at));
    if (!length) {
      ++at;
      continue;
    }
    if (at > plainBegin)
      encodePlain(text.substr(plainBegin, at - plainBegin), ids);
    ids.push_back(id);
    plainBegin = at += length;
  }
  if (plainBegin < text.size())
    encodePlain(text.substr(plainBegin), ids);
  if (options.addSpecial && data.addEos)
    ids.push_back(data.eos);
  return ids;
}

void Tokenizer::decode(int32_t id, std::string &out) const {
  if (id < 0 || static_cast<size_t>(id) >= data.tokens.size())
    throw std::out_of_range("token " + std::to_string(id) + " is outside the vocabulary of " +
                            std::to_string(data.tokens.size()) + " tokens");
  switch (data.tokens[id].type) {
  case TokenType::control:
    return;
  case TokenType::unknown:
    out += unknownText;
    return;
  default:
    decodePlain(id, out);
  }
}

std::string Tokenizer::decode(int32_t id) const {
  std::string text;
  decode(id, text);
  return text;
}

std::string StreamDecoder::next(int32_t id) {
  std::string text = tokenizer.decode(id);
  if (text.empty() || !atStart)
    return text;
  atStart = false;
  // encode() puts its space before plain text only: a byte token or a
  // user-defined token that begins with a space means that space.
  if (tokenizer.addSpacePrefix() && tokenizer.type(id) == TokenType::normal && text[0] == ' ')
    text.erase(0, 1);
  return text;
}

} // namespace cleave::rt
