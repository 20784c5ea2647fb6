// What the parsers and verifiers of the dialect refuse, each check once: the ops that move values.
// RUN: cleave-opt %s -split-input-file -verify-diagnostics

// === transfer, send, recv ===

func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{goes from stage 1 to stage 1, expected a later one}}
  %y = cleave.transfer %x to 1 {cleave.stage = 1 : i64} : tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{names rank -1, expected 0 to 65535}}
  cleave.send %x to -1 tag 0 : tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{has tag 32768, expected 0 to 32767}}
  cleave.send %x to 1 tag 32768 : tensor<4xf32>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{names rank 65536, expected 0 to 65535}}
  %y = cleave.recv from 65536 tag 0 : tensor<4xf32>
  return
}

// -----

func.func @f() {
  // expected-error@+1 {{has tag -1, expected 0 to 32767}}
  %y = cleave.recv from 1 tag -1 : tensor<4xf32>
  return
}

// -----

// === Collectives ===

func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{has an empty group}}
  %y = cleave.all_reduce sum %x group [] : tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{names rank 70000, expected 0 to 65535}}
  %y = cleave.all_reduce sum %x group [0, 70000] : tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{names rank 1 twice}}
  %y = cleave.broadcast %x group [1, 0, 1] : tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4x3xf32>) {
  // expected-error@+1 {{has 2 ranges for a group of 3}}
  %y = cleave.all_gather %x dim 1 ranges [0:3, 3:5] group [0, 1, 2] : tensor<4x3xf32> -> tensor<4x5xf32>
  return
}

// -----

func.func @f(%x: tensor<4x3xf32>) {
  // expected-error@+1 {{joins 'tensor<4x3xf32>' to 'tensor<4x5xf32>' along dim 2}}
  %y = cleave.all_gather %x dim 2 ranges [0:3, 3:5] group [0, 1] : tensor<4x3xf32> -> tensor<4x5xf32>
  return
}

// -----

func.func @f(%x: tensor<4x3xf32>) {
  // expected-error@+1 {{joins 'tensor<4x3xf32>' to 'tensor<4x5xi32>' along dim 1}}
  %y = cleave.all_gather %x dim 1 ranges [0:3, 3:5] group [0, 1] : tensor<4x3xf32> -> tensor<4x5xi32>
  return
}

// -----

func.func @f(%x: tensor<3x3xf32>) {
  // expected-error@+1 {{changes dim 0 between 'tensor<3x3xf32>' and 'tensor<4x5xf32>'}}
  %y = cleave.all_gather %x dim 1 ranges [0:3, 3:5] group [0, 1] : tensor<3x3xf32> -> tensor<4x5xf32>
  return
}

// -----

func.func @f(%x: tensor<3x5xf32>) {
  // expected-error@+1 {{has dim 0 of 'tensor<3x5xf32>', expected one of 2 shares of that of}}
  %y = cleave.all_gather %x dim 0 group [0, 1] : tensor<3x5xf32> -> tensor<?x5xf32, #cleave.dims<t>>
  return
}

// -----

func.func @ranges_of_shares(%x: tensor<?x5xf32, #cleave.dims<t[0 of 2]>>) {
  // expected-error@+1 {{has ranges for run-time dim 0 of}}
  %y = cleave.all_gather %x dim 0 ranges [0:3, 3:5] group [0, 1] : tensor<?x5xf32, #cleave.dims<t[0 of 2]>> -> tensor<?x5xf32, #cleave.dims<t>>
  return
}

// -----

func.func @too_few_members(%x: tensor<?x5xf32, #cleave.dims<t[0 of 3]>>) {
  // expected-error-re@+1 {{has dim 0 of {{.*}}, expected one of 2 shares of that of}}
  %y = cleave.all_gather %x dim 0 group [0, 1] : tensor<?x5xf32, #cleave.dims<t[0 of 3]>> -> tensor<?x5xf32, #cleave.dims<t>>
  return
}

