// See graph_run.h.
#include "tools/cleave_run/graph_run.h"

#include "runtime/engine/profile.h"
#include "runtime/program/onnx_tensor.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace cleave::rt {
namespace {

std::string nameOf(ElementType type) {
  return std::string(elementTypeInfo(type).name);
}

std::string describe(const std::vector<int64_t> &dims) {
  std::string text = "[";
  for (size_t i = 0; i < dims.size(); ++i)
    text += (i ? ", " : "") + std::to_string(dims[i]);
  return text + "]";
}

std::string describe(const ManifestPort &port) {
  std::string text = "[";
  for (size_t i = 0; i < port.dims.size(); ++i) {
    const auto *size = std::get_if<int64_t>(&port.dims[i]);
    text += (i ? ", " : "") + (size ? std::to_string(*size) : std::get<std::string>(port.dims[i]));
  }
  return text + "] " + nameOf(port.type);
}

std::string namesOf(const std::vector<ManifestPort> &ports) {
  std::string text;
  for (const ManifestPort &port : ports)
    text += (text.empty() ? "" : ", ") + port.name;
  return text.empty() ? "none" : text;
}

SizeExpression read(const std::string &size) {
  std::string why;
  MaybeSize expression = SizeExpression::parse(size, &why);
  if (!expression)
    throw std::runtime_error("the manifest has a size '" + size + "': " + why);
  return *expression;
}

const ManifestPort *findPort(const std::vector<ManifestPort> &ports, const std::string &name) {
  auto port = std::ranges::find(ports, name, &ManifestPort::name);
  return port == ports.end() ? nullptr : &*port;
}

/// Whether a file holds a tensor as ONNX's test data has it; else it is NumPy's.
bool isOnnxFile(const std::string &file) {
  return file.ends_with(".pb");
}

} // namespace

GraphRun::GraphRun(Job &job, const ManifestEntry &entry, const Options &options)
    : job(job), entry(entry), outputs(options.outputs) {
  // Every name in the manifest has its size on every rank, unset at first.
  for (const ManifestPort &port : entry.inputs)
    for (const auto &dim : port.dims)
      if (const auto *size = std::get_if<std::string>(&dim))
        for (const std::string &symbol : read(*size).symbols())
          sizes[symbol] = -1;
  job.together([&] {
    if (job.isFirst()) {
      checkOutputs();
      readInputs(options.inputs);
    }
  });
  shareSizes();
}

void GraphRun::checkOutputs() const {
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!findPort(entry.outputs, outputs[i].name))
      throw std::runtime_error("no output '" + outputs[i].name + "'; entry '" + entry.name +
                               "' has: " + namesOf(entry.outputs));
    for (size_t j = 0; j < i; ++j)
      if (outputs[j].name == outputs[i].name)
        throw std::runtime_error("output '" + outputs[i].name + "' is given two files");
  }
}

void GraphRun::readInputs(const std::vector<NamedFile> &files) {
  for (const NamedFile &input : files) {
    const ManifestPort *port = findPort(entry.inputs, input.name);
    if (!port)
      throw std::runtime_error("no input '" + input.name + "'; entry '" + entry.name +
                               "' has: " + namesOf(entry.inputs));
    auto [place, isNew] = inputs.emplace(
        input.name, isOnnxFile(input.file) ? readOnnxTensorFile(input.file) : readNpy(input.file));
    if (!isNew)
      throw std::runtime_error("input '" + input.name + "' is given two files");
    takeSizes(*port, place->second, input.file);
  }
  for (const ManifestPort &port : entry.inputs)
    if (!inputs.contains(port.name))
      throw std::runtime_error("input '" + port.name + "' " + describe(port) +
                               " is missing; give --input " + port.name + "=FILE.npy");
  solveSizes();
}

/// Sizes that an input has as an expression only ("past+seq" of a mask): where one symbol of
/// it is not known, it follows; where none, both must agree.
void GraphRun::solveSizes() {
  auto valueOf = [&](std::string_view name) -> std::optional<int64_t> {
    int64_t size = sizes.find(name)->second;
    return size < 0 ? std::nullopt : std::optional(size);
  };
  for (bool found = true; found;) {
    found = false;
    for (const GivenSize &given : givenSizes)
      for (const std::string &symbol : given.size.symbols())
        if (!valueOf(symbol))
          if (std::optional<int64_t> value = given.size.solve(symbol, given.value, valueOf)) {
            sizes[symbol] = *value;
            found = true;
          }
  }
  for (const GivenSize &given : givenSizes) {
    std::string known;
    for (const std::string &symbol : given.size.symbols()) {
      std::optional<int64_t> value = valueOf(symbol);
      if (!value)
        throw std::runtime_error("no input tells the size " + symbol + ": input '" + given.input +
                                 "' has " + std::to_string(given.value) + " for " +
                                 given.size.text() + ", which leaves it open");
      known += (known.empty() ? "" : ", ") + symbol + " = " + std::to_string(*value);
    }
    if (std::optional<int64_t> value = given.size.evaluate(valueOf); value != given.value)
      throw std::runtime_error(
          "input '" + given.input + "' has " + std::to_string(given.value) + " for " +
          given.size.text() + ", but with " + known + " that is " +
          (value ? std::to_string(*value) : std::string("larger than any tensor can be")));
  }
}

