// Loads an entry: bounds, states, steps, arena; and runs it.
#include "runtime/engine/engine.h"

#include "runtime/engine/lazy_memory.h"
#include "runtime/engine/size.h"
#include "runtime/engine/step_builder.h"
#include "runtime/engine/team.h"
#include "runtime/kernels/cpu_features.h"
#include "runtime/kernels/key_panels.h"

#include <algorithm>
#include <chrono>
#include <omp.h>
#include <stdexcept>
#include <vector>

namespace cleave::rt {

namespace {

constexpr int maxThreads = 1024;
constexpr const char *lowerContext = "; lower the context (--ctx)";

/// An input or output in the arena.
struct PortPlace {
  std::string name;
  std::byte *data = nullptr;
  Size elements;
  int64_t elementBytes = 0;

  size_t bytes(const int64_t *symbols) const {
    return static_cast<size_t>(elements(symbols) * elementBytes);
  }
};

const PortPlace *findPort(const std::vector<PortPlace> &ports, std::string_view name) {
  for (const PortPlace &port : ports)
    if (port.name == name)
      return &port;
  return nullptr;
}

/// Says of each of a program's states whether an entry reads it as keys, and whether also, or only,
/// in another way or not at all.
void findKeys(const fb::Entry &entry, std::vector<bool> &isKeys, std::vector<bool> &isRows) {
  if (!entry.instructions())
    return;
  std::vector<bool> isValues(isKeys.size());
  for (const fb::Instruction *instruction : *entry.instructions()) {
    if (instruction->operation_type() != fb::Operation::Attention)
      continue;
    auto stateOf = [&](uint32_t operand) {
      return entry.values()->Get(instruction->operands()->Get(operand))->index();
    };
    isKeys[stateOf(1)] = true;
    isValues[stateOf(2)] = true;
  }
  for (size_t i = 0; i < isKeys.size(); ++i)
    isRows[i] = isValues[i] || !isKeys[i];
}

} // namespace

struct Engine::Impl {
  const Program &program;
  /// A symbol; with count above 1 a share of another, as program.fbs has it.
  struct SymbolPlace {
    std::string name;
    uint32_t base = 0, index = 0, count = 1;
    std::optional<SizeExpression> derived = std::nullopt; ///< where it follows from others
    bool isGiven() const { return count == 1 && !derived; }
  };
  std::vector<SymbolPlace> symbolPlaces;
  std::vector<int64_t> bounds;
  std::vector<int64_t> symbols; // their values for the next run
  bool symbolsSettled = false;  // whether those that follow from others do
  bool symbolsChanged = true;   // since steps were prepared
  std::vector<StatePlace> states;
  LazyMemory stateMemory;
  LazyMemory arena;
  std::vector<PortPlace> inputs;
  std::vector<PortPlace> outputs;
  std::vector<std::unique_ptr<Step>> steps;
  int threads;
  Team team, alone{1};
  Profiler *profiler;
  EngineTimes times;

