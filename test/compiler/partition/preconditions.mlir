// A pass that is run on another form than it expects says so.
// RUN: not cleave-opt %s -cleave-insert-reshards 2>&1 | FileCheck %s
// RUN: not cleave-opt %s -cleave-split-ranks 2>&1 | FileCheck %s
// RUN: not cleave-opt %s -cleave-verify-sharded 2>&1 | FileCheck %s
// RUN: not cleave-opt %s -cleave-verify-ranks 2>&1 | FileCheck %s --check-prefix=RANKS

// CHECK: preconditions.mlir:[[@LINE+3]]:{{.*}}: error: a value of type 'tensor<4x8xf32>' has no sharding
// RANKS: error: has no rank's module, expected the rank form
cleave.weight @w : tensor<8x8xf32> from none
func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %w = cleave.use @w : tensor<8x8xf32>
  %y = cleave.linear %x, %w : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}
