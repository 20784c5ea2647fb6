// Runs a graph once: arrays in from files, arrays out to files, of NumPy (.npy) or ONNX (.pb:
// one TensorProto each). The first rank reads the inputs and gives them to all; the rank that
// answers for an output writes it.
#pragma once

#include "runtime/engine/engine.h"
#include "runtime/program/manifest.h"
#include "runtime/program/npy.h"
#include "runtime/program/program.h"
#include "tools/cleave_run/job.h"
#include "tools/cleave_run/options.h"

#include <map>
#include <string>
#include <vector>

namespace cleave::rt {

class GraphRun {
public:
  /// Reads the inputs and settles the sizes that vary. All ranks make it together;
  /// throws JobRefused where a file or a name is wrong: an input that is missing,
  /// given twice, unknown, of another type or shape, or an unknown output.
  GraphRun(Job &job, const ManifestEntry &entry, const Options &options);

  /// The symbols that vary, which are their bounds too.
  const std::map<std::string, int64_t, std::less<>> &symbols() const { return sizes; }

  /// Gives the engine its sizes and inputs. All ranks together; throws std::runtime_error.
  void fill(Engine &engine, const Program &program);

  /// The same, then runs the entry, of which `profiler` hears where there is one, and writes
  /// the outputs.
  void run(Engine &engine, const Program &program, Profiler *profiler);

private:
  void readInputs(const std::vector<NamedFile> &files);
  void checkOutputs() const;
  void takeSizes(const ManifestPort &port, const NpyArray &array, const std::string &file);
  void solveSizes();
  void shareSizes();
  /// Nothing where no input determines it.
  std::optional<int64_t> valueOf(const SizeExpression &size) const;
  void writeOutput(const fb::OutputPort &port, const fb::Entry &entry, Engine &engine,
                   const Program &program) const;

  Job &job;
  const ManifestEntry &entry;
  const std::vector<NamedFile> &outputs;
  std::map<std::string, NpyArray> inputs;            ///< on the first rank
  std::map<std::string, int64_t, std::less<>> sizes; ///< of the symbols
  /// A size of an input that is more than a symbol.
  struct GivenSize {
    std::string input;
    SizeExpression size;
    int64_t value;
  };
  std::vector<GivenSize> givenSizes;
};

} // namespace cleave::rt