  Impl(const Program &program, const WeightFile &weights, Communicator &communicator,
       const EngineOptions &options)
      : program(program), threads(options.threads), team(options.threads),
        profiler(options.profiler) {
    cpuFeatures(); // bounds what kernels may use, before the first one runs
    const fb::Program &root = program.root();
    if (threads < 1 || threads > maxThreads)
      throw std::runtime_error(std::to_string(threads) + " threads: the number must be 1 to " +
                               std::to_string(maxThreads));
    if (communicator.size() != static_cast<int>(root.ranks()) ||
        communicator.rank() != static_cast<int>(root.rank()))
      throw std::runtime_error(program.fileName() + ": is for rank " + std::to_string(root.rank()) +
                               " of " + std::to_string(root.ranks()) + ", but this is rank " +
                               std::to_string(communicator.rank()) + " of " +
                               std::to_string(communicator.size()));
    // The program was proved against the size in the manifest: this is the file.
    if (root.weights())
      for (const fb::Weight *weight : *root.weights())
        if (weight->size() > weights.size() || weight->offset() > weights.size() - weight->size())
          throw std::runtime_error(weights.path().string() + ": has " +
                                   std::to_string(weights.size()) + " bytes, and weight " +
                                   quoted(weight->name()) +
                                   " is not within them; the file is not of this package");
    // oneDNN takes the number of threads from here when primitives are made.
    omp_set_num_threads(threads);
    const fb::Entry &entry = program.entry(options.entry);
    // First what the ranks do together, then what one of them may fail at alone.
    StepBuilder builder(
        {program, entry, weights, communicator, options, bounds, states, times.communication});
    takeBounds(options);
    placeStates(entry, options);
    builder.build();
    MemoryPlan plan = planMemory(builder.requests());
    arena = LazyMemory(plan.bytes, "activations at " + describeBounds());
    Memory memory(arena.data(), std::move(plan.offsets));
    steps = builder.takeSteps();
    for (std::unique_ptr<Step> &step : steps)
      step->bind(memory);
    if (profiler) {
      std::vector<OpDescription> ops;
      for (const std::unique_ptr<Step> &step : steps)
        ops.push_back(builder.describe(*step, memory));
      profiler->setOps(std::move(ops));
    }
    auto addPort = [&](std::vector<PortPlace> &ports, const auto &port) {
      const fb::Value &value = *entry.values()->Get(port.value());
      ports.push_back({port.name()->str(), memory.write<std::byte>(builder.location(port.value())),
                       Size(dimsOf(value.dims())),
                       elementTypeInfo(static_cast<ElementType>(value.element_type())).blockBytes});
    };
    if (entry.inputs())
      for (const fb::Port *port : *entry.inputs())
        addPort(inputs, *port);
    if (entry.outputs())
      for (const fb::OutputPort *port : *entry.outputs())
        if (isWanted(options.outputs, port->name()->string_view()))
          addPort(outputs, *port);
  }

  void takeBounds(const EngineOptions &options) {
    if (const auto *list = program.root().symbols())
      for (const fb::Symbol *symbol : *list) {
        SymbolPlace place{symbol->name()->str(), symbol->base(), symbol->index(), symbol->count()};
        if (place.count > 1) { // a larger size has no smaller shares
          bounds.push_back(shareSize(bounds[place.base], place.index, place.count));
          symbolPlaces.push_back(std::move(place));
          continue;
        }
        if (SizeExpression size = expressionOf(*symbol);
            size.symbols() != std::vector{place.name}) {
          bounds.push_back(boundOf(size));
          place.derived = std::move(size);
          symbolPlaces.push_back(std::move(place));
          continue;
        }
        auto bound = options.bounds.find(place.name);
        if (bound == options.bounds.end())
          throw std::runtime_error(program.fileName() + ": the size " + quoted(symbol->name()) +
                                   " varies at run time, and no bound is given for it");
        if (bound->second < 0)
          throw std::runtime_error("the bound of " + quoted(symbol->name()) + ", " +
                                   std::to_string(bound->second) + ", is negative");
        symbolPlaces.push_back(std::move(place));
        bounds.push_back(bound->second);
      }
    symbols = bounds;
  }

  /// The number of the given symbol `name`, which the program was proved to have.
  size_t numberOf(std::string_view name) const {
    size_t number = 0;
    while (symbolPlaces[number].name != name || !symbolPlaces[number].isGiven())
      ++number;
    return number;
  }

  /// The largest value of an expression over symbols whose bounds are known.
  int64_t boundOf(const SizeExpression &size) const {
    SizeRange range =
        size.range([&](std::string_view name) { return SizeRange{0, bounds[numberOf(name)]}; });
    if (range.most == SizeRange::unbounded)
      throw std::runtime_error(program.fileName() + ": the size '" + size.text() +
                               "' is too large at " + describeBounds());
    return std::max<int64_t>(range.most, 0);
  }

  /// Computes the symbols that follow from others.
  void settleSymbols() {
    if (symbolsSettled)
      return;
    for (size_t i = 0; i < symbolPlaces.size(); ++i) {
      const SymbolPlace &place = symbolPlaces[i];
      if (place.count > 1)
        symbols[i] = shareSize(symbols[place.base], place.index, place.count);
      if (!place.derived)
        continue;
      // In range and without overflow, because given symbols are within their bounds.
      int64_t value = place.derived
                          ->evaluate([&](std::string_view name) {
                            return std::optional(symbols[numberOf(name)]);
                          })
                          .value_or(-1);
      if (value < 0 || value > bounds[i])
        throw std::runtime_error("the size '" + place.name + "' is " + std::to_string(value) +
                                 " at " + describe(symbols));
      symbols[i] = value;
    }
    symbolsSettled = true;
  }

