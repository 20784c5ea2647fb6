// A package is proved as ranks will prove it, and none is left that they would refuse.
// RUN: rm -rf %t.cleave
// RUN: not partition-tool %s -o %t.cleave 2>&1 | FileCheck %s
// RUN: not ls %t.cleave

// CHECK: error: {{.*}}.cleave: no rank could run it: rank-0.program: output 'k' of entry 'f' is a weight or a state
#cache = #cleave.dims<slots, context>
module {
  module @rank0 attributes {cleave.rank = 0 : i64} {
    cleave.state @k : tensor<?x?x32xf16, #cache>
    func.func @f(%x: tensor<4x32xf32> {cleave.input = "x"}, %s: tensor<4xi32> {cleave.input = "s"},
                 %p: tensor<4xi32> {cleave.input = "p"})
        -> (tensor<?x?x32xf16, #cache> {cleave.output = "k", cleave.owner = 0 : i64}) {
      %k = cleave.state_update @k, %x at %s, %p
        : (tensor<4x32xf32>, tensor<4xi32>, tensor<4xi32>) -> tensor<?x?x32xf16, #cache>
      return %k : tensor<?x?x32xf16, #cache>
    }
  }
}
