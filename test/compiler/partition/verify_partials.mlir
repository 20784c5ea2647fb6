// RUN: cleave-opt %s -split-input-file -verify-diagnostics -cleave-verify-ranks

// What verify_partials.cpp proves: which part of which value each rank has. In all cases
// ranks' messages fit together.

// The hidden features of two linear ops are cut; one sum makes the result whole.
module @feed_forward {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @up : tensor<4x8xf32> from none slice [0:4, 0:8]
    cleave.weight @down : tensor<8x4xf32> from none slice [0:8, 0:4]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %up = cleave.use @up : tensor<4x8xf32>
      %down = cleave.use @down : tensor<8x4xf32>
      %h = cleave.linear %x, %up : (tensor<2x8xf32>, tensor<4x8xf32>) -> tensor<2x4xf32>
      %a = cleave.silu %h : tensor<2x4xf32>
      %p = cleave.linear %a, %down : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
      %s = cleave.all_reduce sum %p group [0, 1] : tensor<2x8xf32>
      %y = cleave.add %x, %s : tensor<2x8xf32>, tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @up : tensor<4x8xf32> from none slice [4:8, 0:8]
    cleave.weight @down : tensor<8x4xf32> from none slice [0:8, 4:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %up = cleave.use @up : tensor<4x8xf32>
      %down = cleave.use @down : tensor<8x4xf32>
      %h = cleave.linear %x, %up : (tensor<2x8xf32>, tensor<4x8xf32>) -> tensor<2x4xf32>
      %a = cleave.silu %h : tensor<2x4xf32>
      %p = cleave.linear %a, %down : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
      %s = cleave.all_reduce sum %p group [0, 1] : tensor<2x8xf32>
      %y = cleave.add %x, %s : tensor<2x8xf32>, tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
}

// -----

// Two partial sums are added before they are reduced: one sum for both.
module @parallel_block {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @a : tensor<4x2xf32> from none slice [0:4, 0:2]
    cleave.weight @b : tensor<4x1xf32> from none slice [0:4, 0:1]
    func.func @f(%x: tensor<2x4xf32> {cleave.input = "x"})
        -> (tensor<2x4xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %a = cleave.use @a : tensor<4x2xf32>
      %b = cleave.use @b : tensor<4x1xf32>
      %x0 = cleave.slice %x dim 1 from 0 : tensor<2x4xf32> -> tensor<2x2xf32>
      %x1 = cleave.slice %x dim 1 from 0 : tensor<2x4xf32> -> tensor<2x1xf32>
      %p = cleave.linear %x0, %a : (tensor<2x2xf32>, tensor<4x2xf32>) -> tensor<2x4xf32>
      %q = cleave.linear %x1, %b : (tensor<2x1xf32>, tensor<4x1xf32>) -> tensor<2x4xf32>
      %r = cleave.add %p, %q : tensor<2x4xf32>, tensor<2x4xf32>
      %y = cleave.all_reduce sum %r group [0, 1] : tensor<2x4xf32>
      return %y : tensor<2x4xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @a : tensor<4x2xf32> from none slice [0:4, 2:4]
    cleave.weight @b : tensor<4x3xf32> from none slice [0:4, 1:4]
    func.func @f(%x: tensor<2x4xf32> {cleave.input = "x"})
        -> (tensor<2x4xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %a = cleave.use @a : tensor<4x2xf32>
      %b = cleave.use @b : tensor<4x3xf32>
      %x0 = cleave.slice %x dim 1 from 2 : tensor<2x4xf32> -> tensor<2x2xf32>
      %x1 = cleave.slice %x dim 1 from 1 : tensor<2x4xf32> -> tensor<2x3xf32>
      %p = cleave.linear %x0, %a : (tensor<2x2xf32>, tensor<4x2xf32>) -> tensor<2x4xf32>
      %q = cleave.linear %x1, %b : (tensor<2x3xf32>, tensor<4x3xf32>) -> tensor<2x4xf32>
      %r = cleave.add %p, %q : tensor<2x4xf32>, tensor<2x4xf32>
      %y = cleave.all_reduce sum %r group [0, 1] : tensor<2x4xf32>
      return %y : tensor<2x4xf32>
    }
  }
}

// -----

// A slice of the model is cut alike on every rank, and what follows reads it as a whole.
module @slice_of_the_model {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @w : tensor<4xf32> from none
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x4xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %w = cleave.use @w : tensor<4xf32>
      %s = cleave.slice %x dim 1 from 4 : tensor<2x8xf32> -> tensor<2x4xf32>
      %a = cleave.silu %s : tensor<2x4xf32>
      %y = cleave.rms_norm %a, %w {epsilon = 1.0e-5 : f32} : tensor<2x4xf32>, tensor<4xf32>
      return %y : tensor<2x4xf32>
    }
  }
}

