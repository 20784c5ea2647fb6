// Encoding and decoding with small vocabularies: two whose tokens the
// SentencePiece library gave (data/make_golden.py), and some made by hand.
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

constexpr int32_t bos = 1, eos = 2;

/// Unknown, bos, eos, then `tokens`, the first of which has id 3.
TokenizerData makeData(std::vector<TokenData> tokens) {
  TokenizerData data;
  data.tokens = {{"<unk>", 0, TokenType::unknown},
                 {"<s>", 0, TokenType::control},
                 {"</s>", 0, TokenType::control}};
  data.tokens.insert(data.tokens.end(), tokens.begin(), tokens.end());
  data.unknown = 0;
  data.bos = bos;
  data.eos = eos;
  data.addBos = false;
  data.addSpacePrefix = false;
  return data;
}

TokenData normal(std::string piece, float score = 0) {
  return {std::move(piece), score, TokenType::normal};
}

std::vector<int32_t> encode(TokenizerData data, std::string_view text,
                            const EncodeOptions &options = {}) {
  return Tokenizer::create(std::move(data))->encode(text, options);
}

std::string decodeAll(const Tokenizer &tokenizer, const std::vector<int32_t> &ids) {
  StreamDecoder decoder(tokenizer);
  std::string text;
  for (int32_t id : ids)
    text += decoder.next(id);
  return text;
}

/// Tokens <0x00> to <0xFF> of the given type, appended.
void addByteTokens(TokenizerData &data, TokenType type) {
  static constexpr char digits[] = "0123456789ABCDEF";
  for (int i = 0; i < 256; ++i)
    data.tokens.push_back({std::string("<0x") + digits[i / 16] + digits[i % 16] + '>', 0, type});
}

class Golden : public testing::TestWithParam<const char *> {};

TEST_P(Golden, EncodesAndDecodesAsSentencePieceDoes) {
  std::ifstream file(std::string(CLEAVE_TEXT_TEST_DATA "/") + GetParam());
  nlohmann::json golden = nlohmann::json::parse(file);
  const auto &vocabulary = golden["vocabulary"];
  TokenizerData data;
  for (const auto &token : vocabulary["tokens"])
    data.tokens.push_back({token[0], token[1], static_cast<TokenType>(token[2].get<int>())});
  data.bos = vocabulary["bos"];
  data.eos = vocabulary["eos"];
  data.unknown = vocabulary["unknown"];
  data.addBos = false;
  data.addSpacePrefix = vocabulary["add_space_prefix"];
  auto tokenizer = Tokenizer::create(data);
  ASSERT_GT(golden["cases"].size(), 80u);
  for (const auto &example : golden["cases"]) {
    std::string text = example["text"];
    auto ids = example["ids"].get<std::vector<int32_t>>();
    EXPECT_EQ(tokenizer->encode(text), ids) << "text: '" << text << "'";
    EXPECT_EQ(decodeAll(*tokenizer, ids), example["decoded"].get<std::string>());
  }
}
INSTANTIATE_TEST_SUITE_P(Tokenizer, Golden, testing::Values("bytes.json", "unused.json"),
                         [](const auto &info) {
                           std::string name = info.param;
                           return name.substr(0, name.find('.'));
                         });

TEST(Tokenizer, MergesTheHighestScoreFirst) {
  auto pieces = {normal("a"), normal("b"), normal("c"), normal("ab", -2), normal("bc", -1)};
  EXPECT_THAT(encode(makeData(pieces), "abc"), ElementsAre(3, 7));
}

TEST(Tokenizer, MergesTheLeftmostOfEqualScores) {
  auto pieces = {normal("a"), normal("b"), normal("ab", -1), normal("ba", -1)};
  EXPECT_THAT(encode(makeData(pieces), "aba"), ElementsAre(5, 3));
  EXPECT_THAT(encode(makeData(pieces), "bab"), ElementsAre(6, 4));
}

TEST(Tokenizer, ReachesAPieceOnlyThroughMerges) {
  // "abcd" is a piece, but neither "abc", "bcd" nor "cd" is.
  auto pieces = {normal("a"), normal("b"), normal("c"), normal("d"), normal("ab"), normal("abcd")};
  EXPECT_THAT(encode(makeData(pieces), "abcd"), ElementsAre(7, 5, 6));
}

