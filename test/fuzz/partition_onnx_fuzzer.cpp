// A fuzz target (libFuzzer): whatever bytes an ONNX file holds, partitioning it for two ranks ends
// in ranks that verify, or in an error that says something.
#include "compiler/import/onnx/import.h"
#include "dialect/dialect.h"
#include "tools/partition_tool/pipeline.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <unistd.h>

using namespace cleave;

// MLIR comes without sanitizers, so that what it poisons by hand is not known here.
extern "C" const char *__asan_default_options() {
  return "allow_user_poisoning=0";
}

namespace {

void require(bool holds, const char *what) {
  if (holds)
    return;
  std::fprintf(stderr, "partition-onnx-fuzzer: %s\n", what);
  std::abort();
}

/// A folder that goes when the process ends, with the model's file.
struct Folder {
  Folder() {
    path = std::filesystem::temp_directory_path() / ("cleave-fuzz-" + std::to_string(getpid()));
    std::filesystem::create_directories(path);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::filesystem::path path;
};

void partition(const std::string &path) {
  mlir::DialectRegistry registry;
  registry.insert<CleaveDialect, mlir::func::FuncDialect>();
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  bool isSaid = false;
  mlir::ScopedDiagnosticHandler handler(
      &context, [&](mlir::Diagnostic &diagnostic) { isSaid |= !diagnostic.str().empty(); });

  llvm::Expected<cleave::onnx::ModelFile> file = cleave::onnx::ModelFile::open(path);
  if (!file)
    return require(!llvm::toString(file.takeError()).empty(), "an error without words");
  llvm::Expected<cleave::onnx::ImportedModel> model = cleave::onnx::importModel(*file, {}, context);
  if (!model)
    return require(!llvm::toString(model.takeError()).empty(), "an error without words");
  require(succeeded(mlir::verify(*model->module)), "an imported model that does not verify");

  plan::PlanFlags flags;
  flags.tp = "2";
  llvm::Expected<plan::Plan> plan = plan::loadPlan("", flags);
  require(static_cast<bool>(plan), "no plan of two ranks");
  const bool isSplit =
      succeeded(runPipeline(*model->module, Form::logical, Form::ranks, *plan, /*optimize=*/true));
  require(isSplit || isSaid, "a failure without a diagnostic");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const Folder folder;
  const std::string path = folder.path / "model.onnx";
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char *>(data), static_cast<std::streamsize>(size));
  partition(path);
  return 0;
}
