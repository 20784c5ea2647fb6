// What names of run-time sizes and the ops that move elements refuse, with its message.
// RUN: cleave-opt %s -split-input-file -verify-diagnostics

// expected-error@+1 {{the run-time size "seq+past" is written "past+seq", so that equal sizes have equal names}}
func.func @not_canonical(%x: tensor<?xf32, #cleave.dims<"seq+past">>) {
  return
}

// -----

// expected-error@+1 {{the run-time size "a b" is no expression of sizes: expected an operator at character 3}}
func.func @no_expression(%x: tensor<?xf32, #cleave.dims<"a b">>) {
  return
}

// -----

// expected-error@+1 {{the run-time size "3" is a constant}}
func.func @constant(%x: tensor<?xf32, #cleave.dims<"3">>) {
  return
}

// -----

// expected-error@+1 {{the run-time size "2*(seq)" is written "2*seq"}}
func.func @share_of_none(%x: tensor<?xf32, #cleave.dims<"2*(seq)"[0 of 2]>>) {
  return
}

// -----

func.func @reshape_other_product(%x: tensor<?x?xf32, #cleave.dims<batch, seq>>) {
  // expected-error@+1 {{does not make 'tensor<?xf32, #cleave.dims<"batch*past">>'}}
  %y = cleave.reshape %x groups [2:1] : tensor<?x?xf32, #cleave.dims<batch, seq>> -> tensor<?xf32, #cleave.dims<"batch*past">>
  return
}

// -----

func.func @reshape_of_shares(%x: tensor<?x4xf32, #cleave.dims<t[0 of 2]>>) {
  // expected-error@+1 {{expected groups that take in all dims}}
  %y = cleave.reshape %x groups [2:1] : tensor<?x4xf32, #cleave.dims<t[0 of 2]>> -> tensor<?xf32, #cleave.dims<"4*t"[0 of 2]>>
  return
}

// -----

func.func @slice_step(%x: tensor<8xf32>) {
  // expected-error@+1 {{has step 0}}
  %y = cleave.slice %x dim 0 from 0 step 0 : tensor<8xf32> -> tensor<1xf32>
  return
}

// -----

func.func @slice_before_the_first(%x: tensor<8xf32>) {
  // expected-error@+1 {{takes 4 elements from 5 on of dim 0}}
  %y = cleave.slice %x dim 0 from 5 step -2 : tensor<8xf32> -> tensor<4xf32>
  return
}

// -----

func.func @slice_huge_step(%x: tensor<8xf32>) {
  // expected-error@+1 {{takes 3 elements from 1 on of dim 0}}
  %y = cleave.slice %x dim 0 from 1 step 9223372036854775807 : tensor<8xf32> -> tensor<3xf32>
  return
}

// -----

func.func @slice_from_nothing(%x: tensor<?xf32, #cleave.dims<n>>) {
  // expected-error@+1 {{has the begin "n+", which is no size: expected a name, a number or '(' at character 3}}
  %y = cleave.slice %x dim 0 from "n+" : tensor<?xf32, #cleave.dims<n>> -> tensor<1xf32>
  return
}

// -----

func.func @slice_from_other_form(%x: tensor<?xf32, #cleave.dims<n>>) {
  // expected-error@+1 {{has the begin "-1+n", expected it to be written n-1}}
  %y = cleave.slice %x dim 0 from "-1+n" : tensor<?xf32, #cleave.dims<n>> -> tensor<1xf32>
  return
}

// -----

func.func @slice_other_type(%x: tensor<8xf32>) {
  // expected-error@+1 {{has dim 0 of 'tensor<8xf32>' and result 'tensor<4xi32>'}}
  %y = cleave.slice %x dim 0 from 0 : tensor<8xf32> -> tensor<4xi32>
  return
}

// -----

func.func @concat_nothing() {
  // expected-error@+1 {{has 0 parts, expected 1 to 16}}
  %y = cleave.concat dim 0 : () -> tensor<4xf32>
  return
}

// -----

