// Attention as exporters spell it.
// RUN: cleave-opt %s -split-input-file -cleave-find-attention | FileCheck %s

cleave.weight @root8 : tensor<f32> from dense<[], "0xF3043540">

// CHECK-LABEL: func.func @divided(
// CHECK-SAME: %[[Q:.*]]: {{.*}}, %[[K:.*]]: {{.*}}, %[[V:.*]]: {{.*}}, %[[M:[a-z0-9]*]]: {{.*}}) ->
// CHECK: %[[T:.*]] = cleave.transpose %[[K]] [0, 2, 1, 3] : tensor<?x?x4x8xf32, {{.*}}> -> tensor<?x4x?x8xf32
// CHECK: %[[A:.*]] = cleave.scaled_dot_product_attention %[[Q]], %[[T]], %[[V]] mask %[[M]] {cleave.name = "attn", scale = 0.353553385 : f32}
// CHECK-NEXT: return %[[A]]
func.func @divided(%q: tensor<?x4x?x8xf32, #cleave.dims<b, t>>, %k: tensor<?x?x4x8xf32, #cleave.dims<b, s>>, %v: tensor<?x4x?x8xf32, #cleave.dims<b, s>>, %m: tensor<?x?xf32, #cleave.dims<t, s>>) -> tensor<?x4x?x8xf32, #cleave.dims<b, t>> {
  %r = cleave.use @root8 : tensor<f32>
  %kt = cleave.transpose %k [0, 2, 3, 1] : tensor<?x?x4x8xf32, #cleave.dims<b, s>> -> tensor<?x4x8x?xf32, #cleave.dims<b, s>>
  %s = cleave.matmul %q, %kt : tensor<?x4x?x8xf32, #cleave.dims<b, t>>, tensor<?x4x8x?xf32, #cleave.dims<b, s>> -> tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>
  %d = cleave.div %s, %r : tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>, tensor<f32>
  %a = cleave.add %d, %m : tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>, tensor<?x?xf32, #cleave.dims<t, s>>
  %p = cleave.softmax %a dim 3 : tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>
  %y = cleave.matmul %p, %v {cleave.name = "attn"} : tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>, tensor<?x4x?x8xf32, #cleave.dims<b, s>> -> tensor<?x4x?x8xf32, #cleave.dims<b, t>>
  return %y : tensor<?x4x?x8xf32, #cleave.dims<b, t>>
}

// -----

cleave.weight @c : tensor<f32> from dense<[], "0x0000003F">
cleave.weight @zero : tensor<f32> from dense<[], "0x00000000">

// Both operands scaled, as by PyTorch, and zeros for queries that see nothing.
// CHECK-LABEL: func.func @scaled_before(
// CHECK-SAME: %[[Q:.*]]: {{.*}}, %[[K:.*]]: {{.*}}, %[[V:[a-z0-9]*]]: {{.*}}) ->
// CHECK-NOT: cleave.transpose
// CHECK: cleave.scaled_dot_product_attention %[[Q]], %[[K]], %[[V]] {scale = 2.500000e-01 : f32}
// CHECK-NOT: cleave.softmax
func.func @scaled_before(%q: tensor<?x4x?x8xf32, #cleave.dims<b, t>>, %k: tensor<?x4x?x8xf32, #cleave.dims<b, s>>, %v: tensor<?x4x?x8xf32, #cleave.dims<b, s>>) -> tensor<?x4x?x8xf32, #cleave.dims<b, t>> {
  %c = cleave.use @c : tensor<f32>
  %z = cleave.use @zero : tensor<f32>
  %qs = cleave.mul %q, %c : tensor<?x4x?x8xf32, #cleave.dims<b, t>>, tensor<f32>
  %kt = cleave.transpose %k [0, 1, 3, 2] : tensor<?x4x?x8xf32, #cleave.dims<b, s>> -> tensor<?x4x8x?xf32, #cleave.dims<b, s>>
  %ks = cleave.mul %kt, %c : tensor<?x4x8x?xf32, #cleave.dims<b, s>>, tensor<f32>
  %s = cleave.matmul %qs, %ks : tensor<?x4x?x8xf32, #cleave.dims<b, t>>, tensor<?x4x8x?xf32, #cleave.dims<b, s>> -> tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>
  %p = cleave.softmax %s dim 3 : tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>
  %n = cleave.is_nan %p : tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>
  %g = cleave.where %n, %z, %p : tensor<?x4x?x?xi1, #cleave.dims<b, t, s>>, tensor<f32>, tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>
  %y = cleave.matmul %g, %v : tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>, tensor<?x4x?x8xf32, #cleave.dims<b, s>> -> tensor<?x4x?x8xf32, #cleave.dims<b, t>>
  return %y : tensor<?x4x?x8xf32, #cleave.dims<b, t>>
}

