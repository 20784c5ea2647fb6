// The tokenizer file of a package (tokenizer.fbs) as a plain struct: building
// the file's bytes for the compiler, reading and checking them for the runtime.
// What the tokens mean for text is runtime/text's business.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cleave {

/// How a vocabulary cuts text into tokens; numbered as in tokenizer.fbs.
enum class TokenizerModel : uint8_t { sentencePiece = 0, bytePair = 1 };

/// How a byte-pair vocabulary cuts text into words; numbered as in tokenizer.fbs.
enum class PreTokenizer : uint8_t { gpt2 = 0, llama3 = 1, qwen2 = 2, dbrx = 3 };

/// What a token is; numbered as GGUF's `tokenizer.ggml.token_type`. `undefined`
/// is for files that leave the types out: the runtime then takes `<0xNN>` for a
/// byte token, bos, eos and eot for control tokens, `unknown` for the unknown
/// token, and the rest for normal ones.
enum class TokenType : uint8_t {
  undefined = 0,
  normal = 1,
  unknown = 2,
  control = 3,
  userDefined = 4,
  unused = 5,
  byte = 6,
};

/// One token. `bytes` is the piece as the model file has it: for SentencePiece
/// with U+2581 for a space, and `<0xNN>` for a byte token; for byte pairs with a printable
/// character for each byte, as in GPT-2's vocabulary.
struct TokenData {
  std::string bytes;
  float score = 0;
  TokenType type = TokenType::undefined;
};

/// A vocabulary. A token's id is its place in `tokens`; an id of -1 is absent.
struct TokenizerData {
  TokenizerModel model = TokenizerModel::sentencePiece;
  std::vector<TokenData> tokens;
  int32_t bos = -1;
  int32_t eos = -1;
  int32_t eot = -1;
  int32_t unknown = -1;
  bool addBos = true;         ///< put `bos` before a text; needs `bos`
  bool addEos = false;        ///< put `eos` after a text; needs `eos`
  bool addSpacePrefix = true; ///< put a space before a text (SentencePiece's dummy prefix)
  // Of byte pairs alone:
  PreTokenizer preTokenizer = PreTokenizer::gpt2;
  /// What is joined, the first first: "left right", both parts as pieces.
  std::vector<std::string> merges;
};

/// The value of a byte token's piece, `<0xNN>`; nullopt for any other piece.
std::optional<uint8_t> parseBytePiece(std::string_view piece);

/// Throws std::runtime_error, beginning with `name` (a file's), where the data
/// contradicts itself: no tokens or more than 900,000, an id outside the
/// vocabulary, a type out of range, a byte token that is no `<0xNN>`, a score
/// that is not a number, addBos without bos, addEos without eos; merges of another
/// model, a merge that is not two parts, a space prefix of byte pairs.
void checkTokenizer(const TokenizerData &data, std::string_view name);

/// The bytes of a tokenizer file, the same for the same data. `data` is checked
/// as by checkTokenizer.
std::vector<uint8_t> writeTokenizer(const TokenizerData &data, std::string_view packageId);

/// Reads the bytes of a tokenizer file, which may be hostile: whatever they are,
/// the result has passed checkTokenizer, or std::runtime_error is thrown with a
/// message for the user that begins with `name`. Takes memory in proportion to
/// the file's size, and time too. `file` is aligned to 8 bytes. A file of another version, or of a
/// package other than `packageId`, is refused.
TokenizerData readTokenizer(std::span<const std::byte> file, std::string_view name,
                            std::string_view packageId);

} // namespace cleave
