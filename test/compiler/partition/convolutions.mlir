// Convolutions split by output channels, by input channels, and between groups.
// RUN: cleave-opt %s -split-input-file -cleave-propagate-shardings -cleave-insert-reshards -cleave-assign-stages -cleave-verify-sharded -cleave-split-ranks -cleave-verify-ranks | FileCheck %s

// By output channels: nothing is communicated until the result is wanted whole.
// CHECK-LABEL: module @outputs
// CHECK: module @rank1
// CHECK: cleave.weight @w : tensor<2x3x3x3xf32> from none slice [3:5, 0:3, 0:3, 0:3]
// CHECK: cleave.weight @b : tensor<2xf32> from none slice [3:5]
// CHECK-NOT: cleave.all_
// CHECK: %[[Y:.*]] = cleave.conv %{{.*}}, %w bias %b strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] : (tensor<?x3x8x8xf32, {{.*}}>, tensor<2x3x3x3xf32>, tensor<2xf32>) -> tensor<?x2x8x8xf32, {{.*}}>
// CHECK-NEXT: %[[S:.*]] = cleave.silu %[[Y]]
// CHECK-NEXT: %[[ALL:.*]] = cleave.all_gather %[[S]] dim 1 ranges [0:3, 3:5] group [0, 1]
// CHECK-NEXT: return %[[ALL]]
module @outputs {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @w : tensor<5x3x3x3xf32> from none split [#cleave.split<column "tp">]
  cleave.weight @b : tensor<5xf32> from none
  func.func @f(%x: tensor<?x3x8x8xf32, #cleave.dims<n>> {cleave.input = "x"}) -> (tensor<?x5x8x8xf32, #cleave.dims<n>> {cleave.output = "y"}) {
    %w = cleave.use @w : tensor<5x3x3x3xf32>
    %b = cleave.use @b : tensor<5xf32>
    %y = cleave.conv %x, %w bias %b strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1]
      : (tensor<?x3x8x8xf32, #cleave.dims<n>>, tensor<5x3x3x3xf32>, tensor<5xf32>) -> tensor<?x5x8x8xf32, #cleave.dims<n>>
    %s = cleave.silu %y : tensor<?x5x8x8xf32, #cleave.dims<n>>
    return %s : tensor<?x5x8x8xf32, #cleave.dims<n>>
  }
}

// -----

// By input channels: a summand each, to which the first rank alone adds the bias.
// CHECK-LABEL: module @inputs
// CHECK: module @rank0
// CHECK: cleave.weight @w : tensor<4x2x3xf32> from none slice [0:4, 0:2, 0:3]
// CHECK: %[[SHARE:.*]] = cleave.slice %{{.*}} dim 1 from 0
// CHECK: %[[Y:.*]] = cleave.conv %[[SHARE]], %w bias %b strides [1] pads [0, 0] dilations [1] : (tensor<1x2x9xf32>, tensor<4x2x3xf32>, tensor<4xf32>) -> tensor<1x4x7xf32>
// CHECK-NEXT: cleave.all_reduce sum %[[Y]] group [0, 1]
// CHECK-NOT: cleave.all_
// CHECK: module @rank1
// CHECK: cleave.weight @w : tensor<4x1x3xf32> from none slice [0:4, 2:3, 0:3]
// CHECK: %[[SHARE:.*]] = cleave.slice %{{.*}} dim 1 from 2
// CHECK: cleave.conv %[[SHARE]], %w bias %b strides [1] pads [0, 0] dilations [1] {omits_bias} : (tensor<1x1x9xf32>, tensor<4x1x3xf32>, tensor<4xf32>) -> tensor<1x4x7xf32>
module @inputs {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @w : tensor<4x3x3xf32> from none split [#cleave.split<row "tp">]
  cleave.weight @b : tensor<4xf32> from none
  func.func @f(%x: tensor<1x3x9xf32> {cleave.input = "x"}) -> (tensor<1x4x7xf32> {cleave.output = "y"}) {
    %w = cleave.use @w : tensor<4x3x3xf32>
    %b = cleave.use @b : tensor<4xf32>
    %y = cleave.conv %x, %w bias %b strides [1] pads [0, 0] dilations [1] : (tensor<1x3x9xf32>, tensor<4x3x3xf32>, tensor<4xf32>) -> tensor<1x4x7xf32>
    return %y : tensor<1x4x7xf32>
  }
}

// -----

// The one and then the other: one sum ends the pair.
// CHECK-LABEL: module @pair
// CHECK: module @rank2
// CHECK: cleave.weight @a : tensor<2x3x3x3xf32> from none slice [6:8, 0:3, 0:3, 0:3]
// CHECK: cleave.weight @b : tensor<4x2x1x1xf32> from none slice [0:4, 6:8, 0:1, 0:1]
// CHECK-NOT: cleave.slice
// CHECK: %[[H:.*]] = cleave.conv %{{.*}}, %a
// CHECK-NEXT: %[[S:.*]] = cleave.silu %[[H]]
// CHECK: %[[Y:.*]] = cleave.conv %[[S]], %b
// CHECK-NEXT: %[[ALL:.*]] = cleave.all_reduce sum %[[Y]] group [0, 1, 2]
// CHECK-NEXT: return %[[ALL]]
module @pair {
  cleave.mesh @mesh <"tp" = 3>
  cleave.weight @a : tensor<8x3x3x3xf32> from none split [#cleave.split<column "tp">]
  cleave.weight @b : tensor<4x8x1x1xf32> from none
  func.func @f(%x: tensor<2x3x8x8xf32> {cleave.input = "x"}) -> (tensor<2x4x6x6xf32> {cleave.output = "y"}) {
    %a = cleave.use @a : tensor<8x3x3x3xf32>
    %h = cleave.conv %x, %a strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<2x3x8x8xf32>, tensor<8x3x3x3xf32>) -> tensor<2x8x6x6xf32>
    %s = cleave.silu %h : tensor<2x8x6x6xf32>
    %b = cleave.use @b : tensor<4x8x1x1xf32>
    %y = cleave.conv %s, %b strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<2x8x6x6xf32>, tensor<4x8x1x1xf32>) -> tensor<2x4x6x6xf32>
    return %y : tensor<2x4x6x6xf32>
  }
}

// -----

// Groups stay together: 3 of 4 channels over 2 ranks are 2 and 1. Input and output are
// cut between the same, and a convolution of one channel a group follows.
// CHECK-LABEL: module @groups
// CHECK: module @rank1
// CHECK: cleave.weight @w : tensor<2x4x3xf32> from none slice [4:6, 0:4, 0:3]
// CHECK: cleave.weight @each : tensor<2x1x3xf32> from none slice [4:6, 0:1, 0:3]
// CHECK: %[[SHARE:.*]] = cleave.slice %{{.*}} dim 1 from 8 : {{.*}} -> tensor<1x4x9xf32>
// CHECK: %[[Y:.*]] = cleave.conv grouped %[[SHARE]], %w {{.*}} -> tensor<1x2x7xf32>
// CHECK: %[[Z:.*]] = cleave.conv grouped %[[Y]], %each {{.*}} -> tensor<1x2x5xf32>
// CHECK-NEXT: cleave.all_gather %[[Z]] dim 1 ranges [0:4, 4:6]
module @groups {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @w : tensor<6x4x3xf32> from none split [#cleave.split<column "tp">]
  cleave.weight @each : tensor<6x1x3xf32> from none
  func.func @f(%x: tensor<1x12x9xf32> {cleave.input = "x"}) -> (tensor<1x6x5xf32> {cleave.output = "y"}) {
    %w = cleave.use @w : tensor<6x4x3xf32>
    %y = cleave.conv grouped %x, %w strides [1] pads [0, 0] dilations [1] : (tensor<1x12x9xf32>, tensor<6x4x3xf32>) -> tensor<1x6x7xf32>
    %each = cleave.use @each : tensor<6x1x3xf32>
    %z = cleave.conv grouped %y, %each strides [1] pads [0, 0] dilations [1] : (tensor<1x6x7xf32>, tensor<6x1x3xf32>) -> tensor<1x6x5xf32>
    return %z : tensor<1x6x5xf32>
  }
}

// -----

// A summand with a bias is no linear function of summands: they are added first.
// CHECK-LABEL: module @bias_of_summands
// CHECK: module @rank0
// CHECK: %[[P:.*]] = cleave.conv %{{.*}}, %a
// CHECK-NEXT: %[[SUM:.*]] = cleave.all_reduce sum %[[P]]
// CHECK: cleave.conv %[[SUM]], %w bias %b {{.*}} dilations [1] :
// CHECK-NOT: cleave.all_reduce
// CHECK: module @rank1
module @bias_of_summands {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @a : tensor<4x4x1xf32> from none split [#cleave.split<row "tp">]
  cleave.weight @w : tensor<4x4x1xf32> from none split [#cleave.split<none>]
  cleave.weight @b : tensor<4xf32> from none
  func.func @f(%x: tensor<1x4x9xf32> {cleave.input = "x"}) -> (tensor<1x4x9xf32> {cleave.output = "y"}) {
    %a = cleave.use @a : tensor<4x4x1xf32>
    %p = cleave.conv %x, %a strides [1] pads [0, 0] dilations [1] : (tensor<1x4x9xf32>, tensor<4x4x1xf32>) -> tensor<1x4x9xf32>
    %w = cleave.use @w : tensor<4x4x1xf32>
    %b = cleave.use @b : tensor<4xf32>
    %y = cleave.conv %p, %w bias %b strides [1] pads [0, 0] dilations [1] : (tensor<1x4x9xf32>, tensor<4x4x1xf32>, tensor<4xf32>) -> tensor<1x4x9xf32>
    return %y : tensor<1x4x9xf32>
  }
}