// -----

func.func @shares_of_another_size(%x: tensor<?x5xf32, #cleave.dims<s>>) {
  // expected-error-re@+1 {{has dim 0 of {{.*}}, expected one of 2 shares of that of}}
  %y = cleave.reduce_scatter sum %x dim 0 group [0, 1] : tensor<?x5xf32, #cleave.dims<s>> -> tensor<?x5xf32, #cleave.dims<t[0 of 2]>>
  return
}

// -----

func.func @share_of_a_share(%x: tensor<?x5xf32, #cleave.dims<t[0 of 2]>>) {
  // expected-error-re@+1 {{has dim 0 of {{.*}}, expected a share of that of}}
  %y = cleave.share %x dim 0 : tensor<?x5xf32, #cleave.dims<t[0 of 2]>> -> tensor<?x5xf32, #cleave.dims<t[1 of 2]>>
  return
}

// -----

func.func @share_of_a_constant(%x: tensor<4x5xf32>) {
  // expected-error@+1 {{has dim 0 of 'tensor<2x5xf32>', expected a share of that of 'tensor<4x5xf32>'}}
  %y = cleave.share %x dim 0 : tensor<4x5xf32> -> tensor<2x5xf32>
  return
}

// -----

func.func @share_of_other_dim(%x: tensor<?x5xf32, #cleave.dims<t>>) {
  // expected-error@+1 {{takes a share, from}}
  %y = cleave.share %x dim 2 : tensor<?x5xf32, #cleave.dims<t>> -> tensor<?x5xf32, #cleave.dims<t[1 of 2]>>
  return
}

// -----

func.func @share_changes_width(%x: tensor<?x5xf32, #cleave.dims<t>>) {
  // expected-error@+1 {{changes dim 1 between}}
  %y = cleave.share %x dim 0 : tensor<?x5xf32, #cleave.dims<t>> -> tensor<?x4xf32, #cleave.dims<t[1 of 2]>>
  return
}

// -----

func.func @f(%x: tensor<4x4xf32>) {
  // expected-error@+1 {{has no range of this rank's size 4}}
  %y = cleave.all_gather %x dim 1 ranges [0:3, 3:5] group [0, 1] : tensor<4x4xf32> -> tensor<4x5xf32>
  return
}

// -----

func.func @f(%x: tensor<4x3xf32>) {
  // expected-error@+1 {{has ranges that cover the elements up to 3 of 6 in dim 1}}
  %y = cleave.all_gather %x dim 1 ranges [0:3, 4:6] group [0, 1] : tensor<4x3xf32> -> tensor<4x6xf32>
  return
}

// -----

func.func @f(%x: tensor<4x6xf32>) {
  // expected-error@+1 {{has ranges that cover the elements up to 5 of 6 in dim 1}}
  %y = cleave.reduce_scatter sum %x dim 1 ranges [0:3, 3:5] group [0, 1] : tensor<4x6xf32> -> tensor<4x3xf32>
  return
}

// -----

func.func @f(%x: tensor<4x6xf32>) {
  // expected-error@+1 {{has an empty group}}
  %y = cleave.reduce_scatter sum %x dim 1 ranges [] group [] : tensor<4x6xf32> -> tensor<4x3xf32>
  return
}

// -----

func.func @f(%x: tensor<4x6xf32>) {
  // expected-error@+1 {{expects candidates [r, k, 2], found 'tensor<4x6xf32>'}}
  %y = cleave.all_reduce top %x group [0, 1] : tensor<4x6xf32>
  return
}

// -----

func.func @f(%x: tensor<4x6x2xf32>) {
  // expected-error@+1 {{has kind top, of which there is only an all_reduce}}
  %y = cleave.reduce_scatter top %x dim 0 ranges [0:2, 2:4] group [0, 1] : tensor<4x6x2xf32> -> tensor<2x6x2xf32>
  return
}

