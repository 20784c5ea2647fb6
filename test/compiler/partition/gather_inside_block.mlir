// A look-up in a table whose columns are cut inside quantization blocks: each rank looks up
// whole blocks and slices its share.
// RUN: partition-tool %s --mesh tp=3 --split table=row --emit=ranks -o - | FileCheck %s
// RUN: partition-tool %s --mesh tp=3 --split table=row --check 2>&1 | FileCheck %s --check-prefix=SAME

// CHECK-LABEL: module @rank0
// CHECK: cleave.weight @table : tensor<8x32x!cleave.q8_0> {{.*}} slice [0:8, 0:32]
// CHECK: %[[WIDE:.*]] = cleave.gather {{.*}} -> tensor<4x32xf32>
// CHECK: %[[SHARE:.*]] = cleave.slice %[[WIDE]] dim 1 from 0 {{.*}} tensor<4x32xf32> -> tensor<4x22xf32>
// CHECK: cleave.all_gather %[[SHARE]] dim 1 ranges [0:22, 22:43, 43:64]

// CHECK-LABEL: module @rank1
// CHECK: cleave.weight @table : tensor<8x64x!cleave.q8_0> from random<1>{{$}}
// CHECK: cleave.slice {{.*}} dim 1 from 22 {{.*}} tensor<4x64xf32> -> tensor<4x21xf32>

// CHECK-LABEL: module @rank2
// CHECK: cleave.weight @table : tensor<8x32x!cleave.q8_0> {{.*}} slice [0:8, 32:64]
// CHECK: cleave.slice {{.*}} dim 1 from 11 {{.*}} tensor<4x32xf32> -> tensor<4x21xf32>

// SAME: rows largest difference 0
module {
  cleave.weight @table : tensor<8x64x!cleave.q8_0> from random<1>
  func.func @look_up(%ids: tensor<4xi32> {cleave.input = "ids"})
      -> (tensor<4x64xf32> {cleave.output = "rows"}) {
    %table = cleave.use @table : tensor<8x64x!cleave.q8_0>
    %rows = cleave.gather %table, %ids {cleave.name = "rows"}
      : (tensor<8x64x!cleave.q8_0>, tensor<4xi32>) -> tensor<4x64xf32>
    return %rows : tensor<4x64xf32>
  }
}
