// RUN: cleave-opt %s -split-input-file -cleave-fuse-reductions | FileCheck %s

// Sum, residual and norm are one op with the names of all three; both results are read.
// CHECK-LABEL: module @layer
// CHECK: %[[W:norm.*]] = cleave.use @norm
// CHECK-NEXT: %x1, %h = cleave.all_reduce_add sum %arg0, %arg1 norm %[[W]] group [0, 1] {epsilon = 9.99999974E-6 : f32, names = ["sum", "x1", "h"]} : (tensor<4x8xf32>, tensor<4x8xf32>, tensor<8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>)
// CHECK-NEXT: return %x1, %h
module @layer {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @norm : tensor<8xf32> from none
    func.func @f(%p: tensor<4x8xf32>, %x: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
      %s = cleave.all_reduce sum %p group [0, 1] {cleave.name = "sum"} : tensor<4x8xf32>
      %x1 = cleave.add %x, %s {cleave.name = "x1"} : tensor<4x8xf32>, tensor<4x8xf32>
      %norm = cleave.use @norm : tensor<8xf32>
      %h = cleave.rms_norm %x1, %norm {cleave.name = "h", epsilon = 1.0e-5 : f32} : tensor<4x8xf32>, tensor<8xf32>
      return %x1, %h : tensor<4x8xf32>, tensor<4x8xf32>
    }
  }
}

// -----

// Without a norm, the residual on either side; a norm behind a message stays there.
// CHECK-LABEL: module @add_alone
// CHECK: %[[A:.*]] = cleave.all_reduce_add sum %arg0, %arg1 group [0, 1] : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
// CHECK-NEXT: cleave.send %[[A]]
// CHECK-NEXT: %[[N:.*]] = cleave.rms_norm %[[A]]
// CHECK-NEXT: return %[[N]]
module @add_alone {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%p: tensor<4x8xf32>, %x: tensor<4x8xf32>, %w: tensor<8xf32>) -> tensor<4x8xf32> {
      %s = cleave.all_reduce sum %p group [0, 1] : tensor<4x8xf32>
      %x1 = cleave.add %s, %x : tensor<4x8xf32>, tensor<4x8xf32>
      cleave.send %x1 to 2 tag 0 : tensor<4x8xf32>
      %h = cleave.rms_norm %x1, %w {epsilon = 1.0e-5 : f32} : tensor<4x8xf32>, tensor<8xf32>
      return %h : tensor<4x8xf32>
    }
  }
}

// -----

// A rank alone adds and norms at once.
// CHECK-LABEL: module @one_rank
// CHECK: %[[R:.*]]:2 = cleave.add_norm %arg0, %arg1, %arg2 {epsilon = {{.*}}} : tensor<4x8xf32>, tensor<8xf32>
// CHECK-NEXT: return %[[R]]#0, %[[R]]#1
module @one_rank {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>, %w: tensor<8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
      %x1 = cleave.add %x, %y : tensor<4x8xf32>, tensor<4x8xf32>
      %h = cleave.rms_norm %x1, %w {epsilon = 1.0e-5 : f32} : tensor<4x8xf32>, tensor<8xf32>
      return %x1, %h : tensor<4x8xf32>, tensor<4x8xf32>
    }
  }
}

// -----

// The sum itself is read, the residual comes later, a bias is added: the sum stays alone.
// CHECK-LABEL: module @apart
// CHECK-NOT: all_reduce_add
// CHECK-NOT: add_norm
// CHECK: return
module @apart {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    func.func @f(%p: tensor<4x8xf32>, %x: tensor<4x8xf32>, %b: tensor<8xf32>)
        -> (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>) {
      %s = cleave.all_reduce sum %p group [0, 1] : tensor<4x8xf32>
      %x1 = cleave.add %x, %s : tensor<4x8xf32>, tensor<4x8xf32>
      %t = cleave.all_reduce sum %p group [0, 1] : tensor<4x8xf32>
      %y = cleave.silu %x : tensor<4x8xf32>
      %x2 = cleave.add %y, %t : tensor<4x8xf32>, tensor<4x8xf32>
      %u = cleave.all_reduce sum %p group [0, 1] : tensor<4x8xf32>
      %x3 = cleave.add %u, %b : tensor<4x8xf32>, tensor<8xf32>
      return %s, %x1, %x2, %x3 : tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>
    }
  }
}
