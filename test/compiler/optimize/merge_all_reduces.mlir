// RUN: cleave-opt %s -split-input-file -cleave-merge-all-reduces | FileCheck %s

// Two sums, and what needs the first stands behind both.
// CHECK-LABEL: module @two
// CHECK-LABEL: module @rank0
// CHECK: %[[Q:.*]] = cleave.silu %arg1
// CHECK-NEXT: %[[A:.*]], %b = cleave.merged_all_reduce sum %arg0, %[[Q]] group [0, 1] {names = ["", "b"]} : (tensor<4xf32>, tensor<2x3xf32>) -> (tensor<4xf32>, tensor<2x3xf32>)
// CHECK-NEXT: %[[C:.*]] = cleave.silu %[[A]]
// CHECK-NEXT: %[[D:.*]] = cleave.silu %[[C]]
// CHECK-NEXT: return %[[D]], %b
// CHECK-LABEL: module @rank1
// CHECK: cleave.merged_all_reduce sum %arg0, %arg1 group [0, 1]
module @two {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%p: tensor<4xf32>, %x: tensor<2x3xf32>) -> (tensor<4xf32>, tensor<2x3xf32>) {
      %a = cleave.all_reduce sum %p group [0, 1] : tensor<4xf32>
      %c = cleave.silu %a : tensor<4xf32>
      %q = cleave.silu %x : tensor<2x3xf32>
      %d = cleave.silu %c : tensor<4xf32>
      %b = cleave.all_reduce sum %q group [0, 1] {cleave.name = "b"} : tensor<2x3xf32>
      return %d, %b : tensor<4xf32>, tensor<2x3xf32>
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%p: tensor<4xf32>, %q: tensor<2x3xf32>) {
      %a = cleave.all_reduce sum %p group [0, 1] : tensor<4xf32>
      %b = cleave.all_reduce sum %q group [0, 1] : tensor<2x3xf32>
      return
    }
  }
}

// -----

// On rank 1 the second sum needs the first: rank 0 does not merge either.
// CHECK-LABEL: module @needed_on_one
// CHECK-NOT: merged
module @needed_on_one {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%p: tensor<4xf32>) {
      %a = cleave.all_reduce sum %p group [0, 1] : tensor<4xf32>
      %b = cleave.all_reduce sum %p group [0, 1] : tensor<4xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%p: tensor<4xf32>) {
      %a = cleave.all_reduce sum %p group [0, 1] : tensor<4xf32>
      %c = cleave.silu %a : tensor<4xf32>
      %b = cleave.all_reduce sum %c group [0, 1] : tensor<4xf32>
      return
    }
  }
}

// -----

// Rank 1 does something else in between; rank 2, in no group with rank 1, does not.
// CHECK-LABEL: module @message_between
// CHECK-LABEL: module @rank0
// CHECK-COUNT-2: cleave.all_reduce sum
// CHECK-LABEL: module @rank1
// CHECK: cleave.all_reduce
// CHECK-NEXT: cleave.send
// CHECK-NEXT: cleave.all_reduce
// CHECK-LABEL: module @rank2
module @message_between {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%p: tensor<4xf32>) {
      %a = cleave.all_reduce sum %p group [0, 1] : tensor<4xf32>
      %b = cleave.all_reduce sum %p group [0, 1] : tensor<4xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%p: tensor<4xf32>) {
      %a = cleave.all_reduce sum %p group [0, 1] : tensor<4xf32>
      cleave.send %a to 2 tag 0 : tensor<4xf32>
      %b = cleave.all_reduce sum %p group [0, 1] : tensor<4xf32>
      return
    }
  }
  module @rank2 attributes {cleave.rank = 2 : i64} {
    func.func @f() {
      %a = cleave.recv from 1 tag 0 : tensor<4xf32>
      return
    }
  }
}

// -----

// Three of one group are one message, the one of another group stays; so does what is not a
// sum.
// CHECK-LABEL: module @groups
// CHECK-LABEL: module @rank0
// CHECK: %{{.*}}:3 = cleave.merged_all_reduce sum %arg0, %arg0, %arg0 group [0, 1]
// CHECK: cleave.all_reduce sum %arg0 group [1, 0]
// CHECK-COUNT-2: cleave.all_reduce top %arg1 group [0, 1]
// CHECK-LABEL: module @rank1
// CHECK: %{{.*}}:3 = cleave.merged_all_reduce
module @groups {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%p: tensor<4xf32>, %t: tensor<4x2x2xf32>) {
      %a = cleave.all_reduce sum %p group [0, 1] : tensor<4xf32>
      %b = cleave.all_reduce sum %p group [0, 1] : tensor<4xf32>
      %c = cleave.all_reduce sum %p group [0, 1] : tensor<4xf32>
      %d = cleave.all_reduce sum %p group [1, 0] : tensor<4xf32>
      %e = cleave.all_reduce top %t group [0, 1] : tensor<4x2x2xf32>
      %f = cleave.all_reduce top %t group [0, 1] : tensor<4x2x2xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%p: tensor<4xf32>, %t: tensor<4x2x2xf32>) {
      %a = cleave.all_reduce sum %p group [0, 1] : tensor<4xf32>
      %b = cleave.all_reduce sum %p group [0, 1] : tensor<4xf32>
      %c = cleave.all_reduce sum %p group [0, 1] : tensor<4xf32>
      %d = cleave.all_reduce sum %p group [1, 0] : tensor<4xf32>
      %e = cleave.all_reduce top %t group [0, 1] : tensor<4x2x2xf32>
      %f = cleave.all_reduce top %t group [0, 1] : tensor<4x2x2xf32>
      return
    }
  }
}

// -----

// A state is written from the first sum; what is written and read keeps its order.
// CHECK-LABEL: module @state_between
// CHECK-NOT: merged
module @state_between {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.state @k : tensor<?x?x8xf16, #cleave.dims<slots, context>>
    func.func @f(%x: tensor<4x8xf32>, %s: tensor<4xi32>, %p: tensor<4xi32>) {
      %a = cleave.all_reduce sum %x group [0, 1] : tensor<4x8xf32>
      %k = cleave.state_update @k, %a at %s, %p : (tensor<4x8xf32>, tensor<4xi32>, tensor<4xi32>)
        -> tensor<?x?x8xf16, #cleave.dims<slots, context>>
      %b = cleave.all_reduce sum %x group [0, 1] : tensor<4x8xf32>
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    func.func @f(%x: tensor<4x8xf32>) {
      %a = cleave.all_reduce sum %x group [0, 1] : tensor<4x8xf32>
      %b = cleave.all_reduce sum %x group [0, 1] : tensor<4x8xf32>
      return
    }
  }
}
