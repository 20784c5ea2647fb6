// What the dense ops refuse, with their messages.
// RUN: cleave-opt %s -split-input-file -verify-diagnostics

func.func @matmul_vector(%a: tensor<4xf32>, %b: tensor<4x5xf32>) {
  // expected-error @+1 {{expects matrices, found 'tensor<4xf32>' and 'tensor<4x5xf32>'}}
  %y = cleave.matmul %a, %b : tensor<4xf32>, tensor<4x5xf32> -> tensor<5xf32>
  return
}

// -----

func.func @matmul_inner(%a: tensor<3x4xf32>, %b: tensor<5x4xf32>) {
  // expected-error @+1 {{expects dim 1 of a to be dim 0 of b}}
  %y = cleave.matmul %a, %b : tensor<3x4xf32>, tensor<5x4xf32> -> tensor<3x4xf32>
  return
}

// -----

func.func @matmul_mixed(%a: tensor<3x4xf32>, %b: tensor<5x4xi8>) {
  // expected-error @+1 {{expected f32, or i32 of integers with transpose_b alone}}
  %y = cleave.matmul %a, %b {transpose_b} : tensor<3x4xf32>, tensor<5x4xi8> -> tensor<3x5xf32>
  return
}

// -----

func.func @matmul_integers_as_they_are(%a: tensor<3x4xi8>, %b: tensor<4x5xi8>) {
  // expected-error @+1 {{expected f32, or i32 of integers with transpose_b alone}}
  %y = cleave.matmul %a, %b : tensor<3x4xi8>, tensor<4x5xi8> -> tensor<3x5xi32>
  return
}

// -----

func.func @reduce_mean_of_integers(%x: tensor<3x4xi64>) {
  // expected-error @+1 {{is a mean of 'tensor<3x4xi64>', expected f32}}
  %y = cleave.reduce mean %x dims [1] : tensor<3x4xi64> -> tensor<3xi64>
  return
}

// -----

func.func @reduce_to_another_type(%x: tensor<3x4xi64>) {
  // expected-error @+1 {{expected the same element type}}
  %y = cleave.reduce sum %x dims [1] : tensor<3x4xi64> -> tensor<3xi32>
  return
}

// -----

func.func @top_elements_of_another_type(%x: tensor<3x4xi64>) {
  // expected-error @+1 {{expected the same element type}}
  %v, %i = cleave.top_elements %x dim 1 : tensor<3x4xi64> -> tensor<3x2xf32>, tensor<3x2xi64>
  return
}

// -----

func.func @pool_indices_window(%x: tensor<2x4x6xf32>) {
  // expected-error @+1 {{has a window that reaches over 7 elements}}
  %y = cleave.pool_indices %x window [7] strides [1] pads [0, 0] dilations [1]
    : tensor<2x4x6xf32> -> tensor<2x4x1xi64>
  return
}

// -----

func.func @matmul_batch(%a: tensor<2x3x4xf32>, %b: tensor<3x4x5xf32>) {
  // expected-error @+1 {{whose dim 0 is not that of}}
  %y = cleave.matmul %a, %b : tensor<2x3x4xf32>, tensor<3x4x5xf32> -> tensor<3x3x5xf32>
  return
}

// -----

func.func @matmul_batch_of_nothing(%a: tensor<1x3x4xf32>, %b: tensor<1x4x5xf32>) {
  // expected-error @+1 {{whose dim 0 is not that of}}
  %y = cleave.matmul %a, %b : tensor<1x3x4xf32>, tensor<1x4x5xf32> -> tensor<2x3x5xf32>
  return
}

// -----

func.func @softmax_dim(%x: tensor<3x4xf32>) {
  // expected-error @+1 {{has dim 2 of 'tensor<3x4xf32>'}}
  %y = cleave.softmax %x dim 2 : tensor<3x4xf32>
  return
}

// -----

func.func @log_softmax_dim(%x: tensor<3x4xf32>) {
  // expected-error @+1 {{has dim -1 of 'tensor<3x4xf32>'}}
  %y = cleave.log_softmax %x dim -1 : tensor<3x4xf32>
  return
}

// -----

func.func @layer_norm_dims(%x: tensor<3x4xf32>) {
  // expected-error @+1 {{has dims = 3 for 'tensor<3x4xf32>'}}
  %y = cleave.layer_norm %x {dims = 3 : i64, epsilon = 0.0 : f32} : (tensor<3x4xf32>) -> tensor<3x4xf32>
  return
}

