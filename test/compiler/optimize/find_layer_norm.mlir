// Layer norm as exporters spell it.
// RUN: cleave-opt %s -cleave-find-layer-norm | FileCheck %s

cleave.weight @eps : tensor<f32> from dense<[], "0xACC52737">
cleave.weight @two : tensor<f32> from dense<[], "0x00000040">
cleave.weight @one : tensor<f32> from dense<[], "0x0000803F">
cleave.weight @w : tensor<8xf32> from none
cleave.weight @b : tensor<8xf32> from none

// CHECK-LABEL: func.func @whole(
// CHECK-SAME: %[[X:.*]]: tensor<4x8xf32>)
// CHECK-DAG: %[[W:.*]] = cleave.use @w
// CHECK-DAG: %[[B:.*]] = cleave.use @b
// CHECK: %[[Y:.*]] = cleave.layer_norm %[[X]] weight %[[W]] bias %[[B]] {epsilon = 9.99999974E-6 : f32}
// CHECK-NEXT: return %[[Y]]
func.func @whole(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %eps = cleave.use @eps : tensor<f32>
  %two = cleave.use @two : tensor<f32>
  %one = cleave.use @one : tensor<f32>
  %w = cleave.use @w : tensor<8xf32>
  %b = cleave.use @b : tensor<8xf32>
  %m = cleave.reduce mean %x dims [1] : tensor<4x8xf32> -> tensor<4x1xf32>
  %d = cleave.sub %x, %m : tensor<4x8xf32>, tensor<4x1xf32>
  %p = cleave.pow %d, %two : tensor<4x8xf32>, tensor<f32>
  %v = cleave.reduce mean %p dims [1] : tensor<4x8xf32> -> tensor<4x1xf32>
  %e = cleave.add %v, %eps : tensor<4x1xf32>, tensor<f32>
  %s = cleave.sqrt %e : tensor<4x1xf32>
  %n = cleave.div %d, %s : tensor<4x8xf32>, tensor<4x1xf32>
  %t = cleave.mul %n, %w : tensor<4x8xf32>, tensor<8xf32>
  %y = cleave.add %t, %b : tensor<4x8xf32>, tensor<8xf32>
  return %y : tensor<4x8xf32>
}

// The mean subtracted twice, the root inverted, no vectors.
// CHECK-LABEL: func.func @bare(
// CHECK-SAME: %[[X:.*]]: tensor<4x8xf32>)
// CHECK-NOT: = cleave.{{mul|add|div|sub|pow|reduce}}
// CHECK: %[[Y:.*]] = cleave.layer_norm %[[X]] {epsilon = 9.99999974E-6 : f32}
// CHECK-NEXT: return %[[Y]]
func.func @bare(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %eps = cleave.use @eps : tensor<f32>
  %two = cleave.use @two : tensor<f32>
  %one = cleave.use @one : tensor<f32>
  %w = cleave.use @w : tensor<8xf32>
  %b = cleave.use @b : tensor<8xf32>
  %m = cleave.reduce mean %x dims [1] : tensor<4x8xf32> -> tensor<4x1xf32>
  %d = cleave.sub %x, %m : tensor<4x8xf32>, tensor<4x1xf32>
  %d2 = cleave.sub %x, %m : tensor<4x8xf32>, tensor<4x1xf32>
  %p = cleave.mul %d2, %d2 : tensor<4x8xf32>, tensor<4x8xf32>
  %v = cleave.reduce mean %p dims [1] : tensor<4x8xf32> -> tensor<4x1xf32>
  %e = cleave.add %v, %eps : tensor<4x1xf32>, tensor<f32>
  %s = cleave.sqrt %e : tensor<4x1xf32>
  %r = cleave.reciprocal %s : tensor<4x1xf32>
  %y = cleave.mul %r, %d : tensor<4x1xf32>, tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}

// The normalized value is wanted as well: the weight stays outside.
// CHECK-LABEL: func.func @read_twice(
// CHECK: %[[N:.*]] = cleave.layer_norm %{{.*}} {epsilon
// CHECK: %[[T:.*]] = cleave.mul %[[N]], %{{.*}}
// CHECK: cleave.add %[[T]], %[[N]]
func.func @read_twice(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %eps = cleave.use @eps : tensor<f32>
  %two = cleave.use @two : tensor<f32>
  %one = cleave.use @one : tensor<f32>
  %w = cleave.use @w : tensor<8xf32>
  %b = cleave.use @b : tensor<8xf32>
  %m = cleave.reduce mean %x dims [1] : tensor<4x8xf32> -> tensor<4x1xf32>
  %d = cleave.sub %x, %m : tensor<4x8xf32>, tensor<4x1xf32>
  %p = cleave.mul %d, %d : tensor<4x8xf32>, tensor<4x8xf32>
  %v = cleave.reduce mean %p dims [1] : tensor<4x8xf32> -> tensor<4x1xf32>
  %e = cleave.add %v, %eps : tensor<4x1xf32>, tensor<f32>
  %s = cleave.sqrt %e : tensor<4x1xf32>
  %n = cleave.div %d, %s : tensor<4x8xf32>, tensor<4x1xf32>
  %t = cleave.mul %n, %w : tensor<4x8xf32>, tensor<8xf32>
  %y = cleave.add %t, %n : tensor<4x8xf32>, tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}

// Squares of something else.
// CHECK-LABEL: func.func @none
// CHECK-NOT: cleave.layer_norm
// CHECK: return
func.func @none(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %eps = cleave.use @eps : tensor<f32>
  %two = cleave.use @two : tensor<f32>
  %one = cleave.use @one : tensor<f32>
  %w = cleave.use @w : tensor<8xf32>
  %b = cleave.use @b : tensor<8xf32>
  %m = cleave.reduce mean %x dims [1] : tensor<4x8xf32> -> tensor<4x1xf32>
  %d = cleave.sub %x, %m : tensor<4x8xf32>, tensor<4x1xf32>
  %p = cleave.mul %x, %x : tensor<4x8xf32>, tensor<4x8xf32>
  %v = cleave.reduce mean %p dims [1] : tensor<4x8xf32> -> tensor<4x1xf32>
  %e = cleave.add %v, %eps : tensor<4x1xf32>, tensor<f32>
  %s = cleave.sqrt %e : tensor<4x1xf32>
  %y = cleave.div %d, %s : tensor<4x8xf32>, tensor<4x1xf32>
  return %y : tensor<4x8xf32>
}