  void runSteps() {
    settleSymbols();
    if (symbolsChanged)
      for (std::unique_ptr<Step> &step : steps)
        step->prepare(symbols.data());
    symbolsChanged = false;
    // One region of the team for all steps, but that a library needs the threads in between.
    for (size_t begin = 0; begin < steps.size();) {
      const bool usesLibrary = steps[begin]->usesLibrary();
      if (usesLibrary) {
        if (profiler)
          profiler->beginOp(begin);
        steps[begin]->runLibrary();
      }
      size_t end = begin + 1;
      if (usesLibrary && !steps[begin]->usesTeam()) {
        if (profiler)
          profiler->endOp(symbols.data());
        begin = end;
        continue;
      }
      bool isSmall = steps[begin]->isSmall();
      while (end < steps.size() && !steps[end]->usesLibrary())
        isSmall &= steps[end++]->isSmall();
      // Nobody is called for what one thread does alone.
      (isSmall ? alone : team).run([&](TeamMember &member) {
        Profiler *recorder = member.isFirst() ? profiler : nullptr;
        RunContext context(member, recorder);
        for (size_t i = begin; i < end; ++i) {
          if (recorder)
            recorder->beginOp(i);
          steps[i]->run(context);
          if (recorder)
            recorder->endOp(symbols.data());
        }
      });
      if (profiler)
        profiler->endRegion();
      begin = end;
    }
  }

  std::string describe(const std::vector<int64_t> &values) const {
    std::string result;
    for (size_t i = 0; i < symbolPlaces.size(); ++i)
      if (symbolPlaces[i].isGiven())
        result +=
            (result.empty() ? "" : ", ") + symbolPlaces[i].name + " = " + std::to_string(values[i]);
    return result.empty() ? "constant sizes" : result;
  }
  std::string describeBounds() const { return describe(bounds); }

