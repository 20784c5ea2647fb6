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
