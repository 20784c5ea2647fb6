// Look-ups in tables that are cut along the dim that is chosen from: each rank in its share.
// RUN: cleave-opt %s -split-input-file -cleave-propagate-shardings -cleave-insert-reshards -cleave-merge-reductions -cleave-assign-stages -cleave-verify-sharded -cleave-split-ranks -cleave-verify-ranks | FileCheck %s

// Words and places are added before they are summed; the matrix of the logits is the table.
// CHECK-LABEL: module @one_sum
// CHECK: module @rank0
// CHECK: cleave.weight @words : tensor<4x8xf32> from none slice [0:4, 0:8]
// CHECK: %[[W:.*]] = cleave.take %words, %{{.*}} dim 0 masked from 0 of 7 : (tensor<4x8xf32>,
// CHECK: %[[P:.*]] = cleave.take %places, %{{.*}} dim 0 masked from 0 of 5 : (tensor<3x8xf32>,
// CHECK: %[[X:.*]] = cleave.add %[[W]], %[[P]] :
// CHECK: cleave.all_reduce sum %[[X]] group [0, 1] : tensor<?x?x8xf32,
// CHECK-NOT: cleave.all_reduce
// CHECK: cleave.linear {{.*}} -> tensor<?x?x4xf32,
// CHECK: cleave.all_gather %{{.*}} dim 2 ranges [0:4, 4:7]
// CHECK: module @rank1
// CHECK: cleave.weight @words : tensor<3x8xf32> from none slice [4:7, 0:8]
// CHECK: cleave.take %words, %{{.*}} dim 0 masked from 4 of 7 : (tensor<3x8xf32>,
// CHECK: cleave.take %places, %{{.*}} dim 0 masked from 3 of 5 : (tensor<2x8xf32>,
#ids = #cleave.dims<batch, seq>
module @one_sum {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @words : tensor<7x8xf32> from none split [#cleave.split<column "tp">]
  cleave.weight @places : tensor<5x8xf32> from none split [#cleave.split<column "tp">]
  func.func @f(%ids: tensor<?x?xi64, #ids> {cleave.input = "ids"}, %at: tensor<1x?xi64, #cleave.dims<seq>> {cleave.input = "at"})
      -> (tensor<?x?x7xf32, #ids> {cleave.output = "y"}) {
    %words = cleave.use @words : tensor<7x8xf32>
    %places = cleave.use @places : tensor<5x8xf32>
    %w = cleave.take %words, %ids dim 0 : (tensor<7x8xf32>, tensor<?x?xi64, #ids>) -> tensor<?x?x8xf32, #ids>
    %p = cleave.take %places, %at dim 0 : (tensor<5x8xf32>, tensor<1x?xi64, #cleave.dims<seq>>) -> tensor<1x?x8xf32, #cleave.dims<seq>>
    %x = cleave.add %w, %p : tensor<?x?x8xf32, #ids>, tensor<1x?x8xf32, #cleave.dims<seq>>
    %l = cleave.linear %x, %words : (tensor<?x?x8xf32, #ids>, tensor<7x8xf32>) -> tensor<?x?x7xf32, #ids>
    return %l : tensor<?x?x7xf32, #ids>
  }
}

// -----

// Three rows for four ranks: one has none, and looks up zeros.
// CHECK-LABEL: module @empty_share
// CHECK: module @rank3
// CHECK: cleave.weight @e : tensor<0x8xf32> from none slice [3:3, 0:8]
// CHECK: cleave.take %e, %{{.*}} dim 0 masked from 3 of 3 : (tensor<0x8xf32>,
// CHECK: cleave.all_reduce sum
module @empty_share {
  cleave.mesh @mesh <"tp" = 4>
  cleave.weight @e : tensor<3x8xf32> from none split [#cleave.split<column "tp">]
  func.func @f(%i: tensor<2xi32> {cleave.input = "i"}) -> (tensor<2x8xf32> {cleave.output = "y"}) {
    %e = cleave.use @e : tensor<3x8xf32>
    %y = cleave.take %e, %i dim 0 : (tensor<3x8xf32>, tensor<2xi32>) -> tensor<2x8xf32>
    return %y : tensor<2x8xf32>
  }
}

// -----

// Along another dim than the first, of integers; and features: these are joined, not summed.
// CHECK-LABEL: module @other_dims
// CHECK: module @rank1
// CHECK: %[[A:.*]] = cleave.take %e, %{{.*}} dim 1 masked from 5 of 9 : (tensor<6x4xi64>, tensor<2xi32>) -> tensor<6x2xi64>
// CHECK: cleave.all_reduce sum %[[A]] group [0, 1] : tensor<6x2xi64>
// CHECK: %[[B:.*]] = cleave.take %g, %{{.*}} dim 1 : (tensor<3x9xi64>, tensor<2xi32>) -> tensor<3x2xi64>
// CHECK: cleave.all_gather %[[B]] dim 0 ranges [0:3, 3:6] group [0, 1]
module @other_dims {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @e : tensor<6x9xi64> from none split [#cleave.split<row "tp">]
  cleave.weight @g : tensor<6x9xi64> from none split [#cleave.split<column "tp">]
  func.func @f(%i: tensor<2xi32> {cleave.input = "i"})
      -> (tensor<6x2xi64> {cleave.output = "y"}, tensor<6x2xi64> {cleave.output = "z"}) {
    %e = cleave.use @e : tensor<6x9xi64>
    %g = cleave.use @g : tensor<6x9xi64>
    %y = cleave.take %e, %i dim 1 : (tensor<6x9xi64>, tensor<2xi32>) -> tensor<6x2xi64>
    %z = cleave.take %g, %i dim 1 : (tensor<6x9xi64>, tensor<2xi32>) -> tensor<6x2xi64>
    return %y, %z : tensor<6x2xi64>, tensor<6x2xi64>
  }
}

// -----

// What a run makes is joined once, however many choose from it.
// CHECK-LABEL: module @values
// CHECK: module @rank0
// CHECK: %[[H:.*]] = cleave.linear
// CHECK: %[[X:.*]] = cleave.all_gather %[[H]] dim 1
// CHECK: cleave.take %[[X]], %{{.*}} dim 1 : (tensor<4x6xf32>,
// CHECK: cleave.take %[[X]], %{{.*}} dim 1 : (tensor<4x6xf32>,
// CHECK-NOT: cleave.all_
// CHECK: module @rank1
module @values {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @w : tensor<6x8xf32> from none split [#cleave.split<column "tp">]
  func.func @f(%x: tensor<4x8xf32> {cleave.input = "x"}, %i: tensor<1xi64> {cleave.input = "i"}, %j: tensor<1xi64> {cleave.input = "j"})
      -> (tensor<4x1xf32> {cleave.output = "y"}, tensor<4x1xf32> {cleave.output = "z"}) {
    %w = cleave.use @w : tensor<6x8xf32>
    %h = cleave.linear %x, %w : (tensor<4x8xf32>, tensor<6x8xf32>) -> tensor<4x6xf32>
    %y = cleave.take %h, %i dim 1 : (tensor<4x6xf32>, tensor<1xi64>) -> tensor<4x1xf32>
    %z = cleave.take %h, %j dim 1 : (tensor<4x6xf32>, tensor<1xi64>) -> tensor<4x1xf32>
    return %y, %z : tensor<4x1xf32>, tensor<4x1xf32>
  }
}

// -----

// A sum that is wanted in shares of tokens: still one, of both look-ups.
// CHECK-LABEL: module @sum_in_shares
// CHECK: module @rank0
// CHECK: %[[W:.*]] = cleave.take %words,
// CHECK: %[[P:.*]] = cleave.take %places,
// CHECK: %[[X:.*]] = cleave.add %[[W]], %[[P]] {cleave.name = "x"} : tensor<?x8xf32, #[[T:.*]]>, tensor<?x8xf32, #[[T]]>
// CHECK: cleave.reduce_scatter sum %[[X]] dim 0 group [0, 1] {cleave.name = "x"}
// CHECK-NOT: cleave.reduce_scatter
// CHECK: module @rank1
module @sum_in_shares {
  cleave.mesh @mesh <"tp" = 2> sequence "tp"
  cleave.weight @words : tensor<7x8xf32> from none split [#cleave.split<column "tp">]
  cleave.weight @places : tensor<5x8xf32> from none split [#cleave.split<column "tp">]
  func.func @f(%ids: tensor<?xi64, #cleave.dims<t>> {cleave.input = "ids"}, %at: tensor<?xi64, #cleave.dims<t>> {cleave.input = "at"})
      -> (tensor<?x8xf32, #cleave.dims<t>> {cleave.output = "y"}) {
    %words = cleave.use @words : tensor<7x8xf32>
    %places = cleave.use @places : tensor<5x8xf32>
    %w = cleave.take %words, %ids dim 0 : (tensor<7x8xf32>, tensor<?xi64, #cleave.dims<t>>) -> tensor<?x8xf32, #cleave.dims<t>>
    %p = cleave.take %places, %at dim 0 : (tensor<5x8xf32>, tensor<?xi64, #cleave.dims<t>>) -> tensor<?x8xf32, #cleave.dims<t>>
    %x = cleave.add %w, %p {cleave.name = "x"} : tensor<?x8xf32, #cleave.dims<t>>, tensor<?x8xf32, #cleave.dims<t>>
    %y = cleave.softmax %x dim 1 : tensor<?x8xf32, #cleave.dims<t>>
    return %y : tensor<?x8xf32, #cleave.dims<t>>
  }
}

// -----

// Halves are added when they are whole: each rank would round its summand.
// CHECK-LABEL: module @halves
// CHECK: module @rank0
// CHECK: %[[W:.*]] = cleave.take %words,
// CHECK: %[[X:.*]] = cleave.all_reduce sum %[[W]]
// CHECK: %[[P:.*]] = cleave.take %places,
// CHECK: %[[Y:.*]] = cleave.all_reduce sum %[[P]]
// CHECK: %[[Z:.*]] = cleave.add %[[X]], %{{.*}} : tensor<3x8xf16>
// CHECK: cleave.add %[[Z]], %[[Y]] : tensor<3x8xf16>
// CHECK: module @rank1
module @halves {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @words : tensor<7x8xf16> from none split [#cleave.split<column "tp">]
  cleave.weight @places : tensor<5x8xf16> from none split [#cleave.split<column "tp">]
  cleave.weight @segments : tensor<2x8xf16> from none
  func.func @f(%i: tensor<3xi64> {cleave.input = "i"}) -> (tensor<3x8xf16> {cleave.output = "y"}) {
    %words = cleave.use @words : tensor<7x8xf16>
    %places = cleave.use @places : tensor<5x8xf16>
    %segments = cleave.use @segments : tensor<2x8xf16>
    %w = cleave.take %words, %i dim 0 : (tensor<7x8xf16>, tensor<3xi64>) -> tensor<3x8xf16>
    %s = cleave.take %segments, %i dim 0 : (tensor<2x8xf16>, tensor<3xi64>) -> tensor<3x8xf16>
    %p = cleave.take %places, %i dim 0 : (tensor<5x8xf16>, tensor<3xi64>) -> tensor<3x8xf16>
    %x = cleave.add %w, %s : tensor<3x8xf16>, tensor<3x8xf16>
    %y = cleave.add %x, %p : tensor<3x8xf16>, tensor<3x8xf16>
    return %y : tensor<3x8xf16>
  }
}
