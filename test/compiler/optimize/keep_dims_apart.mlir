// Dimensions that are merged and taken apart again, as PyTorch's exporters write attention.
// RUN: cleave-opt %s -cleave-keep-dims-apart | FileCheck %s

// Keys turned.
// CHECK-LABEL: func.func @merged(
// CHECK-SAME: %[[X:[a-z0-9]*]]:
// CHECK-NEXT: %[[Y:.*]] = cleave.transpose %[[X]] [0, 1, 3, 2] {cleave.name = "keys"}
// CHECK-NEXT: return %[[Y]]
func.func @merged(%x: tensor<?x4x?x8xf32, #cleave.dims<b, s>>) -> tensor<?x4x8x?xf32, #cleave.dims<b, s>> {
  %m = cleave.reshape %x groups [2:1, 1:1, 1:1] : tensor<?x4x?x8xf32, #cleave.dims<b, s>> -> tensor<?x?x8xf32, #cleave.dims<"4*b", s>>
  %t = cleave.transpose %m [0, 2, 1] : tensor<?x?x8xf32, #cleave.dims<"4*b", s>> -> tensor<?x8x?xf32, #cleave.dims<"4*b", s>>
  %y = cleave.reshape %t groups [1:2, 1:1, 1:1] {cleave.name = "keys"} : tensor<?x8x?xf32, #cleave.dims<"4*b", s>> -> tensor<?x4x8x?xf32, #cleave.dims<b, s>>
  return %y : tensor<?x4x8x?xf32, #cleave.dims<b, s>>
}

// Taken apart otherwise than it was merged.
// CHECK-LABEL: func.func @otherwise(
// CHECK: cleave.reshape
// CHECK: cleave.transpose
// CHECK: cleave.reshape
func.func @otherwise(%x: tensor<2x6x8xf32>) -> tensor<8x3x4xf32> {
  %m = cleave.reshape %x groups [2:1, 1:1] : tensor<2x6x8xf32> -> tensor<12x8xf32>
  %t = cleave.transpose %m [1, 0] : tensor<12x8xf32> -> tensor<8x12xf32>
  %y = cleave.reshape %t groups [1:1, 1:2] : tensor<8x12xf32> -> tensor<8x3x4xf32>
  return %y : tensor<8x3x4xf32>
}

