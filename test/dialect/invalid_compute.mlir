// What the parsers and verifiers of the dialect refuse, each check once: the ops that compute.
// RUN: cleave-opt %s -split-input-file -verify-diagnostics

// === gather ===

func.func @f(%w: tensor<8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{expects a source of rank 2, found 'tensor<8xf32>'}}
  %x = cleave.gather %w, %i : (tensor<8xf32>, tensor<4xi32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%w: tensor<8x8xf32>, %i: tensor<4x1xi32>) {
  // expected-error@+1 {{expects indices of rank 1}}
  %x = cleave.gather %w, %i : (tensor<8x8xf32>, tensor<4x1xi32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%w: tensor<8x8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{expects a result of rank 2}}
  %x = cleave.gather %w, %i : (tensor<8x8xf32>, tensor<4xi32>) -> tensor<8xf32>
  return
}

// -----

func.func @f(%w: tensor<8x8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{expects dim 0 of the result to be dim 0 of the indices}}
  %x = cleave.gather %w, %i : (tensor<8x8xf32>, tensor<4xi32>) -> tensor<5x8xf32>
  return
}

// -----

// Sizes known at run time are equal only if their names are.
func.func @f(%w: tensor<8x8xf32>, %i: tensor<?xi32, #cleave.dims<tokens>>) {
  // expected-error@+1 {{expects dim 0 of the result to be dim 0 of the indices}}
  %x = cleave.gather %w, %i : (tensor<8x8xf32>, tensor<?xi32, #cleave.dims<tokens>>) -> tensor<?x8xf32, #cleave.dims<rows>>
  return
}

// -----

func.func @f(%w: tensor<8x8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{expects dim 1 of the result to be dim 1 of the source}}
  %x = cleave.gather %w, %i : (tensor<8x8xf32>, tensor<4xi32>) -> tensor<4x7xf32>
  return
}

// -----

func.func @f(%w: tensor<8x8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{has the negative offset -1}}
  %x = cleave.gather masked %w, %i {offset = -1 : i64} : (tensor<8x8xf32>, tensor<4xi32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%w: tensor<8x8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{has offset 8 but is not masked}}
  %x = cleave.gather %w, %i {offset = 8 : i64} : (tensor<8x8xf32>, tensor<4xi32>) -> tensor<4x8xf32>
  return
}

// -----

// === linear ===

func.func @f(%x: tensor<f32>, %w: tensor<8x1xf32>) {
  // expected-error@+1 {{expects an x of rank 1 at least, found 'tensor<f32>'}}
  %y = cleave.linear %x, %w : (tensor<f32>, tensor<8x1xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects a result of rank 1}}
  %y = cleave.linear %x, %w : (tensor<4xf32>, tensor<8x4xf32>) -> tensor<8x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x4xf32>, %w: tensor<8xf32>) {
  // expected-error@+1 {{expects a weight of rank 2}}
  %y = cleave.linear %x, %w : (tensor<4x4xf32>, tensor<8xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x4xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects a result of rank 2}}
  %y = cleave.linear %x, %w : (tensor<4x4xf32>, tensor<8x4xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4x4xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects dim 0 of the result to be dim 0 of x}}
  %y = cleave.linear %x, %w : (tensor<4x4xf32>, tensor<8x4xf32>) -> tensor<5x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x4xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects dim 1 of the result to be dim 0 of the weight}}
  %y = cleave.linear %x, %w : (tensor<4x4xf32>, tensor<8x4xf32>) -> tensor<4x4xf32>
  return
}

// -----

