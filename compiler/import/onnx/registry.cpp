// One table of all families' ops.
#include "compiler/import/onnx/registry.h"

#include "llvm/ADT/StringMap.h"

namespace cleave::onnx {

static llvm::StringMap<ImportOp> makeTable() {
  llvm::StringMap<ImportOp> table;
  for (llvm::ArrayRef<OpEntry> family :
       {attentionOps(), blockProductOps(), contribAttentionOps(), convolutionOps(),
        depthToSpaceOps(), einsumOps(), elementwiseOps(), indexingOps(), integerProductOps(),
        normOps(), productOps(), quantizationOps(), reductionOps(), resizeOps(), rotaryOps(),
        shapeOps(), structureOps()})
    for (const OpEntry &entry : family)
      table[(entry.domain + ":" + entry.name).str()] = entry.import;
  return table;
}

ImportOp findOpImporter(llvm::StringRef domain, llvm::StringRef op) {
  static const llvm::StringMap<ImportOp> table = makeTable();
  return table.lookup((domain + ":" + op).str());
}

} // namespace cleave::onnx
