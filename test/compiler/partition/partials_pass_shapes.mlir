// RUN: cleave-opt %s --cleave-propagate-shardings --cleave-insert-reshards --cleave-assign-stages --cleave-verify-sharded --cleave-split-ranks --cleave-verify-ranks | FileCheck %s
// RUN: partition-tool %s --check 2>&1 | FileCheck %s --check-prefix=VALUES

// Two partial sums pass through what is linear in them, and one all_reduce ends it.

// VALUES: largest difference

#tokens = #cleave.dims<tokens>

cleave.mesh @mesh <"tp" = 2>
cleave.weight @a : tensor<24x64xf32> from random<1> split [#cleave.split<row "tp">]
cleave.weight @b : tensor<24x64xf32> from random<2> split [#cleave.split<row "tp">]
cleave.weight @gain : tensor<24xf32> from random<3> split [#cleave.split<none>]

// CHECK-LABEL: module @rank0
// CHECK-COUNT-2: cleave.linear
// CHECK-NOT: cleave.all_reduce
// CHECK: cleave.scale
// CHECK: cleave.reshape {{.*}} groups [1:1, 1:2] {{.*}} -> tensor<?x2x12xf32
// CHECK: cleave.transpose
// CHECK: cleave.transpose
// CHECK: cleave.reshape {{.*}} groups [1:1, 2:1] {{.*}} -> tensor<?x24xf32
// CHECK: cleave.add
// CHECK: cleave.mul
// CHECK: cleave.slice
// CHECK-NEXT: cleave.all_reduce sum {{.*}} : tensor<?x10xf32
// CHECK-NOT: cleave.all_reduce
// CHECK: return
func.func @step(%x: tensor<?x64xf32, #tokens> {cleave.input = "x"})
    -> (tensor<?x10xf32, #tokens> {cleave.output = "y"}) {
  %a = cleave.use @a : tensor<24x64xf32>
  %b = cleave.use @b : tensor<24x64xf32>
  %gain = cleave.use @gain : tensor<24xf32>
  %xa = cleave.linear %x, %a : (tensor<?x64xf32, #tokens>, tensor<24x64xf32>) -> tensor<?x24xf32, #tokens>
  %xb = cleave.linear %x, %b : (tensor<?x64xf32, #tokens>, tensor<24x64xf32>) -> tensor<?x24xf32, #tokens>
  %half = cleave.scale %xa by 0.5 : tensor<?x24xf32, #tokens>
  %heads = cleave.reshape %half groups [1:1, 1:2] : tensor<?x24xf32, #tokens> -> tensor<?x2x12xf32, #tokens>
  %turned = cleave.transpose %heads [0, 2, 1] : tensor<?x2x12xf32, #tokens> -> tensor<?x12x2xf32, #tokens>
  %back = cleave.transpose %turned [0, 2, 1] : tensor<?x12x2xf32, #tokens> -> tensor<?x2x12xf32, #tokens>
  %flat = cleave.reshape %back groups [1:1, 2:1] : tensor<?x2x12xf32, #tokens> -> tensor<?x24xf32, #tokens>
  %sum = cleave.add %flat, %xb : tensor<?x24xf32, #tokens>, tensor<?x24xf32, #tokens>
  %scaled = cleave.mul %sum, %gain : tensor<?x24xf32, #tokens>, tensor<24xf32>
  %part = cleave.slice %scaled dim 1 from 3 : tensor<?x24xf32, #tokens> -> tensor<?x10xf32, #tokens>
  return %part : tensor<?x10xf32, #tokens>
}
