// The header is a Python literal of three known keys; nothing else is accepted.
#include "runtime/program/npy.h"

#include <algorithm>
#include <bit>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <new>
#include <optional>
#include <stdexcept>

namespace cleave {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view magic = "\x93NUMPY";
constexpr size_t maxHeaderBytes = size_t{64} << 10;

struct Descr {
  std::string_view text; ///< what NumPy calls it
  ElementType type;
};
constexpr Descr descrs[] = {
    {"<f4", ElementType::f32},  {"<f2", ElementType::f16}, {"<i4", ElementType::i32},
    {"<i8", ElementType::i64},  {"|i1", ElementType::i8},  {"|u1", ElementType::u8},
    {"|b1", ElementType::i1},   {"<f8", ElementType::f64}, {"<i2", ElementType::i16},
    {"<u2", ElementType::u16},  {"<u4", ElementType::u32}, {"<u8", ElementType::u64},
    {"<V2", ElementType::bf16},
};

[[noreturn]] void fail(std::string_view name, const std::string &what) {
  throw std::runtime_error(std::string(name) + ": " + what);
}

/// A file's text in a message: short, and only what can be printed.
std::string shown(std::string_view text) {
  std::string result;
  for (char c : text.substr(0, 40))
    result += std::isprint(static_cast<unsigned char>(c)) ? c : '?';
  return "'" + result + (text.size() > 40 ? "..." : "") + "'";
}

/// Reads the header's dictionary, front to back.
class Parser {
public:
  Parser(std::string_view text, std::string_view name) : text(text), name(name) {}

  bool accept(std::string_view token) {
    skipSpace();
    if (!text.starts_with(token))
      return false;
    text.remove_prefix(token.size());
    return true;
  }

  void expect(std::string_view token) {
    if (!accept(token))
      fail(name, "not a .npy header: expected '" + std::string(token) + "' at " + shown(text));
  }

  std::string_view string() {
    char quote = accept("'") ? '\'' : '"';
    if (quote == '"')
      expect("\"");
    size_t end = text.find(quote);
    if (end == std::string_view::npos)
      fail(name, "not a .npy header: a string without an end");
    std::string_view value = text.substr(0, end);
    text.remove_prefix(end + 1);
    return value;
  }

  bool boolean() {
    if (accept("True"))
      return true;
    expect("False");
    return false;
  }

  std::vector<int64_t> tuple() {
    std::vector<int64_t> values;
    expect("(");
    while (!accept(")")) {
      skipSpace();
      int64_t value = 0;
      auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (error != std::errc() || value < 0)
        fail(name, "no size of a dimension: " + shown(text));
      text.remove_prefix(end - text.data());
      if (values.size() == maxNpyDims)
        fail(name, "more than " + std::to_string(maxNpyDims) + " dimensions");
      values.push_back(value);
      if (!accept(",")) {
        expect(")");
        break;
      }
    }
    return values;
  }

  bool atEnd() {
    skipSpace();
    return text.empty();
  }

private:
  void skipSpace() { text.remove_prefix(std::min(text.find_first_not_of(" \n\t"), text.size())); }

  std::string_view text;
  std::string_view name;
};

ElementType typeOf(std::string_view descr, std::string_view name) {
  for (const Descr &known : descrs)
    if (known.text == descr)
      return known.type;
  std::string names;
  for (const Descr &known : descrs)
    names += (names.empty() ? "" : ", ") + std::string(known.text);
  fail(name, "elements of type " + shown(descr) + "; known are " + names +
                 " (in NumPy: array.astype('float32'))");
}

size_t dataBytesOf(const NpyHeader &header, std::string_view name) {
  uint64_t bytes = elementTypeInfo(header.type).blockBytes;
  for (int64_t dim : header.dims)
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(dim), &bytes))
      fail(name, "the dimensions' product does not fit 64 bits");
  return bytes;
}

/// The file's bytes, whose first dimension varies fastest, row-major.
std::vector<std::byte> transposed(const NpyArray &array) {
  size_t size = elementTypeInfo(array.type).blockBytes;
  std::vector<std::byte> result(array.data.size());
  std::vector<int64_t> index(array.dims.size());
  for (size_t to = 0; to < result.size(); to += size) {
    size_t from = 0;
    for (size_t d = index.size(); d-- > 0;)
      from = from * array.dims[d] + index[d];
    std::memcpy(result.data() + to, array.data.data() + from * size, size);
    for (size_t d = index.size(); d-- > 0;) { // the next index, the last dimension first
      if (++index[d] < array.dims[d])
        break;
      index[d] = 0;
    }
  }
  return result;
}

std::runtime_error systemError(const std::filesystem::path &path, const char *what) {
  return std::runtime_error(path.string() + ": " + what + ": " + std::strerror(errno));
}

} // namespace

