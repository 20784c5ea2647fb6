// Gelu as exporters spell it, in several orders.
// RUN: cleave-opt %s -cleave-find-gelu | FileCheck %s

cleave.weight @sqrt2 : tensor<f32> from dense<[], "0xF304B53F">
cleave.weight @rsqrt2 : tensor<f32> from dense<[], "0xF304353F">
cleave.weight @one : tensor<f32> from dense<[], "0x0000803F">
cleave.weight @half : tensor<f32> from dense<[], "0x0000003F">
cleave.weight @a : tensor<f32> from dense<[], "0x1327373D">
cleave.weight @c : tensor<f32> from dense<[], "0x2A424C3F">
cleave.weight @two : tensor<f32> from dense<[], "0x00000040">
cleave.weight @three : tensor<f32> from dense<[], "0x00004040">
cleave.weight @third : tensor<f32> from dense<[], "0x9A99993E">

// CHECK-LABEL: func.func @erf(
// CHECK-SAME: %[[X:.*]]: tensor<4x8xf32>)
// CHECK-NOT: = cleave.{{mul|add|div|sub|pow|reduce}}
// CHECK: %[[Y:.*]] = cleave.gelu %[[X]] : tensor<4x8xf32>
// CHECK-NEXT: return %[[Y]]
func.func @erf(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %sqrt2 = cleave.use @sqrt2 : tensor<f32>
  %rsqrt2 = cleave.use @rsqrt2 : tensor<f32>
  %one = cleave.use @one : tensor<f32>
  %half = cleave.use @half : tensor<f32>
  %a = cleave.use @a : tensor<f32>
  %c = cleave.use @c : tensor<f32>
  %two = cleave.use @two : tensor<f32>
  %three = cleave.use @three : tensor<f32>
  %third = cleave.use @third : tensor<f32>
  %d = cleave.div %x, %sqrt2 : tensor<4x8xf32>, tensor<f32>
  %e = cleave.erf %d : tensor<4x8xf32>
  %f = cleave.add %e, %one : tensor<4x8xf32>, tensor<f32>
  %g = cleave.mul %x, %f : tensor<4x8xf32>, tensor<4x8xf32>
  %y = cleave.mul %g, %half : tensor<4x8xf32>, tensor<f32>
  return %y : tensor<4x8xf32>
}

// CHECK-LABEL: func.func @erf_half_first(
// CHECK-SAME: %[[X:.*]]: tensor<4x8xf32>)
// CHECK-NOT: = cleave.{{mul|add|div|sub|pow|reduce}}
// CHECK: %[[Y:.*]] = cleave.gelu %[[X]] : tensor<4x8xf32>
// CHECK-NEXT: return %[[Y]]
func.func @erf_half_first(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %sqrt2 = cleave.use @sqrt2 : tensor<f32>
  %rsqrt2 = cleave.use @rsqrt2 : tensor<f32>
  %one = cleave.use @one : tensor<f32>
  %half = cleave.use @half : tensor<f32>
  %a = cleave.use @a : tensor<f32>
  %c = cleave.use @c : tensor<f32>
  %two = cleave.use @two : tensor<f32>
  %three = cleave.use @three : tensor<f32>
  %third = cleave.use @third : tensor<f32>
  %h = cleave.mul %half, %x : tensor<f32>, tensor<4x8xf32>
  %d = cleave.mul %x, %rsqrt2 : tensor<4x8xf32>, tensor<f32>
  %e = cleave.erf %d : tensor<4x8xf32>
  %f = cleave.add %one, %e : tensor<f32>, tensor<4x8xf32>
  %y = cleave.mul %h, %f : tensor<4x8xf32>, tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}

