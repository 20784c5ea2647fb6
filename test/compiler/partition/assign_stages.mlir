// RUN: cleave-opt %s -split-input-file -cleave-assign-stages | FileCheck %s

// What stands after the k-th cut is in stage k; a value that is needed later passes one
// transfer to each later stage, over stages that do not read it; and no cut is left.
// CHECK-LABEL: func.func @skip
// CHECK-NOT: cleave.cut
// CHECK: %[[A:.*]] = cleave.silu {{.*}}cleave.name = "a"{{.*}}cleave.stage = 0
// CHECK-NEXT: %[[A1:.*]] = cleave.transfer %[[A]] to 1 {cleave.name = "a", cleave.stage = 0 : i64}
// CHECK-NEXT: %[[A2:.*]] = cleave.transfer %[[A]] to 2 {cleave.name = "a", cleave.stage = 0 : i64}
// CHECK-NOT: cleave.transfer
// CHECK: %[[B:.*]] = cleave.silu %[[A1]] {cleave.name = "b", cleave.stage = 1
// CHECK-NEXT: %[[C:.*]] = cleave.mul %[[B]], %[[A1]] {cleave.name = "c", cleave.stage = 1
// CHECK-NEXT: %[[C2:.*]] = cleave.transfer %[[C]] to 2 {cleave.name = "c", cleave.stage = 1
// CHECK-NEXT: cleave.add %[[C2]], %[[A2]] {cleave.name = "d", cleave.stage = 2
// CHECK-NOT: cleave.cut
func.func @skip(%x: tensor<4xf32>) -> tensor<4xf32> {
  %a = cleave.silu %x {cleave.name = "a"} : tensor<4xf32>
  cleave.cut "b"
  %b = cleave.silu %a {cleave.name = "b"} : tensor<4xf32>
  %c = cleave.mul %b, %a {cleave.name = "c"} : tensor<4xf32>, tensor<4xf32>
  cleave.cut "d"
  %d = cleave.add %c, %a {cleave.name = "d"} : tensor<4xf32>, tensor<4xf32>
  return %d : tensor<4xf32>
}

// -----

// An input is everywhere: no transfer. A sharding goes with its value.
// CHECK-LABEL: func.func @input
// CHECK: %[[A:.*]] = cleave.silu
// CHECK: cleave.transfer %[[A]] to 1 {cleave.sharding = [#cleave.sharding<[{"tp"}]>], cleave.stage = 0
// CHECK-NOT: cleave.transfer
func.func @input(%x: tensor<4xf32>) -> tensor<4xf32> {
  %a = cleave.silu %x {cleave.sharding = [#cleave.sharding<[{"tp"}]>]} : tensor<4xf32>
  cleave.cut "b"
  %b = cleave.add %a, %x {cleave.sharding = [#cleave.sharding<[{"tp"}]>]} : tensor<4xf32>, tensor<4xf32>
  return %b : tensor<4xf32>
}

// -----

// A weight that two stages use is used in each: weights do not travel.
// CHECK-LABEL: func.func @tied
// CHECK: %[[W0:.*]] = cleave.use @w {cleave.stage = 0
// CHECK-NEXT: %[[X:.*]] = cleave.gather %[[W0]]
// CHECK-NEXT: %[[X1:.*]] = cleave.transfer %[[X]] to 1
// CHECK-NEXT: %[[W1:.*]] = cleave.use @w {cleave.stage = 1
// CHECK-NEXT: cleave.linear %[[X1]], %[[W1]] {cleave.stage = 1
cleave.weight @w : tensor<8x4xf32> from none
func.func @tied(%t: tensor<3xi32>) -> tensor<3x8xf32> {
  %w = cleave.use @w : tensor<8x4xf32>
  %x = cleave.gather %w, %t : (tensor<8x4xf32>, tensor<3xi32>) -> tensor<3x4xf32>
  cleave.cut "head"
  %y = cleave.linear %x, %w : (tensor<3x4xf32>, tensor<8x4xf32>) -> tensor<3x8xf32>
  return %y : tensor<3x8xf32>
}

// -----

// A weight that nothing uses, and a value that is returned from an earlier stage.
// CHECK-LABEL: func.func @unused
// CHECK-NOT: cleave.use
// CHECK: %[[A:.*]] = cleave.silu {{.*}} {cleave.stage = 0
// CHECK: return %[[A]], %{{.*}}
cleave.weight @w : tensor<8x4xf32> from none
func.func @unused(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %w = cleave.use @w : tensor<8x4xf32>
  %a = cleave.silu %x : tensor<4xf32>
  cleave.cut "b"
  %b = cleave.silu %a : tensor<4xf32>
  return %a, %b : tensor<4xf32>, tensor<4xf32>
}
