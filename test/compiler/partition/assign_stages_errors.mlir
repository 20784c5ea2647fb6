// RUN: cleave-opt %s -split-input-file -verify-diagnostics -allow-unregistered-dialect -cleave-assign-stages

// A state is written where it is read.
cleave.state @k : tensor<?x?x8xf32, #cleave.dims<slots, context>>
func.func @f(%q: tensor<4x8xf32>, %p: tensor<4xi32>) -> tensor<4x8xf32> {
  // expected-note@+1 {{the state is written here}}
  %k = cleave.state_update @k, %q at %p, %p {cleave.name = "blk.0.k"} : (tensor<4x8xf32>, tensor<4xi32>, tensor<4xi32>) -> tensor<?x?x8xf32, #cleave.dims<slots, context>>
  // expected-error@+1 {{a cut between 'blk.0.k' and 'blk.0.attention' would part state 'k' from its reader; cut before the first or after the second}}
  cleave.cut "blk.0.attention"
  %a = cleave.attention %q, %k, %k at %p, %p {cleave.name = "blk.0.attention", head_dim = 8, group = 1, scale = 1.0 : f32} : tensor<4x8xf32>, tensor<?x?x8xf32, #cleave.dims<slots, context>>, tensor<4xi32>, tensor<4xi32>
  return %a : tensor<4x8xf32>
}

// -----

// One state in two stages would be two states.
cleave.state @k : tensor<?x?x8xf32, #cleave.dims<slots, context>>
func.func @f(%x: tensor<4x8xf32>, %p: tensor<4xi32>) -> tensor<?x?x8xf32, #cleave.dims<slots, context>> {
  // expected-note@+1 {{it is written here, too}}
  %a = cleave.state_update @k, %x at %p, %p : (tensor<4x8xf32>, tensor<4xi32>, tensor<4xi32>) -> tensor<?x?x8xf32, #cleave.dims<slots, context>>
  cleave.cut "second"
  // expected-error@+1 {{state 'k' is written in stage 0 and in stage 1; cut elsewhere, so that one stage has it}}
  %b = cleave.state_update @k, %x at %p, %p : (tensor<4x8xf32>, tensor<4xi32>, tensor<4xi32>) -> tensor<?x?x8xf32, #cleave.dims<slots, context>>
  return %b : tensor<?x?x8xf32, #cleave.dims<slots, context>>
}

// -----

// expected-error@+1 {{expects a function of one block, without control flow}}
func.func @f(%x: tensor<4xf32>) {
  "test.branch"()[^end] : () -> ()
^end:
  return
}

// -----

// Cuts with nothing between them, before or after them.
func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %a = cleave.silu %x : tensor<4xf32>
  // expected-error@+1 {{nothing stands between this cut and the next: stage 1 would have nothing to do}}
  cleave.cut "b"
  cleave.cut "c"
  %b = cleave.silu %a : tensor<4xf32>
  return %b : tensor<4xf32>
}

// -----

func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %a = cleave.silu %x : tensor<4xf32>
  // expected-error@+1 {{nothing stands between this cut and the end: stage 1 would have nothing to do}}
  cleave.cut "b"
  return %a : tensor<4xf32>
}

// -----

func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{nothing stands before this cut: stage 0 would have nothing to do}}
  cleave.cut "b"
  %a = cleave.silu %x : tensor<4xf32>
  return %a : tensor<4xf32>
}
