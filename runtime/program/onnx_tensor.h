// Tensors as ONNX writes them (TensorProto): their types, and their elements from either of
// the two places where a message has them; and .pb files that hold one tensor. Data outside
// of the message is the compiler's affair.
#pragma once

#include "runtime/program/element_type.h"
#include "runtime/program/npy.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace onnx {
class TensorProto;
}

namespace cleave {

/// The row of an ONNX element type (TensorProto.DataType), or null where the table of
/// element types has none.
const ElementTypeInfo *findElementTypeOfOnnx(int32_t dataType);

/// ONNX's number of an element type, or 0 (undefined) where ONNX has none.
int32_t getOnnxElementType(ElementType type);

/// "float16", or "element type 99" for a number that ONNX does not have.
std::string getOnnxTypeName(int32_t dataType);

/// What a tensor says of itself, proved: sizes are not negative, and its bytes no more than
/// maxTensorBytes.
struct OnnxTensorInfo {
  const ElementTypeInfo *type = nullptr;
  std::vector<int64_t> dims;
  uint64_t bytes = 0;
};

/// Throws std::runtime_error beginning with `name` where the type has no equal here, or the
/// sizes are not valid.
OnnxTensorInfo describeOnnxTensor(const ::onnx::TensorProto &tensor, std::string_view name);

/// The elements of a tensor whose data is in the message, row-major. Throws as above, and
/// where there is too little or too much of it, or it lies in another file.
NpyArray readOnnxTensor(const ::onnx::TensorProto &tensor, std::string_view name);

/// Reads a file that holds one TensorProto. Throws std::runtime_error, naming it.
NpyArray readOnnxTensorFile(const std::filesystem::path &path);

/// Writes such a file: the tensor `name` in a row-major order. Throws std::runtime_error.
void writeOnnxTensorFile(const std::filesystem::path &path, std::string_view name, ElementType type,
                         std::span<const int64_t> dims, std::span<const std::byte> data);

} // namespace cleave