// -----

// Nothing is known of arguments without names, and nothing is said of them.
module @unknown {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      %a = cleave.all_reduce sum %x group [0, 1] : tensor<4xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      %a = cleave.all_reduce sum %x group [0, 1] : tensor<4xf32>
      return
    }
  }
}

// -----

// The sum was deleted on all ranks: an op that is not linear reads the partial sum.
module @read_by_silu {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @down : tensor<8x4xf32> from none slice [0:8, 0:4]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x4xf32>
      %s = cleave.slice %x dim 1 from 0 : tensor<2x8xf32> -> tensor<2x4xf32>
      // expected-note@+1 {{the partial sum is made here}}
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
      // expected-error@+1 {{'cleave.silu' op on rank 0 needs a whole value, but reads 'ffn', which is a partial sum over elements 0:4 of 8 (weight 'down')}}
      %y = cleave.silu %p : tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @down : tensor<8x4xf32> from none slice [0:8, 4:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x4xf32>
      %s = cleave.slice %x dim 1 from 4 : tensor<2x8xf32> -> tensor<2x4xf32>
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
      %y = cleave.silu %p : tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
}

// -----

// ... or it meets the residual, which would be added by every rank.
module @added_to_whole {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @down : tensor<8x4xf32> from none slice [0:8, 0:4]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x4xf32>
      %s = cleave.slice %x dim 1 from 0 : tensor<2x8xf32> -> tensor<2x4xf32>
      // expected-note@+1 {{the partial sum is made here}}
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
      // expected-error@+1 {{on rank 0 puts the whole value 'x' together with 'ffn', which is a partial sum over elements 0:4 of 8 (weight 'down')}}
      %y = cleave.add %x, %p : tensor<2x8xf32>, tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @down : tensor<8x4xf32> from none slice [0:8, 4:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x4xf32>
      %s = cleave.slice %x dim 1 from 4 : tensor<2x8xf32> -> tensor<2x4xf32>
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
      %y = cleave.add %x, %p : tensor<2x8xf32>, tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
}

// -----

// ... or it is returned.
module @returned {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @down : tensor<8x4xf32> from none slice [0:8, 0:4]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x4xf32>
      %s = cleave.slice %x dim 1 from 0 : tensor<2x8xf32> -> tensor<2x4xf32>
      // expected-note@+1 {{the partial sum is made here}}
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
      // expected-error@+1 {{on rank 0 gives as output 'y' the value 'ffn', which is a partial sum over elements 0:4 of 8 (weight 'down')}}
      return %p : tensor<2x8xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @down : tensor<8x4xf32> from none slice [0:8, 4:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x4xf32>
      %s = cleave.slice %x dim 1 from 4 : tensor<2x8xf32> -> tensor<2x4xf32>
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
      return %p : tensor<2x8xf32>
    }
  }
}

// -----


module @reduced_twice {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @down : tensor<8x4xf32> from none slice [0:8, 0:4]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x4xf32>
      %s = cleave.slice %x dim 1 from 0 : tensor<2x8xf32> -> tensor<2x4xf32>
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
      %a = cleave.all_reduce sum %p group [0, 1] : tensor<2x8xf32>
      // expected-error@+1 {{adds up 'ffn', which is no partial sum on any rank of the group, and so counts it 2 times}}
      %y = cleave.all_reduce sum %a group [0, 1] : tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @down : tensor<8x4xf32> from none slice [0:8, 4:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x4xf32>
      %s = cleave.slice %x dim 1 from 4 : tensor<2x8xf32> -> tensor<2x4xf32>
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
      %a = cleave.all_reduce sum %p group [0, 1] : tensor<2x8xf32>
      %y = cleave.all_reduce sum %a group [0, 1] : tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
}

// -----

// A sum over pairs leaves two partial sums.
module @half_of_the_group {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @down : tensor<8x2xf32> from none slice [0:8, 0:2]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x2xf32>
      %s = cleave.slice %x dim 1 from 0 : tensor<2x8xf32> -> tensor<2x2xf32>
      // expected-note@+1 {{the partial sum is made here}}
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x2xf32>, tensor<8x2xf32>) -> tensor<2x8xf32>
      %a = cleave.all_reduce sum %p group [0, 1] : tensor<2x8xf32>
      // expected-error@+1 {{reads 'ffn', which is a partial sum over elements 0:2, 2:4 of 8 (weight 'down')}}
      %y = cleave.silu %a : tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @down : tensor<8x2xf32> from none slice [0:8, 2:4]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x2xf32>
      %s = cleave.slice %x dim 1 from 2 : tensor<2x8xf32> -> tensor<2x2xf32>
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x2xf32>, tensor<8x2xf32>) -> tensor<2x8xf32>
      %a = cleave.all_reduce sum %p group [0, 1] : tensor<2x8xf32>
      %y = cleave.silu %a : tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
  module @rank2 attributes {cleave.rank = 2 : i64} {
    cleave.weight @down : tensor<8x2xf32> from none slice [0:8, 4:6]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x2xf32>
      %s = cleave.slice %x dim 1 from 4 : tensor<2x8xf32> -> tensor<2x2xf32>
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x2xf32>, tensor<8x2xf32>) -> tensor<2x8xf32>
      %a = cleave.all_reduce sum %p group [2, 3] : tensor<2x8xf32>
      %y = cleave.silu %a : tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
  module @rank3 attributes {cleave.rank = 3 : i64} {
    cleave.weight @down : tensor<8x2xf32> from none slice [0:8, 6:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x2xf32>
      %s = cleave.slice %x dim 1 from 6 : tensor<2x8xf32> -> tensor<2x2xf32>
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x2xf32>, tensor<8x2xf32>) -> tensor<2x8xf32>
      %a = cleave.all_reduce sum %p group [2, 3] : tensor<2x8xf32>
      %y = cleave.silu %a : tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
}

// -----

// Sums over pairs, and then over the other pairs, are whole.
module @two_sums {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @down : tensor<8x2xf32> from none slice [0:8, 0:2]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x2xf32>
      %s = cleave.slice %x dim 1 from 0 : tensor<2x8xf32> -> tensor<2x2xf32>
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x2xf32>, tensor<8x2xf32>) -> tensor<2x8xf32>
      %a = cleave.all_reduce sum %p group [0, 1] : tensor<2x8xf32>
      %b = cleave.all_reduce sum %a group [0, 2] : tensor<2x8xf32>
      %y = cleave.silu %b : tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @down : tensor<8x2xf32> from none slice [0:8, 2:4]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x2xf32>
      %s = cleave.slice %x dim 1 from 2 : tensor<2x8xf32> -> tensor<2x2xf32>
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x2xf32>, tensor<8x2xf32>) -> tensor<2x8xf32>
      %a = cleave.all_reduce sum %p group [0, 1] : tensor<2x8xf32>
      %b = cleave.all_reduce sum %a group [1, 3] : tensor<2x8xf32>
      %y = cleave.silu %b : tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
  module @rank2 attributes {cleave.rank = 2 : i64} {
    cleave.weight @down : tensor<8x2xf32> from none slice [0:8, 4:6]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x2xf32>
      %s = cleave.slice %x dim 1 from 4 : tensor<2x8xf32> -> tensor<2x2xf32>
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x2xf32>, tensor<8x2xf32>) -> tensor<2x8xf32>
      %a = cleave.all_reduce sum %p group [2, 3] : tensor<2x8xf32>
      %b = cleave.all_reduce sum %a group [0, 2] : tensor<2x8xf32>
      %y = cleave.silu %b : tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
  module @rank3 attributes {cleave.rank = 3 : i64} {
    cleave.weight @down : tensor<8x2xf32> from none slice [0:8, 6:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x2xf32>
      %s = cleave.slice %x dim 1 from 6 : tensor<2x8xf32> -> tensor<2x2xf32>
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x2xf32>, tensor<8x2xf32>) -> tensor<2x8xf32>
      %a = cleave.all_reduce sum %p group [2, 3] : tensor<2x8xf32>
      %b = cleave.all_reduce sum %a group [1, 3] : tensor<2x8xf32>
      %y = cleave.silu %b : tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
}