func.func @f(%x: tensor<4x4xf32>, %w: tensor<8x5xf32>) {
  // expected-error@+1 {{has a weight of 5 columns for an x of 4 with pad_before = 0: at most 0 columns before it and after it may meet zero}}
  %y = cleave.linear %x, %w : (tensor<4x4xf32>, tensor<8x5xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %w: tensor<8x64x!cleave.q8_0>) {
  // expected-error@+1 {{pad_before = 32: at most 31 columns before it}}
  %y = cleave.linear %x, %w {pad_before = 32 : i64} : (tensor<4x8xf32>, tensor<8x64x!cleave.q8_0>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %w: tensor<8x64x!cleave.q8_0>) {
  // expected-error@+1 {{has a weight of 64 columns for an x of 8 with pad_before = 8}}
  %y = cleave.linear %x, %w {pad_before = 8 : i64} : (tensor<4x8xf32>, tensor<8x64x!cleave.q8_0>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x?xf32, #cleave.dims<t>>, %w: tensor<8x64xf32>) {
  // expected-error@+1 {{expects input features of static size}}
  %y = cleave.linear %x, %w : (tensor<4x?xf32, #cleave.dims<t>>, tensor<8x64xf32>) -> tensor<4x8xf32>
  return
}

// -----

// === rms_norm ===

func.func @f(%x: tensor<f32>, %w: tensor<1xf32>) {
  // expected-error@+1 {{expects an x of rank 1 at least, found 'tensor<f32>'}}
  %y = cleave.rms_norm %x, %w {epsilon = 1.0e-5 : f32} : tensor<f32>, tensor<1xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %w: tensor<1x8xf32>) {
  // expected-error@+1 {{expects a weight of rank 1}}
  %y = cleave.rms_norm %x, %w {epsilon = 1.0e-5 : f32} : tensor<4x8xf32>, tensor<1x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %w: tensor<4xf32>) {
  // expected-error@+1 {{expects dim 1 of x to be dim 0 of the weight}}
  %y = cleave.rms_norm %x, %w {epsilon = 1.0e-5 : f32} : tensor<4x8xf32>, tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4x10xf32>, %w: tensor<4xf32>) {
  // expected-error@+1 {{expects an x of whole heads of the weight's size, found 'tensor<4x10xf32>' and 'tensor<4xf32>'}}
  %y = cleave.rms_norm per_head %x, %w {epsilon = 1.0e-5 : f32} : tensor<4x10xf32>, tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4x0xf32>, %w: tensor<0xf32>) {
  // expected-error@+1 {{expects an x of whole heads}}
  %y = cleave.rms_norm per_head %x, %w {epsilon = 1.0e-5 : f32} : tensor<4x0xf32>, tensor<0xf32>
  return
}

// -----

func.func @f(%x: tensor<4x?xf32, #cleave.dims<n>>, %w: tensor<4xf32>) {
  // expected-error@+1 {{expects an x of whole heads}}
  %y = cleave.rms_norm per_head %x, %w {epsilon = 1.0e-5 : f32} : tensor<4x?xf32, #cleave.dims<n>>, tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %w: tensor<?xf32, #cleave.dims<n>>) {
  // expected-error@+1 {{expects an x of whole heads}}
  %y = cleave.rms_norm per_head %x, %w {epsilon = 1.0e-5 : f32} : tensor<4x8xf32>, tensor<?xf32, #cleave.dims<n>>
  return
}

// -----

// === rope ===

func.func @f(%x: tensor<8xf32>, %p: tensor<8xi32>) {
  // expected-error@+1 {{expects x of rank 2}}
  %y = cleave.rope %x, %p {head_dim = 8, rotary_dim = 8, base = 1.0 : f32} : tensor<8xf32>, tensor<8xi32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %p: tensor<4x1xi32>) {
  // expected-error@+1 {{expects positions of rank 1}}
  %y = cleave.rope %x, %p {head_dim = 8, rotary_dim = 8, base = 1.0 : f32} : tensor<4x8xf32>, tensor<4x1xi32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %p: tensor<5xi32>) {
  // expected-error@+1 {{expects dim 0 of x to be dim 0 of the positions}}
  %y = cleave.rope %x, %p {head_dim = 8, rotary_dim = 8, base = 1.0 : f32} : tensor<4x8xf32>, tensor<5xi32>
  return
}

// -----

func.func @f(%x: tensor<4x12xf32>, %p: tensor<4xi32>) {
  // expected-error@+1 {{expects an x of whole heads of 8}}
  %y = cleave.rope %x, %p {head_dim = 8, rotary_dim = 8, base = 1.0 : f32} : tensor<4x12xf32>, tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %p: tensor<4xi32>) {
  // expected-error@+1 {{expects an x of whole heads of 0}}
  %y = cleave.rope %x, %p {head_dim = 0, rotary_dim = 0, base = 1.0 : f32} : tensor<4x8xf32>, tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %p: tensor<4xi32>) {
  // expected-error@+1 {{has rotary_dim 10, expected an even number of at most head_dim = 8}}
  %y = cleave.rope %x, %p {head_dim = 8, rotary_dim = 10, base = 1.0 : f32} : tensor<4x8xf32>, tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %p: tensor<4xi32>) {
  // expected-error@+1 {{has rotary_dim 3, expected an even number}}
  %y = cleave.rope %x, %p {head_dim = 8, rotary_dim = 3, base = 1.0 : f32} : tensor<4x8xf32>, tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %p: tensor<4xi32>, %f: tensor<3xf32>) {
  // expected-error@+1 {{expects 4 factors, found 'tensor<3xf32>'}}
  %y = cleave.rope %x, %p factors %f {head_dim = 8, rotary_dim = 8, base = 1.0 : f32} : tensor<4x8xf32>, tensor<4xi32>, tensor<3xf32>
  return
}

// -----

// === state_update ===

cleave.state @s : tensor<?x?x8xf32, #cleave.dims<slots, context>>
func.func @f(%x: tensor<8xf32>, %i: tensor<8xi32>) {
  // expected-error@+1 {{expects x of rank 2}}
  %k = cleave.state_update @s, %x at %i, %i : (tensor<8xf32>, tensor<8xi32>, tensor<8xi32>) -> tensor<?x?x8xf32, #cleave.dims<slots, context>>
  return
}

// -----

cleave.state @s : tensor<?x?x8xf32, #cleave.dims<slots, context>>
func.func @f(%x: tensor<4x8xf32>, %i: tensor<5xi32>, %p: tensor<4xi32>) {
  // expected-error@+1 {{expects dim 0 of x to be dim 0 of the slots}}
  %k = cleave.state_update @s, %x at %i, %p : (tensor<4x8xf32>, tensor<5xi32>, tensor<4xi32>) -> tensor<?x?x8xf32, #cleave.dims<slots, context>>
  return
}

// -----

cleave.state @s : tensor<?x?x8xf32, #cleave.dims<slots, context>>
func.func @f(%x: tensor<4x8xf32>, %i: tensor<4xi32>, %p: tensor<5xi32>) {
  // expected-error@+1 {{expects dim 0 of x to be dim 0 of the positions}}
  %k = cleave.state_update @s, %x at %i, %p : (tensor<4x8xf32>, tensor<4xi32>, tensor<5xi32>) -> tensor<?x?x8xf32, #cleave.dims<slots, context>>
  return
}

// -----

cleave.state @s : tensor<?x?x8xf32, #cleave.dims<slots, context>>
func.func @f(%x: tensor<4x6xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{expects dim 2 of the result to be dim 1 of x}}
  %k = cleave.state_update @s, %x at %i, %i : (tensor<4x6xf32>, tensor<4xi32>, tensor<4xi32>) -> tensor<?x?x8xf32, #cleave.dims<slots, context>>
  return
}

// -----

// === attention ===

func.func @f(%q: tensor<4x8xf32>, %k: tensor<1x16x8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{has window -1, expected 0 (none) to 2147483647}}
  %a = cleave.attention %q, %k, %k at %i, %i {head_dim = 8, group = 1, scale = 1.0 : f32, window = -1} : tensor<4x8xf32>, tensor<1x16x8xf32>, tensor<4xi32>, tensor<4xi32>
  return
}

// -----

func.func @f(%q: tensor<8xf32>, %k: tensor<1x16x8xf32>, %i: tensor<8xi32>) {
  // expected-error@+1 {{expects q of rank 2}}
  %a = cleave.attention %q, %k, %k at %i, %i {head_dim = 8, group = 1, scale = 1.0 : f32} : tensor<8xf32>, tensor<1x16x8xf32>, tensor<8xi32>, tensor<8xi32>
  return
}

// -----

func.func @f(%q: tensor<4x8xf32>, %k: tensor<16x8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{expects k of rank 3}}
  %a = cleave.attention %q, %k, %k at %i, %i {head_dim = 8, group = 1, scale = 1.0 : f32} : tensor<4x8xf32>, tensor<16x8xf32>, tensor<4xi32>, tensor<4xi32>
  return
}

// -----

func.func @f(%q: tensor<4x8xf32>, %k: tensor<1x16x8xf32>, %i: tensor<5xi32>, %p: tensor<4xi32>) {
  // expected-error@+1 {{expects dim 0 of q to be dim 0 of the slots}}
  %a = cleave.attention %q, %k, %k at %i, %p {head_dim = 8, group = 1, scale = 1.0 : f32} : tensor<4x8xf32>, tensor<1x16x8xf32>, tensor<5xi32>, tensor<4xi32>
  return
}

// -----

func.func @f(%q: tensor<4x8xf32>, %k: tensor<1x16x8xf32>, %i: tensor<4xi32>, %p: tensor<5xi32>) {
  // expected-error@+1 {{expects dim 0 of q to be dim 0 of the positions}}
  %a = cleave.attention %q, %k, %k at %i, %p {head_dim = 8, group = 1, scale = 1.0 : f32} : tensor<4x8xf32>, tensor<1x16x8xf32>, tensor<4xi32>, tensor<5xi32>
  return
}

// -----

func.func @f(%q: tensor<4x12xf32>, %k: tensor<1x16x8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{expects whole heads of 8}}
  %a = cleave.attention %q, %k, %k at %i, %i {head_dim = 8, group = 1, scale = 1.0 : f32} : tensor<4x12xf32>, tensor<1x16x8xf32>, tensor<4xi32>, tensor<4xi32>
  return
}

