// RUN: cleave-opt %s -split-input-file -cleave-remove-dead-communication | FileCheck %s

// A sum that nobody reads, and a message that carries it on.
// CHECK-LABEL: module @dead_on_all
// CHECK-NOT: all_reduce
// CHECK-NOT: silu
// CHECK-NOT: send
// CHECK-NOT: recv
// CHECK: return %arg0
module @dead_on_all {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
      %s = cleave.all_reduce sum %x group [0, 1] : tensor<4xf32>
      %y = cleave.silu %s : tensor<4xf32>
      cleave.send %y to 1 tag 0 : tensor<4xf32>
      return %x : tensor<4xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      %s = cleave.all_reduce sum %x group [0, 1] : tensor<4xf32>
      %r = cleave.recv from 0 tag 0 : tensor<4xf32>
      %y = cleave.silu %r : tensor<4xf32>
      return
    }
  }
}

// -----

// What one rank reads stays on both: all of it, whatever else they do meanwhile.
// CHECK-LABEL: module @needed_by_one
// CHECK-LABEL: module @rank0
// CHECK: %[[Y:.*]] = cleave.silu
// CHECK: cleave.all_reduce sum %[[Y]] group [0, 1]
// CHECK-NOT: cleave
// CHECK: return
// CHECK-LABEL: module @rank1
// CHECK: %[[S:.*]] = cleave.all_reduce sum
// CHECK-NOT: cleave
// CHECK: return %[[S]]
module @needed_by_one {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      %y = cleave.silu %x : tensor<4xf32>
      %s = cleave.all_reduce sum %y group [0, 1] : tensor<4xf32>
      %t = cleave.all_reduce sum %x group [0, 1] : tensor<4xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
      %s = cleave.all_reduce sum %x group [0, 1] : tensor<4xf32>
      %t = cleave.all_reduce sum %x group [0, 1] : tensor<4xf32>
      return %s : tensor<4xf32>
    }
  }
}

// -----

// The second of two messages on one way is read, the first is not; they are told apart by
// their order.
// CHECK-LABEL: module @one_of_two_messages
// CHECK-LABEL: module @rank0
// CHECK-NOT: silu
// CHECK: cleave.send %arg0 to 1 tag 1
// CHECK-NOT: send
// CHECK-LABEL: module @rank1
// CHECK-NOT: tag 0
// CHECK: %[[B:.*]] = cleave.recv from 0 tag 1
// CHECK: return %[[B]]
module @one_of_two_messages {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      %y = cleave.silu %x : tensor<4xf32>
      cleave.send %y to 1 tag 0 : tensor<4xf32>
      cleave.send %x to 1 tag 1 : tensor<4xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f() -> tensor<4xf32> {
      %a = cleave.recv from 0 tag 0 : tensor<4xf32>
      %b = cleave.recv from 0 tag 1 : tensor<4xf32>
      return %b : tensor<4xf32>
    }
  }
}

// -----

// A state is read by later steps: what is written into it is needed.
// CHECK-LABEL: module @state
// CHECK: cleave.all_reduce
// CHECK: cleave.state_update
// CHECK: cleave.all_reduce
module @state {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.state @k : tensor<?x?x8xf16, #cleave.dims<slots, context>>
    func.func @f(%x: tensor<4x8xf32>, %s: tensor<4xi32>, %p: tensor<4xi32>) {
      %a = cleave.all_reduce sum %x group [0, 1] : tensor<4x8xf32>
      %k = cleave.state_update @k, %a at %s, %p : (tensor<4x8xf32>, tensor<4xi32>, tensor<4xi32>)
        -> tensor<?x?x8xf16, #cleave.dims<slots, context>>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%x: tensor<4x8xf32>) {
      %a = cleave.all_reduce sum %x group [0, 1] : tensor<4x8xf32>
      return
    }
  }
}

// -----

// A sum over one group that nobody reads does not take along another group's.
// CHECK-LABEL: module @groups
// CHECK-LABEL: module @rank0
// CHECK-NOT: group [0, 1]
// CHECK: %[[B:.*]] = cleave.all_reduce sum %arg0 group [0, 2]
// CHECK: return %[[B]]
// CHECK-LABEL: module @rank1
// CHECK-NOT: all_reduce
// CHECK-LABEL: module @rank2
// CHECK: group [0, 2]
module @groups {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
      %a = cleave.all_reduce sum %x group [0, 1] : tensor<4xf32>
      %b = cleave.all_reduce sum %x group [0, 2] : tensor<4xf32>
      return %b : tensor<4xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      %a = cleave.all_reduce sum %x group [0, 1] : tensor<4xf32>
      return
    }
  }
  module @rank2 attributes {cleave.rank = 2 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      %b = cleave.all_reduce sum %x group [0, 2] : tensor<4xf32>
      return
    }
  }
}

// -----

// Ranks that do not fit together are cleave-verify-ranks' to explain.
// CHECK-LABEL: module @does_not_fit
// CHECK: cleave.all_reduce
// CHECK: cleave.all_reduce
// CHECK: cleave.all_reduce
module @does_not_fit {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4xf32>) {
      %a = cleave.all_reduce sum %x group [0, 1] : tensor<4xf32>
      %b = cleave.all_reduce sum %x group [0, 1] : tensor<4xf32>
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
