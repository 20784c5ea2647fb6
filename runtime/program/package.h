// The files of a package: their fixed names, bounded reading and writing of whole
// files, and the checksum that proves them. What the files say is left to
// manifest.h, program.h and weight_file.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace cleave::rt {

inline constexpr std::string_view manifestFileName = "manifest.json";
inline constexpr std::string_view tokenizerFileName = "tokenizer";

/// The most ranks that a package may have.
inline constexpr uint32_t maxRanks = 65536;
/// The largest program or tokenizer file that is read, in bytes.
inline constexpr uint64_t maxProgramBytes = uint64_t{256} << 20;
/// The longest package id, in characters.
inline constexpr size_t maxPackageIdLength = 64;

/// `rank-K.mlir`: the rank's module as text, to read; nothing opens it.
std::string moduleFileName(uint32_t rank);
/// `rank-K.program`: see program.fbs.
std::string programFileName(uint32_t rank);
/// `rank-K.weights`: see weight_file.h.
std::string weightFileName(uint32_t rank);

/// Whether `id` can be a package's id: 1 to 64 of 0-9, a-z and '-'.
bool isPackageId(std::string_view id);

/// XXH3-64 of `bytes`, the checksum of everything in a package.
uint64_t checksumOf(std::span<const std::byte> bytes);
uint64_t checksumOf(std::string_view bytes);

/// `bytes` bytes of alignment 64 (FlatBuffers reads in place), owned.
class FileBytes {
public:
  FileBytes() = default;
  explicit FileBytes(size_t size);
  FileBytes(FileBytes &&other) noexcept;
  FileBytes &operator=(FileBytes &&other) noexcept;
  ~FileBytes();

  std::byte *data() { return bytes; }
  size_t size() const { return count; }
  std::span<const std::byte> span() const { return {bytes, count}; }
  std::string_view text() const { return {reinterpret_cast<const char *>(bytes), count}; }

private:
  std::byte *bytes = nullptr;
  size_t count = 0;
};

/// The whole of a regular file of at most `maxBytes`. Throws std::runtime_error,
/// naming the file, when it is missing, not a file, too large or unreadable.
FileBytes readFile(const std::filesystem::path &path, uint64_t maxBytes);

/// As readFile, and throws unless size and checksum are what the manifest says.
FileBytes readCheckedFile(const std::filesystem::path &path, uint64_t maxBytes, uint64_t size,
                          uint64_t checksum);

/// Writes `bytes` as the whole of a file. Throws std::runtime_error naming it.
void writeFile(const std::filesystem::path &path, std::span<const std::byte> bytes);
void writeFile(const std::filesystem::path &path, std::string_view text);

} // namespace cleave::rt
