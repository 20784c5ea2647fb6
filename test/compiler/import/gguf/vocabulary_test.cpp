// Vocabularies from GGUF metadata: defaults, absent ids, and contradictions.
#include "compiler/import/gguf/vocabulary.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "llama_files.h"

#include <cmath>
#include <filesystem>

using namespace cleave;
using namespace cleave::gguf;
using namespace cleave::gguf::test;
using testing::HasSubstr;

namespace {

llvm::Expected<Vocabulary> read(const LlamaFile &file) {
  TemporaryFile temporary(file.bytes());
  return readVocabulary(llvm::cantFail(File::open(temporary.path)));
}

TokenizerData readOrFail(const LlamaFile &file) {
  return *llvm::cantFail(read(file)).tokenizer;
}

std::string errorOf(const LlamaFile &file) {
  llvm::Expected<Vocabulary> vocabulary = read(file);
  return vocabulary ? "" : toString(vocabulary.takeError());
}

LlamaFile withVocabulary() {
  LlamaFile file;
  file.addVocabulary();
  return file;
}

TEST(GgufVocabulary, ReadsTokensScoresAndTypes) {
  TokenizerData data = readOrFail(withVocabulary());
  EXPECT_EQ(data.model, TokenizerModel::sentencePiece);
  ASSERT_EQ(data.tokens.size(), 8u);
  EXPECT_EQ(data.tokens[4].bytes, "\xe2\x96\x81");
  EXPECT_EQ(data.tokens[7].score, -0.5f);
  EXPECT_EQ(data.tokens[0].type, TokenType::unknown);
  EXPECT_EQ(data.tokens[3].type, TokenType::byte);
}

TEST(GgufVocabulary, DefaultsAbsentKeys) {
  LlamaFile file = withVocabulary();
  file.keys.erase("tokenizer.ggml.token_type");
  TokenizerData data = readOrFail(file);
  EXPECT_EQ(data.tokens[3].type, TokenType::undefined);
  EXPECT_EQ(data.bos, 1);
  EXPECT_EQ(data.eos, 2);
  EXPECT_EQ(data.unknown, 0);
  EXPECT_EQ(data.eot, -1);
  EXPECT_TRUE(data.addBos);
  EXPECT_FALSE(data.addEos);
  EXPECT_TRUE(data.addSpacePrefix);
}

TEST(GgufVocabulary, ReadsIdsAndFlags) {
  LlamaFile file = withVocabulary();
  file.u32("tokenizer.ggml.bos_token_id", 5);
  file.u32("tokenizer.ggml.eos_token_id", 6);
  file.u32("tokenizer.ggml.eot_token_id", 7);
  file.u32("tokenizer.ggml.unknown_token_id", 4294967295);
  file.boolean("tokenizer.ggml.add_bos_token", false);
  file.boolean("tokenizer.ggml.add_eos_token", true);
  file.boolean("tokenizer.ggml.add_space_prefix", false);
  TokenizerData data = readOrFail(file);
  EXPECT_EQ(data.bos, 5);
  EXPECT_EQ(data.eos, 6);
  EXPECT_EQ(data.eot, 7);
  EXPECT_EQ(data.unknown, -1);
  EXPECT_FALSE(data.addBos);
  EXPECT_TRUE(data.addEos);
  EXPECT_FALSE(data.addSpacePrefix);

  file = withVocabulary();
  file.u32("tokenizer.ggml.bos_token_id", 4294967295);
  EXPECT_FALSE(readOrFail(file).addBos);
  file.boolean("tokenizer.ggml.add_bos_token", true);
  EXPECT_THAT(errorOf(file), HasSubstr("asks for a begin-of-text token"));
}

TEST(GgufVocabulary, SaysWhyThereIsNone) {
  LlamaFile file;
  Vocabulary none = llvm::cantFail(read(file));
  EXPECT_FALSE(none.tokenizer);
  EXPECT_THAT(none.missing, HasSubstr("the file has no vocabulary"));
  file.string("tokenizer.ggml.model", "bert");
  none = llvm::cantFail(read(file));
  EXPECT_FALSE(none.tokenizer);
  EXPECT_THAT(none.missing,
              HasSubstr("key 'tokenizer.ggml.model': the vocabulary's model 'bert' is "
                        "not supported; expected 'llama' or 'gpt2'"));
  file.string("tokenizer.ggml.model", "gpt2");
  file.string("tokenizer.ggml.pre", "gpt-4o");
  none = llvm::cantFail(read(file));
  EXPECT_FALSE(none.tokenizer);
  EXPECT_THAT(none.missing, HasSubstr("key 'tokenizer.ggml.pre': the way to cut words 'gpt-4o' is "
                                      "not supported; expected 'gpt-2', 'llama-bpe', 'qwen2'"));
}

TEST(GgufVocabulary, ReadsBytePairs) {
  LlamaFile file;
  file.string("tokenizer.ggml.model", "gpt2");
  file.string("tokenizer.ggml.pre", "qwen2");
  file.strings("tokenizer.ggml.tokens", {"a", "b", "ab", "<|end|>"});
  file.ints("tokenizer.ggml.token_type", {1, 1, 1, 3});
  EXPECT_THAT(errorOf(file), HasSubstr("key 'tokenizer.ggml.merges' is missing"));
  file.strings("tokenizer.ggml.merges", {"a b"});
  file.u32("tokenizer.ggml.eos_token_id", 3);
  TokenizerData data = readOrFail(file);
  EXPECT_EQ(data.model, TokenizerModel::bytePair);
  EXPECT_EQ(data.preTokenizer, PreTokenizer::qwen2);
  EXPECT_EQ(data.merges, std::vector<std::string>{"a b"});
  EXPECT_EQ(data.bos, -1);
  EXPECT_EQ(data.eos, 3);
  EXPECT_EQ(data.unknown, -1);
  EXPECT_FALSE(data.addBos);
  EXPECT_FALSE(data.addSpacePrefix);

  // Llama 3's begin with a token of their own.
  file.u32("tokenizer.ggml.bos_token_id", 3);
  EXPECT_FALSE(readOrFail(file).addBos);
  file.string("tokenizer.ggml.pre", "llama-bpe");
  EXPECT_TRUE(readOrFail(file).addBos);
  file.boolean("tokenizer.ggml.add_bos_token", false);
  EXPECT_FALSE(readOrFail(file).addBos);

  file.strings("tokenizer.ggml.merges", {"ab"});
  EXPECT_THAT(errorOf(file), HasSubstr("merge 0 ('ab') is not two parts"));
  file.u32("tokenizer.ggml.merges", 1);
  EXPECT_THAT(errorOf(file), HasSubstr("expected an array of strings"));
}

TEST(GgufVocabulary, TakesMissingScoresForZeros) {
  LlamaFile file = withVocabulary();
  file.keys.erase("tokenizer.ggml.scores");
  llvm::Expected<Vocabulary> vocabulary = read(file);
  ASSERT_TRUE(bool(vocabulary)) << toString(vocabulary.takeError());
  for (const TokenData &token : vocabulary->tokenizer->tokens)
    EXPECT_EQ(token.score, 0);
}

TEST(GgufVocabulary, RefusesContradictions) {
  LlamaFile file = withVocabulary();
  file.u32("tokenizer.ggml.bos_token_id", 8);
  EXPECT_THAT(errorOf(file), HasSubstr("key 'tokenizer.ggml.bos_token_id': the token id is 8; "
                                       "expected less than the 8 tokens"));
  file = withVocabulary();
  file.floats("tokenizer.ggml.scores", {0, 1});
  EXPECT_THAT(errorOf(file), HasSubstr("key 'tokenizer.ggml.scores': 2 elements; expected 8"));
  file = withVocabulary();
  file.ints("tokenizer.ggml.token_type", {1});
  EXPECT_THAT(errorOf(file), HasSubstr("key 'tokenizer.ggml.token_type': 1 elements"));
  file.ints("tokenizer.ggml.token_type", {2, 3, 3, 6, 1, 1, 1, 7});
  EXPECT_THAT(errorOf(file), HasSubstr("token 7 has type 7; expected 0 to 6"));
  file.ints("tokenizer.ggml.token_type", {2, 3, 3, 6, 1, 1, 1, 6});
  EXPECT_THAT(errorOf(file), HasSubstr("'ab'"));
  file = withVocabulary();
  file.floats("tokenizer.ggml.scores", {0, 0, 0, 0, NAN, 0, 0, 0});
  EXPECT_NE(errorOf(file), "");
  file = withVocabulary();
  file.keys.erase("tokenizer.ggml.tokens");
  EXPECT_THAT(errorOf(file), HasSubstr("key 'tokenizer.ggml.tokens' is missing"));
  file = withVocabulary();
  file.u32("tokenizer.ggml.tokens", 3);
  EXPECT_THAT(errorOf(file), HasSubstr("expected an array of strings"));
}

TEST(GgufVocabulary, ReadsRealVocabularies) {
  std::filesystem::path folder = CLEAVE_SHARED_DATA;
  if (!std::filesystem::exists(folder))
    GTEST_SKIP() << folder << " is absent";
  auto open = [&](const char *name) {
    return llvm::cantFail(File::open((folder / name).string()));
  };
  TokenizerData stories =
      *llvm::cantFail(readVocabulary(open("models/stories260K.gguf"))).tokenizer;
  EXPECT_EQ(stories.tokens.size(), 512u);
  EXPECT_EQ(stories.bos, 1);
  TokenizerData phi =
      *llvm::cantFail(readVocabulary(open("vocab/ggml-vocab-phi-3.gguf"))).tokenizer;
  EXPECT_EQ(phi.tokens.size(), 32064u);
  TokenizerData gpt =
      *llvm::cantFail(readVocabulary(open("vocab/ggml-vocab-gpt-2.gguf"))).tokenizer;
  EXPECT_EQ(gpt.tokens.size(), 50257u);
  EXPECT_EQ(gpt.merges.size(), 50000u);
  EXPECT_EQ(gpt.eos, 50256);
}

} // namespace
