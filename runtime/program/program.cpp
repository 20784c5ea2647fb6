// Reads a program and proves what all operations share: identity, symbols,
// weights against their file, states, values, ports, and that each value is
// defined once and before its uses. Operations: program_checks.cpp.
#include "runtime/program/program.h"

#include "runtime/program/element_type.h"
#include "runtime/program/layout.h"
#include "runtime/program/manifest.h"
#include "runtime/program/program_checks.h"

#include <algorithm>
#include <stdexcept>
#include <unordered_set>
#include <vector>

namespace cleave::rt {

namespace {

/// More tables than any program has. FlatBuffers lets tables be shared, so that a
/// small file could stand for a huge one: this bounds the work.
constexpr uint32_t maxTables = 1u << 22;

/// More symbols than any program has. Each may be an expression, which takes time to read.
constexpr uint32_t maxSymbols = 4096;

/// Proves one program; holds what its parts are checked against.
class Prover {
public:
  Prover(const fb::Program &program, const std::string &fileName, const ProgramIdentity &identity)
      : program(program), fileName(fileName), identity(identity) {}

  void prove() {
    checkIdentity();
    checkSymbols();
    checkWeights();
    checkStates();
    Names names;
    if (count(program.entries()) == 0)
      refuse("has no entries");
    for (const fb::Entry *entry : *program.entries()) {
      checkName(entry->name(), names, "entry");
      checkEntry(*entry);
    }
  }

private:
  using Names = std::unordered_set<std::string_view>;

  [[noreturn]] void refuse(const std::string &why) const {
    throw std::runtime_error(fileName + ": " + why);
  }

  template <typename Vector> static uint32_t count(const Vector *vector) {
    return vector ? vector->size() : 0;
  }

  /// Names are short, and unique among their kind.
  void checkName(const flatbuffers::String *name, Names &names, const char *kind) const {
    if (name->size() > maxNameLength)
      refuse(std::string("the name of an ") + kind + " has " + std::to_string(name->size()) +
             " bytes, more than " + std::to_string(maxNameLength));
    if (!names.insert(name->string_view()).second)
      refuse(std::string("has two of ") + kind + " " + quoted(name));
  }

  void checkIdentity() const {
    if (program.version() != programVersion)
      refuse("is of version " + std::to_string(program.version()) +
             "; this program reads version " + std::to_string(programVersion) +
             ". partition the model again");
    if (program.package_id()->string_view() != identity.packageId)
      refuse("is from another package: its id is " + quoted(program.package_id()) + ", not '" +
             identity.packageId + "'");
    if (program.rank() != identity.rank || program.ranks() != identity.ranks)
      refuse("is for rank " + std::to_string(program.rank()) + " of " +
             std::to_string(program.ranks()) + ", not for rank " + std::to_string(identity.rank) +
             " of " + std::to_string(identity.ranks));
    if (program.stage() >= identity.stages)
      refuse("is of stage " + std::to_string(program.stage()) + " of " +
             std::to_string(identity.stages));
  }

  /// The name of a symbol is an expression over the `plain` ones before it, or itself one.
  void checkExpression(const fb::Symbol &symbol, Names &plain) const {
    std::string why;
    MaybeSize size = SizeExpression::parse(symbol.name()->string_view(), &why);
    if (!size)
      refuse("symbol " + quoted(symbol.name()) + " is no expression of sizes: " + why);
    if (size->text() != symbol.name()->string_view() || size->constant())
      refuse("symbol " + quoted(symbol.name()) + " is not in canonical form or a constant");
    std::vector<std::string> used = size->symbols();
    if (used.size() == 1 && used[0] == symbol.name()->string_view()) {
      plain.insert(symbol.name()->string_view());
      return;
    }
    for (const std::string &name : used)
      if (!plain.contains(name))
        refuse("symbol " + quoted(symbol.name()) + " follows from '" + name +
               "', which is no size before it");
  }

  void checkSymbols() const {
    Names names, plain;
    if (count(program.symbols()) > maxSymbols)
      refuse("has " + std::to_string(count(program.symbols())) + " symbols, more than " +
             std::to_string(maxSymbols));
    for (uint32_t i = 0; i < count(program.symbols()); ++i) {
      const fb::Symbol &symbol = *program.symbols()->Get(i);
      checkName(symbol.name(), names, "symbol");
      if (symbol.count() == 1) {
        checkExpression(symbol, plain);
        continue;
      }
      if (symbol.index() >= symbol.count())
        refuse("symbol " + quoted(symbol.name()) + " is share " + std::to_string(symbol.index()) +
               " of " + std::to_string(symbol.count()));
      if (symbol.base() >= i || program.symbols()->Get(symbol.base())->count() != 1)
        refuse("symbol " + quoted(symbol.name()) + " is a share of symbol " +
               std::to_string(symbol.base()) + ", which is no size of its own before it");
    }
  }

