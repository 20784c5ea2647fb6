// See tokenizer_file.h.
#include "runtime/program/tokenizer_file.h"

#include "runtime/program/tokenizer_generated.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace cleave {

/// The version that this code writes, and the only one that it reads.
static constexpr uint32_t formatVersion = 1;
/// Below the verifier's own limit of 1,000,000 tables; the largest vocabularies in
/// use have 262,144 tokens.
static constexpr size_t maxTokens = 900'000;

[[noreturn]] static void fail(std::string_view name, const std::string &what) {
  throw std::runtime_error(std::string(name) + ": " + what);
}

static int hexDigit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

std::optional<uint8_t> parseBytePiece(std::string_view piece) {
  if (piece.size() != 6 || piece.substr(0, 3) != "<0x" || piece[5] != '>')
    return std::nullopt;
  int high = hexDigit(piece[3]), low = hexDigit(piece[4]);
  if (high < 0 || low < 0)
    return std::nullopt;
  return static_cast<uint8_t>(high * 16 + low);
}

/// A piece for a message: printable ASCII as it is, the rest as \xNN, 32 bytes at
/// most.
static std::string quoted(std::string_view piece) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string result = "'";
  for (unsigned char c : piece.substr(0, 32)) {
    if (c >= 0x20 && c < 0x7F)
      result += static_cast<char>(c);
    else
      (result += "\\x") += {digits[c >> 4], digits[c & 15]};
  }
  return result + (piece.size() > 32 ? "...'" : "'");
}

static void checkId(int32_t id, const char *what, size_t size, std::string_view name) {
  if (id < -1 || (id >= 0 && static_cast<size_t>(id) >= size))
    fail(name, "the id of the " + std::string(what) + " token is " + std::to_string(id) +
                   ", but the vocabulary has " + std::to_string(size) + " tokens");
}

/// What belongs to one model alone.
static void checkModel(const TokenizerData &data, std::string_view name) {
  bool isBytePair = data.model == TokenizerModel::bytePair;
  if (!isBytePair && (!data.merges.empty() || data.preTokenizer != PreTokenizer::gpt2))
    fail(name, "the vocabulary has merges or a pre-tokenizer, but is none of byte pairs");
  if (data.preTokenizer > PreTokenizer::dbrx)
    fail(name, "pre-tokenizer " + std::to_string(static_cast<int>(data.preTokenizer)) +
                   " is unknown; was the package made by a newer version?");
  if (isBytePair && data.addSpacePrefix)
    fail(name, "the vocabulary asks for a space before a text, which byte pairs do not have");
  if (data.merges.size() > maxTokens)
    fail(name, "the vocabulary has " + std::to_string(data.merges.size()) +
                   " merges, more than the limit of " + std::to_string(maxTokens));
  for (size_t i = 0; i < data.merges.size(); ++i) {
    const std::string &merge = data.merges[i];
    size_t space = merge.find(' ');
    if (space == 0 || space == std::string::npos || space + 1 == merge.size() ||
        merge.find(' ', space + 1) != std::string::npos)
      fail(name, "merge " + std::to_string(i) + " (" + quoted(merge) +
                     ") is not two parts with a space between them");
  }
}

void checkTokenizer(const TokenizerData &data, std::string_view name) {
  if (data.model != TokenizerModel::sentencePiece && data.model != TokenizerModel::bytePair)
    fail(name, "tokenizer model " + std::to_string(static_cast<int>(data.model)) +
                   " is unknown; was the package made by a newer version?");
  if (data.tokens.empty())
    fail(name, "the vocabulary has no tokens");
  if (data.tokens.size() > maxTokens)
    fail(name, "the vocabulary has " + std::to_string(data.tokens.size()) +
                   " tokens, more than the limit of " + std::to_string(maxTokens));
  checkModel(data, name);
  checkId(data.bos, "begin-of-text", data.tokens.size(), name);
  checkId(data.eos, "end-of-text", data.tokens.size(), name);
  checkId(data.eot, "end-of-turn", data.tokens.size(), name);
  checkId(data.unknown, "unknown", data.tokens.size(), name);
  if (data.addBos && data.bos < 0)
    fail(name, "the vocabulary asks for a begin-of-text token, but names none");
  if (data.addEos && data.eos < 0)
    fail(name, "the vocabulary asks for an end-of-text token, but names none");
  for (size_t id = 0; id < data.tokens.size(); ++id) {
    const TokenData &token = data.tokens[id];
    auto describe = [&] {
      return "token " + std::to_string(id) + " (" + quoted(token.bytes) + ")";
    };
    if (token.type > TokenType::byte)
      fail(name, describe() + " has type " + std::to_string(static_cast<int>(token.type)) +
                     ", expected 0 to 6");
    if (token.type == TokenType::byte && !parseBytePiece(token.bytes))
      fail(name, describe() + " is of type byte, but its piece is not of the form <0xNN>");
    if (std::isnan(token.score))
      fail(name, describe() + " has a score that is not a number");
  }
}

