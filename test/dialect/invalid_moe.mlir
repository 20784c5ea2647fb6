// What the verifiers of the dialect refuse, each check once: a mixture of experts.
// RUN: cleave-opt %s -split-input-file -verify-diagnostics

// === route ===

func.func @f(%l: tensor<8xf32>) {
  // expected-error@+1 {{expects logits of rank 2, found 'tensor<8xf32>'}}
  %c = cleave.route %l : tensor<8xf32> -> tensor<4x2xi32>
  return
}

// -----

func.func @f(%l: tensor<4x8xf32>) {
  // expected-error@+1 {{expects a result of rank 2}}
  %c = cleave.route %l : tensor<4x8xf32> -> tensor<4xi32>
  return
}

// -----

func.func @f(%l: tensor<4x8xf32>) {
  // expected-error@+1 {{expects dim 0 of the result to be dim 0 of the logits}}
  %c = cleave.route %l : tensor<4x8xf32> -> tensor<5x2xi32>
  return
}

// -----

func.func @f(%l: tensor<4x8xf32>) {
  // expected-error@+1 {{chooses from the experts of 'tensor<4x8xf32>' as many as 'tensor<4x9xi32>' has columns, expected 1 to all of them, both known}}
  %c = cleave.route %l : tensor<4x8xf32> -> tensor<4x9xi32>
  return
}

// -----

func.func @f(%l: tensor<4x8xf32>) {
  // expected-error@+1 {{expected 1 to all of them, both known}}
  %c = cleave.route %l : tensor<4x8xf32> -> tensor<4x0xi32>
  return
}

// -----

func.func @f(%l: tensor<4x?xf32, #cleave.dims<experts>>) {
  // expected-error@+1 {{expected 1 to all of them, both known}}
  %c = cleave.route %l : tensor<4x?xf32, #cleave.dims<experts>> -> tensor<4x2xi32>
  return
}

// -----

// === route_weights ===

func.func @f(%l: tensor<8xf32>, %c: tensor<4x2xi32>) {
  // expected-error@+1 {{expects logits of rank 2}}
  %w = cleave.route_weights %l, %c : tensor<8xf32>, tensor<4x2xi32> -> tensor<4x2xf32>
  return
}

// -----

func.func @f(%l: tensor<4x8xf32>, %c: tensor<4xi32>) {
  // expected-error@+1 {{expects chosen experts of rank 2}}
  %w = cleave.route_weights %l, %c : tensor<4x8xf32>, tensor<4xi32> -> tensor<4x2xf32>
  return
}

// -----

func.func @f(%l: tensor<4x8xf32>, %c: tensor<4x2xi32>) {
  // expected-error@+1 {{expects a result of rank 2}}
  %w = cleave.route_weights %l, %c : tensor<4x8xf32>, tensor<4x2xi32> -> tensor<4xf32>
  return
}

// -----

func.func @f(%l: tensor<4x8xf32>, %c: tensor<5x2xi32>) {
  // expected-error@+1 {{expects dim 0 of the chosen experts to be dim 0 of the logits}}
  %w = cleave.route_weights %l, %c : tensor<4x8xf32>, tensor<5x2xi32> -> tensor<5x2xf32>
  return
}

// -----

func.func @f(%l: tensor<4x8xf32>, %c: tensor<4x2xi32>) {
  // expected-error@+1 {{expects dim 0 of the result to be dim 0 of the chosen experts}}
  %w = cleave.route_weights %l, %c : tensor<4x8xf32>, tensor<4x2xi32> -> tensor<5x2xf32>
  return
}

// -----

func.func @f(%l: tensor<4x8xf32>, %c: tensor<4x2xi32>) {
  // expected-error@+1 {{expects dim 1 of the result to be dim 1 of the chosen experts}}
  %w = cleave.route_weights %l, %c : tensor<4x8xf32>, tensor<4x2xi32> -> tensor<4x3xf32>
  return
}

// -----

// === moe ===

