// RUN: cleave-opt %s -split-input-file -verify-diagnostics -cleave-verify-ranks

// What is proved of shares of run-time sizes: who has which, and that what needs all of a
// size has all of it.

#tokens = #cleave.dims<tokens>
#first = #cleave.dims<tokens[0 of 2]>
#second = #cleave.dims<tokens[1 of 2]>

// A sum is scattered, added to a share of x, and gathered, in a group that is in no order.
module @right {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @w : tensor<4x2xf32> from none slice [0:4, 0:2]
    func.func @f(%x: tensor<?x4xf32, #tokens> {cleave.input = "x"})
        -> (tensor<?x4xf32, #tokens> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %w = cleave.use @w : tensor<4x2xf32>
      %a = cleave.slice %x dim 1 from 0 : tensor<?x4xf32, #tokens> -> tensor<?x2xf32, #tokens>
      %p = cleave.linear %a, %w : (tensor<?x2xf32, #tokens>, tensor<4x2xf32>) -> tensor<?x4xf32, #tokens>
      %s = cleave.reduce_scatter sum %p dim 0 group [1, 0] : tensor<?x4xf32, #tokens> -> tensor<?x4xf32, #second>
      %x1 = cleave.share %x dim 0 : tensor<?x4xf32, #tokens> -> tensor<?x4xf32, #second>
      %z = cleave.add %s, %x1 : tensor<?x4xf32, #second>, tensor<?x4xf32, #second>
      %y = cleave.all_gather %z dim 0 group [1, 0] : tensor<?x4xf32, #second> -> tensor<?x4xf32, #tokens>
      return %y : tensor<?x4xf32, #tokens>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @w : tensor<4x2xf32> from none slice [0:4, 2:4]
    func.func @f(%x: tensor<?x4xf32, #tokens> {cleave.input = "x"})
        -> (tensor<?x4xf32, #tokens> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %w = cleave.use @w : tensor<4x2xf32>
      %a = cleave.slice %x dim 1 from 2 : tensor<?x4xf32, #tokens> -> tensor<?x2xf32, #tokens>
      %p = cleave.linear %a, %w : (tensor<?x2xf32, #tokens>, tensor<4x2xf32>) -> tensor<?x4xf32, #tokens>
      %s = cleave.reduce_scatter sum %p dim 0 group [1, 0] : tensor<?x4xf32, #tokens> -> tensor<?x4xf32, #first>
      %x1 = cleave.share %x dim 0 : tensor<?x4xf32, #tokens> -> tensor<?x4xf32, #first>
      %z = cleave.add %s, %x1 : tensor<?x4xf32, #first>, tensor<?x4xf32, #first>
      %y = cleave.all_gather %z dim 0 group [1, 0] : tensor<?x4xf32, #first> -> tensor<?x4xf32, #tokens>
      return %y : tensor<?x4xf32, #tokens>
    }
  }
}

// -----

#tokens = #cleave.dims<tokens>
#first = #cleave.dims<tokens[0 of 2]>
#second = #cleave.dims<tokens[1 of 2]>

module @shares_at_each_others_place {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<?x4xf32, #tokens> {cleave.input = "x"}) {
      %a = cleave.share %x dim 0 : tensor<?x4xf32, #tokens> -> tensor<?x4xf32, #second>
      // expected-error@+1 {{on rank 0 has the share "tokens[1 of 2]", but its place in the group is that of "tokens[0 of 2]"}}
      %y = cleave.all_gather %a dim 0 group [0, 1] : tensor<?x4xf32, #second> -> tensor<?x4xf32, #tokens>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%x: tensor<?x4xf32, #tokens> {cleave.input = "x"}) {
      %a = cleave.share %x dim 0 : tensor<?x4xf32, #tokens> -> tensor<?x4xf32, #first>
      %y = cleave.all_gather %a dim 0 group [0, 1] : tensor<?x4xf32, #first> -> tensor<?x4xf32, #tokens>
      return
    }
  }
}

// -----

#tokens = #cleave.dims<tokens>
#first = #cleave.dims<tokens[0 of 2]>
#second = #cleave.dims<tokens[1 of 2]>

module @other_shares_are_added_up {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<?x4xf32, #tokens> {cleave.input = "x"}) {
      %a = cleave.share %x dim 0 : tensor<?x4xf32, #tokens> -> tensor<?x4xf32, #first>
      // expected-error@+1 {{has another type than on rank 1}}
      %y = cleave.all_reduce sum %a group [0, 1] : tensor<?x4xf32, #first>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%x: tensor<?x4xf32, #tokens> {cleave.input = "x"}) {
      %a = cleave.share %x dim 0 : tensor<?x4xf32, #tokens> -> tensor<?x4xf32, #second>
      // expected-note@+1 {{rank 1 is at 'cleave.all_reduce' here}}
      %y = cleave.all_reduce sum %a group [0, 1] : tensor<?x4xf32, #second>
      return
    }
  }
}

