// Manifests and weight files: what is written is read again, and what is
// truncated, altered, or of something else is refused by name.
#include "runtime/program/manifest.h"
#include "runtime/program/package.h"
#include "runtime/program/weight_file.h"
#include "test/runtime/program/program_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <fstream>
#include <functional>
#include <sys/resource.h>
#include <sys/stat.h>

namespace cleave::rt {
namespace {

using testing::HasSubstr;
using Json = nlohmann::ordered_json;

std::string messageOf(const std::function<void()> &action) {
  try {
    action();
  } catch (const std::runtime_error &error) {
    return error.what();
  }
  return "(nothing was thrown)";
}

std::vector<std::byte> pattern(size_t size) {
  std::vector<std::byte> bytes(size);
  for (size_t i = 0; i < size; ++i)
    bytes[i] = static_cast<std::byte>(i * 7 + i / 256);
  return bytes;
}

/// Adds `change` to one byte of a file.
void alter(const std::filesystem::path &path, uint64_t offset, char change = 1) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(offset));
  char byte = static_cast<char>(file.get() + change);
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(byte);
}

// ---- Weight files ----

TEST(WeightFile, HoldsWhatWasWritten) {
  std::filesystem::path path = testFolder() / "rank-3.weights";
  std::vector<std::byte> a = pattern(100), b = pattern(1000);
  WeightFileWriter writer(path);
  EXPECT_EQ(writer.add("a", a), 4096u);
  EXPECT_EQ(writer.begin("b"), 4096u + 128);
  writer.append(std::span(b).first(1));
  writer.append(std::span(b).subspan(1));
  EXPECT_EQ(writer.add("empty", {}), 4096u + 128 + 1024);
  WeightFileSummary before = writer.summary();
  WeightFileSummary summary = writer.finish("id", 3);
  EXPECT_EQ(summary.size, 4096u + 128 + 1024);
  EXPECT_EQ(summary.checksums, before.checksums);
  EXPECT_EQ(std::filesystem::file_size(path), summary.size);

  WeightFile file(path, "id", 3);
  EXPECT_EQ(file.size(), summary.size);
  EXPECT_TRUE(std::ranges::equal(file.bytes().subspan(4096, 100), a));
  EXPECT_TRUE(std::ranges::equal(file.bytes().subspan(4096 + 128, 1000), b));
  ASSERT_EQ(summary.checksums.size(), 1u);
  EXPECT_EQ(summary.checksums[0], checksumOf(file.bytes().subspan(4096)));
  file.verify(summary.checksums, 2);
}

TEST(WeightFile, MayBeEmpty) {
  std::filesystem::path path = testFolder() / "w";
  WeightFileSummary summary = WeightFileWriter(path).finish("id", 0);
  EXPECT_EQ(summary.size, 4096u);
  EXPECT_TRUE(summary.checksums.empty());
  WeightFile(path, "id", 0).verify(summary.checksums, 4);
}

TEST(WeightFile, ChecksumsChunksWhateverThePieces) {
  std::filesystem::path folder = testFolder();
  std::vector<std::byte> bytes = pattern(checksumChunkBytes * 2 + 12345);
  WeightFileWriter whole(folder / "whole"), pieces(folder / "pieces");
  whole.add("w", bytes);
  pieces.begin("w");
  for (std::span<const std::byte> rest = bytes; !rest.empty();) {
    std::span<const std::byte> piece = rest.first(std::min<size_t>(rest.size(), 1000003));
    pieces.append(piece);
    rest = rest.subspan(piece.size());
  }
  WeightFileSummary summary = whole.finish("id", 0);
  EXPECT_EQ(pieces.finish("id", 0).checksums, summary.checksums);
  ASSERT_EQ(summary.checksums.size(), 3u);
  EXPECT_EQ(summary.checksums[1],
            checksumOf(std::span(bytes).subspan(checksumChunkBytes, checksumChunkBytes)));

  for (int threads : {1, 2, 8})
    WeightFile(folder / "whole", "id", 0).verify(summary.checksums, threads);
  // The last byte and one of the second chunk: the first damage is named.
  alter(folder / "whole", summary.size - 1);
  alter(folder / "whole", 4096 + checksumChunkBytes);
  EXPECT_THAT(
      messageOf([&] { WeightFile(folder / "whole", "id", 0).verify(summary.checksums, 2); }),
      HasSubstr("whole: bytes 16781312 to 33558528 differ from the checksum in the manifest"));
  summary.checksums.pop_back();
  EXPECT_THAT(
      messageOf([&] { WeightFile(folder / "pieces", "id", 0).verify(summary.checksums, 2); }),
      HasSubstr("has 3 chunks of weights, but the manifest has 2 checksums"));
}

