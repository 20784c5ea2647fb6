// partition-tool: reads a model, partitions it, and writes a package or one of the forms
// on the way to it.
#include "compiler/import/gguf/import.h"
#include "compiler/import/onnx/annotate.h"
#include "compiler/import/onnx/import.h"
#include "compiler/lower/check.h"
#include "compiler/lower/package_writer.h"
#include "compiler/lower/report.h"
#include "dialect/dialect.h"
#include "tools/partition_tool/diagnostics.h"
#include "tools/partition_tool/pipeline.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"

#include <csignal>

namespace cl = llvm::cl;
using namespace mlir;
using namespace cleave;

namespace {

enum class Emit { logical, sharded, ranks, package };
enum class Report { none, table, json };

cl::OptionCategory category("partition-tool options");
cl::opt<std::string>
    input(cl::Positional, cl::Required, cl::cat(category),
          cl::desc("MODEL (.gguf, .onnx, or .mlir: a graph, or ranks; - is standard input)"));
cl::opt<std::string> output("o", cl::value_desc("path"), cl::cat(category),
                            cl::desc("Where to write; - is standard output"));
cl::opt<Emit>
    emit("emit", cl::cat(category), cl::desc("What to write"), cl::init(Emit::package),
         cl::values(clEnumValN(Emit::logical, "logical", "the model as a graph, with its plan"),
                    clEnumValN(Emit::sharded, "sharded", "the graph with shardings and stages"),
                    clEnumValN(Emit::ranks, "ranks", "one module a rank"),
                    clEnumValN(Emit::package, "package", "a folder for cleave-run (default)")));
cl::opt<Report> reportFormat("report", cl::ValueOptional, cl::cat(category), cl::init(Report::none),
                             cl::desc("Print what each rank holds, computes and communicates"),
                             cl::values(clEnumValN(Report::table, "", "as a table"),
                                        clEnumValN(Report::json, "json", "as JSON, for programs")));
cl::opt<bool> check("check", cl::cat(category),
                    cl::desc("Run the ranks and the model on random inputs and compare"));
cl::opt<std::string> against("against", cl::value_desc("model"), cl::cat(category),
                             cl::desc("With --check: the model that ranks are compared with"));
cl::opt<std::string>
    explained("explain", cl::value_desc("name"), cl::cat(category),
              cl::desc("Print why a weight, state, op, input or output is split as it is"));
cl::opt<std::string> planFile("plan", cl::value_desc("file"), cl::cat(category),
                              cl::desc("A plan in YAML"));
cl::opt<std::string> tp("tp", cl::value_desc("N"), cl::cat(category),
                        cl::desc("Ranks that share each layer"));
cl::opt<std::string> stages("stages", cl::value_desc("N"), cl::cat(category),
                            cl::desc("Pipeline stages"));
cl::opt<std::string> mesh("mesh", cl::value_desc("axis=N,..."), cl::cat(category),
                          cl::desc("Mesh axes, the last varying fastest"));
cl::list<std::string> cuts("cut", cl::value_desc("name"), cl::cat(category),
                           cl::desc("Begin a stage at this block, op or tensor"));
cl::list<std::string> splits("split", cl::value_desc("pattern=type"), cl::cat(category),
                             cl::desc("Split weights: column, row, head or none, @axis where there "
                                      "are several, as in 'w=column@tp+row@data'"));
cl::list<std::string> shares("shares", cl::value_desc("axis=a,b,..."), cl::cat(category),
                             cl::desc("In what proportion an axis's ranks share"));
cl::opt<std::string> sequence("sequence", cl::value_desc("axis"), cl::cat(category),
                              cl::desc("Cut tokens, too, over this axis: between the blocks' "
                                       "matrices, for prompts"));
cl::list<std::string> dims("dim", cl::value_desc("name=N"), cl::cat(category),
                           cl::desc("ONNX: what a symbolic dimension of the inputs is"));
cl::list<std::string> values("value", cl::value_desc("name=file"), cl::cat(category),
                             cl::desc("ONNX: an input's value (.npy or .pb), for shapes, axes and "
                                      "the like that are inputs"));
cl::opt<std::string> configuration("configuration", cl::value_desc("name"), cl::cat(category),
                                   cl::desc("ONNX: whose device annotations to follow, where the "
                                            "model has several configurations"));
cl::opt<std::string> annotated("annotate", cl::value_desc("file"), cl::cat(category),
                               cl::desc("ONNX: write the model with the plan in it, as the "
                                        "standard's device annotations"));
cl::opt<bool> noOptimize("no-optimize", cl::cat(category),
                         cl::desc("Leave the ranks' ops unmerged and unfused, as the splits "
                                  "made them"));

LogicalResult fail(const Twine &message) {
  llvm::errs() << "partition-tool: error: " << message << "\n";
  return failure();
}

/// `--tp=$N` without an N is a mistake, not one rank.
LogicalResult checkFlags() {
  for (const cl::opt<std::string> *flag :
       {&planFile, &tp, &stages, &mesh, &sequence, &explained, &configuration, &annotated})
    if (flag->getNumOccurrences() > 0 && flag->empty())
      return fail("--" + flag->ArgStr + " has no value");
  return success();
}

bool isPlanGiven() {
  return !planFile.empty() || !tp.empty() || !stages.empty() || !mesh.empty() || !cuts.empty() ||
         !splits.empty() || !shares.empty() || !sequence.empty();
}

OwningOpRef<ModuleOp> importGguf(StringRef path, MLIRContext &context) {
  llvm::Expected<gguf::File> file = gguf::File::open(path);
  if (!file) {
    (void)fail(llvm::toString(file.takeError()));
    return {};
  }
  llvm::Expected<gguf::ImportedModel> model = gguf::importModel(*file, context);
  if (!model) {
    (void)fail(llvm::toString(model.takeError()));
    return {};
  }
  for (const std::string &warning : model->warnings)
    llvm::errs() << "partition-tool: warning: " << warning << "\n";
  return std::move(model->module);
}

/// `name=value` of each word of a flag.
LogicalResult splitWords(const cl::list<std::string> &flag,
                         std::map<std::string, std::string> &words) {
  for (StringRef word : flag) {
    auto [name, value] = word.split('=');
    if (name.empty() || value.empty())
      return fail("--" + flag.ArgStr + " " + word +
                  ": expected NAME=" + (flag.ArgStr == "dim" ? "SIZE" : "FILE"));
    if (!words.try_emplace(name.str(), value.str()).second)
      return fail("--" + flag.ArgStr + " gives '" + name + "' twice");
  }
  return success();
}

OwningOpRef<ModuleOp> importOnnx(StringRef path, MLIRContext &context) {
  cleave::onnx::ImportOptions options;
  if (failed(splitWords(dims, options.dims)) || failed(splitWords(values, options.values)))
    return {};
  if (isPlanGiven() && !configuration.empty()) {
    (void)fail("--configuration chooses a plan that is in the file, and other flags give one; drop "
               "one of the two");
    return {};
  }
  options.readsAnnotations = !isPlanGiven();
  options.configuration = configuration;
  llvm::Expected<cleave::onnx::ModelFile> file = cleave::onnx::ModelFile::open(path);
  if (!file) {
    (void)fail(llvm::toString(file.takeError()));
    return {};
  }
  llvm::Expected<cleave::onnx::ImportedModel> model =
      cleave::onnx::importModel(*file, options, context);
  if (!model) {
    (void)fail(llvm::toString(model.takeError()));
    return {};
  }
  for (const std::string &warning : model->warnings)
    llvm::errs() << "partition-tool: warning: " << warning << "\n";
  return std::move(model->module);
}

/// The module in the file at `path`, whatever its format.
OwningOpRef<ModuleOp> readModule(StringRef path, MLIRContext &context, llvm::SourceMgr &sources) {
  if (path != "-" && llvm::sys::fs::is_directory(path)) {
    (void)fail(path + ": is a folder, expected a model file (.gguf, .onnx or .mlir)");
    return {};
  }
  char magic[4] = {};
  if (path != "-")
    if (auto start = llvm::MemoryBuffer::getFileSlice(path, 4, 0);
        start && (*start)->getBufferSize() == 4)
      std::copy_n((*start)->getBufferStart(), 4, magic);
  if (path.ends_with(".gguf") || StringRef(magic, 4) == "GGUF")
    return importGguf(path, context);
  if (path.ends_with(".onnx"))
    return importOnnx(path, context);
  if (!dims.empty() || !values.empty() || !configuration.empty()) {
    (void)fail(path +
               ": is no ONNX model (.onnx), which --dim, --value and --configuration are for");
    return {};
  }
  bool isMlir = path == "-" || path.ends_with(".mlir") || path.ends_with(".mlirbc") ||
                StringRef(magic, 4) == "ML\xefR";
  auto buffer = llvm::MemoryBuffer::getFileOrSTDIN(path, /*IsText=*/false);
  if (!buffer) {
    (void)fail(path + ": " + buffer.getError().message());
    return {};
  }
  if (!isMlir) {
    (void)fail(
        path +
        ": is neither a GGUF file (it does not begin with 'GGUF'), nor ONNX (.onnx), nor MLIR "
        "(.mlir, .mlirbc)");
    return {};
  }
  sources.AddNewSourceBuffer(std::move(*buffer), SMLoc());
  return parseSourceFile<ModuleOp>(sources, ParserConfig(&context));
}

/// Writes the model's file again, with the plan that `logical` gets in it.
LogicalResult writeAnnotated(ModuleOp logical, const plan::Plan &plan) {
  OwningOpRef<ModuleOp> sharded = logical.clone();
  if (failed(runPipeline(*sharded, Form::logical, Form::sharded, plan, !noOptimize)))
    return failure();
  llvm::Expected<cleave::onnx::ModelFile> file = cleave::onnx::ModelFile::open(input);
  if (!file)
    return fail(llvm::toString(file.takeError()));
  llvm::Expected<::onnx::ModelProto> model = cleave::onnx::annotate(*file, *sharded);
  if (!model)
    return fail(llvm::toString(model.takeError()));
  if (llvm::Error error = cleave::onnx::writeModel(*file, *model, annotated))
    return fail(llvm::toString(std::move(error)));
  return success();
}

/// Whether all of the standard output was written: a disk may be full.
LogicalResult flushOutput() {
  llvm::outs().flush();
  if (!llvm::outs().has_error())
    return success();
  std::string message = llvm::outs().error().message();
  llvm::outs().clear_error();
  return fail("standard output: " + message);
}

/// Writes text, to a file under a temporary name first.
LogicalResult writeText(ModuleOp module) {
  auto print = [&](llvm::raw_ostream &os) -> llvm::Error {
    module.print(os);
    os << "\n";
    return llvm::Error::success();
  };
  std::string path = output.empty() ? "-" : output.getValue();
  if (path == "-") {
    llvm::cantFail(print(llvm::outs()));
    return flushOutput();
  }
  // A device or a pipe is written to, not replaced.
  llvm::sys::fs::file_status status;
  if (!llvm::sys::fs::status(path, status) && llvm::sys::fs::exists(status) &&
      !llvm::sys::fs::is_regular_file(status) && !llvm::sys::fs::is_directory(status)) {
    std::error_code code;
    llvm::raw_fd_ostream os(path, code, llvm::sys::fs::CD_OpenExisting);
    if (!code) {
      llvm::cantFail(print(os));
      os.close();
      code = os.error();
      os.clear_error();
    }
    return code ? fail(path + ": " + code.message()) : success();
  }
  if (llvm::Error error = llvm::writeToOutput(path, print))
    return fail(path + ": " + llvm::toString(std::move(error)));
  return success();
}

/// For --check: the unpartitioned program of the input's model or of the one that
/// --against names.
OwningOpRef<ModuleOp> readWhole(ModuleOp module, Form form, MLIRContext &context,
                                DiagnosticPrinter &diagnostics) {
  if (against.empty()) {
    if (form == Form::logical)
      return makeWhole(module);
    (void)fail(input + ": is already partitioned; name the model to check it against with "
                       "--against MODEL");
    return {};
  }
  llvm::SourceMgr sources;
  diagnostics.setEndsAtError(true);
  OwningOpRef<ModuleOp> model = readModule(against, context, sources);
  diagnostics.setEndsAtError(false);
  if (!model)
    return {};
  if (getForm(*model) != Form::logical) {
    (void)fail(against + ": is already partitioned, expected a model");
    return {};
  }
  return makeWhole(*model);
}

LogicalResult run() {
  if (failed(checkFlags()))
    return failure();
  bool report = reportFormat != Report::none;
  if (report && (emit == Emit::logical || emit == Emit::sharded))
    return fail("--report tells of ranks; it goes with --emit=ranks and --emit=package");
  if (report && emit == Emit::ranks && (output.empty() || output == "-"))
    return fail("the report goes to standard output; say with -o FILE where the ranks go");
  if (emit == Emit::package && output.empty() && !report && !check && explained.empty() &&
      annotated.empty())
    return fail(
        "no output is named; add -o OUT.cleave, or --emit=ranks to print the ranks' modules");
  if (emit == Emit::package && output == "-")
    return fail("a package is a folder and cannot go to standard output; use --emit=ranks -o -");

  if (check && (emit == Emit::logical || emit == Emit::sharded))
    return fail("--check goes with --emit=ranks and --emit=package");
  if (!against.empty() && !check)
    return fail("--against names the model for --check, which is not given");

  if (!annotated.empty() && !StringRef(input).ends_with(".onnx"))
    return fail("--annotate writes an ONNX model with its plan; " + input +
                " is none (its name does not end in .onnx)");
  if (!explained.empty() && (emit.getNumOccurrences() > 0 || !output.empty() || report || check))
    return fail("--explain only prints; it goes without -o, --emit, --report and --check");

  DialectRegistry registry;
  registry.insert<CleaveDialect, func::FuncDialect>();
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  llvm::SourceMgr sources;
  DiagnosticPrinter diagnostics(sources, context);

  plan::PlanFlags flags{mesh,
                        tp,
                        stages,
                        {cuts.begin(), cuts.end()},
                        {splits.begin(), splits.end()},
                        {shares.begin(), shares.end()},
                        sequence};
  llvm::Expected<plan::Plan> plan = plan::loadPlan(planFile, flags);
  if (!plan) {
    llvm::errs() << llvm::toString(plan.takeError()) << "\n";
    return failure();
  }
  diagnostics.setEndsAtError(true);
  OwningOpRef<ModuleOp> module = readModule(input, context, sources);
  diagnostics.setEndsAtError(false);
  if (!module)
    return failure();
  Form from = getForm(*module);
  if (from != Form::logical && isPlanGiven())
    return fail(
        input +
        ": is already partitioned, so a plan cannot be applied to it; drop the plan's flags");
  Form to = emit == Emit::logical   ? Form::logical
            : emit == Emit::sharded ? Form::sharded
                                    : Form::ranks;
  if (from > to)
    return fail(input + ": is already in the form of " +
                (from == Form::ranks ? "ranks" : "a sharded graph") +
                ", from which --emit cannot go back");
  if (!explained.empty()) {
    Provenance provenance;
    if (from != Form::logical)
      return fail(input + ": is already partitioned; --explain needs the model");
    if (failed(runPipeline(*module, from, Form::sharded, *plan, !noOptimize, &provenance)))
      return failure();
    if (failed(explain(*module, explained, provenance, llvm::outs())))
      return fail("--explain: no weight, state, op, input or output is named '" + explained + "'" +
                  suggestName(*module, explained));
    return flushOutput();
  }
  if (!annotated.empty()) {
    if (failed(writeAnnotated(*module, *plan)))
      return failure();
    if (output.empty() && !report && !check && emit == Emit::package)
      return success();
  }
  OwningOpRef<ModuleOp> whole;
  if (check && !(whole = readWhole(*module, from, context, diagnostics)))
    return failure();
  if (failed(runPipeline(*module, from, to, *plan, !noOptimize)))
    return failure();
  if (check && failed(checkRanks(*whole, *module, llvm::errs())))
    return failure();
  if (check && output.empty() && !report && emit == Emit::package)
    return success();
  if (report) {
    (reportFormat == Report::json ? printJsonReport : printReport)(*module, llvm::outs());
    if (failed(flushOutput()))
      return failure();
    if (output.empty())
      return success();
  }
  return emit == Emit::package ? writePackage(*module, output) : writeText(*module);
}

} // namespace

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  // A file that grows past the user's limit is an error of the write, no crash of ours.
  std::signal(SIGXFSZ, SIG_IGN);
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(
      argc, argv,
      "Cuts a model into stages and shares, one program a rank\n\n"
      "  partition-tool model.gguf --tp 2 -o model.cleave\n"
      "  mpirun -n 2 cleave-run model.cleave --prompt \"Once upon a time\"\n");
  return failed(run());
}
