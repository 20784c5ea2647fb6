// A mixture of experts on ranks: experts whole, each expert split, and both. The choice of
// experts is the first rank's; the result is a partial sum, reduced once.
// RUN: cleave-opt %s -split-input-file -cleave-propagate-shardings -cleave-insert-reshards -cleave-assign-stages -cleave-verify-sharded -cleave-split-ranks -cleave-verify-ranks | FileCheck %s

// Experts go to ranks in order; a rank skips the choices that are not its own.
// CHECK-LABEL: module @experts
// CHECK: module @rank0
// CHECK: cleave.weight @router : tensor<5x32xf32> from random<0>{{$}}
// CHECK: cleave.weight @gate : tensor<2x64x32x!cleave.q8_0> from random<1> slice [0:2, 0:64, 0:32]
// CHECK: cleave.weight @down : tensor<2x32x64x!cleave.q8_0> from random<3> slice [0:2, 0:32, 0:64]
// CHECK: %[[L:.*]] = cleave.linear %[[X:.*]], %router
// CHECK-NEXT: %[[OWN:.*]] = cleave.route %[[L]] {cleave.name = "c"}
// CHECK-NEXT: %[[C:.*]] = cleave.broadcast %[[OWN]] group [0, 1, 2] {cleave.name = "c"} : tensor<?x2xi32, #tokens>
// CHECK-NEXT: %[[W:.*]] = cleave.route_weights normalized %[[L]], %[[C]]
// CHECK: %[[P:.*]] = cleave.moe %[[X]] to %[[C]], %[[W]] through %gate, %up, %down {cleave.name = "y"} :
// CHECK-NEXT: %[[Y:.*]] = cleave.all_reduce sum %[[P]] group [0, 1, 2]
// CHECK-NEXT: cleave.add %[[X]], %[[Y]]
// CHECK: module @rank1
// CHECK: cleave.weight @up : tensor<2x64x32x!cleave.q8_0> from random<2> slice [2:4, 0:64, 0:32]
// CHECK: cleave.moe {{.*}} {cleave.name = "y", first_expert = 2 : i64}
// CHECK: module @rank2
// CHECK: cleave.weight @down : tensor<1x32x64x!cleave.q8_0> from random<3> slice [4:5, 0:32, 0:64]
// CHECK: cleave.moe {{.*}} {cleave.name = "y", first_expert = 4 : i64}
#t = #cleave.dims<tokens>