TEST(Tokenizer, PutsBeginAndEndAroundAText) {
  TokenizerData data = makeData({normal("a")});
  data.addBos = data.addEos = true;
  EXPECT_THAT(encode(data, "a"), ElementsAre(bos, 3, eos));
  EXPECT_THAT(encode(data, ""), ElementsAre(bos, eos));
  EXPECT_THAT(encode(data, "a", {.addSpecial = false}), ElementsAre(3));
}

TEST(Tokenizer, TakesControlTokensFromTextOnlyOnRequest) {
  TokenizerData data = makeData({normal("<"), normal("/"), normal("s"), normal(">"), normal("/s"),
                                 normal("</s"), normal("s>"), normal("</")});
  // "</s>" could be merged from its parts, and must not become the control token.
  EXPECT_THAT(encode(data, "</s>"), ElementsAre(8, 6));
  EXPECT_THAT(encode(data, "s</s>s", {.parseSpecial = true}), ElementsAre(5, eos, 5));
}

TEST(Tokenizer, AlwaysMatchesUserDefinedTokensLongestFirst) {
  TokenizerData data = makeData({normal("a"),
                                 normal("b"),
                                 normal("ab"),
                                 {"ba", 0, TokenType::userDefined},
                                 {"bab", 0, TokenType::userDefined},
                                 {"", 0, TokenType::userDefined}});
  EXPECT_THAT(encode(data, "ababab"), ElementsAre(3, 7, 5));
  EXPECT_THAT(encode(data, "aba"), ElementsAre(3, 6));
}

TEST(Tokenizer, MatchesUserDefinedSpacesInEitherSpelling) {
  // Merging alone would take the space before the second "a" to it.
  TokenizerData data = makeData({normal("a"),
                                 normal("▁"),
                                 normal("▁a", 1),
                                 {"▁▁", 0, TokenType::userDefined},
                                 {"a a", 0, TokenType::userDefined}});
  EXPECT_THAT(encode(data, "a  a"), ElementsAre(3, 6, 3));
  EXPECT_THAT(encode(data, "a▁▁a"), ElementsAre(3, 6, 3));
  EXPECT_THAT(encode(data, "a a"), ElementsAre(7));
  EXPECT_EQ(Tokenizer::create(data)->decode(6), "  ");
}

TEST(Tokenizer, PutsASpaceBeforeTextAndAfterSpecialTokens) {
  TokenizerData data =
      makeData({normal("a"), normal("▁"), normal("▁a"), {"<x>", 0, TokenType::userDefined}});
  data.addSpacePrefix = true;
  EXPECT_THAT(encode(data, "a"), ElementsAre(5));
  EXPECT_THAT(encode(data, " a"), ElementsAre(4, 5));
  EXPECT_THAT(encode(data, "a<x>a"), ElementsAre(5, 6, 5));
  EXPECT_THAT(encode(data, "<x>"), ElementsAre(6));
  EXPECT_THAT(encode(data, ""), ElementsAre());
}

