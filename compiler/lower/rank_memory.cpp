// Programs and weights in memory, laid out as in their files.
#include "compiler/lower/rank_memory.h"

#include "compiler/lower/program_builder.h"
#include "compiler/lower/weight_layout.h"
#include "runtime/program/layout.h"
#include "runtime/program/weight_file.h"

#include "llvm/Support/MathExtras.h"

#include <cstring>
#include <unistd.h>

using namespace mlir;
using namespace cleave;

FailureOr<rt::RankInMemory> cleave::loadRank(ModuleOp module, int64_t ranks,
                                             WeightSources &sources) {
  auto round = [](uint64_t offset) { return llvm::alignTo(offset, weightAlignment); };
  uint64_t size = rt::weightFileHeaderBytes;
  llvm::StringMap<Layout> layouts = chooseLayouts(module);
  for (WeightOp weight : module.getOps<WeightOp>())
    size = round(size) + packedBytes(weight.getTensorType(), layouts.lookup(weight.getSymName()));
  uint64_t memory = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  if (size > memory)
    return module.emitError()
           << "the weights of rank "
           << module->getAttrOfType<IntegerAttr>(CleaveDialect::rankAttrName).getInt() << " have "
           << size << " bytes, and this machine has " << memory
           << " bytes of memory; check where they fit";
  rt::RankInMemory made;
  made.weights = rt::FileBytes(size);
  uint64_t end = rt::weightFileHeaderBytes;
  FailureOr<llvm::StringMap<WeightPlace>> places = placeWeights(
      module, sources, [&](WeightOp) { return end = round(end); },
      [&](std::span<const std::byte> piece) {
        std::memcpy(made.weights.data() + end, piece.data(), piece.size());
        end += piece.size();
      });
  if (failed(places))
    return failure();
  FailureOr<std::vector<uint8_t>> program =
      buildProgram(module, ranks, rt::evaluationPackageId, *places);
  if (failed(program))
    return failure();
  made.program = rt::FileBytes(program->size());
  std::memcpy(made.program.data(), program->data(), program->size());
  return made;
}
