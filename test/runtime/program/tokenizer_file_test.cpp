// The tokenizer file: what is written comes back, and whatever the bytes, reading
// ends with checked data or a message that names the file.
#include "runtime/program/tokenizer_file.h"

#include "runtime/program/tokenizer_generated.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <stdexcept>

using namespace cleave;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;
using testing::ThrowsMessage;

namespace {

TokenizerData sample() {
  TokenizerData data;
  data.tokens = {{"<unk>", -1000, TokenType::unknown},
                 {"<s>", 0, TokenType::control},
                 {"</s>", 0, TokenType::control},
                 {"<0x41>", 0, TokenType::byte},
                 {"\xE2\x96\x81the", -1.5f, TokenType::normal},
                 {std::string("\0\xFF", 2), -2, TokenType::userDefined},
                 {"", 0, TokenType::unused},
                 {"x", 0, TokenType::undefined}};
  data.bos = 1;
  data.eos = 2;
  data.eot = 5;
  data.unknown = 0;
  data.addEos = true;
  data.addSpacePrefix = false;
  return data;
}

/// The vocabulary as one of byte pairs.
void makeBytePair(TokenizerData &data) {
  data.model = TokenizerModel::bytePair;
  data.preTokenizer = PreTokenizer::qwen2;
  data.merges = {"a b", "ab \xC3\xA9"};
}

TokenizerData read(const std::vector<uint8_t> &file, std::string_view packageId = "p") {
  return readTokenizer(std::as_bytes(std::span(file)), "s.cleave/tokenizer", packageId);
}

/// Matches a call that is refused with a message that names the file.
auto refuses(const std::string &what) {
  return ThrowsMessage<std::runtime_error>(
      AllOf(StartsWith("s.cleave/tokenizer: "), HasSubstr(what)));
}

TEST(TokenizerFile, ComesBackAsWritten) {
  TokenizerData data = sample();
  TokenizerData back = read(writeTokenizer(data, "p"));
  EXPECT_EQ(back.model, data.model);
  EXPECT_EQ(back.bos, data.bos);
  EXPECT_EQ(back.eos, data.eos);
  EXPECT_EQ(back.eot, data.eot);
  EXPECT_EQ(back.unknown, data.unknown);
  EXPECT_EQ(back.addBos, data.addBos);
  EXPECT_EQ(back.addEos, data.addEos);
  EXPECT_EQ(back.addSpacePrefix, data.addSpacePrefix);
  ASSERT_EQ(back.tokens.size(), data.tokens.size());
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    EXPECT_EQ(back.tokens[i].bytes, data.tokens[i].bytes);
    EXPECT_EQ(back.tokens[i].score, data.tokens[i].score);
    EXPECT_EQ(back.tokens[i].type, data.tokens[i].type);
  }
}

TEST(TokenizerFile, ComesBackWithMerges) {
  TokenizerData data = sample();
  makeBytePair(data);
  TokenizerData back = read(writeTokenizer(data, "p"));
  EXPECT_EQ(back.model, TokenizerModel::bytePair);
  EXPECT_EQ(back.preTokenizer, PreTokenizer::qwen2);
  EXPECT_EQ(back.merges, data.merges);
}

TEST(TokenizerFile, IsTheSameForTheSameData) {
  EXPECT_EQ(writeTokenizer(sample(), "p"), writeTokenizer(sample(), "p"));
  EXPECT_NE(writeTokenizer(sample(), "p"), writeTokenizer(sample(), "q"));
}

TEST(TokenizerFile, IsRefusedForAnotherPackage) {
  auto file = writeTokenizer(sample(), "p");
  EXPECT_THAT([&] { read(file, "q"); }, refuses("belongs to package 'p', expected 'q'"));
}

TEST(TokenizerFile, IsRefusedWhenItIsSomethingElse) {
  std::string text = "{\"not\": \"a tokenizer file at all\"}";
  EXPECT_THAT([&] { read({text.begin(), text.end()}); }, refuses("not a tokenizer file"));
  EXPECT_THAT([] { read({}); }, refuses("not a tokenizer file"));
}