// -----

func.func @f(%x: tensor<2x5xf32>) {
  // expected-error@+1 {{has 1 ranges for a group of 2}}
  %y = cleave.all_to_all %x split dim 1 ranges [0:3] concat dim 0 ranges [0:2, 2:4] group [0, 1] : tensor<2x5xf32> -> tensor<4x3xf32>
  return
}

// -----

func.func @f(%x: tensor<2x5xf32>) {
  // expected-error@+1 {{has 3 ranges for a group of 2}}
  %y = cleave.all_to_all %x split dim 1 ranges [0:3, 3:5] concat dim 0 ranges [0:2, 2:4, 4:4] group [0, 1] : tensor<2x5xf32> -> tensor<4x3xf32>
  return
}

// -----

func.func @f(%x: tensor<2x5xf32>) {
  // expected-error@+1 {{makes 'tensor<4x3xf32>' of 'tensor<2x5xf32>' along dims 2 and 0}}
  %y = cleave.all_to_all %x split dim 2 ranges [0:3, 3:5] concat dim 0 ranges [0:2, 2:4] group [0, 1] : tensor<2x5xf32> -> tensor<4x3xf32>
  return
}

// -----

func.func @f(%x: tensor<2x5xf32>) {
  // expected-error@+1 {{makes 'tensor<4x3xi32>' of 'tensor<2x5xf32>'}}
  %y = cleave.all_to_all %x split dim 1 ranges [0:3, 3:5] concat dim 0 ranges [0:2, 2:4] group [0, 1] : tensor<2x5xf32> -> tensor<4x3xi32>
  return
}

// -----

func.func @f(%x: tensor<2x5x2xf32>) {
  // expected-error@+1 {{changes dim 2 between}}
  %y = cleave.all_to_all %x split dim 1 ranges [0:3, 3:5] concat dim 0 ranges [0:2, 2:4] group [0, 1] : tensor<2x5x2xf32> -> tensor<4x3x3xf32>
  return
}

// -----

func.func @f(%x: tensor<?x5xf32, #cleave.dims<t>>) {
  // expected-error@+1 {{cuts or joins run-time dim 0}}
  %y = cleave.all_to_all %x split dim 1 ranges [0:3, 3:5] concat dim 0 ranges [0:2, 2:4] group [0, 1] : tensor<?x5xf32, #cleave.dims<t>> -> tensor<4x3xf32>
  return
}

// -----

func.func @f(%x: tensor<1x5xf32>) {
  // expected-error@+1 {{has no member with this rank's shares, 1 elements of dim 0 before and 2 of dim 1 after}}
  %y = cleave.all_to_all %x split dim 1 ranges [0:3, 3:5] concat dim 0 ranges [0:1, 1:4] group [0, 1] : tensor<1x5xf32> -> tensor<4x2xf32>
  return
}

// -----

func.func @f(%x: tensor<2x5xf32>) {
  // expected-error@+1 {{has range 3:6 outside dim 1 of size 5}}
  %y = cleave.all_to_all %x split dim 1 ranges [0:3, 3:6] concat dim 0 ranges [0:2, 2:4] group [0, 1] : tensor<2x5xf32> -> tensor<4x3xf32>
  return
}

// -----

func.func @f(%x: tensor<3xf32>) {
  // expected-error@+1 {{has range 4:6 outside dim 0 of size 5}}
  %y = cleave.all_to_all %x split dim 0 ranges [0:4, 4:6] concat dim 0 ranges [0:3, 3:5] group [0, 1] : tensor<3xf32> -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<1x5xf32>) {
  // expected-error@+1 {{has ranges that cover the elements up to 1 of 4 in dim 0}}
  %y = cleave.all_to_all %x split dim 1 ranges [0:3, 3:5] concat dim 0 ranges [0:1, 2:4] group [0, 1] : tensor<1x5xf32> -> tensor<4x3xf32>
  return
}