// -----

func.func @layer_norm_bias(%x: tensor<3x4xf32>, %b: tensor<3xf32>) {
  // expected-error @+1 {{expects dim 0 of the bias to be dim 1 of x}}
  %y = cleave.layer_norm %x bias %b {epsilon = 0.0 : f32} : (tensor<3x4xf32>, tensor<3xf32>) -> tensor<3x4xf32>
  return
}

// -----

func.func @reduce_nothing(%x: tensor<3x4xf32>) {
  // expected-error @+1 {{has dims [], expected rising ones of 'tensor<3x4xf32>', at least one}}
  %y = cleave.reduce sum %x dims [] : tensor<3x4xf32> -> tensor<3x4xf32>
  return
}

// -----

func.func @reduce_order(%x: tensor<3x4xf32>) {
  // expected-error @+1 {{has dims [1, 0], expected rising ones}}
  %y = cleave.reduce sum %x dims [1, 0] : tensor<3x4xf32> -> tensor<f32>
  return
}

// -----

func.func @reduce_result(%x: tensor<3x4xf32>) {
  // expected-error @+1 {{does not make 'tensor<4xf32>' of 'tensor<3x4xf32>' along dims [1]}}
  %y = cleave.reduce sum %x dims [1] : tensor<3x4xf32> -> tensor<4xf32>
  return
}

// -----

func.func @reduce_count(%x: tensor<3x4xf32>) {
  // expected-error @+1 {{has a count but is no mean}}
  %y = cleave.reduce sum %x dims [1] {count = 4 : i64} : tensor<3x4xf32> -> tensor<3xf32>
  return
}

// -----

func.func @reduce_count_of_nothing(%x: tensor<3x4xf32>) {
  // expected-error @+1 {{has count 0, expected at least 1}}
  %y = cleave.reduce mean %x dims [1] {count = 0 : i64} : tensor<3x4xf32> -> tensor<3xf32>
  return
}

// -----

func.func @arg_of_nothing(%x: tensor<3x0xf32>) {
  // expected-error @+1 {{looks for an element along empty dim 1}}
  %y = cleave.arg_max %x dim 1 : tensor<3x0xf32> -> tensor<3xi64>
  return
}

// -----

func.func @arg_result(%x: tensor<3x4xf32>) {
  // expected-error @+1 {{does not make 'tensor<4xi64>'}}
  %y = cleave.arg_min %x dim 1 : tensor<3x4xf32> -> tensor<4xi64>
  return
}

// -----

func.func @top_elements_count(%x: tensor<3x4xf32>) {
  // expected-error @+1 {{from dim 1 of 'tensor<3x4xf32>'}}
  %y, %i = cleave.top_elements %x dim 1 : tensor<3x4xf32> -> tensor<3x5xf32>, tensor<3x5xi64>
  return
}

// -----

func.func @top_elements_other_dim(%x: tensor<3x4xf32>) {
  // expected-error @+1 {{expects dim 0 of the result to be dim 0 of x}}
  %y, %i = cleave.top_elements %x dim 1 : tensor<3x4xf32> -> tensor<2x2xf32>, tensor<2x2xi64>
  return
}

// -----

func.func @cumulative_sum_dim(%x: tensor<3x4xf32>) {
  // expected-error @+1 {{has dim 2 of 'tensor<3x4xf32>'}}
  %y = cleave.cumulative_sum %x dim 2 : tensor<3x4xf32>
  return
}

// -----

func.func @attention_heads(%q: tensor<1x4x2x8xf32>, %k: tensor<1x3x2x8xf32>) {
  // expected-error @+1 {{has 4 query heads in groups of 2 from place 0, which read 2 key heads, but k has 3}}
  %a = cleave.scaled_dot_product_attention %q, %k, %k {group = 2 : i64, scale = 1.0 : f32} : (tensor<1x4x2x8xf32>, tensor<1x3x2x8xf32>, tensor<1x3x2x8xf32>) -> tensor<1x4x2x8xf32>
  return
}

// -----

