// Reading ONNX files, which may be hostile: protobuf's parser bounds nesting and lengths, and
// what it gives is checked where it is used.
#include "compiler/import/onnx/model_file.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <limits>

using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;
namespace fs = llvm::sys::fs;
namespace path = llvm::sys::path;

namespace cleave::onnx {

/// The first version that says which operator sets a model uses.
static constexpr int64_t leastIrVersion = 3;

std::string quote(StringRef text) {
  constexpr size_t longest = 80;
  std::string result = "'";
  for (char c : text.take_front(longest)) {
    if (llvm::isPrint(c) && c != '\'')
      result += c;
    else
      result += "\\x" + llvm::utohexstr(static_cast<unsigned char>(c), /*LowerCase=*/true, 2);
  }
  return result + (text.size() > longest ? "...'" : "'");
}

llvm::Error ModelFile::error(const Twine &message) const {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), filePath + ": " + message);
}

Expected<ModelFile> ModelFile::open(StringRef path) {
  ModelFile file;
  file.filePath = path.str();
  // A pipe or a device would block or never end.
  fs::file_status status;
  if (std::error_code code = fs::status(path, status))
    return file.error("cannot open the file: " + code.message());
  if (status.type() != fs::file_type::regular_file)
    return file.error("is not a regular file; expected an ONNX model");
  if (status.getSize() > std::numeric_limits<int32_t>::max())
    return file.error("has " + Twine(status.getSize()) +
                      " bytes, but an ONNX model has at most 2 GiB; save it with external data");
  auto buffer =
      llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer)
    return file.error("cannot read the file: " + buffer.getError().message());
  file.proto = std::make_unique<::onnx::ModelProto>();
  if (!file.proto->ParseFromArray((*buffer)->getBufferStart(), (*buffer)->getBufferSize()))
    return file.error("is no ONNX model, or is truncated: it is not in protobuf's format");
  if (!file.proto->has_graph())
    return file.error("is no ONNX model, or is truncated: it has no graph");
  int64_t version = file.proto->ir_version();
  if (version < leastIrVersion || version > ::onnx::Version_MAX)
    return file.error("has IR version " + Twine(version) + "; expected " + Twine(leastIrVersion) +
                      " to " + Twine(static_cast<int64_t>(::onnx::Version_MAX)));
  if (file.proto->graph().sparse_initializer_size() > 0)
    return file.error("has sparse initializers, which are not supported; make them dense");
  file.indexTensors();
  return file;
}

void ModelFile::indexTensors() {
  for (const ::onnx::TensorProto &tensor : proto->graph().initializer())
    tensors.try_emplace(tensor.name(), &tensor);
  for (const ::onnx::NodeProto &node : proto->graph().node())
    if (node.op_type() == "Constant" && node.output_size() == 1)
      for (const ::onnx::AttributeProto &attribute : node.attribute())
        if (attribute.name() == "value" && attribute.has_t())
          tensors.try_emplace(node.output(0), &attribute.t());
}

const ::onnx::TensorProto *ModelFile::findTensor(StringRef name) const {
  return tensors.lookup(name);
}

Expected<TensorBytes> ModelFile::data(const ::onnx::TensorProto &tensor) {
  TensorBytes result;
  std::string name = filePath + ": tensor " + quote(tensor.name());
  try {
    OnnxTensorInfo info = describeOnnxTensor(tensor, name);
    if (tensor.data_location() == ::onnx::TensorProto::EXTERNAL) {
      Expected<llvm::ArrayRef<std::byte>> bytes = externalData(tensor, info.bytes);
      if (!bytes)
        return bytes.takeError();
      result.bytes = *bytes;
    } else if (tensor.has_raw_data() && tensor.raw_data().size() == info.bytes) {
      const std::string &raw = tensor.raw_data();
      result.bytes = {reinterpret_cast<const std::byte *>(raw.data()), raw.size()};
    } else {
      result.own = readOnnxTensor(tensor, name).data;
      result.bytes = result.own;
    }
    return result;
  } catch (const std::exception &error) {
    return llvm::createStringError(llvm::inconvertibleErrorCode(), error.what());
  }
}

Expected<const llvm::MemoryBuffer *> ModelFile::openExternal(StringRef tensor, StringRef location) {
  auto fail = [&](const Twine &message) {
    return error("tensor " + quote(tensor) + " has its data in " + quote(location) + ", " +
                 message);
  };
  if (auto it = externalFiles.find(location.str()); it != externalFiles.end())
    return it->second.get();
  if (location.empty() || location.contains('\0') || path::is_absolute(location) ||
      llvm::is_contained(llvm::make_range(path::begin(location), path::end(location)), ".."))
    return fail("expected a path inside the model's folder");
  llvm::SmallString<256> folder(filePath), realFolder, realFile;
  path::remove_filename(folder);
  if (folder.empty())
    folder = ".";
  llvm::SmallString<256> file(folder);
  path::append(file, location);
  if (std::error_code code = fs::real_path(folder, realFolder))
    return fail(code.message());
  if (std::error_code code = fs::real_path(file, realFile))
    return fail(code.message());
  // A link may lead out of the folder.
  StringRef rest = realFile;
  if (!rest.consume_front(realFolder) || !(rest.starts_with("/") || realFolder.ends_with("/")))
    return fail("which leads out of the model's folder");
  if (!fs::is_regular_file(realFile))
    return fail("which is not a regular file");
  auto buffer = llvm::MemoryBuffer::getFile(realFile, /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
  if (!buffer)
    return fail(buffer.getError().message());
  return externalFiles.emplace(location.str(), std::move(*buffer)).first->second.get();
}

Expected<llvm::ArrayRef<std::byte>> ModelFile::externalData(const ::onnx::TensorProto &tensor,
                                                            uint64_t bytes) {
  auto fail = [&](const Twine &message) {
    return error("tensor " + quote(tensor.name()) + " has external data " + message);
  };
  StringRef location;
  uint64_t offset = 0, length = bytes;
  for (const ::onnx::StringStringEntryProto &entry : tensor.external_data()) {
    StringRef value = entry.value();
    if (entry.key() == "location")
      location = value;
    else if (entry.key() == "offset" && value.getAsInteger(10, offset))
      return fail("at offset " + quote(value) + ", expected a number");
    else if (entry.key() == "length" && value.getAsInteger(10, length))
      return fail("of length " + quote(value) + ", expected a number");
  }
  Expected<const llvm::MemoryBuffer *> buffer = openExternal(tensor.name(), location);
  if (!buffer)
    return buffer.takeError();
  if (length != bytes)
    return fail("of " + Twine(length) + " bytes, but its sizes ask for " + Twine(bytes));
  uint64_t size = (*buffer)->getBufferSize();
  if (offset > size || bytes > size - offset)
    return fail("of " + Twine(bytes) + " bytes at offset " + Twine(offset) + " of " +
                quote(location) + ", which has " + Twine(size) + " bytes; it may be truncated");
  auto begin = reinterpret_cast<const std::byte *>((*buffer)->getBufferStart());
  return llvm::ArrayRef<std::byte>(begin + offset, bytes);
}

} // namespace cleave::onnx
