// Text to tokens and back. This file holds what all vocabularies share: loading,
// special tokens inside a text, begin and end of text. A kind of vocabulary
// (sentencepiece.h, byte_pair.h) adds how plain text is cut.
#pragma once

#include "runtime/program/tokenizer_file.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cleave::rt {

struct EncodeOptions {
  /// Put begin-of-text before and end-of-text after, where the vocabulary asks for it.
  bool addSpecial = true;
  /// Take the names of control tokens ("</s>") inside the text for these tokens.
  /// Off by default: a prompt must not be able to end its own turn unnoticed.
  bool parseSpecial = false;
};

/// U+2581, with which SentencePiece writes a space in a piece.
inline constexpr std::string_view spaceMark = "\xE2\x96\x81";
/// `piece` with a space for each spaceMark.
std::string replaceSpaceMarks(std::string_view piece);

/// A vocabulary. Immutable after construction, and so safe to share among threads.
class Tokenizer {
public:
  /// Loads a package's tokenizer file. Throws std::runtime_error, naming the file,
  /// if it cannot be read, fails a check, or is of another package.
  static std::unique_ptr<Tokenizer> load(const std::filesystem::path &path,
                                         std::string_view packageId);
  /// As load(), from a tokenizer file's bytes (package.h's readCheckedFile), with
  /// the file's name for messages. `file` is aligned to 8 bytes.
  static std::unique_ptr<Tokenizer> parse(std::span<const std::byte> file, std::string_view name,
                                          std::string_view packageId);
  /// Makes the tokenizer that `data` describes; checks it as checkTokenizer does,
  /// with `name` in messages.
  static std::unique_ptr<Tokenizer> create(TokenizerData data,
                                           std::string_view name = "the vocabulary");
  virtual ~Tokenizer();

  /// Tokens of `text`, which should be UTF-8 but may be any bytes. User-defined
  /// tokens are matched first (with parseSpecial control tokens too), from left to
  /// right, the longest first; what lies between is cut by the vocabulary's model.
  /// Takes near-linear time in the text's length. Throws std::runtime_error if the
  /// text holds what the vocabulary can express neither as bytes nor as unknown.
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions &options = {}) const;

  /// Appends the text of one token to `out`: for a byte token one byte, so that a
  /// character may be complete only after several tokens; for a control token
  /// nothing; for the unknown token U+2047 between spaces. Throws std::out_of_range for an id
  /// outside the vocabulary.
  void decode(int32_t id, std::string &out) const;
  std::string decode(int32_t id) const;

  /// True for the tokens after which a model has nothing more to say: eos and eot.
  bool isEndOfText(int32_t id) const { return id >= 0 && (id == data.eos || id == data.eot); }

  size_t size() const { return data.tokens.size(); }
  /// Ids, or -1 where the vocabulary has none.
  int32_t bos() const { return data.bos; }
  int32_t eos() const { return data.eos; }
  int32_t eot() const { return data.eot; }
  int32_t unknown() const { return data.unknown; }
  bool addBos() const { return data.addBos; }
  /// True if encode() puts a space before a text (and, as llama.cpp does, before
  /// what follows a special token in it). StreamDecoder takes the first one away.
  bool addSpacePrefix() const { return data.addSpacePrefix; }
  /// The piece as the model file has it. Precondition: 0 <= id < size().
  const std::string &piece(int32_t id) const { return data.tokens[id].bytes; }
  /// The token's type, never `undefined`. Precondition: 0 <= id < size().
  TokenType type(int32_t id) const { return data.tokens[id].type; }

protected:
  /// Takes checked data and gives tokens of undefined type their types.
  explicit Tokenizer(TokenizerData data);

  /// Appends the tokens of a text without special tokens, which is not empty: all
  /// of a text, or what lies between special tokens in it.
  virtual void encodePlain(std::string_view text, std::vector<int32_t> &out) const = 0;
  /// Appends the text of a token that is neither control nor unknown.
  virtual void decodePlain(int32_t id, std::string &out) const = 0;

  const TokenData &token(int32_t id) const { return data.tokens[id]; }
  PreTokenizer preTokenizer() const { return data.preTokenizer; }
  const std::vector<std::string> &merges() const { return data.merges; }

private:
  TokenizerData data;
  struct SpecialTokens;
  std::unique_ptr<SpecialTokens> specials;
};

/// Decodes a stream of tokens to text, one at a time. Takes away the one space
/// that encode() put before the text's beginning.
class StreamDecoder {
public:
  /// `tokenizer` outlives the decoder.
  explicit StreamDecoder(const Tokenizer &tokenizer) : tokenizer(tokenizer) {}

  /// The text that `id` adds; empty for control tokens. Throws as
  /// Tokenizer::decode does.
  std::string next(int32_t id);
  /// Begins a new text.
  void reset() { atStart = true; }

private:
  const Tokenizer &tokenizer;
  bool atStart = true;
};

} // namespace cleave::rt
