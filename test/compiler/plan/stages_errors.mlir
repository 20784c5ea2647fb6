// Stages in the graph that cannot be: values flow to later stages only.
// RUN: cleave-opt %s -split-input-file -verify-diagnostics -cleave-apply-plan

func.func @back(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-note@+1 {{'a' is put into stage 1 here}}
  %a = cleave.silu %x {cleave.name = "a", cleave.stage = 1 : i64} : tensor<4xf32>
  %b = cleave.silu %a {cleave.name = "b"} : tensor<4xf32>
  %c = cleave.add %x, %b {cleave.name = "c"} : tensor<4xf32>, tensor<4xf32>
  // expected-error@+1 {{'d' is in stage 0, but needs what stage 1 makes, by 'a' -> 'b' -> 'c' -> 'd'; put 'd' into stage 1 or later, or 'a' into stage 0 or earlier}}
  %d = cleave.silu %c {cleave.name = "d", cleave.stage = 0 : i64} : tensor<4xf32>
  return %d : tensor<4xf32>
}

// -----

func.func @gap(%x: tensor<4xf32>) -> tensor<4xf32> {
  %a = cleave.silu %x {cleave.name = "a"} : tensor<4xf32>
  // expected-error@+1 {{'b' is in stage 2, but no op is in stage 1; number stages from 0, without a gap}}
  %b = cleave.silu %a {cleave.name = "b", cleave.stage = 2 : i64} : tensor<4xf32>
  return %b : tensor<4xf32>
}

// -----

func.func @negative(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{'a' has cleave.stage = -1 : i64; expected a stage from 0 to 4095}}
  %a = cleave.silu %x {cleave.name = "a", cleave.stage = -1 : i64} : tensor<4xf32>
  return %a : tensor<4xf32>
}

// -----

func.func @huge(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{expected a stage from 0 to 4095}}
  %a = cleave.silu %x {cleave.name = "a", cleave.stage = 36893488147419103232 : i128} : tensor<4xf32>
  return %a : tensor<4xf32>
}

// -----

func.func @both(%x: tensor<4xf32>) -> tensor<4xf32> {
  %a = cleave.silu %x {cleave.name = "a"} : tensor<4xf32>
  // expected-error@+1 {{a cut and 'cleave.stage' both say where stages begin; keep one of the two}}
  cleave.cut "b"
  %b = cleave.silu %a {cleave.name = "b", cleave.stage = 1 : i64} : tensor<4xf32>
  return %b : tensor<4xf32>
}

// -----

cleave.weight @w : tensor<4xf32> from none
func.func @weight(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{a weight is used where its readers are; give them the 'cleave.stage'}}
  %w = cleave.use @w {cleave.stage = 1 : i64} : tensor<4xf32>
  %b = cleave.add %x, %w {cleave.name = "b"} : tensor<4xf32>, tensor<4xf32>
  return %b : tensor<4xf32>
}

// -----

// expected-error@+1 {{'cleave.stage' is for ops; a function may span several stages}}
func.func @function(%x: tensor<4xf32>) -> tensor<4xf32> attributes {cleave.stage = 1 : i64} {
  %a = cleave.silu %x {cleave.name = "a"} : tensor<4xf32>
  return %a : tensor<4xf32>
}
