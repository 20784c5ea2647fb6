// Finds the family of a GGUF file and lets it build the module. A new family is a
// file beside llama.cpp, a line in families.h and one in the table here.
#include "compiler/import/gguf/import.h"

#include "compiler/import/gguf/families.h"
#include "compiler/import/gguf/model_builder.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using llvm::Twine;

namespace cleave::gguf {

namespace {

struct Family {
  StringLiteral architecture;
  OwningOpRef<ModuleOp> (*import)(ModelBuilder &model);
};

constexpr Family families[] = {
    {"llama", importLlama}, {"phi3", importPhi3},      {"qwen2", importQwen2},
    {"qwen3", importQwen3}, {"qwen3moe", importQwen3},
};

} // namespace

std::vector<StringRef> knownArchitectures() {
  std::vector<StringRef> names;
  for (const Family &family : families)
    names.push_back(family.architecture);
  return names;
}

llvm::Expected<ImportedModel> importModel(const File &file, MLIRContext &context) {
  llvm::Expected<std::optional<StringRef>> architecture = file.getString("general.architecture");
  if (!architecture)
    return architecture.takeError();
  if (!*architecture)
    return file.error("key 'general.architecture' is missing; expected a model's name, one of " +
                      llvm::join(knownArchitectures(), ", "));
  const Family *family = llvm::find_if(
      families, [&](const Family &known) { return known.architecture == **architecture; });
  if (family == std::end(families))
    return file.keyError("general.architecture", "the architecture " + quoted(**architecture) +
                                                     " is not supported; expected one of " +
                                                     llvm::join(knownArchitectures(), ", "));
  llvm::Expected<std::optional<uint64_t>> parts = file.getUInt("split.count");
  if (!parts)
    return parts.takeError();
  if (parts->value_or(1) > 1)
    return file.keyError("split.count", "the file is one of " + Twine(**parts) +
                                            " parts of a model; expected a whole one (join them "
                                            "with gguf-split --merge)");

  ModelBuilder model(file, context, family->architecture);
  ImportedModel result;
  result.module = family->import(model);
  if (llvm::Error e = model.takeError())
    return e;
  model.warnOfUnusedTensors();
  result.warnings = model.takeWarnings();
  return result;
}

} // namespace cleave::gguf