func.func @attention_group(%q: tensor<1x4x2x8xf32>, %k: tensor<1x3x2x8xf32>) {
  // expected-error @+1 {{has group 2 and first_head 2, expected 0 <= first_head < group}}
  %a = cleave.scaled_dot_product_attention %q, %k, %k {group = 2 : i64, first_head = 2 : i64, scale = 1.0 : f32} : (tensor<1x4x2x8xf32>, tensor<1x3x2x8xf32>, tensor<1x3x2x8xf32>) -> tensor<1x4x2x8xf32>
  return
}

// -----

func.func @attention_width(%q: tensor<1x4x2x8xf32>, %k: tensor<1x4x2x6xf32>) {
  // expected-error @+1 {{expects dim 3 of k to be dim 3 of q}}
  %a = cleave.scaled_dot_product_attention %q, %k, %k {scale = 1.0 : f32} : (tensor<1x4x2x8xf32>, tensor<1x4x2x6xf32>, tensor<1x4x2x6xf32>) -> tensor<1x4x2x6xf32>
  return
}

// -----

func.func @attention_mask(%q: tensor<1x4x2x8xf32>, %m: tensor<3x2xf32>) {
  // expected-error @+1 {{has a mask 'tensor<3x2xf32>' that does not broadcast}}
  %a = cleave.scaled_dot_product_attention %q, %q, %q mask %m {scale = 1.0 : f32} : (tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>, tensor<3x2xf32>) -> tensor<1x4x2x8xf32>
  return
}

// -----

func.func @attention_mask_repeats(%q: tensor<1x4x2x8xf32>, %m: tensor<1x4x2x2xf32>) {
  // expected-error @+1 {{has mask_repeats [1], expected dims in which the mask's size is 1}}
  %a = cleave.scaled_dot_product_attention %q, %q, %q mask %m {scale = 1.0 : f32, mask_repeats = array<i64: 1>} : (tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>, tensor<1x4x2x2xf32>) -> tensor<1x4x2x8xf32>
  return
}

// -----

func.func @attention_from_end(%q: tensor<1x4x2x8xf32>) {
  // expected-error @+1 {{has causal_from_end but is not causal}}
  %a = cleave.scaled_dot_product_attention %q, %q, %q {scale = 1.0 : f32, causal_from_end} : (tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>) -> tensor<1x4x2x8xf32>
  return
}

// -----

func.func @attention_softcap(%q: tensor<1x4x2x8xf32>) {
  // expected-error @+1 {{expects a finite scale, and a softcap that is not negative}}
  %a = cleave.scaled_dot_product_attention %q, %q, %q {scale = 1.0 : f32, softcap = -1.0 : f32} : (tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>) -> tensor<1x4x2x8xf32>
  return
}

// -----

