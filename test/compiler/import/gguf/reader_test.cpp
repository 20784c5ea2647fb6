// The GGUF reader: what it reads from well-formed files, and that no malformed
// file gets past it. Files are written here byte by byte; real ones are read too
// where they are found.
#include "compiler/import/gguf/reader.h"

#include "llvm/ADT/StringExtras.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "gguf_writer.h"

#include <filesystem>
#include <random>

using namespace cleave;
using namespace cleave::gguf;
using namespace cleave::gguf::test;
using llvm::toString;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

/// The message with which a file of these bytes is refused; "" when it is not.
std::string refusal(const std::string &bytes) {
  TemporaryFile file(bytes);
  llvm::Expected<File> opened = File::open(file.path);
  if (opened)
    return "";
  std::string message = toString(opened.takeError());
  EXPECT_THAT(message, testing::StartsWith(file.path + ": "));
  return message;
}

std::string refusal(const GgufWriter &writer) {
  return refusal(writer.bytes());
}

File openOrFail(const std::string &path) {
  return llvm::cantFail(File::open(path));
}

/// The message of an error that a lookup gives.
template <typename T> std::string messageOf(llvm::Expected<T> value) {
  return value ? "" : toString(value.takeError());
}

/// Values of many kinds and a few tensors.
GgufWriter smallFile() {
  GgufWriter writer;
  writer.string("general.architecture", "llama")
      .u32("u32", 7)
      .i32("i32", -3)
      .value("u8", 0, Bytes().put(uint8_t(200)))
      .value("i8", 1, Bytes().put(int8_t(-1)))
      .value("u16", 2, Bytes().put(uint16_t(65535)))
      .value("i16", 3, Bytes().put(int16_t(300)))
      .value("u64", 10, Bytes().u64(UINT64_MAX))
      .value("i64", 11, Bytes().put(int64_t(1) << 40))
      .f32("f32", 1.5f)
      .value("f64", 12, Bytes().f64(0.1))
      .boolean("yes", true)
      .boolean("no", false)
      .strings("words", {"a", "", "longer \xe2\x96\x81"})
      .floats("scores", {0.5f, -1.0f})
      .ints("types", {1, -2, 3})
      .array("big", 10, 1, Bytes().u64(UINT64_MAX))
      .array("none", 8, 0, Bytes())
      .tensor("a", {4, 3}, 0, std::string(48, 'a'))
      .tensor("b", {32, 2}, 8, std::string(68, 'b'))
      .tensor("c", {}, 0, "\x01\x02\x03\x04")
      .tensor("d", {32}, 2, std::string(18, 'd'));
  return writer;
}

TEST(GgufReader, ReadsEveryKindOfValue) {
  TemporaryFile temporary(smallFile().bytes());
  File file = openOrFail(temporary.path);
  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(file.alignment(), 32u);
  EXPECT_EQ(llvm::cantFail(file.getString("general.architecture")), "llama");
  EXPECT_EQ(llvm::cantFail(file.getUInt("u32")), 7u);
  EXPECT_EQ(llvm::cantFail(file.getUInt("u8")), 200u);
  EXPECT_EQ(llvm::cantFail(file.getUInt("u16")), 65535u);
  EXPECT_EQ(llvm::cantFail(file.getUInt("i16")), 300u);
  EXPECT_EQ(llvm::cantFail(file.getUInt("u64")), UINT64_MAX);
  EXPECT_EQ(llvm::cantFail(file.getUInt("i64")), uint64_t(1) << 40);
  EXPECT_EQ(llvm::cantFail(file.getFloat("f32")), 1.5);
  EXPECT_EQ(llvm::cantFail(file.getFloat("f64")), 0.1);
  EXPECT_EQ(llvm::cantFail(file.getBool("yes")), true);
  EXPECT_EQ(llvm::cantFail(file.getBool("no")), false);
  EXPECT_THAT(*llvm::cantFail(file.getStrings("words")),
              ElementsAre("a", "", "longer \xe2\x96\x81"));
  EXPECT_THAT(*llvm::cantFail(file.getFloats("scores")), ElementsAre(0.5, -1.0));
  EXPECT_THAT(*llvm::cantFail(file.getInts("types")), ElementsAre(1, -2, 3));
  EXPECT_THAT(*llvm::cantFail(file.getStrings("none")), ElementsAre());
  EXPECT_TRUE(file.isArray("words"));
  EXPECT_FALSE(file.isArray("u32"));
  EXPECT_FALSE(file.isArray("missing"));
}

