// TensorProto: types, sizes, and the many fields in which elements can be.
#include "runtime/program/onnx_tensor.h"

#include "runtime/program/onnx.pb.h"

#include <array>
#include <cstring>
#include <fstream>
#include <limits>
#include <stdexcept>

namespace cleave {
namespace {

using ::onnx::TensorProto;

/// Protobuf refuses longer messages.
constexpr uint64_t maxMessageBytes = std::numeric_limits<int32_t>::max();

/// ONNX's types of elements: its name for one, and ours, which the table may lack.
struct OnnxType {
  int32_t number;
  std::string_view name;
  std::string_view ours;
};
constexpr std::array onnxTypes = {
    OnnxType{1, "float", "f32"},      OnnxType{2, "uint8", "ui8"},
    OnnxType{3, "int8", "i8"},        OnnxType{4, "uint16", "ui16"},
    OnnxType{5, "int16", "i16"},      OnnxType{6, "int32", "i32"},
    OnnxType{7, "int64", "i64"},      OnnxType{8, "string", ""},
    OnnxType{9, "bool", "i1"},        OnnxType{10, "float16", "f16"},
    OnnxType{11, "double", "f64"},    OnnxType{12, "uint32", "ui32"},
    OnnxType{13, "uint64", "ui64"},   OnnxType{14, "complex64", ""},
    OnnxType{15, "complex128", ""},   OnnxType{16, "bfloat16", "bf16"},
    OnnxType{17, "float8e4m3fn", ""}, OnnxType{18, "float8e4m3fnuz", ""},
    OnnxType{19, "float8e5m2", ""},   OnnxType{20, "float8e5m2fnuz", ""},
    OnnxType{21, "uint4", ""},        OnnxType{22, "int4", ""},
    OnnxType{23, "float4e2m1", ""},   OnnxType{24, "float8e8m0", ""},
};

/// MLIR writes `ui8` what the table of element types calls `u8`.
bool isOurs(std::string_view ours, std::string_view name) {
  return !ours.empty() && (ours == name || (ours.starts_with("ui") && name.starts_with("u") &&
                                            ours.substr(2) == name.substr(1)));
}

[[noreturn]] void fail(std::string_view name, const std::string &message) {
  throw std::runtime_error(std::string(name) + ": " + message);
}

/// Elements from a field of numbers, converted to T.
template <typename T, typename Field>
void copyField(const Field &field, NpyArray &array, std::string_view name) {
  size_t count = array.data.size() / sizeof(T);
  if (static_cast<size_t>(field.size()) != count)
    fail(name, "has " + std::to_string(field.size()) + " elements, but its sizes ask for " +
                   std::to_string(count));
  std::byte *place = array.data.data();
  for (auto each : field) {
    auto value = static_cast<T>(each);
    std::memcpy(place, &value, sizeof value);
    place += sizeof value;
  }
}

/// Where a message has elements that are not raw depends on their type.
void copyTyped(const TensorProto &tensor, NpyArray &array, std::string_view name) {
  switch (tensor.data_type()) {
  case TensorProto::FLOAT:
    return copyField<float>(tensor.float_data(), array, name);
  case TensorProto::DOUBLE:
    return copyField<double>(tensor.double_data(), array, name);
  case TensorProto::INT64:
    return copyField<int64_t>(tensor.int64_data(), array, name);
  case TensorProto::UINT64:
    return copyField<uint64_t>(tensor.uint64_data(), array, name);
  case TensorProto::UINT32:
    return copyField<uint32_t>(tensor.uint64_data(), array, name);
  case TensorProto::INT32:
    return copyField<int32_t>(tensor.int32_data(), array, name);
  case TensorProto::INT16:
  case TensorProto::UINT16:
  case TensorProto::FLOAT16:
  case TensorProto::BFLOAT16:
    return copyField<uint16_t>(tensor.int32_data(), array, name);
  case TensorProto::BOOL:
    return copyField<bool>(tensor.int32_data(), array, name);
  default: // INT8, UINT8; others have no row in the table
    return copyField<uint8_t>(tensor.int32_data(), array, name);
  }
}

} // namespace

const ElementTypeInfo *findElementTypeOfOnnx(int32_t dataType) {
  for (const OnnxType &known : onnxTypes)
    if (known.number == dataType)
      for (const ElementTypeInfo &info : elementTypes)
        if (isOurs(known.ours, info.name))
          return &info;
  return nullptr;
}

int32_t getOnnxElementType(ElementType type) {
  for (const OnnxType &known : onnxTypes)
    if (isOurs(known.ours, elementTypeInfo(type).name))
      return known.number;
  return TensorProto::UNDEFINED;
}

std::string getOnnxTypeName(int32_t dataType) {
  for (const OnnxType &known : onnxTypes)
    if (known.number == dataType)
      return std::string(known.name);
  return "element type " + std::to_string(dataType);
}

OnnxTensorInfo describeOnnxTensor(const TensorProto &tensor, std::string_view name) {
  OnnxTensorInfo info;
  info.type = findElementTypeOfOnnx(tensor.data_type());
  if (!info.type)
    fail(name, "has elements of type " + getOnnxTypeName(tensor.data_type()) +
                   ", which is not supported");
  info.dims.assign(tensor.dims().begin(), tensor.dims().end());
  if (info.dims.size() > maxNpyDims)
    fail(name, "has " + std::to_string(info.dims.size()) + " dimensions, expected at most " +
                   std::to_string(maxNpyDims));
  // Zeros count as ones here, so that they hide nothing.
  uint64_t bound = info.type->blockBytes, bytes = bound;
  for (int64_t dim : info.dims) {
    if (dim < 0)
      fail(name, "has a dimension of size " + std::to_string(dim));
    if (__builtin_mul_overflow(bound, std::max<uint64_t>(dim, 1), &bound) ||
        bound > static_cast<uint64_t>(maxTensorBytes))
      fail(name, "has sizes that make more than " + std::to_string(maxTensorBytes) + " bytes");
    bytes *= dim;
  }
  info.bytes = bytes;
  return info;
}

NpyArray readOnnxTensor(const TensorProto &tensor, std::string_view name) {
  OnnxTensorInfo info = describeOnnxTensor(tensor, name);
  if (tensor.data_location() == TensorProto::EXTERNAL)
    fail(name, "has its data in another file, which is not read here");
  if (tensor.has_segment())
    fail(name, "is a segment of a tensor, which is not supported");
  NpyArray array;
  array.type = info.type->type;
  array.dims = std::move(info.dims);
  // A message has at least a byte for each element: nothing is allocated that is not there.
  uint64_t present = tensor.ByteSizeLong();
  if (info.bytes / info.type->blockBytes > present)
    fail(name, "has sizes that ask for " + std::to_string(info.bytes) +
                   " bytes, but all of it is " + std::to_string(present) + " bytes");
  if (tensor.has_raw_data()) {
    const std::string &raw = tensor.raw_data();
    if (raw.size() != info.bytes)
      fail(name, "has " + std::to_string(raw.size()) + " bytes of data, but its sizes ask for " +
                     std::to_string(info.bytes));
    auto begin = reinterpret_cast<const std::byte *>(raw.data());
    array.data.assign(begin, begin + raw.size());
    return array;
  }
  array.data.resize(info.bytes);
  copyTyped(tensor, array, name);
  return array;
}

NpyArray readOnnxTensorFile(const std::filesystem::path &path) {
  std::error_code code;
  if (!std::filesystem::is_regular_file(path, code))
    fail(path.string(), code ? code.message() : "is not a regular file");
  uint64_t size = std::filesystem::file_size(path, code);
  if (code)
    fail(path.string(), code.message());
  if (size > maxMessageBytes)
    fail(path.string(),
         "has " + std::to_string(size) + " bytes, more than an ONNX tensor can have");
  std::ifstream file(path, std::ios::binary);
  std::string bytes(size, '\0');
  if (!file.read(bytes.data(), static_cast<std::streamsize>(size)))
    fail(path.string(), "cannot be read");
  TensorProto tensor;
  if (!tensor.ParseFromString(bytes) || !tensor.has_data_type())
    fail(path.string(), "is no ONNX tensor (TensorProto), or is truncated");
  return readOnnxTensor(tensor, path.string());
}

void writeOnnxTensorFile(const std::filesystem::path &path, std::string_view name, ElementType type,
                         std::span<const int64_t> dims, std::span<const std::byte> data) {
  TensorProto tensor;
  tensor.set_name(std::string(name));
  tensor.set_data_type(getOnnxElementType(type));
  if (tensor.data_type() == TensorProto::UNDEFINED)
    fail(path.string(), "ONNX has no elements of type " + std::string(elementTypeInfo(type).name));
  for (int64_t dim : dims)
    tensor.add_dims(dim);
  if (data.size() > maxMessageBytes / 2)
    fail(path.string(), "an ONNX tensor of " + std::to_string(data.size()) + " bytes is too large");
  tensor.set_raw_data(reinterpret_cast<const char *>(data.data()), data.size());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  if (!tensor.SerializeToOstream(&file) || !file.flush())
    fail(path.string(), "cannot be written: " + std::string(std::strerror(errno)));
}

} // namespace cleave