func.func @concat_dim(%x: tensor<4xf32>) {
  // expected-error@+1 {{has dim 1 of}}
  %y = cleave.concat %x, %x dim 1 : (tensor<4xf32>, tensor<4xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @concat_unlike(%x: tensor<4x2xf32>, %y: tensor<4x3xf32>) {
  // expected-error@+1 {{has part 1 of type 'tensor<4x3xf32>', which is not like 'tensor<8x2xf32>' but for dim 0}}
  %z = cleave.concat %x, %y dim 0 : (tensor<4x2xf32>, tensor<4x3xf32>) -> tensor<8x2xf32>
  return
}

// -----

func.func @concat_sum(%x: tensor<?xf32, #cleave.dims<a>>, %y: tensor<?xf32, #cleave.dims<b>>) {
  // expected-error@+1 {{makes a+b of dim 0, but the result is}}
  %z = cleave.concat %x, %y dim 0 : (tensor<?xf32, #cleave.dims<a>>, tensor<?xf32, #cleave.dims<b>>) -> tensor<?xf32, #cleave.dims<"2*a">>
  return
}

// -----

func.func @expand_other_size(%x: tensor<2x8xf32>) {
  // expected-error@+1 {{cannot repeat 'tensor<2x8xf32>' to be 'tensor<4x8xf32>'}}
  %y = cleave.expand %x : tensor<2x8xf32> -> tensor<4x8xf32>
  return
}

// -----

func.func @expand_fewer_dims(%x: tensor<1x8xf32>) {
  // expected-error@+1 {{cannot repeat}}
  %y = cleave.expand %x : tensor<1x8xf32> -> tensor<8xf32>
  return
}

// -----

func.func @range_rank() {
  // expected-error@+1 {{expects a result of rank 1}}
  %y = cleave.range from 0 : tensor<2x2xf32>
  return
}

// -----

func.func @range_start() {
  // expected-error@+1 {{has the start "5", expected it to be written as a number: 5}}
  %y = cleave.range from "5" : tensor<2xf32>
  return
}

// -----

func.func @take_dim(%x: tensor<4x8xf32>, %i: tensor<3xi64>) {
  // expected-error@+1 {{has dim 2 of 'tensor<4x8xf32>'}}
  %y = cleave.take %x, %i dim 2 : (tensor<4x8xf32>, tensor<3xi64>) -> tensor<4x3xf32>
  return
}

// -----

func.func @take_result(%x: tensor<4x8xf32>, %i: tensor<3xi64>) {
  // expected-error@+1 {{expects a result of type 'tensor<4x3xf32>', found 'tensor<3x8xf32>'}}
  %y = cleave.take %x, %i dim 1 : (tensor<4x8xf32>, tensor<3xi64>) -> tensor<3x8xf32>
  return
}

// -----

func.func @take_offset_unmasked(%x: tensor<4x8xf32>, %i: tensor<3xi64>) {
  // expected-error@+1 {{has offset 4 but is not masked}}
  %y = cleave.take %x, %i dim 0 {offset = 4 : i64} : (tensor<4x8xf32>, tensor<3xi64>) -> tensor<3x8xf32>
  return
}

// -----

func.func @take_share_beyond(%x: tensor<4x8xf32>, %i: tensor<3xi64>) {
  // expected-error@+1 {{has 4 slices from 7 of 10}}
  %y = cleave.take %x, %i dim 0 masked from 7 of 10 : (tensor<4x8xf32>, tensor<3xi64>) -> tensor<3x8xf32>
  return
}

// -----

func.func @take_share_before(%x: tensor<4x8xf32>, %i: tensor<3xi64>) {
  // expected-error@+1 {{has 4 slices from -1 of 10}}
  %y = cleave.take %x, %i dim 0 masked from -1 of 10 : (tensor<4x8xf32>, tensor<3xi64>) -> tensor<3x8xf32>
  return
}

// -----

func.func @take_share_that_overflows(%x: tensor<4x8xf32>, %i: tensor<3xi64>) {
  // expected-error@+1 {{has 4 slices from 9223372036854775807 of 10}}
  %y = cleave.take %x, %i dim 0 masked from 9223372036854775807 of 10 : (tensor<4x8xf32>, tensor<3xi64>) -> tensor<3x8xf32>
  return
}

// -----

func.func @take_share_of_less(%x: tensor<4x8xf32>, %i: tensor<3xi64>) {
  // expected-error@+1 {{has 4 slices from 0 of 3}}
  %y = cleave.take %x, %i dim 0 masked from 0 of 3 : (tensor<4x8xf32>, tensor<3xi64>) -> tensor<3x8xf32>
  return
}

// -----

func.func @take_negative_whole(%x: tensor<4x8xf32>, %i: tensor<3xi64>) {
  // expected-error@+1 {{has 4 slices from 0 of -9223372036854775808}}
  %y = cleave.take %x, %i dim 0 masked from 0 of -9223372036854775808 : (tensor<4x8xf32>, tensor<3xi64>) -> tensor<3x8xf32>
  return
}

// -----

func.func @take_share_of_run_time_size(%x: tensor<?x8xf32, #cleave.dims<n>>, %i: tensor<3xi64>) {
  // expected-error@+1 {{is masked along dim 0 of 'tensor<?x8xf32, #cleave.dims<n>>', which is of a run-time size}}
  %y = cleave.take %x, %i dim 0 masked from 0 of 10 : (tensor<?x8xf32, #cleave.dims<n>>, tensor<3xi64>) -> tensor<3x8xf32>
  return
}

// -----

func.func @gather_elements_outside(%x: tensor<4x8xf32>, %i: tensor<5x3xi64>) {
  // expected-error@+1 {{has indices 'tensor<5x3xi64>', which do not lie in 'tensor<4x8xf32>' but for dim 1}}
  %y = cleave.gather_elements %x, %i dim 1 : (tensor<4x8xf32>, tensor<5x3xi64>) -> tensor<5x3xf32>
  return
}

// -----

func.func @gather_elements_unknown(%x: tensor<?x8xf32, #cleave.dims<a>>, %i: tensor<?x3xi64, #cleave.dims<b>>) {
  // expected-error@+1 {{which do not lie in}}
  %y = cleave.gather_elements %x, %i dim 1 : (tensor<?x8xf32, #cleave.dims<a>>, tensor<?x3xi64, #cleave.dims<b>>) -> tensor<?x3xf32, #cleave.dims<b>>
  return
}

// -----

func.func @gather_nd_tuples(%x: tensor<4x8xf32>, %i: tensor<5x3xi64>) {
  // expected-error@+1 {{expects tuples of 1 to 2 numbers for 'tensor<4x8xf32>', found 'tensor<5x3xi64>'}}
  %y = cleave.gather_nd %x, %i batch_dims 0 : (tensor<4x8xf32>, tensor<5x3xi64>) -> tensor<5xf32>
  return
}

// -----

func.func @gather_nd_batch(%x: tensor<4x8xf32>, %i: tensor<5x1xi64>) {
  // expected-error@+1 {{expects dim 0 of the indices to be dim 0 of x}}
  %y = cleave.gather_nd %x, %i batch_dims 1 : (tensor<4x8xf32>, tensor<5x1xi64>) -> tensor<5xf32>
  return
}

// -----

func.func @scatter_elements_updates(%x: tensor<4x8xf32>, %i: tensor<4x3xi64>, %u: tensor<4x2xf32>) {
  // expected-error@+1 {{expects updates of type 'tensor<4x3xf32>', found 'tensor<4x2xf32>'}}
  %y = cleave.scatter_elements set %u into %x at %i dim 1 : tensor<4x2xf32>, tensor<4x8xf32>, tensor<4x3xi64>
  return
}

// -----

func.func @scatter_nd_updates(%x: tensor<4x8xf32>, %i: tensor<3x1xi64>, %u: tensor<3x4xf32>) {
  // expected-error@+1 {{expects updates of type 'tensor<3x8xf32>', found 'tensor<3x4xf32>'}}
  %y = cleave.scatter_nd add %u into %x at %i : tensor<3x4xf32>, tensor<4x8xf32>, tensor<3x1xi64>
  return
}

// -----

func.func @range_type() {
  // expected-error@+1 {{makes numbers of f32, f64 or integers, found 'tensor<2xi1>'}}
  %y = cleave.range from 0 : tensor<2xi1>
  return
}

// -----

func.func @scatter_type(%x: tensor<8xf16>, %i: tensor<3x1xi64>, %u: tensor<3xf16>) {
  // expected-error@+1 {{cannot add elements of 'f16', expected f32, f64 or integers}}
  %y = cleave.scatter_nd add %u into %x at %i : tensor<3xf16>, tensor<8xf16>, tensor<3x1xi64>
  return
}