TEST(GgufReader, GivesNothingForAnAbsentKey) {
  TemporaryFile temporary(smallFile().bytes());
  File file = openOrFail(temporary.path);
  EXPECT_FALSE(file.has("missing"));
  EXPECT_EQ(llvm::cantFail(file.getString("missing")), std::nullopt);
  EXPECT_EQ(llvm::cantFail(file.getUInt("missing")), std::nullopt);
  EXPECT_EQ(llvm::cantFail(file.getFloat("missing")), std::nullopt);
  EXPECT_EQ(llvm::cantFail(file.getBool("missing")), std::nullopt);
  EXPECT_EQ(llvm::cantFail(file.getStrings("missing")), std::nullopt);
  EXPECT_EQ(llvm::cantFail(file.getInts("missing")), std::nullopt);
  EXPECT_EQ(llvm::cantFail(file.getFloats("missing")), std::nullopt);
}

TEST(GgufReader, NamesKeyAndKindsOfAWrongValue) {
  TemporaryFile temporary(smallFile().bytes());
  File file = openOrFail(temporary.path);
  EXPECT_THAT(messageOf(file.getString("u32")),
              HasSubstr("key 'u32': the value is of kind u32; expected a string"));
  EXPECT_THAT(messageOf(file.getUInt("f32")), HasSubstr("is of kind f32; expected an integer"));
  EXPECT_THAT(messageOf(file.getUInt("yes")), HasSubstr("is of kind bool; expected an integer"));
  EXPECT_THAT(messageOf(file.getUInt("i32")), HasSubstr("the value is -3; expected at least 0"));
  EXPECT_THAT(messageOf(file.getUInt("i8")), HasSubstr("the value is -1"));
  EXPECT_THAT(messageOf(file.getFloat("u32")), HasSubstr("is of kind u32; expected f32 or f64"));
  EXPECT_THAT(messageOf(file.getBool("u8")), HasSubstr("is of kind u8; expected a bool"));
  EXPECT_THAT(messageOf(file.getStrings("types")),
              HasSubstr("is of kind array of i32; expected an array of strings"));
  EXPECT_THAT(messageOf(file.getInts("scores")), HasSubstr("array of f32; expected an array of"));
  EXPECT_THAT(messageOf(file.getInts("u32")), HasSubstr("kind u32; expected an array of integers"));
  EXPECT_THAT(messageOf(file.getInts("big")), HasSubstr("element 0 is 18446744073709551615"));
  EXPECT_THAT(messageOf(file.getFloats("words")), HasSubstr("array of string; expected an array"));
}

