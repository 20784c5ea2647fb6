// Diagnostics for people.
#include "tools/partition_tool/diagnostics.h"

#include "compiler/plan/source.h"

#include "mlir/IR/Location.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/SourceMgr.h"

#include <cstdlib>

using namespace mlir;
using namespace cleave;

DiagnosticPrinter::DiagnosticPrinter(llvm::SourceMgr &sources, MLIRContext &context)
    : located(sources, &context), handler(&context, [this](Diagnostic &diagnostic) {
        print(diagnostic.getLocation(), diagnostic.getSeverity(), diagnostic.str());
        for (Diagnostic &note : diagnostic.getNotes())
          print(note.getLocation(), note.getSeverity(), note.str());
        if (endsAtError && diagnostic.getSeverity() == DiagnosticSeverity::Error)
          std::exit(EXIT_FAILURE);
        return success();
      }) {
  context.printOpOnDiagnostic(false);
}

static StringRef nameOf(DiagnosticSeverity severity) {
  switch (severity) {
  case DiagnosticSeverity::Error:
    return "error";
  case DiagnosticSeverity::Warning:
    return "warning";
  case DiagnosticSeverity::Note:
    return "note";
  case DiagnosticSeverity::Remark:
    return "remark";
  }
  llvm_unreachable("all severities are listed");
}

static llvm::SourceMgr::DiagKind kindOf(DiagnosticSeverity severity) {
  switch (severity) {
  case DiagnosticSeverity::Error:
    return llvm::SourceMgr::DK_Error;
  case DiagnosticSeverity::Warning:
    return llvm::SourceMgr::DK_Warning;
  case DiagnosticSeverity::Note:
    return llvm::SourceMgr::DK_Note;
  case DiagnosticSeverity::Remark:
    return llvm::SourceMgr::DK_Remark;
  }
  llvm_unreachable("all severities are listed");
}

void DiagnosticPrinter::print(Location loc, DiagnosticSeverity severity, const Twine &message) {
  auto inPlan = loc->findInstanceOf<OpaqueLoc>();
  if (const auto *plan =
          inPlan ? OpaqueLoc::getUnderlyingLocationOrNull<const plan::Location *>(inPlan) : nullptr)
    llvm::errs() << plan->describe(message, kindOf(severity)) << "\n";
  else if (loc->findInstanceOf<FileLineColLoc>())
    located.emitDiagnostic(loc, message, severity);
  else
    llvm::errs() << "partition-tool: " << nameOf(severity) << ": " << message << "\n";
}
