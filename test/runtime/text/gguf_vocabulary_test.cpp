// Real vocabularies against what other programs say of them: phi-3's and gpt-2's against
// llama.cpp's tokens, and that of a small story model against a published text.
// Needs ../shared/data, and the compiler's GGUF reader.
#include "compiler/import/gguf/reader.h"
#include "runtime/text/tokenizer.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

using namespace cleave;
using namespace cleave::rt;

namespace {

std::string dataPath(const std::string &name) {
  return CLEAVE_SHARED_DATA "/" + name;
}

/// The value of an Expected of an optional; fails the test where there is none.
template <class T> T need(llvm::Expected<std::optional<T>> value) {
  if (!value)
    throw std::runtime_error(llvm::toString(value.takeError()));
  if (!*value)
    throw std::runtime_error("a key of the vocabulary is missing");
  return std::move(**value);
}

/// The SentencePiece vocabulary of a GGUF file, without begin-of-text.
std::unique_ptr<Tokenizer> loadVocabulary(const std::string &path, bool withTypes = true) {
  auto file = gguf::File::open(path);
  if (!file)
    throw std::runtime_error(llvm::toString(file.takeError()));
  auto pieces = need(file->getStrings("tokenizer.ggml.tokens"));
  auto scores = need(file->getFloats("tokenizer.ggml.scores"));
  auto types = need(file->getInts("tokenizer.ggml.token_type"));
  TokenizerData data;
  for (size_t i = 0; i < pieces.size(); ++i)
    data.tokens.push_back({pieces[i].str(), static_cast<float>(scores.at(i)),
                           withTypes ? static_cast<TokenType>(types.at(i)) : TokenType::undefined});
  data.bos = static_cast<int32_t>(need(file->getUInt("tokenizer.ggml.bos_token_id")));
  data.eos = static_cast<int32_t>(need(file->getUInt("tokenizer.ggml.eos_token_id")));
  data.unknown = static_cast<int32_t>(need(file->getUInt("tokenizer.ggml.unknown_token_id")));
  data.addBos = false;
  return Tokenizer::create(std::move(data), path);
}

class SharedVocabulary : public testing::Test {
protected:
  void SetUp() override {
    if (!std::filesystem::exists(CLEAVE_SHARED_DATA))
      GTEST_SKIP() << "no shared data at " CLEAVE_SHARED_DATA;
  }
};

/// Encodes llama.cpp's cases for a vocabulary as that does, and decodes them again.
void checkCases(const Tokenizer &tokenizer, const std::string &path) {
  std::stringstream inputs;
  inputs << std::ifstream(path + ".inp").rdbuf();
  std::string rest = inputs.str();
  std::ifstream outputs(path + ".out");
  const std::string separator = "\n__ggml_vocab_test__\n";
  int cases = 0;
  for (size_t end; (end = rest.find(separator)) != std::string::npos; ++cases) {
    std::string text = rest.substr(0, end);
    rest.erase(0, end + separator.size());
    std::string line;
    ASSERT_TRUE(std::getline(outputs, line)) << "case " << cases;
    std::istringstream numbers(line);
    std::vector<int32_t> expected(std::istream_iterator<int32_t>(numbers), {});
    std::vector<int32_t> ids = tokenizer.encode(text);
    EXPECT_EQ(ids, expected) << "text: '" << text << "'";
    StreamDecoder decoder(tokenizer);
    std::string back;
    for (int32_t id : ids)
      back += decoder.next(id);
    EXPECT_EQ(back, text);
  }
  EXPECT_EQ(rest, "");
  EXPECT_EQ(cases, 46);
}

TEST_F(SharedVocabulary, Phi3EncodesAsLlamaCppDoes) {
  std::string path = dataPath("vocab/ggml-vocab-phi-3.gguf");
  checkCases(*loadVocabulary(path), path);
}

TEST_F(SharedVocabulary, Gpt2EncodesAsLlamaCppDoes) {
  std::string path = dataPath("vocab/ggml-vocab-gpt-2.gguf");
  auto file = gguf::File::open(path);
  if (!file)
    throw std::runtime_error(llvm::toString(file.takeError()));
  TokenizerData data;
  data.model = TokenizerModel::bytePair;
  data.addBos = data.addSpacePrefix = false;
  auto types = need(file->getInts("tokenizer.ggml.token_type"));
  for (llvm::StringRef piece : need(file->getStrings("tokenizer.ggml.tokens")))
    data.tokens.push_back({piece.str(), 0, static_cast<TokenType>(types.at(data.tokens.size()))});
  for (llvm::StringRef merge : need(file->getStrings("tokenizer.ggml.merges")))
    data.merges.push_back(merge.str());
  checkCases(*Tokenizer::create(std::move(data), path), path);
}

TEST_F(SharedVocabulary, StoriesEncodesAndDecodesTheGoldenText) {
  std::ifstream file(dataPath("models/stories260K.greedy.json"));
  nlohmann::json cases = nlohmann::json::parse(file)["cases"];
  for (bool withTypes : {true, false}) {
    auto tokenizer = loadVocabulary(dataPath("models/stories260K.gguf"), withTypes);
    EXPECT_EQ(tokenizer->encode("Once upon a time"), (std::vector<int32_t>{403, 407, 261, 378}));
    for (const auto &[prompt, golden] : cases.items()) {
      auto ids = golden["tokens"].get<std::vector<int32_t>>();
      std::string streamed, text = golden["text"];
      StreamDecoder decoder(*tokenizer);
      for (int32_t id : ids)
        streamed += decoder.next(id);
      EXPECT_EQ(" " + streamed, text);
      // The model writes the tokens that encoding its text would give.
      ids.erase(ids.begin());
      EXPECT_EQ(tokenizer->encode(streamed), ids);
    }
  }
}

} // namespace
