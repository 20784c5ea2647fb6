// RUN: cleave-opt %s -split-input-file -cleave-verify-sharded -cleave-split-ranks -cleave-verify-ranks | FileCheck %s

// What each reshard becomes on rank 2 of a mesh of two axes, at a = 1 and b = 0.
// CHECK-LABEL: module @two_axes
// CHECK: module @rank2
module @two_axes {
  cleave.mesh @mesh <"a" = 2, "b" = 2>
  cleave.weight @w : tensor<8x8xf32> from none sharding #cleave.sharding<[{}, {"a", "b"}]>
  cleave.weight @large : tensor<64x64xf32> from none sharding #cleave.sharding<[{}, {"a", "b"}]>
  cleave.weight @v : tensor<8x8xf32> from none sharding #cleave.sharding<[{}, {"a"}]>

  // The minor axis of a dim is joined alone, and what is joined then are the members' ranges
  // of the share that they have together.
  // CHECK: func.func @join_minor
  // CHECK: %[[S:.*]] = cleave.slice %{{.*}} dim 1 from 4 : tensor<4x8xf32> -> tensor<4x2xf32>
  // CHECK-NEXT: %[[X:.*]] = cleave.silu %[[S]]
  // CHECK-NEXT: %[[G:.*]] = cleave.all_gather %[[X]] dim 1 ranges [0:2, 2:4] group [2, 3] : tensor<4x2xf32> -> tensor<4x4xf32>
  // CHECK-NEXT: %[[Y:.*]] = cleave.silu %[[G]]
  // CHECK-NEXT: cleave.all_gather %[[Y]] dim 1 ranges [0:4, 4:8] group [0, 2] : tensor<4x4xf32> -> tensor<4x8xf32>
  func.func @join_minor(%x: tensor<4x8xf32> {cleave.input = "x", cleave.sharding = #cleave.sharding<[{}, {"a", "b"}]>}) -> (tensor<4x8xf32> {cleave.output = "y"}) {
    %0 = cleave.silu %x {cleave.sharding = [#cleave.sharding<[{}, {"a", "b"}]>]} : tensor<4x8xf32>
    %1 = cleave.reshard %0 {cleave.sharding = [#cleave.sharding<[{}, {"a"}]>]} : tensor<4x8xf32>
    %2 = cleave.silu %1 {cleave.sharding = [#cleave.sharding<[{}, {"a"}]>]} : tensor<4x8xf32>
    %3 = cleave.reshard %2 {cleave.sharding = [#cleave.sharding<[{}, {}]>]} : tensor<4x8xf32>
    return %3 : tensor<4x8xf32>
  }

  // A share is cut further: nothing travels.
  // CHECK: func.func @cut_further
  // CHECK: %[[S:.*]] = cleave.slice %{{.*}} dim 1 from 4 : tensor<4x8xf32> -> tensor<4x4xf32>
  // CHECK-NEXT: %[[X:.*]] = cleave.silu %[[S]]
  // CHECK-NEXT: %[[C:.*]] = cleave.slice %[[X]] dim 1 from 0 : tensor<4x4xf32> -> tensor<4x2xf32>
  // CHECK-NEXT: %[[Y:.*]] = cleave.silu %[[C]]
  // CHECK-NEXT: cleave.all_gather %[[Y]] dim 1 ranges [0:2, 2:4, 4:6, 6:8] group [0, 1, 2, 3]
  func.func @cut_further(%x: tensor<4x8xf32> {cleave.input = "x", cleave.sharding = #cleave.sharding<[{}, {"a"}]>}) -> (tensor<4x8xf32> {cleave.output = "y"}) {
    %0 = cleave.silu %x {cleave.sharding = [#cleave.sharding<[{}, {"a"}]>]} : tensor<4x8xf32>
    %1 = cleave.reshard %0 {cleave.sharding = [#cleave.sharding<[{}, {"a", "b"}]>]} : tensor<4x8xf32>
    %2 = cleave.silu %1 {cleave.sharding = [#cleave.sharding<[{}, {"a", "b"}]>]} : tensor<4x8xf32>
    %3 = cleave.reshard %2 {cleave.sharding = [#cleave.sharding<[{}, {}]>]} : tensor<4x8xf32>
    return %3 : tensor<4x8xf32>
  }

  // Summands over two axes, of which one is wanted as a cut: the sum is scattered over that, and the
  // half that is left summed over the other.
  // CHECK: func.func @scatter_then_sum
  // CHECK: %[[P:.*]] = cleave.linear
  // CHECK-NEXT: %[[S:.*]] = cleave.reduce_scatter sum %[[P]] dim 0 ranges [0:256, 256:512] group [0, 2] : tensor<512x64xf32> -> tensor<256x64xf32>
  // CHECK-NEXT: %[[R:.*]] = cleave.all_reduce sum %[[S]] group [2, 3] : tensor<256x64xf32>
  // CHECK-NEXT: cleave.silu %[[R]]
  func.func @scatter_then_sum(%x: tensor<512x64xf32> {cleave.input = "x", cleave.sharding = #cleave.sharding<[{}, {"a", "b"}]>}) -> (tensor<512x64xf32> {cleave.output = "y"}) {
    %w = cleave.use @large {cleave.sharding = [#cleave.sharding<[{}, {"a", "b"}]>]} : tensor<64x64xf32>
    %0 = cleave.linear %x, %w {cleave.sharding = [#cleave.sharding<[{}, {}], partial = {"a" : sum, "b" : sum}>]} : (tensor<512x64xf32>, tensor<64x64xf32>) -> tensor<512x64xf32>
    %1 = cleave.reshard %0 {cleave.sharding = [#cleave.sharding<[{"a"}, {}]>]} : tensor<512x64xf32>
    %2 = cleave.silu %1 {cleave.sharding = [#cleave.sharding<[{"a"}, {}]>]} : tensor<512x64xf32>
    %3 = cleave.reshard %2 {cleave.sharding = [#cleave.sharding<[{}, {}]>]} : tensor<512x64xf32>
    return %3 : tensor<512x64xf32>
  }

  // One of the sums is made, the other stays.
  // CHECK: func.func @one_sum_stays
  // CHECK: %[[P:.*]] = cleave.linear
  // CHECK-NEXT: %[[S:.*]] = cleave.all_reduce sum %[[P]] group [0, 2]
  // CHECK-NEXT: cleave.all_reduce sum %[[S]] group [2, 3]
  func.func @one_sum_stays(%x: tensor<4x8xf32> {cleave.input = "x", cleave.sharding = #cleave.sharding<[{}, {"a", "b"}]>}) -> (tensor<4x8xf32> {cleave.output = "y"}) {
    %w = cleave.use @w {cleave.sharding = [#cleave.sharding<[{}, {"a", "b"}]>]} : tensor<8x8xf32>
    %0 = cleave.linear %x, %w {cleave.sharding = [#cleave.sharding<[{}, {}], partial = {"a" : sum, "b" : sum}>]} : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
    %1 = cleave.reshard %0 {cleave.sharding = [#cleave.sharding<[{}, {}], partial = {"b" : sum}>]} : tensor<4x8xf32>
    %2 = cleave.reshard %1 {cleave.sharding = [#cleave.sharding<[{}, {}]>]} : tensor<4x8xf32>
    return %2 : tensor<4x8xf32>
  }

  // What is wanted in shares of the other axis is cut before it is summed.
  // CHECK: func.func @cut_then_sum
  // CHECK: %[[P:.*]] = cleave.linear
  // CHECK-NEXT: %[[S:.*]] = cleave.slice %[[P]] dim 1 from 0 : tensor<4x8xf32> -> tensor<4x4xf32>
  // CHECK-NEXT: %[[R:.*]] = cleave.all_reduce sum %[[S]] group [0, 2] : tensor<4x4xf32>
  // CHECK-NEXT: cleave.silu %[[R]]
  func.func @cut_then_sum(%x: tensor<4x8xf32> {cleave.input = "x", cleave.sharding = #cleave.sharding<[{}, {"a"}]>}) -> (tensor<4x8xf32> {cleave.output = "y"}) {
    %v = cleave.use @v {cleave.sharding = [#cleave.sharding<[{}, {"a"}]>]} : tensor<8x8xf32>
    %0 = cleave.linear %x, %v {cleave.sharding = [#cleave.sharding<[{}, {}], partial = {"a" : sum}>]} : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
    %1 = cleave.reshard %0 {cleave.sharding = [#cleave.sharding<[{}, {"b"}]>]} : tensor<4x8xf32>
    %2 = cleave.silu %1 {cleave.sharding = [#cleave.sharding<[{}, {"b"}]>]} : tensor<4x8xf32>
    %3 = cleave.reshard %2 {cleave.sharding = [#cleave.sharding<[{}, {}]>]} : tensor<4x8xf32>
    return %3 : tensor<4x8xf32>
  }
}

// -----

// Shares that overlap: a range that each rank has already is cut out of what it has.
// CHECK-LABEL: module @overlaps
// CHECK: module @rank1
// CHECK: %[[S:.*]] = cleave.slice %{{.*}} dim 1 from 8 : tensor<4x32xf32> -> tensor<4x16xf32>
// CHECK-NEXT: %[[X:.*]] = cleave.silu %[[S]]
// CHECK-NEXT: %[[C:.*]] = cleave.slice %[[X]] dim 1 from 4 : tensor<4x16xf32> -> tensor<4x12xf32>
// CHECK-NEXT: %[[Y:.*]] = cleave.silu %[[C]]
// CHECK-NEXT: cleave.all_gather %[[Y]] dim 1 ranges [0:12, 12:24, 24:32] group [0, 1, 2]
module @overlaps {
  cleave.mesh @mesh <"tp" = 3>
  func.func @f(%x: tensor<4x32xf32> {cleave.input = "x", cleave.sharding = #cleave.sharding<[{}, {"tp" : [0:16, 8:24, 24:32]}]>}) -> (tensor<4x32xf32> {cleave.output = "y"}) {
    %0 = cleave.silu %x {cleave.sharding = [#cleave.sharding<[{}, {"tp" : [0:16, 8:24, 24:32]}]>]} : tensor<4x32xf32>
    %1 = cleave.reshard %0 {cleave.sharding = [#cleave.sharding<[{}, {"tp" : [0:12, 12:24, 24:32]}]>]} : tensor<4x32xf32>
    %2 = cleave.silu %1 {cleave.sharding = [#cleave.sharding<[{}, {"tp" : [0:12, 12:24, 24:32]}]>]} : tensor<4x32xf32>
    %3 = cleave.reshard %2 {cleave.sharding = [#cleave.sharding<[{}, {}]>]} : tensor<4x32xf32>
    return %3 : tensor<4x32xf32>
  }
}

// -----

// Shares of one dim become shares of another, and ranges of a dim other ranges of it.
// CHECK-LABEL: module @exchanges
// CHECK: module @rank1
// CHECK: func.func @dims
// CHECK: %[[X:.*]] = cleave.silu %{{.*}} : tensor<3x9xf32>
// CHECK-NEXT: %[[T:.*]] = cleave.all_to_all %[[X]] split dim 1 ranges [0:3, 3:6, 6:9] concat dim 0 ranges [0:2, 2:5, 5:6] group [0, 1, 2] : tensor<3x9xf32> -> tensor<6x3xf32>
// CHECK-NEXT: cleave.silu %[[T]]
// CHECK: func.func @ranges
// CHECK: %[[X:.*]] = cleave.silu %{{.*}} : tensor<3x9xf32>
// CHECK-NEXT: %[[T:.*]] = cleave.all_to_all %[[X]] split dim 0 ranges [0:2, 2:4, 4:6] concat dim 0 ranges [0:2, 2:5, 5:6] group [0, 1, 2] : tensor<3x9xf32> -> tensor<2x9xf32>
// CHECK-NEXT: cleave.silu %[[T]]
module @exchanges {
  cleave.mesh @mesh <"tp" = 3>
  func.func @dims(%x: tensor<6x9xf32> {cleave.input = "x", cleave.sharding = #cleave.sharding<[{"tp" : [0:2, 2:5, 5:6]}, {}]>}) -> (tensor<6x9xf32> {cleave.output = "y"}) {
    %0 = cleave.silu %x {cleave.sharding = [#cleave.sharding<[{"tp" : [0:2, 2:5, 5:6]}, {}]>]} : tensor<6x9xf32>
    %1 = cleave.reshard %0 {cleave.sharding = [#cleave.sharding<[{}, {"tp"}]>]} : tensor<6x9xf32>
    %2 = cleave.silu %1 {cleave.sharding = [#cleave.sharding<[{}, {"tp"}]>]} : tensor<6x9xf32>
    %3 = cleave.reshard %2 {cleave.sharding = [#cleave.sharding<[{}, {}]>]} : tensor<6x9xf32>
    return %3 : tensor<6x9xf32>
  }
  func.func @ranges(%x: tensor<6x9xf32> {cleave.input = "x", cleave.sharding = #cleave.sharding<[{"tp" : [0:2, 2:5, 5:6]}, {}]>}) -> (tensor<6x9xf32> {cleave.output = "y"}) {
    %0 = cleave.silu %x {cleave.sharding = [#cleave.sharding<[{"tp" : [0:2, 2:5, 5:6]}, {}]>]} : tensor<6x9xf32>
    %1 = cleave.reshard %0 {cleave.sharding = [#cleave.sharding<[{"tp"}, {}]>]} : tensor<6x9xf32>
    %2 = cleave.silu %1 {cleave.sharding = [#cleave.sharding<[{"tp"}, {}]>]} : tensor<6x9xf32>
    %3 = cleave.reshard %2 {cleave.sharding = [#cleave.sharding<[{}, {}]>]} : tensor<6x9xf32>
    return %3 : tensor<6x9xf32>
  }
}
