// CLI11's description of the command line. Short forms and defaults are those that
// llama.cpp's users know.
#include "tools/cleave_run/options.h"

#include <CLI/CLI.hpp>

#include <charconv>
#include <cmath>
#include <iostream>
#include <sstream>
#include <tuple>

namespace cleave::rt {
namespace {

/// "1,2,3" as ids, or an error for CLI11 to print.
std::vector<int32_t> parseTokens(const std::string &text) {
  std::vector<int32_t> tokens;
  const char *at = text.data();
  const char *end = at + text.size();
  while (true) {
    int32_t token = 0;
    auto [next, error] = std::from_chars(at, end, token);
    if (error != std::errc() || token < 0)
      throw CLI::ValidationError("--tokens", "'" + std::string(at, end) +
                                                 "' does not begin with a token id; expected "
                                                 "ids with commas between, as in 1,403,407");
    tokens.push_back(token);
    if (next == end)
      return tokens;
    if (*next != ',')
      throw CLI::ValidationError("--tokens",
                                 "expected a comma at '" + std::string(next, end) + "'");
    at = next + 1;
  }
}

std::vector<NamedFile> parseNamedFiles(const char *option, const std::vector<std::string> &texts) {
  std::vector<NamedFile> files;
  for (const std::string &text : texts) {
    size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == text.size())
      throw CLI::ValidationError(option, "'" + text + "' is not NAME=FILE.npy");
    files.push_back({text.substr(0, equals), text.substr(equals + 1)});
  }
  return files;
}

/// "prompt=512,generate=64,depth=2048,repeat=5", or "run=10,repeat=5", in any order.
BenchmarkTest parseBenchmark(const std::string &text) {
  auto refuse = [](const std::string &why) { throw CLI::ValidationError("--bench", why); };
  BenchmarkTest test;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    size_t equals = std::min(part.find('='), part.size());
    std::string key = part.substr(0, equals);
    int64_t *value = key == "prompt"     ? &test.prompt
                     : key == "generate" ? &test.generate
                     : key == "run"      ? &test.run
                     : key == "read"     ? &test.read
                     : key == "depth"    ? &test.depth
                     : key == "repeat"   ? &test.repeat
                                         : nullptr;
    if (!value)
      refuse("'" + part + "' is none of prompt=N, generate=N, read=N, run=N, depth=N, repeat=N");
    const char *begin = part.data() + std::min(equals + 1, part.size());
    const char *end = part.data() + part.size();
    auto [next, error] = std::from_chars(begin, end, *value);
    if (error != std::errc() || next != end || *value < 0 || *value > INT32_MAX / 2)
      refuse("'" + part + "' has no number from 0 to " + std::to_string(INT32_MAX / 2));
  }
  if (test.prompt == 0 && test.generate == 0 && test.read == 0 && test.run == 0)
    refuse("'" + text + "' measures nothing; give prompt=N or generate=N, or for a graph run=N");
  return test;
}

void requireFinite(const char *option, float value) {
  if (!std::isfinite(value))
    throw CLI::ValidationError(option, "is no finite number");
}

} // namespace