// -----


module @same_pairs_twice {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @down : tensor<8x2xf32> from none slice [0:8, 0:2]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x2xf32>
      %s = cleave.slice %x dim 1 from 0 : tensor<2x8xf32> -> tensor<2x2xf32>
      // expected-note@+1 {{the partial sum is made here}}
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x2xf32>, tensor<8x2xf32>) -> tensor<2x8xf32>
      %a = cleave.all_reduce sum %p group [0, 1] : tensor<2x8xf32>
      // expected-error@+1 {{adds up the summands over elements 0:2 of 8 (weight 'down') twice, from rank 0 and from rank 1}}
      %b = cleave.all_reduce sum %a group [0, 1] : tensor<2x8xf32>
      return %b : tensor<2x8xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @down : tensor<8x2xf32> from none slice [0:8, 2:4]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x2xf32>
      %s = cleave.slice %x dim 1 from 2 : tensor<2x8xf32> -> tensor<2x2xf32>
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x2xf32>, tensor<8x2xf32>) -> tensor<2x8xf32>
      %a = cleave.all_reduce sum %p group [0, 1] : tensor<2x8xf32>
      %b = cleave.all_reduce sum %a group [0, 1] : tensor<2x8xf32>
      return %b : tensor<2x8xf32>
    }
  }
  module @rank2 attributes {cleave.rank = 2 : i64} {
    cleave.weight @down : tensor<8x2xf32> from none slice [0:8, 4:6]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x2xf32>
      %s = cleave.slice %x dim 1 from 4 : tensor<2x8xf32> -> tensor<2x2xf32>
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x2xf32>, tensor<8x2xf32>) -> tensor<2x8xf32>
      %a = cleave.all_reduce sum %p group [2, 3] : tensor<2x8xf32>
      %b = cleave.all_reduce sum %a group [2, 3] : tensor<2x8xf32>
      return %b : tensor<2x8xf32>
    }
  }
  module @rank3 attributes {cleave.rank = 3 : i64} {
    cleave.weight @down : tensor<8x2xf32> from none slice [0:8, 6:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x2xf32>
      %s = cleave.slice %x dim 1 from 6 : tensor<2x8xf32> -> tensor<2x2xf32>
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x2xf32>, tensor<8x2xf32>) -> tensor<2x8xf32>
      %a = cleave.all_reduce sum %p group [2, 3] : tensor<2x8xf32>
      %b = cleave.all_reduce sum %a group [2, 3] : tensor<2x8xf32>
      return %b : tensor<2x8xf32>
    }
  }
}

