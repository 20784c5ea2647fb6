// A rank's program as it is on disk (program.fbs), proved before anything runs:
// when construction returns, every number in it fits every other one, the weight
// file and the manifest. What instructions do is the engine's business.
#pragma once

#include "runtime/program/package.h"
#include "runtime/program/program_generated.h"
#include "runtime/program/size_expression.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace cleave::rt {

struct Manifest;

/// fb::Program.version as this tree writes and reads it.
inline constexpr uint32_t programVersion = 5;

/// The longest name of anything in a program, in bytes.
inline constexpr size_t maxNameLength = 1024;

/// What a program must agree with.
struct ProgramIdentity {
  std::string packageId;
  uint32_t rank = 0;
  uint32_t ranks = 1;
  uint32_t stages = 1;
  uint64_t weightFileBytes = 0; ///< of the rank's weight file, header included
};

/// A proved program. The objects it gives out live as long as it does.
class Program {
public:
  /// Proves `bytes`, which came from `fileName`. Throws std::runtime_error with a
  /// message that names the file and, where it is one's fault, the instruction.
  Program(FileBytes bytes, std::string fileName, const ProgramIdentity &identity);

  /// Reads and proves rank `rank`'s program in a package's folder.
  static Program open(const std::filesystem::path &folder, const Manifest &manifest, uint32_t rank);

  const fb::Program &root() const { return *fb::GetProgram(bytes.span().data()); }
  const std::string &fileName() const { return name; }

  /// The entry of that name; for an empty name the only entry, or "step". Throws
  /// std::runtime_error where there is none.
  const fb::Entry &entry(std::string_view entryName) const;

private:
  FileBytes bytes;
  std::string name;
};

/// The dimensions of a value, weight or state; no vector means none.
inline std::span<const int64_t> dimsOf(const flatbuffers::Vector<int64_t> *dims) {
  return dims ? std::span(dims->data(), dims->size()) : std::span<const int64_t>();
}

/// Whether a vector's elements are where their type must be. FlatBuffers' verifier
/// looks at its length only, so that a damaged file could have them anywhere.
inline bool isAligned(const flatbuffers::Vector<int64_t> *vector) {
  return !vector || vector->size() == 0 ||
         reinterpret_cast<uintptr_t>(vector->data()) % alignof(int64_t) == 0;
}

/// Whether a dimension is a symbol's, and the number of that symbol.
constexpr bool isSymbolDim(int64_t dim) {
  return dim < 0;
}
constexpr int64_t symbolOfDim(int64_t dim) {
  return -1 - dim;
}
constexpr int64_t dimOfSymbol(int64_t symbol) {
  return -1 - symbol;
}

/// What the name of a symbol that is no share says; of a proved program.
SizeExpression expressionOf(const fb::Symbol &symbol);

/// The first element of share `index` of `count` even shares of `size` elements, of which
/// the first size mod count have one more; for index = count the end, `size`.
constexpr int64_t shareBegin(int64_t size, int64_t index, int64_t count) {
  return index * (size / count) + std::min(index, size % count);
}
constexpr int64_t shareSize(int64_t size, int64_t index, int64_t count) {
  return shareBegin(size, index + 1, count) - shareBegin(size, index, count);
}

/// `name` in quotes, with what cannot be printed replaced, for messages.
std::string quoted(const flatbuffers::String *name);

/// "instruction 12 (Linear 'blk.0.attn_q') of entry 'step'", for messages.
std::string describeInstruction(const fb::Entry &entry, uint32_t number);

} // namespace cleave::rt
