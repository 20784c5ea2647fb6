// Transposes between reshapes, as PyTorch's exporter writes that of keys.
// RUN: cleave-opt %s -cleave-find-transpose | FileCheck %s

// CHECK-LABEL: func.func @merged(
// CHECK-SAME: %[[X:[a-z0-9]*]]:
// CHECK-NEXT: %[[Y:.*]] = cleave.transpose %[[X]] [0, 1, 3, 2] {cleave.name = "keys"}
// CHECK-NEXT: return %[[Y]]
func.func @merged(%x: tensor<?x4x?x8xf32, #cleave.dims<b, s>>) -> tensor<?x4x8x?xf32, #cleave.dims<b, s>> {
  %m = cleave.reshape %x groups [2:1, 1:1, 1:1] : tensor<?x4x?x8xf32, #cleave.dims<b, s>> -> tensor<?x?x8xf32, #cleave.dims<"4*b", s>>
  %t = cleave.transpose %m [0, 2, 1] : tensor<?x?x8xf32, #cleave.dims<"4*b", s>> -> tensor<?x8x?xf32, #cleave.dims<"4*b", s>>
  %y = cleave.reshape %t groups [1:2, 1:1, 1:1] {cleave.name = "keys"} : tensor<?x8x?xf32, #cleave.dims<"4*b", s>> -> tensor<?x4x8x?xf32, #cleave.dims<b, s>>
  return %y : tensor<?x4x8x?xf32, #cleave.dims<b, s>>
}

// Taken apart otherwise than it was merged.
// CHECK-LABEL: func.func @otherwise(
// CHECK: cleave.reshape
// CHECK: cleave.transpose
// CHECK: cleave.reshape
func.func @otherwise(%x: tensor<2x6x8xf32>) -> tensor<8x3x4xf32> {
  %m = cleave.reshape %x groups [2:1, 1:1] : tensor<2x6x8xf32> -> tensor<12x8xf32>
  %t = cleave.transpose %m [1, 0] : tensor<12x8xf32> -> tensor<8x12xf32>
  %y = cleave.reshape %t groups [1:1, 1:2] : tensor<8x12xf32> -> tensor<8x3x4xf32>
  return %y : tensor<8x3x4xf32>
}
