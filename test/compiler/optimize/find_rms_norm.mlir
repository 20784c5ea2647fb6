// Root-mean-square norm as exporters spell it.
// RUN: cleave-opt %s -cleave-find-rms-norm | FileCheck %s

cleave.weight @eps : tensor<f32> from dense<[], "0xACC52737">
cleave.weight @two : tensor<f32> from dense<[], "0x00000040">
cleave.weight @one : tensor<f32> from dense<[], "0x0000803F">
cleave.weight @w : tensor<8xf32> from none
cleave.weight @b : tensor<8xf32> from none

// CHECK-LABEL: func.func @reciprocal(
// CHECK-SAME: %[[X:.*]]: tensor<4x8xf32>)
// CHECK: %[[W:.*]] = cleave.use @w
// CHECK-NOT: = cleave.{{mul|add|div|sub|pow|reduce}}
// CHECK: %[[Y:.*]] = cleave.rms_norm %[[X]], %[[W]] {epsilon = 9.99999974E-6 : f32}
// CHECK-NEXT: return %[[Y]]
func.func @reciprocal(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %eps = cleave.use @eps : tensor<f32>
  %two = cleave.use @two : tensor<f32>
  %one = cleave.use @one : tensor<f32>
  %w = cleave.use @w : tensor<8xf32>
  %b = cleave.use @b : tensor<8xf32>
  %p = cleave.pow %x, %two : tensor<4x8xf32>, tensor<f32>
  %v = cleave.reduce mean %p dims [1] : tensor<4x8xf32> -> tensor<4x1xf32>
  %e = cleave.add %v, %eps : tensor<4x1xf32>, tensor<f32>
  %s = cleave.sqrt %e : tensor<4x1xf32>
  %r = cleave.reciprocal %s : tensor<4x1xf32>
  %n = cleave.mul %x, %r : tensor<4x8xf32>, tensor<4x1xf32>
  %y = cleave.mul %w, %n : tensor<8xf32>, tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}

// CHECK-LABEL: func.func @division(
// CHECK-SAME: %[[X:.*]]: tensor<4x8xf32>)
// CHECK: %[[Y:.*]] = cleave.rms_norm %[[X]], %{{.*}} {epsilon = 9.99999974E-6 : f32}
// CHECK-NEXT: return %[[Y]]
func.func @division(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %eps = cleave.use @eps : tensor<f32>
  %two = cleave.use @two : tensor<f32>
  %one = cleave.use @one : tensor<f32>
  %w = cleave.use @w : tensor<8xf32>
  %b = cleave.use @b : tensor<8xf32>
  %p = cleave.mul %x, %x : tensor<4x8xf32>, tensor<4x8xf32>
  %v = cleave.reduce mean %p dims [1] : tensor<4x8xf32> -> tensor<4x1xf32>
  %e = cleave.add %v, %eps : tensor<4x1xf32>, tensor<f32>
  %s = cleave.sqrt %e : tensor<4x1xf32>
  %n = cleave.div %x, %s : tensor<4x8xf32>, tensor<4x1xf32>
  %y = cleave.mul %n, %w : tensor<4x8xf32>, tensor<8xf32>
  return %y : tensor<4x8xf32>
}

// CHECK-LABEL: func.func @none
// CHECK-NOT: cleave.rms_norm
// CHECK: return
func.func @none(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %eps = cleave.use @eps : tensor<f32>
  %two = cleave.use @two : tensor<f32>
  %one = cleave.use @one : tensor<f32>
  %w = cleave.use @w : tensor<8xf32>
  %b = cleave.use @b : tensor<8xf32>
  %p = cleave.mul %x, %x : tensor<4x8xf32>, tensor<4x8xf32>
  %v = cleave.reduce mean %p dims [1] : tensor<4x8xf32> -> tensor<4x1xf32>
  %e = cleave.add %v, %eps : tensor<4x1xf32>, tensor<f32>
  %s = cleave.sqrt %e : tensor<4x1xf32>
  %n = cleave.div %x, %s : tensor<4x8xf32>, tensor<4x1xf32>
  %y = cleave.add %n, %w : tensor<4x8xf32>, tensor<8xf32>
  return %y : tensor<4x8xf32>
}