void GraphRun::takeSizes(const ManifestPort &port, const NpyArray &array, const std::string &file) {
  auto refuse = [&](const std::string &why) {
    throw std::runtime_error(file + ": holds " + describe(array.dims) + " " + nameOf(array.type) +
                             ", but input '" + port.name + "' is " + describe(port) + why);
  };
  if (array.type != port.type || array.dims.size() != port.dims.size())
    refuse("");
  for (size_t i = 0; i < array.dims.size(); ++i) {
    if (const auto *size = std::get_if<int64_t>(&port.dims[i])) {
      if (array.dims[i] != *size)
        refuse("");
      continue;
    }
    const auto &symbol = std::get<std::string>(port.dims[i]);
    if (!sizes.contains(symbol)) {
      givenSizes.push_back({port.name, read(symbol), array.dims[i]});
      continue;
    }
    int64_t &size = sizes[symbol];
    if (size >= 0 && size != array.dims[i])
      refuse(", and another input has made " + symbol + " " + std::to_string(size));
    size = array.dims[i];
  }
}

std::optional<int64_t> GraphRun::valueOf(const SizeExpression &size) const {
  return size.evaluate([&](std::string_view name) {
    auto known = sizes.find(name);
    return known == sizes.end() ? std::nullopt : std::optional(known->second);
  });
}

void GraphRun::shareSizes() {
  std::vector<int64_t> values; // in the order of names, alike on all ranks
  for (const auto &[name, size] : sizes)
    values.push_back(size);
  job.communicator().broadcast(values.data(), values.size(), ElementType::i64, 0, job.all());
  auto value = values.begin();
  for (auto &[name, size] : sizes)
    size = *value++;
}

void GraphRun::fill(Engine &engine, const Program &program) {
  for (const auto &[name, size] : sizes)
    engine.setSymbol(name, size);
  std::vector<std::byte> room;
  for (const ManifestPort &port : entry.inputs) {
    size_t bytes = elementTypeInfo(port.type).blockBytes;
    for (const auto &dim : port.dims) {
      const auto *size = std::get_if<int64_t>(&dim);
      bytes *= static_cast<size_t>(size ? *size : *valueOf(read(std::get<std::string>(dim))));
    }
    std::byte *data = job.isFirst() ? inputs.at(port.name).data.data() : nullptr;
    if (!data) {
      room.resize(std::max(room.size(), bytes));
      data = room.data();
    }
    job.communicator().broadcast(data, bytes, ElementType::u8, 0, job.all());
    std::span<std::byte> memory = engine.input(port.name);
    if (memory.empty()) // this rank's entry has no such input
      continue;
    if (memory.size() != bytes)
      throw std::runtime_error(program.fileName() + ": the input '" + port.name + "' has " +
                               std::to_string(memory.size()) + " bytes, the manifest says " +
                               std::to_string(bytes));
    std::memcpy(memory.data(), data, bytes);
  }
}

void GraphRun::run(Engine &engine, const Program &program, Profiler *profiler) {
  if (profiler) {
    profiler->beginStep();
    profiler->setPhase(Phase::graph, 0);
  }
  fill(engine, program);
  engine.run();
  if (profiler)
    profiler->endStep();
  const fb::Entry &programEntry = program.entry(entry.name);
  if (programEntry.outputs())
    for (const fb::OutputPort *port : *programEntry.outputs())
      if (port->owner() == static_cast<uint32_t>(job.rank()))
        writeOutput(*port, programEntry, engine, program);
}

void GraphRun::writeOutput(const fb::OutputPort &port, const fb::Entry &programEntry,
                           Engine &engine, const Program &program) const {
  auto file = std::ranges::find(outputs, port.name()->str(), &NamedFile::name);
  if (file == outputs.end())
    return;
  const fb::Value &value = *programEntry.values()->Get(port.value());
  std::vector<int64_t> dims;
  for (int64_t dim : dimsOf(value.dims())) {
    if (!isSymbolDim(dim)) {
      dims.push_back(dim);
      continue;
    }
    const auto *symbol = program.root().symbols()->Get(static_cast<uint32_t>(symbolOfDim(dim)));
    std::optional<int64_t> size = valueOf(expressionOf(*symbol));
    if (!size)
      throw std::runtime_error(program.fileName() + ": the output '" + file->name +
                               "' has a size, " + quoted(symbol->name()) +
                               ", that no input determines");
    dims.push_back(*size);
  }
  const auto type = static_cast<ElementType>(value.element_type());
  std::span<const std::byte> data = engine.output(file->name);
  if (isOnnxFile(file->file))
    writeOnnxTensorFile(file->file, file->name, type, dims, data);
  else
    writeNpy(file->file, type, dims, data);
}

} // namespace cleave::rt
