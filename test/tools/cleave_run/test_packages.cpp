// Writes the packages that run_test.py runs, into the folder that it is given: tiny
// language models that go through a fixed table of next tokens, and a graph. They
// are built by hand, so that this test needs no compiler.
#include "runtime/program/manifest.h"
#include "runtime/program/package.h"
#include "runtime/program/tokenizer_file.h"
#include "test/runtime/program/program_builder.h"

#include <array>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <variant>

namespace cleave::rt {
namespace {

/// The vocabulary: id, piece, and the token that follows.
struct Word {
  const char *piece;
  TokenType type;
  int next;
};
constexpr std::array words = {
    Word{"<unk>", TokenType::unknown, 2}, Word{"<s>", TokenType::control, 4},
    Word{"</s>", TokenType::control, 2},  Word{"\xE2\x96\x81", TokenType::normal, 4},
    Word{"a", TokenType::normal, 5}, // a b c d and the end
    Word{"b", TokenType::normal, 6},      Word{"c", TokenType::normal, 7},
    Word{"d", TokenType::normal, 2},      Word{"x", TokenType::normal, 9}, // x y x y without end
    Word{"y", TokenType::normal, 8},
};
constexpr auto vocabulary = static_cast<int64_t>(words.size());

/// Row t: the logits after token t; this rank has the summand 1 / ranks.
std::vector<float> nextTable(uint32_t ranks) {
  std::vector<float> table(words.size() * words.size());
  for (size_t t = 0; t < words.size(); ++t) {
    table[t * words.size()] = 0.5f * static_cast<float>(t) / static_cast<float>(ranks);
    table[t * words.size() + static_cast<size_t>(words[t].next)] = 8.0f / static_cast<float>(ranks);
  }
  return table;
}

/// One package in the making.
class PackageWriter {
public:
  PackageWriter(const std::filesystem::path &folder, const std::string &id, int64_t ranks)
      : folder(folder) {
    std::filesystem::create_directories(folder);
    manifest.producer = "test";
    manifest.packageId = id;
    manifest.source = "by hand";
    manifest.ranks = ranks;
    manifest.mesh = {{"tp", ranks}};
  }

  /// A rank's program and weights, in the order of ranks.
  void addRank(ProgramBuilder &builder, std::span<const std::byte> weights) {
    auto rank = static_cast<uint32_t>(manifest.files.size());
    FileBytes program = builder.finish();
    writeFile(folder / programFileName(rank), program.span());
    WeightFileWriter writer(folder / weightFileName(rank));
    writer.add("weights", weights);
    WeightFileSummary summary = writer.finish(manifest.packageId, rank);
    manifest.files.push_back(
        {{program.size(), checksumOf(program.span())}, summary.size, summary.checksums});
  }

  void finish() { writeManifest(manifest, folder); }

