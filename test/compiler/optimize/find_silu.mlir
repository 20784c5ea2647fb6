// x * sigmoid(x) in both orders, and what is none.
// RUN: cleave-opt %s -split-input-file -cleave-find-silu | FileCheck %s

// CHECK-LABEL: func.func @silu(
// CHECK-SAME: %[[X:.*]]: tensor<4x8xf32>)
// CHECK-NEXT: %[[Y:.*]] = cleave.silu %[[X]] {cleave.name = "act"} : tensor<4x8xf32>
// CHECK-NEXT: %[[Z:.*]] = cleave.silu %[[Y]] : tensor<4x8xf32>
// CHECK-NEXT: return %[[Z]]
func.func @silu(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %s = cleave.sigmoid %x : tensor<4x8xf32>
  %y = cleave.mul %x, %s {cleave.name = "act"} : tensor<4x8xf32>, tensor<4x8xf32>
  %t = cleave.sigmoid %y : tensor<4x8xf32>
  %z = cleave.mul %t, %y : tensor<4x8xf32>, tensor<4x8xf32>
  return %z : tensor<4x8xf32>
}

// -----

// CHECK-LABEL: func.func @of_something_else
// CHECK-NOT: cleave.silu
// CHECK: return
func.func @of_something_else(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %s = cleave.sigmoid %x : tensor<4x8xf32>
  %z = cleave.mul %y, %s : tensor<4x8xf32>, tensor<4x8xf32>
  return %z : tensor<4x8xf32>
}

// -----

// The user's cut stays where it is.
// CHECK-LABEL: func.func @cut_between
// CHECK: cleave.sigmoid
// CHECK-NEXT: cleave.cut "middle"
// CHECK-NEXT: cleave.mul
func.func @cut_between(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %s = cleave.sigmoid %x : tensor<4x8xf32>
  cleave.cut "middle"
  %y = cleave.mul %x, %s : tensor<4x8xf32>, tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}
