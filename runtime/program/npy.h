// Arrays as NumPy saves them, .npy files of versions 1 to 3: reading, of files
// that may be hostile, and writing. The format: numpy.lib.format in NumPy's
// documentation. NumPy has no bf16: such arrays have the type '<V2' (2 bytes each), as the
// Python package ml_dtypes saves them; array.view(ml_dtypes.bfloat16) gives the numbers.
#pragma once

#include "runtime/program/element_type.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cleave {

/// The most dimensions that an array may have here (NumPy itself stops at 32).
inline constexpr size_t maxNpyDims = 32;

/// What a file's header says.
struct NpyHeader {
  ElementType type = ElementType::f32;
  std::vector<int64_t> dims;
  bool fortranOrder = false; ///< the first dimension varies fastest in the file
  size_t dataOffset = 0;     ///< from the file's beginning
  size_t dataBytes = 0;
};

/// Reads the header from a file's first bytes; `fileBytes` is the whole file's size,
/// which must be exactly what the header asks for. `bytes` may be the whole file or
/// at least its first 64 KiB. Throws std::runtime_error beginning with `name`.
NpyHeader parseNpyHeader(std::span<const std::byte> bytes, uint64_t fileBytes,
                         std::string_view name);

/// A whole array, row-major whatever the file's order was.
struct NpyArray {
  ElementType type = ElementType::f32;
  std::vector<int64_t> dims;
  std::vector<std::byte> data;
};

/// Reads a file. Throws std::runtime_error, naming it: missing, no .npy file, of an
/// element type that Cleave has no equal of, truncated, or too large for memory.
NpyArray readNpy(const std::filesystem::path &path);

/// Writes an array whose number of rows need not be known in advance.
class NpyWriter {
public:
  /// Opens `path` for an array [rows, rowDims...]; with `hasRows` false the array
  /// is one row, of the dimensions `rowDims` alone. Block types are refused. All functions
  /// throw std::runtime_error naming the file.
  NpyWriter(std::filesystem::path path, ElementType type, std::vector<int64_t> rowDims,
            bool hasRows = true);

  /// Appends whole rows.
  void append(std::span<const std::byte> rows);

  /// Writes the header and closes the file.
  void finish();

private:
  void writeHeader();

  std::filesystem::path path;
  std::ofstream file;
  ElementType type;
  std::vector<int64_t> rowDims;
  bool hasRows;
  uint64_t rowBytes = 0;
  uint64_t written = 0;
};

/// Writes a whole row-major array.
void writeNpy(const std::filesystem::path &path, ElementType type, std::span<const int64_t> dims,
              std::span<const std::byte> data);

} // namespace cleave
