// The weight file of one rank: a header of 4096 bytes, then each weight of the
// rank at an offset that is a multiple of 64. Which weight lies where, and what
// its bytes mean, is the program's to say (program.fbs, layout.h).
//
// Header, little-endian: magic "CLEAVEWT" (8 bytes), version (u32), rank (u32),
// payload bytes after the header (u64), package id (64 bytes, zero-padded), and
// zeros. Checksums are XXH3-64 of the payload in chunks of 16 MiB; they stand in
// the manifest.
#pragma once

#include "runtime/program/layout.h"
#include "runtime/program/package.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cleave::rt {

inline constexpr uint32_t weightFileVersion = 1;
inline constexpr uint64_t weightFileHeaderBytes = 4096;
/// The payload bytes that one checksum covers; the last may cover fewer.
inline constexpr uint64_t checksumChunkBytes = uint64_t{16} << 20;

/// What the manifest says of a weight file: the bytes of the whole file, and one
/// checksum for each chunk of the payload (none for an empty payload).
struct WeightFileSummary {
  uint64_t size = 0;
  std::vector<uint64_t> checksums;
};

/// Writes a weight file piece by piece, so that memory does not grow with it. The
/// header is written last: a file that was not finished is refused by WeightFile.
/// All functions throw std::runtime_error naming the file (full disk, no right).
class WeightFileWriter {
public:
  explicit WeightFileWriter(std::filesystem::path path);
  ~WeightFileWriter();
  WeightFileWriter(const WeightFileWriter &) = delete;
  WeightFileWriter &operator=(const WeightFileWriter &) = delete;

  /// Begins the next weight; the bytes follow with append(). Returns its offset in
  /// the file, for fb::Weight. `name` is for messages.
  uint64_t begin(std::string_view name);
  void append(std::span<const std::byte> bytes);
  /// A whole weight at once.
  uint64_t add(std::string_view name, std::span<const std::byte> bytes);

  /// The checksums of what was written so far, as finish() will return them. For a
  /// package id that is derived from the contents.
  WeightFileSummary summary() const;

  /// Writes the header and closes the file. Nothing can be added after it.
  WeightFileSummary finish(std::string_view packageId, uint32_t rank);

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

/// A weight file mapped into memory, read-only, or one that was never on disk.
class WeightFile {
public:
  /// Maps the file and checks its header: size, version, package and rank. Throws
  /// std::runtime_error naming the file.
  WeightFile(const std::filesystem::path &path, std::string_view packageId, uint32_t rank);
  /// Takes weights that are in memory already, laid out as in a file; the bytes in the
  /// header's place mean nothing. `name` stands for the file in messages.
  WeightFile(std::string name, FileBytes contents);
  ~WeightFile();
  WeightFile(const WeightFile &) = delete;
  WeightFile &operator=(const WeightFile &) = delete;

  /// The whole file, header included: offsets of the program index into this.
  std::span<const std::byte> bytes() const { return {mapping, length}; }
  uint64_t size() const { return length; }
  const std::filesystem::path &path() const { return filePath; }

  /// Says that `count` bytes from `offset` on will hardly be read again: whole pages among them
  /// are no memory of this process until they are. Nothing for weights that are in memory.
  void release(uint64_t offset, uint64_t count) const;

  /// Throws std::runtime_error, naming file and byte range, unless the payload's
  /// chunks have these checksums. Reads the whole file with `threads` threads.
  void verify(std::span<const uint64_t> checksums, int threads) const;

private:
  std::filesystem::path filePath;
  FileBytes memory; ///< of weights that are not mapped
  const std::byte *mapping = nullptr;
  uint64_t length = 0;
};

} // namespace cleave::rt