NpyHeader parseNpyHeader(std::span<const std::byte> bytes, uint64_t fileBytes,
                         std::string_view name) {
  std::string_view text(reinterpret_cast<const char *>(bytes.data()), bytes.size());
  if (text.size() < 10 || !text.starts_with(magic))
    fail(name, "not a .npy file");
  auto byteAt = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(text[i])); };
  size_t version = byteAt(6);
  if (version < 1 || version > 3)
    fail(name, "version " + std::to_string(version) + " of the .npy format; known are 1 to 3");
  size_t lengthBytes = version == 1 ? 2 : 4;
  size_t begin = 8 + lengthBytes;
  if (text.size() < begin)
    fail(name, "truncated in its header");
  size_t length = 0;
  for (size_t i = 0; i < lengthBytes; ++i)
    length |= byteAt(8 + i) << (8 * i);
  if (length > maxHeaderBytes)
    fail(name, "a header of " + std::to_string(length) + " bytes; no array needs that");
  if (text.size() - begin < length)
    fail(name, "truncated in its header");

  NpyHeader header;
  Parser parser(text.substr(begin, length), name);
  std::optional<ElementType> type;
  std::optional<bool> fortranOrder;
  std::optional<std::vector<int64_t>> dims;
  parser.expect("{");
  while (!parser.accept("}")) {
    std::string_view key = parser.string();
    parser.expect(":");
    if (key == "descr" && !type)
      type = typeOf(parser.string(), name);
    else if (key == "fortran_order" && !fortranOrder)
      fortranOrder = parser.boolean();
    else if (key == "shape" && !dims)
      dims = parser.tuple();
    else
      fail(name, "not a .npy header: key " + shown(key));
    if (!parser.accept(",")) {
      parser.expect("}");
      break;
    }
  }
  if (!parser.atEnd() || !type || !fortranOrder || !dims)
    fail(name, "not a .npy header: needs descr, fortran_order and shape, and nothing else");
  header.type = *type;
  header.fortranOrder = *fortranOrder;
  header.dims = std::move(*dims);
  header.dataOffset = begin + length;
  header.dataBytes = dataBytesOf(header, name);
  if (fileBytes - header.dataOffset != header.dataBytes)
    fail(name, "has " + std::to_string(fileBytes - header.dataOffset) +
                   " bytes of data where its header asks for " + std::to_string(header.dataBytes));
  return header;
}

NpyArray readNpy(const std::filesystem::path &path) {
  std::error_code error;
  if (std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error))
    throw std::runtime_error(path.string() + ": not a regular file");
  std::ifstream file(path, std::ios::binary);
  uint64_t size = file ? std::filesystem::file_size(path, error) : 0;
  if (!file || error)
    throw systemError(path, "cannot be opened");
  std::vector<std::byte> start(std::min<uint64_t>(size, maxHeaderBytes + 12));
  file.read(reinterpret_cast<char *>(start.data()), static_cast<std::streamsize>(start.size()));
  if (!file)
    throw systemError(path, "cannot be read");
  NpyHeader header = parseNpyHeader(start, size, path.string());
  NpyArray array;
  array.type = header.type;
  array.dims = header.dims;
  try {
    array.data.resize(header.dataBytes);
    file.seekg(static_cast<std::streamoff>(header.dataOffset));
    file.read(reinterpret_cast<char *>(array.data.data()),
              static_cast<std::streamsize>(array.data.size()));
    if (!file)
      throw systemError(path, "cannot be read");
    if (header.fortranOrder && !array.data.empty())
      array.data = transposed(array);
  } catch (const std::bad_alloc &) {
    throw std::runtime_error(path.string() + ": " + std::to_string(header.dataBytes) +
                             " bytes of data do not fit in memory");
  }
  return array;
}

NpyWriter::NpyWriter(std::filesystem::path filePath, ElementType type, std::vector<int64_t> rowDims,
                     bool hasRows)
    : path(std::move(filePath)), file(path, std::ios::binary | std::ios::trunc), type(type),
      rowDims(std::move(rowDims)), hasRows(hasRows) {
  if (!file)
    throw systemError(path, "cannot be written");
  rowBytes = elementTypeInfo(type).blockBytes;
  for (int64_t dim : this->rowDims)
    rowBytes *= static_cast<uint64_t>(dim);
  writeHeader();
}

void NpyWriter::writeHeader() {
  auto known = std::ranges::find(descrs, type, &Descr::type);
  if (known == std::end(descrs))
    throw std::runtime_error(path.string() + ": NumPy has no element type " +
                             std::string(elementTypeInfo(type).name));
  std::string text =
      "{'descr': '" + std::string(known->text) + "', 'fortran_order': False, " + "'shape': (";
  if (hasRows)
    text += std::to_string(rowBytes ? written / rowBytes : 0) + ", ";
  for (int64_t dim : rowDims)
    text += std::to_string(dim) + ", ";
  text += "), }";
  // The length does not depend on the number of rows, so that finish() can write
  // the header once more; data begins at a multiple of 64.
  constexpr size_t prefix = 10;
  constexpr size_t longestNumber = 22;
  size_t padded = (prefix + 128 + rowDims.size() * longestNumber + 63) / 64 * 64;
  text.resize(padded - prefix - 1, ' ');
  text += '\n';
  file.seekp(0);
  file << magic << '\x01' << '\0' << static_cast<char>(text.size() & 0xff)
       << static_cast<char>(text.size() >> 8) << text;
  if (!file)
    throw systemError(path, "cannot be written");
}

void NpyWriter::append(std::span<const std::byte> rows) {
  file.write(reinterpret_cast<const char *>(rows.data()),
             static_cast<std::streamsize>(rows.size()));
  if (!file)
    throw systemError(path, "cannot be written");
  written += rows.size();
}

void NpyWriter::finish() {
  writeHeader();
  file.close();
  if (!file)
    throw systemError(path, "cannot be written");
}

void writeNpy(const std::filesystem::path &path, ElementType type, std::span<const int64_t> dims,
              std::span<const std::byte> data) {
  NpyWriter writer(path, type, {dims.begin(), dims.end()}, false);
  writer.append(data);
  writer.finish();
}

} // namespace cleave
