// Matrices of MatMulNBits: integers of a few bits in blocks that share a scale and a zero point.
// Nothing of MLIR.
#pragma once

#include "compiler/import/onnx/model_file.h"
#include "runtime/program/element_type.h"

namespace cleave::onnx {

/// The tensors of one matrix, and how they are to be read.
struct BlockMatrixSource {
  int64_t bits = 4;    ///< 4 or 8
  int64_t length = 32; ///< of a block, in elements: a power of 2, at least 16
  std::string
      values; ///< u8 [outputs, blocks, length * bits / 8], the first element in the low bits
  std::string scales; ///< f32, f16 or bf16, one for each block
  /// Empty: 2^(bits - 1). Else numbers as the scales, or u8 packed as the values, each row in whole
  /// bytes.
  std::string zeros;
};

/// Element (o, i) is (integer - zero) * scale. Views of the file: it lives no longer than that.
class BlockMatrix {
public:
  /// Finds the tensors in the file and checks that they fit each other.
  static llvm::Expected<BlockMatrix> open(ModelFile &file, const BlockMatrixSource &source);

  int64_t outputs() const { return rows; }
  /// With what pads the last block of a row.
  int64_t paddedInputs() const { return blocks * length; }

  /// The smallest element type of ours that has every element of the first `inputs` columns
  /// exactly: q4_0, q5_0 or q8_0, or where none does f32, in which products are rounded as they are
  /// in onnxruntime.
  ElementType exactType(int64_t inputs) const;

  /// Elements [begin, end) of a row in a type that exactType() might give, appended. The columns
  /// are whole blocks of that type.
  void read(int64_t row, int64_t begin, int64_t end, ElementType type,
            std::vector<std::byte> &to) const;

private:
  int integer(int64_t row, int64_t column) const;
  float scale(int64_t row, int64_t block) const { return number(scaleBytes, row * blocks + block); }
  float zero(int64_t row, int64_t block) const;
  float number(const TensorBytes &bytes, int64_t index) const;

  int64_t rows = 0, blocks = 0, length = 0, bits = 0;
  ElementType numberType = ElementType::f32;
  bool hasZeros = false, hasPackedZeros = false;
  TensorBytes values, scaleBytes, zeroBytes;
};

} // namespace cleave::onnx
