// What cannot be resharded: weights and states do not move at run time.
// RUN: cleave-opt %s -split-input-file -verify-diagnostics -cleave-propagate-shardings -cleave-insert-reshards

// The norm needs its weight whole.
cleave.mesh @mesh <"tp" = 2>
// expected-error@+1 {{'norm' cannot work with weight 'n' split as #cleave.sharding<[{"tp"}]>: it needs that dim whole; split another dim, or nothing ('none')}}
cleave.weight @n : tensor<8xf32> from none split [#cleave.split<column "tp">]
func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %n = cleave.use @n : tensor<8xf32>
  // expected-note@+1 {{'norm' reads it here}}
  %y = cleave.rms_norm %x, %n {cleave.name = "norm", epsilon = 1.0e-5 : f32} : tensor<4x8xf32>, tensor<8xf32>
  return %y : tensor<4x8xf32>
}

// -----

// Truth values have no sum: a table of them is looked up whole.
cleave.mesh @mesh <"tp" = 2>
// expected-error@+1 {{'allowed' cannot work with weight 'm' split as #cleave.sharding<[{"tp"}, {}]>: it needs that dim whole; split another dim, or nothing ('none')}}
cleave.weight @m : tensor<8x4xi1> from none split [#cleave.split<column "tp">]
func.func @f(%i: tensor<3xi64>) -> tensor<3x4xi1> {
  %m = cleave.use @m : tensor<8x4xi1>
  // expected-note@+1 {{'allowed' reads it here}}
  %y = cleave.take %m, %i dim 0 {cleave.name = "allowed"} : (tensor<8x4xi1>, tensor<3xi64>) -> tensor<3x4xi1>
  return %y : tensor<3x4xi1>
}

// -----

// Attention's keys come from a state, which the queries' split decides; a state that
// another weight holds whole cannot follow.
#cache = #cleave.dims<slots, context>
cleave.mesh @mesh <"tp" = 2>
cleave.weight @q : tensor<16x8xf32> from none split [#cleave.split<head "tp">]
cleave.weight @w : tensor<8x8xf32> from none split [#cleave.split<column "tp">]
cleave.state @s : tensor<?x?x16xf32, #cache>
func.func @f(%x: tensor<4x8xf32>, %p: tensor<4xi32>) -> tensor<?x?x16xf32, #cache> {
  %q = cleave.use @q : tensor<16x8xf32>
  %l = cleave.linear %x, %q : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
  %k = cleave.state_update @s, %l at %p, %p : (tensor<4x16xf32>, tensor<4xi32>, tensor<4xi32>) -> tensor<?x?x16xf32, #cache>
  %a = cleave.attention %l, %k, %k at %p, %p {head_dim = 8, group = 1, scale = 1.0 : f32} : tensor<4x16xf32>, tensor<?x?x16xf32, #cache>, tensor<4xi32>, tensor<4xi32>
  // expected-error@+1 {{'func.return' needs a state sharded as #cleave.sharding<[{}, {}, {}]>, but it lies as #cleave.sharding<[{}, {}, {"tp"}]> and cannot be moved at run time}}
  return %k : tensor<?x?x16xf32, #cache>
}

// -----

// One key head on two ranks: the user asks to sum over it.
#cache = #cleave.dims<slots, context>
cleave.mesh @mesh <"tp" = 2>
cleave.weight @q : tensor<16x6xf32> from none split [#cleave.split<head "tp">]
cleave.weight @k : tensor<8x6xf32> from none
// expected-error@+1 {{'y' cannot work with weight 'w' split as #cleave.sharding<[{}, {"tp" : [0:8, 0:8]}]>: it would sum over shares that overlap, as key heads do; split its output features ('column') or nothing}}
cleave.weight @w : tensor<5x8xf32> from none split [#cleave.split<row "tp">]
cleave.state @s : tensor<?x?x8xf32, #cache>
func.func @f(%x: tensor<4x6xf32>, %p: tensor<4xi32>) -> (tensor<4x16xf32>, tensor<4x5xf32>) {
  %q = cleave.use @q : tensor<16x6xf32>
  %k = cleave.use @k : tensor<8x6xf32>
  %w = cleave.use @w : tensor<5x8xf32>
  %ql = cleave.linear %x, %q : (tensor<4x6xf32>, tensor<16x6xf32>) -> tensor<4x16xf32>
  %kl = cleave.linear %x, %k : (tensor<4x6xf32>, tensor<8x6xf32>) -> tensor<4x8xf32>
  %s = cleave.state_update @s, %kl at %p, %p : (tensor<4x8xf32>, tensor<4xi32>, tensor<4xi32>) -> tensor<?x?x8xf32, #cache>
  %a = cleave.attention %ql, %s, %s at %p, %p {head_dim = 8, group = 2, scale = 1.0 : f32} : tensor<4x16xf32>, tensor<?x?x8xf32, #cache>, tensor<4xi32>, tensor<4xi32>
  // expected-note@+1 {{'y' reads it here}}
  %y = cleave.linear %kl, %w {cleave.name = "y"} : (tensor<4x8xf32>, tensor<5x8xf32>) -> tensor<4x5xf32>
  return %a, %y : tensor<4x16xf32>, tensor<4x5xf32>
}
