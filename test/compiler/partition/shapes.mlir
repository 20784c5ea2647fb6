// Ops that move elements, cut along the dims that they leave alone.
// RUN: cleave-opt %s -split-input-file -cleave-propagate-shardings -cleave-insert-reshards -cleave-merge-reductions -cleave-assign-stages -cleave-verify-sharded -cleave-split-ranks -cleave-verify-ranks | FileCheck %s

// A run-time batch is cut at the input: all that follows is of shares of it.
// CHECK-LABEL: module @batches
// CHECK: module @rank1
// CHECK: %[[X:.*]] = cleave.share %{{.*}} dim 0 : tensor<?x?x8xf32, #{{.*}}> -> tensor<?x?x8xf32, #[[X1:.*]]>
// CHECK: %[[P:.*]] = cleave.share %{{.*}} dim 0 : tensor<?x?x8xf32, #batch_past>
// CHECK: cleave.concat %[[P]], %[[X]] dim 1 :
// CHECK: cleave.slice %{{.*}} dim 1 from "past+seq-1" step -2 :
// CHECK: cleave.gather_elements %{{.*}}, %{{.*}} dim 1 :
// CHECK: cleave.scatter_elements add %{{.*}} into %{{.*}} at %{{.*}} dim 2 :
// CHECK: cleave.take %{{.*}}, %{{.*}} dim 2 :
// CHECK-NOT: cleave.all_to_all
// CHECK: cleave.all_gather %{{.*}} dim 0 group [0, 1]
// CHECK-NOT: cleave.all_
module @batches {
  cleave.mesh @mesh <"data" = 2>
  func.func @f(%x: tensor<?x?x8xf32, #cleave.dims<batch, seq>> {cleave.input = "x", cleave.sharding = #cleave.sharding<[{"data"}, {}, {}]>},
               %past: tensor<?x?x8xf32, #cleave.dims<batch, past>> {cleave.input = "past"},
               %which: tensor<?x3x8xi32, #cleave.dims<batch>> {cleave.input = "which"},
               %columns: tensor<2x2xi32> {cleave.input = "columns"})
      -> (tensor<?x3x2x2xf32, #cleave.dims<batch>> {cleave.output = "y"}) {
    %all = cleave.concat %past, %x dim 1 : (tensor<?x?x8xf32, #cleave.dims<batch, past>>, tensor<?x?x8xf32, #cleave.dims<batch, seq>>) -> tensor<?x?x8xf32, #cleave.dims<batch, "past+seq">>
    %s = cleave.slice %all dim 1 from "past+seq-1" step -2 : tensor<?x?x8xf32, #cleave.dims<batch, "past+seq">> -> tensor<?x?x8xf32, #cleave.dims<batch, "(past+seq+1)//2">>
    %g = cleave.gather_elements %s, %which dim 1 : (tensor<?x?x8xf32, #cleave.dims<batch, "(past+seq+1)//2">>, tensor<?x3x8xi32, #cleave.dims<batch>>) -> tensor<?x3x8xf32, #cleave.dims<batch>>
    %e = cleave.scatter_elements add %g into %g at %which dim 2 : tensor<?x3x8xf32, #cleave.dims<batch>>, tensor<?x3x8xf32, #cleave.dims<batch>>, tensor<?x3x8xi32, #cleave.dims<batch>>
    %t = cleave.take %e, %columns dim 2 : (tensor<?x3x8xf32, #cleave.dims<batch>>, tensor<2x2xi32>) -> tensor<?x3x2x2xf32, #cleave.dims<batch>>
    return %t : tensor<?x3x2x2xf32, #cleave.dims<batch>>
  }
}

// -----

// Dims that are merged with run-time sizes are whole, and so is what a slice chooses from.
// CHECK-LABEL: module @wholes
// CHECK: module @rank0
// CHECK: cleave.linear %{{.*}} -> tensor<?x?x4xf32
// CHECK: cleave.all_gather %{{.*}} dim 2
// CHECK: cleave.reshape %{{.*}} groups [3:1] : tensor<?x?x8xf32, #{{.*}}> -> tensor<?xf32, #{{.*}}>
// CHECK: cleave.slice %{{.*}} dim 0 from 1
module @wholes {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @w : tensor<8x4xf32> from none split [#cleave.split<column "tp">]
  func.func @f(%x: tensor<?x?x4xf32, #cleave.dims<batch, seq>> {cleave.input = "x"})
      -> (tensor<?xf32, #cleave.dims<"8*batch*seq-1">> {cleave.output = "y"}) {
    %w = cleave.use @w : tensor<8x4xf32>
    %l = cleave.linear %x, %w : (tensor<?x?x4xf32, #cleave.dims<batch, seq>>, tensor<8x4xf32>) -> tensor<?x?x8xf32, #cleave.dims<batch, seq>>
    %r = cleave.reshape %l groups [3:1] : tensor<?x?x8xf32, #cleave.dims<batch, seq>> -> tensor<?xf32, #cleave.dims<"8*batch*seq">>
    %s = cleave.slice %r dim 0 from 1 : tensor<?xf32, #cleave.dims<"8*batch*seq">> -> tensor<?xf32, #cleave.dims<"8*batch*seq-1">>
    return %s : tensor<?xf32, #cleave.dims<"8*batch*seq-1">>
  }
}

// -----

// Sums pass through what only moves elements, and are reduced behind it.
// CHECK-LABEL: module @sums
// CHECK: module @rank0
// CHECK: cleave.linear
// CHECK-NEXT: cleave.slice %{{.*}} dim 0 from 0 step 2
// CHECK-NEXT: cleave.all_reduce sum
module @sums {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @w : tensor<8x4xf32> from none split [#cleave.split<row "tp">]
  func.func @f(%x: tensor<?x4xf32, #cleave.dims<n>> {cleave.input = "x"})
      -> (tensor<?x8xf32, #cleave.dims<"(n+1)//2">> {cleave.output = "y"}) {
    %w = cleave.use @w : tensor<8x4xf32>
    %l = cleave.linear %x, %w : (tensor<?x4xf32, #cleave.dims<n>>, tensor<8x4xf32>) -> tensor<?x8xf32, #cleave.dims<n>>
    %s = cleave.slice %l dim 0 from 0 step 2 : tensor<?x8xf32, #cleave.dims<n>> -> tensor<?x8xf32, #cleave.dims<"(n+1)//2">>
    return %s : tensor<?x8xf32, #cleave.dims<"(n+1)//2">>
  }
}
