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

cleave.mesh @mesh <"tp" = 2>
func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{'act' is split over axis "dp", which the mesh does not have}}
  %y = cleave.silu %x {cleave.name = "act", cleave.sharding = [#cleave.sharding<[{}, {"dp"}]>]} : tensor<4x8xf32>
  return
}

// -----

cleave.mesh @mesh <"tp" = 2>
func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{result 1 of 'best' is split over axis "dp", which the mesh does not have}}
  %v, %i = cleave.top_elements %x dim 1 {cleave.name = "best", cleave.sharding = [unit, #cleave.sharding<[{"dp"}, {}]>]} : tensor<4x8xf32> -> tensor<4x4xf32>, tensor<4x4xi64>
  return
}

// -----

// Neither can a value that a sharding is given of have fewer heads than shares.
cleave.mesh @mesh <"tp" = 5>
cleave.weight @q : tensor<32x8xf32> from none
func.func @f(%x: tensor<4x8xf32>, %p: tensor<4xi32>) -> tensor<4x32xf32> {
  %q = cleave.use @q : tensor<32x8xf32>
  %l = cleave.linear %x, %q : (tensor<4x8xf32>, tensor<32x8xf32>) -> tensor<4x32xf32>
  // expected-error@+1 {{'turned' of type 'tensor<4x32xf32>' is to be split into 5 shares along dim 1, where 4 heads of 8 lie}}
  %r = cleave.rope %l, %p {head_dim = 8, rotary_dim = 8, base = 1.0e4 : f32, cleave.name = "turned", cleave.sharding = [#cleave.sharding<[{}, {"tp"}]>]} : tensor<4x32xf32>, tensor<4xi32>
  return %r : tensor<4x32xf32>
}

// -----

// 4 heads cannot go to 5 ranks; the error says which mesh can.
// expected-note@+1 {{axis "tp" has size 5 here}}
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
// expected-note@+1 {{axis "tp" has size 5 here}}
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
// expected-note@+1 {{axis "tp" has size 5 here}}
cleave.mesh @mesh <"tp" = 5>
// expected-error@+1 {{there are 4 heads of 8 to share out}}
cleave.weight @q : tensor<32x8xf32> from none split [#cleave.split<column "tp">]
func.func @f(%x: tensor<4x8xf32>, %p: tensor<4xi32>) -> tensor<4x32xf32> {
  %q = cleave.use @q : tensor<32x8xf32>
  %l = cleave.linear %x, %q : (tensor<4x8xf32>, tensor<32x8xf32>) -> tensor<4x32xf32>
  %r = cleave.rope %l, %p {head_dim = 8, rotary_dim = 8, base = 1.0e4 : f32} : tensor<4x32xf32>, tensor<4xi32>
  return %r : tensor<4x32xf32>
}

// -----

// Over two axes it is their product that counts.
// expected-note@+2 {{axis "a" has size 2 here}}
// expected-note@+1 {{axis "b" has size 3 here}}
cleave.mesh @mesh <"a" = 2, "b" = 3>
// expected-error@+1 {{weight 'q' cannot be split over axes "a", "b" into 6 shares: there are 4 heads of 8 to share out; the most shares that work are 4}}
cleave.weight @q : tensor<32x8xf32> from none split [#cleave.split<head "a">, #cleave.split<head "b">]
func.func @f(%x: tensor<4x8xf32>, %p: tensor<4xi32>) -> tensor<4x32xf32> {
  %q = cleave.use @q : tensor<32x8xf32>
  %l = cleave.linear %x, %q : (tensor<4x8xf32>, tensor<32x8xf32>) -> tensor<4x32xf32>
  %r = cleave.rope %l, %p {head_dim = 8, rotary_dim = 8, base = 1.0e4 : f32} : tensor<4x32xf32>, tensor<4xi32>
  return %r : tensor<4x32xf32>
}

// -----

// Four ranks of which two do what the others do.
// expected-error@+1 {{axis 'data' of size 2 is given, but nothing is split over it, so all ranks along it would do the same; split weights over it, as in --split 'PATTERN=column@data', or leave it out}}
cleave.mesh @mesh <"tp" = 2, "data" = 2, "one" = 1> shares {data = array<i64: 2, 1>}
cleave.weight @w : tensor<8x8xf32> from none split [#cleave.split<column "tp">]
func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %w = cleave.use @w : tensor<8x8xf32>
  %y = cleave.linear %x, %w : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}

// -----

// A split that no op reads cuts nothing.
// expected-error@+1 {{axis 'tp' of size 2 is given, but nothing is split over it}}
cleave.mesh @mesh <"tp" = 2>
cleave.weight @w : tensor<8x8xf32> from none split [#cleave.split<column "tp">]
func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  return %x : tensor<4x8xf32>
}

// -----

// Keys over another axis than the queries that read them: both annotations are named.
#cache = #cleave.dims<slots, context>
cleave.mesh @mesh <"a" = 2, "b" = 2>
// expected-note@+1 {{weight 'q' is cut over axis 'a' here}}
cleave.weight @q : tensor<32x8xf32> from none split [#cleave.split<head "a">]
// expected-error@+1 {{'attention' reads state 'keys', which is cut over axis 'b' by weight 'k', together with 'turned', which is cut over axis 'a'; it cannot be moved at run time, so split both weights over the same axes}}
cleave.weight @k : tensor<16x8xf32> from none split [#cleave.split<column "b">]
cleave.weight @v : tensor<16x8xf32> from none split [#cleave.split<column "b">]
cleave.state @keys : tensor<?x?x16xf16, #cache>
cleave.state @values : tensor<?x?x16xf16, #cache>
func.func @f(%x: tensor<4x8xf32>, %p: tensor<4xi32>) -> tensor<4x32xf32> {
  %wq = cleave.use @q : tensor<32x8xf32>
  %wk = cleave.use @k : tensor<16x8xf32>
  %wv = cleave.use @v : tensor<16x8xf32>
  %q = cleave.linear %x, %wq : (tensor<4x8xf32>, tensor<32x8xf32>) -> tensor<4x32xf32>
  %r = cleave.rope %q, %p {cleave.name = "turned", head_dim = 8, rotary_dim = 8, base = 1.0e4 : f32} : tensor<4x32xf32>, tensor<4xi32>
  %k = cleave.linear %x, %wk : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
  %v = cleave.linear %x, %wv : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
  %ks = cleave.state_update @keys, %k at %p, %p : (tensor<4x16xf32>, tensor<4xi32>, tensor<4xi32>) -> tensor<?x?x16xf16, #cache>
  %vs = cleave.state_update @values, %v at %p, %p : (tensor<4x16xf32>, tensor<4xi32>, tensor<4xi32>) -> tensor<?x?x16xf16, #cache>
  %a = cleave.attention %r, %ks, %vs at %p, %p {cleave.name = "attention", head_dim = 8, group = 2, scale = 1.0 : f32} : tensor<4x32xf32>, tensor<?x?x16xf16, #cache>, tensor<4xi32>, tensor<4xi32>
  return %a : tensor<4x32xf32>
}

// -----

// Two weights of one op that cannot both have their way.
cleave.mesh @mesh <"a" = 2, "b" = 2>
// expected-note@+1 {{weight 'u' is split here}}
cleave.weight @u : tensor<4x8xf32> from none split [#cleave.split<row "a">]
// expected-error@+1 {{'sum' cannot work with weight 'v' split as #cleave.sharding<[{}, {"b"}]>: it reads weight 'u', too, which is split otherwise along the same dim; split both alike}}
cleave.weight @v : tensor<4x8xf32> from none split [#cleave.split<row "b">]
func.func @f() -> tensor<4x8xf32> {
  %u = cleave.use @u : tensor<4x8xf32>
  %v = cleave.use @v : tensor<4x8xf32>
  // expected-note@+1 {{'sum' reads it here}}
  %s = cleave.add %u, %v {cleave.name = "sum"} : tensor<4x8xf32>, tensor<4x8xf32>
  return %s : tensor<4x8xf32>
}

// -----

cleave.mesh @mesh <"a" = 2>
// expected-note@+1 {{weight 'u' is split here}}
cleave.weight @u : tensor<4x8xf32> from none split [#cleave.split<column "a">]
// expected-error@+1 {{it reads weight 'u', too, which is split otherwise}}
cleave.weight @v : tensor<4x8xf32> from none split [#cleave.split<row "a">]
func.func @f() -> tensor<4x8xf32> {
  %u = cleave.use @u : tensor<4x8xf32>
  %v = cleave.use @v : tensor<4x8xf32>
  // expected-note@+1 {{'cleave.add' reads it here}}
  %s = cleave.add %u, %v : tensor<4x8xf32>, tensor<4x8xf32>
  return %s : tensor<4x8xf32>
}
