// Names, bounded reading, writing and checksums of a package's files.
#include "runtime/program/package.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <stdexcept>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
// The header of the dispatching functions renames the ordinary ones: the same sums, with the
// widest vectors that the CPU has. Checking weights is then one read at the memory's speed.
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>
#else
#include <xxhash.h>
#endif

namespace cleave::rt {

namespace {

constexpr std::align_val_t fileAlignment{64};

std::runtime_error systemError(const std::filesystem::path &path, const char *what) {
  return std::runtime_error(path.string() + ": " + what + ": " + std::strerror(errno));
}

/// A file descriptor that closes itself.
struct Descriptor {
  int number = -1;
  ~Descriptor() {
    if (number >= 0)
      ::close(number);
  }
};

std::string rankFileName(uint32_t rank, std::string_view extension) {
  return "rank-" + std::to_string(rank) + "." + std::string(extension);
}

} // namespace

std::string moduleFileName(uint32_t rank) {
  return rankFileName(rank, "mlir");
}
std::string programFileName(uint32_t rank) {
  return rankFileName(rank, "program");
}
std::string weightFileName(uint32_t rank) {
  return rankFileName(rank, "weights");
}

bool isPackageId(std::string_view id) {
  if (id.empty() || id.size() > maxPackageIdLength)
    return false;
  for (char c : id)
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-'))
      return false;
  return true;
}

uint64_t checksumOf(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

uint64_t checksumOf(std::string_view bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

FileBytes::FileBytes(size_t size)
    : bytes(static_cast<std::byte *>(::operator new(size, fileAlignment))), count(size) {}

FileBytes::FileBytes(FileBytes &&other) noexcept
    : bytes(std::exchange(other.bytes, nullptr)), count(std::exchange(other.count, 0)) {}

FileBytes &FileBytes::operator=(FileBytes &&other) noexcept {
  std::swap(bytes, other.bytes);
  std::swap(count, other.count);
  return *this;
}

FileBytes::~FileBytes() {
  ::operator delete(bytes, fileAlignment);
}

FileBytes readFile(const std::filesystem::path &path, uint64_t maxBytes) {
  // O_NONBLOCK: a named pipe in the place of a file must not hang the reader.
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.number < 0)
    throw systemError(path, "cannot be opened");
  struct stat status;
  if (::fstat(file.number, &status) != 0)
    throw systemError(path, "cannot be read");
  if (!S_ISREG(status.st_mode))
    throw std::runtime_error(path.string() + ": is not a regular file");
  uint64_t size = static_cast<uint64_t>(status.st_size);
  if (size > maxBytes)
    throw std::runtime_error(path.string() + ": has " + std::to_string(size) +
                             " bytes, more than the " + std::to_string(maxBytes) +
                             " that such a file may have");
  FileBytes bytes(size);
  for (size_t done = 0; done < size;) {
    ssize_t got = ::read(file.number, bytes.data() + done, size - done);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      throw systemError(path, "cannot be read");
    if (got == 0)
      throw std::runtime_error(path.string() + ": became shorter while it was read");
    done += static_cast<size_t>(got);
  }
  return bytes;
}

FileBytes readCheckedFile(const std::filesystem::path &path, uint64_t maxBytes, uint64_t size,
                          uint64_t checksum) {
  FileBytes bytes = readFile(path, maxBytes);
  if (bytes.size() != size)
    throw std::runtime_error(path.string() + ": has " + std::to_string(bytes.size()) +
                             " bytes where the manifest says " + std::to_string(size) +
                             "; it is truncated or from another package");
  if (checksumOf(bytes.span()) != checksum)
    throw std::runtime_error(path.string() + ": differs from the checksum in the manifest; it is "
                                             "damaged or from another package");
  return bytes;
}

void writeFile(const std::filesystem::path &path, std::span<const std::byte> bytes) {
  Descriptor file{::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)};
  if (file.number < 0)
    throw systemError(path, "cannot be written");
  for (size_t done = 0; done < bytes.size();) {
    ssize_t put = ::write(file.number, bytes.data() + done, bytes.size() - done);
    if (put < 0 && errno == EINTR)
      continue;
    if (put < 0)
      throw systemError(path, "cannot be written");
    done += static_cast<size_t>(put);
  }
  // A full disk or quota may show only here.
  if (::close(std::exchange(file.number, -1)) != 0)
    throw systemError(path, "cannot be written");
}

void writeFile(const std::filesystem::path &path, std::string_view text) {
  writeFile(path, std::as_bytes(std::span(text.data(), text.size())));
}

} // namespace cleave::rt