// CHECK-LABEL: func.func @tanh_power(
// CHECK-SAME: %[[X:.*]]: tensor<4x8xf32>)
// CHECK-NOT: = cleave.{{mul|add|div|sub|pow|reduce}}
// CHECK: %[[Y:.*]] = cleave.gelu_tanh %[[X]] : tensor<4x8xf32>
// CHECK-NEXT: return %[[Y]]
func.func @tanh_power(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %sqrt2 = cleave.use @sqrt2 : tensor<f32>
  %rsqrt2 = cleave.use @rsqrt2 : tensor<f32>
  %one = cleave.use @one : tensor<f32>
  %half = cleave.use @half : tensor<f32>
  %a = cleave.use @a : tensor<f32>
  %c = cleave.use @c : tensor<f32>
  %two = cleave.use @two : tensor<f32>
  %three = cleave.use @three : tensor<f32>
  %third = cleave.use @third : tensor<f32>
  %p = cleave.pow %x, %three : tensor<4x8xf32>, tensor<f32>
  %q = cleave.mul %p, %a : tensor<4x8xf32>, tensor<f32>
  %r = cleave.add %x, %q : tensor<4x8xf32>, tensor<4x8xf32>
  %s = cleave.mul %r, %c : tensor<4x8xf32>, tensor<f32>
  %t = cleave.tanh %s : tensor<4x8xf32>
  %f = cleave.add %t, %one : tensor<4x8xf32>, tensor<f32>
  %h = cleave.mul %x, %half : tensor<4x8xf32>, tensor<f32>
  %y = cleave.mul %h, %f : tensor<4x8xf32>, tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}

// CHECK-LABEL: func.func @tanh_bracket(
// CHECK-SAME: %[[X:.*]]: tensor<4x8xf32>)
// CHECK-NOT: = cleave.{{mul|add|div|sub|pow|reduce}}
// CHECK: %[[Y:.*]] = cleave.gelu_tanh %[[X]] : tensor<4x8xf32>
// CHECK-NEXT: return %[[Y]]
func.func @tanh_bracket(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %sqrt2 = cleave.use @sqrt2 : tensor<f32>
  %rsqrt2 = cleave.use @rsqrt2 : tensor<f32>
  %one = cleave.use @one : tensor<f32>
  %half = cleave.use @half : tensor<f32>
  %a = cleave.use @a : tensor<f32>
  %c = cleave.use @c : tensor<f32>
  %two = cleave.use @two : tensor<f32>
  %three = cleave.use @three : tensor<f32>
  %third = cleave.use @third : tensor<f32>
  %p = cleave.mul %x, %x : tensor<4x8xf32>, tensor<4x8xf32>
  %q = cleave.mul %p, %a : tensor<4x8xf32>, tensor<f32>
  %r = cleave.add %q, %one : tensor<4x8xf32>, tensor<f32>
  %v = cleave.mul %x, %c : tensor<4x8xf32>, tensor<f32>
  %s = cleave.mul %v, %r : tensor<4x8xf32>, tensor<4x8xf32>
  %t = cleave.tanh %s : tensor<4x8xf32>
  %f = cleave.add %t, %one : tensor<4x8xf32>, tensor<f32>
  %g = cleave.mul %x, %f : tensor<4x8xf32>, tensor<4x8xf32>
  %y = cleave.mul %g, %half : tensor<4x8xf32>, tensor<f32>
  return %y : tensor<4x8xf32>
}

// Another number, and another x.
// CHECK-LABEL: func.func @none
// CHECK-NOT: cleave.gelu
// CHECK: return
func.func @none(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %sqrt2 = cleave.use @sqrt2 : tensor<f32>
  %rsqrt2 = cleave.use @rsqrt2 : tensor<f32>
  %one = cleave.use @one : tensor<f32>
  %half = cleave.use @half : tensor<f32>
  %a = cleave.use @a : tensor<f32>
  %c = cleave.use @c : tensor<f32>
  %two = cleave.use @two : tensor<f32>
  %three = cleave.use @three : tensor<f32>
  %third = cleave.use @third : tensor<f32>
  %d = cleave.div %x, %sqrt2 : tensor<4x8xf32>, tensor<f32>
  %e = cleave.erf %d : tensor<4x8xf32>
  %f = cleave.add %e, %one : tensor<4x8xf32>, tensor<f32>
  %g = cleave.mul %x, %f : tensor<4x8xf32>, tensor<4x8xf32>
  %y1 = cleave.mul %g, %third : tensor<4x8xf32>, tensor<f32>
  %d2 = cleave.div %y1, %sqrt2 : tensor<4x8xf32>, tensor<f32>
  %e2 = cleave.erf %d2 : tensor<4x8xf32>
  %f2 = cleave.add %e2, %one : tensor<4x8xf32>, tensor<f32>
  %g2 = cleave.mul %x, %f2 : tensor<4x8xf32>, tensor<4x8xf32>
  %y = cleave.mul %g2, %half : tensor<4x8xf32>, tensor<f32>
  return %y : tensor<4x8xf32>
}