  /// What is given from outside, or outlives a step, is whole.
  void expectNoShares(const flatbuffers::Vector<int64_t> *dims, const std::string &what) const {
    for (int64_t dim : dimsOf(dims))
      if (isSymbolDim(dim)) {
        const fb::Symbol &symbol = *program.symbols()->Get(static_cast<uint32_t>(symbolOfDim(dim)));
        if (symbol.count() != 1)
          refuse(what + " has the share " + quoted(symbol.name()) + " as a dimension");
      }
  }

  const ElementTypeInfo &checkType(uint8_t number, const std::string &what) const {
    const ElementTypeInfo *info = findElementType(static_cast<ElementType>(number));
    if (!info)
      refuse(what + " has element type " + std::to_string(number) + ", which is unknown");
    return *info;
  }

  /// Dimensions are few, name known symbols, and do not overflow. Returns the bytes
  /// of the constant ones (a symbol counts as one element).
  int64_t checkDims(const flatbuffers::Vector<int64_t> *vector, const ElementTypeInfo &info,
                    const std::string &what) const {
    if (!isAligned(vector))
      refuse(what + " has misaligned dimensions");
    std::span<const int64_t> dims = dimsOf(vector);
    if (dims.size() > maxValueDims)
      refuse(what + " has " + std::to_string(dims.size()) + " dimensions, more than " +
             std::to_string(maxValueDims));
    for (int64_t dim : dims)
      if (isSymbolDim(dim) && symbolOfDim(dim) >= count(program.symbols()))
        refuse(what + " has symbol " + std::to_string(symbolOfDim(dim)) + " of " +
               std::to_string(count(program.symbols())) + " as a dimension");
    if (isBlockType(info) && (dims.empty() || isSymbolDim(dims.back())))
      refuse(what + " is of the block type " + std::string(info.name) +
             ", but its last dimension is not constant");
    int64_t last = dims.empty() || isSymbolDim(dims.back()) ? 1 : dims.back();
    std::optional<int64_t> bytes = rowBytes(info, last);
    if (!bytes)
      refuse(what + " has a last dimension of " + std::to_string(last) +
             ", which is no whole number of blocks of " + std::to_string(info.blockLength));
    // Dimensions of zero come last into the product, so that they hide nothing.
    int64_t product = std::max<int64_t>(*bytes, 1);
    bool empty = *bytes == 0;
    for (size_t i = 0; i + 1 < dims.size(); ++i) {
      if (isSymbolDim(dims[i]))
        continue;
      empty |= dims[i] == 0;
      if (__builtin_mul_overflow(product, std::max<int64_t>(dims[i], 1), &product))
        product = maxTensorBytes + 1;
      if (product > maxTensorBytes)
        break;
    }
    if (product > maxTensorBytes)
      refuse(what + " is larger than any tensor can be");
    return empty ? 0 : product;
  }

  void checkWeights() const {
    for (uint32_t i = 0; i < count(program.weights()); ++i) {
      const fb::Weight &weight = *program.weights()->Get(i);
      std::string what = "weight " + std::to_string(i) + " " + quoted(weight.name());
      const ElementTypeInfo &info = checkType(weight.element_type(), what);
      checkDims(weight.dims(), info, what);
      std::span<const int64_t> dims = dimsOf(weight.dims());
      if (std::any_of(dims.begin(), dims.end(), isSymbolDim))
        refuse(what + " has a dimension that is not constant");
      const auto layout = static_cast<Layout>(weight.layout());
      if (layout != Layout::rows && layout != Layout::interleaved)
        refuse(what + " has layout " + std::to_string(weight.layout()) + ", which is unknown");
      std::optional<int64_t> bytes = layoutBytes(layout, info, dims);
      if (!bytes)
        refuse(what + " is in a layout of matrices, and it is none");
      if (weight.size() != static_cast<uint64_t>(*bytes))
        refuse(what + " has " + std::to_string(weight.size()) +
               " bytes, but its type, dimensions and layout make " + std::to_string(*bytes));
      if (weight.offset() % weightAlignment != 0 || weight.offset() < weightFileHeaderBytes)
        refuse(what + " is at offset " + std::to_string(weight.offset()) +
               ", which is not a multiple of " + std::to_string(weightAlignment) +
               " behind the header");
      if (weight.size() > identity.weightFileBytes ||
          weight.offset() > identity.weightFileBytes - weight.size())
        refuse(what + ", " + std::to_string(weight.size()) + " bytes at offset " +
               std::to_string(weight.offset()) + ", is not within the weight file's " +
               std::to_string(identity.weightFileBytes) + " bytes");
    }
  }

