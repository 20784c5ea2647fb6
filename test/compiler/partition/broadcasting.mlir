// Ops that compute element by element over shares: what is repeated is whole on every rank, and
// what is linear passes partial sums.
// RUN: cleave-opt %s -split-input-file -cleave-propagate-shardings -cleave-insert-reshards -cleave-assign-stages -cleave-verify-sharded -cleave-split-ranks -cleave-verify-ranks | FileCheck %s

// Two heads on two ranks: a share has the size 1, as the bias that is repeated has.
// CHECK-LABEL: module @shares_of_one
// CHECK: module @rank0
// CHECK: %[[L:.*]] = cleave.reshape
// CHECK: cleave.add %[[L]], %{{.*}} {repeats = array<i64: 1, 1>} : tensor<4x1x3xf32>, tensor<4x1x1xf32>
// CHECK: module @rank1
// CHECK: cleave.add %{{.*}}, %{{.*}} {repeats = array<i64: 1, 1>} : tensor<4x1x3xf32>, tensor<4x1x1xf32>
module @shares_of_one {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @w : tensor<6x8xf32> from none split [#cleave.split<column "tp">]
  func.func @f(%x: tensor<4x8xf32> {cleave.input = "x"}, %b: tensor<4x1x1xf32> {cleave.input = "b"})
      -> (tensor<4x2x3xf32> {cleave.output = "y"}) {
    %w = cleave.use @w : tensor<6x8xf32>
    %l = cleave.linear %x, %w : (tensor<4x8xf32>, tensor<6x8xf32>) -> tensor<4x6xf32>
    %h = cleave.reshape %l groups [1:1, 1:2] : tensor<4x6xf32> -> tensor<4x2x3xf32>
    %y = cleave.add %h, %b : tensor<4x2x3xf32>, tensor<4x1x1xf32>
    return %y : tensor<4x2x3xf32>
  }
}

// -----

// Both operands have a share each: nothing is repeated.
// CHECK-LABEL: module @shares_of_both
// CHECK: cleave.mul %[[S:.*]], %[[S]] : tensor<4x1xf32>, tensor<4x1xf32>
// CHECK: cleave.all_reduce
module @shares_of_both {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @up : tensor<2x8xf32> from none split [#cleave.split<column "tp">]
  cleave.weight @down : tensor<8x2xf32> from none split [#cleave.split<row "tp">]
  func.func @f(%x: tensor<4x8xf32> {cleave.input = "x"}) -> (tensor<4x8xf32> {cleave.output = "y"}) {
    %up = cleave.use @up : tensor<2x8xf32>
    %down = cleave.use @down : tensor<8x2xf32>
    %u = cleave.linear %x, %up : (tensor<4x8xf32>, tensor<2x8xf32>) -> tensor<4x2xf32>
    %s = cleave.mul %u, %u : tensor<4x2xf32>, tensor<4x2xf32>
    %y = cleave.linear %s, %down : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
    return %y : tensor<4x8xf32>
  }
}

// -----

// The difference of two partial sums is one: it is reduced once, divided, and then added to.
// CHECK-LABEL: module @linear
// CHECK: module @rank0
// CHECK: %[[A:.*]] = cleave.linear
// CHECK: %[[B:.*]] = cleave.linear
// CHECK: %[[D:.*]] = cleave.sub %[[A]], %[[B]]
// CHECK: %[[N:.*]] = cleave.neg %[[D]]
// CHECK: %[[Q:.*]] = cleave.div %[[N]], %{{.*}}
// CHECK: %[[R:.*]] = cleave.all_reduce sum %[[Q]]
// CHECK: cleave.max %[[R]]
// CHECK-NOT: all_reduce
// CHECK: module @rank1
module @linear {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @a : tensor<4x8xf32> from none split [#cleave.split<row "tp">]
  cleave.weight @b : tensor<4x8xf32> from none split [#cleave.split<row "tp">]
  func.func @f(%x: tensor<3x8xf32> {cleave.input = "x"}, %s: tensor<1xf32> {cleave.input = "s"})
      -> (tensor<3x4xf32> {cleave.output = "y"}) {
    %a = cleave.use @a : tensor<4x8xf32>
    %b = cleave.use @b : tensor<4x8xf32>
    %p = cleave.linear %x, %a : (tensor<3x8xf32>, tensor<4x8xf32>) -> tensor<3x4xf32>
    %q = cleave.linear %x, %b : (tensor<3x8xf32>, tensor<4x8xf32>) -> tensor<3x4xf32>
    %d = cleave.sub %p, %q : tensor<3x4xf32>, tensor<3x4xf32>
    %n = cleave.neg %d : tensor<3x4xf32>
    %v = cleave.div %n, %s : tensor<3x4xf32>, tensor<1xf32>
    %y = cleave.max %v, %s : tensor<3x4xf32>, tensor<1xf32>
    return %y : tensor<3x4xf32>
  }
}

// -----

// What is divided by, and what is rounded to 16 bits, must be whole.
// CHECK-LABEL: module @not_linear
// CHECK: module @rank0
// CHECK: %[[A:.*]] = cleave.linear
// CHECK: %[[R:.*]] = cleave.all_reduce sum %[[A]]
// CHECK: cleave.div %{{.*}}, %[[R]]
// CHECK: cleave.cast %[[R]]
// CHECK: module @rank1
module @not_linear {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @a : tensor<4x8xf32> from none split [#cleave.split<row "tp">]
  func.func @f(%x: tensor<3x8xf32> {cleave.input = "x"}, %s: tensor<3x4xf32> {cleave.input = "s"})
      -> (tensor<3x4xf32> {cleave.output = "y"}, tensor<3x4xf16> {cleave.output = "z"}) {
    %a = cleave.use @a : tensor<4x8xf32>
    %p = cleave.linear %x, %a : (tensor<3x8xf32>, tensor<4x8xf32>) -> tensor<3x4xf32>
    %y = cleave.div %s, %p : tensor<3x4xf32>, tensor<3x4xf32>
    %z = cleave.cast %p : tensor<3x4xf32> -> tensor<3x4xf16>
    return %y, %z : tensor<3x4xf32>, tensor<3x4xf16>
  }
}
