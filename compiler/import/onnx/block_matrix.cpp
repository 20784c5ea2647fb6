// Reads MatMulNBits' matrices, and finds block types that have the same numbers.
#include "compiler/import/onnx/block_matrix.h"

#include "runtime/program/block_formats.h"
#include "runtime/program/half.h"

#include <cmath>
#include <cstring>

using llvm::Twine;

namespace cleave::onnx {

/// Elements of a block of ours.
static constexpr int64_t ownLength = 32;

llvm::Expected<BlockMatrix> BlockMatrix::open(ModelFile &file, const BlockMatrixSource &source) {
  BlockMatrix matrix;
  matrix.bits = source.bits;
  matrix.length = source.length;
  auto read = [&](const std::string &name, TensorBytes &bytes, ElementType &type) -> llvm::Error {
    const ::onnx::TensorProto *tensor = file.findTensor(name);
    if (!tensor)
      return file.error("there is no initializer " + quote(name) +
                        ", which a matrix in blocks is made of");
    const ElementTypeInfo *info = findElementTypeOfOnnx(tensor->data_type());
    if (!info)
      return file.error("tensor " + quote(name) + " has elements of type " +
                        getOnnxTypeName(tensor->data_type()) + ", which is not supported");
    llvm::Expected<TensorBytes> data = file.data(*tensor);
    if (!data)
      return data.takeError();
    bytes = std::move(*data);
    type = info->type;
    return llvm::Error::success();
  };
  ElementType valueType{}, zeroType{};
  if (llvm::Error error = read(source.values, matrix.values, valueType))
    return error;
  const ::onnx::TensorProto &values = *file.findTensor(source.values);
  const int64_t blob = source.length * source.bits / 8;
  const bool isMatrix = valueType == ElementType::u8 && values.dims_size() == 3 &&
                        values.dims(0) > 0 && values.dims(1) > 0 && values.dims(2) == blob;
  if (!isMatrix)
    return file.error("tensor " + quote(source.values) + " is not of uint8 [outputs, blocks, " +
                      Twine(blob) + "], as a matrix of blocks of " + Twine(source.length) +
                      " integers of " + Twine(source.bits) + " bits is");
  matrix.rows = values.dims(0);
  matrix.blocks = values.dims(1);
  if (llvm::Error error = read(source.scales, matrix.scaleBytes, matrix.numberType))
    return error;
  auto isFloat = [](ElementType type) {
    return type == ElementType::f32 || type == ElementType::f16 || type == ElementType::bf16;
  };
  // The values' bytes are at most 2^48, and so are the blocks.
  const int64_t bytesOfNumbers =
      matrix.rows * matrix.blocks * elementTypeInfo(matrix.numberType).blockBytes;
  if (!isFloat(matrix.numberType) ||
      static_cast<int64_t>(matrix.scaleBytes.bytes.size()) != bytesOfNumbers)
    return file.error("tensor " + quote(source.scales) + " has not one float for each of " +
                      Twine(matrix.rows) + " x " + Twine(matrix.blocks) + " blocks of " +
                      quote(source.values));
  if (source.zeros.empty())
    return matrix;
  if (llvm::Error error = read(source.zeros, matrix.zeroBytes, zeroType))
    return error;
  matrix.hasZeros = true;
  matrix.hasPackedZeros = zeroType == ElementType::u8;
  const int64_t packed = matrix.rows * ((matrix.blocks * source.bits + 7) / 8);
  if ((!matrix.hasPackedZeros && zeroType != matrix.numberType) ||
      static_cast<int64_t>(matrix.zeroBytes.bytes.size()) !=
          (matrix.hasPackedZeros ? packed : bytesOfNumbers))
    return file.error("tensor " + quote(source.zeros) + " has not one zero point for each of " +
                      Twine(matrix.rows) + " x " + Twine(matrix.blocks) + " blocks of " +
                      quote(source.values));
  return matrix;
}

int BlockMatrix::integer(int64_t row, int64_t column) const {
  if (bits == 8)
    return static_cast<int>(values.bytes[row * blocks * length + column]);
  const auto byte = static_cast<int>(values.bytes[(row * blocks * length + column) / 2]);
  return column % 2 ? byte >> 4 : byte & 15;
}

float BlockMatrix::number(const TensorBytes &bytes, int64_t index) const {
  if (numberType == ElementType::f32) {
    float value = 0;
    std::memcpy(&value, &bytes.bytes[index * sizeof value], sizeof value);
    return value;
  }
  uint16_t half = 0;
  std::memcpy(&half, &bytes.bytes[index * sizeof half], sizeof half);
  return numberType == ElementType::f16 ? rt::floatOfF16(half) : rt::floatOfBf16(half);
}

float BlockMatrix::zero(int64_t row, int64_t block) const {
  if (!hasZeros)
    return static_cast<float>(1 << (bits - 1));
  if (!hasPackedZeros)
    return number(zeroBytes, row * blocks + block);
  if (bits == 8)
    return static_cast<float>(zeroBytes.bytes[row * blocks + block]);
  const auto byte = static_cast<int>(zeroBytes.bytes[row * ((blocks + 1) / 2) + block / 2]);
  return static_cast<float>(block % 2 ? byte >> 4 : byte & 15);
}

ElementType BlockMatrix::exactType(int64_t inputs) const {
  if (inputs % ownLength != 0 || length % ownLength != 0)
    return ElementType::f32;
  int least = 0, most = 0; // of the integers less their zero points
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t block = 0; block * length < inputs; ++block) {
      const float ofBlock = scale(row, block), point = zero(row, block);
      if (!(rt::floatOfF16(rt::f16OfFloat(ofBlock)) == ofBlock) || !std::isfinite(ofBlock) ||
          point != std::floor(point) || !(std::abs(point) < 256))
        return ElementType::f32;
      const auto whole = static_cast<int>(point);
      if (bits == 4) {
        least = std::min(least, -whole);
        most = std::max(most, 15 - whole);
        continue;
      }
      const int64_t end = std::min(inputs, (block + 1) * length);
      for (int64_t column = block * length; column < end; ++column) {
        least = std::min(least, integer(row, column) - whole);
        most = std::max(most, integer(row, column) - whole);
      }
    }
  if (bits == 4 && least >= -8 && most <= 7)
    return ElementType::q4_0;
  if (bits == 4 && least >= -16 && most <= 15)
    return ElementType::q5_0;
  return least >= -128 && most <= 127 ? ElementType::q8_0 : ElementType::f32;
}

