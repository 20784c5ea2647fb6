// Writing packages. The formats of the files are runtime/program's.
#include "compiler/lower/package_writer.h"

#include "compiler/import/gguf/vocabulary.h"
#include "compiler/lower/program_builder.h"
#include "compiler/lower/weight_source.h"
#include "runtime/program/manifest.h"
#include "runtime/program/package.h"
#include "runtime/program/program.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Signals.h"

#include <atomic>
#include <fcntl.h>
#include <filesystem>
#include <unistd.h>

using namespace mlir;
using namespace cleave;
namespace fs = std::filesystem;

namespace {

/// Set by Ctrl-C and its like, so that what is half written is removed.
std::atomic<bool> interrupted = false;

class PackageWriter {
public:
  PackageWriter(ModuleOp module, fs::path path) : module(module), path(std::move(path)) {
    for (ModuleOp rank : module.getOps<ModuleOp>())
      ranks.push_back(rank);
    llvm::sort(ranks, [](ModuleOp a, ModuleOp b) { return rankOf(a) < rankOf(b); });
  }

  LogicalResult write();

private:
  static int64_t rankOf(ModuleOp rank) {
    return rank->getAttrOfType<IntegerAttr>(CleaveDialect::rankAttrName).getInt();
  }
  StringRef getText(StringRef attr) {
    auto text = module->getAttrOfType<StringAttr>(attr);
    return text ? text.getValue() : StringRef();
  }

  LogicalResult checkTarget();
  LogicalResult readTokenizer();
  LogicalResult writeWeights(ModuleOp rank);
  LogicalResult writePrograms();
  LogicalResult describe();
  void addPorts(func::FuncOp function, rt::ManifestEntry &entry);
  void prove();
  void moveIntoPlace();

  ModuleOp module;
  fs::path path, folder;
  SmallVector<ModuleOp> ranks;
  WeightSources sources;
  std::optional<TokenizerData> tokenizer;
  rt::Manifest manifest;
  std::string digest; ///< of all that the package's id stands for
  std::vector<std::unique_ptr<rt::WeightFileWriter>> weightFiles;
  std::vector<llvm::StringMap<WeightPlace>> places;
};

} // namespace

static std::string hex(uint64_t value) {
  return llvm::utohexstr(value, /*LowerCase=*/true, /*Width=*/16);
}

/// The rank's module as text, with the names of model files but not their folders: where a
/// model lay when it was partitioned is no part of the package.
static std::string printWithoutFolders(ModuleOp rank) {
  OwningOpRef<ModuleOp> copy = rank.clone();
  for (WeightOp weight : copy->getOps<WeightOp>()) {
    SourceAttr source = weight.getSource();
    if (!source.getPath())
      continue;
    auto name = StringAttr::get(rank.getContext(), llvm::sys::path::filename(source.getPath()));
    weight.setSourceAttr(source.withPath(name));
  }
  std::string text;
  llvm::raw_string_ostream os(text);
  copy->print(os, OpPrintingFlags().useLocalScope());
  os << "\n";
  return text;
}

/// Nothing but a package is ever replaced.
LogicalResult PackageWriter::checkTarget() {
  fs::file_status status = fs::symlink_status(path);
  if (!fs::exists(status))
    return success();
  if (fs::is_directory(status) && (fs::is_empty(path) || fs::exists(path / rt::manifestFileName)))
    return success();
  return emitError(UnknownLoc::get(module.getContext()))
         << path.string() << ": exists and is no package; choose another name or remove it";
}

/// The vocabulary comes from the model file again, for the module holds none.
LogicalResult PackageWriter::readTokenizer() {
  StringRef source = getText(CleaveDialect::sourceAttrName);
  if (!source.ends_with(".gguf") && !module->hasAttr(CleaveDialect::modelAttrName))
    return success();
  llvm::Expected<gguf::File> file = gguf::File::open(source);
  if (!file) {
    emitWarning(UnknownLoc::get(module.getContext()))
        << llvm::toString(file.takeError())
        << "; the package has no tokenizer and runs on token ids only";
    return success();
  }
  llvm::Expected<gguf::Vocabulary> vocabulary = gguf::readVocabulary(*file);
  if (!vocabulary)
    return emitError(UnknownLoc::get(module.getContext()))
           << llvm::toString(vocabulary.takeError());
  tokenizer = std::move(vocabulary->tokenizer);
  if (!tokenizer)
    emitWarning(UnknownLoc::get(module.getContext()))
        << vocabulary->missing << "; the package has no tokenizer and runs on token ids only";
  return success();
}