// -----

#tokens = #cleave.dims<tokens>
#rows = #cleave.dims<rows>
#first = #cleave.dims<tokens[0 of 2]>

module @rows_of_a_share {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<?x4xf32, #tokens> {cleave.input = "x"},
                 %rows: tensor<?xi32, #rows> {cleave.input = "rows"}) {
      %a = cleave.share %x dim 0 : tensor<?x4xf32, #tokens> -> tensor<?x4xf32, #first>
      // expected-error@+1 {{on rank 0 reads share 0 of 2 of 'x' (dim 0); it needs the whole dim}}
      %y = cleave.gather %a, %rows : (tensor<?x4xf32, #first>, tensor<?xi32, #rows>) -> tensor<?x4xf32, #rows>
      return
    }
  }
}

// -----

#tokens = #cleave.dims<tokens>
#first = #cleave.dims<tokens[0 of 2]>
#cache = #cleave.dims<slots, context>

module @share_of_the_tokens_for_a_state {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.state @k : tensor<?x?x4xf16, #cache>
    func.func @f(%x: tensor<?x4xf32, #tokens> {cleave.input = "x"},
                 %s: tensor<?xi32, #tokens> {cleave.input = "slots"},
                 %p: tensor<?xi32, #tokens> {cleave.input = "positions"}) {
      %a = cleave.share %x dim 0 : tensor<?x4xf32, #tokens> -> tensor<?x4xf32, #first>
      %t = cleave.share %s dim 0 : tensor<?xi32, #tokens> -> tensor<?xi32, #first>
      %q = cleave.share %p dim 0 : tensor<?xi32, #tokens> -> tensor<?xi32, #first>
      // expected-error@+1 {{it needs the whole dim}}
      %k = cleave.state_update @k, %a at %t, %q : (tensor<?x4xf32, #first>, tensor<?xi32, #first>, tensor<?xi32, #first>) -> tensor<?x?x4xf16, #cache>
      return
    }
  }
}

// -----

#tokens = #cleave.dims<tokens>
#first = #cleave.dims<tokens[0 of 2]>

module @share_as_an_output {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<?x4xf32, #tokens> {cleave.input = "x"})
        -> (tensor<?x4xf32, #first> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %a = cleave.share %x dim 0 : tensor<?x4xf32, #tokens> -> tensor<?x4xf32, #first>
      // expected-error@+1 {{gives as output 'y' only share 0 of 2 of dim 0 of 'x'; expected all of it}}
      return %a : tensor<?x4xf32, #first>
    }
  }
}

// -----

#first = #cleave.dims<tokens[0 of 2]>

module @share_as_an_input {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    // expected-error@+1 {{a share; inputs come whole, and cleave.share takes a share}}
    func.func @f(%x: tensor<?x4xf32, #first> {cleave.input = "x"}) {
      return
    }
  }
}

// -----

module @share_as_a_state {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    // expected-error@+1 {{a share; states are whole}}
    cleave.state @k : tensor<?x?x4xf16, #cleave.dims<slots[0 of 2], context>>
    func.func @f() {
      return
    }
  }
}