// -----

// The weights are an output of the model: they are made, and so used.
// CHECK-LABEL: func.func @weights_wanted
// CHECK-NOT: scaled_dot_product_attention
// CHECK: return
func.func @weights_wanted(%q: tensor<?x4x?x8xf32, #cleave.dims<b, t>>, %k: tensor<?x4x?x8xf32, #cleave.dims<b, s>>, %v: tensor<?x4x?x8xf32, #cleave.dims<b, s>>) -> (tensor<?x4x?x8xf32, #cleave.dims<b, t>>, tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>) {
  %s = cleave.matmul %q, %k {transpose_b} : tensor<?x4x?x8xf32, #cleave.dims<b, t>>, tensor<?x4x?x8xf32, #cleave.dims<b, s>> -> tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>
  %p = cleave.softmax %s dim 3 : tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>
  %y = cleave.matmul %p, %v : tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>, tensor<?x4x?x8xf32, #cleave.dims<b, s>> -> tensor<?x4x?x8xf32, #cleave.dims<b, t>>
  return %y, %p : tensor<?x4x?x8xf32, #cleave.dims<b, t>>, tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>
}

// -----

// A softmax over heads is something else.
// CHECK-LABEL: func.func @over_heads
// CHECK-NOT: scaled_dot_product_attention
// CHECK: return
func.func @over_heads(%q: tensor<?x4x?x8xf32, #cleave.dims<b, t>>, %k: tensor<?x4x?x8xf32, #cleave.dims<b, s>>, %v: tensor<?x4x?x8xf32, #cleave.dims<b, s>>) -> tensor<?x4x?x8xf32, #cleave.dims<b, t>> {
  %s = cleave.matmul %q, %k {transpose_b} : tensor<?x4x?x8xf32, #cleave.dims<b, t>>, tensor<?x4x?x8xf32, #cleave.dims<b, s>> -> tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>
  %p = cleave.softmax %s dim 1 : tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>
  %y = cleave.matmul %p, %v : tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>, tensor<?x4x?x8xf32, #cleave.dims<b, s>> -> tensor<?x4x?x8xf32, #cleave.dims<b, t>>
  return %y : tensor<?x4x?x8xf32, #cleave.dims<b, t>>
}

// -----

// Causal masks that choose between scores and the least number, in two blocks: one mask of numbers
// serves both. The padding mask is added to it.
cleave.weight @least : tensor<f32> from dense<[], "0xFFFF7FFF">