// -----


module @scattered_and_joined {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @down : tensor<8x4xf32> from none slice [0:8, 0:4]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x4xf32>
      %s = cleave.slice %x dim 1 from 0 : tensor<2x8xf32> -> tensor<2x4xf32>
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
      %a = cleave.reduce_scatter sum %p dim 1 ranges [0:3, 3:8] group [0, 1] : tensor<2x8xf32> -> tensor<2x3xf32>
      %y = cleave.all_gather %a dim 1 ranges [0:3, 3:8] group [0, 1] : tensor<2x3xf32> -> tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @down : tensor<8x4xf32> from none slice [0:8, 4:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x4xf32>
      %s = cleave.slice %x dim 1 from 4 : tensor<2x8xf32> -> tensor<2x4xf32>
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
      %a = cleave.reduce_scatter sum %p dim 1 ranges [0:3, 3:8] group [0, 1] : tensor<2x8xf32> -> tensor<2x5xf32>
      %y = cleave.all_gather %a dim 1 ranges [0:3, 3:8] group [0, 1] : tensor<2x5xf32> -> tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
}

// -----

// The shares are not those that the ranges say.
module @joined_elsewhere {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @down : tensor<8x4xf32> from none slice [0:8, 0:4]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x4xf32>
      %s = cleave.slice %x dim 1 from 0 : tensor<2x8xf32> -> tensor<2x4xf32>
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
      %a = cleave.reduce_scatter sum %p dim 1 ranges [0:4, 4:8] group [0, 1] : tensor<2x8xf32> -> tensor<2x4xf32>
      // expected-error@+1 {{joins what does not belong there: rank 0 has elements 0:4 of 8 of 'ffn', but its range is 4:8 of 8}}
      %y = cleave.all_gather %a dim 1 ranges [4:8, 0:4] group [0, 1] : tensor<2x4xf32> -> tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @down : tensor<8x4xf32> from none slice [0:8, 4:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x4xf32>
      %s = cleave.slice %x dim 1 from 4 : tensor<2x8xf32> -> tensor<2x4xf32>
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
      %a = cleave.reduce_scatter sum %p dim 1 ranges [0:4, 4:8] group [0, 1] : tensor<2x8xf32> -> tensor<2x4xf32>
      %y = cleave.all_gather %a dim 1 ranges [4:8, 0:4] group [0, 1] : tensor<2x4xf32> -> tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
}

// -----


module @returned_share {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @down : tensor<8x4xf32> from none slice [0:8, 0:4]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x4xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x4xf32>
      %s = cleave.slice %x dim 1 from 0 : tensor<2x8xf32> -> tensor<2x4xf32>
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
      %a = cleave.reduce_scatter sum %p dim 1 ranges [0:4, 4:8] group [0, 1] : tensor<2x8xf32> -> tensor<2x4xf32>
      // expected-error@+1 {{gives as output 'y' only 0:4 of 8 of dim 1 of 'ffn'; expected all of it}}
      return %a : tensor<2x4xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @down : tensor<8x4xf32> from none slice [0:8, 4:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x4xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x4xf32>
      %s = cleave.slice %x dim 1 from 4 : tensor<2x8xf32> -> tensor<2x4xf32>
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
      %a = cleave.reduce_scatter sum %p dim 1 ranges [0:4, 4:8] group [0, 1] : tensor<2x8xf32> -> tensor<2x4xf32>
      return %a : tensor<2x4xf32>
    }
  }
}

// -----

// One rank returns another value than the others.
module @other_outputs {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @down : tensor<8x4xf32> from none slice [0:8, 0:4]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x4xf32>
      %s = cleave.slice %x dim 1 from 0 : tensor<2x8xf32> -> tensor<2x4xf32>
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
      %a = cleave.all_reduce sum %p group [0, 1] : tensor<2x8xf32>
      %b = cleave.silu %a {cleave.name = "act"} : tensor<2x8xf32>
      // expected-note@+1 {{'ffn' is given here}}
      return %a : tensor<2x8xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @down : tensor<8x4xf32> from none slice [0:8, 4:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x4xf32>
      %s = cleave.slice %x dim 1 from 4 : tensor<2x8xf32> -> tensor<2x4xf32>
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
      %a = cleave.all_reduce sum %p group [0, 1] : tensor<2x8xf32>
      %b = cleave.silu %a {cleave.name = "act"} : tensor<2x8xf32>
      // expected-error@+1 {{on rank 1 gives as output 'y' the value 'act', but another rank gives other elements or another value}}
      return %b : tensor<2x8xf32>
    }
  }
}