TEST(TokenizerFile, IsRefusedInAnotherVersion) {
  flatbuffers::FlatBufferBuilder builder;
  auto tokens = builder.CreateVector(std::vector<flatbuffers::Offset<fb::Token>>());
  fb::FinishTokenizerBuffer(builder,
                            fb::CreateTokenizer(builder, 77, builder.CreateString("p"),
                                                fb::TokenizerModel::SentencePiece, tokens));
  std::vector<uint8_t> file(builder.GetBufferPointer(),
                            builder.GetBufferPointer() + builder.GetSize());
  EXPECT_THAT([&] { read(file); }, refuses("version 77, expected 1"));
}

TEST(TokenizerFile, IsRefusedWhenSharedPiecesAskForMuchMemory) {
  // 100,000 tokens that share one piece of 1 MB: a small file, 100 GB when read.
  flatbuffers::FlatBufferBuilder builder;
  auto piece = builder.CreateVector(std::vector<uint8_t>(1 << 20, 'a'));
  auto token = fb::CreateToken(builder, piece);
  auto tokens = builder.CreateVector(std::vector<flatbuffers::Offset<fb::Token>>(100000, token));
  fb::FinishTokenizerBuffer(builder,
                            fb::CreateTokenizer(builder, 1, builder.CreateString("p"),
                                                fb::TokenizerModel::SentencePiece, tokens));
  std::vector<uint8_t> file(builder.GetBufferPointer(),
                            builder.GetBufferPointer() + builder.GetSize());
  EXPECT_THAT([&] { read(file); }, refuses("the pieces are longer than the file"));
}

TEST(TokenizerFile, IsRefusedWhenSharedMergesAskForMuchMemory) {
  flatbuffers::FlatBufferBuilder builder;
  auto merge = builder.CreateString(std::string(1 << 20, 'a') + " b");
  auto merges =
      builder.CreateVector(std::vector<flatbuffers::Offset<flatbuffers::String>>(100000, merge));
  auto tokens = builder.CreateVector(
      std::vector<flatbuffers::Offset<fb::Token>>(1, fb::CreateToken(builder)));
  auto id = builder.CreateString("p");
  fb::TokenizerBuilder tokenizer(builder);
  tokenizer.add_version(1);
  tokenizer.add_package_id(id);
  tokenizer.add_model(fb::TokenizerModel::BytePair);
  tokenizer.add_tokens(tokens);
  tokenizer.add_merges(merges);
  fb::FinishTokenizerBuffer(builder, tokenizer.Finish());
  std::vector<uint8_t> file(builder.GetBufferPointer(),
                            builder.GetBufferPointer() + builder.GetSize());
  EXPECT_THAT([&] { read(file); }, refuses("the merges are longer than the file"));
}

