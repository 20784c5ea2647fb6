// The best candidates of a split vocabulary: partial of kind `top` until an all_reduce takes
// the best of all ranks'.
// RUN: cleave-opt %s -split-input-file -cleave-propagate-shardings -cleave-insert-reshards -cleave-merge-reductions -cleave-assign-stages -cleave-verify-sharded | FileCheck %s --check-prefix=SHARDED
// RUN: cleave-opt %s -split-input-file -cleave-propagate-shardings -cleave-insert-reshards -cleave-merge-reductions -cleave-assign-stages -cleave-verify-sharded -cleave-split-ranks -cleave-verify-ranks | FileCheck %s

// Each rank chooses from its share; ids count from where that begins.
// SHARDED-LABEL: module @uneven_vocabulary
// SHARDED: %[[L:.*]] = cleave.linear {{.*}}{cleave.sharding = [#cleave.sharding<[{}, {"tp" : [0:4, 4:7, 7:10]}]>]
// SHARDED: %[[C:.*]] = cleave.top_k %[[L]] {{.*}}cleave.sharding = [#cleave.sharding<[{}, {}, {}], partial = {"tp" : top}>]
// SHARDED: %[[W:.*]] = cleave.reshard %[[C]] {{.*}}cleave.sharding = [#cleave.sharding<[{}, {}, {}]>]
// SHARDED: return %[[W]]
// CHECK-LABEL: module @uneven_vocabulary
// CHECK: module @rank0
// CHECK: %[[C:.*]] = cleave.top_k %{{.*}} {cleave.name = "best"} : tensor<?x4xf32, #[[ROWS:.*]]> -> tensor<?x4x2xf32, #[[ROWS]]>
// CHECK: %[[W:.*]] = cleave.all_reduce top %[[C]] group [0, 1, 2] {cleave.name = "best"} : tensor<?x4x2xf32, #[[ROWS]]>
// CHECK: return %[[W]]
// CHECK: module @rank1
// CHECK: cleave.top_k %{{.*}} {cleave.name = "best", offset = 4 : i64} : tensor<?x3xf32, #[[ROWS]]> -> tensor<?x4x2xf32, #[[ROWS]]>
// CHECK: module @rank2
// CHECK: cleave.top_k %{{.*}} {cleave.name = "best", offset = 7 : i64} : tensor<?x3xf32, #[[ROWS]]> -> tensor<?x4x2xf32, #[[ROWS]]>
#rows = #cleave.dims<rows>
module @uneven_vocabulary {
  cleave.mesh @mesh <"tp" = 3>
  cleave.weight @output : tensor<10x8xf32> from none split [#cleave.split<column "tp">]
  func.func @f(%x: tensor<?x8xf32, #rows> {cleave.input = "x"}) -> (tensor<?x4x2xf32, #rows> {cleave.output = "candidates"}) {
    %w = cleave.use @output : tensor<10x8xf32>
    %l = cleave.linear %x, %w : (tensor<?x8xf32, #rows>, tensor<10x8xf32>) -> tensor<?x10xf32, #rows>
    %c = cleave.top_k %l {cleave.name = "best"} : tensor<?x10xf32, #rows> -> tensor<?x4x2xf32, #rows>
    return %c : tensor<?x4x2xf32, #rows>
  }
}

// -----

// A vocabulary over two axes; whole rows that one of them cuts stay cut.
// CHECK-LABEL: module @two_axes
// CHECK: module @rank3
// CHECK: cleave.top_k %{{.*}} {offset = 6 : i64} : tensor<4x2xf32> -> tensor<4x3x2xf32>
// CHECK: cleave.all_reduce top %{{.*}} group [0, 1, 2, 3] : tensor<4x3x2xf32>
module @two_axes {
  cleave.mesh @mesh <"data" = 2, "tp" = 2>
  cleave.weight @output : tensor<8x8xf32> from none split [#cleave.split<column "data">, #cleave.split<column "tp">]
  func.func @f(%x: tensor<4x8xf32> {cleave.input = "x"}) -> (tensor<4x3x2xf32> {cleave.output = "candidates"}) {
    %w = cleave.use @output : tensor<8x8xf32>
    %l = cleave.linear %x, %w : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
    %c = cleave.top_k %l : tensor<4x8xf32> -> tensor<4x3x2xf32>
    return %c : tensor<4x3x2xf32>
  }
}

// -----

// Nothing is linear in candidates: each value is reduced by itself, before what reads it.
// SHARDED-LABEL: module @not_linear
// SHARDED: %[[C:.*]] = cleave.top_k {{.*}}partial = {"tp" : top}
// SHARDED: %[[CW:.*]] = cleave.reshard %[[C]]
// SHARDED: %[[D:.*]] = cleave.top_k {{.*}}partial = {"tp" : top}
// SHARDED: %[[DW:.*]] = cleave.reshard %[[D]]
// SHARDED: %[[E:.*]] = cleave.top_k {{.*}}partial = {"tp" : top}
// SHARDED: %[[EW:.*]] = cleave.reshard %[[E]]
// SHARDED: %[[X:.*]] = cleave.add %[[EW]], %[[EW]] {cleave.sharding = [#cleave.sharding<[{}, {}, {}]>]
// SHARDED: %[[S:.*]] = cleave.add %{{.*}}, %[[CW]]
// SHARDED: %[[T:.*]] = cleave.add %[[S]], %[[DW]]
// SHARDED: cleave.add %[[T]], %[[X]] {cleave.sharding = [#cleave.sharding<[{}, {}, {}]>]
// CHECK-LABEL: module @not_linear
// CHECK-COUNT-3: cleave.all_reduce top
// CHECK: module @rank1
module @not_linear {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @output : tensor<8x8xf32> from none split [#cleave.split<column "tp">]
  func.func @f(%x: tensor<4x8xf32> {cleave.input = "x"}, %y: tensor<4x3x2xf32> {cleave.input = "y"}) -> (tensor<4x3x2xf32> {cleave.output = "sum"}) {
    %w = cleave.use @output : tensor<8x8xf32>
    %l = cleave.linear %x, %w : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
    %c = cleave.top_k %l : tensor<4x8xf32> -> tensor<4x3x2xf32>
    %m = cleave.silu %l : tensor<4x8xf32>
    %d = cleave.top_k %m : tensor<4x8xf32> -> tensor<4x3x2xf32>
    %n = cleave.silu %m : tensor<4x8xf32>
    %e = cleave.top_k %n : tensor<4x8xf32> -> tensor<4x3x2xf32>
    %ee = cleave.add %e, %e : tensor<4x3x2xf32>, tensor<4x3x2xf32>
    %s = cleave.add %y, %c : tensor<4x3x2xf32>, tensor<4x3x2xf32>
    %t = cleave.add %s, %d : tensor<4x3x2xf32>, tensor<4x3x2xf32>
    %u = cleave.add %t, %ee : tensor<4x3x2xf32>, tensor<4x3x2xf32>
    return %u : tensor<4x3x2xf32>
  }
}