// -----

// The ranks add up different values.
module @other_values {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @down : tensor<8x4xf32> from none slice [0:8, 0:4]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x4xf32>
      %s = cleave.slice %x dim 1 from 0 : tensor<2x8xf32> -> tensor<2x4xf32>
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
      %q = cleave.linear %s, %down {cleave.name = "act"} : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
      %r = cleave.add %p, %q : tensor<2x8xf32>, tensor<2x8xf32>
      // expected-error@+1 {{on rank 0 has 'ffn', another value than rank 1}}
      %y = cleave.all_reduce sum %p group [0, 1] {cleave.name = "s"} : tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @down : tensor<8x4xf32> from none slice [0:8, 4:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %down = cleave.use @down : tensor<8x4xf32>
      %s = cleave.slice %x dim 1 from 4 : tensor<2x8xf32> -> tensor<2x4xf32>
      %p = cleave.linear %s, %down {cleave.name = "ffn"} : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
      %q = cleave.linear %s, %down {cleave.name = "act"} : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
      %r = cleave.add %p, %q : tensor<2x8xf32>, tensor<2x8xf32>
      // expected-note@+1 {{rank 1 has 'cleave.add' here}}
      %y = cleave.all_reduce sum %r group [0, 1] {cleave.name = "s"} : tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
}

// -----

// A share of the key heads that the query heads of this rank do not read.
module @attributes_of_another_rank {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @e : tensor<4x8xf32> from none slice [0:4, 0:8]
    func.func @f(%i: tensor<2xi32> {cleave.input = "i"}) {
      %e = cleave.use @e : tensor<4x8xf32>
      // expected-error@+1 {{on rank 0 has offset 4 : i64, but the elements that it reads ask for 0 : i64}}
      %x = cleave.gather masked %e, %i {offset = 4 : i64} : (tensor<4x8xf32>, tensor<2xi32>) -> tensor<2x8xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @e : tensor<4x8xf32> from none slice [4:8, 0:8]
    func.func @f(%i: tensor<2xi32> {cleave.input = "i"}) {
      %e = cleave.use @e : tensor<4x8xf32>
      %x = cleave.gather masked %e, %i {offset = 4 : i64} : (tensor<4x8xf32>, tensor<2xi32>) -> tensor<2x8xf32>
      return
    }
  }
}

// -----

// A look-up in the second share as if it were the first.
module @places_of_another_rank {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @e : tensor<4x8xf32> from none slice [0:4, 0:8]
    func.func @f(%i: tensor<2xi64> {cleave.input = "i"}) {
      %e = cleave.use @e : tensor<4x8xf32>
      %x = cleave.take %e, %i dim 0 masked from 0 of 7 : (tensor<4x8xf32>, tensor<2xi64>) -> tensor<2x8xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @e : tensor<3x8xf32> from none slice [4:7, 0:8]
    func.func @f(%i: tensor<2xi64> {cleave.input = "i"}) {
      %e = cleave.use @e : tensor<3x8xf32>
      // expected-error@+1 {{on rank 1 has offset 0 : i64, but the elements that it reads ask for 4 : i64}}
      %x = cleave.take %e, %i dim 0 masked from 0 of 7 : (tensor<3x8xf32>, tensor<2xi64>) -> tensor<2x8xf32>
      return
    }
  }
}

// -----

// Numbers below 0 would count from another end.
module @places_of_a_larger_table {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @e : tensor<4x8xf32> from none slice [0:4, 0:8]
    func.func @f(%i: tensor<2xi64> {cleave.input = "i"}) {
      %e = cleave.use @e : tensor<4x8xf32>
      // expected-error@+1 {{on rank 0 has whole 8 : i64, but the elements that it reads ask for 7 : i64}}
      %x = cleave.take %e, %i dim 0 masked from 0 of 8 : (tensor<4x8xf32>, tensor<2xi64>) -> tensor<2x8xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @e : tensor<3x8xf32> from none slice [4:7, 0:8]
    func.func @f(%i: tensor<2xi64> {cleave.input = "i"}) {
      %e = cleave.use @e : tensor<3x8xf32>
      %x = cleave.take %e, %i dim 0 masked from 4 of 7 : (tensor<3x8xf32>, tensor<2xi64>) -> tensor<2x8xf32>
      return
    }
  }
}

// -----

// Look-ups in shares are summands, and one sum of both is missing.
module @look_ups_that_nobody_sums {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @e : tensor<4x8xf32> from none slice [0:4, 0:8]
    func.func @f(%i: tensor<2xi64> {cleave.input = "i"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %e = cleave.use @e : tensor<4x8xf32>
      // expected-note@+1 {{the partial sum is made here; expected an all_reduce over the ranks that have the other elements}}
      %x = cleave.take %e, %i dim 0 masked from 0 of 7 {cleave.name = "rows"} : (tensor<4x8xf32>, tensor<2xi64>) -> tensor<2x8xf32>
      // expected-error@+1 {{on rank 0 gives as output 'y' the value 'rows', which is a partial sum over elements 0:4 of 7 (weight 'e')}}
      return %x : tensor<2x8xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @e : tensor<3x8xf32> from none slice [4:7, 0:8]
    func.func @f(%i: tensor<2xi64> {cleave.input = "i"}) {
      %e = cleave.use @e : tensor<3x8xf32>
      %x = cleave.take %e, %i dim 0 masked from 4 of 7 {cleave.name = "rows"} : (tensor<3x8xf32>, tensor<2xi64>) -> tensor<2x8xf32>
      return
    }
  }
}

// -----

// A norm needs the whole row.
module @norm_of_a_share {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @n : tensor<4xf32> from none slice [0:4]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"}) {
      %n = cleave.use @n : tensor<4xf32>
      %s = cleave.slice %x dim 1 from 0 : tensor<2x8xf32> -> tensor<2x4xf32>
      // expected-error@+1 {{on rank 0 reads 0:4 of 8 of 'x' (dim 1) with 0:4 of 8 of 'n' (dim 0); it needs the whole dim}}
      %y = cleave.rms_norm %s, %n {epsilon = 1.0e-5 : f32} : tensor<2x4xf32>, tensor<4xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @n : tensor<4xf32> from none slice [4:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"}) {
      return
    }
  }
}

// -----

// One entry of a program leaves in the cache what another reads as something else.
module @state_of_two_entries {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.state @k : tensor<?x?x4xf32, #cleave.dims<slots, context>>
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"}, %i: tensor<2xi32> {cleave.input = "i"}) {
      %s = cleave.slice %x dim 1 from 0 : tensor<2x8xf32> -> tensor<2x4xf32>
      // expected-note@+1 {{elements 0:4 of 8 are written here}}
      %k = cleave.state_update @k, %s at %i, %i : (tensor<2x4xf32>, tensor<2xi32>, tensor<2xi32>) -> tensor<?x?x4xf32, #cleave.dims<slots, context>>
      return
    }
    func.func @g(%x: tensor<2x8xf32> {cleave.input = "x"}, %i: tensor<2xi32> {cleave.input = "i"}) {
      %s = cleave.slice %x dim 1 from 4 : tensor<2x8xf32> -> tensor<2x4xf32>
      // expected-error@+1 {{on rank 0 writes elements 4:8 of 8 into state 'k'}}
      %k = cleave.state_update @k, %s at %i, %i : (tensor<2x4xf32>, tensor<2xi32>, tensor<2xi32>) -> tensor<?x?x4xf32, #cleave.dims<slots, context>>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.state @k : tensor<?x?x4xf32, #cleave.dims<slots, context>>
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"}, %i: tensor<2xi32> {cleave.input = "i"}) {
      %s = cleave.slice %x dim 1 from 4 : tensor<2x8xf32> -> tensor<2x4xf32>
      %k = cleave.state_update @k, %s at %i, %i : (tensor<2x4xf32>, tensor<2xi32>, tensor<2xi32>) -> tensor<?x?x4xf32, #cleave.dims<slots, context>>
      return
    }
    func.func @g(%x: tensor<2x8xf32> {cleave.input = "x"}, %i: tensor<2xi32> {cleave.input = "i"}) {
      %s = cleave.slice %x dim 1 from 0 : tensor<2x8xf32> -> tensor<2x4xf32>
      %k = cleave.state_update @k, %s at %i, %i : (tensor<2x4xf32>, tensor<2xi32>, tensor<2xi32>) -> tensor<?x?x4xf32, #cleave.dims<slots, context>>
      return
    }
  }
}
