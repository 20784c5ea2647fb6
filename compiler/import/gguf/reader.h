// Reads GGUF files, versions 2 and 3: metadata, and where each tensor's bytes
// lie. A file is hostile input: open() proves every count, length, offset,
// dimension, type and alignment against the file's size, and nothing here
// allocates more than a small multiple of it. What the metadata means is the
// importer's business (import.h); what a block's bytes mean, block_formats.h's.
#pragma once

#include "runtime/program/element_type.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/MemoryBuffer.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cleave::gguf {

/// What a metadata value is, numbered as GGUF's `gguf_metadata_value_type`.
enum class ValueKind : uint32_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12,
};

/// Why a file, or something in it, was refused. The message names the file, the
/// offset in it, and the tensor or key.
class FileError : public llvm::ErrorInfo<FileError> {
public:
  static char ID;

  explicit FileError(std::string message) : message(std::move(message)) {}

  void log(llvm::raw_ostream &os) const override { os << message; }
  std::error_code convertToErrorCode() const override { return llvm::inconvertibleErrorCode(); }

private:
  std::string message;
};

/// A tensor's description. Strings and bytes lie in the file's memory.
struct Tensor {
  llvm::StringRef name;
  /// The file's number for the element type (ggml's `enum ggml_type`), and its row
  /// in the table of element types: null where the table has none. Such a tensor is
  /// listed, and only its use is refused (File::data).
  uint32_t typeId = 0;
  const ElementTypeInfo *type = nullptr;
  /// As ggml writes them, innermost first; 0 to 4 dims, each at least 1.
  llvm::SmallVector<int64_t, 4> dims;
  /// Where the description and the data begin, in bytes from the file's start.
  uint64_t infoOffset = 0;
  uint64_t dataOffset = 0;
  /// Bytes of data; 0 where the element type is unknown.
  uint64_t dataSize = 0;

  /// The dims outermost first, as tensor types and NumPy write them.
  llvm::SmallVector<int64_t, 4> shape() const;
  /// "q8_0"; for a type that is not in the table ggml's name, or "GGUF type 77".
  std::string typeName() const;
};

/// An open file, mapped into memory. Movable; views stay valid as long as it lives.
/// The typed getters give nothing where the key is absent, and an error that names
/// the key and both kinds where its value is of another kind.
class File {
public:
  /// Opens and checks `path`, which must be a regular file.
  static llvm::Expected<File> open(llvm::StringRef path);

  llvm::StringRef path() const { return filePath; }
  uint32_t version() const { return fileVersion; }
  uint64_t size() const { return buffer->getBufferSize(); }
  uint64_t alignment() const { return dataAlignment; }

  bool has(llvm::StringRef key) const { return entryIndex.contains(key); }
  llvm::Expected<std::optional<llvm::StringRef>> getString(llvm::StringRef key) const;
  /// Any integer kind that is not negative.
  llvm::Expected<std::optional<uint64_t>> getUInt(llvm::StringRef key) const;
  /// f32 or f64.
  llvm::Expected<std::optional<double>> getFloat(llvm::StringRef key) const;
  llvm::Expected<std::optional<bool>> getBool(llvm::StringRef key) const;
  llvm::Expected<std::optional<std::vector<llvm::StringRef>>> getStrings(llvm::StringRef key) const;
  /// An array of any integer kind; a u64 above the largest i64 is an error.
  llvm::Expected<std::optional<std::vector<int64_t>>> getInts(llvm::StringRef key) const;
  /// An array of f32 or f64.
  llvm::Expected<std::optional<std::vector<double>>> getFloats(llvm::StringRef key) const;
  /// Whether the key's value is an array.
  bool isArray(llvm::StringRef key) const;

  /// All tensors, in the file's order.
  llvm::ArrayRef<Tensor> tensors() const { return tensorList; }
  /// The tensor of that name, or null.
  const Tensor *findTensor(llvm::StringRef name) const;
  /// The tensor's bytes; an error where its element type is unknown.
  llvm::Expected<llvm::ArrayRef<uint8_t>> data(const Tensor &tensor) const;

  /// An error in this file's form, about the whole file, a key's value, or a tensor.
  llvm::Error error(const llvm::Twine &message) const;
  llvm::Error keyError(llvm::StringRef key, const llvm::Twine &message) const;
  llvm::Error tensorError(const Tensor &tensor, const llvm::Twine &message) const;

private:
  friend class Parser;

  /// A key and where its value's bytes are; for an array those of its elements.
  struct Entry {
    llvm::StringRef key;
    ValueKind kind;
    ValueKind elementKind;
    uint64_t count;
    uint64_t offset;
  };

  File() = default;
  const Entry *findEntry(llvm::StringRef key) const;
  llvm::Error kindError(const Entry &entry, llvm::StringRef expected) const;
  llvm::Expected<const Entry *> findArray(llvm::StringRef key, llvm::StringRef expected,
                                          bool (*accepts)(ValueKind)) const;
  const char *at(uint64_t offset) const { return buffer->getBufferStart() + offset; }

  std::string filePath;
  std::unique_ptr<llvm::MemoryBuffer> buffer;
  uint32_t fileVersion = 0;
  uint64_t dataAlignment = 32;
  std::vector<Entry> entries;
  std::vector<Tensor> tensorList;
  llvm::StringMap<size_t> entryIndex;
  llvm::StringMap<size_t> tensorIndex;
};

/// `text` between single quotes for a message: what is not printable ASCII is
/// escaped, and a long text cut short.
std::string quoted(llvm::StringRef text);

/// The name of a kind of value, "string" or "array of u32".
std::string kindName(ValueKind kind);

} // namespace cleave::gguf
