// RUN: cleave-opt %s -split-input-file -verify-diagnostics -cleave-propagate-shardings

cleave.mesh @mesh <"tp" = 2>
// expected-error@+1 {{weight 'bias' of type 'tensor<8xf32>' has no input features, so it cannot be split 'row'}}
cleave.weight @bias : tensor<8xf32> from none split [#cleave.split<row "tp">]

// -----

cleave.mesh @mesh <"tp" = 2>
// expected-error@+1 {{weight 'w' has no attention heads along its input or output features, so it cannot be split 'head'}}
cleave.weight @w : tensor<8x8xf32> from none split [#cleave.split<head "tp">]

// -----

cleave.mesh @mesh <"tp" = 2>
// expected-error@+1 {{weight 'w' has no experts, so it cannot be split 'expert'}}
cleave.weight @w : tensor<8x8xf32> from none split [#cleave.split<expert "tp">]

// -----

cleave.mesh @mesh <"tp" = 2>
// expected-error@+1 {{weight 'w' is split over axis 'dp', which the mesh does not have}}
cleave.weight @w : tensor<8x8xf32> from none split [#cleave.split<column "dp">]

// -----

cleave.mesh @mesh <"tp" = 2>
// expected-error@+1 {{weight 'w' is split over axis '', which the mesh does not have}}
cleave.weight @w : tensor<8x8xf32> from none split [#cleave.split<column>]

// -----

cleave.mesh @mesh <"tp" = 2>
// expected-error@+1 {{weight 'w' is split twice over axis "tp"}}
cleave.weight @w : tensor<8x8xf32> from none split [#cleave.split<column "tp">, #cleave.split<row "tp">]

// -----

cleave.mesh @mesh <"tp" = 2>
// expected-error@+1 {{argument 0 is split over axis "dp", which the mesh does not have}}
func.func @f(%x: tensor<4x8xf32> {cleave.sharding = #cleave.sharding<[{}, {"dp"}]>}) {
  return
}

// -----

// 4 heads cannot go to 5 ranks; the error says which mesh can.
cleave.mesh @mesh <"tp" = 5>
// expected-error@+1 {{weight 'q' cannot be split over axis "tp" of size 5: there are 4 heads of 8 to share out; the largest axis that works is 4}}
cleave.weight @q : tensor<32x8xf32> from none split [#cleave.split<head "tp">]
func.func @f(%x: tensor<4x8xf32>, %p: tensor<4xi32>) -> tensor<4x32xf32> {
  %q = cleave.use @q : tensor<32x8xf32>
  %l = cleave.linear %x, %q : (tensor<4x8xf32>, tensor<32x8xf32>) -> tensor<4x32xf32>
  %r = cleave.rope %l, %p {head_dim = 8, rotary_dim = 8, base = 1.0e4 : f32} : tensor<4x32xf32>, tensor<4xi32>
  return %r : tensor<4x32xf32>
}

// -----

// For keys the query heads count, which decide where they are cut.
cleave.mesh @mesh <"tp" = 5>
cleave.state @cache : tensor<?x?x16xf16, #cleave.dims<slots, context>>
// expected-error@+1 {{weight 'k' cannot be split over axis "tp" of size 5: there are 4 heads of 8 to share out; the largest axis that works is 4}}
cleave.weight @k : tensor<16x8xf32> from none split [#cleave.split<head "tp">]
func.func @f(%x: tensor<4x8xf32>, %q: tensor<4x32xf32>, %p: tensor<4xi32>) -> tensor<4x32xf32> {
  %k = cleave.use @k : tensor<16x8xf32>
  %l = cleave.linear %x, %k : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
  %c = cleave.state_update @cache, %l at %p, %p : (tensor<4x16xf32>, tensor<4xi32>, tensor<4xi32>) -> tensor<?x?x16xf16, #cleave.dims<slots, context>>
  %a = cleave.attention %q, %c, %c at %p, %p {head_dim = 8, group = 2, scale = 1.0 : f32} : tensor<4x32xf32>, tensor<?x?x16xf16, #cleave.dims<slots, context>>, tensor<4xi32>, tensor<4xi32>
  return %a : tensor<4x32xf32>
}

// -----

// A column split of a weight whose rows are heads is cut between heads all the same.
cleave.mesh @mesh <"tp" = 5>
// expected-error@+1 {{there are 4 heads of 8 to share out}}
cleave.weight @q : tensor<32x8xf32> from none split [#cleave.split<column "tp">]
func.func @f(%x: tensor<4x8xf32>, %p: tensor<4xi32>) -> tensor<4x32xf32> {
  %q = cleave.use @q : tensor<32x8xf32>
  %l = cleave.linear %x, %q : (tensor<4x8xf32>, tensor<32x8xf32>) -> tensor<4x32xf32>
  %r = cleave.rope %l, %p {head_dim = 8, rotary_dim = 8, base = 1.0e4 : f32} : tensor<4x32xf32>, tensor<4xi32>
  return %r : tensor<4x32xf32>
}
