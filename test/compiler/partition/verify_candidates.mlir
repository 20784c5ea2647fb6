// RUN: cleave-opt %s -split-input-file -verify-diagnostics -cleave-verify-ranks

// What verify_partials.cpp proves of candidates: like summands, each share counts once, and
// none is missing where candidates are read as those of the whole vocabulary.

module @whole {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @output : tensor<5x8xf32> from none slice [0:5, 0:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x3x2xf32> {cleave.output = "candidates", cleave.owner = 0 : i64}) {
      %output = cleave.use @output : tensor<5x8xf32>
      %l = cleave.linear %x, %output {cleave.name = "logits"} : (tensor<2x8xf32>, tensor<5x8xf32>) -> tensor<2x5xf32>
      %c = cleave.top_k %l {cleave.name = "best"} : tensor<2x5xf32> -> tensor<2x3x2xf32>
      %w = cleave.all_reduce top %c group [0, 1] : tensor<2x3x2xf32>
      return %w : tensor<2x3x2xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @output : tensor<4x8xf32> from none slice [5:9, 0:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x3x2xf32> {cleave.output = "candidates", cleave.owner = 0 : i64}) {
      %output = cleave.use @output : tensor<4x8xf32>
      %l = cleave.linear %x, %output {cleave.name = "logits"} : (tensor<2x8xf32>, tensor<4x8xf32>) -> tensor<2x4xf32>
      %c = cleave.top_k %l {cleave.name = "best", offset = 5 : i64} : tensor<2x4xf32> -> tensor<2x3x2xf32>
      %w = cleave.all_reduce top %c group [0, 1] : tensor<2x3x2xf32>
      return %w : tensor<2x3x2xf32>
    }
  }
}

// -----

module @read_as_whole {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @output : tensor<5x8xf32> from none slice [0:5, 0:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x3x2xf32> {cleave.output = "candidates", cleave.owner = 0 : i64}) {
      %output = cleave.use @output : tensor<5x8xf32>
      %l = cleave.linear %x, %output {cleave.name = "logits"} : (tensor<2x8xf32>, tensor<5x8xf32>) -> tensor<2x5xf32>
      // expected-note@+1 {{the candidates are found here; expected an all_reduce top over the ranks that have the other elements}}
      %c = cleave.top_k %l {cleave.name = "best"} : tensor<2x5xf32> -> tensor<2x3x2xf32>
      // expected-error@+1 {{on rank 0 gives as output 'candidates' the value 'best', which is a rank's own candidates over elements 0:5 of 9}}
      return %c : tensor<2x3x2xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @output : tensor<4x8xf32> from none slice [5:9, 0:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x3x2xf32> {cleave.output = "candidates", cleave.owner = 0 : i64}) {
      %output = cleave.use @output : tensor<4x8xf32>
      %l = cleave.linear %x, %output {cleave.name = "logits"} : (tensor<2x8xf32>, tensor<4x8xf32>) -> tensor<2x4xf32>
      %c = cleave.top_k %l {cleave.name = "best", offset = 5 : i64} : tensor<2x4xf32> -> tensor<2x3x2xf32>
      return %c : tensor<2x3x2xf32>
    }
  }
}

// -----

// Ids would be those of other tokens.
module @wrong_offset {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @output : tensor<5x8xf32> from none slice [0:5, 0:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x3x2xf32> {cleave.output = "candidates", cleave.owner = 0 : i64}) {
      %output = cleave.use @output : tensor<5x8xf32>
      %l = cleave.linear %x, %output {cleave.name = "logits"} : (tensor<2x8xf32>, tensor<5x8xf32>) -> tensor<2x5xf32>
      %c = cleave.top_k %l {cleave.name = "best"} : tensor<2x5xf32> -> tensor<2x3x2xf32>
      %w = cleave.all_reduce top %c group [0, 1] : tensor<2x3x2xf32>
      return %w : tensor<2x3x2xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @output : tensor<4x8xf32> from none slice [5:9, 0:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x3x2xf32> {cleave.output = "candidates", cleave.owner = 0 : i64}) {
      %output = cleave.use @output : tensor<4x8xf32>
      %l = cleave.linear %x, %output {cleave.name = "logits"} : (tensor<2x8xf32>, tensor<4x8xf32>) -> tensor<2x4xf32>
      // expected-error@+1 {{on rank 1 has offset 4 : i64, but the elements that it reads ask for 5 : i64}}
      %c = cleave.top_k %l {cleave.name = "best", offset = 4 : i64} : tensor<2x4xf32> -> tensor<2x3x2xf32>
      %w = cleave.all_reduce top %c group [0, 1] : tensor<2x3x2xf32>
      return %w : tensor<2x3x2xf32>
    }
  }
}