TEST(WeightFile, RefusesWhatIsNotItsOwn) {
  std::filesystem::path path = testFolder() / "w";
  auto write = [&] {
    WeightFileWriter writer(path);
    writer.add("a", pattern(64));
    writer.finish("id", 1);
  };
  auto opening = [&](const char *id = "id", uint32_t rank = 1) {
    return messageOf([&] { WeightFile(path, id, rank); });
  };
  EXPECT_THAT(opening(), HasSubstr("w: cannot be opened: No such file"));
  write();
  EXPECT_EQ(opening(), "(nothing was thrown)");
  EXPECT_THAT(opening("other"),
              HasSubstr("w: is from another package: its id is 'id', not 'other'"));
  EXPECT_THAT(opening("id", 0), HasSubstr("is of rank 1, not of rank 0"));
  std::filesystem::resize_file(path, 4096 + 63);
  EXPECT_THAT(opening(), HasSubstr("holds 63 bytes of weights where its header says 64"));
  std::filesystem::resize_file(path, 4095);
  EXPECT_THAT(opening(), HasSubstr("has 4095 bytes, fewer than the header"));
  std::filesystem::resize_file(path, 0);
  EXPECT_THAT(opening(), HasSubstr("has 0 bytes"));
  // Every byte of the header counts.
  write();
  for (uint64_t offset = 0; offset < weightFileHeaderBytes; offset += offset < 100 ? 1 : 37) {
    alter(path, offset);
    EXPECT_THAT(opening(), HasSubstr("w: ")) << "offset " << offset;
    alter(path, offset, -1);
  }
  EXPECT_EQ(opening(), "(nothing was thrown)");
  {
    WeightFileWriter unfinished(path);
    unfinished.add("a", pattern(64));
  }
  EXPECT_THAT(opening(), HasSubstr("is no weight file, or was not written to its end"));
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  EXPECT_THAT(opening(), HasSubstr("is not a regular file"));
  std::filesystem::remove(path);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_THAT(opening(), HasSubstr("is not a regular file"));
}

TEST(WeightFile, SaysWhenItCannotBeWritten) {
  EXPECT_THAT(messageOf([] { WeightFileWriter("/nonexistent/w"); }),
              HasSubstr("/nonexistent/w: cannot be written: No such file"));
  // A disk with room for the header and little more.
  std::filesystem::path path = testFolder() / "w";
  struct rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit limit = before;
  limit.rlim_cur = 10000;
  ::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  std::string message = messageOf([&] {
    WeightFileWriter writer(path);
    writer.add("blk.0.weight", pattern(1 << 20));
    writer.finish("id", 0);
  });
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, SIG_DFL);
  EXPECT_THAT(message, HasSubstr("w: cannot be written (at 'blk.0.weight'): File too large"));
}

TEST(WeightFile, WantsAProperPackageId) {
  std::filesystem::path path = testFolder() / "w";
  for (std::string id : {"", "A", "a/b",
                         "0123456789012345678901234567890123456789012345678901234567"
                         "8901234567890"})
    EXPECT_THAT(messageOf([&] { WeightFileWriter(path).finish(id, 0); }),
                HasSubstr("is no package id"));
}

// ---- Manifests ----

