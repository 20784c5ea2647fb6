// Attention and feed-forward block in parallel on one input: one all_reduce.
// RUN: partition-tool %s --mesh tp=2 --split '*a_in=column' --split '*a_out=row' --split '*b_in=column' --split '*b_out=row' --split '*c_in=column' --split '*c_out=row' --emit=sharded -o - | FileCheck %s
// RUN: partition-tool %s --mesh tp=2 --split '*a_in=column' --split '*a_out=row' --split '*b_in=column' --split '*b_out=row' --split '*c_in=column' --split '*c_out=row' --check 2>&1 | FileCheck %s --check-prefix=SAME
// RUN: partition-tool %s --mesh tp=2 --split '*a_in=column' --split '*a_out=row' --split '*b_in=column' --split '*b_out=row' --split '*c_in=column' --split '*c_out=row' --cut b --emit=ranks -o - | FileCheck %s --check-prefix=CUT

// CHECK-LABEL: func.func @parallel
// CHECK: %[[A:.*]] = cleave.linear {{.*}}cleave.name = "a"{{.*}}partial = {"tp" : sum}
// CHECK-NOT: cleave.reshard
// CHECK: %[[B:.*]] = cleave.linear {{.*}}cleave.name = "b"{{.*}}partial = {"tp" : sum}
// CHECK: %[[AB:.*]] = cleave.add %[[A]], %[[B]] {cleave.name = "a + b"{{.*}}partial = {"tp" : sum}
// CHECK: %[[C:.*]] = cleave.linear {{.*}}cleave.name = "c"{{.*}}partial = {"tp" : sum}
// CHECK: %[[ABC:.*]] = cleave.add %[[AB]], %[[C]] {{.*}}partial = {"tp" : sum}
// CHECK: %[[SUM:.*]] = cleave.reshard %[[ABC]]
// CHECK-NOT: cleave.reshard
// CHECK: cleave.add %arg0, %[[SUM]]
// CHECK-NOT: cleave.reshard

// SAME: y largest difference
// A stage that begins between two of them keeps their reductions apart.
// CUT-LABEL: module @rank0
// CUT-COUNT-1: cleave.all_reduce
// CUT-LABEL: module @rank1
// CUT-LABEL: module @rank2
// CUT-COUNT-1: cleave.all_reduce
// CUT-LABEL: module @rank3
module {
  cleave.weight @a_in : tensor<16x8xf32> from random<1>
  cleave.weight @a_out : tensor<8x16xf32> from random<1>
  cleave.weight @b_in : tensor<16x8xf32> from random<1>
  cleave.weight @b_out : tensor<8x16xf32> from random<1>
  cleave.weight @c_in : tensor<16x8xf32> from random<1>
  cleave.weight @c_out : tensor<8x16xf32> from random<1>
  func.func @parallel(%x: tensor<4x8xf32> {cleave.input = "x"}) -> (tensor<4x8xf32> {cleave.output = "y"}) {
    %a_in = cleave.use @a_in : tensor<16x8xf32>
    %ah = cleave.linear %x, %a_in : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
    %a_out = cleave.use @a_out : tensor<8x16xf32>
    %a = cleave.linear %ah, %a_out {cleave.name = "a"} : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
    %x1 = cleave.add %x, %a {cleave.name = "x1"} : tensor<4x8xf32>, tensor<4x8xf32>
    %b_in = cleave.use @b_in : tensor<16x8xf32>
    %bh = cleave.linear %x, %b_in {cleave.name = "bh"} : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
    %b_out = cleave.use @b_out : tensor<8x16xf32>
    %b = cleave.linear %bh, %b_out {cleave.name = "b"} : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
    %x2 = cleave.add %x1, %b {cleave.name = "x2"} : tensor<4x8xf32>, tensor<4x8xf32>
    %c_in = cleave.use @c_in : tensor<16x8xf32>
    %ch = cleave.linear %x, %c_in : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
    %c_out = cleave.use @c_out : tensor<8x16xf32>
    %c = cleave.linear %ch, %c_out {cleave.name = "c"} : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
    %y = cleave.add %x2, %c {cleave.name = "y"} : tensor<4x8xf32>, tensor<4x8xf32>
    return %y : tensor<4x8xf32>
  }
}