TEST(TokenizerFile, IsRefusedWhereverItIsCut) {
  auto file = writeTokenizer(sample(), "p");
  // FlatBuffers pads the end to a multiple of 4, and padding may well be missing.
  for (size_t size = 0; size <= file.size() - 4; ++size) {
    std::vector<uint8_t> cut(file.begin(), file.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_THAT([&] { read(cut); }, refuses("")) << size << " bytes";
  }
}

TEST(TokenizerFile, NeverCrashesOnDamage) {
  auto file = writeTokenizer(sample(), "p");
  int refused = 0;
  auto attempt = [&](const std::vector<uint8_t> &damaged) {
    try {
      checkTokenizer(read(damaged), "accepted");
    } catch (const std::runtime_error &error) {
      EXPECT_THAT(error.what(), StartsWith("s.cleave/tokenizer: "));
      ++refused;
    }
  };
  for (size_t i = 0; i < file.size(); ++i)
    for (int bit = 0; bit < 8; ++bit) {
      auto damaged = file;
      damaged[i] ^= static_cast<uint8_t>(1 << bit);
      attempt(damaged);
    }
  std::mt19937 random(1);
  for (int round = 0; round < 20000; ++round) {
    auto damaged = file;
    for (int changes = 1 + static_cast<int>(random() % 8); changes--;)
      damaged[random() % damaged.size()] = static_cast<uint8_t>(random());
    attempt(damaged);
  }
  EXPECT_GT(refused, 10000);
}

/// One way to contradict oneself, and what the message says of it.
struct Contradiction {
  const char *message;
  void (*make)(TokenizerData &);
};

class CheckTokenizer : public testing::TestWithParam<Contradiction> {};

TEST_P(CheckTokenizer, RefusesAContradiction) {
  TokenizerData data = sample();
  checkTokenizer(data, "f");
  GetParam().make(data);
  auto refusal = ThrowsMessage<std::runtime_error>(HasSubstr(GetParam().message));
  EXPECT_THAT([&] { checkTokenizer(data, "f"); }, refusal);
  EXPECT_THAT([&] { writeTokenizer(data, "p"); }, refusal);
}

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
INSTANTIATE_TEST_SUITE_P(
    TokenizerFile, CheckTokenizer,
    testing::Values(
        Contradiction{"no tokens", [](TokenizerData &d) { d.tokens.clear(); }},
        Contradiction{"more than the limit", [](TokenizerData &d) { d.tokens.resize(1000000); }},
        Contradiction{"the id of the begin-of-text token is 8, but the vocabulary has 8 tokens",
                      [](TokenizerData &d) { d.bos = 8; }},
        Contradiction{"end-of-text token is -2", [](TokenizerData &d) { d.eos = -2; }},
        Contradiction{"end-of-turn token is 9", [](TokenizerData &d) { d.eot = 9; }},
        Contradiction{"unknown token is 2147483647",
                      [](TokenizerData &d) { d.unknown = 2147483647; }},
        Contradiction{"asks for a begin-of-text token", [](TokenizerData &d) { d.bos = -1; }},
        Contradiction{"asks for an end-of-text token", [](TokenizerData &d) { d.eos = -1; }},
        Contradiction{"model 2 is unknown",
                      [](TokenizerData &d) { d.model = static_cast<TokenizerModel>(2); }},
        Contradiction{"has merges or a pre-tokenizer, but is none of byte pairs",
                      [](TokenizerData &d) { d.merges = {"a b"}; }},
        Contradiction{"has merges or a pre-tokenizer, but is none of byte pairs",
                      [](TokenizerData &d) { d.preTokenizer = PreTokenizer::qwen2; }},
        Contradiction{"pre-tokenizer 4 is unknown",
                      [](TokenizerData &d) {
                        makeBytePair(d);
                        d.preTokenizer = static_cast<PreTokenizer>(4);
                      }},
        Contradiction{"asks for a space before a text",
                      [](TokenizerData &d) {
                        makeBytePair(d);
                        d.addSpacePrefix = true;
                      }},
        Contradiction{"merge 1 ('ab') is not two parts",
                      [](TokenizerData &d) {
                        makeBytePair(d);
                        d.merges = {"a b", "ab"};
                      }},
        Contradiction{"merge 0 (' b') is not two parts",
                      [](TokenizerData &d) {
                        makeBytePair(d);
                        d.merges = {" b"};
                      }},
        Contradiction{"merge 0 ('a b ') is not two parts",
                      [](TokenizerData &d) {
                        makeBytePair(d);
                        d.merges = {"a b "};
                      }},
        Contradiction{"token 4 ('\\xE2\\x96\\x81the') has type 7",
                      [](TokenizerData &d) { d.tokens[4].type = static_cast<TokenType>(7); }},
        Contradiction{"token 3 ('<0x4G>') is of type byte",
                      [](TokenizerData &d) { d.tokens[3].bytes = "<0x4G>"; }},
        Contradiction{"token 7 ('x') has a score that is not a number",
                      [](TokenizerData &d) { d.tokens[7].score = nan; }}));

TEST(ParseBytePiece, TakesTwoHexadecimalDigitsOnly) {
  EXPECT_EQ(parseBytePiece("<0x00>"), 0);
  EXPECT_EQ(parseBytePiece("<0xFf>"), 255);
  for (std::string_view piece :
       {"", "<0x>", "<0x0>", "<0x000>", "<0X00>", "<0x0g>", "0x00", " <0x00>"})
    EXPECT_EQ(parseBytePiece(piece), std::nullopt) << piece;
}

} // namespace