Manifest example() {
  Manifest manifest;
  manifest.producer = "cleave 0.1.0";
  manifest.packageId = "0123-abcd";
  manifest.source = "stories \"ä\".gguf";
  manifest.plan = "mesh: {tp: 2}\ncut: [blk.1]\n";
  manifest.mesh = {{"tp", 2}, {"ep", 1}};
  manifest.stages = 2;
  manifest.ranks = 4;
  manifest.entries = {{"step",
                       {{"tokens", ElementType::i32, {"tokens"}}},
                       {{"logits", ElementType::f32, {"rows", int64_t{512}}}}}};
  manifest.languageModel = {"llama", 128, 512};
  manifest.tokenizer = ManifestFile{77, 0xfedcba9876543210};
  manifest.files.resize(4);
  for (uint64_t i = 0; i < 4; ++i)
    manifest.files[i] = {{i, i * i}, 4096 + i, {i, ~i}};
  return manifest;
}

TEST(Manifest, ReadsWhatItWrote) {
  std::filesystem::path folder = testFolder();
  Manifest manifest = example();
  writeManifest(manifest, folder);
  EXPECT_EQ(readManifest(folder), manifest);
  EXPECT_EQ(manifestText(manifest), manifestText(readManifest(folder)));
  manifest.languageModel.reset();
  manifest.tokenizer.reset();
  manifest.entries.clear();
  EXPECT_EQ(parseManifest(manifestText(manifest), "m"), manifest);
}

TEST(Manifest, NoAlterationPasses) {
  Manifest manifest = example();
  std::string text = manifestText(manifest);
  for (size_t i = 0; i < text.size(); ++i) {
    for (int bit : {0, 3, 7}) {
      std::string altered = text;
      altered[i] = static_cast<char>(altered[i] ^ (1 << bit));
      try {
        EXPECT_EQ(parseManifest(altered, "m"), manifest) << "byte " << i; // white space
      } catch (const std::runtime_error &error) {
        EXPECT_THAT(error.what(), testing::StartsWith("m: "));
      }
    }
    EXPECT_THROW(parseManifest(text.substr(0, i == text.size() - 1 ? 0 : i), "m"),
                 std::runtime_error);
  }
}

/// Parses the example after `edit`, with its checksum made good again.
std::string parsing(const std::function<void(Json &)> &edit) {
  Json json = Json::parse(manifestText(example()));
  json.erase("checksum");
  edit(json);
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx",
                static_cast<unsigned long long>(checksumOf(std::string_view(json.dump()))));
  json["checksum"] = digits;
  return messageOf([&] { parseManifest(json.dump(), "m"); });
}

TEST(Manifest, RefusesWhatMakesNoSense) {
  EXPECT_EQ(parsing([](Json &) {}), "(nothing was thrown)");
  EXPECT_EQ(parsing([](Json &j) { j["format"] = "x"; }), "m: is not the manifest of a package");
  EXPECT_THAT(parsing([](Json &j) { j["version"] = 2; }),
              HasSubstr("m: is of version 2; this program reads version 1"));
  EXPECT_EQ(parsing([](Json &j) { j.erase("plan"); }), "m: has no key 'plan'");
  EXPECT_THAT(parsing([](Json &j) { j["id"] = "../x"; }), HasSubstr("'id' is not a package id"));
  EXPECT_EQ(parsing([](Json &j) { j["ranks"] = 3; }),
            "m: 'ranks' is 3, which is not the stages times the sizes of the mesh");
  EXPECT_THAT(parsing([](Json &j) { j["ranks"] = 1.5; }), HasSubstr("'ranks' is not a whole"));
  EXPECT_THAT(parsing([](Json &j) { j["ranks"] = ~uint64_t{0}; }), HasSubstr("'ranks' is not"));
  EXPECT_THAT(parsing([](Json &j) { j["stages"] = 0; }),
              HasSubstr("'stages' is not a whole number from 1 to 65536"));
  EXPECT_THAT(parsing([](Json &j) { j["mesh"][1]["size"] = -1; }), HasSubstr("'mesh[1].size'"));
  EXPECT_THAT(parsing([](Json &j) {
                for (int i = 0; i < 100; ++i)
                  j["mesh"].push_back(Json{{"axis", "a"}, {"size", 65536}});
              }),
              HasSubstr("'ranks' is 4"));
  EXPECT_EQ(parsing([](Json &j) { j["entries"][0]["inputs"][0]["type"] = "f99"; }),
            "m: 'entries[0].inputs[0].type' is 'f99', which is no element type of this version");
  EXPECT_THAT(parsing([](Json &j) { j["entries"][0]["outputs"][0]["dims"][1] = -1; }),
              HasSubstr("'entries[0].outputs[0].dims[1]' is not a whole number from 0"));
  EXPECT_THAT(parsing([](Json &j) { j["entries"] = "none"; }),
              HasSubstr("'entries' is not a list"));
  EXPECT_THAT(parsing([](Json &j) { j["files"][0]["program"] = 1; }),
              HasSubstr("'files[0].program' is not an object"));
  EXPECT_THAT(parsing([](Json &j) { j["files"].erase(0); }),
              HasSubstr("'files' has 3 items for 4 ranks"));
  EXPECT_THAT(parsing([](Json &j) { j["files"][1]["weights"]["xxh3"][0] = "12"; }),
              HasSubstr("'files[1].weights.xxh3[0]' is not a checksum of 16 hexadecimal digits"));
  EXPECT_THAT(parsing([](Json &j) { j["files"][1]["weights"]["size"] = 4095; }),
              HasSubstr("'files[1].weights.size' is not a whole number from 4096"));
}

