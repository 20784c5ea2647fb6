// RUN: cleave-opt %s -split-input-file -cleave-propagate-shardings -cleave-insert-reshards \
// RUN:   -cleave-assign-stages -cleave-verify-sharded | FileCheck %s

// What comes out of a row split wants to be a share for the ops after it: the sum is
// scattered, and no value is a share and a summand over one axis at once.
// CHECK-LABEL: module @summand_wanted_as_share
// CHECK: %[[RAW:.*]] = cleave.linear {{.*}} {cleave.sharding = [#cleave.sharding<[{}, {}], partial = {"tp" : sum}>]
// CHECK: %[[SHARE:.*]] = cleave.reshard %[[RAW]] {cleave.sharding = [#cleave.sharding<[{}, {"tp"}]>]
// CHECK: cleave.rope %[[SHARE]],
module @summand_wanted_as_share {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @q : tensor<32x64xf32> from none split [#cleave.split<row "tp">]
  cleave.weight @o : tensor<64x32xf32> from none split [#cleave.split<row "tp">]
  func.func @f(%x: tensor<4x64xf32>, %p: tensor<4xi32>) -> tensor<4x64xf32> {
    %wq = cleave.use @q : tensor<32x64xf32>
    %q = cleave.linear %x, %wq : (tensor<4x64xf32>, tensor<32x64xf32>) -> tensor<4x32xf32>
    %r = cleave.rope %q, %p {head_dim = 8, rotary_dim = 8, base = 1.0e4 : f32}
      : tensor<4x32xf32>, tensor<4xi32>
    %wo = cleave.use @o : tensor<64x32xf32>
    %y = cleave.linear %r, %wo : (tensor<4x32xf32>, tensor<64x32xf32>) -> tensor<4x64xf32>
    return %y : tensor<4x64xf32>
  }
}

// -----

// A value that was resharded is cut at the same uneven places by those that read it.
// CHECK-LABEL: module @resharded_value_keeps_its_cuts
// CHECK: %[[SHARE:.*]] = cleave.reshard {{.*}} {cleave.sharding = [#cleave.sharding<[{}, {"tp" : [0:4, 4:7, 7:10]}]>]
// CHECK: %[[WHOLE:.*]] = cleave.reshard %[[SHARE]] {cleave.sharding = [#cleave.sharding<[{}, {}]>]
// CHECK: cleave.rms_norm %[[WHOLE]],
// CHECK: cleave.mul %{{.*}}, %[[SHARE]] {cleave.sharding = [#cleave.sharding<[{}, {"tp" : [0:4, 4:7, 7:10]}]>]
module @resharded_value_keeps_its_cuts {
  cleave.mesh @mesh <"tp" = 3>
  cleave.weight @down : tensor<10x64xf32> from none split [#cleave.split<row "tp">]
  cleave.weight @up : tensor<10x64xf32> from none split [#cleave.split<column "tp">]
  cleave.weight @norm : tensor<10xf32> from none split [#cleave.split<none>]
  func.func @f(%x: tensor<4x64xf32>) -> (tensor<4x10xf32>, tensor<4x10xf32>) {
    %wd = cleave.use @down : tensor<10x64xf32>
    %d = cleave.linear %x, %wd : (tensor<4x64xf32>, tensor<10x64xf32>) -> tensor<4x10xf32>
    %wn = cleave.use @norm : tensor<10xf32>
    %n = cleave.rms_norm %d, %wn {epsilon = 1.0e-5 : f32} : tensor<4x10xf32>, tensor<10xf32>
    %wu = cleave.use @up : tensor<10x64xf32>
    %u = cleave.linear %x, %wu : (tensor<4x64xf32>, tensor<10x64xf32>) -> tensor<4x10xf32>
    %m = cleave.mul %u, %d : tensor<4x10xf32>, tensor<4x10xf32>
    return %m, %n : tensor<4x10xf32>, tensor<4x10xf32>
  }
}
