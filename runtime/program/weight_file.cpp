// Streams weight files out with their checksums, and maps and verifies them.
#include "runtime/program/weight_file.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <xxhash.h>

namespace cleave::rt {

namespace {

constexpr std::string_view magic = "CLEAVEWT";

/// The start of the header; the rest of its 4096 bytes is zero.
struct Header {
  char magic[8];
  uint32_t version;
  uint32_t rank;
  uint64_t payloadBytes;
  char packageId[maxPackageIdLength];
};
static_assert(sizeof(Header) == 88);

using HeaderBytes = std::array<std::byte, weightFileHeaderBytes>;

HeaderBytes makeHeader(std::string_view packageId, uint32_t rank, uint64_t payloadBytes) {
  Header header{};
  std::memcpy(header.magic, magic.data(), magic.size());
  header.version = weightFileVersion;
  header.rank = rank;
  header.payloadBytes = payloadBytes;
  std::memcpy(header.packageId, packageId.data(), packageId.size());
  HeaderBytes bytes{};
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes;
}

std::runtime_error systemError(const std::filesystem::path &path, const std::string &what) {
  return std::runtime_error(path.string() + ": " + what + ": " + std::strerror(errno));
}

} // namespace

// ---- Writing ----

struct WeightFileWriter::Impl {
  std::filesystem::path path;
  std::FILE *file = nullptr;
  std::string current; // the weight that is being written, for messages
  uint64_t offset = weightFileHeaderBytes;
  XXH3_state_t *state = XXH3_createState();
  uint64_t chunkFill = 0; // payload bytes in `state`
  std::vector<uint64_t> checksums;

  ~Impl() {
    if (file)
      std::fclose(file);
    XXH3_freeState(state);
  }

  void put(const void *data, size_t size) {
    if (std::fwrite(data, 1, size, file) != size)
      throw systemError(path, current.empty() ? "cannot be written"
                                              : "cannot be written (at '" + current + "')");
  }

  void putPayload(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      size_t size = std::min<uint64_t>(bytes.size(), checksumChunkBytes - chunkFill);
      put(bytes.data(), size);
      XXH3_64bits_update(state, bytes.data(), size);
      offset += size;
      chunkFill += size;
      if (chunkFill == checksumChunkBytes) {
        checksums.push_back(XXH3_64bits_digest(state));
        XXH3_64bits_reset(state);
        chunkFill = 0;
      }
      bytes = bytes.subspan(size);
    }
  }
};

WeightFileWriter::WeightFileWriter(std::filesystem::path path) : impl(std::make_unique<Impl>()) {
  if (!impl->state)
    throw std::bad_alloc();
  impl->path = std::move(path);
  XXH3_64bits_reset(impl->state);
  impl->file = std::fopen(impl->path.c_str(), "wbe");
  if (!impl->file)
    throw systemError(impl->path, "cannot be written");
  // Zeros in the header's place until finish(): no reader takes them for a header.
  HeaderBytes zeros{};
  impl->put(zeros.data(), zeros.size());
}

WeightFileWriter::~WeightFileWriter() = default;

uint64_t WeightFileWriter::begin(std::string_view name) {
  impl->current = name;
  std::array<std::byte, weightAlignment> zeros{};
  uint64_t padding = (weightAlignment - impl->offset % weightAlignment) % weightAlignment;
  impl->putPayload(std::span(zeros).first(padding));
  return impl->offset;
}

void WeightFileWriter::append(std::span<const std::byte> bytes) {
  impl->putPayload(bytes);
}

uint64_t WeightFileWriter::add(std::string_view name, std::span<const std::byte> bytes) {
  uint64_t offset = begin(name);
  append(bytes);
  return offset;
}

WeightFileSummary WeightFileWriter::summary() const {
  WeightFileSummary result{impl->offset, impl->checksums};
  if (impl->chunkFill > 0)
    result.checksums.push_back(XXH3_64bits_digest(impl->state));
  return result;
}

WeightFileSummary WeightFileWriter::finish(std::string_view packageId, uint32_t rank) {
  if (!isPackageId(packageId))
    throw std::runtime_error(impl->path.string() + ": '" + std::string(packageId) +
                             "' is no package id; it is 1 to 64 of 0-9, a-z and '-'");
  impl->current.clear();
  HeaderBytes header = makeHeader(packageId, rank, impl->offset - weightFileHeaderBytes);
  if (std::fseek(impl->file, 0, SEEK_SET) != 0)
    throw systemError(impl->path, "cannot be written");
  impl->put(header.data(), header.size());
  // A full disk or quota may show only here.
  int closed = std::fclose(std::exchange(impl->file, nullptr));
  if (closed != 0)
    throw systemError(impl->path, "cannot be written");
  return summary();
}

// ---- Reading ----

