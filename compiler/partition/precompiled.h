// What nearly every pass includes, compiled once.
#pragma once

#include "compiler/passes.h"
#include "dialect/dialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
