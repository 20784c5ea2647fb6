// RUN: cleave-opt %s -split-input-file -verify-diagnostics -cleave-verify-ranks

// Two stages of two ranks that fit together.
module @good {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4x2xf32>) {
      %a = cleave.all_reduce sum %x group [0, 1] : tensor<4x2xf32>
      cleave.send %a to 2 tag 0 : tensor<4x2xf32>
      %b = cleave.all_gather %x dim 1 ranges [0:2, 2:3] group [0, 1] : tensor<4x2xf32> -> tensor<4x3xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%x: tensor<4x2xf32>, %y: tensor<4x1xf32>) {
      %a = cleave.all_reduce sum %x group [0, 1] : tensor<4x2xf32>
      %b = cleave.all_gather %y dim 1 ranges [0:2, 2:3] group [0, 1] : tensor<4x1xf32> -> tensor<4x3xf32>
      return
    }
  }
  module @rank2 attributes {cleave.rank = 2 : i64} {
    func.func @f() -> (tensor<4x2xf32> {cleave.output = "y", cleave.owner = 2 : i64}) {
      %a = cleave.recv from 0 tag 0 : tensor<4x2xf32>
      return %a : tensor<4x2xf32>
    }
  }
}

// -----

module @deleted_send {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    // expected-note@+1 {{rank 0 has ended}}
    func.func @f(%x: tensor<4xf32>) {
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f() {
      // expected-error@+1 {{'cleave.recv' op on rank 1 receives from rank 0, which never comes to its part of it}}
      %a = cleave.recv from 0 tag 0 : tensor<4xf32>
      return
    }
  }
}

// -----

module @deleted_recv {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      // expected-error@+1 {{'cleave.send' op on rank 0 sends to rank 1, which never comes to its part of it}}
      cleave.send %x to 1 tag 0 : tensor<4xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    // expected-note@+1 {{rank 1 has ended}}
    func.func @f() {
      return
    }
  }
}

// -----

// One of two sends is deleted: the first that does not fit is named, with its partner.
module @deleted_first_of_two {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      // expected-error@+1 {{'cleave.send' op on rank 0 sends to rank 1 with tag 1, which waits for tag 0}}
      cleave.send %x to 1 tag 1 {cleave.name = "second"} : tensor<4xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f() {
      // expected-note@+1 {{rank 1 is at 'cleave.recv' here (first)}}
      %a = cleave.recv from 0 tag 0 {cleave.name = "first"} : tensor<4xf32>
      %b = cleave.recv from 0 tag 1 {cleave.name = "second"} : tensor<4xf32>
      return
    }
  }
}

// -----

module @swapped_sends {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      // expected-error@+1 {{with tag 1, which waits for tag 0}}
      cleave.send %x to 1 tag 1 : tensor<4xf32>
      cleave.send %x to 1 tag 0 : tensor<4xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f() {
      // expected-note@+1 {{rank 1 is at 'cleave.recv' here}}
      %a = cleave.recv from 0 tag 0 : tensor<4xf32>
      %b = cleave.recv from 0 tag 1 : tensor<4xf32>
      return
    }
  }
}

// -----

module @resized_send {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<5xf32>) {
      // expected-error@+1 {{sends another type than its peer receives: 'tensor<5xf32>' and 'tensor<4xf32>'}}
      cleave.send %x to 1 tag 0 : tensor<5xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f() {
      // expected-note@+1 {{rank 1 is at 'cleave.recv' here}}
      %a = cleave.recv from 0 tag 0 : tensor<4xf32>
      return
    }
  }
}

// -----

// Run-time sizes are equal only if their names are.
module @renamed_size {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<?xf32, #cleave.dims<tokens>>) {
      // expected-error@+1 {{sends another type than its peer receives}}
      cleave.send %x to 1 tag 0 : tensor<?xf32, #cleave.dims<tokens>>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f() {
      // expected-note@+1 {{rank 1 is at 'cleave.recv' here}}
      %a = cleave.recv from 0 tag 0 : tensor<?xf32, #cleave.dims<rows>>
      return
    }
  }
}

// -----

// Sent to the wrong rank: the peer's own partner is another.
module @redirected {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      // expected-error@+1 {{'cleave.send' op on rank 0 sends to rank 2, which never comes to its part of it}}
      cleave.send %x to 2 tag 0 : tensor<4xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f() {
      %a = cleave.recv from 0 tag 0 : tensor<4xf32>
      return
    }
  }
  module @rank2 attributes {cleave.rank = 2 : i64} {
    // expected-note@+1 {{rank 2 has ended}}
    func.func @f() {
      return
    }
  }
}

