// RUN: cleave-opt %s -split-input-file -cleave-join-linears | FileCheck %s

// Three weights of different types and sizes, one of them used last: one op in the place of
// the first, with the names of all.
// CHECK-LABEL: module @projections
// CHECK: %[[W:wq.*]] = cleave.use @wq
// CHECK: %[[K:wk.*]] = cleave.use @wk
// CHECK: %[[V:wv.*]] = cleave.use @wv
// CHECK-NEXT: %q, %k:2 = cleave.joined_linear %arg0, %[[W]], %[[K]], %[[V]] {names = ["q", "k", ""]} : (tensor<4x32xf32>, tensor<8x32x!cleave.q8_0>, tensor<4x32x!cleave.q4_0>, tensor<2x32xf32>) -> (tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x2xf32>)
// CHECK-NEXT: %[[S:.*]] = cleave.silu %q
// CHECK-NEXT: return %[[S]], %k#0, %k#1
module @projections {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @wq : tensor<8x32x!cleave.q8_0> from none
    cleave.weight @wk : tensor<4x32x!cleave.q4_0> from none
    cleave.weight @wv : tensor<2x32xf32> from none
    func.func @f(%x: tensor<4x32xf32>) -> (tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x2xf32>) {
      %wq = cleave.use @wq : tensor<8x32x!cleave.q8_0>
      %q = cleave.linear %x, %wq {cleave.name = "q"} : (tensor<4x32xf32>, tensor<8x32x!cleave.q8_0>) -> tensor<4x8xf32>
      %s = cleave.silu %q : tensor<4x8xf32>
      %wk = cleave.use @wk : tensor<4x32x!cleave.q4_0>
      %k = cleave.linear %x, %wk {cleave.name = "k"} : (tensor<4x32xf32>, tensor<4x32x!cleave.q4_0>) -> tensor<4x4xf32>
      %wv = cleave.use @wv : tensor<2x32xf32>
      %v = cleave.linear %x, %wv : (tensor<4x32xf32>, tensor<2x32xf32>) -> tensor<4x2xf32>
      return %s, %k, %v : tensor<4x8xf32>, tensor<4x4xf32>, tensor<4x2xf32>
    }
  }
}

// -----

// Another x, another place of x in the weight's columns: those stay apart.
// CHECK-LABEL: module @apart
// CHECK-COUNT-2: cleave.joined_linear {{.*}}pad_before = 8
// CHECK: cleave.linear %{{.*}}, %{{.*}} {pad_before = 4 : i64}
// CHECK: return
module @apart {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @w : tensor<8x32x!cleave.q8_0> from none
    func.func @f(%x: tensor<4x16xf32>, %y: tensor<4x16xf32>)
        -> (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>) {
      %w = cleave.use @w : tensor<8x32x!cleave.q8_0>
      %a = cleave.linear %x, %w {pad_before = 8 : i64} : (tensor<4x16xf32>, tensor<8x32x!cleave.q8_0>) -> tensor<4x8xf32>
      %b = cleave.linear %y, %w {pad_before = 8 : i64} : (tensor<4x16xf32>, tensor<8x32x!cleave.q8_0>) -> tensor<4x8xf32>
      %c = cleave.linear %x, %w {pad_before = 4 : i64} : (tensor<4x16xf32>, tensor<8x32x!cleave.q8_0>) -> tensor<4x8xf32>
      %d = cleave.linear %x, %w {pad_before = 8 : i64} : (tensor<4x16xf32>, tensor<8x32x!cleave.q8_0>) -> tensor<4x8xf32>
      %e = cleave.linear %y, %w {pad_before = 8 : i64} : (tensor<4x16xf32>, tensor<8x32x!cleave.q8_0>) -> tensor<4x8xf32>
      return %a, %b, %c, %d, %e : tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>
    }
  }
}

// -----

// A product that follows a message does not hold the message up.
// CHECK-LABEL: module @message_between
// CHECK: cleave.linear
// CHECK: cleave.send
// CHECK: cleave.linear
module @message_between {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @w : tensor<8x32xf32> from none
    func.func @f(%x: tensor<4x32xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
      %w = cleave.use @w : tensor<8x32xf32>
      %a = cleave.linear %x, %w : (tensor<4x32xf32>, tensor<8x32xf32>) -> tensor<4x8xf32>
      cleave.send %x to 1 tag 0 : tensor<4x32xf32>
      %b = cleave.linear %x, %w : (tensor<4x32xf32>, tensor<8x32xf32>) -> tensor<4x8xf32>
      return %a, %b : tensor<4x8xf32>, tensor<4x8xf32>
    }
  }
}

// -----

// An instruction has at most 15 weights.
// CHECK-LABEL: module @many
// CHECK: %{{.*}}:15 = cleave.joined_linear
// CHECK: %{{.*}}:2 = cleave.joined_linear
module @many {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @w : tensor<2x2xf32> from none
    func.func @f(%x: tensor<1x2xf32>) {
      %w = cleave.use @w : tensor<2x2xf32>
      %a0 = cleave.linear %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
      %a1 = cleave.linear %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
      %a2 = cleave.linear %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
      %a3 = cleave.linear %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
      %a4 = cleave.linear %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
      %a5 = cleave.linear %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
      %a6 = cleave.linear %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
      %a7 = cleave.linear %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
      %a8 = cleave.linear %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
      %a9 = cleave.linear %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
      %a10 = cleave.linear %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
      %a11 = cleave.linear %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
      %a12 = cleave.linear %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
      %a13 = cleave.linear %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
      %a14 = cleave.linear %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
      %a15 = cleave.linear %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
      %a16 = cleave.linear %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
      return
    }
  }
}
