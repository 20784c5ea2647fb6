// Opening a GGUF file: the one walk over it that proves its structure. Looking
// things up afterwards is in lookup.cpp. The format: docs/gguf.md of the ggml
// project (header, key-value pairs, tensor descriptions, padding, tensor data).
#include "compiler/import/gguf/reader.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MathExtras.h"

#include <algorithm>

using namespace llvm;

namespace cleave::gguf {

namespace {

constexpr uint64_t maxDims = 4;
/// The format's limit on a key; names are held to the same.
constexpr uint64_t maxNameLength = 65535;
/// The fewest bytes that a key with its value and a tensor's description take.
constexpr uint64_t minEntryBytes = 8 + 1 + 4 + 1;
constexpr uint64_t minTensorBytes = 8 + 1 + 4 + 4 + 8;

/// Bytes of one value of a kind; 0 for strings and arrays.
uint64_t scalarBytes(ValueKind kind) {
  switch (kind) {
  case ValueKind::u8:
  case ValueKind::i8:
  case ValueKind::boolean:
    return 1;
  case ValueKind::u16:
  case ValueKind::i16:
    return 2;
  case ValueKind::u32:
  case ValueKind::i32:
  case ValueKind::f32:
    return 4;
  case ValueKind::u64:
  case ValueKind::i64:
  case ValueKind::f64:
    return 8;
  case ValueKind::string:
  case ValueKind::array:
    return 0;
  }
  return 0;
}

} // namespace

/// Walks the file once, front to back. Each function leaves `position` behind what
/// it read, or gives an error; `subject` says what is being read, for messages.
class Parser {
public:
  explicit Parser(File &file) : file(file) {}

  Error parse();

private:
  Error parseHeader();
  Error parseEntries();
  Error parseEntry(uint64_t index);
  Error checkValue(ValueKind kind, uint64_t count);
  Error parseAlignment();
  Error parseTensors();
  Error parseTensor(uint64_t index);
  Error placeTensors();
  Error placeTensor(Tensor &tensor, uint64_t dataStart);
  Error checkOverlaps();

  uint64_t remaining() const { return file.size() - position; }
  Error need(uint64_t bytes, const Twine &what);
  Error readU32(uint32_t &value, const Twine &what);
  Error readU64(uint64_t &value, const Twine &what);
  Error readString(StringRef &value, const Twine &what, uint64_t limit);
  /// An error at `offset` about `subject`.
  Error fail(uint64_t offset, const Twine &message) const;