  void checkStates() const {
    Names names;
    for (uint32_t i = 0; i < count(program.states()); ++i) {
      const fb::State &state = *program.states()->Get(i);
      checkName(state.name(), names, "state");
      std::string what = "state " + quoted(state.name());
      const ElementTypeInfo &info = checkType(state.element_type(), what);
      if (info.type != ElementType::f32 && info.type != ElementType::f16)
        refuse(what + " is of " + std::string(info.name) + "; a state is of f32 or f16");
      checkDims(state.dims(), info, what);
      std::span<const int64_t> dims = dimsOf(state.dims());
      if (dims.size() != 3 || isSymbolDim(dims[2]))
        refuse(what + " does not have the dimensions [slots, context, width], width constant");
      expectNoShares(state.dims(), what);
    }
  }

  void checkValue(const fb::Value &value, const std::string &what) const {
    const ElementTypeInfo &info = checkType(value.element_type(), what);
    checkDims(value.dims(), info, what);
    std::span<const int64_t> dims = dimsOf(value.dims());
    auto expectLike = [&](uint32_t size, auto *of, const char *kind) {
      if (value.index() >= size)
        refuse(what + " is " + kind + " " + std::to_string(value.index()) + " of " +
               std::to_string(size));
      const auto &origin = *of->Get(value.index());
      std::span<const int64_t> expected = dimsOf(origin.dims());
      if (value.element_type() != origin.element_type() ||
          !std::equal(dims.begin(), dims.end(), expected.begin(), expected.end()))
        refuse(what + " differs in type or dimensions from its " + kind + " " +
               quoted(origin.name()));
    };
    switch (value.storage()) {
    case fb::Storage::Activation:
    case fb::Storage::Input:
      if (isBlockType(info))
        refuse(what + " is of " + std::string(info.name) +
               "; inputs and activations are of plain types");
      return;
    case fb::Storage::Weight:
      return expectLike(count(program.weights()), program.weights(), "weight");
    case fb::Storage::State:
      return expectLike(count(program.states()), program.states(), "state");
    }
    refuse(what + " has an unknown storage");
  }

  /// How far the walk through an entry knows a value.
  enum class Known : uint8_t { no, input, yes };

  void checkEntry(const fb::Entry &entry) const {
    std::string where = "entry " + quoted(entry.name());
    uint32_t values = entry.values()->size();
    std::vector<Known> known(values, Known::no);
    for (uint32_t i = 0; i < values; ++i) {
      const fb::Value &value = *entry.values()->Get(i);
      checkValue(value, "value " + std::to_string(i) + " of " + where);
      if (value.storage() == fb::Storage::Weight || value.storage() == fb::Storage::State)
        known[i] = Known::yes;
    }
    checkInputs(entry, where, known);
    for (uint32_t i = 0; i < entry.instructions()->size(); ++i)
      checkInstruction(entry, i, known);
    for (uint32_t i = 0; i < values; ++i)
      if (known[i] == Known::no)
        refuse("value " + std::to_string(i) + " of " + where + " is never written");
    checkOutputs(entry, where);
  }

  void checkInputs(const fb::Entry &entry, const std::string &where,
                   std::vector<Known> &known) const {
    Names names;
    for (uint32_t i = 0; i < count(entry.inputs()); ++i) {
      const fb::Port &port = *entry.inputs()->Get(i);
      checkName(port.name(), names, "input");
      std::string what = "input " + quoted(port.name()) + " of " + where;
      if (port.value() >= known.size() ||
          entry.values()->Get(port.value())->storage() != fb::Storage::Input)
        refuse(what + " is value " + std::to_string(port.value()) +
               ", which is not declared as one");
      if (known[port.value()] != Known::no)
        refuse(what + " is the same value as another input");
      expectNoShares(entry.values()->Get(port.value())->dims(), what);
      known[port.value()] = Known::input;
    }
  }

  void checkOutputs(const fb::Entry &entry, const std::string &where) const {
    Names names;
    for (uint32_t i = 0; i < count(entry.outputs()); ++i) {
      const fb::OutputPort &port = *entry.outputs()->Get(i);
      checkName(port.name(), names, "output");
      std::string what = "output " + quoted(port.name()) + " of " + where;
      if (port.value() >= entry.values()->size())
        refuse(what + " is value " + std::to_string(port.value()) + " of " +
               std::to_string(entry.values()->size()));
      fb::Storage storage = entry.values()->Get(port.value())->storage();
      if (storage != fb::Storage::Activation && storage != fb::Storage::Input)
        refuse(what + " is a weight or a state");
      if (port.owner() >= program.ranks())
        refuse(what + " is owned by rank " + std::to_string(port.owner()) + " of " +
               std::to_string(program.ranks()));
    }
  }