// -----

module @deleted_collective {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      // expected-error@+1 {{'cleave.all_reduce' op on rank 0 meets rank 1, which never comes to its part of it}}
      %a = cleave.all_reduce sum %x group [0, 1] : tensor<4xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    // expected-note@+1 {{rank 1 has ended}}
    func.func @f(%x: tensor<4xf32>) {
      return
    }
  }
}

// -----

module @other_collective {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      // expected-error@+1 {{'cleave.all_reduce' op on rank 0 does not meet the same collective of the same group on rank 1}}
      %a = cleave.all_reduce sum %x group [0, 1] : tensor<4xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      // expected-note@+1 {{rank 1 is at 'cleave.broadcast' here}}
      %a = cleave.broadcast %x group [0, 1] : tensor<4xf32>
      return
    }
  }
}

// -----

module @other_order_in_group {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      // expected-error@+1 {{does not meet the same collective of the same group on rank 1}}
      %a = cleave.broadcast %x group [0, 1] : tensor<4xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      // expected-note@+1 {{rank 1 is at 'cleave.broadcast' here}}
      %a = cleave.broadcast %x group [1, 0] : tensor<4xf32>
      return
    }
  }
}

// -----

module @resized_collective {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      // expected-error@+1 {{has another type than on rank 1: 'tensor<4xf32>' and 'tensor<5xf32>'}}
      %a = cleave.all_reduce sum %x group [0, 1] : tensor<4xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%x: tensor<5xf32>) {
      // expected-note@+1 {{rank 1 is at 'cleave.all_reduce' here}}
      %a = cleave.all_reduce sum %x group [0, 1] : tensor<5xf32>
      return
    }
  }
}

// -----

module @other_ranges {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<2xf32>) {
      // expected-error@+1 {{differs in ranges from the same collective on rank 1}}
      %a = cleave.all_gather %x dim 0 ranges [0:2, 1:3] group [0, 1] : tensor<2xf32> -> tensor<3xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%x: tensor<1xf32>) {
      // expected-note@+1 {{rank 1 is at 'cleave.all_gather' here}}
      %a = cleave.all_gather %x dim 0 ranges [0:2, 2:3] group [0, 1] : tensor<1xf32> -> tensor<3xf32>
      return
    }
  }
}

// -----

module @other_dim {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4x4xf32>) {
      // expected-error@+1 {{differs in dim from the same collective on rank 1}}
      %a = cleave.reduce_scatter sum %x dim 0 ranges [0:2, 2:4] group [0, 1] : tensor<4x4xf32> -> tensor<2x4xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%x: tensor<4x4xf32>) {
      // expected-note@+1 {{rank 1 is at 'cleave.reduce_scatter' here}}
      %a = cleave.reduce_scatter sum %x dim 1 ranges [0:2, 2:4] group [0, 1] : tensor<4x4xf32> -> tensor<4x2xf32>
      return
    }
  }
}

// -----

// The share that a rank has is that of its place in the group, not of another's.
module @wrong_share {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<1xf32>) {
      // expected-error@+1 {{on rank 0 has a share of 1 elements, but its range is 0:2}}
      %a = cleave.all_gather %x dim 0 ranges [0:2, 2:3] group [0, 1] : tensor<1xf32> -> tensor<3xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%x: tensor<1xf32>) {
      %a = cleave.all_gather %x dim 0 ranges [0:2, 2:3] group [0, 1] : tensor<1xf32> -> tensor<3xf32>
      return
    }
  }
}

// -----

// A collective moved past another: both ranks wait.
module @moved_collective {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4xf32>, %y: tensor<8xf32>) {
      // expected-error@+1 {{has another type than on rank 1}}
      %a = cleave.all_reduce sum %x group [0, 1] : tensor<4xf32>
      %b = cleave.all_reduce sum %y group [0, 1] : tensor<8xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%x: tensor<4xf32>, %y: tensor<8xf32>) {
      // expected-note@+1 {{rank 1 is at 'cleave.all_reduce' here}}
      %b = cleave.all_reduce sum %y group [0, 1] : tensor<8xf32>
      %a = cleave.all_reduce sum %x group [0, 1] : tensor<4xf32>
      return
    }
  }
}

// -----

// A send moved behind a collective, which its peer joins only after the receive.
module @moved_send {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      // expected-error@+1 {{'cleave.all_reduce' op on rank 0 meets rank 1, which never comes to its part of it}}
      %a = cleave.all_reduce sum %x group [0, 1] : tensor<4xf32>
      cleave.send %x to 1 tag 0 : tensor<4xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      // expected-note@+1 {{rank 1 is at 'cleave.recv' here}}
      %b = cleave.recv from 0 tag 0 : tensor<4xf32>
      %a = cleave.all_reduce sum %x group [0, 1] : tensor<4xf32>
      return
    }
  }
}

