// RUN: cleave-opt %s -split-input-file -verify-diagnostics -cleave-verify-ranks

// What is proved of fused ops is proved of the ops that they stand for.

// Ranks may fuse what follows a sum, or not: what they exchange is the same.
module @fused_on_one {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @w : tensor<8x2xf32> from none slice [0:8, 0:2]
    cleave.weight @norm : tensor<8xf32> from none
    func.func @f(%x: tensor<4x8xf32> {cleave.input = "x"})
        -> (tensor<4x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %w = cleave.use @w : tensor<8x2xf32>
      %norm = cleave.use @norm : tensor<8xf32>
      %x0 = cleave.slice %x dim 1 from 0 : tensor<4x8xf32> -> tensor<4x2xf32>
      %p = cleave.linear %x0, %w : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
      %s:2 = cleave.all_reduce_add sum %p, %x norm %norm group [0, 1] {epsilon = 1.0e-5 : f32}
        : (tensor<4x8xf32>, tensor<4x8xf32>, tensor<8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>)
      return %s#1 : tensor<4x8xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @w : tensor<8x6xf32> from none slice [0:8, 2:8]
    cleave.weight @norm : tensor<8xf32> from none
    func.func @f(%x: tensor<4x8xf32> {cleave.input = "x"})
        -> (tensor<4x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %w = cleave.use @w : tensor<8x6xf32>
      %norm = cleave.use @norm : tensor<8xf32>
      %x1 = cleave.slice %x dim 1 from 2 : tensor<4x8xf32> -> tensor<4x6xf32>
      %p = cleave.linear %x1, %w : (tensor<4x6xf32>, tensor<8x6xf32>) -> tensor<4x8xf32>
      %s = cleave.all_reduce sum %p group [0, 1] : tensor<4x8xf32>
      %a = cleave.add %x, %s : tensor<4x8xf32>, tensor<4x8xf32>
      %n = cleave.rms_norm %a, %norm {epsilon = 1.0e-5 : f32} : tensor<4x8xf32>, tensor<8xf32>
      return %n : tensor<4x8xf32>
    }
  }
}

// -----

// A residual that is a summand itself.
module @partial_residual {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @w : tensor<8x2xf32> from none slice [0:8, 0:2]
    func.func @f(%x: tensor<4x8xf32> {cleave.input = "x"}) {
      %w = cleave.use @w : tensor<8x2xf32>
      %x0 = cleave.slice %x dim 1 from 0 : tensor<4x8xf32> -> tensor<4x2xf32>
      // expected-note@+1 {{the partial sum is made here}}
      %p = cleave.linear %x0, %w : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
      // expected-error@+1 {{'cleave.add' op (residual) on rank 0 puts the whole value}}
      %s = cleave.all_reduce_add sum %p, %p group [0, 1] {names = ["sum", "residual"]}
        : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @w : tensor<8x6xf32> from none slice [0:8, 2:8]
    func.func @f(%x: tensor<4x8xf32> {cleave.input = "x"}) {
      %w = cleave.use @w : tensor<8x6xf32>
      %x1 = cleave.slice %x dim 1 from 2 : tensor<4x8xf32> -> tensor<4x6xf32>
      %p = cleave.linear %x1, %w : (tensor<4x6xf32>, tensor<8x6xf32>) -> tensor<4x8xf32>
      %s = cleave.all_reduce sum %p group [0, 1] : tensor<4x8xf32>
      return
    }
  }
}

// -----

// One message cannot meet two.
module @merged_on_one {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%p: tensor<4xf32>) {
      // expected-error@+1 {{on rank 0 differs in cleave.place_in_message from the same collective on rank 1}}
      %s:2 = cleave.merged_all_reduce sum %p, %p group [0, 1]
        : (tensor<4xf32>, tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%p: tensor<4xf32>) {
      // expected-note@+1 {{rank 1 is at 'cleave.all_reduce' here}}
      %a = cleave.all_reduce sum %p group [0, 1] : tensor<4xf32>
      %b = cleave.all_reduce sum %p group [0, 1] : tensor<4xf32>
      return
    }
  }
}

// -----

// One of two joined products is cut in its inputs; its name and weight are told.
module @partial_product {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @a : tensor<8x4xf32> from none slice [0:8, 0:4]
    cleave.weight @b : tensor<8x4xf32> from none slice [0:8, 0:4]
    func.func @f(%x: tensor<4x8xf32> {cleave.input = "x"})
        -> (tensor<4x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %a = cleave.use @a : tensor<8x4xf32>
      %b = cleave.use @b : tensor<8x4xf32>
      %x0 = cleave.slice %x dim 1 from 0 : tensor<4x8xf32> -> tensor<4x4xf32>
      // expected-note@+1 {{the partial sum is made here}}
      %p:2 = cleave.joined_linear %x0, %a, %b {names = ["first", "second"]}
        : (tensor<4x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>)
      // expected-error@+1 {{gives as output 'y' the value 'second', which is a partial sum over elements 0:4 of 8 (weight 'b')}}
      return %p#1 : tensor<4x8xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @a : tensor<8x4xf32> from none slice [0:8, 4:8]
    cleave.weight @b : tensor<8x4xf32> from none slice [0:8, 4:8]
    func.func @f(%x: tensor<4x8xf32> {cleave.input = "x"})
        -> (tensor<4x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %a = cleave.use @a : tensor<8x4xf32>
      %b = cleave.use @b : tensor<8x4xf32>
      %x1 = cleave.slice %x dim 1 from 4 : tensor<4x8xf32> -> tensor<4x4xf32>
      %p:2 = cleave.joined_linear %x1, %a, %b {names = ["first", "second"]}
        : (tensor<4x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>)
      return %p#1 : tensor<4x8xf32>
    }
  }
}
