// The manifest of a package, manifest.json: what the package is, what goes in and
// out, and the size and checksum of every file that is run. It carries a checksum
// of itself, so that an edited manifest is refused like any other edited file.
#pragma once

#include "runtime/program/element_type.h"
#include "runtime/program/weight_file.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace cleave::rt {

inline constexpr int64_t manifestVersion = 1;

/// One axis of the mesh, such as {"tp", 2}.
struct ManifestAxis {
  std::string name;
  int64_t size = 1;
  bool operator==(const ManifestAxis &) const = default;
};

/// An input or output of an entry. A dimension is a size, or a symbol's name
/// ("tokens") where it varies at run time.
struct ManifestPort {
  std::string name;
  ElementType type = ElementType::f32;
  std::vector<std::variant<int64_t, std::string>> dims;
  bool operator==(const ManifestPort &) const = default;
};

/// An entry with its ports in global shapes.
struct ManifestEntry {
  std::string name;
  std::vector<ManifestPort> inputs;
  std::vector<ManifestPort> outputs;
  bool operator==(const ManifestEntry &) const = default;
};

/// What the runner of a language model needs to know of it.
struct LanguageModelFacts {
  std::string architecture;  // as the model file says: "llama"
  int64_t contextLength = 0; // the longest context that the model was trained for
  int64_t vocabulary = 0;    // tokens, the width of the logits
  bool operator==(const LanguageModelFacts &) const = default;
};

/// A file that is read whole, with XXH3-64 of its bytes.
struct ManifestFile {
  uint64_t size = 0;
  uint64_t checksum = 0;
  bool operator==(const ManifestFile &) const = default;
};

/// The files of one rank.
struct ManifestRank {
  ManifestFile program;
  uint64_t weightsSize = 0;               // of the whole file, header included
  std::vector<uint64_t> weightsChecksums; // one a chunk: see weight_file.h
  bool operator==(const ManifestRank &) const = default;
};

struct Manifest {
  std::string producer; // "cleave 0.1.0"
  std::string packageId;
  std::string source; // the model's file name
  std::string plan;   // the plan as text, empty where there was none
  std::vector<ManifestAxis> mesh;
  int64_t stages = 1;
  int64_t ranks = 1; // stages times the sizes of the mesh
  std::vector<ManifestEntry> entries;
  std::optional<LanguageModelFacts> languageModel;
  std::optional<ManifestFile> tokenizer;
  std::vector<ManifestRank> files; // one a rank
  bool operator==(const Manifest &) const = default;
};

/// The text of the manifest; the same manifest gives the same text. Throws
/// std::runtime_error where a string is not UTF-8.
std::string manifestText(const Manifest &manifest);

/// The inverse of manifestText. `fileName` stands in messages. Throws
/// std::runtime_error on anything that manifestText does not write.
Manifest parseManifest(std::string_view text, const std::string &fileName);

/// Reads and writes manifest.json in the package's folder.
Manifest readManifest(const std::filesystem::path &folder);
void writeManifest(const Manifest &manifest, const std::filesystem::path &folder);

} // namespace cleave::rt