// -----

func.func @f(%q: tensor<4x16xf32>, %k: tensor<1x16x8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{has group 2 and first_head 2, expected 0 <= first_head < group}}
  %a = cleave.attention %q, %k, %k at %i, %i {head_dim = 8, group = 2, first_head = 2, scale = 1.0 : f32} : tensor<4x16xf32>, tensor<1x16x8xf32>, tensor<4xi32>, tensor<4xi32>
  return
}

// -----

func.func @f(%q: tensor<4x16xf32>, %k: tensor<1x16x8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{has 2 query heads in groups of 2 from place 1, which read 2 key heads, but k has 1}}
  %a = cleave.attention %q, %k, %k at %i, %i {head_dim = 8, group = 2, first_head = 1, scale = 1.0 : f32} : tensor<4x16xf32>, tensor<1x16x8xf32>, tensor<4xi32>, tensor<4xi32>
  return
}

// -----

func.func @f(%q: tensor<4x8xf32>, %k: tensor<1x16x8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{has group 2305843009213693952 and first_head 0, expected 0 <= first_head < group <= 65536}}
  %a = cleave.attention %q, %k, %k at %i, %i {head_dim = 8, group = 2305843009213693952, scale = 1.0 : f32} : tensor<4x8xf32>, tensor<1x16x8xf32>, tensor<4xi32>, tensor<4xi32>
  return
}

