// Products with fused weights, taken apart where only ranges of their features are read.
// RUN: cleave-opt %s -split-input-file -cleave-separate-segments | FileCheck %s

// GPT-2's: a bias for all three, and a reshape between the product and the slices.
// CHECK: cleave.weight @"w:1" : tensor<8x8xf32> from onnx<"m.onnx", "w" transposed> slice [0:8, 0:8]
// CHECK-NEXT: cleave.weight @"w:2" : tensor<8x8xf32> from onnx<"m.onnx", "w" transposed> slice [8:16, 0:8]
// CHECK-NEXT: cleave.weight @"w:3" : tensor<8x8xf32> from onnx<"m.onnx", "w" transposed> slice [16:24, 0:8]
// CHECK-NEXT: cleave.weight @"b:1" : tensor<8xf32> from onnx<"m.onnx", "b"> slice [0:8]
// CHECK-NEXT: cleave.weight @"b:2" : tensor<8xf32> from onnx<"m.onnx", "b"> slice [8:16]
// CHECK-NEXT: cleave.weight @"b:3" : tensor<8xf32> from onnx<"m.onnx", "b"> slice [16:24]
// CHECK-LABEL: func.func @split(
// CHECK-SAME: %[[X:[a-z0-9]*]]:
// CHECK-DAG: %[[W2:.*]] = cleave.use @"w:2"
// CHECK-DAG: %[[P2:.*]] = cleave.linear %[[X]], %[[W2]] {cleave.name = "c_attn:2"}
// CHECK-DAG: %[[B2:.*]] = cleave.use @"b:2"
// CHECK-DAG: %[[S2:.*]] = cleave.add %[[P2]], %[[B2]] {cleave.name = "bias:2"}
// CHECK-DAG: %[[K:.*]] = cleave.reshape %[[S2]] groups [1:2, 1:1] : {{.*}} -> tensor<2x2x8xf32>
// CHECK-DAG: %[[P1:.*]] = cleave.linear {{.*}} {cleave.name = "c_attn"}
// CHECK-NOT: cleave.slice
// CHECK: return %{{.*}}, %[[K]], %{{.*}}
cleave.weight @w : tensor<24x8xf32> from onnx<"m.onnx", "w" transposed>
cleave.weight @b : tensor<24xf32> from onnx<"m.onnx", "b">
func.func @split(%x: tensor<4x8xf32>) -> (tensor<2x2x8xf32>, tensor<2x2x8xf32>, tensor<2x2x8xf32>) {
  %w = cleave.use @w : tensor<24x8xf32>
  %b = cleave.use @b : tensor<24xf32>
  %p = cleave.linear %x, %w {cleave.name = "c_attn"} : (tensor<4x8xf32>, tensor<24x8xf32>) -> tensor<4x24xf32>
  %s = cleave.add %p, %b {cleave.name = "bias"} : tensor<4x24xf32>, tensor<24xf32>
  %r = cleave.reshape %s groups [1:2, 1:1] : tensor<4x24xf32> -> tensor<2x2x24xf32>
  %q = cleave.slice %r dim 2 from 0 : tensor<2x2x24xf32> -> tensor<2x2x8xf32>
  %k = cleave.slice %r dim 2 from 8 : tensor<2x2x24xf32> -> tensor<2x2x8xf32>
  %v = cleave.slice %r dim 2 from 16 : tensor<2x2x24xf32> -> tensor<2x2x8xf32>
  return %q, %k, %v : tensor<2x2x8xf32>, tensor<2x2x8xf32>, tensor<2x2x8xf32>
}

// -----

