// Attention blocks of graphs, norms and reductions, split by the rules alone.
// RUN: cleave-opt %s -split-input-file -cleave-propagate-shardings -cleave-insert-reshards -cleave-merge-reductions -cleave-assign-stages -cleave-verify-sharded -cleave-split-ranks -cleave-verify-ranks | FileCheck %s

// Products, transposes and a softmax between two cuts: heads go through all of them, and one sum
// ends the block.
// CHECK-LABEL: module @spelled_attention
// CHECK: module @rank0
// CHECK: cleave.matmul %{{.*}} : tensor<?x2x?x8xf32, {{.*}}>, tensor<?x2x8x?xf32, {{.*}}> -> tensor<?x2x?x?xf32, {{.*}}>
// CHECK: cleave.softmax %{{.*}} dim 3 : tensor<?x2x?x?xf32
// CHECK-NOT: cleave.all_
// CHECK: cleave.all_reduce sum %{{.*}} group [0, 1]
// CHECK-NOT: cleave.all_
// CHECK: module @rank1
// CHECK: cleave.softmax %{{.*}} dim 3 : tensor<?x2x?x?xf32
// CHECK-NOT: cleave.all_
// CHECK: cleave.all_reduce sum
// CHECK-NOT: cleave.all_
module @spelled_attention {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @q : tensor<32x16xf32> from none split [#cleave.split<column "tp">]
  cleave.weight @k : tensor<32x16xf32> from none
  cleave.weight @v : tensor<32x16xf32> from none
  cleave.weight @o : tensor<16x32xf32> from none
  cleave.weight @n : tensor<16xf32> from none
  func.func @f(%x: tensor<?x?x16xf32, #cleave.dims<b, t>> {cleave.input = "x"})
      -> (tensor<?x?x16xf32, #cleave.dims<b, t>> {cleave.output = "y"}) {
    %wq = cleave.use @q : tensor<32x16xf32>
    %wk = cleave.use @k : tensor<32x16xf32>
    %wv = cleave.use @v : tensor<32x16xf32>
    %wo = cleave.use @o : tensor<16x32xf32>
    %wn = cleave.use @n : tensor<16xf32>
    %h = cleave.layer_norm %x weight %wn bias %wn {epsilon = 1.0e-5 : f32} : (tensor<?x?x16xf32, #cleave.dims<b, t>>, tensor<16xf32>, tensor<16xf32>) -> tensor<?x?x16xf32, #cleave.dims<b, t>>
    %q0 = cleave.linear %h, %wq : (tensor<?x?x16xf32, #cleave.dims<b, t>>, tensor<32x16xf32>) -> tensor<?x?x32xf32, #cleave.dims<b, t>>
    %k0 = cleave.linear %h, %wk : (tensor<?x?x16xf32, #cleave.dims<b, t>>, tensor<32x16xf32>) -> tensor<?x?x32xf32, #cleave.dims<b, t>>
    %v0 = cleave.linear %h, %wv : (tensor<?x?x16xf32, #cleave.dims<b, t>>, tensor<32x16xf32>) -> tensor<?x?x32xf32, #cleave.dims<b, t>>
    %q1 = cleave.reshape %q0 groups [1:1, 1:1, 1:2] : tensor<?x?x32xf32, #cleave.dims<b, t>> -> tensor<?x?x4x8xf32, #cleave.dims<b, t>>
    %k1 = cleave.reshape %k0 groups [1:1, 1:1, 1:2] : tensor<?x?x32xf32, #cleave.dims<b, t>> -> tensor<?x?x4x8xf32, #cleave.dims<b, t>>
    %v1 = cleave.reshape %v0 groups [1:1, 1:1, 1:2] : tensor<?x?x32xf32, #cleave.dims<b, t>> -> tensor<?x?x4x8xf32, #cleave.dims<b, t>>
    %q2 = cleave.transpose %q1 [0, 2, 1, 3] : tensor<?x?x4x8xf32, #cleave.dims<b, t>> -> tensor<?x4x?x8xf32, #cleave.dims<b, t>>
    %k2 = cleave.transpose %k1 [0, 2, 3, 1] : tensor<?x?x4x8xf32, #cleave.dims<b, t>> -> tensor<?x4x8x?xf32, #cleave.dims<b, t>>
    %v2 = cleave.transpose %v1 [0, 2, 1, 3] : tensor<?x?x4x8xf32, #cleave.dims<b, t>> -> tensor<?x4x?x8xf32, #cleave.dims<b, t>>
    %s = cleave.matmul %q2, %k2 : tensor<?x4x?x8xf32, #cleave.dims<b, t>>, tensor<?x4x8x?xf32, #cleave.dims<b, t>> -> tensor<?x4x?x?xf32, #cleave.dims<b, t, t>>
    %d = cleave.scale %s by 3.5e-1 : tensor<?x4x?x?xf32, #cleave.dims<b, t, t>>
    %p = cleave.softmax %d dim 3 : tensor<?x4x?x?xf32, #cleave.dims<b, t, t>>
    %a = cleave.matmul %p, %v2 : tensor<?x4x?x?xf32, #cleave.dims<b, t, t>>, tensor<?x4x?x8xf32, #cleave.dims<b, t>> -> tensor<?x4x?x8xf32, #cleave.dims<b, t>>
    %c = cleave.transpose %a [0, 2, 1, 3] : tensor<?x4x?x8xf32, #cleave.dims<b, t>> -> tensor<?x?x4x8xf32, #cleave.dims<b, t>>
    %r = cleave.reshape %c groups [1:1, 1:1, 2:1] : tensor<?x?x4x8xf32, #cleave.dims<b, t>> -> tensor<?x?x32xf32, #cleave.dims<b, t>>
    %y = cleave.linear %r, %wo : (tensor<?x?x32xf32, #cleave.dims<b, t>>, tensor<16x32xf32>) -> tensor<?x?x16xf32, #cleave.dims<b, t>>
    %z = cleave.add %y, %x : tensor<?x?x16xf32, #cleave.dims<b, t>>, tensor<?x?x16xf32, #cleave.dims<b, t>>
    return %z : tensor<?x?x16xf32, #cleave.dims<b, t>>
  }
}

// -----

// One op for it, grouped queries over three ranks: 6 query heads of 2 key heads. The second rank
// needs both key heads and begins inside a group.
// CHECK-LABEL: module @grouped_attention
// CHECK: module @rank0
// CHECK: cleave.scaled_dot_product_attention %{{.*}} {group = 3 : i64, scale = {{.*}}} : (tensor<2x2x5x8xf32>, tensor<2x1x5x8xf32>, tensor<2x1x5x8xf32>, tensor<5x5xf32>) -> tensor<2x2x5x8xf32>
// CHECK: cleave.all_reduce sum
// CHECK-NOT: cleave.all_
// CHECK: module @rank1
// CHECK: cleave.scaled_dot_product_attention %{{.*}} {first_head = 2 : i64, group = 3 : i64, scale = {{.*}}} : (tensor<2x2x5x8xf32>, tensor<2x2x5x8xf32>, tensor<2x2x5x8xf32>, tensor<5x5xf32>) -> tensor<2x2x5x8xf32>
// CHECK: cleave.all_reduce sum
// CHECK: module @rank2
// CHECK: cleave.scaled_dot_product_attention %{{.*}} {first_head = 1 : i64, group = 3 : i64, scale = {{.*}}} : (tensor<2x2x5x8xf32>, tensor<2x1x5x8xf32>
// CHECK: cleave.all_reduce sum
// CHECK-NOT: cleave.all_
module @grouped_attention {
  cleave.mesh @mesh <"tp" = 3>
  cleave.weight @q : tensor<48x16xf32> from none split [#cleave.split<column "tp">]
  cleave.weight @k : tensor<16x16xf32> from none
  cleave.weight @o : tensor<16x48xf32> from none
  func.func @f(%x: tensor<2x5x16xf32> {cleave.input = "x"}, %m: tensor<5x5xf32> {cleave.input = "m"})
      -> (tensor<2x5x16xf32> {cleave.output = "y"}) {
    %wq = cleave.use @q : tensor<48x16xf32>
    %wk = cleave.use @k : tensor<16x16xf32>
    %wo = cleave.use @o : tensor<16x48xf32>
    %q0 = cleave.linear %x, %wq : (tensor<2x5x16xf32>, tensor<48x16xf32>) -> tensor<2x5x48xf32>
    %k0 = cleave.linear %x, %wk : (tensor<2x5x16xf32>, tensor<16x16xf32>) -> tensor<2x5x16xf32>
    %q1 = cleave.reshape %q0 groups [1:1, 1:1, 1:2] : tensor<2x5x48xf32> -> tensor<2x5x6x8xf32>
    %k1 = cleave.reshape %k0 groups [1:1, 1:1, 1:2] : tensor<2x5x16xf32> -> tensor<2x5x2x8xf32>
    %q2 = cleave.transpose %q1 [0, 2, 1, 3] : tensor<2x5x6x8xf32> -> tensor<2x6x5x8xf32>
    %k2 = cleave.transpose %k1 [0, 2, 1, 3] : tensor<2x5x2x8xf32> -> tensor<2x2x5x8xf32>
    %a = cleave.scaled_dot_product_attention %q2, %k2, %k2 mask %m {group = 3 : i64, scale = 3.5e-1 : f32}
      : (tensor<2x6x5x8xf32>, tensor<2x2x5x8xf32>, tensor<2x2x5x8xf32>, tensor<5x5xf32>) -> tensor<2x6x5x8xf32>
    %c = cleave.transpose %a [0, 2, 1, 3] : tensor<2x6x5x8xf32> -> tensor<2x5x6x8xf32>
    %r = cleave.reshape %c groups [1:1, 1:1, 2:1] : tensor<2x5x6x8xf32> -> tensor<2x5x48xf32>
    %y = cleave.linear %r, %wo : (tensor<2x5x48xf32>, tensor<16x48xf32>) -> tensor<2x5x16xf32>
    return %y : tensor<2x5x16xf32>
  }
}

// -----

// A mean over split columns is a partial sum, each rank's divided by the number of all of them;
// a maximum needs the columns whole.
// CHECK-LABEL: module @reductions
// CHECK: module @rank0
// CHECK: %[[Y:.*]] = cleave.linear
// CHECK-DAG: %[[MEAN:.*]] = cleave.reduce mean %[[Y]] dims [1] {count = 10 : i64} : tensor<4x5xf32> -> tensor<4xf32>
// CHECK-DAG: cleave.all_reduce sum %[[MEAN]] group [0, 1]
// CHECK-DAG: %[[ALL:.*]] = cleave.all_gather %[[Y]] dim 1 ranges [0:5, 5:10] group [0, 1]
// CHECK-DAG: cleave.reduce max %[[ALL]] dims [1] : tensor<4x10xf32> -> tensor<4x1xf32>
module @reductions {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @w : tensor<10x8xf32> from none split [#cleave.split<column "tp">]
  func.func @f(%x: tensor<4x8xf32> {cleave.input = "x"})
      -> (tensor<4xf32> {cleave.output = "mean"}, tensor<4x1xf32> {cleave.output = "max"}) {
    %w = cleave.use @w : tensor<10x8xf32>
    %y = cleave.linear %x, %w : (tensor<4x8xf32>, tensor<10x8xf32>) -> tensor<4x10xf32>
    %m = cleave.reduce mean %y dims [1] : tensor<4x10xf32> -> tensor<4xf32>
    %n = cleave.reduce max %y dims [1] : tensor<4x10xf32> -> tensor<4x1xf32>
    return %m, %n : tensor<4xf32>, tensor<4x1xf32>
  }
}

// -----

// Channels go through pools and resizing; a transposed convolution sums over its inputs.
// CHECK-LABEL: module @images
// CHECK: module @rank1
// CHECK: cleave.conv %{{.*}} -> tensor<1x3x8x8xf32>
// CHECK: cleave.pool max %{{.*}} : tensor<1x3x8x8xf32> -> tensor<1x3x4x4xf32>
// CHECK: cleave.resize linear %{{.*}} dim 2 by 2.000000e+00 half_pixel : tensor<1x3x4x4xf32> -> tensor<1x3x8x4xf32>
// CHECK-NOT: cleave.all_
// CHECK: %[[Y:.*]] = cleave.conv_transpose %{{.*}} : (tensor<1x3x8x4xf32>, tensor<3x5x2x2xf32>) -> tensor<1x5x9x5xf32>
// CHECK: cleave.all_reduce sum %[[Y]] group [0, 1]
// CHECK-NOT: cleave.all_
module @images {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @a : tensor<6x3x1x1xf32> from none split [#cleave.split<column "tp">]
  cleave.weight @b : tensor<6x5x2x2xf32> from none
  func.func @f(%x: tensor<1x3x8x8xf32> {cleave.input = "x"}) -> (tensor<1x5x9x5xf32> {cleave.output = "y"}) {
    %a = cleave.use @a : tensor<6x3x1x1xf32>
    %b = cleave.use @b : tensor<6x5x2x2xf32>
    %c = cleave.conv %x, %a strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<1x3x8x8xf32>, tensor<6x3x1x1xf32>) -> tensor<1x6x8x8xf32>
    %p = cleave.pool max %c window [2, 2] strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] : tensor<1x6x8x8xf32> -> tensor<1x6x4x4xf32>
    %r = cleave.resize linear %p dim 2 by 2.0 half_pixel : tensor<1x6x4x4xf32> -> tensor<1x6x8x4xf32>
    %y = cleave.conv_transpose %r, %b strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<1x6x8x4xf32>, tensor<6x5x2x2xf32>) -> tensor<1x5x9x5xf32>
    return %y : tensor<1x5x9x5xf32>
  }
}