// -----

// === slice ===

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{has dim 2 of 'tensor<4x8xf32>' and result 'tensor<4x2xf32>'}}
  %y = cleave.slice %x dim 2 from 0 : tensor<4x8xf32> -> tensor<4x2xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{changes dim 0 of 'tensor<4x8xf32>' in result 'tensor<3x2xf32>'}}
  %y = cleave.slice %x dim 1 from 0 : tensor<4x8xf32> -> tensor<3x2xf32>
  return
}

// -----

func.func @slice_into_a_share(%x: tensor<?x8xf32, #cleave.dims<t>>) {
  // expected-error@+1 {{cannot slice dim 0}}
  %y = cleave.slice %x dim 0 from 0 : tensor<?x8xf32, #cleave.dims<t>> -> tensor<?x8xf32, #cleave.dims<t[0 of 2]>>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{takes 2 elements from 7 on of dim 1 of 'tensor<4x8xf32>'}}
  %y = cleave.slice %x dim 1 from 7 : tensor<4x8xf32> -> tensor<4x2xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{takes 2 elements from -1 on of dim 1}}
  %y = cleave.slice %x dim 1 from -1 : tensor<4x8xf32> -> tensor<4x2xf32>
  return
}

// -----

// The sum of begin and size does not fit 64 bits.
func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{of dim 1 of 'tensor<4x8xf32>'}}
  %y = cleave.slice %x dim 1 from 9223372036854775807 : tensor<4x8xf32> -> tensor<4x2xf32>
  return
}

// -----

// === top_k ===

func.func @f(%x: tensor<8xf32>) {
  // expected-error@+1 {{expects x of rank 2}}
  %y = cleave.top_k %x : tensor<8xf32> -> tensor<1x3x2xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expects a result of rank 3}}
  %y = cleave.top_k %x : tensor<4x8xf32> -> tensor<4x3xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expects dim 0 of the result to be dim 0 of x}}
  %y = cleave.top_k %x : tensor<4x8xf32> -> tensor<5x3x2xf32>
  return
}

