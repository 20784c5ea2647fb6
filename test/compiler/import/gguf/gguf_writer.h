// Writes GGUF files for tests: well-formed by default, and wrong wherever a test
// asks for it. Everything is appended to a string as the format lays it out.
#pragma once

#include "llvm/Support/Error.h"

#include <unistd.h>

#include <bit>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace cleave::gguf::test {

/// Bytes under construction, little-endian.
struct Bytes {
  std::string data;

  template <typename Int> Bytes &put(Int value) {
    for (size_t i = 0; i < sizeof(Int); ++i)
      data += char(uint64_t(value) >> (8 * i));
    return *this;
  }
  Bytes &u32(uint32_t value) { return put(value); }
  Bytes &u64(uint64_t value) { return put(value); }
  Bytes &f32(float value) { return put(std::bit_cast<uint32_t>(value)); }
  Bytes &f64(double value) { return put(std::bit_cast<uint64_t>(value)); }
  Bytes &raw(std::string_view bytes) {
    data += bytes;
    return *this;
  }
  Bytes &string(std::string_view text) { return u64(text.size()).raw(text); }
};

/// A GGUF file: keys and tensors in the order added.
class GgufWriter {
public:
  uint32_t version = 3;
  uint64_t alignment = 32;
  /// What is added to the counts in the header, to make them wrong.
  uint64_t extraTensors = 0, extraKeys = 0;

  /// A key with its value's kind and bytes as given.
  GgufWriter &value(std::string_view key, uint32_t kind, const Bytes &bytes) {
    keys.string(key).u32(kind).raw(bytes.data);
    ++keyCount;
    return *this;
  }
  GgufWriter &u32(std::string_view key, uint32_t v) { return value(key, 4, Bytes().u32(v)); }
  GgufWriter &i32(std::string_view key, int32_t v) { return value(key, 5, Bytes().put(v)); }
  GgufWriter &f32(std::string_view key, float v) { return value(key, 6, Bytes().f32(v)); }
  GgufWriter &boolean(std::string_view key, bool v) {
    return value(key, 7, Bytes().put(uint8_t(v)));
  }
  GgufWriter &string(std::string_view key, std::string_view v) {
    return value(key, 8, Bytes().string(v));
  }
  GgufWriter &array(std::string_view key, uint32_t elementKind, uint64_t count,
                    const Bytes &elements) {
    return value(key, 9, Bytes().u32(elementKind).u64(count).raw(elements.data));
  }
  GgufWriter &strings(std::string_view key, const std::vector<std::string> &values) {
    Bytes elements;
    for (const std::string &v : values)
      elements.string(v);
    return array(key, 8, values.size(), elements);
  }
  GgufWriter &floats(std::string_view key, const std::vector<float> &values) {
    Bytes elements;
    for (float v : values)
      elements.f32(v);
    return array(key, 6, values.size(), elements);
  }
  GgufWriter &ints(std::string_view key, const std::vector<int32_t> &values) {
    Bytes elements;
    for (int32_t v : values)
      elements.put(v);
    return array(key, 5, values.size(), elements);
  }

  /// A tensor's description only, at any offset of the data section.
  GgufWriter &tensorInfo(std::string_view name, const std::vector<uint64_t> &dims, uint32_t type,
                         uint64_t offset) {
    tensors.string(name).u32(dims.size());
    for (uint64_t dim : dims)
      tensors.u64(dim);
    tensors.u32(type).u64(offset);
    ++tensorCount;
    return *this;
  }
  /// A tensor with `bytes` of data, aligned. `dims` innermost first.
  GgufWriter &tensor(std::string_view name, const std::vector<uint64_t> &dims, uint32_t type,
                     std::string_view bytes) {
    pad(tensorData.data);
    tensorInfo(name, dims, type, tensorData.data.size());
    tensorData.raw(bytes);
    return *this;
  }
  /// An f32 tensor of zeros.
  GgufWriter &f32Tensor(std::string_view name, const std::vector<uint64_t> &dims) {
    uint64_t elements = 1;
    for (uint64_t dim : dims)
      elements *= dim;
    return tensor(name, dims, 0, std::string(4 * elements, '\0'));
  }

  std::string bytes() const {
    Bytes file;
    file.raw("GGUF").u32(version).u64(tensorCount + extraTensors).u64(keyCount + extraKeys);
    file.raw(keys.data).raw(tensors.data);
    if (!tensorData.data.empty())
      pad(file.data);
    return file.raw(tensorData.data).data;
  }

private:
  void pad(std::string &text) const {
    text.resize((text.size() + alignment - 1) / alignment * alignment);
  }

  Bytes keys, tensors, tensorData;
  uint64_t keyCount = 0, tensorCount = 0;
};

/// A file of its own in the tests' temporary folder, removed at the end.
class TemporaryFile {
public:
  explicit TemporaryFile(std::string_view bytes, std::string_view suffix = ".gguf") {
    static int number = 0;
    path = testing::TempDir() + "cleave-" + std::to_string(getpid()) + "-" +
           std::to_string(number++) + std::string(suffix);
    std::ofstream(path, std::ios::binary) << bytes;
  }
  TemporaryFile(const TemporaryFile &) = delete;
  TemporaryFile &operator=(const TemporaryFile &) = delete;
  ~TemporaryFile() { std::remove(path.c_str()); }

  std::string path;
};

} // namespace cleave::gguf::test
