// The compiler's passes and the pipelines made of them.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

#include <memory>

namespace cleave {

namespace plan {
struct Plan;
}

#define GEN_PASS_DECL
#include "compiler/Passes.h.inc"

/// cleave-apply-plan with a plan that is already read.
std::unique_ptr<mlir::Pass> createApplyPlanPass(const plan::Plan &plan);

#define GEN_PASS_REGISTRATION
#include "compiler/Passes.h.inc"

} // namespace cleave