LogicalResult PackageWriter::writeWeights(ModuleOp rank) {
  auto file = std::make_unique<rt::WeightFileWriter>(folder / rt::weightFileName(rankOf(rank)));
  FailureOr<llvm::StringMap<WeightPlace>> own = placeWeights(
      rank, sources, [&](WeightOp weight) { return file->begin(weight.getSymName().str()); },
      [&](std::span<const std::byte> piece) {
        if (interrupted)
          throw std::runtime_error("interrupted; nothing was written");
        file->append(piece);
      });
  if (failed(own))
    return failure();
  places.push_back(std::move(*own));
  for (uint64_t checksum : file->summary().checksums)
    digest += hex(checksum);
  weightFiles.push_back(std::move(file));
  return success();
}

LogicalResult PackageWriter::writePrograms() {
  for (auto [rank, file, own] : llvm::zip_equal(ranks, weightFiles, places)) {
    int64_t number = rankOf(rank);
    rt::ManifestRank entry;
    rt::WeightFileSummary summary = file->finish(manifest.packageId, number);
    entry.weightsSize = summary.size;
    entry.weightsChecksums = summary.checksums;
    FailureOr<std::vector<uint8_t>> program =
        buildProgram(rank, ranks.size(), manifest.packageId, own);
    if (failed(program))
      return failure();
    auto bytes = std::as_bytes(std::span(*program));
    rt::writeFile(folder / rt::programFileName(number), bytes);
    entry.program = {bytes.size(), rt::checksumOf(bytes)};
    manifest.files.push_back(std::move(entry));
  }
  if (tokenizer) {
    std::vector<uint8_t> bytes = writeTokenizer(*tokenizer, manifest.packageId);
    auto view = std::as_bytes(std::span(bytes));
    rt::writeFile(folder / rt::tokenizerFileName, view);
    manifest.tokenizer = rt::ManifestFile{view.size(), rt::checksumOf(view)};
  }
  return success();
}

void PackageWriter::addPorts(func::FuncOp function, rt::ManifestEntry &entry) {
  auto add = [](std::vector<rt::ManifestPort> &ports, StringAttr name, Type type) {
    if (llvm::any_of(ports,
                     [&](const rt::ManifestPort &port) { return port.name == name.getValue(); }))
      return;
    auto tensor = cast<RankedTensorType>(type);
    rt::ManifestPort port;
    port.name = name.str();
    port.type = getElementTypeInfo(tensor.getElementType())->type;
    for (unsigned dim = 0; dim < tensor.getRank(); ++dim) {
      if (tensor.isDynamicDim(dim))
        port.dims.push_back(getDimName(tensor, dim).str());
      else
        port.dims.push_back(tensor.getDimSize(dim));
    }
    ports.push_back(std::move(port));
  };
  for (unsigned i = 0; i < function.getNumArguments(); ++i)
    if (auto name = function.getArgAttrOfType<StringAttr>(i, CleaveDialect::inputAttrName))
      add(entry.inputs, name, function.getArgumentTypes()[i]);
  for (unsigned i = 0; i < function.getNumResults(); ++i)
    if (auto name = function.getResultAttrOfType<StringAttr>(i, CleaveDialect::outputAttrName))
      add(entry.outputs, name, function.getResultTypes()[i]);
}

