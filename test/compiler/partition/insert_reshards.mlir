// RUN: cleave-opt %s -split-input-file -cleave-propagate-shardings -cleave-insert-reshards -cleave-verify-sharded | FileCheck %s

// One reshard for each partial sum, shared by all that read it; the result is whole.
// CHECK-LABEL: module @once
// CHECK: %[[P:.*]] = cleave.linear {{.*}} {cleave.name = "p", cleave.sharding = [#cleave.sharding<[{}, {}], partial = {"tp" : sum}>]}
// CHECK: %[[W:.*]] = cleave.reshard %[[P]] {cleave.name = "p", cleave.sharding = [#cleave.sharding<[{}, {}]>]}
// CHECK-NOT: cleave.reshard
// CHECK: %[[S:.*]] = cleave.silu %[[W]]
// CHECK: %[[R:.*]] = cleave.mul %[[S]], %[[W]]
// CHECK: return %[[R]]
module @once {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @up : tensor<16x8xf32> from none split [#cleave.split<column "tp">]
  cleave.weight @down : tensor<8x16xf32> from none split [#cleave.split<row "tp">]
  func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
    %up = cleave.use @up : tensor<16x8xf32>
    %down = cleave.use @down : tensor<8x16xf32>
    %u = cleave.linear %x, %up : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
    %p = cleave.linear %u, %down {cleave.name = "p"} : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
    %s = cleave.silu %p : tensor<4x8xf32>
    %r = cleave.mul %s, %p : tensor<4x8xf32>, tensor<4x8xf32>
    return %r : tensor<4x8xf32>
  }
}

// -----

// Two partial sums are added as they are, and their sum is reduced once.
// CHECK-LABEL: module @sum_of_two
// CHECK: %[[A:.*]] = cleave.linear {{.*}}partial = {"tp" : sum}
// CHECK: %[[B:.*]] = cleave.linear {{.*}}partial = {"tp" : sum}
// CHECK-NOT: cleave.reshard
// CHECK: %[[S:.*]] = cleave.add %[[A]], %[[B]] {cleave.sharding = [#cleave.sharding<[{}, {}], partial = {"tp" : sum}>]}
// CHECK: %[[R:.*]] = cleave.reshard %[[S]] {cleave.sharding = [#cleave.sharding<[{}, {}]>]}
// CHECK-NOT: cleave.reshard
// CHECK: return %[[R]]
module @sum_of_two {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @up : tensor<16x8xf32> from none split [#cleave.split<column "tp">]
  cleave.weight @down : tensor<8x16xf32> from none split [#cleave.split<row "tp">]
  cleave.weight @more : tensor<8x16xf32> from none split [#cleave.split<row "tp">]
  func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
    %up = cleave.use @up : tensor<16x8xf32>
    %down = cleave.use @down : tensor<8x16xf32>
    %more = cleave.use @more : tensor<8x16xf32>
    %u = cleave.linear %x, %up : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
    %a = cleave.linear %u, %down : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
    %b = cleave.linear %u, %more : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
    %s = cleave.add %a, %b : tensor<4x8xf32>, tensor<4x8xf32>
    return %s : tensor<4x8xf32>
  }
}

// -----

// A bias must not be added once a rank: the sum is reduced before it.
// CHECK-LABEL: module @bias
// CHECK: %[[P:.*]] = cleave.linear {{.*}}partial = {"tp" : sum}
// CHECK: %[[W:.*]] = cleave.reshard %[[P]] {{.*}}<[{}, {}]>
// CHECK: cleave.add %[[W]], %bias {{.*}}<[{}, {}]>
module @bias {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @down : tensor<8x16xf32> from none split [#cleave.split<row "tp">]
  cleave.weight @bias : tensor<8xf32> from none
  func.func @f(%x: tensor<4x16xf32>) -> tensor<4x8xf32> {
    %down = cleave.use @down : tensor<8x16xf32>
    %bias = cleave.use @bias : tensor<8xf32>
    %a = cleave.linear %x, %down : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
    %b = cleave.add %a, %bias : tensor<4x8xf32>, tensor<8xf32>
    return %b : tensor<4x8xf32>
  }
}

// -----

// A share is joined before a return and before an op that needs it whole.
// CHECK-LABEL: module @gather
// CHECK: %[[U:.*]] = cleave.linear {{.*}}cleave.sharding<[{}, {"tp"}]>
// CHECK: %[[G:.*]] = cleave.reshard %[[U]] {cleave.name = "share", cleave.sharding = [#cleave.sharding<[{}, {}]>]}
// CHECK: cleave.rms_norm %[[G]]
// CHECK: return %{{.*}}, %[[G]]
module @gather {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @up : tensor<16x8xf32> from none split [#cleave.split<column "tp">]
  cleave.weight @n : tensor<16xf32> from none
  func.func @f(%x: tensor<4x8xf32>) -> (tensor<4x16xf32>, tensor<4x16xf32>) {
    %up = cleave.use @up : tensor<16x8xf32>
    %n = cleave.use @n : tensor<16xf32>
    %u = cleave.linear %x, %up {cleave.name = "share"} : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
    %h = cleave.rms_norm %u, %n {epsilon = 1.0e-5 : f32} : tensor<4x16xf32>, tensor<16xf32>
    return %h, %u : tensor<4x16xf32>, tensor<4x16xf32>
  }
}

// -----

// From whole to a share, where a row split follows a weight that is not split.
// CHECK-LABEL: module @take_share
// CHECK: %[[U:.*]] = cleave.linear {{.*}} {cleave.sharding = [#cleave.sharding<[{}, {}]>]}
// CHECK: %[[T:.*]] = cleave.reshard %[[U]] {cleave.sharding = [#cleave.sharding<[{}, {"tp"}]>]}
// CHECK: cleave.linear %[[T]], {{.*}}partial = {"tp" : sum}
module @take_share {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @up : tensor<16x8xf32> from none split [#cleave.split<none>]
  cleave.weight @down : tensor<8x16xf32> from none split [#cleave.split<row "tp">]
  func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
    %up = cleave.use @up : tensor<16x8xf32>
    %down = cleave.use @down : tensor<8x16xf32>
    %u = cleave.linear %x, %up : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
    %p = cleave.linear %u, %down : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
    return %p : tensor<4x8xf32>
  }
}
