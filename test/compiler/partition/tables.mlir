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
