// A bias on the summands of a convolution is added by one rank.
// RUN: cleave-opt %s -split-input-file -verify-diagnostics -cleave-verify-ranks

module @once {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @w : tensor<2x1x3xf32> from none slice [0:2, 0:1, 0:3]
    cleave.weight @b : tensor<2xf32> from none
    func.func @f(%x: tensor<1x4x9xf32> {cleave.input = "x"})
        -> (tensor<1x2x7xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %w = cleave.use @w : tensor<2x1x3xf32>
      %b = cleave.use @b : tensor<2xf32>
      %s = cleave.slice %x dim 1 from 0 : tensor<1x4x9xf32> -> tensor<1x1x9xf32>
      %p = cleave.conv %s, %w bias %b strides [1] pads [0, 0] dilations [1]
        : (tensor<1x1x9xf32>, tensor<2x1x3xf32>, tensor<2xf32>) -> tensor<1x2x7xf32>
      %y = cleave.all_reduce sum %p group [0, 1] : tensor<1x2x7xf32>
      return %y : tensor<1x2x7xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @w : tensor<2x3x3xf32> from none slice [0:2, 1:4, 0:3]
    cleave.weight @b : tensor<2xf32> from none
    func.func @f(%x: tensor<1x4x9xf32> {cleave.input = "x"})
        -> (tensor<1x2x7xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %w = cleave.use @w : tensor<2x3x3xf32>
      %b = cleave.use @b : tensor<2xf32>
      %s = cleave.slice %x dim 1 from 1 : tensor<1x4x9xf32> -> tensor<1x3x9xf32>
      %p = cleave.conv %s, %w bias %b strides [1] pads [0, 0] dilations [1] {omits_bias}
        : (tensor<1x3x9xf32>, tensor<2x3x3xf32>, tensor<2xf32>) -> tensor<1x2x7xf32>
      %y = cleave.all_reduce sum %p group [0, 1] : tensor<1x2x7xf32>
      return %y : tensor<1x2x7xf32>
    }
  }
}

// -----

module @twice {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @w : tensor<2x1x3xf32> from none slice [0:2, 0:1, 0:3]
    cleave.weight @b : tensor<2xf32> from none
    func.func @f(%x: tensor<1x4x9xf32> {cleave.input = "x"})
        -> (tensor<1x2x7xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %w = cleave.use @w : tensor<2x1x3xf32>
      %b = cleave.use @b : tensor<2xf32>
      %s = cleave.slice %x dim 1 from 0 : tensor<1x4x9xf32> -> tensor<1x1x9xf32>
      %p = cleave.conv %s, %w bias %b strides [1] pads [0, 0] dilations [1]
        : (tensor<1x1x9xf32>, tensor<2x1x3xf32>, tensor<2xf32>) -> tensor<1x2x7xf32>
      %y = cleave.all_reduce sum %p group [0, 1] : tensor<1x2x7xf32>
      return %y : tensor<1x2x7xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @w : tensor<2x3x3xf32> from none slice [0:2, 1:4, 0:3]
    cleave.weight @b : tensor<2xf32> from none
    func.func @f(%x: tensor<1x4x9xf32> {cleave.input = "x"})
        -> (tensor<1x2x7xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %w = cleave.use @w : tensor<2x3x3xf32>
      %b = cleave.use @b : tensor<2xf32>
      %s = cleave.slice %x dim 1 from 1 : tensor<1x4x9xf32> -> tensor<1x3x9xf32>
      // expected-error @+1 {{on rank 1 has omits_bias none, but the elements that it reads ask for unit}}
      %p = cleave.conv %s, %w bias %b strides [1] pads [0, 0] dilations [1]
        : (tensor<1x3x9xf32>, tensor<2x3x3xf32>, tensor<2xf32>) -> tensor<1x2x7xf32>
      %y = cleave.all_reduce sum %p group [0, 1] : tensor<1x2x7xf32>
      return %y : tensor<1x2x7xf32>
    }
  }
}

// -----

module @never {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @w : tensor<2x1x3xf32> from none slice [0:2, 0:1, 0:3]
    cleave.weight @b : tensor<2xf32> from none
    func.func @f(%x: tensor<1x4x9xf32> {cleave.input = "x"})
        -> (tensor<1x2x7xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %w = cleave.use @w : tensor<2x1x3xf32>
      %b = cleave.use @b : tensor<2xf32>
      %s = cleave.slice %x dim 1 from 0 : tensor<1x4x9xf32> -> tensor<1x1x9xf32>
      // expected-error @+1 {{on rank 0 has omits_bias unit, but the elements that it reads ask for none}}
      %p = cleave.conv %s, %w bias %b strides [1] pads [0, 0] dilations [1] {omits_bias}
        : (tensor<1x1x9xf32>, tensor<2x1x3xf32>, tensor<2xf32>) -> tensor<1x2x7xf32>
      %y = cleave.all_reduce sum %p group [0, 1] : tensor<1x2x7xf32>
      return %y : tensor<1x2x7xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @w : tensor<2x3x3xf32> from none slice [0:2, 1:4, 0:3]
    cleave.weight @b : tensor<2xf32> from none
    func.func @f(%x: tensor<1x4x9xf32> {cleave.input = "x"})
        -> (tensor<1x2x7xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %w = cleave.use @w : tensor<2x3x3xf32>
      %b = cleave.use @b : tensor<2xf32>
      %s = cleave.slice %x dim 1 from 1 : tensor<1x4x9xf32> -> tensor<1x3x9xf32>
      %p = cleave.conv %s, %w bias %b strides [1] pads [0, 0] dilations [1] {omits_bias}
        : (tensor<1x3x9xf32>, tensor<2x3x3xf32>, tensor<2xf32>) -> tensor<1x2x7xf32>
      %y = cleave.all_reduce sum %p group [0, 1] : tensor<1x2x7xf32>
      return %y : tensor<1x2x7xf32>
    }
  }
}
