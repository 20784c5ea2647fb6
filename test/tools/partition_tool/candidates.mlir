// A split vocabulary's logits and best candidates, executed: over shares that differ, an
// empty one among them, and lists longer than a share.
// RUN: partition-tool %s --mesh tp=3 --split 'output=column' --check 2>&1 | FileCheck %s
// RUN: partition-tool %s --mesh tp=40 --split 'output=column' --check 2>&1 | FileCheck %s
// RUN: partition-tool %s --mesh data=2,tp=2 --split 'output=column@data+column@tp' --check 2>&1 | FileCheck %s
// CHECK: logits  largest difference {{.*}}, tolerance
// CHECK-NOT: TOO FAR
// CHECK: candidates  largest difference {{.*}}, tolerance
// CHECK-NOT: TOO FAR
#rows = #cleave.dims<rows>
module {
  cleave.weight @output : tensor<37x8xf32> from random<1>
  func.func @f(%x: tensor<?x8xf32, #rows> {cleave.input = "x"})
      -> (tensor<?x37xf32, #rows> {cleave.output = "logits"}, tensor<?x6x2xf32, #rows> {cleave.output = "candidates"}) {
    %w = cleave.use @output : tensor<37x8xf32>
    %l = cleave.linear %x, %w {cleave.name = "output"} : (tensor<?x8xf32, #rows>, tensor<37x8xf32>) -> tensor<?x37xf32, #rows>
    %c = cleave.top_k %l {cleave.name = "candidates"} : tensor<?x37xf32, #rows> -> tensor<?x6x2xf32, #rows>
    return %l, %c : tensor<?x37xf32, #rows>, tensor<?x6x2xf32, #rows>
  }
}
