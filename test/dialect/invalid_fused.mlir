// What the verifiers of the dialect refuse, each check once: the fused ops of the rank form.
// RUN: cleave-opt %s -split-input-file -verify-diagnostics

// === joined_linear ===

func.func @f(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>) {
  // expected-error@+1 {{has 1 weights, expected 2 to 15}}
  %y = cleave.joined_linear %x, %w : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>) {
  // expected-error@+1 {{has 1 results for 2 weights}}
  %y = cleave.joined_linear %x, %w, %w : (tensor<4x8xf32>, tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>, %v: tensor<8x9xf32>) {
  // expected-error@+1 {{has a weight of 9 columns for an x of 8 with pad_before = 0}}
  %y:2 = cleave.joined_linear %x, %w, %v : (tensor<4x8xf32>, tensor<8x8xf32>, tensor<8x9xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>)
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>, %v: tensor<8x32x!cleave.q8_0>) {
  // expected-error@+1 {{has weights of 8 and of 32 columns}}
  %y:2 = cleave.joined_linear %x, %w, %v : (tensor<4x8xf32>, tensor<8x8xf32>, tensor<8x32x!cleave.q8_0>) -> (tensor<4x8xf32>, tensor<4x8xf32>)
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>) {
  // expected-error@+1 {{has 1 names for 2 ops}}
  %y:2 = cleave.joined_linear %x, %w, %w {names = ["a"]} : (tensor<4x8xf32>, tensor<8x8xf32>, tensor<8x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>)
  return
}

// -----

// === add_norm ===

func.func @f(%x: tensor<8xf32>, %w: tensor<8xf32>) {
  // expected-error@+1 {{expects an x of rank 2 and static width, found 'tensor<8xf32>'}}
  %y:2 = cleave.add_norm %x, %x, %w {epsilon = 1.0e-5 : f32} : tensor<8xf32>, tensor<8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %w: tensor<4xf32>) {
  // expected-error@+1 {{expects dim 1 of x to be dim 0 of the weight}}
  %y:2 = cleave.add_norm %x, %x, %w {epsilon = 1.0e-5 : f32} : tensor<4x8xf32>, tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %w: tensor<8xf32>) {
  // expected-error@+1 {{has 3 names for 2 ops}}
  %y:2 = cleave.add_norm %x, %x, %w {epsilon = 1.0e-5 : f32, names = ["a", "b", "c"]} : tensor<4x8xf32>, tensor<8xf32>
  return
}

// -----

// === all_reduce_add ===

func.func @f(%x: tensor<4x8xf32>, %y: tensor<8xf32>) {
  // expected-error@+1 {{failed to verify that all of {x, residual, sum} have same type}}
  %z = cleave.all_reduce_add sum %x, %y group [0, 1] : (tensor<4x8xf32>, tensor<8xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<8xf32>) {
  // expected-error@+1 {{expects an x of rank 2 and static width}}
  %z = cleave.all_reduce_add sum %x, %x group [0, 1] : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %w: tensor<8xf32>) {
  // expected-error@+1 {{expects a weight, an epsilon and a second result, or none of them}}
  %z = cleave.all_reduce_add sum %x, %x norm %w group [0, 1] {epsilon = 1.0e-5 : f32} : (tensor<4x8xf32>, tensor<4x8xf32>, tensor<8xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %w: tensor<8xf32>) {
  // expected-error@+1 {{expects two results of one type}}
  %z:2 = cleave.all_reduce_add sum %x, %x norm %w group [0, 1] {epsilon = 1.0e-5 : f32} : (tensor<4x8xf32>, tensor<4x8xf32>, tensor<8xf32>) -> (tensor<4x8xf32>, tensor<4x9xf32>)
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %w: tensor<9xf32>) {
  // expected-error@+1 {{expects dim 1 of x to be dim 0 of the weight}}
  %z:2 = cleave.all_reduce_add sum %x, %x norm %w group [0, 1] {epsilon = 1.0e-5 : f32} : (tensor<4x8xf32>, tensor<4x8xf32>, tensor<9xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>)
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{names rank 1 twice}}
  %z = cleave.all_reduce_add sum %x, %x group [1, 1] : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{has 3 names for 2 ops}}
  %z = cleave.all_reduce_add sum %x, %x group [0, 1] {names = ["a", "b", "c"]} : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

// === merged_all_reduce ===

func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{has 1 values, expected 2 to 16}}
  %z = cleave.merged_all_reduce sum %x group [0, 1] : (tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{expects a result for each value, of its type}}
  %z:2 = cleave.merged_all_reduce sum %x, %x group [0, 1] : (tensor<4xf32>, tensor<4xf32>) -> (tensor<4xf32>, tensor<5xf32>)
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{has an empty group}}
  %z:2 = cleave.merged_all_reduce sum %x, %x group [] : (tensor<4xf32>, tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{has 1 names for 2 ops}}
  %z:2 = cleave.merged_all_reduce sum %x, %x group [0, 1] {names = ["a"]} : (tensor<4xf32>, tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
  return
}
