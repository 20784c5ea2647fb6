// Dense ops and image ops, round trip through text and bytecode.
// RUN: cleave-opt %s | cleave-opt | FileCheck %s
// RUN: cleave-opt %s -emit-bytecode | cleave-opt | FileCheck %s

// CHECK: #[[T:.*]] = #cleave.dims<tokens>

// CHECK-LABEL: func.func @products(
// CHECK: cleave.matmul %{{.*}}, %{{.*}} : tensor<2x3x4xf32>, tensor<4x5xf32> -> tensor<2x3x5xf32>
// CHECK: cleave.matmul %{{.*}}, %{{.*}} {transpose_a, transpose_b} : tensor<2x3x4xf32>, tensor<7x1x5x3xf32> -> tensor<7x2x4x5xf32>
func.func @products(%a: tensor<2x3x4xf32>, %b: tensor<4x5xf32>, %c: tensor<7x1x5x3xf32>) {
  %x = cleave.matmul %a, %b : tensor<2x3x4xf32>, tensor<4x5xf32> -> tensor<2x3x5xf32>
  %y = cleave.matmul %a, %c {transpose_a, transpose_b} : tensor<2x3x4xf32>, tensor<7x1x5x3xf32> -> tensor<7x2x4x5xf32>
  return
}

// CHECK-LABEL: func.func @products_of_integers
// CHECK: cleave.matmul %{{.*}}, %{{.*}} {transpose_b} : tensor<2x3x4xi16>, tensor<5x4xui8> -> tensor<2x3x5xi32>
func.func @products_of_integers(%a: tensor<2x3x4xi16>, %b: tensor<5x4xui8>) {
  %x = cleave.matmul %a, %b {transpose_b} : tensor<2x3x4xi16>, tensor<5x4xui8> -> tensor<2x3x5xi32>
  return
}

// CHECK-LABEL: func.func @wide_integers
// CHECK: cleave.reduce max %{{.*}} dims [1] : tensor<3x4xi64> -> tensor<3xi64>
// CHECK: cleave.arg_min %{{.*}} dim 0 : tensor<3x4xi64> -> tensor<4xi64>
// CHECK: cleave.top_elements %{{.*}} dim 1 : tensor<3x4xui32> -> tensor<3x2xui32>, tensor<3x2xi64>
// CHECK: cleave.cumulative_sum %{{.*}} dim 1 : tensor<3x4xui32>
func.func @wide_integers(%x: tensor<3x4xi64>, %y: tensor<3x4xui32>) {
  %a = cleave.reduce max %x dims [1] : tensor<3x4xi64> -> tensor<3xi64>
  %b = cleave.arg_min %x dim 0 : tensor<3x4xi64> -> tensor<4xi64>
  %c, %d = cleave.top_elements %y dim 1 : tensor<3x4xui32> -> tensor<3x2xui32>, tensor<3x2xi64>
  %e = cleave.cumulative_sum %y dim 1 : tensor<3x4xui32>
  return
}

// CHECK-LABEL: func.func @pool_indices
// CHECK: cleave.pool_indices %{{.*}} window [3] strides [2] pads [0, 1] dilations [1] {column_major} : tensor<2x4x6xf32> -> tensor<2x4x3xi64>
func.func @pool_indices(%x: tensor<2x4x6xf32>) {
  %y = cleave.pool_indices %x window [3] strides [2] pads [0, 1] dilations [1] {column_major}
    : tensor<2x4x6xf32> -> tensor<2x4x3xi64>
  return
}

