// How the weights of known model families are split when the user does not say.
#pragma once

#include "compiler/plan/plan.h"

namespace cleave::plan {

/// An entry of a family's default plan; it may match nothing.
struct DefaultSplit {
  llvm::StringLiteral weights; ///< a pattern as in a plan
  SplitType type;
  /// Empty: over `tp`, or the mesh's only axis. Else the entry counts where the mesh has
  /// this axis, together with what follows from later entries over another axis.
  llvm::StringLiteral axis = "";
};

/// The default splits of an architecture, first match first; empty for a family that is
/// not known.
llvm::ArrayRef<DefaultSplit> getDefaultSplits(llvm::StringRef architecture);

} // namespace cleave::plan
