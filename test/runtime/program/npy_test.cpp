// .npy files: what NumPy writes is read, what is wrong with a file is said.
#include "runtime/program/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

namespace cleave {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Npy : public testing::Test {
protected:
  void SetUp() override {
    folder = std::filesystem::path(testing::TempDir()) /
             testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::create_directories(folder);
    path = folder / "a.npy";
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  void write(const std::string &bytes) const {
    std::ofstream(path, std::ios::binary).write(bytes.data(), bytes.size());
  }

  std::string messageOfReading() const {
    try {
      readNpy(path);
    } catch (const std::runtime_error &error) {
      return error.what();
    }
    return "(no error)";
  }

  std::filesystem::path folder;
  std::filesystem::path path;
};

/// A file as NumPy writes it, of version 1 or 2.
std::string fileOf(const std::string &dictionary, const std::string &data, int version = 1) {
  std::string bytes = "\x93NUMPY";
  bytes += static_cast<char>(version);
  bytes += '\0';
  size_t lengthBytes = version == 1 ? 2 : 4;
  std::string header = dictionary;
  while ((8 + lengthBytes + header.size() + 1) % 64 != 0)
    header += ' ';
  header += '\n';
  for (size_t i = 0; i < lengthBytes; ++i)
    bytes += static_cast<char>(header.size() >> (8 * i) & 0xff);
  return bytes + header + data;
}

std::string dictionaryOf(const std::string &descr, const std::string &order,
                         const std::string &shape) {
  return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
}

std::vector<std::byte> bytesOf(const std::vector<float> &values) {
  std::vector<std::byte> bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

std::string textOf(const std::vector<float> &values) {
  std::vector<std::byte> bytes = bytesOf(values);
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

TEST_F(Npy, ReadsBothHeaderLengths) {
  for (int version : {1, 2, 3}) {
    write(fileOf(dictionaryOf("<f4", "False", "(2, 3)"), textOf({1, 2, 3, 4, 5, 6}), version));
    NpyArray array = readNpy(path);
    EXPECT_EQ(array.type, ElementType::f32);
    EXPECT_THAT(array.dims, ElementsAre(2, 3));
    EXPECT_EQ(array.data, bytesOf({1, 2, 3, 4, 5, 6}));
  }
}

TEST_F(Npy, ReadsFortranOrder) {
  // [[1, 2, 3], [4, 5, 6]] column by column.
  write(fileOf(dictionaryOf("<f4", "True", "(2, 3)"), textOf({1, 4, 2, 5, 3, 6})));
  EXPECT_EQ(readNpy(path).data, bytesOf({1, 2, 3, 4, 5, 6}));
}

TEST_F(Npy, ReadsScalarsAndEmptyArrays) {
  write(fileOf(dictionaryOf("<i4", "False", "()"), "abcd"));
  EXPECT_THAT(readNpy(path).dims, ElementsAre());
  EXPECT_EQ(readNpy(path).type, ElementType::i32);
  write(fileOf(dictionaryOf("<f2", "True", "(0, 7)"), ""));
  EXPECT_THAT(readNpy(path).dims, ElementsAre(0, 7));
  EXPECT_TRUE(readNpy(path).data.empty());
}

TEST_F(Npy, WritesWhatItReads) {
  for (const ElementTypeInfo &info : elementTypes) {
    if (isBlockType(info))
      continue;
    ElementType type = info.type;
    std::vector<std::byte> data(6 * elementTypeInfo(type).blockBytes, std::byte{1});
    writeNpy(path, type, std::vector<int64_t>{3, 1, 2}, data);
    NpyArray array = readNpy(path);
    EXPECT_EQ(array.type, type);
    EXPECT_THAT(array.dims, ElementsAre(3, 1, 2));
    EXPECT_EQ(array.data, data);
  }
}

TEST_F(Npy, CountsRowsAtTheEnd) {
  NpyWriter writer(path, ElementType::f32, {2});
  writer.append(bytesOf({1, 2}));
  for (int i = 0; i < 12; ++i)
    writer.append(bytesOf({3, 4, 5, 6}));
  writer.finish();
  EXPECT_THAT(readNpy(path).dims, ElementsAre(25, 2));
}

TEST_F(Npy, RefusesWhatItCannotWrite) {
  EXPECT_THROW(writeNpy(folder / "no" / "a.npy", ElementType::f32, {}, bytesOf({1})),
               std::runtime_error);
  EXPECT_THROW(writeNpy(path, ElementType::q8_0, {}, bytesOf({1})), std::runtime_error);
}

TEST_F(Npy, SaysWhatIsWrong) {
  EXPECT_THAT(messageOfReading(), HasSubstr("a.npy: cannot be opened: No such file"));
  std::string four = textOf({1, 2, 3, 4});
  auto expect = [&](const std::string &bytes, const char *message) {
    write(bytes);
    EXPECT_THAT(messageOfReading(), HasSubstr(message));
  };
  expect("", "not a .npy file");
  expect("hello, this is text", "not a .npy file");
  expect(fileOf(dictionaryOf("<f4", "False", "(4,)"), four.substr(1)),
         "has 15 bytes of data where its header asks for 16");
  expect(fileOf(dictionaryOf("<f4", "False", "(4,)"), four + "x"), "has 17 bytes");
  expect(fileOf(dictionaryOf("<c8", "False", "(2,)"), four), "elements of type '<c8'; known are");
  expect(fileOf(dictionaryOf(">f4", "False", "(4,)"), four), "elements of type '>f4'");
  expect(fileOf(dictionaryOf("<f4", "False", "(-4,)"), four), "no size of a dimension");
  expect(fileOf(dictionaryOf("<f4", "False", "(4294967296, 4294967296)"), four), "64 bits");
  expect(fileOf(dictionaryOf("<f4", "False", "(9223372036854775807,)"), four), "64 bits");
  expect(fileOf(dictionaryOf("<f4", "False", "(99999999999999999999,)"), four), "no size");
  expect(fileOf(dictionaryOf("<f4", "Maybe", "(4,)"), four), "expected 'False'");
  expect(fileOf("{'descr': '<f4', 'shape': (4,)}", four), "needs descr, fortran_order and shape");
  expect(fileOf("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4,)}", four),
         "not a .npy header");
  expect(fileOf("{'descr': '<f4", four), "without an end");
  expect(fileOf(dictionaryOf("<f4", "False", "(4,)"), four).substr(0, 40),
         "truncated in its header");
  std::string version9 = fileOf(dictionaryOf("<f4", "False", "(4,)"), four);
  version9[6] = 9;
  expect(version9, "version 9");
  std::string longHeader = fileOf("{", four, 2);
  longHeader[11] = 0x7f;
  expect(longHeader, "no array needs that");
  path = folder;
  EXPECT_THAT(messageOfReading(), HasSubstr("not a regular file"));
}

TEST_F(Npy, SurvivesFlippedBits) {
  std::string good = fileOf(dictionaryOf("<f4", "True", "(2, 2)"), textOf({1, 2, 3, 4}));
  std::mt19937 random(7);
  for (int i = 0; i < 3000; ++i) {
    std::string bytes = good.substr(0, i % 3 ? good.size() : random() % good.size());
    if (!bytes.empty())
      bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
    try {
      parseNpyHeader(std::as_bytes(std::span(bytes)), bytes.size(), "file");
    } catch (const std::runtime_error &) { // a message is all that is asked for
    }
  }
}

} // namespace
} // namespace cleave
