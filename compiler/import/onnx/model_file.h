// An ONNX model file: opened and parsed, and the bytes of its tensors, wherever they are.
// Nothing of MLIR; what nodes mean is left to import.h.
#pragma once

#include "runtime/program/onnx.pb.h"
#include "runtime/program/onnx_tensor.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/MemoryBuffer.h"

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace cleave::onnx {

/// Bytes of a tensor: a view of the file's memory, or of bytes of their own.
struct TensorBytes {
  std::vector<std::byte> own;
  llvm::ArrayRef<std::byte> bytes;
};

/// Movable; views stay valid as long as it lives.
class ModelFile {
public:
  /// Opens `path`, which must be a regular file of at most 2 GiB (protobuf's limit) that
  /// holds a ModelProto. Errors name the file.
  static llvm::Expected<ModelFile> open(llvm::StringRef path);

  llvm::StringRef path() const { return filePath; }
  const ::onnx::ModelProto &model() const { return *proto; }

  /// The tensor that a weight names: an initializer of the main graph, or the value of a
  /// Constant node in it, under the name of the node's output. Null where there is none.
  const ::onnx::TensorProto *findTensor(llvm::StringRef name) const;

  /// Its elements, row-major. External data is mapped, and must lie in the model's folder.
  llvm::Expected<TensorBytes> data(const ::onnx::TensorProto &tensor);

  /// "m.onnx: message".
  llvm::Error error(const llvm::Twine &message) const;

private:
  ModelFile() = default;
  llvm::Expected<llvm::ArrayRef<std::byte>> externalData(const ::onnx::TensorProto &tensor,
                                                         uint64_t bytes);
  llvm::Expected<const llvm::MemoryBuffer *> openExternal(llvm::StringRef tensor,
                                                          llvm::StringRef location);
  void indexTensors();

  std::string filePath;
  std::unique_ptr<::onnx::ModelProto> proto;
  llvm::StringMap<const ::onnx::TensorProto *> tensors;
  std::map<std::string, std::unique_ptr<llvm::MemoryBuffer>> externalFiles;
};

/// `text` between single quotes for a message: what is not printable ASCII is escaped, and a
/// long text cut short.
std::string quote(llvm::StringRef text);

} // namespace cleave::onnx