// CHECK: cleave.weight @[[ZERO:.*]] : tensor<f32> from dense<[], "0x00000000">
// CHECK-LABEL: func.func @chosen(
// CHECK-SAME: %[[Q:.*]]: {{.*}}, %[[K:.*]]: {{.*}}, %[[V:.*]]: {{.*}}, %[[C:[a-z0-9]*]]: {{.*}}, %[[M:[a-z0-9]*]]: {{.*}}) ->
// CHECK: %[[L:.*]] = cleave.use @least
// CHECK: %[[Z:.*]] = cleave.use @[[ZERO]]
// CHECK: %[[B:.*]] = cleave.where %[[C]], %[[Z]], %[[L]] : tensor<1x1x?x?xi1
// CHECK: %[[A:.*]] = cleave.scaled_dot_product_attention %[[Q]], %[[K]], %[[V]] mask %[[B]]
// CHECK-NOT: cleave.where
// CHECK: %[[S:.*]] = cleave.add %[[B]], %[[M]]
// CHECK: cleave.scaled_dot_product_attention %[[A]], %[[K]], %[[V]] mask %[[S]]
func.func @chosen(%q: tensor<?x4x?x8xf32, #cleave.dims<b, t>>, %k: tensor<?x4x?x8xf32, #cleave.dims<b, s>>, %v: tensor<?x4x?x8xf32, #cleave.dims<b, s>>, %c: tensor<1x1x?x?xi1, #cleave.dims<t, s>>, %m: tensor<?x1x1x?xf32, #cleave.dims<b, s>>) -> tensor<?x4x?x8xf32, #cleave.dims<b, t>> {
  %l = cleave.use @least : tensor<f32>
  %s = cleave.matmul %q, %k {transpose_b} : tensor<?x4x?x8xf32, #cleave.dims<b, t>>, tensor<?x4x?x8xf32, #cleave.dims<b, s>> -> tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>
  %w = cleave.where %c, %s, %l : tensor<1x1x?x?xi1, #cleave.dims<t, s>>, tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>, tensor<f32>
  %p = cleave.softmax %w dim 3 : tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>
  %a = cleave.matmul %p, %v : tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>, tensor<?x4x?x8xf32, #cleave.dims<b, s>> -> tensor<?x4x?x8xf32, #cleave.dims<b, t>>
  %s2 = cleave.matmul %a, %k {transpose_b} : tensor<?x4x?x8xf32, #cleave.dims<b, t>>, tensor<?x4x?x8xf32, #cleave.dims<b, s>> -> tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>
  %w2 = cleave.where %c, %s2, %l : tensor<1x1x?x?xi1, #cleave.dims<t, s>>, tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>, tensor<f32>
  %d2 = cleave.add %w2, %m : tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>, tensor<?x1x1x?xf32, #cleave.dims<b, s>>
  %p2 = cleave.softmax %d2 dim 3 : tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>
  %y = cleave.matmul %p2, %v : tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>, tensor<?x4x?x8xf32, #cleave.dims<b, s>> -> tensor<?x4x?x8xf32, #cleave.dims<b, t>>
  return %y : tensor<?x4x?x8xf32, #cleave.dims<b, t>>
}

// -----

// A choice after a sum is in place of the sum, too: where all is hidden, all is alike.
cleave.weight @least : tensor<f32> from dense<[], "0xFFFF7FFF">

// CHECK-LABEL: func.func @chosen_of_sums(
// CHECK-SAME: %[[C:[a-z0-9]*]]: tensor<3x5xi1>, %[[M:[a-z0-9]*]]: tensor<2x1x1x5xf32>) ->
// CHECK: %[[L:.*]] = cleave.use @least
// CHECK: %[[B:.*]] = cleave.where %[[C]], %[[L]], %[[M]] : tensor<3x5xi1>, tensor<f32>, tensor<2x1x1x5xf32>
// CHECK: cleave.scaled_dot_product_attention {{.*}} mask %[[B]]
func.func @chosen_of_sums(%q: tensor<2x4x3x8xf32>, %k: tensor<2x4x5x8xf32>, %v: tensor<2x4x5x8xf32>, %c: tensor<3x5xi1>, %m: tensor<2x1x1x5xf32>) -> tensor<2x4x3x8xf32> {
  %l = cleave.use @least : tensor<f32>
  %s = cleave.matmul %q, %k {transpose_b} : tensor<2x4x3x8xf32>, tensor<2x4x5x8xf32> -> tensor<2x4x3x5xf32>
  %a = cleave.add %s, %m : tensor<2x4x3x5xf32>, tensor<2x1x1x5xf32>
  %w = cleave.where %c, %l, %a : tensor<3x5xi1>, tensor<f32>, tensor<2x4x3x5xf32>
  %p = cleave.softmax %w dim 3 : tensor<2x4x3x5xf32>
  %y = cleave.matmul %p, %v : tensor<2x4x3x5xf32>, tensor<2x4x5x8xf32> -> tensor<2x4x3x8xf32>
  return %y : tensor<2x4x3x8xf32>
}

// -----