  File &file;
  uint64_t position = 0;
  uint64_t tensorCount = 0;
  uint64_t entryCount = 0;
  std::string subject;
};

Error Parser::fail(uint64_t offset, const Twine &message) const {
  return file.error("at byte " + Twine(offset) + ": " + (subject.empty() ? "" : subject + ": ") +
                    message);
}

Error Parser::need(uint64_t bytes, const Twine &what) {
  if (bytes <= remaining())
    return Error::success();
  return fail(position, what + " takes " + Twine(bytes) + " bytes, but the file ends after " +
                            Twine(remaining()) + " more; it may be truncated");
}

Error Parser::readU32(uint32_t &value, const Twine &what) {
  if (Error e = need(4, what))
    return e;
  value = support::endian::read32le(file.at(position));
  position += 4;
  return Error::success();
}

Error Parser::readU64(uint64_t &value, const Twine &what) {
  if (Error e = need(8, what))
    return e;
  value = support::endian::read64le(file.at(position));
  position += 8;
  return Error::success();
}

Error Parser::readString(StringRef &value, const Twine &what, uint64_t limit) {
  uint64_t start = position;
  uint64_t length = 0;
  if (Error e = readU64(length, "the length of " + what))
    return e;
  if (length > limit)
    return fail(start,
                what + " has a length of " + Twine(length) + "; expected at most " + Twine(limit));
  if (Error e = need(length, what))
    return e;
  value = StringRef(file.at(position), length);
  position += length;
  return Error::success();
}

Error Parser::parse() {
  if (Error e = parseHeader())
    return e;
  if (Error e = parseEntries())
    return e;
  if (Error e = parseAlignment())
    return e;
  if (Error e = parseTensors())
    return e;
  return placeTensors();
}

Error Parser::parseHeader() {
  StringRef start(file.at(0), std::min<uint64_t>(file.size(), 4));
  if (start != "GGUF")
    return file.error(start.empty() ? Twine("the file is empty; expected a GGUF model")
                                    : "not a GGUF model: the file begins with " + quoted(start) +
                                          "; expected 'GGUF'");
  position = 4;
  uint32_t version = 0;
  if (Error e = readU32(version, "the version"))
    return e;
  if (version > 0xffff && byteswap(version) <= 0xffff)
    return fail(4, "a big-endian GGUF file (version " + Twine(byteswap(version)) +
                       "); expected little-endian: convert it with gguf-convert-endian");
  if (version != 2 && version != 3)
    return fail(4, "GGUF version " + Twine(version) + "; expected 2 or 3");
  file.fileVersion = version;

  if (Error e = readU64(tensorCount, "the number of tensors"))
    return e;
  if (Error e = readU64(entryCount, "the number of metadata keys"))
    return e;
  // Together with the walk itself this bounds what is allocated by the file's size.
  if (tensorCount > remaining() / minTensorBytes)
    return fail(8, "the header counts " + Twine(tensorCount) + " tensors, but only " +
                       Twine(remaining()) + " bytes follow; the file may be truncated");
  if (entryCount > remaining() / minEntryBytes)
    return fail(16, "the header counts " + Twine(entryCount) + " metadata keys, but only " +
                        Twine(remaining()) + " bytes follow; the file may be truncated");
  return Error::success();
}

Error Parser::parseEntries() {
  file.entries.reserve(entryCount);
  for (uint64_t i = 0; i < entryCount; ++i)
    if (Error e = parseEntry(i))
      return e;
  subject.clear();
  return Error::success();
}

Error Parser::parseEntry(uint64_t index) {
  subject = ("metadata key number " + Twine(index)).str();
  uint64_t start = position;
  StringRef key;
  if (Error e = readString(key, "the key", maxNameLength))
    return e;
  if (key.empty())
    return fail(start, "the key is empty");
  subject = "key " + quoted(key);
  if (!file.entryIndex.try_emplace(key, file.entries.size()).second)
    return fail(start, "the key stands twice in the file");

  uint64_t kindOffset = position;
  uint32_t kindNumber = 0;
  if (Error e = readU32(kindNumber, "the kind of the value"))
    return e;
  if (kindNumber > uint32_t(ValueKind::f64))
    return fail(kindOffset, "a value of kind " + Twine(kindNumber) + "; expected 0 to 12");
  auto kind = ValueKind(kindNumber);
  ValueKind elementKind = kind;
  uint64_t count = 1;
  if (kind == ValueKind::array) {
    kindOffset = position;
    if (Error e = readU32(kindNumber, "the kind of the array's elements"))
      return e;
    if (kindNumber > uint32_t(ValueKind::f64))
      return fail(kindOffset,
                  "an array of elements of kind " + Twine(kindNumber) + "; expected 0 to 12");
    elementKind = ValueKind(kindNumber);
    if (elementKind == ValueKind::array)
      return fail(kindOffset, "an array of arrays, which is not supported");
    if (Error e = readU64(count, "the length of the array"))
      return e;
  }
  file.entries.push_back({key, kind, elementKind, count, position});
  return checkValue(elementKind, count);
}

/// Passes over `count` values, proving that they lie in the file.
Error Parser::checkValue(ValueKind kind, uint64_t count) {
  uint64_t bytes = scalarBytes(kind);
  // A string takes at least its length's 8 bytes.
  if (count > remaining() / (bytes ? bytes : 8))
    return fail(position, "the value takes " + Twine(count) + " elements of kind " +
                              kindName(kind) + ", but the file ends after " + Twine(remaining()) +
                              " more bytes; it may be truncated");
  if (kind == ValueKind::string) {
    StringRef ignored;
    for (uint64_t i = 0; i < count; ++i)
      if (Error e = readString(ignored, "string number " + Twine(i), UINT64_MAX))
        return e;
    return Error::success();
  }
  if (kind == ValueKind::boolean)
    for (uint64_t i = 0; i < count; ++i)
      if (auto value = uint8_t(*file.at(position + i)); value > 1)
        return fail(position + i,
                    "a bool of value " + Twine(unsigned(value)) + "; expected 0 or 1");
  position += bytes * count;
  return Error::success();
}

Error Parser::parseAlignment() {
  Expected<std::optional<uint64_t>> alignment = file.getUInt("general.alignment");
  if (!alignment)
    return alignment.takeError();
  if (!*alignment)
    return Error::success();
  if (!isPowerOf2_64(**alignment))
    return file.keyError("general.alignment",
                         "the value is " + Twine(**alignment) + "; expected a power of two");
  file.dataAlignment = **alignment;
  return Error::success();
}

Error Parser::parseTensors() {
  file.tensorList.reserve(tensorCount);
  for (uint64_t i = 0; i < tensorCount; ++i)
    if (Error e = parseTensor(i))
      return e;
  subject.clear();
  return Error::success();
}

Error Parser::parseTensor(uint64_t index) {
  subject = ("tensor number " + Twine(index)).str();
  Tensor tensor;
  tensor.infoOffset = position;
  if (Error e = readString(tensor.name, "the name", maxNameLength))
    return e;
  if (tensor.name.empty())
    return fail(tensor.infoOffset, "the name is empty");
  subject = "tensor " + quoted(tensor.name);
  if (!file.tensorIndex.try_emplace(tensor.name, file.tensorList.size()).second)
    return fail(tensor.infoOffset, "the name stands twice in the file");

  uint64_t rankOffset = position;
  uint32_t rank = 0;
  if (Error e = readU32(rank, "the number of dims"))
    return e;
  if (rank > maxDims)
    return fail(rankOffset, Twine(rank) + " dims; expected at most " + Twine(maxDims));
  uint64_t elements = 1;
  for (uint32_t d = 0; d < rank; ++d) {
    uint64_t dimOffset = position;
    uint64_t dim = 0;
    if (Error e = readU64(dim, "dim " + Twine(d)))
      return e;
    if (dim == 0)
      return fail(dimOffset, "dim " + Twine(d) + " is 0; expected at least 1");
    if (__builtin_mul_overflow(elements, dim, &elements) || elements > uint64_t(INT64_MAX))
      return fail(dimOffset, "dim " + Twine(d) + " is " + Twine(dim) +
                                 "; the number of elements does not fit 63 bits");
    tensor.dims.push_back(int64_t(dim));
  }
  uint64_t typeOffset = position;
  if (Error e = readU32(tensor.typeId, "the element type"))
    return e;
  if (Error e = readU64(tensor.dataOffset, "the offset of the data"))
    return e;

  tensor.type = findElementTypeOfGguf(tensor.typeId);
  if (tensor.type) {
    int64_t rowLength = tensor.dims.empty() ? 1 : tensor.dims.front();
    if (rowLength % tensor.type->blockLength != 0)
      return fail(typeOffset, "rows of " + Twine(rowLength) + " elements of type " +
                                  tensor.typeName() + "; expected a multiple of " +
                                  Twine(tensor.type->blockLength));
    if (__builtin_mul_overflow(elements / tensor.type->blockLength, tensor.type->blockBytes,
                               &tensor.dataSize))
      return fail(typeOffset, "the size in bytes of " + Twine(elements) + " elements of type " +
                                  tensor.typeName() + " does not fit 64 bits");
  }
  file.tensorList.push_back(std::move(tensor));
  return Error::success();
}

/// Turns offsets into the data section into offsets into the file, and proves that
/// each tensor's data lies in it.
Error Parser::placeTensors() {
  uint64_t mask = file.dataAlignment - 1;
  if (position > UINT64_MAX - mask)
    return file.keyError("general.alignment", "the value is " + Twine(file.dataAlignment) +
                                                  ", which leaves no place for data");
  uint64_t dataStart = (position + mask) & ~mask;
  for (Tensor &tensor : file.tensorList) {
    subject = "tensor " + quoted(tensor.name);
    if (Error e = placeTensor(tensor, dataStart))
      return e;
  }
  subject.clear();
  return checkOverlaps();
}

Error Parser::placeTensor(Tensor &tensor, uint64_t dataStart) {
  uint64_t offset = tensor.dataOffset;
  if (offset % file.dataAlignment != 0)
    return fail(tensor.infoOffset, "the data is at offset " + Twine(offset) +
                                       "; expected a multiple of the alignment " +
                                       Twine(file.dataAlignment));
  uint64_t begin = 0, end = 0;
  if (__builtin_add_overflow(dataStart, offset, &begin) ||
      __builtin_add_overflow(begin, tensor.dataSize, &end) || end > file.size())
    return fail(tensor.infoOffset,
                "the data takes " + Twine(tensor.dataSize) + " bytes at offset " + Twine(offset) +
                    " of the data section, which begins at byte " + Twine(dataStart) +
                    ", but the file has " + Twine(file.size()) + " bytes; it may be truncated");
  tensor.dataOffset = begin;
  return Error::success();
}

Error Parser::checkOverlaps() {
  // A tensor of unknown element type has a size of 0 here and overlaps nothing.
  std::vector<const Tensor *> order;
  order.reserve(file.tensorList.size());
  for (const Tensor &tensor : file.tensorList)
    if (tensor.dataSize > 0)
      order.push_back(&tensor);
  llvm::sort(order, [](const Tensor *a, const Tensor *b) {
    return std::pair(a->dataOffset, a->infoOffset) < std::pair(b->dataOffset, b->infoOffset);
  });
  for (size_t i = 1; i < order.size(); ++i) {
    const Tensor &before = *order[i - 1], &tensor = *order[i];
    if (before.dataOffset + before.dataSize > tensor.dataOffset)
      return file.tensorError(tensor, "the data at byte " + Twine(tensor.dataOffset) +
                                          " overlaps that of tensor " + quoted(before.name) +
                                          ", which takes " + Twine(before.dataSize) +
                                          " bytes at byte " + Twine(before.dataOffset));
  }
  return Error::success();
}

Expected<File> File::open(StringRef path) {
  File file;
  file.filePath = path.str();
  // A pipe or a device would block or never end.
  sys::fs::file_status status;
  if (std::error_code code = sys::fs::status(path, status))
    return file.error("cannot open the file: " + code.message());
  if (status.type() != sys::fs::file_type::regular_file)
    return file.error(status.type() == sys::fs::file_type::directory_file
                          ? "is a folder; expected a GGUF model"
                          : "is not a regular file; expected a GGUF model");
  ErrorOr<std::unique_ptr<MemoryBuffer>> buffer =
      MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer)
    return file.error("cannot read the file: " + buffer.getError().message());
  file.buffer = std::move(*buffer);
  if (Error e = Parser(file).parse())
    return e;
  return file;
}

} // namespace cleave::gguf