WeightFile::WeightFile(const std::filesystem::path &path, std::string_view packageId, uint32_t rank)
    : filePath(path) {
  auto refuse = [&](const std::string &why) {
    return std::runtime_error(path.string() + ": " + why);
  };
  // O_NONBLOCK: a named pipe in the place of a file must not hang the reader.
  int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0)
    throw systemError(path, "cannot be opened");
  struct stat status;
  bool readable = ::fstat(file, &status) == 0 && S_ISREG(status.st_mode);
  uint64_t size = readable ? static_cast<uint64_t>(status.st_size) : 0;
  if (!readable || size < weightFileHeaderBytes) {
    ::close(file);
    throw refuse(readable ? "has " + std::to_string(size) +
                                " bytes, fewer than the header of a weight file; it is truncated"
                          : "is not a regular file");
  }
  void *mapped = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0);
  int error = errno;
  ::close(file);
  if (mapped == MAP_FAILED) {
    errno = error;
    throw systemError(path, "cannot be mapped into memory");
  }
  // From here the mapping must be undone by hand when a check fails: a
  // constructor that throws calls no destructor.
  mapping = static_cast<const std::byte *>(mapped);
  length = size;
  Header header;
  std::memcpy(&header, mapping, sizeof header);
  std::string foundId(header.packageId, ::strnlen(header.packageId, sizeof header.packageId));
  std::string why;
  if (std::memcmp(header.magic, magic.data(), magic.size()) != 0)
    why = "is no weight file, or was not written to its end";
  else if (header.version != weightFileVersion)
    why = "is of version " + std::to_string(header.version) + "; this program reads version " +
          std::to_string(weightFileVersion);
  else if (header.payloadBytes != size - weightFileHeaderBytes)
    why = "holds " + std::to_string(size - weightFileHeaderBytes) +
          " bytes of weights where its header says " + std::to_string(header.payloadBytes) +
          "; it is truncated or altered";
  else if (foundId != packageId)
    why = "is from another package: its id is '" +
          (isPackageId(foundId) ? foundId : std::string("(garbled)")) + "', not '" +
          std::string(packageId) + "'";
  else if (header.rank != rank)
    why = "is of rank " + std::to_string(header.rank) + ", not of rank " + std::to_string(rank);
  else if (HeaderBytes expected = makeHeader(packageId, rank, header.payloadBytes);
           std::memcmp(expected.data(), mapping, expected.size()) != 0)
    why = "has an altered header";
  if (!why.empty()) {
    ::munmap(mapped, size);
    throw refuse(why);
  }
}

WeightFile::WeightFile(std::string name, FileBytes contents)
    : filePath(std::move(name)), memory(std::move(contents)), mapping(memory.data()),
      length(memory.size()) {}

WeightFile::~WeightFile() {
  if (!memory.data())
    ::munmap(const_cast<std::byte *>(mapping), length);
}

void WeightFile::release(uint64_t offset, uint64_t count) const {
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const uint64_t begin = (offset + page - 1) / page * page, end = (offset + count) / page * page;
  if (memory.span().empty() && begin < end)
    ::madvise(const_cast<std::byte *>(mapping) + begin, end - begin, MADV_DONTNEED);
}

void WeightFile::verify(std::span<const uint64_t> checksums, int threads) const {
  uint64_t payload = length - weightFileHeaderBytes;
  uint64_t chunks = (payload + checksumChunkBytes - 1) / checksumChunkBytes;
  if (checksums.size() != chunks)
    throw std::runtime_error(filePath.string() + ": has " + std::to_string(chunks) +
                             " chunks of weights, but the manifest has " +
                             std::to_string(checksums.size()) + " checksums for it");
  std::atomic<uint64_t> next = 0;
  std::atomic<uint64_t> firstBad = chunks;
  auto work = [&] {
    for (uint64_t chunk = next++; chunk < chunks; chunk = next++) {
      uint64_t begin = weightFileHeaderBytes + chunk * checksumChunkBytes;
      uint64_t end = std::min(begin + checksumChunkBytes, length);
      // Pages come cheaper together than as they are touched; where the system cannot do
      // that (before Linux 5.14), they come then.
      (void)::madvise(const_cast<std::byte *>(mapping) + begin, end - begin, MADV_POPULATE_READ);
      if (checksumOf(bytes().subspan(begin, end - begin)) == checksums[chunk])
        continue;
      uint64_t known = firstBad;
      while (chunk < known && !firstBad.compare_exchange_weak(known, chunk)) {
      }
    }
  };
  {
    std::vector<std::jthread> helpers;
    uint64_t wanted = std::min<uint64_t>(chunks, static_cast<uint64_t>(std::max(threads, 1)));
    for (uint64_t i = 1; i < wanted; ++i)
      helpers.emplace_back(work);
    work();
  }
  if (firstBad < chunks) {
    uint64_t begin = weightFileHeaderBytes + firstBad * checksumChunkBytes;
    throw std::runtime_error(filePath.string() + ": bytes " + std::to_string(begin) + " to " +
                             std::to_string(std::min(begin + checksumChunkBytes, length)) +
                             " differ from the checksum in the manifest; the file is damaged or "
                             "from another package");
  }
}

} // namespace cleave::rt