// -----

module @share_twice {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @output : tensor<5x8xf32> from none slice [0:5, 0:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x3x2xf32> {cleave.output = "candidates", cleave.owner = 0 : i64}) {
      %output = cleave.use @output : tensor<5x8xf32>
      %l = cleave.linear %x, %output {cleave.name = "logits"} : (tensor<2x8xf32>, tensor<5x8xf32>) -> tensor<2x5xf32>
      // expected-note@+1 {{the candidates are found here}}
      %c = cleave.top_k %l {cleave.name = "best"} : tensor<2x5xf32> -> tensor<2x3x2xf32>
      // expected-error@+1 {{takes the best of the candidates over elements 4:5 of 9 twice, from rank 0 and from rank 1}}
      %w = cleave.all_reduce top %c group [0, 1] : tensor<2x3x2xf32>
      return %w : tensor<2x3x2xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @output : tensor<5x8xf32> from none slice [4:9, 0:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x3x2xf32> {cleave.output = "candidates", cleave.owner = 0 : i64}) {
      %output = cleave.use @output : tensor<5x8xf32>
      %l = cleave.linear %x, %output {cleave.name = "logits"} : (tensor<2x8xf32>, tensor<5x8xf32>) -> tensor<2x5xf32>
      %c = cleave.top_k %l {cleave.name = "best", offset = 4 : i64} : tensor<2x5xf32> -> tensor<2x3x2xf32>
      %w = cleave.all_reduce top %c group [0, 1] : tensor<2x3x2xf32>
      return %w : tensor<2x3x2xf32>
    }
  }
}

// -----

// Whole candidates once more: each would be there twice.
module @again {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @output : tensor<5x8xf32> from none slice [0:5, 0:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x3x2xf32> {cleave.output = "candidates", cleave.owner = 0 : i64}) {
      %output = cleave.use @output : tensor<5x8xf32>
      %l = cleave.linear %x, %output {cleave.name = "logits"} : (tensor<2x8xf32>, tensor<5x8xf32>) -> tensor<2x5xf32>
      %c = cleave.top_k %l {cleave.name = "best"} : tensor<2x5xf32> -> tensor<2x3x2xf32>
      %w = cleave.all_reduce top %c group [0, 1] : tensor<2x3x2xf32>
      // expected-error@+1 {{takes the best of 'best', which is no rank's own candidates on any rank of the group, and so counts it 2 times}}
      %z = cleave.all_reduce top %w group [0, 1] : tensor<2x3x2xf32>
      return %z : tensor<2x3x2xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @output : tensor<4x8xf32> from none slice [5:9, 0:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x3x2xf32> {cleave.output = "candidates", cleave.owner = 0 : i64}) {
      %output = cleave.use @output : tensor<4x8xf32>
      %l = cleave.linear %x, %output {cleave.name = "logits"} : (tensor<2x8xf32>, tensor<4x8xf32>) -> tensor<2x4xf32>
      %c = cleave.top_k %l {cleave.name = "best", offset = 5 : i64} : tensor<2x4xf32> -> tensor<2x3x2xf32>
      %w = cleave.all_reduce top %c group [0, 1] : tensor<2x3x2xf32>
      %z = cleave.all_reduce top %w group [0, 1] : tensor<2x3x2xf32>
      return %z : tensor<2x3x2xf32>
    }
  }
}

// -----

module @added_up {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @output : tensor<5x8xf32> from none slice [0:5, 0:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x3x2xf32> {cleave.output = "candidates", cleave.owner = 0 : i64}) {
      %output = cleave.use @output : tensor<5x8xf32>
      %l = cleave.linear %x, %output {cleave.name = "logits"} : (tensor<2x8xf32>, tensor<5x8xf32>) -> tensor<2x5xf32>
      // expected-note@+1 {{the candidates are found here; expected an all_reduce top}}
      %c = cleave.top_k %l {cleave.name = "best"} : tensor<2x5xf32> -> tensor<2x3x2xf32>
      // expected-error@+1 {{on rank 0 adds up 'best', which is a rank's own candidates over elements 0:5 of 9}}
      %w = cleave.all_reduce sum %c group [0, 1] : tensor<2x3x2xf32>
      return %w : tensor<2x3x2xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @output : tensor<4x8xf32> from none slice [5:9, 0:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x3x2xf32> {cleave.output = "candidates", cleave.owner = 0 : i64}) {
      %output = cleave.use @output : tensor<4x8xf32>
      %l = cleave.linear %x, %output {cleave.name = "logits"} : (tensor<2x8xf32>, tensor<4x8xf32>) -> tensor<2x4xf32>
      %c = cleave.top_k %l {cleave.name = "best", offset = 5 : i64} : tensor<2x4xf32> -> tensor<2x3x2xf32>
      %w = cleave.all_reduce sum %c group [0, 1] : tensor<2x3x2xf32>
      return %w : tensor<2x3x2xf32>
    }
  }
}

