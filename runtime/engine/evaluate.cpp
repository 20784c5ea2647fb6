// Engines over the threads of one process.
#include "runtime/engine/evaluate.h"

#include "runtime/comm/thread_communicator.h"
#include "runtime/engine/engine.h"
#include "runtime/program/program.h"
#include "runtime/program/weight_file.h"

#include <algorithm>
#include <mutex>
#include <stdexcept>
#include <utility>

namespace cleave::rt {
namespace {

void setInputs(Engine &engine, const fb::Entry &entry, const NamedArrays &inputs) {
  if (!entry.inputs())
    return;
  for (const fb::Port *port : *entry.inputs()) {
    auto given = inputs.find(port->name()->string_view());
    if (given == inputs.end())
      throw std::runtime_error("no value is given for the input " + quoted(port->name()));
    std::span<std::byte> place = engine.input(given->first);
    if (place.size() != given->second.size())
      throw std::runtime_error("the input " + quoted(port->name()) + " has " +
                               std::to_string(place.size()) + " bytes, but " +
                               std::to_string(given->second.size()) + " are given");
    std::ranges::copy(given->second, place.begin());
  }
}

} // namespace

NamedArrays evaluate(std::vector<RankInMemory> ranks, const NamedArrays &inputs,
                     const EvaluationOptions &options) {
  EngineOptions engineOptions;
  engineOptions.bounds = options.sizes;
  engineOptions.activations = options.exact ? Activations::f32 : Activations::quantized;
  engineOptions.cacheType = options.stateType;
  engineOptions.entry = options.entry;
  NamedArrays outputs;
  std::mutex lock;
  runRanks(static_cast<int>(ranks.size()), [&](Communicator &communicator) {
    auto rank = static_cast<uint32_t>(communicator.rank());
    auto count = static_cast<uint32_t>(ranks.size());
    WeightFile weights("its weights", std::move(ranks[rank].weights));
    // No rank has a stage of its own that others do not know: their number bounds it.
    Program program(std::move(ranks[rank].program), "its program",
                    {std::string(evaluationPackageId), rank, count, count, weights.size()});
    Engine engine(program, weights, communicator, engineOptions);
    const fb::Entry &entry = program.entry(options.entry);
    setInputs(engine, entry, inputs);
    engine.run();
    if (!entry.outputs())
      return;
    for (const fb::OutputPort *port : *entry.outputs()) {
      if (port->owner() != rank)
        continue;
      std::span<const std::byte> bytes = engine.output(port->name()->string_view());
      std::scoped_lock guard(lock);
      outputs[port->name()->str()].assign(bytes.begin(), bytes.end());
    }
  });
  return outputs;
}

} // namespace cleave::rt
