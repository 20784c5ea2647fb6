// Ops that move elements, and run-time sizes that are expressions, come back from text and from
// bytecode as they were.
// RUN: cleave-opt %s | cleave-opt | FileCheck %s
// RUN: cleave-opt %s -emit-bytecode | cleave-opt | FileCheck %s

// CHECK-DAG: #[[TOTAL:.*]] = #cleave.dims<"past+seq">
// CHECK-DAG: #[[MERGED:.*]] = #cleave.dims<"batch*seq">
// CHECK-DAG: #[[SEQ:.*]] = #cleave.dims<seq>
// CHECK-DAG: #[[SHARE:.*]] = #cleave.dims<batch, "(seq+1)//2"[1 of 4]>
#seq = #cleave.dims<seq>

// CHECK-LABEL: func.func @sizes(
// CHECK-SAME: tensor<?x?xf32, #[[SHARE]]>
func.func @sizes(%x: tensor<?x?xf32, #cleave.dims<batch, "(seq+1)//2"[1 of 4]>>) {
  return
}

// CHECK-LABEL: func.func @moved(
func.func @moved(%past: tensor<2x?x8xf32, #cleave.dims<past>>, %x: tensor<2x?x8xf32, #seq>,
                 %batch: tensor<?x?x8xf32, #cleave.dims<batch, seq>>, %row: tensor<1x8xf32>) {
  // CHECK: %[[ALL:.*]] = cleave.concat %{{.*}}, %{{.*}} dim 1 : (tensor<2x?x8xf32, #{{.*}}>, tensor<2x?x8xf32, #[[SEQ]]>) -> tensor<2x?x8xf32, #[[TOTAL]]>
  %all = cleave.concat %past, %x dim 1 : (tensor<2x?x8xf32, #cleave.dims<past>>, tensor<2x?x8xf32, #seq>) -> tensor<2x?x8xf32, #cleave.dims<"past+seq">>
  // CHECK: cleave.slice %[[ALL]] dim 1 from "past" : tensor<2x?x8xf32, #[[TOTAL]]> -> tensor<2x?x8xf32, #[[SEQ]]>
  %new = cleave.slice %all dim 1 from "past" : tensor<2x?x8xf32, #cleave.dims<"past+seq">> -> tensor<2x?x8xf32, #seq>
  // CHECK: cleave.slice %{{.*}} dim 1 from "seq-1" step -1 : tensor<2x?x8xf32, #[[SEQ]]> -> tensor<2x?x8xf32, #[[SEQ]]>
  %reversed = cleave.slice %x dim 1 from "seq-1" step -1 : tensor<2x?x8xf32, #seq> -> tensor<2x?x8xf32, #seq>
  // CHECK: cleave.slice %{{.*}} dim 2 from 7 step -3 : tensor<2x?x8xf32, #[[SEQ]]> -> tensor<2x?x3xf32, #[[SEQ]]>
  %strided = cleave.slice %x dim 2 from 7 step -3 : tensor<2x?x8xf32, #seq> -> tensor<2x?x3xf32, #seq>
  // CHECK: cleave.reshape %{{.*}} groups [2:1, 1:2] : tensor<?x?x8xf32, #{{.*}}> -> tensor<?x4x2xf32, #[[MERGED]]>
  %merged = cleave.reshape %batch groups [2:1, 1:2] : tensor<?x?x8xf32, #cleave.dims<batch, seq>> -> tensor<?x4x2xf32, #cleave.dims<"batch*seq">>
  // CHECK: cleave.expand %{{.*}} : tensor<1x8xf32> -> tensor<2x?x8xf32, #[[SEQ]]>
  %rows = cleave.expand %row : tensor<1x8xf32> -> tensor<2x?x8xf32, #seq>
  // CHECK: cleave.range from "past" : tensor<?xi32, #[[SEQ]]>
  %positions = cleave.range from "past" : tensor<?xi32, #seq>
  // CHECK: cleave.range from -3 step 2 : tensor<4xf32>
  %numbers = cleave.range from -3 step 2 : tensor<4xf32>
  return
}

// CHECK-LABEL: func.func @indexed(
func.func @indexed(%x: tensor<2x?x8xf32, #seq>, %i: tensor<3x5xi64>, %j: tensor<2x?x4xi32, #seq>,
                   %t: tensor<2x6x1xi32>, %u: tensor<2x?x4xf32, #seq>, %v: tensor<5x8xf32>,
                   %p: tensor<5x2xi64>) {
  // CHECK: cleave.take %{{.*}}, %{{.*}} dim 1 : (tensor<2x?x8xf32, #[[SEQ]]>, tensor<3x5xi64>) -> tensor<2x3x5x8xf32>
  %a = cleave.take %x, %i dim 1 : (tensor<2x?x8xf32, #seq>, tensor<3x5xi64>) -> tensor<2x3x5x8xf32>
  // CHECK: cleave.take %{{.*}}, %{{.*}} dim 2 masked from 0 of 20 : (tensor<2x?x8xf32, #[[SEQ]]>, tensor<3x5xi64>) -> tensor<2x?x3x5xf32, #[[SEQ]]>
  %share = cleave.take %x, %i dim 2 masked from 0 of 20 : (tensor<2x?x8xf32, #seq>, tensor<3x5xi64>) -> tensor<2x?x3x5xf32, #seq>
  // CHECK: cleave.gather_elements %{{.*}}, %{{.*}} dim 2 : (tensor<2x?x8xf32, #[[SEQ]]>, tensor<2x?x4xi32, #[[SEQ]]>) -> tensor<2x?x4xf32, #[[SEQ]]>
  %b = cleave.gather_elements %x, %j dim 2 : (tensor<2x?x8xf32, #seq>, tensor<2x?x4xi32, #seq>) -> tensor<2x?x4xf32, #seq>
  // CHECK: cleave.gather_nd %{{.*}}, %{{.*}} batch_dims 1 : (tensor<2x?x8xf32, #[[SEQ]]>, tensor<2x6x1xi32>) -> tensor<2x6x8xf32>
  %c = cleave.gather_nd %x, %t batch_dims 1 : (tensor<2x?x8xf32, #seq>, tensor<2x6x1xi32>) -> tensor<2x6x8xf32>
  // CHECK: cleave.scatter_elements add %{{.*}} into %{{.*}} at %{{.*}} dim 2 : tensor<2x?x4xf32, #[[SEQ]]>, tensor<2x?x8xf32, #[[SEQ]]>, tensor<2x?x4xi32, #[[SEQ]]>
  %d = cleave.scatter_elements add %u into %x at %j dim 2 : tensor<2x?x4xf32, #seq>, tensor<2x?x8xf32, #seq>, tensor<2x?x4xi32, #seq>
  // CHECK: cleave.scatter_nd set %{{.*}} into %{{.*}} at %{{.*}} : tensor<5x8xf32>, tensor<2x?x8xf32, #[[SEQ]]>, tensor<5x2xi64>
  %e = cleave.scatter_nd set %v into %x at %p : tensor<5x8xf32>, tensor<2x?x8xf32, #seq>, tensor<5x2xi64>
  return
}