// -----

// No op is linear in candidates, not even one that is in sums.
module @sliced {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @output : tensor<5x8xf32> from none slice [0:5, 0:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x3x2xf32> {cleave.output = "candidates", cleave.owner = 0 : i64}) {
      %output = cleave.use @output : tensor<5x8xf32>
      %l = cleave.linear %x, %output {cleave.name = "logits"} : (tensor<2x8xf32>, tensor<5x8xf32>) -> tensor<2x5xf32>
      // expected-note@+1 {{the candidates are found here}}
      %c = cleave.top_k %l {cleave.name = "best"} : tensor<2x5xf32> -> tensor<2x3x2xf32>
      // expected-error@+1 {{on rank 0 needs a whole value, but reads 'best', which is a rank's own candidates over elements 0:5 of 9}}
      %a = cleave.add %c, %c : tensor<2x3x2xf32>, tensor<2x3x2xf32>
      %w = cleave.all_reduce top %a group [0, 1] : tensor<2x3x2xf32>
      return %w : tensor<2x3x2xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @output : tensor<4x8xf32> from none slice [5:9, 0:8]
    func.func @f(%x: tensor<2x8xf32> {cleave.input = "x"})
        -> (tensor<2x3x2xf32> {cleave.output = "candidates", cleave.owner = 0 : i64}) {
      %output = cleave.use @output : tensor<4x8xf32>
      %l = cleave.linear %x, %output {cleave.name = "logits"} : (tensor<2x8xf32>, tensor<4x8xf32>) -> tensor<2x4xf32>
      %c = cleave.top_k %l {cleave.name = "best", offset = 5 : i64} : tensor<2x4xf32> -> tensor<2x3x2xf32>
      %a = cleave.add %c, %c : tensor<2x3x2xf32>, tensor<2x3x2xf32>
      %w = cleave.all_reduce top %a group [0, 1] : tensor<2x3x2xf32>
      return %w : tensor<2x3x2xf32>
    }
  }
}

// -----

// A partial sum is no value to choose from, nor are its summands candidates.
module @of_a_partial_sum {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<2x4xf32> {cleave.input = "x"}) -> (tensor<2x3x2xf32> {cleave.output = "candidates", cleave.owner = 0 : i64}) {
      %w = cleave.use @w : tensor<8x2xf32>
      %s = cleave.slice %x dim 1 from 0 : tensor<2x4xf32> -> tensor<2x2xf32>
      // expected-note@+1 {{the partial sum is made here}}
      %l = cleave.linear %s, %w {cleave.name = "logits"} : (tensor<2x2xf32>, tensor<8x2xf32>) -> tensor<2x8xf32>
      // expected-error@+1 {{(best) on rank 0 needs a whole value, but reads 'logits', which is a partial sum over elements 0:2 of 4 (weight 'w')}}
      %c = cleave.top_k %l {cleave.name = "best"} : tensor<2x8xf32> -> tensor<2x3x2xf32>
      %t = cleave.all_reduce top %c group [0, 1] : tensor<2x3x2xf32>
      return %t : tensor<2x3x2xf32>
    }
    cleave.weight @w : tensor<8x2xf32> from none slice [0:8, 0:2]
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%x: tensor<2x4xf32> {cleave.input = "x"}) -> (tensor<2x3x2xf32> {cleave.output = "candidates", cleave.owner = 0 : i64}) {
      %w = cleave.use @w : tensor<8x2xf32>
      %s = cleave.slice %x dim 1 from 2 : tensor<2x4xf32> -> tensor<2x2xf32>
      %l = cleave.linear %s, %w {cleave.name = "logits"} : (tensor<2x2xf32>, tensor<8x2xf32>) -> tensor<2x8xf32>
      %c = cleave.top_k %l {cleave.name = "best"} : tensor<2x8xf32> -> tensor<2x3x2xf32>
      %t = cleave.all_reduce top %c group [0, 1] : tensor<2x3x2xf32>
      return %t : tensor<2x3x2xf32>
    }
    cleave.weight @w : tensor<8x2xf32> from none slice [0:8, 2:4]
  }
}