module @experts {
  cleave.mesh @mesh <"expert" = 3>
  cleave.weight @router : tensor<5x32xf32> from random<0>
  cleave.weight @gate : tensor<5x64x32x!cleave.q8_0> from random<1> split [#cleave.split<expert "expert">]
  cleave.weight @up : tensor<5x64x32x!cleave.q8_0> from random<2>
  cleave.weight @down : tensor<5x32x64x!cleave.q8_0> from random<3>
  func.func @f(%x: tensor<?x32xf32, #t> {cleave.input = "x"}) -> (tensor<?x32xf32, #t> {cleave.output = "y"}) {
    %router = cleave.use @router : tensor<5x32xf32>
    %gate = cleave.use @gate : tensor<5x64x32x!cleave.q8_0>
    %up = cleave.use @up : tensor<5x64x32x!cleave.q8_0>
    %down = cleave.use @down : tensor<5x32x64x!cleave.q8_0>
    %l = cleave.linear %x, %router {cleave.name = "l"} : (tensor<?x32xf32, #t>, tensor<5x32xf32>) -> tensor<?x5xf32, #t>
    %c = cleave.route %l {cleave.name = "c"} : tensor<?x5xf32, #t> -> tensor<?x2xi32, #t>
    %w = cleave.route_weights normalized %l, %c {cleave.name = "w"} : tensor<?x5xf32, #t>, tensor<?x2xi32, #t> -> tensor<?x2xf32, #t>
    %y = cleave.moe %x to %c, %w through %gate, %up, %down {cleave.name = "y"} : (tensor<?x32xf32, #t>, tensor<?x2xi32, #t>, tensor<?x2xf32, #t>, tensor<5x64x32x!cleave.q8_0>, tensor<5x64x32x!cleave.q8_0>, tensor<5x32x64x!cleave.q8_0>) -> tensor<?x32xf32, #t>
    %s = cleave.add %x, %y {cleave.name = "s"} : tensor<?x32xf32, #t>, tensor<?x32xf32, #t>
    return %s : tensor<?x32xf32, #t>
  }
}

// -----

// More ranks than experts: one has none, and joins the sum with zeros.
// CHECK-LABEL: module @more_ranks
// CHECK: module @rank2
// CHECK: cleave.weight @gate : tensor<0x64x32x!cleave.q8_0> from random<1> slice [2:2, 0:64, 0:32]
// CHECK: cleave.moe {{.*}} first_expert = 2
// CHECK: cleave.all_reduce
#t = #cleave.dims<tokens>

module @more_ranks {
  cleave.mesh @mesh <"expert" = 3>
  cleave.weight @router : tensor<2x32xf32> from random<0>
  cleave.weight @gate : tensor<2x64x32x!cleave.q8_0> from random<1> split [#cleave.split<expert "expert">]
  cleave.weight @up : tensor<2x64x32x!cleave.q8_0> from random<2>
  cleave.weight @down : tensor<2x32x64x!cleave.q8_0> from random<3>
  func.func @f(%x: tensor<?x32xf32, #t> {cleave.input = "x"}) -> (tensor<?x32xf32, #t> {cleave.output = "y"}) {
    %router = cleave.use @router : tensor<2x32xf32>
    %gate = cleave.use @gate : tensor<2x64x32x!cleave.q8_0>
    %up = cleave.use @up : tensor<2x64x32x!cleave.q8_0>
    %down = cleave.use @down : tensor<2x32x64x!cleave.q8_0>
    %l = cleave.linear %x, %router {cleave.name = "l"} : (tensor<?x32xf32, #t>, tensor<2x32xf32>) -> tensor<?x2xf32, #t>
    %c = cleave.route %l {cleave.name = "c"} : tensor<?x2xf32, #t> -> tensor<?x2xi32, #t>
    %w = cleave.route_weights normalized %l, %c {cleave.name = "w"} : tensor<?x2xf32, #t>, tensor<?x2xi32, #t> -> tensor<?x2xf32, #t>
    %y = cleave.moe %x to %c, %w through %gate, %up, %down {cleave.name = "y"} : (tensor<?x32xf32, #t>, tensor<?x2xi32, #t>, tensor<?x2xf32, #t>, tensor<2x64x32x!cleave.q8_0>, tensor<2x64x32x!cleave.q8_0>, tensor<2x32x64x!cleave.q8_0>) -> tensor<?x32xf32, #t>
    %s = cleave.add %x, %y {cleave.name = "s"} : tensor<?x32xf32, #t>, tensor<?x32xf32, #t>
    return %s : tensor<?x32xf32, #t>
  }
}

// -----

// Each expert by its inner features, as an ordinary feed-forward block is; what gate's
// `column` says, up and down follow.
// CHECK-LABEL: module @columns
// CHECK: module @rank1
// CHECK: cleave.weight @gate : tensor<4x32x32x!cleave.q8_0> from random<1> slice [0:4, 64:96, 0:32]
// CHECK: cleave.weight @up : tensor<4x32x32x!cleave.q8_0> from random<2> slice [0:4, 64:96, 0:32]
// CHECK: cleave.weight @down : tensor<4x32x32x!cleave.q8_0> from random<3> slice [0:4, 0:32, 64:96]
// CHECK: cleave.broadcast
// CHECK: cleave.moe {{.*}} {cleave.name = "y"}
// CHECK: cleave.all_reduce sum %{{.*}} group [0, 1]
#t = #cleave.dims<tokens>

module @columns {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @router : tensor<4x32xf32> from random<0>
  cleave.weight @gate : tensor<4x96x32x!cleave.q8_0> from random<1> split [#cleave.split<column "tp">]
  cleave.weight @up : tensor<4x96x32x!cleave.q8_0> from random<2>
  cleave.weight @down : tensor<4x32x96x!cleave.q8_0> from random<3>
  func.func @f(%x: tensor<?x32xf32, #t> {cleave.input = "x"}) -> (tensor<?x32xf32, #t> {cleave.output = "y"}) {
    %router = cleave.use @router : tensor<4x32xf32>
    %gate = cleave.use @gate : tensor<4x96x32x!cleave.q8_0>
    %up = cleave.use @up : tensor<4x96x32x!cleave.q8_0>
    %down = cleave.use @down : tensor<4x32x96x!cleave.q8_0>
    %l = cleave.linear %x, %router {cleave.name = "l"} : (tensor<?x32xf32, #t>, tensor<4x32xf32>) -> tensor<?x4xf32, #t>
    %c = cleave.route %l {cleave.name = "c"} : tensor<?x4xf32, #t> -> tensor<?x2xi32, #t>
    %w = cleave.route_weights normalized %l, %c {cleave.name = "w"} : tensor<?x4xf32, #t>, tensor<?x2xi32, #t> -> tensor<?x2xf32, #t>
    %y = cleave.moe %x to %c, %w through %gate, %up, %down {cleave.name = "y"} : (tensor<?x32xf32, #t>, tensor<?x2xi32, #t>, tensor<?x2xf32, #t>, tensor<4x96x32x!cleave.q8_0>, tensor<4x96x32x!cleave.q8_0>, tensor<4x32x96x!cleave.q8_0>) -> tensor<?x32xf32, #t>
    %s = cleave.add %x, %y {cleave.name = "s"} : tensor<?x32xf32, #t>, tensor<?x32xf32, #t>
    return %s : tensor<?x32xf32, #t>
  }
}

// -----

// Inside a quantization block of the down matrix: the block is held whole.
// CHECK-LABEL: module @inside_blocks
// CHECK: module @rank1
// CHECK: cleave.weight @gate : tensor<4x16x32x!cleave.q8_0> from random<1> slice [0:4, 16:32, 0:32]
// CHECK: cleave.weight @down : tensor<4x32x32x!cleave.q8_0> from random<3> slice [0:4, 0:32, 0:32]
// CHECK: cleave.moe {{.*}} {cleave.name = "y", pad_before = 16 : i64}
#t = #cleave.dims<tokens>

module @inside_blocks {
  cleave.mesh @mesh <"tp" = 4>
  cleave.weight @router : tensor<4x32xf32> from random<0>
  cleave.weight @gate : tensor<4x64x32x!cleave.q8_0> from random<1>
  cleave.weight @up : tensor<4x64x32x!cleave.q8_0> from random<2>
  cleave.weight @down : tensor<4x32x64x!cleave.q8_0> from random<3> split [#cleave.split<row "tp">]
  func.func @f(%x: tensor<?x32xf32, #t> {cleave.input = "x"}) -> (tensor<?x32xf32, #t> {cleave.output = "y"}) {
    %router = cleave.use @router : tensor<4x32xf32>
    %gate = cleave.use @gate : tensor<4x64x32x!cleave.q8_0>
    %up = cleave.use @up : tensor<4x64x32x!cleave.q8_0>
    %down = cleave.use @down : tensor<4x32x64x!cleave.q8_0>
    %l = cleave.linear %x, %router {cleave.name = "l"} : (tensor<?x32xf32, #t>, tensor<4x32xf32>) -> tensor<?x4xf32, #t>
    %c = cleave.route %l {cleave.name = "c"} : tensor<?x4xf32, #t> -> tensor<?x2xi32, #t>
    %w = cleave.route_weights normalized %l, %c {cleave.name = "w"} : tensor<?x4xf32, #t>, tensor<?x2xi32, #t> -> tensor<?x2xf32, #t>
    %y = cleave.moe %x to %c, %w through %gate, %up, %down {cleave.name = "y"} : (tensor<?x32xf32, #t>, tensor<?x2xi32, #t>, tensor<?x2xf32, #t>, tensor<4x64x32x!cleave.q8_0>, tensor<4x64x32x!cleave.q8_0>, tensor<4x32x64x!cleave.q8_0>) -> tensor<?x32xf32, #t>
    %s = cleave.add %x, %y {cleave.name = "s"} : tensor<?x32xf32, #t>, tensor<?x32xf32, #t>
    return %s : tensor<?x32xf32, #t>
  }
}

// -----

// Both at once: one sum over all four, one decision for all four.
// CHECK-LABEL: module @both
// CHECK: module @rank3 attributes {cleave.coordinate = {expert = 1 : i64, tp = 1 : i64}
// CHECK: cleave.weight @gate : tensor<2x32x32x!cleave.q8_0> from random<1> slice [2:4, 32:64, 0:32]
// CHECK: cleave.weight @down : tensor<2x32x32x!cleave.q8_0> from random<3> slice [2:4, 0:32, 32:64]
// CHECK: cleave.broadcast %{{.*}} group [0, 1, 2, 3]
// CHECK: cleave.moe {{.*}} {cleave.name = "y", first_expert = 2 : i64}
// CHECK: cleave.all_reduce sum %{{.*}} group [0, 1, 2, 3]
#t = #cleave.dims<tokens>

module @both {
  cleave.mesh @mesh <"expert" = 2, "tp" = 2>
  cleave.weight @router : tensor<4x32xf32> from random<0>
  cleave.weight @gate : tensor<4x64x32x!cleave.q8_0> from random<1> split [#cleave.split<expert "expert">, #cleave.split<column "tp">]
  cleave.weight @up : tensor<4x64x32x!cleave.q8_0> from random<2>
  cleave.weight @down : tensor<4x32x64x!cleave.q8_0> from random<3>
  func.func @f(%x: tensor<?x32xf32, #t> {cleave.input = "x"}) -> (tensor<?x32xf32, #t> {cleave.output = "y"}) {
    %router = cleave.use @router : tensor<4x32xf32>
    %gate = cleave.use @gate : tensor<4x64x32x!cleave.q8_0>
    %up = cleave.use @up : tensor<4x64x32x!cleave.q8_0>
    %down = cleave.use @down : tensor<4x32x64x!cleave.q8_0>
    %l = cleave.linear %x, %router {cleave.name = "l"} : (tensor<?x32xf32, #t>, tensor<4x32xf32>) -> tensor<?x4xf32, #t>
    %c = cleave.route %l {cleave.name = "c"} : tensor<?x4xf32, #t> -> tensor<?x2xi32, #t>
    %w = cleave.route_weights normalized %l, %c {cleave.name = "w"} : tensor<?x4xf32, #t>, tensor<?x2xi32, #t> -> tensor<?x2xf32, #t>
    %y = cleave.moe %x to %c, %w through %gate, %up, %down {cleave.name = "y"} : (tensor<?x32xf32, #t>, tensor<?x2xi32, #t>, tensor<?x2xf32, #t>, tensor<4x64x32x!cleave.q8_0>, tensor<4x64x32x!cleave.q8_0>, tensor<4x32x64x!cleave.q8_0>) -> tensor<?x32xf32, #t>
    %s = cleave.add %x, %y {cleave.name = "s"} : tensor<?x32xf32, #t>, tensor<?x32xf32, #t>
    return %s : tensor<?x32xf32, #t>
  }
}

// -----

// The output features of down: a share of the result, no sum.
// CHECK-LABEL: module @outputs
// CHECK: module @rank1
// CHECK: cleave.weight @gate : tensor<4x64x32x!cleave.q8_0> from random<1>{{$}}
// CHECK: cleave.weight @down : tensor<4x16x64x!cleave.q8_0> from random<3> slice [0:4, 16:32, 0:64]
// CHECK: cleave.moe {{.*}} -> tensor<?x16xf32
// CHECK-NOT: all_reduce
// CHECK: return
#t = #cleave.dims<tokens>

module @outputs {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @router : tensor<4x32xf32> from random<0>
  cleave.weight @gate : tensor<4x64x32x!cleave.q8_0> from random<1>
  cleave.weight @up : tensor<4x64x32x!cleave.q8_0> from random<2>
  cleave.weight @down : tensor<4x32x64x!cleave.q8_0> from random<3> split [#cleave.split<column "tp">]
  func.func @f(%x: tensor<?x32xf32, #t> {cleave.input = "x"}) -> (tensor<?x32xf32, #t> {cleave.output = "y"}) {
    %router = cleave.use @router : tensor<4x32xf32>
    %gate = cleave.use @gate : tensor<4x64x32x!cleave.q8_0>
    %up = cleave.use @up : tensor<4x64x32x!cleave.q8_0>
    %down = cleave.use @down : tensor<4x32x64x!cleave.q8_0>
    %l = cleave.linear %x, %router {cleave.name = "l"} : (tensor<?x32xf32, #t>, tensor<4x32xf32>) -> tensor<?x4xf32, #t>
    %c = cleave.route %l {cleave.name = "c"} : tensor<?x4xf32, #t> -> tensor<?x2xi32, #t>
    %w = cleave.route_weights normalized %l, %c {cleave.name = "w"} : tensor<?x4xf32, #t>, tensor<?x2xi32, #t> -> tensor<?x2xf32, #t>
    %y = cleave.moe %x to %c, %w through %gate, %up, %down {cleave.name = "y"} : (tensor<?x32xf32, #t>, tensor<?x2xi32, #t>, tensor<?x2xf32, #t>, tensor<4x64x32x!cleave.q8_0>, tensor<4x64x32x!cleave.q8_0>, tensor<4x32x64x!cleave.q8_0>) -> tensor<?x32xf32, #t>
    %s = cleave.add %x, %y {cleave.name = "s"} : tensor<?x32xf32, #t>, tensor<?x32xf32, #t>
    return %s : tensor<?x32xf32, #t>
  }
}

// -----

// One rank decides for itself.
// CHECK-LABEL: module @alone
// CHECK: cleave.route
// CHECK-NOT: broadcast
// CHECK: return
#t = #cleave.dims<tokens>

module @alone {
  cleave.mesh @mesh <"tp" = 1>
  cleave.weight @router : tensor<4x32xf32> from random<0>
  cleave.weight @gate : tensor<4x64x32x!cleave.q8_0> from random<1>
  cleave.weight @up : tensor<4x64x32x!cleave.q8_0> from random<2>
  cleave.weight @down : tensor<4x32x64x!cleave.q8_0> from random<3>
  func.func @f(%x: tensor<?x32xf32, #t> {cleave.input = "x"}) -> (tensor<?x32xf32, #t> {cleave.output = "y"}) {
    %router = cleave.use @router : tensor<4x32xf32>
    %gate = cleave.use @gate : tensor<4x64x32x!cleave.q8_0>
    %up = cleave.use @up : tensor<4x64x32x!cleave.q8_0>
    %down = cleave.use @down : tensor<4x32x64x!cleave.q8_0>
    %l = cleave.linear %x, %router {cleave.name = "l"} : (tensor<?x32xf32, #t>, tensor<4x32xf32>) -> tensor<?x4xf32, #t>
    %c = cleave.route %l {cleave.name = "c"} : tensor<?x4xf32, #t> -> tensor<?x2xi32, #t>
    %w = cleave.route_weights normalized %l, %c {cleave.name = "w"} : tensor<?x4xf32, #t>, tensor<?x2xi32, #t> -> tensor<?x2xf32, #t>
    %y = cleave.moe %x to %c, %w through %gate, %up, %down {cleave.name = "y"} : (tensor<?x32xf32, #t>, tensor<?x2xi32, #t>, tensor<?x2xf32, #t>, tensor<4x64x32x!cleave.q8_0>, tensor<4x64x32x!cleave.q8_0>, tensor<4x32x64x!cleave.q8_0>) -> tensor<?x32xf32, #t>
    %s = cleave.add %x, %y {cleave.name = "s"} : tensor<?x32xf32, #t>, tensor<?x32xf32, #t>
    return %s : tensor<?x32xf32, #t>
  }
}