  std::filesystem::path folder;
  Manifest manifest;
};

void addLanguageModel(PackageWriter &package) {
  TokenizerData data;
  for (const Word &word : words)
    data.tokens.push_back({word.piece, 0, word.type});
  data.unknown = 0;
  data.bos = 1;
  data.eos = 2;
  std::vector<uint8_t> bytes = writeTokenizer(data, package.manifest.packageId);
  auto view = std::as_bytes(std::span(bytes));
  writeFile(package.folder / tokenizerFileName, view);
  package.manifest.tokenizer = ManifestFile{bytes.size(), checksumOf(view)};
  package.manifest.languageModel = LanguageModelFacts{"table", 1 << 30, vocabulary};
  using Dims = std::vector<std::variant<int64_t, std::string>>;
  ManifestEntry entry{"step", {}, {}};
  for (const char *name : {"tokens", "positions", "slots"})
    entry.inputs.push_back({name, ElementType::i32, Dims{"tokens"}});
  entry.inputs.push_back({"rows", ElementType::i32, Dims{"rows"}});
  entry.outputs.push_back({"logits", ElementType::f32, Dims{"rows", vocabulary}});
  package.manifest.entries = {entry};
}

/// A language model whose table is the sum over `ranks` ranks, in one stage.
void writeTensorParallel(const std::filesystem::path &folder, uint32_t ranks) {
  PackageWriter package(folder, "table-tp" + std::to_string(ranks), ranks);
  addLanguageModel(package);
  std::vector<float> table = nextTable(ranks);
  std::vector<uint32_t> group;
  for (uint32_t rank = 0; rank < ranks; ++rank)
    group.push_back(rank);
  for (uint32_t rank = 0; rank < ranks; ++rank) {
    ProgramBuilder b(rank, ranks);
    b.packageId = package.manifest.packageId;
    int64_t tokens = b.symbol("tokens");
    int64_t rows = b.symbol("rows");
    uint32_t ids = b.input("tokens", {tokens}, ElementType::i32);
    uint32_t wanted = b.input("rows", {rows}, ElementType::i32);
    uint32_t weights = b.weight("table", {vocabulary, vocabulary}, table);
    uint32_t all = b.activation({tokens, vocabulary});
    b.add(fb::CreateGather(b.fbb, 0, false), {weights, ids}, {all}, "embed");
    uint32_t logits = b.activation({rows, vocabulary});
    b.add(fb::CreateGather(b.fbb, 0, false), {all, wanted}, {logits}, "rows");
    if (ranks > 1) {
      uint32_t sum = b.activation({rows, vocabulary});
      b.add(fb::CreateAllReduceDirect(b.fbb, &group), {logits}, {sum}, "sum");
      logits = sum;
    }
    b.output("logits", logits, 0);
    package.addRank(b, std::as_bytes(std::span(table)));
  }
  package.finish();
}

/// Two stages: the second one has the logits.
void writePipeline(const std::filesystem::path &folder) {
  PackageWriter package(folder, "table-stages", 2);
  package.manifest.stages = 2;
  package.manifest.mesh = {{"tp", 1}};
  addLanguageModel(package);
  std::vector<float> table = nextTable(1);
  for (uint32_t rank = 0; rank < 2; ++rank) {
    ProgramBuilder b(rank, 2);
    b.packageId = package.manifest.packageId;
    b.stage = rank;
    int64_t tokens = b.symbol("tokens");
    if (rank == 0) {
      uint32_t ids = b.input("tokens", {tokens}, ElementType::i32);
      uint32_t weights = b.weight("table", {vocabulary, vocabulary}, table);
      uint32_t all = b.activation({tokens, vocabulary});
      b.add(fb::CreateGather(b.fbb, 0, false), {weights, ids}, {all}, "embed");
      b.add(fb::CreateSend(b.fbb, 1, 0), {all}, {}, "send");
    } else {
      int64_t rows = b.symbol("rows");
      uint32_t wanted = b.input("rows", {rows}, ElementType::i32);
      b.weight("unused", {vocabulary, vocabulary}, table);
      uint32_t all = b.activation({tokens, vocabulary});
      b.add(fb::CreateRecv(b.fbb, 0, 0), {}, {all}, "recv");
      uint32_t logits = b.activation({rows, vocabulary});
      b.add(fb::CreateGather(b.fbb, 0, false), {all, wanted}, {logits}, "rows");
      b.output("logits", logits, 1);
    }
    package.addRank(b, std::as_bytes(std::span(table)));
  }
  package.finish();
}

/// y = x * w + bias for x [n, 2], bias [2]; rank r's w is r + 1, and y the sum.
void writeGraph(const std::filesystem::path &folder, uint32_t ranks) {
  PackageWriter package(folder, "graph-" + std::to_string(ranks), ranks);
  using Dims = std::vector<std::variant<int64_t, std::string>>;
  package.manifest.entries = {{"step",
                               {{"x", ElementType::f32, Dims{"n", int64_t{2}}},
                                {"bias", ElementType::f32, Dims{int64_t{2}}}},
                               {{"y", ElementType::f32, Dims{"n", int64_t{2}}}}}};
  std::vector<uint32_t> group;
  for (uint32_t rank = 0; rank < ranks; ++rank)
    group.push_back(rank);
  for (uint32_t rank = 0; rank < ranks; ++rank) {
    std::vector<float> w(2, static_cast<float>(rank + 1));
    ProgramBuilder b(rank, ranks);
    b.packageId = package.manifest.packageId;
    int64_t n = b.symbol("n");
    uint32_t x = b.input("x", {n, 2});
    uint32_t y = b.binary(BinaryKind::mul, x, b.weight("w", {2}, w), {n, 2});
    if (ranks > 1) {
      uint32_t sum = b.activation({n, 2});
      b.add(fb::CreateAllReduceDirect(b.fbb, &group), {y}, {sum}, "sum");
      y = sum;
    }
    b.output("y", b.binary(BinaryKind::add, y, b.input("bias", {2}), {n, 2}), ranks - 1);
    package.addRank(b, std::as_bytes(std::span(w)));
  }
  package.finish();
}

} // namespace
} // namespace cleave::rt

int main(int argc, char **argv) {
  using namespace cleave::rt;
  if (argc != 2) {
    std::fprintf(stderr, "usage: test-packages FOLDER\n");
    return 2;
  }
  std::filesystem::path folder = argv[1];
  try {
    for (uint32_t ranks : {1, 2, 4})
      writeTensorParallel(folder / ("tp" + std::to_string(ranks)), ranks);
    writePipeline(folder / "stages");
    writeGraph(folder / "graph1", 1);
    writeGraph(folder / "graph2", 2);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "test-packages: %s\n", error.what());
    return 1;
  }
  return 0;
}
