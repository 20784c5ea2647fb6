// What cleave.conv refuses, with its message.
// RUN: cleave-opt %s -split-input-file -verify-diagnostics

func.func @no_spatial_dim(%x: tensor<1x4xf32>, %w: tensor<4x4xf32>) {
  // expected-error @+1 {{expects an x of rank 3 to 5, found 'tensor<1x4xf32>'}}
  %y = cleave.conv %x, %w strides [] pads [] dilations [] : (tensor<1x4xf32>, tensor<4x4xf32>) -> tensor<1x4xf32>
  return
}

// -----

func.func @filter_rank(%x: tensor<1x4x5xf32>, %w: tensor<4x4xf32>) {
  // expected-error @+1 {{expects a filter of rank 3, found 'tensor<4x4xf32>'}}
  %y = cleave.conv %x, %w strides [1] pads [0, 0] dilations [1] : (tensor<1x4x5xf32>, tensor<4x4xf32>) -> tensor<1x4x5xf32>
  return
}

// -----

func.func @size_at_run_time(%x: tensor<1x4x?xf32, #cleave.dims<width>>, %w: tensor<4x4x1xf32>) {
  // expected-error @+1 {{expects channels and spatial dims of static size}}
  %y = cleave.conv %x, %w strides [1] pads [0, 0] dilations [1] : (tensor<1x4x?xf32, #cleave.dims<width>>, tensor<4x4x1xf32>) -> tensor<1x4x?xf32, #cleave.dims<width>>
  return
}

// -----

func.func @batch(%x: tensor<1x4x5xf32>, %w: tensor<4x4x1xf32>) {
  // expected-error @+1 {{expects dim 0 of the result to be dim 0 of x}}
  %y = cleave.conv %x, %w strides [1] pads [0, 0] dilations [1] : (tensor<1x4x5xf32>, tensor<4x4x1xf32>) -> tensor<2x4x5xf32>
  return
}

// -----

func.func @output_channels(%x: tensor<1x4x5xf32>, %w: tensor<4x4x1xf32>) {
  // expected-error @+1 {{expects dim 1 of the result to be dim 0 of the filter}}
  %y = cleave.conv %x, %w strides [1] pads [0, 0] dilations [1] : (tensor<1x4x5xf32>, tensor<4x4x1xf32>) -> tensor<1x5x5xf32>
  return
}

// -----

func.func @input_channels(%x: tensor<1x4x5xf32>, %w: tensor<4x2x1xf32>) {
  // expected-error @+1 {{has a filter for 2 input channels, but x has 4; did you mean 'grouped'?}}
  %y = cleave.conv %x, %w strides [1] pads [0, 0] dilations [1] : (tensor<1x4x5xf32>, tensor<4x2x1xf32>) -> tensor<1x4x5xf32>
  return
}

// -----

func.func @groups_of_input(%x: tensor<1x4x5xf32>, %w: tensor<4x3x1xf32>) {
  // expected-error @+1 {{has 4 input channels, expected whole groups of 3}}
  %y = cleave.conv grouped %x, %w strides [1] pads [0, 0] dilations [1] : (tensor<1x4x5xf32>, tensor<4x3x1xf32>) -> tensor<1x4x5xf32>
  return
}

// -----

func.func @groups_of_output(%x: tensor<1x4x5xf32>, %w: tensor<5x2x1xf32>) {
  // expected-error @+1 {{has 5 output channels for 2 groups, expected as many for each}}
  %y = cleave.conv grouped %x, %w strides [1] pads [0, 0] dilations [1] : (tensor<1x4x5xf32>, tensor<5x2x1xf32>) -> tensor<1x5x5xf32>
  return
}

// -----

func.func @bias(%x: tensor<1x4x5xf32>, %w: tensor<4x4x1xf32>, %b: tensor<5xf32>) {
  // expected-error @+1 {{expects dim 0 of the bias to be dim 0 of the filter}}
  %y = cleave.conv %x, %w bias %b strides [1] pads [0, 0] dilations [1] : (tensor<1x4x5xf32>, tensor<4x4x1xf32>, tensor<5xf32>) -> tensor<1x4x5xf32>
  return
}

// -----

func.func @no_bias(%x: tensor<1x4x5xf32>, %w: tensor<4x4x1xf32>) {
  // expected-error @+1 {{has no bias to omit}}
  %y = cleave.conv %x, %w strides [1] pads [0, 0] dilations [1] {omits_bias} : (tensor<1x4x5xf32>, tensor<4x4x1xf32>) -> tensor<1x4x5xf32>
  return
}

// -----

func.func @strides(%x: tensor<1x4x5xf32>, %w: tensor<4x4x1xf32>) {
  // expected-error @+1 {{has 2 strides for 1 spatial dims, expected 1}}
  %y = cleave.conv %x, %w strides [1, 1] pads [0, 0] dilations [1] : (tensor<1x4x5xf32>, tensor<4x4x1xf32>) -> tensor<1x4x5xf32>
  return
}

// -----

func.func @stride(%x: tensor<1x4x5xf32>, %w: tensor<4x4x1xf32>) {
  // expected-error @+1 {{has 0 among its strides, expected 1 to 32768}}
  %y = cleave.conv %x, %w strides [0] pads [0, 0] dilations [1] : (tensor<1x4x5xf32>, tensor<4x4x1xf32>) -> tensor<1x4x5xf32>
  return
}

// -----

func.func @pads(%x: tensor<1x4x5xf32>, %w: tensor<4x4x1xf32>) {
  // expected-error @+1 {{has -1 among its pads, expected 0 to 32768}}
  %y = cleave.conv %x, %w strides [1] pads [0, -1] dilations [1] : (tensor<1x4x5xf32>, tensor<4x4x1xf32>) -> tensor<1x4x4xf32>
  return
}

// -----

func.func @dilation(%x: tensor<1x4x5xf32>, %w: tensor<4x4x1xf32>) {
  // expected-error @+1 {{has 9223372036854775807 among its dilations, expected 1 to 32768}}
  %y = cleave.conv %x, %w strides [1] pads [0, 0] dilations [9223372036854775807] : (tensor<1x4x5xf32>, tensor<4x4x1xf32>) -> tensor<1x4x5xf32>
  return
}

// -----

func.func @large_filter(%x: tensor<1x4x5xf32>, %w: tensor<4x4x3xf32>) {
  // expected-error @+1 {{has a filter of 3 elements, which with its dilation reach over 9, for spatial dim 0 of 7 elements with its pads}}
  %y = cleave.conv %x, %w strides [1] pads [1, 1] dilations [4] : (tensor<1x4x5xf32>, tensor<4x4x3xf32>) -> tensor<1x4x1xf32>
  return
}

// -----

func.func @empty_filter(%x: tensor<1x4x5xf32>, %w: tensor<4x4x0xf32>) {
  // expected-error @+1 {{has a filter of 0 elements}}
  %y = cleave.conv %x, %w strides [1] pads [0, 0] dilations [1] : (tensor<1x4x5xf32>, tensor<4x4x0xf32>) -> tensor<1x4x6xf32>
  return
}

// -----

func.func @result_size(%x: tensor<1x4x5xf32>, %w: tensor<4x4x2xf32>) {
  // expected-error @+1 {{expects a result of 2 elements in spatial dim 0, found 'tensor<1x4x4xf32>'}}
  %y = cleave.conv %x, %w strides [2] pads [0, 0] dilations [1] : (tensor<1x4x5xf32>, tensor<4x4x2xf32>) -> tensor<1x4x4xf32>
  return
}