// -----

// Under synchronous sends each waits for the next.
module @cycle {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      // expected-error@+1 {{'cleave.send' op on rank 0 waits in a cycle of ranks that wait for each other}}
      cleave.send %x to 1 tag 0 : tensor<4xf32>
      %a = cleave.recv from 2 tag 0 : tensor<4xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      // expected-note@+1 {{rank 1 waits at 'cleave.send' here (there)}}
      cleave.send %x to 2 tag 0 {cleave.name = "there"} : tensor<4xf32>
      %a = cleave.recv from 0 tag 0 : tensor<4xf32>
      return
    }
  }
  module @rank2 attributes {cleave.rank = 2 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      // expected-note@+1 {{rank 2 waits at 'cleave.send' here}}
      cleave.send %x to 0 tag 0 : tensor<4xf32>
      %a = cleave.recv from 1 tag 0 : tensor<4xf32>
      return
    }
  }
}

// -----

module @unknown_rank {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      // expected-error@+1 {{'cleave.send' op on rank 0 names rank 2, but there are only 1 ranks}}
      cleave.send %x to 2 tag 0 : tensor<4xf32>
      return
    }
  }
}

// -----

module @own_rank {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      // expected-error@+1 {{'cleave.send' op on rank 0 names its own rank}}
      cleave.send %x to 0 tag 0 : tensor<4xf32>
      return
    }
  }
}

// -----

module @not_a_member {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      // expected-error@+1 {{'cleave.all_reduce' op on rank 0 has a group that lacks this rank}}
      %a = cleave.all_reduce sum %x group [1] : tensor<4xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      return
    }
  }
}

// -----

module @missing_rank {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f() {
      return
    }
  }
  // expected-error@+1 {{rank 2 follows rank 0; ranks are numbered from 0 without gaps}}
  module @rank2 attributes {cleave.rank = 2 : i64} {
    func.func @f() {
      return
    }
  }
}

// -----

module @missing_first {
  // expected-error@+1 {{ranks are numbered from 0 without gaps}}
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f() {
      return
    }
  }
}

// -----

module @twice {
  // expected-note@+1 {{first here}}
  module @one attributes {cleave.rank = 0 : i64} {}
  // expected-error@+1 {{rank 0 is there twice}}
  module @two attributes {cleave.rank = 0 : i64} {}
}

// -----

module @without_number {
  // expected-error@+1 {{a rank's module has no cleave.rank}}
  module @rank0 {}
}

// -----

// expected-error@+1 {{has no rank's module, expected the rank form}}
module @no_ranks {}

// -----

module @missing_entry {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f() {
      return
    }
  }
  // expected-error@+1 {{rank 1 has no entry 'f', which other ranks have}}
  module @rank1 attributes {cleave.rank = 1 : i64} {}
}

// -----

module @output_without_owner {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    // expected-error@+1 {{on rank 0 has result 0 without cleave.output and cleave.owner}}
    func.func @f(%x: tensor<4xf32>) -> (tensor<4xf32> {cleave.output = "y"}) {
      return %x : tensor<4xf32>
    }
  }
}

// -----

module @two_owners {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    // expected-note@+1 {{rank 0 is said here}}
    func.func @f(%x: tensor<4xf32>) -> (tensor<4xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      return %x : tensor<4xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    // expected-error@+1 {{on rank 1 says that rank 1 owns output "y"}}
    func.func @f(%x: tensor<4xf32>) -> (tensor<4xf32> {cleave.output = "y", cleave.owner = 1 : i64}) {
      return %x : tensor<4xf32>
    }
  }
}

// -----

module @owner_without_output {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    // expected-error@+1 {{says that rank 0 owns output "y", but that rank does not give it}}
    func.func @f(%x: tensor<4xf32>) -> (tensor<4xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      return %x : tensor<4xf32>
    }
  }
}

// -----

module @output_twice {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    // expected-error@+1 {{on rank 0 gives output "y" twice}}
    func.func @f(%x: tensor<4xf32>) -> (tensor<4xf32> {cleave.output = "y", cleave.owner = 0 : i64},
                                        tensor<4xf32> {cleave.output = "y", cleave.owner = 0 : i64}) {
      return %x, %x : tensor<4xf32>, tensor<4xf32>
    }
  }
}
