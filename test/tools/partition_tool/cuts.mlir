// Cuts, in all ways in which a user can give them: what crosses is sent once to each stage
// that reads it, straight from the stage that made it.
// RUN: partition-tool %s --cut b --cut last --emit=ranks | FileCheck %s
// RUN: partition-tool %s --cut w1 --cut last --emit=ranks | FileCheck %s
// RUN: echo 'cut: [b, last]' > %t.yaml
// RUN: partition-tool %s --plan %t.yaml --emit=ranks | FileCheck %s
// RUN: sed 's/^.*%%b = /cleave.cut "here"\n&/; s/^.*%%last = /cleave.cut "there"\n&/' %s > %t.cuts.mlir
// RUN: partition-tool %t.cuts.mlir --emit=ranks | FileCheck %s
// RUN: sed 's/name = "b"/&, cleave.stage = 1/; s/name = "last"/&, cleave.stage = 2/' %s > %t.stages.mlir
// RUN: partition-tool %t.stages.mlir --emit=ranks | FileCheck %s
// RUN: sed 's/, cleave.stage = 1/, cleave.stage = 2/; s/= 2} : tensor/= 1} : tensor/' %t.stages.mlir > %t.back.mlir
// RUN: not partition-tool %t.back.mlir --emit=ranks 2>&1 | FileCheck %s --check-prefix=BACK

// The graph's own stages give way to the plan's, and all compute what the model does.
// RUN: partition-tool %t.stages.mlir --stages 1 --emit=ranks | FileCheck %s --check-prefix=ONE
// RUN: partition-tool %t.cuts.mlir --cut last --emit=ranks | FileCheck %s --check-prefix=TWO
// RUN: partition-tool %t.stages.mlir --check 2>&1 | FileCheck %s --check-prefix=CHECK3
// RUN: partition-tool %t.cuts.mlir --tp 2 --split w0=column --split w1=row --check 2>&1 | FileCheck %s --check-prefix=CHECK6

// Stage 0 makes a and c: a is read in both later stages, c in the last alone, and the input
// is everywhere.
// CHECK-LABEL: module @rank0
// CHECK-NOT: cleave.recv
// CHECK: %a = cleave.linear
// CHECK-NEXT: cleave.send %a to 1 tag 0
// CHECK-NEXT: cleave.send %a to 2 tag 1
// CHECK: %c = cleave.silu
// CHECK-NEXT: cleave.send %c to 2 tag 2
// CHECK-NOT: cleave.send
// CHECK-LABEL: module @rank1
// CHECK-NOT: cleave.weight @w0
// CHECK: %a = cleave.recv from 0 tag 0
// CHECK-NOT: cleave.recv
// CHECK: %twice = cleave.add
// CHECK-NEXT: cleave.send %twice to 2 tag 3
// CHECK-NOT: cleave.send
// CHECK-LABEL: module @rank2
// CHECK-NOT: cleave.weight
// CHECK-DAG: %a = cleave.recv from 0 tag 1
// CHECK-DAG: %c = cleave.recv from 0 tag 2
// CHECK-DAG: %twice = cleave.recv from 1 tag 3
// CHECK-NOT: cleave.recv

// BACK: back.mlir:[[#]]:{{[0-9]+}}: error: 'last' is in stage 1, but needs what stage 2 makes, by 'b' -> 'twice' -> 'last'; put 'last' into stage 2 or later, or 'b' into stage 1 or earlier
// BACK: back.mlir:[[#]]:{{[0-9]+}}: note: 'b' is put into stage 2 here

// ONE: module @rank0
// ONE-NOT: module @rank1
// TWO: module @rank1
// TWO-NOT: module @rank2
// CHECK3: check: entry 'f', 3 ranks against the model
// CHECK3-NEXT: y largest difference
// CHECK6: check: entry 'f', 6 ranks against the model
// CHECK6-NEXT: y largest difference

cleave.weight @w0 : tensor<6x4xf32> from random<1>
cleave.weight @w1 : tensor<6x6xf32> from random<2>
func.func @f(%x: tensor<3x4xf32> {cleave.input = "x"}) -> (tensor<3x6xf32> {cleave.output = "y"}) {
  %w0 = cleave.use @w0 : tensor<6x4xf32>
  %a = cleave.linear %x, %w0 {cleave.name = "a"} : (tensor<3x4xf32>, tensor<6x4xf32>) -> tensor<3x6xf32>
  %c = cleave.silu %a {cleave.name = "c"} : tensor<3x6xf32>
  %w1 = cleave.use @w1 : tensor<6x6xf32>
  %b = cleave.linear %a, %w1 {cleave.name = "b"} : (tensor<3x6xf32>, tensor<6x6xf32>) -> tensor<3x6xf32>
  %twice = cleave.add %b, %a {cleave.name = "twice"} : tensor<3x6xf32>, tensor<3x6xf32>
  %last = cleave.add %twice, %a {cleave.name = "last"} : tensor<3x6xf32>, tensor<3x6xf32>
  %y = cleave.mul %last, %c {cleave.name = "y"} : tensor<3x6xf32>, tensor<3x6xf32>
  return %y : tensor<3x6xf32>
}
