// RUN: cleave-opt %s -split-input-file -verify-diagnostics -cleave-verify-ranks

// Ranks that move elements otherwise have another value.

module @parts_in_another_order {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4xf32> {cleave.input = "x"}, %z: tensor<4xf32> {cleave.input = "z"})
        -> (tensor<8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %y = cleave.concat %x, %z dim 0 : (tensor<4xf32>, tensor<4xf32>) -> tensor<8xf32>
      // expected-note@+1 {{is given here}}
      return %y : tensor<8xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%x: tensor<4xf32> {cleave.input = "x"}, %z: tensor<4xf32> {cleave.input = "z"})
        -> (tensor<8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %y = cleave.concat %z, %x dim 0 : (tensor<4xf32>, tensor<4xf32>) -> tensor<8xf32>
      // expected-error@+1 {{on rank 1 gives as output 'y' the value}}
      return %y : tensor<8xf32>
    }
  }
}

// -----

module @other_sizes_of_what_no_operand_has {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<?xf32, #cleave.dims<a>> {cleave.input = "x"})
        -> (tensor<?xf32, #cleave.dims<b>> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %y = cleave.slice %x dim 0 from 0 : tensor<?xf32, #cleave.dims<a>> -> tensor<?xf32, #cleave.dims<b>>
      // expected-note@+1 {{is given here}}
      return %y : tensor<?xf32, #cleave.dims<b>>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%x: tensor<?xf32, #cleave.dims<a>> {cleave.input = "x"})
        -> (tensor<?xf32, #cleave.dims<c>> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %y = cleave.slice %x dim 0 from 0 : tensor<?xf32, #cleave.dims<a>> -> tensor<?xf32, #cleave.dims<c>>
      // expected-error@+1 {{on rank 1 gives as output 'y' the value}}
      return %y : tensor<?xf32, #cleave.dims<c>>
    }
  }
}