// Heads go from behind to the batch, and come apart from it.
// CHECK-LABEL: func.func @heads_to_batch(
// CHECK-SAME: %[[X:[a-z0-9]*]]:
// CHECK-NEXT: %[[H:.*]] = cleave.reshape %[[X]] groups [1:1, 1:1, 1:2] {{.*}} -> tensor<?x?x4x8xf32
// CHECK-NEXT: %[[Y:.*]] = cleave.transpose %[[H]] [1, 2, 0, 3] {cleave.name = "heads", cleave.sharding = [#cleave.sharding<[{}, {"tp"}, {}, {}]>]}
// CHECK-NEXT: return %[[Y]]
func.func @heads_to_batch(%x: tensor<?x?x32xf32, #cleave.dims<s, b>>) -> tensor<?x4x?x8xf32, #cleave.dims<b, s>> {
  %m = cleave.reshape %x groups [1:1, 2:2] {cleave.name = "view"} : tensor<?x?x32xf32, #cleave.dims<s, b>> -> tensor<?x?x8xf32, #cleave.dims<s, "4*b">>
  %t = cleave.transpose %m [1, 0, 2] {cleave.name = "turn", cleave.sharding = [#cleave.sharding<[{}, {"tp"}, {}]>]} : tensor<?x?x8xf32, #cleave.dims<s, "4*b">> -> tensor<?x?x8xf32, #cleave.dims<"4*b", s>>
  %y = cleave.reshape %t groups [1:2, 1:1, 1:1] {cleave.name = "heads", cleave.sharding = [#cleave.sharding<[{}, {"tp"}, {}, {}]>]} : tensor<?x?x8xf32, #cleave.dims<"4*b", s>> -> tensor<?x4x?x8xf32, #cleave.dims<b, s>>
  return %y : tensor<?x4x?x8xf32, #cleave.dims<b, s>>
}

// Products and softmax with batch and heads in one; the weights are read apart, too, and once
// more as they are: they are made once.
// CHECK-LABEL: func.func @products(
// CHECK: %[[S:.*]] = cleave.mul %{{.*}}, %{{.*}} : tensor<?x4x?x8xf32, {{.*}}>, tensor<f32>
// CHECK: %[[D:.*]] = cleave.matmul %[[S]], %{{.*}} {transpose_b} {{.*}} -> tensor<?x4x?x?xf32
// CHECK: %[[P:.*]] = cleave.softmax %[[D]] dim 3
// CHECK: %[[M:.*]] = cleave.reshape %[[P]] groups [2:1, 1:1, 1:1]
// CHECK: %[[A:.*]] = cleave.matmul %[[P]], %{{.*}} -> tensor<?x4x?x8xf32
// CHECK: %[[T:.*]] = cleave.transpose %[[A]] [2, 0, 1, 3]
// CHECK: %[[Y:.*]] = cleave.reshape %[[T]] groups [2:1, 2:1] {cleave.name = "joined"}
// CHECK-NOT: cleave.softmax
// CHECK: %[[W:.*]] = cleave.reduce mean %[[P]] dims [1]
// CHECK: return %[[Y]], %[[W]], %[[M]]
cleave.weight @scale : tensor<f32> from dense<[], "0xF304B53E">
func.func @products(%x: tensor<?x?x32xf32, #cleave.dims<s, b>>) -> (tensor<?x32xf32, #cleave.dims<"b*s">>, tensor<?x?x?xf32, #cleave.dims<b, s, s>>, tensor<?x?x?xf32, #cleave.dims<"4*b", s, s>>) {
  %c = cleave.use @scale : tensor<f32>
  %m = cleave.reshape %x groups [1:1, 2:2] : tensor<?x?x32xf32, #cleave.dims<s, b>> -> tensor<?x?x8xf32, #cleave.dims<s, "4*b">>
  %t = cleave.transpose %m [1, 0, 2] : tensor<?x?x8xf32, #cleave.dims<s, "4*b">> -> tensor<?x?x8xf32, #cleave.dims<"4*b", s>>
  %q = cleave.mul %t, %c : tensor<?x?x8xf32, #cleave.dims<"4*b", s>>, tensor<f32>
  %d = cleave.matmul %q, %t {transpose_b} : tensor<?x?x8xf32, #cleave.dims<"4*b", s>>, tensor<?x?x8xf32, #cleave.dims<"4*b", s>> -> tensor<?x?x?xf32, #cleave.dims<"4*b", s, s>>
  %p = cleave.softmax %d dim 2 : tensor<?x?x?xf32, #cleave.dims<"4*b", s, s>>
  %a = cleave.matmul %p, %t : tensor<?x?x?xf32, #cleave.dims<"4*b", s, s>>, tensor<?x?x8xf32, #cleave.dims<"4*b", s>> -> tensor<?x?x8xf32, #cleave.dims<"4*b", s>>
  %b = cleave.transpose %a [1, 0, 2] : tensor<?x?x8xf32, #cleave.dims<"4*b", s>> -> tensor<?x?x8xf32, #cleave.dims<s, "4*b">>
  %y = cleave.reshape %b groups [3:2] {cleave.name = "joined"} : tensor<?x?x8xf32, #cleave.dims<s, "4*b">> -> tensor<?x32xf32, #cleave.dims<"b*s">>
  %w = cleave.reshape %p groups [1:2, 1:1, 1:1] : tensor<?x?x?xf32, #cleave.dims<"4*b", s, s>> -> tensor<?x4x?x?xf32, #cleave.dims<b, s, s>>
  %n = cleave.reduce mean %w dims [1] : tensor<?x4x?x?xf32, #cleave.dims<b, s, s>> -> tensor<?x?x?xf32, #cleave.dims<b, s, s>>
  return %y, %n, %p : tensor<?x32xf32, #cleave.dims<"b*s">>, tensor<?x?x?xf32, #cleave.dims<b, s, s>>, tensor<?x?x?xf32, #cleave.dims<"4*b", s, s>>
}

// Masks: one that is merged likewise, and one that is the same for all heads; not one that is for
// each by itself.
// CHECK-LABEL: func.func @masks(
// CHECK-SAME: %[[X:.*]]: {{.*}}, %[[K:.*]]: {{.*}}, %[[M:.*]]: {{.*}}, %[[N:.*]]: {{.*}}) ->
// CHECK: %[[A:.*]] = cleave.add %[[X]], %[[K]] : tensor<?x4x6x6xf32, {{.*}}>, tensor<?x4x1x6xf32, {{.*}}>
// CHECK: %[[B:.*]] = cleave.add %[[M]], %[[A]] {cleave.name = "masked"} : tensor<1x6x6xf32>, tensor<?x4x6x6xf32
// CHECK: cleave.add %{{.*}}, %[[N]] : tensor<?x6x6xf32, {{.*}}>, tensor<?x6x6xf32, {{.*}}>
// CHECK: cleave.reshape %{{.*}} groups [1:2, 1:1, 1:1]
func.func @masks(%x: tensor<?x4x6x6xf32, #cleave.dims<b>>, %k: tensor<?x4x1x6xf32, #cleave.dims<b>>, %m: tensor<1x6x6xf32>, %n: tensor<?x6x6xf32, #cleave.dims<"4*b">>) -> (tensor<?x4x6x6xf32, #cleave.dims<b>>, tensor<?x4x6x6xf32, #cleave.dims<b>>) {
  %xm = cleave.reshape %x groups [2:1, 1:1, 1:1] : tensor<?x4x6x6xf32, #cleave.dims<b>> -> tensor<?x6x6xf32, #cleave.dims<"4*b">>
  %km = cleave.reshape %k groups [2:1, 1:1, 1:1] : tensor<?x4x1x6xf32, #cleave.dims<b>> -> tensor<?x1x6xf32, #cleave.dims<"4*b">>
  %a = cleave.add %xm, %km : tensor<?x6x6xf32, #cleave.dims<"4*b">>, tensor<?x1x6xf32, #cleave.dims<"4*b">>
  %c = cleave.add %m, %a : tensor<1x6x6xf32>, tensor<?x6x6xf32, #cleave.dims<"4*b">>
  %y = cleave.reshape %c groups [1:2, 1:1, 1:1] {cleave.name = "masked"} : tensor<?x6x6xf32, #cleave.dims<"4*b">> -> tensor<?x4x6x6xf32, #cleave.dims<b>>
  %d = cleave.add %xm, %n : tensor<?x6x6xf32, #cleave.dims<"4*b">>, tensor<?x6x6xf32, #cleave.dims<"4*b">>
  %z = cleave.reshape %d groups [1:2, 1:1, 1:1] : tensor<?x6x6xf32, #cleave.dims<"4*b">> -> tensor<?x4x6x6xf32, #cleave.dims<b>>
  return %y, %z : tensor<?x4x6x6xf32, #cleave.dims<b>>, tensor<?x4x6x6xf32, #cleave.dims<b>>
}

// Softmax over what is merged, and a cut between, leave it so.
// CHECK-LABEL: func.func @kept(
// CHECK: cleave.reshape %{{.*}} groups [2:1]
// CHECK: cleave.softmax %{{.*}} dim 0
// CHECK: cleave.reshape %{{.*}} groups [2:1]
// CHECK: cleave.cut
// CHECK: cleave.reshape %{{.*}} groups [1:2]
func.func @kept(%x: tensor<2x6xf32>) -> (tensor<2x6xf32>, tensor<2x6xf32>) {
  %m = cleave.reshape %x groups [2:1] : tensor<2x6xf32> -> tensor<12xf32>
  %s = cleave.softmax %m dim 0 : tensor<12xf32>
  %y = cleave.reshape %s groups [1:2] : tensor<12xf32> -> tensor<2x6xf32>
  %n = cleave.reshape %x groups [2:1] : tensor<2x6xf32> -> tensor<12xf32>
  cleave.cut "second"
  %r = cleave.relu %n : tensor<12xf32>
  %z = cleave.reshape %r groups [1:2] : tensor<12xf32> -> tensor<2x6xf32>
  return %y, %z : tensor<2x6xf32>, tensor<2x6xf32>
}