  /// What attention reads as keys lies in panels, everything else in rows.
  void placeStates(const fb::Entry &entry, const EngineOptions &options) {
    const auto *list = program.root().states();
    if (!list)
      return;
    std::vector<bool> isKeys(list->size()), isRows(list->size(), true);
    findKeys(entry, isKeys, isRows);
    struct Area {
      std::byte *StatePlace::*of;
      size_t state;
      int64_t offset;
    };
    std::vector<Area> areas;
    int64_t total = 0;
    auto reserve = [&](std::byte *StatePlace::*of, int64_t context) {
      const StatePlace &place = states.back();
      const int64_t sizes[] = {place.slots, context, place.width};
      std::optional<int64_t> bytes =
          bytesAtBounds(sizes, elementTypeInfo(place.type).blockBytes, bounds);
      int64_t rounded = bytes ? (*bytes + bufferAlignment - 1) / bufferAlignment * bufferAlignment
                              : maxTensorBytes + 1;
      areas.push_back({of, states.size() - 1, total});
      total += std::min(rounded, maxTensorBytes + 1);
      if (total > maxTensorBytes)
        throw std::runtime_error("the states (the cache of keys and values) at " +
                                 describeBounds() + " need more than 2^48 bytes" + lowerContext);
    };
    for (const fb::State *state : *list) {
      StatePlace place;
      place.type = options.cacheType.value_or(static_cast<ElementType>(state->element_type()));
      if (place.type != ElementType::f32 && place.type != ElementType::f16)
        throw std::runtime_error("a cache of " + std::string(elementTypeInfo(place.type).name) +
                                 " is not possible; take f32 or f16");
      std::span<const int64_t> dims = dimsOf(state->dims());
      auto sizeOf = [&](int64_t dim) {
        return isSymbolDim(dim) ? bounds[static_cast<size_t>(symbolOfDim(dim))] : dim;
      };
      place.slots = sizeOf(dims[0]);
      place.context = sizeOf(dims[1]);
      place.width = dims[2];
      states.push_back(place);
      if (isRows[states.size() - 1])
        reserve(&StatePlace::rows, place.context);
      if (isKeys[states.size() - 1])
        reserve(&StatePlace::panels, roomForKeys(place.context));
    }
    try {
      stateMemory =
          LazyMemory(total, "the states (the cache of keys and values) at " + describeBounds());
    } catch (const std::runtime_error &error) {
      throw std::runtime_error(std::string(error.what()) + lowerContext);
    }
    for (const Area &area : areas)
      states[area.state].*area.of = stateMemory.data() + area.offset;
  }
};

Engine::Engine(const Program &program, const WeightFile &weights, Communicator &communicator,
               const EngineOptions &options)
    : impl(std::make_unique<Impl>(program, weights, communicator, options)) {}

Engine::~Engine() = default;

void Engine::setSymbol(std::string_view name, int64_t value) {
  for (size_t i = 0; i < impl->symbolPlaces.size(); ++i) {
    if (impl->symbolPlaces[i].name != name || !impl->symbolPlaces[i].isGiven())
      continue;
    if (value < 0 || value > impl->bounds[i])
      throw std::runtime_error("the size '" + std::string(name) + "' cannot be " +
                               std::to_string(value) + ": its bound is " +
                               std::to_string(impl->bounds[i]));
    if (impl->symbols[i] != value) {
      impl->symbols[i] = value;
      impl->symbolsChanged = true;
      impl->symbolsSettled = false;
    }
    return;
  }
}

std::span<std::byte> Engine::input(std::string_view name) {
  impl->settleSymbols();
  const PortPlace *port = findPort(impl->inputs, name);
  if (!port)
    return {};
  return {port->data, port->bytes(impl->symbols.data())};
}

std::span<const std::byte> Engine::output(std::string_view name) const {
  impl->settleSymbols();
  const PortPlace *port = findPort(impl->outputs, name);
  if (!port)
    return {};
  return {port->data, port->bytes(impl->symbols.data())};
}

void Engine::run() {
  auto start = std::chrono::steady_clock::now();
  // oneDNN's primitives were made for this many.
  omp_set_num_threads(impl->threads);
  impl->runSteps();
  impl->times.total +=
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void Engine::clearStates() {
  impl->stateMemory.clear();
}

void Engine::fillStates() {
  uint32_t random = 1;
  auto fill = [&]<typename Bits>(Bits *data, int64_t count, Bits half, int mantissaBits) {
    for (int64_t i = 0; i < count; ++i) {
      random = random * 1664525u + 1013904223u;
      // The sign and the mantissa are drawn, the exponent is that of 0.5.
      constexpr int bits = 8 * sizeof(Bits);
      auto mantissa = static_cast<Bits>((random >> 8) & ((1u << mantissaBits) - 1));
      data[i] = static_cast<Bits>((random >> 31) << (bits - 1)) | half | mantissa;
    }
  };
  for (const StatePlace &state : impl->states) {
    auto fillArea = [&](std::byte *data, int64_t count) {
      if (state.type == ElementType::f32)
        fill(reinterpret_cast<uint32_t *>(data), count, uint32_t{0x3f000000}, 23);
      else
        fill(reinterpret_cast<uint16_t *>(data), count, uint16_t{0x3800}, 10);
    };
    if (state.rows)
      fillArea(state.rows, state.slots * state.context * state.width);
    if (state.panels)
      fillArea(state.panels, state.slots * roomForKeys(state.context) * state.width);
  }
}

const EngineTimes &Engine::times() const {
  return impl->times;
}
int64_t Engine::stateBytes() const {
  return impl->stateMemory.size();
}
int64_t Engine::activationBytes() const {
  return impl->arena.size();
}
int64_t Engine::stateBytesOfPosition() const {
  int64_t bytes = 0;
  for (const StatePlace &state : impl->states)
    bytes += ((state.rows ? 1 : 0) + (state.panels ? 1 : 0)) * state.width *
             int64_t{elementTypeInfo(state.type).blockBytes};
  return bytes;
}

} // namespace cleave::rt
