// TensorProto: elements from every field that can have them; what is wrong with one is said.
#include "runtime/program/onnx_tensor.h"

#include "runtime/program/onnx.pb.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

namespace cleave {
namespace {

using ::onnx::TensorProto;
using testing::ElementsAre;
using testing::HasSubstr;

TensorProto makeTensor(int32_t type, const std::vector<int64_t> &dims) {
  TensorProto tensor;
  tensor.set_data_type(type);
  for (int64_t dim : dims)
    tensor.add_dims(dim);
  return tensor;
}

template <typename T> std::vector<T> elements(const NpyArray &array) {
  std::vector<T> values(array.data.size() / sizeof(T));
  std::memcpy(values.data(), array.data.data(), array.data.size());
  return values;
}

std::string messageOf(const TensorProto &tensor) {
  try {
    readOnnxTensor(tensor, "t");
  } catch (const std::runtime_error &error) {
    return error.what();
  }
  return "(no error)";
}

TEST(OnnxTensor, FieldsOfNumbers) {
  TensorProto floats = makeTensor(TensorProto::FLOAT, {2, 1});
  floats.add_float_data(1.5f);
  floats.add_float_data(-2);
  NpyArray array = readOnnxTensor(floats, "t");
  EXPECT_EQ(array.type, ElementType::f32);
  EXPECT_THAT(array.dims, ElementsAre(2, 1));
  EXPECT_THAT(elements<float>(array), ElementsAre(1.5f, -2.0f));

  TensorProto longs = makeTensor(TensorProto::INT64, {});
  longs.add_int64_data(int64_t{1} << 40);
  EXPECT_THAT(elements<int64_t>(readOnnxTensor(longs, "t")), ElementsAre(int64_t{1} << 40));

  TensorProto bytes = makeTensor(TensorProto::INT8, {3});
  for (int value : {-1, 0, 127})
    bytes.add_int32_data(value);
  EXPECT_THAT(elements<int8_t>(readOnnxTensor(bytes, "t")), ElementsAre(-1, 0, 127));

  TensorProto halves = makeTensor(TensorProto::FLOAT16, {1});
  halves.add_int32_data(0x3c00);
  array = readOnnxTensor(halves, "t");
  EXPECT_EQ(array.type, ElementType::f16);
  EXPECT_THAT(elements<uint16_t>(array), ElementsAre(0x3c00));

  TensorProto truths = makeTensor(TensorProto::BOOL, {2});
  truths.add_int32_data(2);
  truths.add_int32_data(0);
  EXPECT_THAT(elements<uint8_t>(readOnnxTensor(truths, "t")), ElementsAre(1, 0));
}

TEST(OnnxTensor, RawBytes) {
  TensorProto tensor = makeTensor(TensorProto::INT32, {2});
  int32_t values[] = {7, -7};
  tensor.set_raw_data(values, sizeof values);
  EXPECT_THAT(elements<int32_t>(readOnnxTensor(tensor, "t")), ElementsAre(7, -7));
  tensor.set_raw_data(values, 7);
  EXPECT_THAT(messageOf(tensor), HasSubstr("t: has 7 bytes of data, but its sizes ask for 8"));
}

TEST(OnnxTensor, WhatIsWrongIsSaid) {
  EXPECT_THAT(messageOf(makeTensor(TensorProto::FLOAT, {2, -1})), HasSubstr("size -1"));
  EXPECT_THAT(messageOf(makeTensor(TensorProto::FLOAT, {int64_t{1} << 40, int64_t{1} << 40})),
              HasSubstr("more than 281474976710656 bytes"));
  EXPECT_THAT(messageOf(makeTensor(TensorProto::FLOAT, {1 << 30})), HasSubstr("all of it is"));
  EXPECT_THAT(messageOf(makeTensor(TensorProto::STRING, {1})), HasSubstr("type string"));
  EXPECT_THAT(messageOf(makeTensor(99, {1})), HasSubstr("element type 99"));
  TensorProto few = makeTensor(TensorProto::FLOAT, {3});
  few.add_float_data(1);
  EXPECT_THAT(messageOf(few), HasSubstr("has 1 elements, but its sizes ask for 3"));
  TensorProto elsewhere = makeTensor(TensorProto::FLOAT, {1});
  elsewhere.set_data_location(TensorProto::EXTERNAL);
  EXPECT_THAT(messageOf(elsewhere), HasSubstr("in another file"));
}

TEST(OnnxTensor, Files) {
  std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "onnx_tensor_test.pb";
  int64_t values[] = {1, 2, 3, 4};
  int64_t dims[] = {2, 2};
  writeOnnxTensorFile(path, "x", ElementType::i64, dims, std::as_bytes(std::span(values)));
  NpyArray array = readOnnxTensorFile(path);
  EXPECT_EQ(array.type, ElementType::i64);
  EXPECT_THAT(array.dims, ElementsAre(2, 2));
  EXPECT_THAT(elements<int64_t>(array), ElementsAre(1, 2, 3, 4));

  // Any damage is refused, or gives some other tensor, and never more.
  std::ifstream file(path, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(file)), {});
  std::mt19937 random;
  for (int round = 0; round < 300; ++round) {
    std::string damaged = bytes.substr(0, random() % (bytes.size() + 1));
    if (!damaged.empty())
      damaged[random() % damaged.size()] = static_cast<char>(random());
    std::ofstream(path, std::ios::binary).write(damaged.data(), damaged.size());
    try {
      readOnnxTensorFile(path);
    } catch (const std::runtime_error &error) {
      EXPECT_THAT(error.what(), HasSubstr("onnx_tensor_test.pb: "));
    }
  }
  std::filesystem::remove(path);
}

} // namespace
} // namespace cleave
