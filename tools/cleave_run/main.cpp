// cleave-run: runs one rank of a package, alone or under mpirun. Checks everything
// on all ranks before the first step, then hands over to language_model.h or
// graph_run.h.
#include "runtime/comm/threads.h"
#include "runtime/program/manifest.h"
#include "runtime/program/package.h"
#include "runtime/program/program.h"
#include "runtime/program/weight_file.h"
#include "tools/cleave_run/benchmark.h"
#include "tools/cleave_run/graph_run.h"
#include "tools/cleave_run/job.h"
#include "tools/cleave_run/language_model.h"
#include "tools/cleave_run/options.h"
#include "tools/cleave_run/profiled_run.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <stdexcept>

namespace cleave::rt {
namespace {

/// The longest prompt file, in bytes: far beyond any context.
constexpr uint64_t maxPromptBytes = uint64_t{256} << 20;

/// What this rank has loaded.
struct Loaded {
  Manifest manifest;
  std::unique_ptr<Program> program;
  std::unique_ptr<WeightFile> weights;
  std::unique_ptr<Tokenizer> tokenizer; ///< on the first rank, where the package has one
};

/// Ranks on other nodes may see another folder under the same name.
void checkSamePackage(Job &job, const Manifest &manifest, const Options &options) {
  std::string id = manifest.packageId;
  id.resize(maxPackageIdLength);
  job.communicator().broadcast(id.data(), id.size(), ElementType::u8, 0, job.all());
  job.together([&] {
    if (std::string first = id.c_str(); first != manifest.packageId)
      throw std::runtime_error(options.package + ": is package " + manifest.packageId +
                               ", on rank 0 it is " + first);
  });
}

void checkSize(const Job &job, const ThreadShare &share, const Manifest &manifest,
               const Options &options, int argc, char **argv) {
  if (manifest.ranks == job.ranks())
    return;
  auto counted = [](int64_t ranks) {
    return std::to_string(ranks) + (ranks == 1 ? " rank" : " ranks");
  };
  job.refuse(options.package + " is for " + counted(manifest.ranks) + ", this job has " +
             std::to_string(job.ranks()) + "; start it with\n  " +
             mpirunCommand(manifest.ranks, share.nodeCores, argc, argv));
}

void load(const Job &job, const ThreadShare &share, const Options &options, Loaded &loaded) {
  std::filesystem::path folder = options.package;
  auto rank = static_cast<uint32_t>(job.rank());
  const Manifest &manifest = loaded.manifest;
  loaded.program = std::make_unique<Program>(Program::open(folder, manifest, rank));
  loaded.weights =
      std::make_unique<WeightFile>(folder / weightFileName(rank), manifest.packageId, rank);
  const ManifestRank &files = manifest.files[rank];
  if (loaded.weights->size() != files.weightsSize)
    throw std::runtime_error(loaded.weights->path().string() + ": has " +
                             std::to_string(loaded.weights->size()) + " bytes, the manifest says " +
                             std::to_string(files.weightsSize));
  if (options.verify)
    loaded.weights->verify(files.weightsChecksums, share.threads);
  if (!job.isFirst() || !manifest.languageModel)
    return;
  if (!manifest.tokenizer && !options.tokens && options.benchmark.empty())
    throw std::runtime_error(options.package + ": has no tokenizer, so the prompt must be given "
                                               "as token ids (--tokens)");
  if (!manifest.tokenizer)
    return;
  std::filesystem::path path = folder / tokenizerFileName;
  FileBytes bytes = readCheckedFile(path, maxProgramBytes, manifest.tokenizer->size,
                                    manifest.tokenizer->checksum);
  loaded.tokenizer = Tokenizer::parse(bytes.span(), path.string(), manifest.packageId);
}

/// The prompt's tokens; on the first rank.
std::vector<int32_t> promptOf(const Options &options, const Tokenizer *tokenizer,
                              const LanguageOptions &language) {
  std::vector<int32_t> tokens;
  if (options.tokens) {
    tokens = *options.tokens;
  } else {
    std::string text = options.prompt;
    if (!options.promptFile.empty()) {
      text = readFile(options.promptFile, maxPromptBytes).text();
      if (text.ends_with('\n'))
        text.pop_back();
    }
    tokens = tokenizer->encode(text);
    if (tokens.empty())
      throw std::runtime_error("nothing to begin with: the prompt is empty, and the vocabulary "
                               "has no begin-of-text token");
  }
  int64_t known = language.vocabulary;
  if (tokenizer)
    known = std::min(known, static_cast<int64_t>(tokenizer->size()));
  for (int32_t token : tokens)
    if (token >= known)
      throw std::runtime_error("token " + std::to_string(token) + " is not in the vocabulary of " +
                               std::to_string(known));
  if (static_cast<int64_t>(tokens.size()) > language.context)
    throw std::runtime_error("the prompt has " + std::to_string(tokens.size()) +
                             " tokens, more than the context of " +
                             std::to_string(language.context) + " (--ctx)");
  return tokens;
}

LanguageOptions languageOptionsOf(const Job &job, const LanguageModelFacts &facts,
                                  const Options &options) {
  LanguageOptions language;
  language.vocabulary = facts.vocabulary;
  language.context = options.context;
  int64_t measured = 0;
  for (const BenchmarkTest &test : options.benchmark) {
    if (test.run > 0)
      job.refuse(options.package + " is a language model; --bench measures it with prompt=N and "
                                   "generate=N");
    measured = std::max(measured, test.context());
  }
  if (language.context == 0 && measured > 0)
    language.context = measured;
  else if (language.context == 0)
    language.context =
        facts.contextLength > 0 ? std::min(facts.contextLength, defaultContext) : defaultContext;
  else if (facts.contextLength > 0 && language.context > facts.contextLength && job.isFirst())
    std::fprintf(stderr,
                 "cleave-run: a context of %lld tokens is longer than the %lld that the model "
                 "was trained for\n",
                 static_cast<long long>(language.context),
                 static_cast<long long>(facts.contextLength));
  if (measured > language.context)
    job.refuse("--bench needs a context of " + std::to_string(measured) + " tokens, not " +
               std::to_string(language.context) + " (--ctx)");
  language.batch = std::min(options.batch, language.context);
  language.sampler = options.sampler;
  for (const NamedFile &output : options.outputs) {
    if (output.name != "logits" || !language.logitsFile.empty())
      job.refuse("--output " + output.name + ": a language model has one output, logits");
    language.logitsFile = output.file;
  }
  if (!options.inputs.empty())
    job.refuse("--input is for graphs; a language model's inputs are --prompt, --file, --tokens");
  return language;
}

/// One seed for all ranks: what the user gave, or one that the first rank draws
/// and prints.
uint64_t sharedSeed(Job &job, const Options &options) {
  auto seed = static_cast<int64_t>(options.sampler.seed);
  if (options.randomSeed && options.sampler.temp > 0) {
    if (job.isFirst()) {
      seed = std::random_device()() & INT32_MAX;
      std::fprintf(stderr, "cleave-run: seed %lld\n", static_cast<long long>(seed));
    }
    job.communicator().broadcast(&seed, 1, ElementType::i64, 0, job.all());
  }
  return static_cast<uint64_t>(seed);
}

void printTimes(const LanguageTimes &times) {
  auto perSecond = [](int64_t count, double seconds) {
    return seconds > 0 ? static_cast<double>(count) / seconds : 0.0;
  };
  double total = times.promptSeconds + times.stepSeconds;
  std::fprintf(stderr,
               "cleave-run: prompt %lld tokens, %.1f tokens/s; generation %lld steps, %.1f "
               "tokens/s; communication %.0f %% of the time\n",
               static_cast<long long>(times.promptTokens),
               perSecond(times.promptTokens, times.promptSeconds),
               static_cast<long long>(times.steps), perSecond(times.steps, times.stepSeconds),
               total > 0 ? 100 * times.communication / total : 0.0);
}

EngineOptions engineOptionsOf(const Options &options, const ThreadShare &share,
                              Profiler *profiler) {
  EngineOptions engine;
  engine.profiler = profiler;
  engine.threads = share.threads;
  engine.activations = options.activations;
  engine.cacheType = options.cacheType;
  return engine;
}

/// `started` is when the ranks had met, and loading began.
void runLanguageModel(Job &job, const ThreadShare &share, const Options &options,
                      const Loaded &loaded, Profiler *profiler,
                      std::chrono::steady_clock::time_point started) {
  LanguageOptions language = languageOptionsOf(job, *loaded.manifest.languageModel, options);
  language.profiler = profiler;
  std::vector<int32_t> prompt;
  job.together([&] {
    if (job.isFirst() && options.benchmark.empty())
      prompt = promptOf(options, loaded.tokenizer.get(), language);
  });
  language.sampler.seed = sharedSeed(job, options);
  LanguageModel model(job, *loaded.program, language);
  EngineOptions engineOptions = engineOptionsOf(options, share, profiler);
  engineOptions.bounds = languageBounds(language);
  engineOptions.entry = "step";
  engineOptions.outputs = {model.output()};
  std::optional<Engine> engine;
  job.together(
      [&] { engine.emplace(*loaded.program, *loaded.weights, job.communicator(), engineOptions); });
  model.use(*engine);
  if (!options.benchmark.empty()) {
    std::chrono::duration<double> loadTime = std::chrono::steady_clock::now() - started;
    Benchmark(job, model, *engine, *loaded.weights, language)
        .run(options.benchmark, {
                                    .threads = share.threads,
                                    .loadSeconds = loadTime.count(),
                                    .weightBytes = static_cast<int64_t>(loaded.weights->size()),
                                    .weightBytesOfStep = weightBytesOfStep(*loaded.program),
                                });
    return;
  }
  if (job.isFirst())
    printTimes(model.lead(prompt, options.predict, loaded.tokenizer.get()));
  else
    model.follow();
}

void runGraph(Job &job, const ThreadShare &share, const Options &options, const Loaded &loaded,
              Profiler *profiler, std::chrono::steady_clock::time_point started) {
  if (!options.prompt.empty() || !options.promptFile.empty() || options.tokens)
    job.refuse(options.package + " is no language model; its inputs are given with --input");
  for (const BenchmarkTest &test : options.benchmark)
    if (test.run == 0 || test.prompt > 0 || test.generate > 0 || test.read > 0)
      job.refuse(options.package + " is no language model; --bench measures it with run=N");
  if (loaded.manifest.entries.size() != 1)
    job.refuse(options.package + " has " + std::to_string(loaded.manifest.entries.size()) +
               " entries; a graph is run by its only one");
  const ManifestEntry &entry = loaded.manifest.entries[0];
  GraphRun graph(job, entry, options);
  EngineOptions engineOptions = engineOptionsOf(options, share, profiler);
  engineOptions.bounds = graph.symbols();
  engineOptions.entry = entry.name;
  std::optional<Engine> engine;
  job.together(
      [&] { engine.emplace(*loaded.program, *loaded.weights, job.communicator(), engineOptions); });
  if (!options.benchmark.empty()) {
    std::chrono::duration<double> loadTime = std::chrono::steady_clock::now() - started;
    graph.fill(*engine, *loaded.program);
    benchmarkGraph(job, *engine, options.benchmark, profiler,
                   {
                       .threads = share.threads,
                       .loadSeconds = loadTime.count(),
                       .weightBytes = static_cast<int64_t>(loaded.weights->size()),
                   });
    return;
  }
  graph.run(*engine, *loaded.program, profiler);
  // An output that cannot be written fails the job even where others have ended.
  job.communicator().barrier();
}

int run(const Launch &launch, const ThreadShare &share, const Options &options, int argc,
        char **argv) {
  Job job(launch, share);
  auto started = std::chrono::steady_clock::now();
  try {
    std::optional<ProfiledRun> profile;
    if (!options.profile.empty())
      profile.emplace(job, options.profile);
    Profiler *profiler = profile ? &profile->profiler() : nullptr;
    Loaded loaded;
    job.together([&] { loaded.manifest = readManifest(options.package); });
    checkSamePackage(job, loaded.manifest, options);
    checkSize(job, share, loaded.manifest, options, argc, argv);
    job.together([&] { load(job, share, options, loaded); });
    if (job.isFirst())
      std::fprintf(stderr, "cleave-run: %s\n", share.describe(launch).c_str());
    if (loaded.manifest.languageModel)
      runLanguageModel(job, share, options, loaded, profiler, started);
    else
      runGraph(job, share, options, loaded, profiler, started);
    if (profile)
      profile->finish();
    return EXIT_SUCCESS;
  } catch (const JobRefused &) {
    return EXIT_FAILURE;
  } catch (const std::bad_alloc &) {
    job.abort("out of memory");
  } catch (const std::exception &error) {
    job.abort(error.what());
  }
}

} // namespace
} // namespace cleave::rt

int main(int argc, char **argv) {
  using namespace cleave::rt;
  Launch launch = Launch::detect();
  Options options;
  // The first rank speaks and fails for all: mpirun ends every rank once one has failed,
  // perhaps before the first has said why.
  if (std::optional<int> status = parseOptions(argc, argv, launch.rank == 0, options))
    return launch.rank == 0 ? *status : EXIT_SUCCESS;
  ThreadShare share = takeShare(launch, options.threads, argv);
  return run(launch, share, options, argc, argv);
}
