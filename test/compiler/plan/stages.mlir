// Stages that the graph brings: cleave.stage on ops, or cleave.cut. A plan's go before them.
// RUN: cleave-opt %s -split-input-file -cleave-apply-plan | FileCheck %s
// RUN: cleave-opt %s -split-input-file -cleave-apply-plan="cut=last" | FileCheck %s --check-prefix=PLAN
// RUN: cleave-opt %s -split-input-file -cleave-apply-plan="stages=1" | FileCheck %s --check-prefix=ONE
// ONE-NOT: cleave.cut
// ONE-NOT: cleave.stage

// Ops are brought into the order of their stages; one without a stage has the latest of
// its operands', or the first where it has none.
// CHECK-LABEL: func.func @branches
// CHECK: cleave.silu %{{.*}} {cleave.name = "a"}
// CHECK-NEXT: cleave.silu %{{.*}} {cleave.name = "b"}
// CHECK-NEXT: cleave.silu %{{.*}} {cleave.name = "free"}
// CHECK-NEXT: cleave.cut "c"
// CHECK-NEXT: cleave.silu %{{.*}} {cleave.name = "c"}
// CHECK-NEXT: cleave.add %{{.*}} {cleave.name = "follows"}
// CHECK-NEXT: cleave.cut "last"
// CHECK-NEXT: cleave.add %{{.*}} {cleave.name = "last"}
// CHECK-NOT: cleave.stage
// PLAN-LABEL: func.func @branches
// PLAN-NOT: cleave.cut
// PLAN: {cleave.name = "a"}
// PLAN-NEXT: {cleave.name = "c"}
// PLAN-NEXT: {cleave.name = "b"}
// PLAN-NOT: cleave.stage
// PLAN: cleave.cut "last"
// PLAN-NEXT: cleave.add %{{.*}} {cleave.name = "last"}
// PLAN-NOT: cleave.stage
func.func @branches(%x: tensor<4xf32>) -> tensor<4xf32> {
  %a = cleave.silu %x {cleave.name = "a", cleave.stage = 0 : i64} : tensor<4xf32>
  %c = cleave.silu %a {cleave.name = "c", cleave.stage = 1 : i64} : tensor<4xf32>
  %b = cleave.silu %a {cleave.name = "b", cleave.stage = 0 : i64} : tensor<4xf32>
  %free = cleave.silu %x {cleave.name = "free"} : tensor<4xf32>
  %follows = cleave.add %c, %free {cleave.name = "follows"} : tensor<4xf32>, tensor<4xf32>
  %d = cleave.add %follows, %b {cleave.name = "last", cleave.stage = 2 : i64} : tensor<4xf32>, tensor<4xf32>
  return %d : tensor<4xf32>
}

// -----

// An entry that has nothing in a stage has an empty one, so that stages have one number in all.
// CHECK-LABEL: func.func @all
// CHECK-COUNT-2: cleave.cut
// CHECK-LABEL: func.func @ends
// CHECK: {cleave.name = "first"}
// CHECK-NEXT: cleave.cut "last"
// CHECK-NEXT: cleave.cut "last"
// CHECK-NEXT: {cleave.name = "last"}
// PLAN-LABEL: func.func @ends
// PLAN: {cleave.name = "first"}
// PLAN-NEXT: cleave.cut "last"
// PLAN-NEXT: {cleave.name = "last"}
// PLAN-NOT: cleave.cut
func.func @all(%x: tensor<4xf32>) -> tensor<4xf32> {
  %a = cleave.silu %x {cleave.name = "first", cleave.stage = 0 : i64} : tensor<4xf32>
  %b = cleave.silu %a {cleave.name = "middle", cleave.stage = 1 : i64} : tensor<4xf32>
  %c = cleave.silu %b {cleave.name = "last", cleave.stage = 2 : i64} : tensor<4xf32>
  return %c : tensor<4xf32>
}
func.func @ends(%x: tensor<4xf32>) -> tensor<4xf32> {
  %a = cleave.silu %x {cleave.name = "first", cleave.stage = 0 : i64} : tensor<4xf32>
  %c = cleave.silu %a {cleave.name = "last", cleave.stage = 2 : i64} : tensor<4xf32>
  return %c : tensor<4xf32>
}

// -----

// Cuts that stand in the graph.
// CHECK-LABEL: func.func @cuts
// CHECK: cleave.cut "here"
// CHECK-NEXT: {cleave.name = "b"}
// CHECK-NOT: cleave.cut
// PLAN-LABEL: func.func @cuts
// PLAN: {cleave.name = "b"}
// PLAN-NEXT: cleave.cut "last"
func.func @cuts(%x: tensor<4xf32>) -> tensor<4xf32> {
  %a = cleave.silu %x {cleave.name = "a"} : tensor<4xf32>
  cleave.cut "here"
  %b = cleave.silu %a {cleave.name = "b"} : tensor<4xf32>
  %c = cleave.silu %b {cleave.name = "last"} : tensor<4xf32>
  return %c : tensor<4xf32>
}