func.func @f(%x: tensor<64xf32>, %c: tensor<4x2xi32>, %w: tensor<4x2xf32>,
             %g: tensor<8x96x64x!cleave.q8_0>, %u: tensor<8x96x64x!cleave.q8_0>, %d: tensor<8x64x96x!cleave.q8_0>) {
  // expected-error@+1 {{expects x of rank 2}}
  %y = cleave.moe %x to %c, %w through %g, %u, %d
    : (tensor<64xf32>, tensor<4x2xi32>, tensor<4x2xf32>, tensor<8x96x64x!cleave.q8_0>,
       tensor<8x96x64x!cleave.q8_0>, tensor<8x64x96x!cleave.q8_0>) -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %c: tensor<2xi32>, %w: tensor<4x2xf32>,
             %g: tensor<8x96x64x!cleave.q8_0>, %u: tensor<8x96x64x!cleave.q8_0>, %d: tensor<8x64x96x!cleave.q8_0>) {
  // expected-error@+1 {{expects chosen experts of rank 2}}
  %y = cleave.moe %x to %c, %w through %g, %u, %d
    : (tensor<4x64xf32>, tensor<2xi32>, tensor<4x2xf32>, tensor<8x96x64x!cleave.q8_0>,
       tensor<8x96x64x!cleave.q8_0>, tensor<8x64x96x!cleave.q8_0>) -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %c: tensor<4x2xi32>, %w: tensor<2xf32>,
             %g: tensor<8x96x64x!cleave.q8_0>, %u: tensor<8x96x64x!cleave.q8_0>, %d: tensor<8x64x96x!cleave.q8_0>) {
  // expected-error@+1 {{expects weights of experts of rank 2}}
  %y = cleave.moe %x to %c, %w through %g, %u, %d
    : (tensor<4x64xf32>, tensor<4x2xi32>, tensor<2xf32>, tensor<8x96x64x!cleave.q8_0>,
       tensor<8x96x64x!cleave.q8_0>, tensor<8x64x96x!cleave.q8_0>) -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %c: tensor<4x2xi32>, %w: tensor<4x2xf32>,
             %g: tensor<96x64x!cleave.q8_0>, %u: tensor<8x96x64x!cleave.q8_0>, %d: tensor<8x64x96x!cleave.q8_0>) {
  // expected-error@+1 {{expects a gate weight of rank 3}}
  %y = cleave.moe %x to %c, %w through %g, %u, %d
    : (tensor<4x64xf32>, tensor<4x2xi32>, tensor<4x2xf32>, tensor<96x64x!cleave.q8_0>,
       tensor<8x96x64x!cleave.q8_0>, tensor<8x64x96x!cleave.q8_0>) -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %c: tensor<4x2xi32>, %w: tensor<4x2xf32>,
             %g: tensor<8x96x64x!cleave.q8_0>, %u: tensor<96x64x!cleave.q8_0>, %d: tensor<8x64x96x!cleave.q8_0>) {
  // expected-error@+1 {{expects an up weight of rank 3}}
  %y = cleave.moe %x to %c, %w through %g, %u, %d
    : (tensor<4x64xf32>, tensor<4x2xi32>, tensor<4x2xf32>, tensor<8x96x64x!cleave.q8_0>,
       tensor<96x64x!cleave.q8_0>, tensor<8x64x96x!cleave.q8_0>) -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %c: tensor<4x2xi32>, %w: tensor<4x2xf32>,
             %g: tensor<8x96x64x!cleave.q8_0>, %u: tensor<8x96x64x!cleave.q8_0>, %d: tensor<64x96x!cleave.q8_0>) {
  // expected-error@+1 {{expects a down weight of rank 3}}
  %y = cleave.moe %x to %c, %w through %g, %u, %d
    : (tensor<4x64xf32>, tensor<4x2xi32>, tensor<4x2xf32>, tensor<8x96x64x!cleave.q8_0>,
       tensor<8x96x64x!cleave.q8_0>, tensor<64x96x!cleave.q8_0>) -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %c: tensor<4x2xi32>, %w: tensor<4x2xf32>,
             %g: tensor<8x96x64x!cleave.q8_0>, %u: tensor<8x96x64x!cleave.q8_0>, %d: tensor<8x64x96x!cleave.q8_0>) {
  // expected-error@+1 {{expects a result of rank 2}}
  %y = cleave.moe %x to %c, %w through %g, %u, %d
    : (tensor<4x64xf32>, tensor<4x2xi32>, tensor<4x2xf32>, tensor<8x96x64x!cleave.q8_0>,
       tensor<8x96x64x!cleave.q8_0>, tensor<8x64x96x!cleave.q8_0>) -> tensor<64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %c: tensor<5x2xi32>, %w: tensor<4x2xf32>,
             %g: tensor<8x96x64x!cleave.q8_0>, %u: tensor<8x96x64x!cleave.q8_0>, %d: tensor<8x64x96x!cleave.q8_0>) {
  // expected-error@+1 {{expects dim 0 of the chosen experts to be dim 0 of x}}
  %y = cleave.moe %x to %c, %w through %g, %u, %d
    : (tensor<4x64xf32>, tensor<5x2xi32>, tensor<4x2xf32>, tensor<8x96x64x!cleave.q8_0>,
       tensor<8x96x64x!cleave.q8_0>, tensor<8x64x96x!cleave.q8_0>) -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %c: tensor<4x2xi32>, %w: tensor<5x2xf32>,
             %g: tensor<8x96x64x!cleave.q8_0>, %u: tensor<8x96x64x!cleave.q8_0>, %d: tensor<8x64x96x!cleave.q8_0>) {
  // expected-error@+1 {{expects dim 0 of the weights of experts to be dim 0 of x}}
  %y = cleave.moe %x to %c, %w through %g, %u, %d
    : (tensor<4x64xf32>, tensor<4x2xi32>, tensor<5x2xf32>, tensor<8x96x64x!cleave.q8_0>,
       tensor<8x96x64x!cleave.q8_0>, tensor<8x64x96x!cleave.q8_0>) -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %c: tensor<4x2xi32>, %w: tensor<4x3xf32>,
             %g: tensor<8x96x64x!cleave.q8_0>, %u: tensor<8x96x64x!cleave.q8_0>, %d: tensor<8x64x96x!cleave.q8_0>) {
  // expected-error@+1 {{expects dim 1 of the weights of experts to be dim 1 of the chosen experts}}
  %y = cleave.moe %x to %c, %w through %g, %u, %d
    : (tensor<4x64xf32>, tensor<4x2xi32>, tensor<4x3xf32>, tensor<8x96x64x!cleave.q8_0>,
       tensor<8x96x64x!cleave.q8_0>, tensor<8x64x96x!cleave.q8_0>) -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %c: tensor<4x2xi32>, %w: tensor<4x2xf32>,
             %g: tensor<8x96x64x!cleave.q8_0>, %u: tensor<8x96x64x!cleave.q8_0>, %d: tensor<8x64x96x!cleave.q8_0>) {
  // expected-error@+1 {{expects dim 0 of the result to be dim 0 of x}}
  %y = cleave.moe %x to %c, %w through %g, %u, %d
    : (tensor<4x64xf32>, tensor<4x2xi32>, tensor<4x2xf32>, tensor<8x96x64x!cleave.q8_0>,
       tensor<8x96x64x!cleave.q8_0>, tensor<8x64x96x!cleave.q8_0>) -> tensor<5x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %c: tensor<4x2xi32>, %w: tensor<4x2xf32>,
             %g: tensor<8x96x64x!cleave.q8_0>, %u: tensor<8x96x64x!cleave.q8_0>, %d: tensor<8x64x96x!cleave.q8_0>) {
  // expected-error@+1 {{expects dim 1 of the result to be dim 1 of the down weight}}
  %y = cleave.moe %x to %c, %w through %g, %u, %d
    : (tensor<4x64xf32>, tensor<4x2xi32>, tensor<4x2xf32>, tensor<8x96x64x!cleave.q8_0>,
       tensor<8x96x64x!cleave.q8_0>, tensor<8x64x96x!cleave.q8_0>) -> tensor<4x63xf32>
  return
}