/// What the manifest says beside the files: mesh, plan, ports, the model.
LogicalResult PackageWriter::describe() {
  manifest.producer = "cleave " CLEAVE_VERSION;
  manifest.source = fs::path(getText(CleaveDialect::sourceAttrName).str()).filename();
  manifest.plan = getText(CleaveDialect::planAttrName);
  int64_t coordinates = 1;
  for (MeshOp mesh : module.getOps<MeshOp>()) {
    for (auto [axis, size] : llvm::zip_equal(mesh.getAxes(), mesh.getSizes()))
      manifest.mesh.push_back({cast<StringAttr>(axis).str(), size});
    coordinates = mesh.getNumCoordinates();
  }
  manifest.ranks = ranks.size();
  manifest.stages = manifest.ranks / coordinates;
  if (manifest.stages * coordinates != manifest.ranks)
    return module.emitError() << "there are " << manifest.ranks << " ranks on a mesh of "
                              << coordinates << " coordinates, which is no whole number of stages";
  for (ModuleOp rank : ranks)
    for (auto function : rank.getOps<func::FuncOp>()) {
      auto it = llvm::find_if(manifest.entries, [&](const rt::ManifestEntry &entry) {
        return entry.name == function.getName();
      });
      if (it == manifest.entries.end())
        it = manifest.entries.insert(it, rt::ManifestEntry{function.getName().str(), {}, {}});
      addPorts(function, *it);
    }
  if (auto model = module->getAttrOfType<DictionaryAttr>(CleaveDialect::modelAttrName)) {
    auto architecture = model.getAs<StringAttr>("architecture");
    auto context = model.getAs<IntegerAttr>("context_length");
    auto vocabulary = model.getAs<IntegerAttr>("vocabulary");
    if (!architecture || !context || !vocabulary)
      return module.emitError() << "attribute '" << CleaveDialect::modelAttrName
                                << "' lacks architecture, context_length or vocabulary";
    manifest.languageModel = {architecture.str(), context.getInt(), vocabulary.getInt()};
  }
  return success();
}

/// Reads the package as ranks will: modules edited by hand may say what no rank can run.
void PackageWriter::prove() {
  try {
    rt::Manifest written = rt::readManifest(folder);
    for (ModuleOp rank : ranks)
      rt::Program::open(folder, written, rankOf(rank));
  } catch (const std::exception &error) {
    // The folder's name is a passing one.
    StringRef message = error.what();
    message.consume_front(folder.string() + "/");
    throw std::runtime_error(path.string() + ": no rank could run it: " + message.str());
  }
}

/// Renames the finished folder; what was there goes only then.
void PackageWriter::moveIntoPlace() {
  if (!fs::exists(path)) {
    fs::rename(folder, path);
    return;
  }
  if (renameat2(AT_FDCWD, folder.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) != 0)
    throw std::runtime_error(path.string() + ": cannot be replaced: " + std::strerror(errno));
  fs::remove_all(folder);
}

LogicalResult PackageWriter::write() {
  auto fail = [&](const Twine &message) {
    return emitError(UnknownLoc::get(module.getContext())) << message;
  };
  llvm::sys::SetInterruptFunction([] { interrupted = true; });
  auto resetInterrupts = llvm::make_scope_exit([] { llvm::sys::SetInterruptFunction(nullptr); });
  try {
    while (!path.has_filename() && path.has_relative_path())
      path = path.parent_path(); // "out/"
    if (failed(checkTarget()) || failed(describe()) || failed(readTokenizer()))
      return failure();
    std::string pattern = path.string() + ".tmp-XXXXXX";
    if (!mkdtemp(pattern.data()))
      return fail(path.string() + ": cannot be made: " + std::strerror(errno));
    folder = pattern;
    fs::permissions(folder, fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec |
                                fs::perms::others_read | fs::perms::others_exec);
    auto cleanUp = llvm::make_scope_exit([&] {
      std::error_code ignored;
      weightFiles.clear();
      fs::remove_all(folder, ignored);
    });
    for (ModuleOp rank : ranks) {
      std::string text = printWithoutFolders(rank);
      rt::writeFile(folder / rt::moduleFileName(rankOf(rank)), std::string_view(text));
      digest += text;
      if (failed(writeWeights(rank)))
        return failure();
    }
    if (tokenizer) {
      std::vector<uint8_t> bytes = writeTokenizer(*tokenizer, "0");
      digest.append(bytes.begin(), bytes.end());
    }
    manifest.packageId = hex(rt::checksumOf(digest)) + hex(rt::checksumOf("again " + digest));
    if (failed(writePrograms()))
      return failure();
    rt::writeManifest(manifest, folder);
    prove();
    moveIntoPlace();
    cleanUp.release();
    return success();
  } catch (const std::exception &error) {
    return fail(error.what());
  }
}

LogicalResult cleave::writePackage(ModuleOp module, const std::string &path) {
  return PackageWriter(module, path).write();
}
