// A decision is made once: what follows from it is the same on all ranks only if they
// have it from one of them.
// RUN: cleave-opt %s -split-input-file -verify-diagnostics -cleave-verify-ranks

// The first member of the group decides, whichever rank that is.
module @broadcast {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @experts : tensor<1x8x8xf32> from none slice [0:1, 0:8, 0:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"}, %l: tensor<2x2xf32> {cleave.input = "l"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %e = cleave.use @experts : tensor<1x8x8xf32>
      %own = cleave.route %l {cleave.name = "route"} : tensor<2x2xf32> -> tensor<2x1xi32>
      %c = cleave.broadcast %own group [1, 0] : tensor<2x1xi32>
      %w = cleave.route_weights %l, %c : tensor<2x2xf32>, tensor<2x1xi32> -> tensor<2x1xf32>
      %p = cleave.moe %x to %c, %w through %e, %e, %e
        : (tensor<2x8xf32>, tensor<2x1xi32>, tensor<2x1xf32>, tensor<1x8x8xf32>, tensor<1x8x8xf32>, tensor<1x8x8xf32>) -> tensor<2x8xf32>
      %y = cleave.all_reduce sum %p group [0, 1] : tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @experts : tensor<1x8x8xf32> from none slice [1:2, 0:8, 0:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"}, %l: tensor<2x2xf32> {cleave.input = "l"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %e = cleave.use @experts : tensor<1x8x8xf32>
      %own = cleave.route %l {cleave.name = "route"} : tensor<2x2xf32> -> tensor<2x1xi32>
      %c = cleave.broadcast %own group [1, 0] : tensor<2x1xi32>
      %w = cleave.route_weights %l, %c : tensor<2x2xf32>, tensor<2x1xi32> -> tensor<2x1xf32>
      %p = cleave.moe %x to %c, %w through %e, %e, %e {first_expert = 1 : i64}
        : (tensor<2x8xf32>, tensor<2x1xi32>, tensor<2x1xf32>, tensor<1x8x8xf32>, tensor<1x8x8xf32>, tensor<1x8x8xf32>) -> tensor<2x8xf32>
      %y = cleave.all_reduce sum %p group [0, 1] : tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
}

// -----

module @no_broadcast {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @experts : tensor<1x8x8xf32> from none slice [0:1, 0:8, 0:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"}, %l: tensor<2x2xf32> {cleave.input = "l"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %e = cleave.use @experts : tensor<1x8x8xf32>
      %c = cleave.route %l {cleave.name = "route"} : tensor<2x2xf32> -> tensor<2x1xi32>
      %w = cleave.route_weights %l, %c : tensor<2x2xf32>, tensor<2x1xi32> -> tensor<2x1xf32>
      %p = cleave.moe %x to %c, %w through %e, %e, %e
        : (tensor<2x8xf32>, tensor<2x1xi32>, tensor<2x1xf32>, tensor<1x8x8xf32>, tensor<1x8x8xf32>, tensor<1x8x8xf32>) -> tensor<2x8xf32>
      %y = cleave.all_reduce sum %p group [0, 1] : tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @experts : tensor<1x8x8xf32> from none slice [1:2, 0:8, 0:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"}, %l: tensor<2x2xf32> {cleave.input = "l"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %e = cleave.use @experts : tensor<1x8x8xf32>
      // expected-note@+1 {{rank 1 decides here; expected a broadcast of the decision of rank 0}}
      %c = cleave.route %l {cleave.name = "route"} : tensor<2x2xf32> -> tensor<2x1xi32>
      %w = cleave.route_weights %l, %c : tensor<2x2xf32>, tensor<2x1xi32> -> tensor<2x1xf32>
      %p = cleave.moe %x to %c, %w through %e, %e, %e {first_expert = 1 : i64}
        : (tensor<2x8xf32>, tensor<2x1xi32>, tensor<2x1xf32>, tensor<1x8x8xf32>, tensor<1x8x8xf32>, tensor<1x8x8xf32>) -> tensor<2x8xf32>
      // expected-error@+1 {{on rank 1 puts together what follows from 'route' as rank 0 and as rank 1 decided it}}
      %y = cleave.all_reduce sum %p group [0, 1] : tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
}

// -----

// A rank that has the broadcast, but uses its own decision beside it.
module @own_beside {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @experts : tensor<1x8x8xf32> from none slice [0:1, 0:8, 0:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"}, %l: tensor<2x2xf32> {cleave.input = "l"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %e = cleave.use @experts : tensor<1x8x8xf32>
      %own = cleave.route %l {cleave.name = "route"} : tensor<2x2xf32> -> tensor<2x1xi32>
      %c = cleave.broadcast %own group [0, 1] : tensor<2x1xi32>
      %w = cleave.route_weights %l, %c : tensor<2x2xf32>, tensor<2x1xi32> -> tensor<2x1xf32>
      %p = cleave.moe %x to %c, %w through %e, %e, %e
        : (tensor<2x8xf32>, tensor<2x1xi32>, tensor<2x1xf32>, tensor<1x8x8xf32>, tensor<1x8x8xf32>, tensor<1x8x8xf32>) -> tensor<2x8xf32>
      %y = cleave.all_reduce sum %p group [0, 1] : tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @experts : tensor<1x8x8xf32> from none slice [1:2, 0:8, 0:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"}, %l: tensor<2x2xf32> {cleave.input = "l"})
        -> (tensor<2x8xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %e = cleave.use @experts : tensor<1x8x8xf32>
      // expected-note@+1 {{rank 1 decides here}}
      %own = cleave.route %l {cleave.name = "route"} : tensor<2x2xf32> -> tensor<2x1xi32>
      %c = cleave.broadcast %own group [0, 1] : tensor<2x1xi32>
      %w = cleave.route_weights %l, %own : tensor<2x2xf32>, tensor<2x1xi32> -> tensor<2x1xf32>
      // expected-error@+1 {{on rank 1 reads what follows from 'route' as rank 0 and as rank 1 decided it}}
      %p = cleave.moe %x to %c, %w through %e, %e, %e {first_expert = 1 : i64}
        : (tensor<2x8xf32>, tensor<2x1xi32>, tensor<2x1xf32>, tensor<1x8x8xf32>, tensor<1x8x8xf32>, tensor<1x8x8xf32>) -> tensor<2x8xf32>
      %y = cleave.all_reduce sum %p group [0, 1] : tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
  }
}

// -----

// Nothing is put together, but both ranks give the result.
module @returned {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%l: tensor<2x2xf32> {cleave.input = "l"})
        -> (tensor<2x1xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %c = cleave.route %l {cleave.name = "route"} : tensor<2x2xf32> -> tensor<2x1xi32>
      %y = cleave.route_weights %l, %c : tensor<2x2xf32>, tensor<2x1xi32> -> tensor<2x1xf32>
      return %y : tensor<2x1xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%l: tensor<2x2xf32> {cleave.input = "l"})
        -> (tensor<2x1xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      // expected-note@+1 {{rank 1 decides here}}
      %c = cleave.route %l {cleave.name = "route"} : tensor<2x2xf32> -> tensor<2x1xi32>
      %y = cleave.route_weights %l, %c : tensor<2x2xf32>, tensor<2x1xi32> -> tensor<2x1xf32>
      // expected-error@+1 {{on rank 1 gives beside other ranks what follows from 'route' as rank 0 and as rank 1 decided it}}
      return %y : tensor<2x1xf32>
    }
  }
}

// -----

// Ranks that decide for different tokens: nothing is decided twice.
module @other_tokens {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%l: tensor<4x2xf32> {cleave.input = "l"})
        -> (tensor<4x1xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %own = cleave.slice %l dim 0 from 0 : tensor<4x2xf32> -> tensor<2x2xf32>
      %c = cleave.route %own : tensor<2x2xf32> -> tensor<2x1xi32>
      %w = cleave.route_weights %own, %c : tensor<2x2xf32>, tensor<2x1xi32> -> tensor<2x1xf32>
      %y = cleave.all_gather %w dim 0 ranges [0:2, 2:4] group [0, 1] : tensor<2x1xf32> -> tensor<4x1xf32>
      return %y : tensor<4x1xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%l: tensor<4x2xf32> {cleave.input = "l"})
        -> (tensor<4x1xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      %own = cleave.slice %l dim 0 from 2 : tensor<4x2xf32> -> tensor<2x2xf32>
      %c = cleave.route %own : tensor<2x2xf32> -> tensor<2x1xi32>
      %w = cleave.route_weights %own, %c : tensor<2x2xf32>, tensor<2x1xi32> -> tensor<2x1xf32>
      %y = cleave.all_gather %w dim 0 ranges [0:2, 2:4] group [0, 1] : tensor<2x1xf32> -> tensor<4x1xf32>
      return %y : tensor<4x1xf32>
    }
  }
}