void BlockMatrix::read(int64_t row, int64_t begin, int64_t end, ElementType type,
                       std::vector<std::byte> &to) const {
  auto append = [&](const auto &value) {
    const auto *bytes = reinterpret_cast<const std::byte *>(&value);
    to.insert(to.end(), bytes, bytes + sizeof value);
  };
  if (type == ElementType::f32) {
    for (int64_t column = begin; column < end; ++column) {
      const int64_t block = column / length;
      append((static_cast<float>(integer(row, column)) - zero(row, block)) * scale(row, block));
    }
    return;
  }
  for (int64_t first = begin; first < end; first += ownLength) {
    const uint16_t ofBlock = rt::f16OfFloat(scale(row, first / length));
    const auto point = static_cast<int>(zero(row, first / length));
    auto element = [&](int64_t i) { return integer(row, first + i) - point; };
    if (type == ElementType::q8_0) {
      BlockQ8_0 block{.scale = ofBlock, .values = {}};
      for (int64_t i = 0; i < ownLength; ++i)
        block.values[i] = static_cast<int8_t>(element(i));
      append(block);
      continue;
    }
    BlockQ4_0 four{.scale = ofBlock, .nibbles = {}};
    BlockQ5_0 five{.scale = ofBlock, .highBits = {}, .nibbles = {}};
    const int shift = type == ElementType::q4_0 ? 8 : 16;
    for (int64_t i = 0; i < ownLength; ++i) {
      const int unsignedElement = element(i) + shift;
      const auto nibble =
          static_cast<uint8_t>((unsignedElement & 15) << (i < ownLength / 2 ? 0 : 4));
      four.nibbles[i % (ownLength / 2)] |= nibble;
      five.nibbles[i % (ownLength / 2)] |= nibble;
      five.highBits[i / 8] |= static_cast<uint8_t>((unsignedElement >> 4 & 1) << (i % 8));
    }
    if (type == ElementType::q4_0)
      append(four);
    else
      append(five);
  }
}

} // namespace cleave::onnx
