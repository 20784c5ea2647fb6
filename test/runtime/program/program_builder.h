// Builds small programs and their weight files for tests, valid or not: what a
// test asks for is what it gets.
#pragma once

#include "runtime/program/element_type.h"
#include "runtime/program/elementwise.h"
#include "runtime/program/manifest.h"
#include "runtime/program/packing.h"
#include "runtime/program/program.h"
#include "runtime/program/weight_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace cleave::rt {

/// A folder of the running test, emptied first.
inline std::filesystem::path testFolder() {
  const testing::TestInfo &test = *testing::UnitTest::GetInstance()->current_test_info();
  std::string name = std::string(test.test_suite_name()) + "." + test.name();
  std::replace(name.begin(), name.end(), '/', '-');
  std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / ("cleave-" + name);
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

/// A program on disk, read and proved.
struct LoadedProgram {
  std::unique_ptr<WeightFile> weights;
  std::unique_ptr<Program> program;
};

/// One rank's program with one entry, "step". Functions return the numbers by which
/// others name the thing.
class ProgramBuilder {
public:
  using Dims = std::vector<int64_t>;

  explicit ProgramBuilder(uint32_t rank = 0, uint32_t ranks = 1) : rank(rank), ranks(ranks) {}

  flatbuffers::FlatBufferBuilder fbb;
  std::string packageId = "test-package";
  uint32_t version = programVersion;
  uint32_t stage = 0;
  uint32_t rank;
  uint32_t ranks;

  /// Returns the dimension that stands for the symbol.
  int64_t symbol(const std::string &name) {
    symbols.push_back(fb::CreateSymbolDirect(fbb, name.c_str()));
    return dimOfSymbol(static_cast<int64_t>(symbols.size()) - 1);
  }

  /// The same for share `index` of `count` of the symbol with dimension `base`.
  int64_t share(const std::string &name, int64_t base, uint32_t index, uint32_t count) {
    symbols.push_back(fb::CreateSymbolDirect(
        fbb, name.c_str(), static_cast<uint32_t>(symbolOfDim(base)), index, count));
    return dimOfSymbol(static_cast<int64_t>(symbols.size()) - 1);
  }

  uint32_t value(fb::Storage storage, uint32_t index, ElementType type, const Dims &dims) {
    values.push_back(fb::CreateValueDirect(fbb, storage, index, static_cast<uint8_t>(type), &dims));
    return static_cast<uint32_t>(values.size() - 1);
  }
  uint32_t activation(const Dims &dims, ElementType type = ElementType::f32) {
    return value(fb::Storage::Activation, 0, type, dims);
  }
  uint32_t input(const std::string &name, const Dims &dims, ElementType type = ElementType::f32) {
    uint32_t number = value(fb::Storage::Input, 0, type, dims);
    inputs.push_back(fb::CreatePortDirect(fbb, name.c_str(), number));
    return number;
  }
  void output(const std::string &name, uint32_t number, uint32_t owner = 0) {
    outputs.push_back(fb::CreateOutputPortDirect(fbb, name.c_str(), number, owner));
  }

  /// A weight's table alone; a value of it is made with value().
  uint32_t rawWeight(const std::string &name, ElementType type, const Dims &dims, uint64_t offset,
                     uint64_t size, uint8_t layout = 0) {
    weights.push_back(fb::CreateWeightDirect(fbb, name.c_str(), static_cast<uint8_t>(type), layout,
                                             &dims, offset, size));
    return static_cast<uint32_t>(weights.size() - 1);
  }
  /// A weight with these bytes in the weight file, and a value of it.
  uint32_t weight(const std::string &name, ElementType type, const Dims &dims,
                  std::span<const std::byte> bytes) {
    payload.resize((payload.size() + 63) / 64 * 64);
    uint32_t index =
        rawWeight(name, type, dims, weightFileHeaderBytes + payload.size(), bytes.size());
    payload.insert(payload.end(), bytes.begin(), bytes.end());
    return value(fb::Storage::Weight, index, type, dims);
  }
  /// The same for a weight of products, `bytes` being rows: in the layout that these want.
  uint32_t matrix(const std::string &name, ElementType type, const Dims &dims,
                  std::span<const std::byte> bytes) {
    if (matrixLayout(type) == Layout::rows)
      return weight(name, type, dims, bytes);
    payload.resize((payload.size() + 63) / 64 * 64);
    const uint64_t offset = weightFileHeaderBytes + payload.size();
    const ElementTypeInfo &info = elementTypeInfo(type);
    MatrixPacker packer(info, dims[dims.size() - 2], rowBytes(info, dims.back()).value(),
                        [&](std::span<const std::byte> piece) {
                          payload.insert(payload.end(), piece.begin(), piece.end());
                        });
    packer.append(bytes);
    const auto layout = static_cast<uint8_t>(Layout::interleaved);
    uint32_t index = rawWeight(name, type, dims, offset,
                               weightFileHeaderBytes + payload.size() - offset, layout);
    return value(fb::Storage::Weight, index, type, dims);
  }
  uint32_t weight(const std::string &name, const Dims &dims, const std::vector<float> &elements) {
    return weight(name, ElementType::f32, dims, std::as_bytes(std::span(elements)));
  }

  uint32_t state(const std::string &name, const Dims &dims, ElementType type = ElementType::f32) {
    states.push_back(fb::CreateStateDirect(fbb, name.c_str(), static_cast<uint8_t>(type), &dims));
    return value(fb::Storage::State, static_cast<uint32_t>(states.size() - 1), type, dims);
  }

  template <typename Op>
  void add(flatbuffers::Offset<Op> op, const std::vector<uint32_t> &operands,
           const std::vector<uint32_t> &results, const std::string &name = "") {
    instructions.push_back(fb::CreateInstructionDirect(
        fbb, fb::OperationTraits<Op>::enum_value, op.Union(), &operands, &results, name.c_str()));
  }

  // The common operations; each returns its result.
  uint32_t linear(uint32_t x, uint32_t weight, const Dims &dims, uint32_t padBefore = 0) {
    uint32_t y = activation(dims);
    add(fb::CreateLinear(fbb, padBefore), {x, weight}, {y}, "linear");
    return y;
  }
  uint32_t silu(uint32_t x, const Dims &dims) {
    uint32_t y = activation(dims);
    add(fb::CreateUnary(fbb, static_cast<uint8_t>(UnaryKind::silu)), {x}, {y}, "silu");
    return y;
  }
  uint32_t binary(BinaryKind kind, uint32_t x, uint32_t y, const Dims &dims) {
    uint32_t z = activation(dims);
    add(fb::CreateBinary(fbb, static_cast<uint8_t>(kind)), {x, y}, {z}, "binary");
    return z;
  }

  /// The program's bytes. Once only.
  FileBytes finish() {
    std::vector<flatbuffers::Offset<fb::Entry>> entries{
        fb::CreateEntryDirect(fbb, "step", &values, &inputs, &outputs, &instructions)};
    fb::FinishProgramBuffer(fbb,
                            fb::CreateProgramDirect(fbb, version, packageId.c_str(), rank, ranks,
                                                    stage, &symbols, &weights, &states, &entries));
    FileBytes bytes(fbb.GetSize());
    std::memcpy(bytes.data(), fbb.GetBufferPointer(), bytes.size());
    return bytes;
  }

  uint64_t weightFileBytes() const { return weightFileHeaderBytes + payload.size(); }

  ProgramIdentity identity() const {
    return {"test-package", rank, ranks, /*stages=*/1, weightFileBytes()};
  }

  /// Proves the program; throws as Program does.
  Program prove() {
    ProgramIdentity expected = identity();
    return Program(finish(), "test.program", expected);
  }

  std::unique_ptr<WeightFile> writeWeights(const std::filesystem::path &folder) const {
    std::filesystem::path path = folder / weightFileName(rank);
    WeightFileWriter writer(path);
    if (!payload.empty())
      writer.add("weights", payload);
    writer.finish("test-package", rank);
    return std::make_unique<WeightFile>(path, "test-package", rank);
  }

  LoadedProgram load(const std::filesystem::path &folder) {
    std::unique_ptr<WeightFile> file = writeWeights(folder);
    return {std::move(file), std::make_unique<Program>(prove())};
  }

private:
  std::vector<flatbuffers::Offset<fb::Symbol>> symbols;
  std::vector<flatbuffers::Offset<fb::Weight>> weights;
  std::vector<flatbuffers::Offset<fb::State>> states;
  std::vector<flatbuffers::Offset<fb::Value>> values;
  std::vector<flatbuffers::Offset<fb::Port>> inputs;
  std::vector<flatbuffers::Offset<fb::OutputPort>> outputs;
  std::vector<flatbuffers::Offset<fb::Instruction>> instructions;
  std::vector<std::byte> payload;
};

} // namespace cleave::rt
