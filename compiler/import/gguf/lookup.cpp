// Looking things up in an open GGUF file, and how its errors read. Everything
// read here was proved to lie in the file by the walk in reader.cpp.
#include "compiler/import/gguf/reader.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"

#include <algorithm>
#include <bit>

using namespace llvm;

namespace cleave::gguf {

char FileError::ID = 0;

namespace {

bool isInteger(ValueKind kind) {
  return kind != ValueKind::f32 && kind != ValueKind::boolean && kind != ValueKind::string &&
         kind != ValueKind::array && kind != ValueKind::f64;
}

bool isFloat(ValueKind kind) {
  return kind == ValueKind::f32 || kind == ValueKind::f64;
}

bool isString(ValueKind kind) {
  return kind == ValueKind::string;
}

/// An integer of any kind, with its sign: every u64 and i64 is represented.
struct Integer {
  bool negative;
  uint64_t bits;
};

/// Reads the integer number `index` of those at `data`.
Integer readInteger(ValueKind kind, const char *data, uint64_t index) {
  auto from = [](int64_t value) { return Integer{value < 0, uint64_t(value)}; };
  using namespace support::endian;
  switch (kind) {
  case ValueKind::u8:
    return {false, uint8_t(data[index])};
  case ValueKind::i8:
    return from(int8_t(data[index]));
  case ValueKind::u16:
    return {false, read16le(data + 2 * index)};
  case ValueKind::i16:
    return from(int16_t(read16le(data + 2 * index)));
  case ValueKind::u32:
    return {false, read32le(data + 4 * index)};
  case ValueKind::i32:
    return from(int32_t(read32le(data + 4 * index)));
  case ValueKind::i64:
    return from(int64_t(read64le(data + 8 * index)));
  default:
    return {false, read64le(data + 8 * index)};
  }
}

double readFloat(ValueKind kind, const char *data, uint64_t index) {
  using namespace support::endian;
  if (kind == ValueKind::f32)
    return std::bit_cast<float>(read32le(data + 4 * index));
  return std::bit_cast<double>(read64le(data + 8 * index));
}

/// ggml's names of the element types that our table may lack.
std::optional<StringRef> ggmlTypeName(uint32_t id) {
  static constexpr StringLiteral names[] = {
      "f32",     "f16",   "q4_0",   "q4_1",  "",      "",       "q5_0", "q5_1",    "q8_0",
      "q8_1",    "q2_k",  "q3_k",   "q4_k",  "q5_k",  "q6_k",   "q8_k", "iq2_xxs", "iq2_xs",
      "iq3_xxs", "iq1_s", "iq4_nl", "iq3_s", "iq2_s", "iq4_xs", "i8",   "i16",     "i32",
      "i64",     "f64",   "iq1_m",  "bf16",  "",      "",       "",     "tq1_0",   "tq2_0",
      "",        "",      "",       "mxfp4", "nvfp4",
  };
  if (id >= std::size(names) || names[id].empty())
    return std::nullopt;
  return names[id];
}

} // namespace

std::string quoted(StringRef text) {
  constexpr size_t limit = 80;
  std::string result = "'";
  for (unsigned char c : text.take_front(limit)) {
    if (isPrint(c))
      result += char(c);
    else
      result += "\\x" + utohexstr(c, /*LowerCase=*/true, /*Width=*/2);
  }
  return result + (text.size() > limit ? "...'" : "'");
}

std::string kindName(ValueKind kind) {
  static constexpr StringLiteral names[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                            "bool", "string", "array", "u64", "i64", "f64"};
  return names[uint32_t(kind)].str();
}

SmallVector<int64_t, 4> Tensor::shape() const {
  return SmallVector<int64_t, 4>(dims.rbegin(), dims.rend());
}

std::string Tensor::typeName() const {
  if (type)
    return std::string(type->name);
  if (std::optional<StringRef> name = ggmlTypeName(typeId))
    return name->str();
  return ("GGUF type " + Twine(typeId)).str();
}

Error File::error(const Twine &message) const {
  return make_error<FileError>((Twine(filePath) + ": " + message).str());
}

Error File::keyError(StringRef key, const Twine &message) const {
  const Entry *entry = findEntry(key);
  return error((entry ? "at byte " + Twine(entry->offset) + ": " : Twine()) + "key " + quoted(key) +
               ": " + message);
}

Error File::tensorError(const Tensor &tensor, const Twine &message) const {
  return error("at byte " + Twine(tensor.infoOffset) + ": tensor " + quoted(tensor.name) + ": " +
               message);
}

const File::Entry *File::findEntry(StringRef key) const {
  auto found = entryIndex.find(key);
  return found == entryIndex.end() ? nullptr : &entries[found->second];
}

Error File::kindError(const Entry &entry, StringRef expected) const {
  return keyError(entry.key,
                  "the value is of kind " + kindName(entry.kind) +
                      (entry.kind == ValueKind::array ? " of " + kindName(entry.elementKind) : "") +
                      "; expected " + expected);
}

bool File::isArray(StringRef key) const {
  const Entry *entry = findEntry(key);
  return entry && entry->kind == ValueKind::array;
}

Expected<std::optional<StringRef>> File::getString(StringRef key) const {
  const Entry *entry = findEntry(key);
  if (!entry)
    return std::nullopt;
  if (entry->kind != ValueKind::string)
    return kindError(*entry, "a string");
  return StringRef(at(entry->offset + 8), support::endian::read64le(at(entry->offset)));
}

Expected<std::optional<uint64_t>> File::getUInt(StringRef key) const {
  const Entry *entry = findEntry(key);
  if (!entry)
    return std::nullopt;
  if (!isInteger(entry->kind))
    return kindError(*entry, "an integer");
  Integer value = readInteger(entry->kind, at(entry->offset), 0);
  if (value.negative)
    return keyError(key, "the value is " + Twine(int64_t(value.bits)) + "; expected at least 0");
  return value.bits;
}

Expected<std::optional<double>> File::getFloat(StringRef key) const {
  const Entry *entry = findEntry(key);
  if (!entry)
    return std::nullopt;
  if (!isFloat(entry->kind))
    return kindError(*entry, "f32 or f64");
  return readFloat(entry->kind, at(entry->offset), 0);
}

Expected<std::optional<bool>> File::getBool(StringRef key) const {
  const Entry *entry = findEntry(key);
  if (!entry)
    return std::nullopt;
  if (entry->kind != ValueKind::boolean)
    return kindError(*entry, "a bool");
  return *at(entry->offset) != 0;
}

/// The entry of an array whose elements `accepts`, null where the key is absent.
Expected<const File::Entry *> File::findArray(StringRef key, StringRef expected,
                                              bool (*accepts)(ValueKind)) const {
  const Entry *entry = findEntry(key);
  if (entry && (entry->kind != ValueKind::array || !accepts(entry->elementKind)))
    return kindError(*entry, expected);
  return entry;
}

Expected<std::optional<std::vector<StringRef>>> File::getStrings(StringRef key) const {
  Expected<const Entry *> entry = findArray(key, "an array of strings", isString);
  if (!entry)
    return entry.takeError();
  if (!*entry)
    return std::nullopt;
  std::vector<StringRef> result;
  result.reserve((*entry)->count);
  uint64_t offset = (*entry)->offset;
  for (uint64_t i = 0; i < (*entry)->count; ++i) {
    uint64_t length = support::endian::read64le(at(offset));
    result.emplace_back(at(offset + 8), length);
    offset += 8 + length;
  }
  return result;
}

Expected<std::optional<std::vector<int64_t>>> File::getInts(StringRef key) const {
  Expected<const Entry *> entry = findArray(key, "an array of integers", isInteger);
  if (!entry)
    return entry.takeError();
  if (!*entry)
    return std::nullopt;
  std::vector<int64_t> result;
  result.reserve((*entry)->count);
  for (uint64_t i = 0; i < (*entry)->count; ++i) {
    Integer value = readInteger((*entry)->elementKind, at((*entry)->offset), i);
    if (!value.negative && value.bits > uint64_t(INT64_MAX))
      return keyError(key, "element " + Twine(i) + " is " + Twine(value.bits) +
                               "; expected at most " + Twine(INT64_MAX));
    result.push_back(int64_t(value.bits));
  }
  return result;
}

Expected<std::optional<std::vector<double>>> File::getFloats(StringRef key) const {
  Expected<const Entry *> entry = findArray(key, "an array of f32 or f64", isFloat);
  if (!entry)
    return entry.takeError();
  if (!*entry)
    return std::nullopt;
  std::vector<double> result;
  result.reserve((*entry)->count);
  for (uint64_t i = 0; i < (*entry)->count; ++i)
    result.push_back(readFloat((*entry)->elementKind, at((*entry)->offset), i));
  return result;
}

const Tensor *File::findTensor(StringRef name) const {
  auto found = tensorIndex.find(name);
  return found == tensorIndex.end() ? nullptr : &tensorList[found->second];
}

Expected<ArrayRef<uint8_t>> File::data(const Tensor &tensor) const {
  if (!tensor.type)
    return tensorError(tensor,
                       "the element type is " + tensor.typeName() + ", which is not supported");
  return ArrayRef<uint8_t>(reinterpret_cast<const uint8_t *>(at(tensor.dataOffset)),
                           tensor.dataSize);
}

} // namespace cleave::gguf
