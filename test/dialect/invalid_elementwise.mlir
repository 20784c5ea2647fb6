// What the parsers and verifiers of the dialect refuse, each check once: the ops that compute
// element by element.
// RUN: cleave-opt %s -split-input-file -verify-diagnostics

// === one element ===

func.func @scale_infinite(%x: tensor<4xf32>) {
  // expected-error@+1 {{has the parameter}}
  %y = cleave.scale %x by 0x7F800000 : tensor<4xf32>
  return
}

// -----

func.func @clip_nan(%x: tensor<4xf32>) {
  // expected-error@+1 {{expected a number}}
  %y = cleave.clip %x {min = 0x7FC00000 : f32, max = 1.0 : f32} : tensor<4xf32>
  return
}

// -----

func.func @exp_of_integers(%x: tensor<4xi32>) {
  // expected-error@+1 {{must be ranked tensor of 32-bit float or 16-bit float or bfloat16 type or 64-bit float values}}
  %y = cleave.exp %x : tensor<4xi32>
  return
}

// -----

func.func @negative_of_unsigned(%x: tensor<4xui32>) {
  // expected-error@+1 {{operand #0 must be ranked tensor}}
  %y = cleave.neg %x : tensor<4xui32>
  return
}

// -----

// === several elements ===

func.func @sizes(%x: tensor<4x8xf32>, %y: tensor<4xf32>) {
  // expected-error@+1 {{'cleave.add' op expects sizes that are equal or 1, found 'tensor<4x8xf32>', 'tensor<4xf32>', which differ in dim -1 (from the end)}}
  %z = cleave.add %x, %y : tensor<4x8xf32>, tensor<4xf32>
  return
}

// -----

func.func @names(%x: tensor<?xf32, #cleave.dims<a>>, %y: tensor<?xf32, #cleave.dims<b>>) {
  // expected-error@+1 {{expects sizes that are equal or 1}}
  %z = cleave.mul %x, %y : tensor<?xf32, #cleave.dims<a>>, tensor<?xf32, #cleave.dims<b>>
  return
}

// -----

func.func @types(%x: tensor<4xf32>, %y: tensor<4xf16>) {
  // expected-error@+1 {{expects operands of one element type, found 'tensor<4xf32>' and 'tensor<4xf16>'}}
  %z = cleave.sub %x, %y : tensor<4xf32>, tensor<4xf16>
  return
}

// -----

func.func @where_types(%c: tensor<4xi1>, %x: tensor<4xf32>, %y: tensor<4xf16>) {
  // expected-error@+1 {{expects operands of one element type}}
  %z = cleave.where %c, %x, %y : tensor<4xi1>, tensor<4xf32>, tensor<4xf16>
  return
}

// -----

func.func @repeated_size(%x: tensor<4x8xf32>, %y: tensor<8xf32>) {
  // expected-error@+1 {{repeats [1, 1], expected pairs of an operand and a dim in which its size is 1}}
  %z = cleave.add %x, %y {repeats = array<i64: 1, 1>} : tensor<4x8xf32>, tensor<8xf32>
  return
}

// -----

func.func @repeated_dim(%x: tensor<4x8xf32>, %y: tensor<1xf32>) {
  // expected-error@+1 {{repeats [1, 0], expected pairs}}
  %z = cleave.add %x, %y {repeats = array<i64: 1, 0>} : tensor<4x8xf32>, tensor<1xf32>
  return
}

// -----

func.func @repeated_operand(%x: tensor<1xf32>) {
  // expected-error@+1 {{repeats [2, 0], expected pairs}}
  %z = cleave.add %x, %x {repeats = array<i64: 2, 0>} : tensor<1xf32>, tensor<1xf32>
  return
}

// -----

func.func @repeated_half(%x: tensor<1xf32>) {
  // expected-error@+1 {{repeats [0], expected pairs}}
  %z = cleave.add %x, %x {repeats = array<i64: 0>} : tensor<1xf32>, tensor<1xf32>
  return
}

// -----

// === cast ===

func.func @cast_shape(%x: tensor<4xf32>) {
  // expected-error@+1 {{expects a result of x's shape, found 'tensor<4xf32>' and 'tensor<5xi32>'}}
  %z = cleave.cast %x : tensor<4xf32> -> tensor<5xi32>
  return
}