std::vector<uint8_t> writeTokenizer(const TokenizerData &data, std::string_view packageId) {
  checkTokenizer(data, "the vocabulary");
  flatbuffers::FlatBufferBuilder builder;
  std::vector<flatbuffers::Offset<fb::Token>> tokens;
  tokens.reserve(data.tokens.size());
  for (const TokenData &token : data.tokens) {
    auto bytes = builder.CreateVector(reinterpret_cast<const uint8_t *>(token.bytes.data()),
                                      token.bytes.size());
    tokens.push_back(
        fb::CreateToken(builder, bytes, token.score, static_cast<fb::TokenType>(token.type)));
  }
  auto tokenVector = builder.CreateVector(tokens);
  // Absent where empty, so that other vocabularies have nothing of it.
  auto merges = data.merges.empty() ? 0 : builder.CreateVectorOfStrings(data.merges);
  auto id = builder.CreateString(packageId.data(), packageId.size());
  fb::FinishTokenizerBuffer(
      builder,
      fb::CreateTokenizer(builder, formatVersion, id, static_cast<fb::TokenizerModel>(data.model),
                          tokenVector, data.bos, data.eos, data.eot, data.unknown, data.addBos,
                          data.addEos, data.addSpacePrefix,
                          static_cast<fb::PreTokenizer>(data.preTokenizer), merges));
  return {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()};
}

TokenizerData readTokenizer(std::span<const std::byte> file, std::string_view name,
                            std::string_view packageId) {
  if (file.size() < 8 || !fb::TokenizerBufferHasIdentifier(file.data()))
    fail(name, "not a tokenizer file (it does not begin as one); make the package again");
  if (file.size() >= FLATBUFFERS_MAX_BUFFER_SIZE)
    fail(name, "larger than a tokenizer file can be");
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t *>(file.data()), file.size());
  if (!fb::VerifyTokenizerBuffer(verifier))
    fail(name, "the tokenizer file is damaged or truncated; make the package again");

  const fb::Tokenizer &source = *fb::GetTokenizer(file.data());
  if (source.version() != formatVersion)
    fail(name, "tokenizer file version " + std::to_string(source.version()) + ", expected " +
                   std::to_string(formatVersion) + "; make the package again with this version");
  if (source.package_id()->string_view() != packageId)
    fail(name, "belongs to package " + quoted(source.package_id()->string_view()) + ", expected " +
                   quoted(packageId));

  TokenizerData data;
  data.model = static_cast<TokenizerModel>(source.model());
  data.bos = source.bos();
  data.eos = source.eos();
  data.eot = source.eot();
  data.unknown = source.unknown();
  data.addBos = source.add_bos();
  data.addEos = source.add_eos();
  data.addSpacePrefix = source.add_space_prefix();
  // Offsets in a FlatBuffer may share what they point to, so that a small file
  // could ask for much memory. Ours never share.
  size_t bytesLeft = file.size();
  data.tokens.reserve(source.tokens()->size());
  for (const fb::Token *token : *source.tokens()) {
    size_t size = token->bytes() ? token->bytes()->size() : 0;
    if (size > bytesLeft)
      fail(name, "the pieces are longer than the file; make the package again");
    bytesLeft -= size;
    TokenData &target = data.tokens.emplace_back();
    if (size)
      target.bytes.assign(reinterpret_cast<const char *>(token->bytes()->data()), size);
    target.score = token->score();
    target.type = static_cast<TokenType>(token->type());
  }
  data.preTokenizer = static_cast<PreTokenizer>(source.pre_tokenizer());
  if (source.merges())
    for (const flatbuffers::String *merge : *source.merges()) {
      if (merge->size() > bytesLeft)
        fail(name, "the merges are longer than the file; make the package again");
      bytesLeft -= merge->size();
      data.merges.push_back(merge->str());
    }
  checkTokenizer(data, name);
  return data;
}

} // namespace cleave