std::optional<int> parseOptions(int argc, char **argv, bool prints, Options &options) {
  CLI::App app("Runs a package that partition-tool made. A package for N ranks is started with "
               "mpirun -n N.",
               "cleave-run");
  app.set_version_flag("--version", "cleave-run " CLEAVE_VERSION);
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);

  auto *positional = app.add_option("package", options.package, "The package, a folder");
  app.add_option("-m,--model", options.package, "The package, as an option")->excludes(positional);

  constexpr const char *text = "Text";
  auto *prompt = app.add_option("-p,--prompt", options.prompt, "Text to go on from")->group(text);
  auto *file = app.add_option("-f,--file", options.promptFile,
                              "A file with the prompt; one newline at its end is left out")
                   ->group(text)
                   ->excludes(prompt);
  std::string tokens;
  auto *tokensOption = app.add_option("--tokens", tokens, "The prompt as token ids: 1,403,407")
                           ->group(text)
                           ->excludes(prompt)
                           ->excludes(file);
  auto *predict = app.add_option("-n,--predict,--n-predict", options.predict,
                                 "Tokens to generate; -1: until the end of the text or the context")
                      ->group(text)
                      ->check(CLI::Range(int64_t{-1}, int64_t{1} << 40))
                      ->capture_default_str();

  constexpr const char *sampling = "Choice of the next token";
  SamplerOptions &sampler = options.sampler;
  app.add_option("--temp", sampler.temp, "Temperature; 0: always the most probable token")
      ->group(sampling)
      ->capture_default_str();
  app.add_option("--top-k", sampler.topK, "Keep the K most probable; 0: all")
      ->group(sampling)
      ->capture_default_str();
  app.add_option("--top-p", sampler.topP, "Keep the most probable that sum to P; 1: all")
      ->group(sampling)
      ->capture_default_str();
  app.add_option("--min-p", sampler.minP, "Keep those at least P times as probable as the best")
      ->group(sampling)
      ->capture_default_str();
  int64_t seed = -1;
  app.add_option("-s,--seed", seed, "Seed of the draw; -1: a random one")
      ->group(sampling)
      ->check(CLI::Range(int64_t{-1}, INT64_MAX))
      ->capture_default_str();

  constexpr const char *execution = "Execution";
  app.add_option("-t,--threads", options.threads,
                 "Threads of each rank; 0: its share of the node's cores")
      ->group(execution)
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_option("-c,--ctx,--ctx-size", options.context,
                 "Tokens of context; 0: the smaller of the model's and " +
                     std::to_string(defaultContext))
      ->group(execution)
      ->check(CLI::Range(int64_t{0}, int64_t{INT32_MAX}))
      ->capture_default_str();
  app.add_option("-b,--batch,--batch-size", options.batch, "Tokens of the prompt in one step")
      ->group(execution)
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  std::string cacheType;
  app.add_option("--cache-type", cacheType,
                 "Element type of the cache of keys and values: f32 or f16; default: f32 for f32 "
                 "models, f16 for others")
      ->group(execution)
      ->check(CLI::IsMember({"f32", "f16"}));
  std::string activations = "quantized";
  app.add_option("--activations", activations,
                 "How activations meet quantized weights: f32 is exact, quantized (or q8) rounds "
                 "them to 8 bits")
      ->group(execution)
      ->check(CLI::IsMember({"f32", "quantized", "q8"}))
      ->capture_default_str();
  bool noVerify = false;
  app.add_flag("--no-verify", noVerify, "Do not check the weights' checksums")->group(execution);

  constexpr const char *arrays = "Arrays (.npy files, or .pb for ONNX's)";
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  for (auto [name, files, description] :
       {std::tuple{"--input", &inputs, "An input of the graph, once for each: NAME=FILE.npy"},
        std::tuple{"--output", &outputs,
                   "Where an output goes: NAME=FILE.npy. For a language model, logits: one row "
                   "for each token that it has read"}})
    app.add_option(name, *files, description)
        ->group(arrays)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->expected(1)
        ->allow_extra_args(false);

  constexpr const char *measurement = "Measurement";
  app.add_flag("--profile{cleave-profile.json}", options.profile,
               "Print what takes the time, by kind of op, and write a trace of all ranks, which "
               "Perfetto and chrome://tracing open, to cleave-profile.json, or as --profile=FILE "
               "says (docs/profiling.md)")
      ->group(measurement);
  std::vector<std::string> benchmark;
  auto *bench =
      app.add_option(
             "--bench", benchmark,
             "Measure a language model in place of running it, on random tokens: "
             "prompt=512,generate=64,depth=2048,repeat=5 reads 512 tokens, and apart from that "
             "generates 64, each after 2048 others, five times, and with read=1 reads the "
             "weights in several ways each time, for comparison; or a graph, on its inputs: "
             "run=10,repeat=5 runs it ten times, five times. Repeatable. Prints a line of "
             "JSON for each repetition, and one for all ranks (docs/performance.md)")
          ->group(measurement)
          ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
          ->expected(1)
          ->allow_extra_args(false);
  for (CLI::Option *other : {prompt, file, tokensOption, predict, app.get_option("--output")})
    bench->excludes(other);

  try {
    app.parse(argc, argv);
    if (options.package.empty())
      throw CLI::RequiredError("package");
    if (tokensOption->count() > 0)
      options.tokens = parseTokens(tokens);
    options.inputs = parseNamedFiles("--input", inputs);
    options.outputs = parseNamedFiles("--output", outputs);
    for (const std::string &test : benchmark)
      options.benchmark.push_back(parseBenchmark(test));
    requireFinite("--temp", sampler.temp);
    requireFinite("--top-p", sampler.topP);
    requireFinite("--min-p", sampler.minP);
  } catch (const CLI::ParseError &error) {
    std::ostringstream out;
    std::ostringstream err;
    int status = app.exit(error, out, err);
    if (prints) {
      std::cout << out.str() << std::flush;
      std::cerr << (status == 0 ? "" : "cleave-run: error: ") << err.str();
    }
    return status == 0 ? 0 : 2;
  }
  options.verify = !noVerify;
  options.randomSeed = seed < 0 && options.benchmark.empty();
  sampler.seed = static_cast<uint64_t>(seed);
  options.activations = activations == "f32" ? Activations::f32 : Activations::quantized;
  if (!cacheType.empty())
    options.cacheType = cacheType == "f32" ? ElementType::f32 : ElementType::f16;
  return std::nullopt;
}

} // namespace cleave::rt