// -----

func.func @f(%x: tensor<4x32xf32>, %c: tensor<4x2xi32>, %w: tensor<4x2xf32>,
             %g: tensor<8x96x64x!cleave.q8_0>, %u: tensor<8x96x64x!cleave.q8_0>, %d: tensor<8x64x96x!cleave.q8_0>) {
  // expected-error@+1 {{expects dim 2 of the gate weight to be dim 1 of x}}
  %y = cleave.moe %x to %c, %w through %g, %u, %d
    : (tensor<4x32xf32>, tensor<4x2xi32>, tensor<4x2xf32>, tensor<8x96x64x!cleave.q8_0>,
       tensor<8x96x64x!cleave.q8_0>, tensor<8x64x96x!cleave.q8_0>) -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %c: tensor<4x2xi32>, %w: tensor<4x2xf32>,
             %g: tensor<8x96x64x!cleave.q8_0>, %u: tensor<7x96x64x!cleave.q8_0>, %d: tensor<8x64x96x!cleave.q8_0>) {
  // expected-error@+1 {{expects dim 0 of the up weight to be dim 0 of the gate weight}}
  %y = cleave.moe %x to %c, %w through %g, %u, %d
    : (tensor<4x64xf32>, tensor<4x2xi32>, tensor<4x2xf32>, tensor<8x96x64x!cleave.q8_0>,
       tensor<7x96x64x!cleave.q8_0>, tensor<8x64x96x!cleave.q8_0>) -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %c: tensor<4x2xi32>, %w: tensor<4x2xf32>,
             %g: tensor<8x96x64x!cleave.q8_0>, %u: tensor<8x95x64x!cleave.q8_0>, %d: tensor<8x64x96x!cleave.q8_0>) {
  // expected-error@+1 {{expects dim 1 of the up weight to be dim 1 of the gate weight}}
  %y = cleave.moe %x to %c, %w through %g, %u, %d
    : (tensor<4x64xf32>, tensor<4x2xi32>, tensor<4x2xf32>, tensor<8x96x64x!cleave.q8_0>,
       tensor<8x95x64x!cleave.q8_0>, tensor<8x64x96x!cleave.q8_0>) -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %c: tensor<4x2xi32>, %w: tensor<4x2xf32>,
             %g: tensor<8x96x64x!cleave.q8_0>, %u: tensor<8x96x32x!cleave.q8_0>, %d: tensor<8x64x96x!cleave.q8_0>) {
  // expected-error@+1 {{expects dim 2 of the up weight to be dim 2 of the gate weight}}
  %y = cleave.moe %x to %c, %w through %g, %u, %d
    : (tensor<4x64xf32>, tensor<4x2xi32>, tensor<4x2xf32>, tensor<8x96x64x!cleave.q8_0>,
       tensor<8x96x32x!cleave.q8_0>, tensor<8x64x96x!cleave.q8_0>) -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %c: tensor<4x2xi32>, %w: tensor<4x2xf32>,
             %g: tensor<8x96x64x!cleave.q8_0>, %u: tensor<8x96x64x!cleave.q8_0>, %d: tensor<7x64x96x!cleave.q8_0>) {
  // expected-error@+1 {{expects dim 0 of the down weight to be dim 0 of the gate weight}}
  %y = cleave.moe %x to %c, %w through %g, %u, %d
    : (tensor<4x64xf32>, tensor<4x2xi32>, tensor<4x2xf32>, tensor<8x96x64x!cleave.q8_0>,
       tensor<8x96x64x!cleave.q8_0>, tensor<7x64x96x!cleave.q8_0>) -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %c: tensor<4x?xi32, #cleave.dims<k>>, %w: tensor<4x?xf32, #cleave.dims<k>>,
             %g: tensor<8x96x64x!cleave.q8_0>, %u: tensor<8x96x64x!cleave.q8_0>, %d: tensor<8x64x96x!cleave.q8_0>) {
  // expected-error@+1 {{expects weights of static size and a known number of chosen experts}}
  %y = cleave.moe %x to %c, %w through %g, %u, %d
    : (tensor<4x64xf32>, tensor<4x?xi32, #cleave.dims<k>>, tensor<4x?xf32, #cleave.dims<k>>, tensor<8x96x64x!cleave.q8_0>,
       tensor<8x96x64x!cleave.q8_0>, tensor<8x64x96x!cleave.q8_0>) -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %c: tensor<4x2xi32>, %w: tensor<4x2xf32>,
             %g: tensor<8x96x64x!cleave.q8_0>, %u: tensor<8x96x64x!cleave.q8_0>, %d: tensor<8x64x96x!cleave.q8_0>) {
  // expected-error@+1 {{has the negative first_expert -1}}
  %y = cleave.moe %x to %c, %w through %g, %u, %d {first_expert = -1 : i64}
    : (tensor<4x64xf32>, tensor<4x2xi32>, tensor<4x2xf32>, tensor<8x96x64x!cleave.q8_0>,
       tensor<8x96x64x!cleave.q8_0>, tensor<8x64x96x!cleave.q8_0>) -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %c: tensor<4x2xi32>, %w: tensor<4x2xf32>,
             %g: tensor<8x96x64x!cleave.q8_0>, %u: tensor<8x96x64x!cleave.q8_0>, %d: tensor<8x64x128x!cleave.q8_0>) {
  // expected-error@+1 {{has a down weight of 128 columns for 96 inner features with pad_before = 0: at most 31 columns before them and after them may meet zero}}
  %y = cleave.moe %x to %c, %w through %g, %u, %d
    : (tensor<4x64xf32>, tensor<4x2xi32>, tensor<4x2xf32>, tensor<8x96x64x!cleave.q8_0>,
       tensor<8x96x64x!cleave.q8_0>, tensor<8x64x128x!cleave.q8_0>) -> tensor<4x64xf32>
  return
}

// -----

func.func @f(%x: tensor<4x64xf32>, %c: tensor<4x2xi32>, %w: tensor<4x2xf32>,
             %g: tensor<8x96x64x!cleave.q8_0>, %u: tensor<8x96x64x!cleave.q8_0>, %d: tensor<8x64x96x!cleave.q8_0>) {
  // expected-error@+1 {{has a down weight of 96 columns for 96 inner features with pad_before = 1}}
  %y = cleave.moe %x to %c, %w through %g, %u, %d {pad_before = 1 : i64}
    : (tensor<4x64xf32>, tensor<4x2xi32>, tensor<4x2xf32>, tensor<8x96x64x!cleave.q8_0>,
       tensor<8x96x64x!cleave.q8_0>, tensor<8x64x96x!cleave.q8_0>) -> tensor<4x64xf32>
  return
}
