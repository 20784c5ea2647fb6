// What several ranks hold is told where their slices only overlap, too.
// RUN: partition-tool %s --report | FileCheck %s

// CHECK: weights in all: 320 B, of which 104 B are copies of what another rank holds
// CHECK-NEXT: held by several ranks:
// CHECK-NEXT: k (3 ranks, 64 B of copies)
// CHECK-NEXT: norm (3 ranks, 32 B of copies)
// CHECK-NEXT: grid (3 ranks, 8 B of copies)
// CHECK-NEXT: empty share: norm2 (on 1 of 1 ranks)
module {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.weight @k : tensor<4x4xf32> from none slice [0:4, 0:4]
    cleave.weight @norm : tensor<4xf32> from none
    cleave.weight @grid : tensor<2x4xf32> from none slice [0:2, 0:4]
    func.func @f() {
      return
    }
  }
  module @rank1 attributes {cleave.rank = 1 : i64} {
    cleave.weight @k : tensor<4x4xf32> from none slice [2:6, 0:4]
    cleave.weight @norm : tensor<4xf32> from none
    cleave.weight @grid : tensor<2x4xf32> from none slice [0:2, 4:8]
    func.func @f() {
      return
    }
  }
  module @rank2 attributes {cleave.rank = 2 : i64} {
    cleave.weight @k : tensor<4x4xf32> from none slice [4:8, 0:4]
    cleave.weight @norm : tensor<4xf32> from none slice [0:4]
    cleave.weight @norm2 : tensor<0xf32> from none slice [4:4]
    cleave.weight @grid : tensor<2x2xf32> from none slice [1:3, 3:5]
    func.func @f() {
      return
    }
  }
}