// CHECK-LABEL: func.func @products_with_weights
// CHECK: cleave.linear %{{.*}} : (tensor<2x?x4xf32, #[[T]]>, tensor<5x4xf32>) -> tensor<2x?x5xf32, #[[T]]>
// CHECK: cleave.linear %{{.*}} : (tensor<4xf32>, tensor<5x4xf32>) -> tensor<5xf32>
// CHECK: cleave.rms_norm %{{.*}} {epsilon = 9.99999974E-6 : f32} : tensor<2x?x4xf32, #[[T]]>, tensor<4xf32>
func.func @products_with_weights(%x: tensor<2x?x4xf32, #cleave.dims<tokens>>, %v: tensor<4xf32>, %w: tensor<5x4xf32>) {
  %y = cleave.linear %x, %w : (tensor<2x?x4xf32, #cleave.dims<tokens>>, tensor<5x4xf32>) -> tensor<2x?x5xf32, #cleave.dims<tokens>>
  %z = cleave.linear %v, %w : (tensor<4xf32>, tensor<5x4xf32>) -> tensor<5xf32>
  %n = cleave.rms_norm %x, %v {epsilon = 1.0e-5 : f32} : tensor<2x?x4xf32, #cleave.dims<tokens>>, tensor<4xf32>
  return
}

// CHECK-LABEL: func.func @norms
// CHECK: cleave.softmax %{{.*}} dim 2 : tensor<2x3x4xf32>
// CHECK: cleave.log_softmax %{{.*}} dim 0 : tensor<2x3x4xf32>
// CHECK: cleave.layer_norm %{{.*}} {epsilon = 9.99999974E-6 : f32} : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
// CHECK: cleave.layer_norm %{{.*}} weight %{{.*}} {dims = 2 : i64, epsilon = 0.000000e+00 : f32} : (tensor<2x3x4xf32>, tensor<3x4xf32>) -> tensor<2x3x4xf32>
// CHECK: cleave.layer_norm %{{.*}} bias %{{.*}} {dims = 2 : i64, epsilon = 0.000000e+00 : f32} : (tensor<2x3x4xf32>, tensor<3x4xf32>) -> tensor<2x3x4xf32>
func.func @norms(%x: tensor<2x3x4xf32>, %w: tensor<3x4xf32>) {
  %a = cleave.softmax %x dim 2 : tensor<2x3x4xf32>
  %b = cleave.log_softmax %x dim 0 : tensor<2x3x4xf32>
  %c = cleave.layer_norm %x {epsilon = 1.0e-5 : f32} : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  %d = cleave.layer_norm %x weight %w {dims = 2 : i64, epsilon = 0.0 : f32} : (tensor<2x3x4xf32>, tensor<3x4xf32>) -> tensor<2x3x4xf32>
  %e = cleave.layer_norm %x bias %w {dims = 2 : i64, epsilon = 0.0 : f32} : (tensor<2x3x4xf32>, tensor<3x4xf32>) -> tensor<2x3x4xf32>
  return
}

// CHECK-LABEL: func.func @reductions
// CHECK: cleave.reduce log_sum_exp %{{.*}} dims [0, 2] : tensor<2x3x4xf32> -> tensor<1x3x1xf32>
// CHECK: cleave.reduce mean %{{.*}} dims [1] {count = 6 : i64} : tensor<2x3x4xf32> -> tensor<2x4xf32>
// CHECK: cleave.reduce sum %{{.*}} dims [0, 1, 2] : tensor<2x3x4xf32> -> tensor<f32>
// CHECK: cleave.arg_max %{{.*}} dim 1 {last} : tensor<2x3x4xf32> -> tensor<2x4xi64>
// CHECK: cleave.arg_min %{{.*}} dim 1 : tensor<2x3x4xf32> -> tensor<2x1x4xi64>
// CHECK: cleave.top_elements %{{.*}} dim 2 {smallest} : tensor<2x3x4xf32> -> tensor<2x3x2xf32>, tensor<2x3x2xi64>
// CHECK: cleave.cumulative_sum %{{.*}} dim 0 {exclusive, reverse} : tensor<2x3x4xf32>
func.func @reductions(%x: tensor<2x3x4xf32>) {
  %a = cleave.reduce log_sum_exp %x dims [0, 2] : tensor<2x3x4xf32> -> tensor<1x3x1xf32>
  %b = cleave.reduce mean %x dims [1] {count = 6 : i64} : tensor<2x3x4xf32> -> tensor<2x4xf32>
  %c = cleave.reduce sum %x dims [0, 1, 2] : tensor<2x3x4xf32> -> tensor<f32>
  %d = cleave.arg_max %x dim 1 {last} : tensor<2x3x4xf32> -> tensor<2x4xi64>
  %e = cleave.arg_min %x dim 1 : tensor<2x3x4xf32> -> tensor<2x1x4xi64>
  %f, %g = cleave.top_elements %x dim 2 {smallest} : tensor<2x3x4xf32> -> tensor<2x3x2xf32>, tensor<2x3x2xi64>
  %h = cleave.cumulative_sum %x dim 0 {exclusive, reverse} : tensor<2x3x4xf32>
  return
}

// CHECK-LABEL: func.func @attention
// CHECK: cleave.scaled_dot_product_attention %{{.*}}, %{{.*}}, %{{.*}} mask %{{.*}} {causal, causal_from_end, first_head = 1 : i64, group = 2 : i64, scale = 5.000000e-01 : f32, softcap = 3.000000e+01 : f32} : (tensor<1x3x4x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<3x1x6xi1>) -> tensor<1x3x4x5xf32>
func.func @attention(%q: tensor<1x3x4x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %m: tensor<3x1x6xi1>) {
  %a = cleave.scaled_dot_product_attention %q, %k, %v mask %m {group = 2 : i64, first_head = 1 : i64, scale = 0.5 : f32, softcap = 30.0 : f32, causal, causal_from_end}
    : (tensor<1x3x4x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<3x1x6xi1>) -> tensor<1x3x4x5xf32>
  return
}

// CHECK-LABEL: func.func @images
// CHECK: cleave.pool average %{{.*}} window [2, 2] strides [2, 2] pads [0, 0, 1, 1] dilations [1, 1] {counts_pads} : tensor<1x4x6x6xf32> -> tensor<1x4x3x3xf32>
// CHECK: cleave.conv_transpose grouped %{{.*}}, %{{.*}} strides [1, 2] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<1x4x6x6xf32>, tensor<4x3x1x1xf32>) -> tensor<1x6x6x12xf32>
// CHECK: cleave.resize nearest %{{.*}} dim 3 by 2.000000e+00 asymmetric {rounding = #cleave<resize_rounding floor>} : tensor<1x4x6x6xf32> -> tensor<1x4x6x12xf32>
// CHECK: cleave.resize cubic %{{.*}} dim 2 by 5.000000e-01 half_pixel {antialias} : tensor<1x4x6x6xf32> -> tensor<1x4x3x6xf32>
func.func @images(%x: tensor<1x4x6x6xf32>, %w: tensor<4x3x1x1xf32>) {
  %a = cleave.pool average %x window [2, 2] strides [2, 2] pads [0, 0, 1, 1] dilations [1, 1] {counts_pads} : tensor<1x4x6x6xf32> -> tensor<1x4x3x3xf32>
  %b = cleave.conv_transpose grouped %x, %w strides [1, 2] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<1x4x6x6xf32>, tensor<4x3x1x1xf32>) -> tensor<1x6x6x12xf32>
  %c = cleave.resize nearest %x dim 3 by 2.0 asymmetric {rounding = #cleave<resize_rounding floor>} : tensor<1x4x6x6xf32> -> tensor<1x4x6x12xf32>
  %d = cleave.resize cubic %x dim 2 by 0.5 half_pixel {antialias} : tensor<1x4x6x6xf32> -> tensor<1x4x3x6xf32>
  return
}