TEST(GgufReader, DescribesTensors) {
  TemporaryFile temporary(smallFile().bytes());
  File file = openOrFail(temporary.path);
  ASSERT_EQ(file.tensors().size(), 4u);
  const Tensor *b = file.findTensor("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b, &file.tensors()[1]);
  EXPECT_EQ(b->type->type, ElementType::q8_0);
  EXPECT_THAT(b->dims, ElementsAre(32, 2));
  EXPECT_THAT(b->shape(), ElementsAre(2, 32));
  EXPECT_EQ(b->dataOffset % 32, 0u);
  llvm::ArrayRef<uint8_t> data = llvm::cantFail(file.data(*b));
  EXPECT_EQ(llvm::toStringRef(data), std::string(68, 'b'));
  EXPECT_EQ(llvm::toStringRef(llvm::cantFail(file.data(*file.findTensor("a")))),
            std::string(48, 'a'));
  EXPECT_THAT(file.findTensor("c")->dims, ElementsAre());
  EXPECT_EQ(file.findTensor("c")->dataSize, 4u);
  EXPECT_EQ(file.findTensor("d")->dataSize, 18u);
  EXPECT_EQ(file.findTensor("e"), nullptr);
}

/// Numbers and sizes as ggml has them, so that the table is not held against itself.
TEST(GgufReader, KnowsTheBlockTypes) {
  struct Case {
    const char *name;
    uint32_t number;
    uint64_t elements;
    size_t bytes;
  };
  const Case cases[] = {{"q4_0", 2, 32, 18},    {"q4_1", 3, 32, 20},   {"q5_0", 6, 32, 22},
                        {"q5_1", 7, 32, 24},    {"q8_0", 8, 32, 34},   {"q4_k", 12, 256, 144},
                        {"q5_k", 13, 256, 176}, {"q6_k", 14, 256, 210}};
  GgufWriter writer;
  for (const Case &c : cases)
    writer.tensor(c.name, {c.elements, 3}, c.number, std::string(3 * c.bytes, 'x'));
  TemporaryFile temporary(writer.bytes());
  File file = openOrFail(temporary.path);
  for (const Case &c : cases) {
    const Tensor *tensor = file.findTensor(c.name);
    ASSERT_TRUE(tensor && tensor->type) << c.name;
    EXPECT_EQ(tensor->type->name, c.name);
    EXPECT_EQ(tensor->dataSize, 3 * c.bytes) << c.name;
  }
}

TEST(GgufReader, ReadsVersion2AndItsAlignment) {
  GgufWriter writer;
  writer.version = 2;
  writer.alignment = 64;
  writer.u32("general.alignment", 64).f32Tensor("a", {3}).f32Tensor("b", {5});
  TemporaryFile temporary(writer.bytes());
  File file = openOrFail(temporary.path);
  EXPECT_EQ(file.version(), 2u);
  EXPECT_EQ(file.alignment(), 64u);
  EXPECT_EQ(file.findTensor("b")->dataOffset, file.findTensor("a")->dataOffset + 64);
}

TEST(GgufReader, ListsATensorOfUnknownTypeAndRefusesOnlyItsUse) {
  GgufWriter writer;
  writer.tensor("k", {256}, 15, std::string(292, 'k'))
      .tensor("x", {3}, 77, std::string(3, 'x'))
      .f32Tensor("a", {2});
  TemporaryFile temporary(writer.bytes());
  File file = openOrFail(temporary.path);
  EXPECT_EQ(file.findTensor("x")->type, nullptr);
  EXPECT_EQ(file.findTensor("x")->typeName(), "GGUF type 77");
  EXPECT_THAT(messageOf(file.data(*file.findTensor("x"))),
              HasSubstr("tensor 'x': the element type is GGUF type 77, which is not supported"));
  EXPECT_THAT(messageOf(file.data(*file.findTensor("k"))), HasSubstr("is q8_k, which"));
  EXPECT_EQ(llvm::cantFail(file.data(*file.findTensor("a"))).size(), 8u);
}

TEST(GgufReader, RefusesWhatIsNoGgufFile) {
  EXPECT_THAT(refusal(""), HasSubstr("the file is empty"));
  EXPECT_THAT(refusal("Once upon a time"),
              HasSubstr("not a GGUF model: the file begins with 'Once'; expected 'GGUF'"));
  EXPECT_THAT(refusal("GG"), HasSubstr("begins with 'GG'"));
  EXPECT_THAT(refusal("\x7f"
                      "ELF"),
              HasSubstr("begins with '\\x7fELF'"));
  GgufWriter writer;
  writer.version = 1;
  EXPECT_THAT(refusal(writer), HasSubstr("at byte 4: GGUF version 1; expected 2 or 3"));
  writer.version = 4;
  EXPECT_THAT(refusal(writer), HasSubstr("GGUF version 4"));
  writer.version = 0x03000000;
  EXPECT_THAT(refusal(writer), HasSubstr("a big-endian GGUF file (version 3)"));

  llvm::Expected<File> missing = File::open("/nonexistent/x.gguf");
  EXPECT_THAT(messageOf(std::move(missing)), HasSubstr("/nonexistent/x.gguf: cannot open"));
  EXPECT_THAT(messageOf(File::open(testing::TempDir())), HasSubstr("is a folder"));
  EXPECT_THAT(messageOf(File::open("/dev/zero")), HasSubstr("is not a regular file"));
}

TEST(GgufReader, RefusesCountsThatTheFileCannotHold) {
  GgufWriter writer = smallFile();
  writer.extraTensors = uint64_t(1) << 60;
  EXPECT_THAT(refusal(writer), HasSubstr("at byte 8: the header counts 1152921504606846980"));
  writer = smallFile();
  writer.extraKeys = UINT64_MAX / 2;
  EXPECT_THAT(refusal(writer), HasSubstr("at byte 16: the header counts"));
  for (uint32_t kind : {0u, 4u, 7u, 8u, 10u}) {
    writer = GgufWriter();
    writer.array("words", kind, uint64_t(1) << 61, Bytes().u64(0));
    EXPECT_THAT(refusal(writer), HasSubstr("key 'words': the value takes 2305843009213693952"));
  }
}

TEST(GgufReader, RefusesMalformedKeys) {
  GgufWriter writer;
  EXPECT_THAT(refusal(writer.value("k", 13, Bytes().u64(0))),
              HasSubstr("at byte 33: key 'k': a value of kind 13; expected 0 to 12"));
  writer = GgufWriter();
  EXPECT_THAT(refusal(writer.array("k", 99, 1, Bytes().u64(0))), HasSubstr("elements of kind 99"));
  writer = GgufWriter();
  EXPECT_THAT(refusal(writer.array("k", 9, 1, Bytes().u32(4).u64(1).u32(1))),
              HasSubstr("key 'k': an array of arrays"));
  writer = GgufWriter();
  EXPECT_THAT(refusal(writer.u32("k", 1).u32("k", 2)), HasSubstr("key 'k': the key stands twice"));
  writer = GgufWriter();
  EXPECT_THAT(refusal(writer.u32("", 1)), HasSubstr("metadata key number 0: the key is empty"));
  writer = GgufWriter();
  EXPECT_THAT(refusal(writer.u32(std::string(65536, 'k'), 1)),
              HasSubstr("a length of 65536; expected at most 65535"));
  writer = GgufWriter();
  EXPECT_THAT(refusal(writer.value("k", 7, Bytes().put(uint8_t(2)))),
              HasSubstr("a bool of value 2; expected 0 or 1"));
  writer = GgufWriter();
  EXPECT_THAT(refusal(writer.value("k", 8, Bytes().u64(1000))),
              AllOf(HasSubstr("key 'k': string number 0"), HasSubstr("it may be truncated")));
  writer = GgufWriter();
  EXPECT_THAT(refusal(writer.u32("a\n\xff", 1).u32("a\n\xff", 1)), HasSubstr("'a\\x0a\\xff'"));
}

TEST(GgufReader, RefusesAlignmentsThatAreNoPowerOfTwo) {
  for (uint32_t alignment : {0u, 3u, 48u}) {
    GgufWriter writer;
    EXPECT_THAT(refusal(writer.u32("general.alignment", alignment).f32Tensor("a", {1})),
                AllOf(HasSubstr("key 'general.alignment'"), HasSubstr("a power of two")));
  }
  GgufWriter writer;
  EXPECT_THAT(refusal(writer.string("general.alignment", "32")), HasSubstr("kind string"));
  writer = GgufWriter();
  writer.value("general.alignment", 10, Bytes().u64(uint64_t(1) << 63)).f32Tensor("a", {1});
  EXPECT_THAT(refusal(writer), HasSubstr("tensor 'a': the data takes 4 bytes"));
}

TEST(GgufReader, RefusesMalformedTensors) {
  auto with = [](const std::vector<uint64_t> &dims, uint32_t type, uint64_t offset) {
    GgufWriter writer;
    writer.f32Tensor("first", {16}).tensorInfo("t", dims, type, offset);
    return refusal(writer);
  };
  EXPECT_THAT(with({1, 1, 1, 1, 1}, 0, 0), HasSubstr("tensor 't': 5 dims; expected at most 4"));
  EXPECT_THAT(with({1, 0}, 0, 0), HasSubstr("tensor 't': dim 1 is 0; expected at least 1"));
  EXPECT_THAT(with({uint64_t(1) << 32, uint64_t(1) << 32}, 0, 0),
              HasSubstr("dim 1 is 4294967296; the number of elements does not fit 63 bits"));
  EXPECT_THAT(with({UINT64_MAX}, 0, 0), HasSubstr("does not fit 63 bits"));
  EXPECT_THAT(with({uint64_t(1) << 62}, 0, 0), HasSubstr("does not fit 64 bits"));
  EXPECT_THAT(with({33, 2}, 8, 0), HasSubstr("rows of 33 elements of type q8_0; expected a "
                                             "multiple of 32"));
  EXPECT_THAT(with({}, 2, 0), HasSubstr("rows of 1 elements of type q4_0"));
  EXPECT_THAT(with({1}, 0, 16), HasSubstr("at offset 16; expected a multiple of the alignment 32"));
  EXPECT_THAT(with({2}, 0, 64), HasSubstr("tensor 't': the data takes 8 bytes at offset 64"));
  EXPECT_THAT(with({1}, 0, uint64_t(0) - 32), HasSubstr("at offset 18446744073709551584"));
  EXPECT_THAT(with({1}, 77, 128), HasSubstr("tensor 't': the data takes 0 bytes at offset 128"));
  EXPECT_THAT(with({1}, 0, 32), AllOf(HasSubstr("tensor 't': the data at byte"),
                                      HasSubstr("overlaps that of tensor 'first'")));
  GgufWriter writer;
  EXPECT_THAT(refusal(writer.f32Tensor("a", {1}).f32Tensor("a", {1})),
              HasSubstr("tensor 'a': the name stands twice"));
  writer = GgufWriter();
  EXPECT_THAT(refusal(writer.f32Tensor("", {1})), HasSubstr("tensor number 0: the name is empty"));
}

TEST(GgufReader, RefusesEveryTruncation) {
  std::string bytes = smallFile().bytes();
  ASSERT_EQ(refusal(bytes), "");
  for (size_t length = 0; length < bytes.size(); ++length)
    EXPECT_NE(refusal(bytes.substr(0, length)), "") << "cut to " << length << " bytes";
}

/// Uses everything that an opened file offers.
void readAll(const File &file, llvm::ArrayRef<std::string> keys) {
  for (const std::string &key : keys) {
    messageOf(file.getString(key));
    messageOf(file.getUInt(key));
    messageOf(file.getFloat(key));
    messageOf(file.getBool(key));
    messageOf(file.getStrings(key));
    messageOf(file.getInts(key));
    messageOf(file.getFloats(key));
  }
  unsigned sum = 0;
  for (const Tensor &tensor : file.tensors()) {
    llvm::Expected<llvm::ArrayRef<uint8_t>> data = file.data(tensor);
    if (data && !data->empty())
      sum += data->front() + data->back();
    else if (!data)
      llvm::consumeError(data.takeError());
    tensor.typeName();
    tensor.shape();
  }
  volatile unsigned sink = sum;
  (void)sink;
}

TEST(GgufReader, SurvivesRandomMutations) {
  const std::string bytes = smallFile().bytes();
  const std::string keys[] = {
      "general.architecture", "u32", "u8", "f32", "yes", "words", "big", "none", "scores"};
  std::mt19937 random(20240229);
  int opened = 0;
  for (int trial = 0; trial < 4000; ++trial) {
    std::string mutated = bytes;
    for (unsigned i = 0, n = 1 + random() % 4; i < n; ++i) {
      size_t at = random() % mutated.size();
      // Whole bytes, single bits, and the extremes that lengths like to break on.
      switch (random() % 4) {
      case 0:
        mutated[at] = char(random());
        break;
      case 1:
        mutated[at] ^= char(1 << random() % 8);
        break;
      case 2:
        mutated[at] = char(0xff);
        break;
      default:
        mutated[at] = 0;
      }
    }
    TemporaryFile temporary(mutated);
    llvm::Expected<File> file = File::open(temporary.path);
    if (!file) {
      EXPECT_NE(toString(file.takeError()), "");
      continue;
    }
    ++opened;
    readAll(*file, keys);
  }
  EXPECT_GT(opened, 0);
}

TEST(GgufReader, ReadsRealFiles) {
  std::filesystem::path folder = std::filesystem::path(CLEAVE_SHARED_DATA) / "models";
  if (!std::filesystem::exists(folder))
    GTEST_SKIP() << folder << " is absent";
  struct Case {
    const char *name;
    size_t tensors;
    ElementType embedding;
    ElementType down;
  };
  for (const Case &c : {Case{"stories260K.gguf", 48, ElementType::f32, ElementType::f32},
                        Case{"stories260K-F16.gguf", 47, ElementType::f16, ElementType::f16},
                        Case{"stories260K-Q8_0.gguf", 47, ElementType::q8_0, ElementType::f16},
                        Case{"stories260K-Q4_0.gguf", 47, ElementType::q4_0, ElementType::f16}}) {
    SCOPED_TRACE(c.name);
    File file = openOrFail(folder / c.name);
    EXPECT_EQ(file.tensors().size(), c.tensors);
    EXPECT_EQ(file.findTensor("token_embd.weight")->type->type, c.embedding);
    EXPECT_THAT(file.findTensor("token_embd.weight")->shape(), ElementsAre(512, 64));
    EXPECT_EQ(file.findTensor("blk.4.ffn_down.weight")->type->type, c.down);
    EXPECT_EQ(llvm::cantFail(file.getUInt("llama.block_count")), 5u);
    EXPECT_EQ(llvm::cantFail(file.getStrings("tokenizer.ggml.tokens"))->size(), 512u);
    EXPECT_EQ(llvm::cantFail(file.getStrings("tokenizer.ggml.tokens"))->at(3), "<0x00>");
    // The data of all tensors, with the padding between them, fills the file.
    const Tensor &last = file.tensors().back();
    EXPECT_LT(file.size() - (last.dataOffset + last.dataSize), file.alignment());
  }
}

TEST(GgufReader, ReadsRealVocabularies) {
  std::filesystem::path folder = std::filesystem::path(CLEAVE_SHARED_DATA) / "vocab";
  if (!std::filesystem::exists(folder))
    GTEST_SKIP() << folder << " is absent";
  for (const auto &entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".gguf")
      continue;
    SCOPED_TRACE(entry.path());
    File file = openOrFail(entry.path());
    EXPECT_TRUE(file.tensors().empty());
    EXPECT_GT(llvm::cantFail(file.getStrings("tokenizer.ggml.tokens"))->size(), 10000u);
  }
}

} // namespace