TEST(Manifest, RefusesWhatIsNoManifest) {
  auto parse = [](const std::string &text) { return messageOf([&] { parseManifest(text, "m"); }); };
  EXPECT_THAT(parse(""), HasSubstr("m: is not valid JSON"));
  EXPECT_THAT(parse("[]"), HasSubstr("m: is not an object"));
  EXPECT_THAT(parse("{}"), HasSubstr("m: is not the manifest of a package"));
  EXPECT_EQ(parse(std::string(1 << 20, '[')), "m: is nested too deeply for a manifest");
  EXPECT_THAT(parse("{\"format\": \"\xff\"}"), HasSubstr("m: is not valid JSON"));
  Manifest manifest = example();
  manifest.source = "\xff";
  EXPECT_THAT(messageOf([&] { manifestText(manifest); }),
              HasSubstr("manifest.json: cannot be written as JSON"));
  std::filesystem::path folder = testFolder();
  EXPECT_THAT(messageOf([&] { readManifest(folder); }),
              HasSubstr("is not a package: it has no manifest.json"));
  std::filesystem::create_directory(folder / "manifest.json");
  EXPECT_THAT(messageOf([&] { readManifest(folder); }),
              HasSubstr("manifest.json: is not a regular file"));
}

// ---- Whole files ----

TEST(Package, ReadsFilesUpToALimit) {
  std::filesystem::path path = testFolder() / "file";
  writeFile(path, "abcdef");
  EXPECT_EQ(readFile(path, 6).text(), "abcdef");
  EXPECT_THAT(messageOf([&] { readFile(path, 5); }),
              HasSubstr("file: has 6 bytes, more than the 5"));
  EXPECT_EQ(readCheckedFile(path, 6, 6, checksumOf("abcdef")).size(), 6u);
  EXPECT_THAT(messageOf([&] { readCheckedFile(path, 6, 7, 0); }),
              HasSubstr("file: has 6 bytes where the manifest says 7"));
  EXPECT_THAT(messageOf([&] { readCheckedFile(path, 6, 6, 0); }),
              HasSubstr("file: differs from the checksum"));
  EXPECT_THAT(messageOf([&] { writeFile(path / "x", "y"); }), HasSubstr("cannot be written"));
}

TEST(Package, NamesItsFiles) {
  EXPECT_EQ(programFileName(12), "rank-12.program");
  EXPECT_EQ(weightFileName(0), "rank-0.weights");
  EXPECT_EQ(moduleFileName(7), "rank-7.mlir");
}

} // namespace
} // namespace cleave::rt
