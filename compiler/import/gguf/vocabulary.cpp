// The keys are those of GGUF's specification (`tokenizer.ggml.*`), the values for
// absent keys llama.cpp's.
#include "compiler/import/gguf/vocabulary.h"

#include "llvm/ADT/StringSwitch.h"

#include <stdexcept>

using namespace llvm;

namespace cleave::gguf {

namespace {

/// What writers put for a token that a vocabulary does not have.
constexpr uint64_t absentId = 4294967295;

std::string fullKey(StringRef key) {
  return "tokenizer.ggml." + key.str();
}

/// Reads a token's id into `id`: -1 where the file says that there is none, and
/// where it says nothing `fallback`, if there is such a token.
Error readId(const File &file, StringRef shortKey, int32_t fallback, size_t tokens, int32_t &id) {
  std::string key = fullKey(shortKey);
  Expected<std::optional<uint64_t>> value = file.getUInt(key);
  if (!value)
    return value.takeError();
  if (!*value)
    id = fallback < int64_t(tokens) ? fallback : -1;
  else if (**value == absentId)
    id = -1;
  else if (**value >= tokens)
    return file.keyError(key, "the token id is " + Twine(**value) + "; expected less than the " +
                                  Twine(tokens) + " tokens, or 4294967295 for none");
  else
    id = int32_t(**value);
  return Error::success();
}

/// Reads a flag into `flag`, `fallback` where the file says nothing.
Error readFlag(const File &file, StringRef shortKey, bool fallback, bool &flag) {
  Expected<std::optional<bool>> value = file.getBool(fullKey(shortKey));
  if (!value)
    return value.takeError();
  flag = value->value_or(fallback);
  return Error::success();
}

Error readTokens(const File &file, TokenizerData &data) {
  Expected<std::optional<std::vector<StringRef>>> tokens = file.getStrings(fullKey("tokens"));
  if (!tokens)
    return tokens.takeError();
  Expected<std::optional<std::vector<double>>> scores = file.getFloats(fullKey("scores"));
  if (!scores)
    return scores.takeError();
  Expected<std::optional<std::vector<int64_t>>> types = file.getInts(fullKey("token_type"));
  if (!types)
    return types.takeError();
  if (!*tokens)
    return file.error("key '" + fullKey("tokens") + "' is missing");
  size_t count = (*tokens)->size();
  auto checkLength = [&](StringRef key, size_t length) -> Error {
    if (length == count)
      return Error::success();
    return file.keyError(fullKey(key), Twine(length) + " elements; expected " + Twine(count) +
                                           ", one for each token");
  };
  if (*scores)
    if (Error e = checkLength("scores", (*scores)->size()))
      return e;
  if (*types)
    if (Error e = checkLength("token_type", (*types)->size()))
      return e;

  data.tokens.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    int64_t type = *types ? (**types)[i] : int64_t(TokenType::undefined);
    if (type < int64_t(TokenType::undefined) || type > int64_t(TokenType::byte))
      return file.keyError(fullKey("token_type"),
                           "token " + Twine(i) + " has type " + Twine(type) + "; expected 0 to 6");
    float score = *scores ? float((**scores)[i]) : 0; // as llama.cpp does
    data.tokens.push_back({(**tokens)[i].str(), score, TokenType(type)});
  }
  return Error::success();
}

/// The names of `tokenizer.ggml.pre` whose words are cut alike.
std::optional<PreTokenizer> findPreTokenizer(StringRef name) {
  return StringSwitch<std::optional<PreTokenizer>>(name)
      .Cases("gpt-2", "phi-2", PreTokenizer::gpt2)
      .Cases("llama-bpe", "llama3", "llama-v3", PreTokenizer::llama3)
      .Cases("dbrx", "smaug-bpe", PreTokenizer::dbrx)
      .Cases("qwen2", "deepseek-r1-qwen", PreTokenizer::qwen2)
      .Default(std::nullopt);
}

/// What a vocabulary of byte pairs has beside its tokens. False, with the reason in
/// `missing`, where it cuts words in a way that is not known.
Expected<bool> readBytePairs(const File &file, TokenizerData &data, std::string &missing) {
  Expected<std::optional<StringRef>> pre = file.getString(fullKey("pre"));
  if (!pre)
    return pre.takeError();
  std::optional<PreTokenizer> known = findPreTokenizer(pre->value_or("default"));
  if (!known) {
    missing = toString(file.keyError(
        fullKey("pre"), "the way to cut words " + quoted(pre->value_or("default")) +
                            " is not supported; expected 'gpt-2', 'llama-bpe', 'qwen2' or one "
                            "that is like them"));
    return false;
  }
  data.preTokenizer = *known;
  Expected<std::optional<std::vector<StringRef>>> merges = file.getStrings(fullKey("merges"));
  if (!merges)
    return merges.takeError();
  if (!*merges)
    return file.error("key '" + fullKey("merges") + "' is missing");
  for (StringRef merge : **merges)
    data.merges.push_back(merge.str());
  return true;
}

} // namespace

Expected<Vocabulary> readVocabulary(const File &file) {
  std::string modelKey = fullKey("model");
  Expected<std::optional<StringRef>> model = file.getString(modelKey);
  if (!model)
    return model.takeError();
  if (!*model || **model == "none" || **model == "no_vocab")
    return Vocabulary{std::nullopt, (file.path() + ": the file has no vocabulary").str()};
  bool isBytePair = **model == "gpt2";
  if (**model != "llama" && !isBytePair)
    return Vocabulary{std::nullopt,
                      toString(file.keyError(modelKey, "the vocabulary's model " + quoted(**model) +
                                                           " is not supported; "
                                                           "expected 'llama' or "
                                                           "'gpt2'"))};

  TokenizerData data;
  data.model = isBytePair ? TokenizerModel::bytePair : TokenizerModel::sentencePiece;
  if (isBytePair) {
    std::string missing;
    Expected<bool> known = readBytePairs(file, data, missing);
    if (!known)
      return known.takeError();
    if (!*known)
      return Vocabulary{std::nullopt, missing};
  }
  if (Error e = readTokens(file, data))
    return e;
  size_t count = data.tokens.size();
  // Ids that SentencePiece's vocabularies have by custom; others name theirs.
  if (Error e = readId(file, "bos_token_id", isBytePair ? -1 : 1, count, data.bos))
    return e;
  if (Error e = readId(file, "eos_token_id", isBytePair ? -1 : 2, count, data.eos))
    return e;
  if (Error e = readId(file, "unknown_token_id", isBytePair ? -1 : 0, count, data.unknown))
    return e;
  if (Error e = readId(file, "eot_token_id", -1, count, data.eot))
    return e;
  // Without such a token nothing can be added, unless the file asks for it by name.
  // Of byte pairs, Llama 3 alone begins a text so when the file does not say.
  bool beginsText = !isBytePair || data.preTokenizer == PreTokenizer::llama3;
  if (Error e = readFlag(file, "add_bos_token", beginsText && data.bos >= 0, data.addBos))
    return e;
  if (Error e = readFlag(file, "add_eos_token", false, data.addEos))
    return e;
  if (Error e = readFlag(file, "add_space_prefix", !isBytePair, data.addSpacePrefix))
    return e;
  try {
    checkTokenizer(data, file.path().str());
  } catch (const std::runtime_error &error) {
    return make_error<FileError>(error.what());
  }
  return Vocabulary{std::move(data), ""};
}

} // namespace cleave::gguf
