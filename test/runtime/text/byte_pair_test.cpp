// Byte-pair vocabularies: a small one whose tokens the tokenizers library gave
// (data/make_byte_pair_golden.py), and some made by hand.
#include "runtime/text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <fstream>
#include <stdexcept>

using namespace cleave;
using namespace cleave::rt;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

namespace {

TokenizerData makeData(const std::vector<std::string> &pieces,
                       const std::vector<std::string> &merges,
                       PreTokenizer preTokenizer = PreTokenizer::qwen2) {
  TokenizerData data;
  data.model = TokenizerModel::bytePair;
  data.preTokenizer = preTokenizer;
  data.addBos = data.addSpacePrefix = false;
  for (const std::string &piece : pieces)
    data.tokens.push_back({piece, 0, TokenType::normal});
  data.merges = merges;
  return data;
}

std::vector<int32_t> encode(TokenizerData data, std::string_view text) {
  return Tokenizer::create(std::move(data))->encode(text);
}

std::string decodeAll(const Tokenizer &tokenizer, const std::vector<int32_t> &ids) {
  StreamDecoder decoder(tokenizer);
  std::string text;
  for (int32_t id : ids)
    text += decoder.next(id);
  return text;
}

class BytePairGolden : public testing::TestWithParam<std::pair<const char *, PreTokenizer>> {
protected:
  BytePairGolden() {
    golden = nlohmann::json::parse(std::ifstream(CLEAVE_TEXT_TEST_DATA "/byte_pair.json"));
    tokenizer = Tokenizer::create(makeData(golden["tokens"], golden["merges"], GetParam().second),
                                  "byte_pair.json");
  }

  nlohmann::json golden;
  std::unique_ptr<Tokenizer> tokenizer;
};

TEST_P(BytePairGolden, EncodesAndDecodesAsTheLibraryDoes) {
  const auto &texts = golden["texts"];
  ASSERT_GT(texts.size(), 100u);
  for (size_t i = 0; i < texts.size(); ++i) {
    std::string text = texts[i];
    auto ids = golden[GetParam().first][i].get<std::vector<int32_t>>();
    EXPECT_EQ(tokenizer->encode(text), ids) << "text: '" << text << "'";
    EXPECT_EQ(decodeAll(*tokenizer, ids), text);
  }
}

TEST_P(BytePairGolden, KeepsAnyBytes) {
  for (std::string text :
       {"\xFF", "a\x80\x80 b", "\xC3", "caf\xC3\xA9\xC3 \xE2\x82", "\xED\xA0\x80x"})
    EXPECT_EQ(decodeAll(*tokenizer, tokenizer->encode(text)), text);
}

/// Runs of one kind, and of bytes that are no UTF-8: quadratic work would take minutes.
TEST_P(BytePairGolden, EncodesLongTextsInNearLinearTime) {
  auto begin = std::chrono::steady_clock::now();
  for (std::string unit : {"a", " ", "\n", "1", "the ", "\xFF", "!\xFF"}) {
    std::string text;
    while (text.size() < size_t(1) << 19)
      text += unit;
    EXPECT_EQ(decodeAll(*tokenizer, tokenizer->encode(text)), text);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
}

INSTANTIATE_TEST_SUITE_P(Tokenizer, BytePairGolden,
                         testing::Values(std::pair("gpt2", PreTokenizer::gpt2),
                                         std::pair("llama3", PreTokenizer::llama3),
                                         std::pair("qwen2", PreTokenizer::qwen2),
                                         std::pair("dbrx", PreTokenizer::dbrx)),
                         [](const auto &info) { return info.param.first; });

TEST(BytePair, MergesTheFirstOfTheListFirst) {
  std::vector<std::string> pieces = {"a", "b", "c", "ab", "bc", "aa"};
  EXPECT_THAT(encode(makeData(pieces, {"b c", "a b"}), "abc"), ElementsAre(0, 4));
  EXPECT_THAT(encode(makeData(pieces, {"a b", "b c"}), "abc"), ElementsAre(3, 2));
  EXPECT_THAT(encode(makeData(pieces, {"a a"}), "aaa"), ElementsAre(5, 0));
}

TEST(BytePair, TakesBytesOfAMergeWithoutAPiece) {
  EXPECT_THAT(encode(makeData({"a", "b"}, {"a b"}), "ab"), ElementsAre(0, 1));
}

TEST(BytePair, RefusesTextThatItCannotExpress) {
  EXPECT_THAT([] { encode(makeData({"a"}, {}), "ax"); },
              ThrowsMessage<std::runtime_error>(HasSubstr("the text holds 'ax'")));
}

TEST(BytePair, KeepsSpecialTokensApart) {
  TokenizerData data = makeData({"a", "b", "\u0120"}, {});
  data.tokens.push_back({"<tool call>", 0, TokenType::userDefined});
  data.tokens.push_back({"<|end|>", 0, TokenType::control});
  data.eos = 4;
  auto tokenizer = Tokenizer::create(data);
  EXPECT_THAT(tokenizer->encode("a <tool call>b"), ElementsAre(0, 2, 3, 1));
  EXPECT_THAT(tokenizer->encode("a<|end|>", {.parseSpecial = true}), ElementsAre(0, 4));
  EXPECT_EQ(decodeAll(*tokenizer, {2, 0, 3, 4}), " a<tool call>");
}

} // namespace