// A vision transformer's: [b, s, 3, heads, features], turned, and taken by its number. The heads
// can be cut: they lead their group.
// CHECK-LABEL: func.func @taken(
// CHECK: %[[P:.*]] = cleave.linear {{.*}} -> tensor<2x4x8xf32>
// CHECK: %[[R:.*]] = cleave.reshape %[[P]] groups [1:1, 1:1, 0:1, 1:2] : tensor<2x4x8xf32> -> tensor<2x4x1x2x4xf32>
// CHECK: %[[T:.*]] = cleave.transpose %[[R]] [2, 0, 3, 1, 4] : tensor<2x4x1x2x4xf32> -> tensor<1x2x2x4x4xf32>
// CHECK-NOT: cleave.slice
// CHECK: cleave.reshape %{{.*}} groups
cleave.weight @w : tensor<24x8xf32> from none
func.func @taken(%x: tensor<2x4x8xf32>) -> (tensor<2x2x4x4xf32>, tensor<2x2x4x4xf32>) {
  %w = cleave.use @w : tensor<24x8xf32>
  %p = cleave.linear %x, %w : (tensor<2x4x8xf32>, tensor<24x8xf32>) -> tensor<2x4x24xf32>
  %r = cleave.reshape %p groups [1:1, 1:1, 1:3] : tensor<2x4x24xf32> -> tensor<2x4x3x2x4xf32>
  %t = cleave.transpose %r [2, 0, 3, 1, 4] : tensor<2x4x3x2x4xf32> -> tensor<3x2x2x4x4xf32>
  %q = cleave.slice %t dim 0 from 0 : tensor<3x2x2x4x4xf32> -> tensor<1x2x2x4x4xf32>
  %k = cleave.slice %t dim 0 from 1 : tensor<3x2x2x4x4xf32> -> tensor<1x2x2x4x4xf32>
  %q4 = cleave.reshape %q groups [1:0, 1:1, 1:1, 1:1, 1:1] : tensor<1x2x2x4x4xf32> -> tensor<2x2x4x4xf32>
  %k4 = cleave.reshape %k groups [1:0, 1:1, 1:1, 1:1, 1:1] : tensor<1x2x2x4x4xf32> -> tensor<2x2x4x4xf32>
  return %q4, %k4 : tensor<2x2x4x4xf32>, tensor<2x2x4x4xf32>
}

// -----

// How the fused value is to lie holds for each segment, and what is said of a slice for its own.
// CHECK-LABEL: func.func @given(
// CHECK: cleave.linear {{.*}} {cleave.sharding = [#cleave.sharding<[{}, {"tp"}]>]} {{.*}} -> tensor<4x8xf32>
// CHECK: cleave.linear {{.*}} {cleave.sharding = [#cleave.sharding<[{"tp"}, {}]>]} {{.*}} -> tensor<4x8xf32>
cleave.weight @w : tensor<16x8xf32> from none
func.func @given(%x: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %w = cleave.use @w : tensor<16x8xf32>
  %p = cleave.linear %x, %w {cleave.sharding = [#cleave.sharding<[{}, {"tp"}]>]} : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
  %q = cleave.slice %p dim 1 from 0 : tensor<4x16xf32> -> tensor<4x8xf32>
  %k = cleave.slice %p dim 1 from 8 {cleave.sharding = [#cleave.sharding<[{"tp"}, {}]>]} : tensor<4x16xf32> -> tensor<4x8xf32>
  return %q, %k : tensor<4x8xf32>, tensor<4x8xf32>
}

// -----

// What is read whole as well, in ranges that overlap, or made from a seed stays one.
// CHECK-LABEL: func.func @whole_too(
// CHECK-COUNT-3: cleave.linear
// CHECK-NOT: cleave.linear
cleave.weight @w : tensor<16x8xf32> from none
cleave.weight @made : tensor<16x8xf32> from random<1>
func.func @whole_too(%x: tensor<4x8xf32>) -> (tensor<4x16xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x9xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>) {
  %w = cleave.use @w : tensor<16x8xf32>
  %m = cleave.use @made : tensor<16x8xf32>
  %p = cleave.linear %x, %w : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
  %a = cleave.slice %p dim 1 from 0 : tensor<4x16xf32> -> tensor<4x8xf32>
  %b = cleave.slice %p dim 1 from 8 : tensor<4x16xf32> -> tensor<4x8xf32>
  %o = cleave.linear %x, %w : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
  %c = cleave.slice %o dim 1 from 0 : tensor<4x16xf32> -> tensor<4x9xf32>
  %d = cleave.slice %o dim 1 from 8 : tensor<4x16xf32> -> tensor<4x8xf32>
  %r = cleave.linear %x, %m : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
  %e = cleave.slice %r dim 1 from 0 : tensor<4x16xf32> -> tensor<4x8xf32>
  %f = cleave.slice %r dim 1 from 8 : tensor<4x16xf32> -> tensor<4x8xf32>
  return %p, %a, %b, %c, %d, %e, %f : tensor<4x16xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x9xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>
}