// Two query heads for each key head, which is repeated for them.
// CHECK-LABEL: func.func @grouped(
// CHECK-SAME: %[[Q:.*]]: {{.*}}, %[[K:.*]]: {{.*}}, %[[V:[a-z0-9]*]]: {{.*}}) ->
// CHECK-NEXT: %[[A:.*]] = cleave.scaled_dot_product_attention %[[Q]], %[[K]], %[[V]] {group = 2 : i64, scale
// CHECK-NEXT: return %[[A]]
func.func @grouped(%q: tensor<?x4x?x8xf32, #cleave.dims<b, t>>, %k: tensor<?x2x?x8xf32, #cleave.dims<b, s>>, %v: tensor<?x2x?x8xf32, #cleave.dims<b, s>>) -> tensor<?x4x?x8xf32, #cleave.dims<b, t>> {
  %k1 = cleave.reshape %k groups [1:1, 1:1, 0:1, 1:1, 1:1] : tensor<?x2x?x8xf32, #cleave.dims<b, s>> -> tensor<?x2x1x?x8xf32, #cleave.dims<b, s>>
  %k2 = cleave.expand %k1 : tensor<?x2x1x?x8xf32, #cleave.dims<b, s>> -> tensor<?x2x2x?x8xf32, #cleave.dims<b, s>>
  %k3 = cleave.reshape %k2 groups [1:1, 2:1, 1:1, 1:1] : tensor<?x2x2x?x8xf32, #cleave.dims<b, s>> -> tensor<?x4x?x8xf32, #cleave.dims<b, s>>
  %v1 = cleave.reshape %v groups [1:1, 1:1, 0:1, 1:1, 1:1] : tensor<?x2x?x8xf32, #cleave.dims<b, s>> -> tensor<?x2x1x?x8xf32, #cleave.dims<b, s>>
  %v2 = cleave.expand %v1 : tensor<?x2x1x?x8xf32, #cleave.dims<b, s>> -> tensor<?x2x2x?x8xf32, #cleave.dims<b, s>>
  %v3 = cleave.reshape %v2 groups [1:1, 2:1, 1:1, 1:1] : tensor<?x2x2x?x8xf32, #cleave.dims<b, s>> -> tensor<?x4x?x8xf32, #cleave.dims<b, s>>
  %kt = cleave.transpose %k3 [0, 1, 3, 2] : tensor<?x4x?x8xf32, #cleave.dims<b, s>> -> tensor<?x4x8x?xf32, #cleave.dims<b, s>>
  %s = cleave.matmul %q, %kt : tensor<?x4x?x8xf32, #cleave.dims<b, t>>, tensor<?x4x8x?xf32, #cleave.dims<b, s>> -> tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>
  %p = cleave.softmax %s dim 3 : tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>
  %y = cleave.matmul %p, %v3 : tensor<?x4x?x?xf32, #cleave.dims<b, t, s>>, tensor<?x4x?x8xf32, #cleave.dims<b, s>> -> tensor<?x4x?x8xf32, #cleave.dims<b, t>>
  return %y : tensor<?x4x?x8xf32, #cleave.dims<b, t>>
}

// -----

// How the result is to lie is said of it still, but not of what is made beside it, which is
// another value: the keys turned back, and the sum of two masks.
// CHECK-LABEL: func.func @given(
// CHECK: cleave.transpose %{{[a-z0-9]*}} [0, 2, 1, 3] {cleave.name = "turned"}
// CHECK: cleave.add %{{.*}}, %{{[a-z0-9]*}} {cleave.name = "mixed"}
// CHECK: cleave.scaled_dot_product_attention {{.*}}cleave.name = "mixed", cleave.sharding = [#cleave.sharding<[{}, {"tp"}, {}, {}]>]
func.func @given(%q: tensor<2x4x3x8xf32>, %k: tensor<2x5x4x8xf32>, %v: tensor<2x4x5x8xf32>, %m: tensor<3x5xf32>, %n: tensor<2x1x1x5xf32>) -> tensor<2x4x3x8xf32> {
  %kt = cleave.transpose %k [0, 2, 3, 1] {cleave.name = "turned", cleave.sharding = [#cleave.sharding<[{}, {}, {}, {"tp"}]>]} : tensor<2x5x4x8xf32> -> tensor<2x4x8x5xf32>
  %s = cleave.matmul %q, %kt : tensor<2x4x3x8xf32>, tensor<2x4x8x5xf32> -> tensor<2x4x3x5xf32>
  %a = cleave.add %s, %m : tensor<2x4x3x5xf32>, tensor<3x5xf32>
  %b = cleave.add %a, %n : tensor<2x4x3x5xf32>, tensor<2x1x1x5xf32>
  %p = cleave.softmax %b dim 3 : tensor<2x4x3x5xf32>
  %y = cleave.matmul %p, %v {cleave.name = "mixed", cleave.sharding = [#cleave.sharding<[{}, {"tp"}, {}, {}]>]} : tensor<2x4x3x5xf32>, tensor<2x4x5x8xf32> -> tensor<2x4x3x8xf32>
  return %y : tensor<2x4x3x8xf32>
}
