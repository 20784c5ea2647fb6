// What does not fit the model. Errors in a plan itself, with their places, are in
// test/tools/partition_tool/plan_errors.test.
// RUN: not cleave-opt %s -cleave-apply-plan="tp=2 split=*=none" 2>&1 | FileCheck %s --check-prefix=WHOLE
// RUN: not cleave-opt %s -cleave-apply-plan="tp=2 split=a=column,c*=none" 2>&1 | FileCheck %s --check-prefix=PATTERN
// RUN: not cleave-opt %s -cleave-apply-plan="tp=2 split=b=row,un*=column" 2>&1 | FileCheck %s --check-prefix=UNREAD
// RUN: not cleave-opt %s -cleave-apply-plan="mesh=x=2;y=2 split=a=column" 2>&1 | FileCheck %s --check-prefix=AXIS
// RUN: not cleave-opt %s -cleave-apply-plan="cut=thrid" 2>&1 | FileCheck %s --check-prefix=CUT
// RUN: not cleave-opt %s -cleave-apply-plan="cut=first" 2>&1 | FileCheck %s --check-prefix=FIRST
// RUN: not cleave-opt %s -cleave-apply-plan="cut=third,b" 2>&1 | FileCheck %s --check-prefix=SAME
// RUN: not cleave-opt %s -cleave-apply-plan="stages=4" 2>&1 | FileCheck %s --check-prefix=STAGES
// RUN: not cleave-opt %s -cleave-apply-plan="tp=two" 2>&1 | FileCheck %s --check-prefix=NUMBER
// RUN: cleave-opt %s -cleave-apply-plan="stages=3" | FileCheck %s --check-prefix=GRAPH

// WHOLE: axis 'tp' of size 2 is given, but the plan splits no weight; say how with --split or in a plan, or leave all splits out for the default plan
// PATTERN: pattern 'c*' matches no weight of the model; the nearest name is '{{[ab]}}'
// UNREAD: pattern 'un*' matches only weights that no op reads
// AXIS: the mesh has several axes; say over which one to split, as in 'a=column@x'
// CUT: 'thrid' names no block, op or tensor of the model
// FIRST: a cut at 'first' leaves nothing for the stage before it
// SAME: 'b' and 'third' name the same place
// STAGES: 4 stages are asked for, but the model can begin a stage at 2 places only; the most stages that work are 3
// NUMBER: the number of ranks is 'two'; expected a whole number from 1 to 4096

// A graph without blocks is cut wherever one value alone crosses: not before `fourth`,
// which the value of `second` passes by.
// GRAPH: cleave.cut "second"
// GRAPH-NEXT: cleave.name = "second"
// GRAPH: cleave.cut "third"
// GRAPH-NEXT: cleave.name = "third"
// GRAPH-NOT: cleave.cut

cleave.weight @a : tensor<8x8xf32> from none
cleave.weight @b : tensor<8x8xf32> from none
cleave.weight @unread : tensor<8x8xf32> from none
func.func @f(%x: tensor<4x8xf32> {cleave.input = "x"}) -> (tensor<4x8xf32> {cleave.output = "y"}) {
  %a = cleave.use @a : tensor<8x8xf32>
  %first = cleave.linear %x, %a {cleave.name = "first"} : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  %second = cleave.silu %first {cleave.name = "second"} : tensor<4x8xf32>
  %b = cleave.use @b : tensor<8x8xf32>
  %third = cleave.linear %second, %b {cleave.name = "third"} : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  %fourth = cleave.add %third, %second {cleave.name = "fourth"} : tensor<4x8xf32>, tensor<4x8xf32>
  return %fourth : tensor<4x8xf32>
}