  void checkInstruction(const fb::Entry &entry, uint32_t number, std::vector<Known> &known) const {
    const fb::Instruction &instruction = *entry.instructions()->Get(number);
    InstructionCheck check(program, entry, number, fileName);
    if (instruction.name() && instruction.name()->size() > maxNameLength)
      check.refuse("its name is longer than " + std::to_string(maxNameLength) + " bytes");
    if (std::max(count(instruction.operands()), count(instruction.results())) > maxOperands)
      check.refuse("has more than " + std::to_string(maxOperands) + " operands or results");
    auto expectKnown = [&](uint32_t value) {
      if (value >= known.size())
        check.refuse("names value " + std::to_string(value) + " of " +
                     std::to_string(known.size()));
    };
    for (uint32_t i = 0; i < count(instruction.operands()); ++i) {
      uint32_t value = instruction.operands()->Get(i);
      expectKnown(value);
      if (known[value] == Known::no)
        check.refuse("reads value " + std::to_string(value) + " before it is written");
    }
    for (uint32_t i = 0; i < count(instruction.results()); ++i) {
      uint32_t value = instruction.results()->Get(i);
      expectKnown(value);
      if (entry.values()->Get(value)->storage() != fb::Storage::Activation)
        check.refuse("writes value " + std::to_string(value) + ", which is not an activation");
      if (known[value] != Known::no)
        check.refuse("writes value " + std::to_string(value) + " a second time");
      known[value] = Known::yes;
    }
    check.check();
  }

  const fb::Program &program;
  const std::string &fileName;
  const ProgramIdentity &identity;
};

} // namespace

Program::Program(FileBytes contents, std::string fileName, const ProgramIdentity &identity)
    : bytes(std::move(contents)), name(std::move(fileName)) {
  const uint8_t *data = reinterpret_cast<const uint8_t *>(bytes.span().data());
  flatbuffers::Verifier verifier(data, bytes.size(), /*max_depth=*/16, maxTables);
  // The shortest buffer that can have an identifier is 8 bytes; the verifier's own
  // test of the identifier reads them unasked.
  if (bytes.size() < 8 || !fb::ProgramBufferHasIdentifier(data))
    throw std::runtime_error(name + ": is not a program");
  if (!fb::VerifyProgramBuffer(verifier))
    throw std::runtime_error(name + ": is not a well-formed program; it is truncated or altered");
  Prover(root(), name, identity).prove();
}

Program Program::open(const std::filesystem::path &folder, const Manifest &manifest,
                      uint32_t rank) {
  const ManifestRank &files = manifest.files.at(rank);
  std::filesystem::path path = folder / programFileName(rank);
  ProgramIdentity identity{manifest.packageId, rank, static_cast<uint32_t>(manifest.ranks),
                           static_cast<uint32_t>(manifest.stages), files.weightsSize};
  return Program(readCheckedFile(path, maxProgramBytes, files.program.size, files.program.checksum),
                 path.string(), identity);
}

const fb::Entry &Program::entry(std::string_view entryName) const {
  const auto &entries = *root().entries();
  if (entryName.empty() && entries.size() == 1)
    return *entries.Get(0);
  std::string_view wanted = entryName.empty() ? "step" : entryName;
  for (const fb::Entry *entry : entries)
    if (entry->name()->string_view() == wanted)
      return *entry;
  throw std::runtime_error(name + ": has no entry '" + std::string(wanted) + "'");
}

SizeExpression expressionOf(const fb::Symbol &symbol) {
  return SizeExpression::parse(symbol.name()->string_view()).value();
}

std::string quoted(const flatbuffers::String *name) {
  constexpr size_t shown = 200;
  std::string result = "'";
  for (char c : name->string_view().substr(0, shown))
    result += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return result + (name->size() > shown ? "...'" : "'");
}

std::string describeInstruction(const fb::Entry &entry, uint32_t number) {
  const fb::Instruction &instruction = *entry.instructions()->Get(number);
  std::string result = "instruction " + std::to_string(number) + " (" +
                       fb::EnumNameOperation(instruction.operation_type());
  if (instruction.name() && instruction.name()->size() > 0)
    result += " " + quoted(instruction.name());
  return result + ") of entry " + quoted(entry.name());
}

} // namespace cleave::rt