func.func @attention_head_size(%q: tensor<1x4x2x?xf32, #cleave.dims<d>>) {
  // expected-error @+1 {{expects heads of static number and size}}
  %a = cleave.scaled_dot_product_attention %q, %q, %q {scale = 1.0 : f32} : (tensor<1x4x2x?xf32, #cleave.dims<d>>, tensor<1x4x2x?xf32, #cleave.dims<d>>, tensor<1x4x2x?xf32, #cleave.dims<d>>) -> tensor<1x4x2x?xf32, #cleave.dims<d>>
  return
}

// -----

func.func @pool_rank(%x: tensor<3x4xf32>) {
  // expected-error @+1 {{expects an x of rank 3 to 5, found 'tensor<3x4xf32>'}}
  %y = cleave.pool max %x window [] strides [] pads [] dilations [] : tensor<3x4xf32> -> tensor<3x4xf32>
  return
}

// -----

func.func @pool_window(%x: tensor<1x2x4xf32>) {
  // expected-error @+1 {{has a window that reaches over 7 elements, for spatial dim 0 of 4 elements with its pads}}
  %y = cleave.pool max %x window [3] strides [1] pads [0, 0] dilations [3] : tensor<1x2x4xf32> -> tensor<1x2x1xf32>
  return
}

// -----

func.func @pool_result(%x: tensor<1x2x6xf32>) {
  // expected-error @+1 {{expects a result of 2 or one more elements in spatial dim 0}}
  %y = cleave.pool max %x window [3] strides [2] pads [0, 0] dilations [1] : tensor<1x2x6xf32> -> tensor<1x2x4xf32>
  return
}

// -----

func.func @pool_stride(%x: tensor<1x2x6xf32>) {
  // expected-error @+1 {{has 0 among its strides, expected 1 to 32768}}
  %y = cleave.pool max %x window [3] strides [0] pads [0, 0] dilations [1] : tensor<1x2x6xf32> -> tensor<1x2x4xf32>
  return
}

// -----

func.func @pool_pads(%x: tensor<1x2x6xf32>) {
  // expected-error @+1 {{has 1 pads, expected 2}}
  %y = cleave.pool max %x window [3] strides [1] pads [0] dilations [1] : tensor<1x2x6xf32> -> tensor<1x2x4xf32>
  return
}

// -----

func.func @pool_counts(%x: tensor<1x2x6xf32>) {
  // expected-error @+1 {{counts pads but is no average}}
  %y = cleave.pool max %x window [3] strides [1] pads [0, 0] dilations [1] {counts_pads} : tensor<1x2x6xf32> -> tensor<1x2x4xf32>
  return
}

// -----

func.func @conv_transpose_channels(%x: tensor<1x4x5xf32>, %w: tensor<3x2x1xf32>) {
  // expected-error @+1 {{expects dim 0 of the filter to be dim 1 of x}}
  %y = cleave.conv_transpose %x, %w strides [1] pads [0, 0] dilations [1] : (tensor<1x4x5xf32>, tensor<3x2x1xf32>) -> tensor<1x2x5xf32>
  return
}

// -----

func.func @conv_transpose_outputs(%x: tensor<1x4x5xf32>, %w: tensor<4x2x1xf32>) {
  // expected-error @+1 {{has a filter for 2 output channels, but a result of 4; did you mean 'grouped'?}}
  %y = cleave.conv_transpose %x, %w strides [1] pads [0, 0] dilations [1] : (tensor<1x4x5xf32>, tensor<4x2x1xf32>) -> tensor<1x4x5xf32>
  return
}

// -----

func.func @conv_transpose_groups(%x: tensor<1x4x5xf32>, %w: tensor<4x2x1xf32>) {
  // expected-error @+1 {{has 4 input channels for 3 groups, expected as many for each}}
  %y = cleave.conv_transpose grouped %x, %w strides [1] pads [0, 0] dilations [1] : (tensor<1x4x5xf32>, tensor<4x2x1xf32>) -> tensor<1x6x5xf32>
  return
}

// -----

func.func @conv_transpose_size(%x: tensor<1x4x5xf32>, %w: tensor<4x2x1xf32>) {
  // expected-error @+1 {{in spatial dim 0}}
  %y = cleave.conv_transpose %x, %w strides [2] pads [0, 0] dilations [1] : (tensor<1x4x5xf32>, tensor<4x2x1xf32>) -> tensor<1x2x11xf32>
  return
}

// -----

func.func @resize_dim(%x: tensor<1x4xf32>) {
  // expected-error @+1 {{has dim 2 of 'tensor<1x4xf32>'}}
  %y = cleave.resize nearest %x dim 2 by 1.0 asymmetric : tensor<1x4xf32> -> tensor<1x4xf32>
  return
}

// -----

func.func @resize_other(%x: tensor<1x4xf32>) {
  // expected-error @+1 {{expects dim 0 of the result to be dim 0 of x}}
  %y = cleave.resize nearest %x dim 1 by 1.0 asymmetric : tensor<1x4xf32> -> tensor<2x4xf32>
  return
}

// -----

func.func @resize_nothing(%x: tensor<1x0xf32>) {
  // expected-error @+1 {{which must be static and not empty}}
  %y = cleave.resize nearest %x dim 1 by 1.0 asymmetric : tensor<1x0xf32> -> tensor<1x4xf32>
  return
}

// -----

func.func @resize_scale(%x: tensor<1x4xf32>) {
  // expected-error @+1 {{expected a positive number}}
  %y = cleave.resize nearest %x dim 1 by 0.0 asymmetric : tensor<1x4xf32> -> tensor<1x4xf32>
  return
}

// -----

func.func @resize_number(%x: tensor<1x4xf32>) {
  // expected-error @+1 {{has a number that is not finite}}
  %y = cleave.resize nearest %x dim 1 by 1.0 asymmetric {crop_end = 0x7FF0000000000000 : f64} : tensor<1x4xf32> -> tensor<1x4xf32>
  return
}