// -----

func.func @f(%x: tensor<4x?xf32, #cleave.dims<tokens>>) {
  // expected-error@+1 {{expects rows of static size}}
  %y = cleave.top_k %x : tensor<4x?xf32, #cleave.dims<tokens>> -> tensor<4x3x2xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expects a result [r, k, 2] with 1 <= k <= 1024, found 'tensor<4x1025x2xf32>'}}
  %y = cleave.top_k %x : tensor<4x8xf32> -> tensor<4x1025x2xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expects a result [r, k, 2] with 1 <= k <= 1024, found 'tensor<4x3x3xf32>'}}
  %y = cleave.top_k %x : tensor<4x8xf32> -> tensor<4x3x3xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{has 8 columns from 16777209 on, expected them in 0:16777216}}
  %y = cleave.top_k %x {offset = 16777209 : i64} : tensor<4x8xf32> -> tensor<4x3x2xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{has 8 columns from -1 on}}
  %y = cleave.top_k %x {offset = -1 : i64} : tensor<4x8xf32> -> tensor<4x3x2xf32>
  return
}

// -----

// === transpose ===

func.func @transpose_dim_twice(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{has permutation [1, 1], expected each of the 2 dims of 'tensor<4x8xf32>' once}}
  %y = cleave.transpose %x [1, 1] : tensor<4x8xf32> -> tensor<8x8xf32>
  return
}

// -----

func.func @transpose_no_dim(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{has permutation [0, 2]}}
  %y = cleave.transpose %x [0, 2] : tensor<4x8xf32> -> tensor<4x8xf32>
  return
}

// -----

func.func @transpose_too_few(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{by [0] does not make 'tensor<4xf32>' of 'tensor<4x8xf32>'}}
  %y = cleave.transpose %x [0] : tensor<4x8xf32> -> tensor<4xf32>
  return
}

// -----

func.func @transpose_other_size(%x: tensor<?x?xf32, #cleave.dims<a, b>>) {
  // expected-error@+1 {{by [1, 0] does not make}}
  %y = cleave.transpose %x [1, 0] : tensor<?x?xf32, #cleave.dims<a, b>> -> tensor<?x?xf32, #cleave.dims<a, b>>
  return
}

// -----

// === reshape ===

func.func @reshape_other_count(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{does not make 'tensor<5x6xf32>' of 'tensor<4x8xf32>'}}
  %y = cleave.reshape %x groups [2:2] : tensor<4x8xf32> -> tensor<5x6xf32>
  return
}

// -----

func.func @reshape_other_type(%x: tensor<4xf32>) {
  // expected-error@+1 {{does not make 'tensor<4xi32>' of 'tensor<4xf32>'}}
  %y = cleave.reshape %x groups [1:1] : tensor<4xf32> -> tensor<4xi32>
  return
}

// -----

func.func @reshape_over_a_runtime_size(%x: tensor<2x?x8xf32, #cleave.dims<t>>) {
  // expected-error@+1 {{does not make}}
  %y = cleave.reshape %x groups [2:1, 1:1] : tensor<2x?x8xf32, #cleave.dims<t>> -> tensor<?x16xf32, #cleave.dims<t>>
  return
}

// -----

func.func @reshape_of_huge_sizes(%x: tensor<4294967296x4294967296xf32>) {
  // expected-error@+1 {{does not make}}
  %y = cleave.reshape %x groups [2:2] : tensor<4294967296x4294967296xf32> -> tensor<0x4xf32>
  return
}

// -----

func.func @reshape_groups_leave_a_dim_out(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expected groups that take in all dims}}
  %y = cleave.reshape %x groups [1:2] : tensor<4x8xf32> -> tensor<2x2x8xf32>
  return
}

// -----

func.func @reshape_groups_beyond_the_dims(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{expected groups that take in all dims}}
  %y = cleave.reshape %x groups [3:1, 1:1] : tensor<4x8xf32> -> tensor<4x8xf32>
  return
}

// -----

func.func @reshape_renames_a_runtime_size(%x: tensor<?x8xf32, #cleave.dims<t>>) {
  // expected-error@+1 {{does not make}}
  %y = cleave.reshape %x groups [1:1, 1:1] : tensor<?x8xf32, #cleave.dims<t>> -> tensor<?x8xf32, #cleave.dims<s>>
  return
}