TEST(Tokenizer, GivesInvalidUtf8AsBytes) {
  TokenizerData data = makeData({normal("a"), normal("é")});
  addByteTokens(data, TokenType::byte);
  auto byteId = [](int value) { return 5 + value; };
  EXPECT_THAT(encode(data, "a\xC3"
                           "a"),
              ElementsAre(3, byteId(0xC3), 3));
  EXPECT_THAT(encode(data, "\xA9\xC3\xA9"), ElementsAre(byteId(0xA9), 4));
  // Overlong, a surrogate, past U+10FFFF, cut off.
  for (std::string text : {"\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                           "\xF5\x80", "\xF0\x9F\x9B", "\xE2\x96"}) {
    auto tokenizer = Tokenizer::create(data);
    auto ids = tokenizer->encode(text);
    EXPECT_EQ(ids.size(), text.size());
    EXPECT_EQ(decodeAll(*tokenizer, ids), text);
  }
  std::string zero("a\0a", 3);
  EXPECT_THAT(encode(data, zero), ElementsAre(3, byteId(0), 3));
}

TEST(Tokenizer, FindsTypesWhereTheFileHasNone) {
  TokenizerData data = makeData({normal("a")});
  addByteTokens(data, TokenType::undefined);
  for (TokenData &token : data.tokens)
    token.type = TokenType::undefined;
  auto tokenizer = Tokenizer::create(data);
  EXPECT_EQ(tokenizer->type(0), TokenType::unknown);
  EXPECT_EQ(tokenizer->type(bos), TokenType::control);
  EXPECT_EQ(tokenizer->type(3), TokenType::normal);
  EXPECT_EQ(tokenizer->type(4), TokenType::byte);
  EXPECT_THAT(tokenizer->encode("a\n"), ElementsAre(3, 4 + '\n'));
  EXPECT_EQ(tokenizer->decode(eos), "");
  EXPECT_EQ(tokenizer->decode(4 + 'z'), "z");
}

TEST(Tokenizer, GivesOneUnknownForARunWithoutTokens) {
  TokenizerData data = makeData({normal("a"), {"<0x62>", 0, TokenType::byte}});
  EXPECT_THAT(encode(data, "xéaxb"), ElementsAre(0, 3, 0, 4));
  EXPECT_EQ(Tokenizer::create(data)->decode(0), " \u2047 ");
}

TEST(Tokenizer, RefusesTextThatItCannotExpress) {
  TokenizerData data = makeData({normal("a")});
  data.unknown = -1;
  EXPECT_THAT([&] { encode(data, "aéa"); }, ThrowsMessage<std::runtime_error>(HasSubstr("'é'")));
}

TEST(Tokenizer, TakesTheLastOfEqualPieces) {
  EXPECT_THAT(encode(makeData({normal("a"), normal("a")}), "a"), ElementsAre(4));
}

TEST(Tokenizer, KnowsTheEndOfText) {
  TokenizerData data = makeData({normal("a"), {"<end>", 0, TokenType::control}});
  data.eot = 4;
  auto tokenizer = Tokenizer::create(data);
  EXPECT_TRUE(tokenizer->isEndOfText(eos));
  EXPECT_TRUE(tokenizer->isEndOfText(4));
  EXPECT_FALSE(tokenizer->isEndOfText(bos));
  data.eos = data.eot = -1;
  EXPECT_FALSE(Tokenizer::create(data)->isEndOfText(-1));
}

TEST(Tokenizer, RefusesIdsOutsideTheVocabulary) {
  auto tokenizer = Tokenizer::create(makeData({normal("a")}));
  EXPECT_THROW(tokenizer->decode(4), std::out_of_range);
  EXPECT_THROW(tokenizer->decode(-1), std::out_of_range);
}

TEST(Tokenizer, ChecksWhatItIsMadeFrom) {
  TokenizerData data = makeData({normal("a")});
  data.bos = 4;
  EXPECT_THAT(
      [&] { Tokenizer::create(data, "x.gguf"); },
      ThrowsMessage<std::runtime_error>(
          "x.gguf: the id of the begin-of-text token is 4, but the vocabulary has 4 tokens"));
}

TEST(Tokenizer, EncodesLongTextsInNearLinearTime) {
  // One run that merges over and over: quadratic work would take minutes.
  auto tokenizer = Tokenizer::create(
      makeData({normal("a"), normal("aa", -1), normal("aaaa", -2), normal("aaaaaaaa", -3)}));
  auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(tokenizer->encode(std::string(1 << 20, 'a')).size(), size_t(1) << 17);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

TEST(StreamDecoder, DropsOnlyTheSpaceThatEncodingPutThere) {
  TokenizerData data = makeData({normal("▁a"),
                                 normal("▁▁a"),
                                 {"<0x20>", 0, TokenType::byte},
                                 {" x", 0, TokenType::userDefined}});
  data.addSpacePrefix = true;
  auto tokenizer = Tokenizer::create(data);
  EXPECT_EQ(decodeAll(*tokenizer, {bos, 3, 3}), "a a");
  EXPECT_EQ(decodeAll(*tokenizer, {4}), " a");
  EXPECT_EQ(decodeAll(*tokenizer, {5, 3}), "  a");
  EXPECT_EQ(decodeAll(*tokenizer, {6, 3}), " x a");
  StreamDecoder decoder(*tokenizer);
  EXPECT_EQ(decoder.next(3), "a");
  EXPECT_EQ(decoder.next(3), " a");
  decoder.reset();
  EXPECT_EQ(decoder.next(3), "a");
  data.addSpacePrefix = false;
  EXPECT_EQ(decodeAll(*Tokenizer::create(data), {bos, 3}), " a");
}

} // namespace
