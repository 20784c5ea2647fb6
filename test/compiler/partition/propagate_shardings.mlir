// RUN: cleave-opt %s -split-input-file -cleave-propagate-shardings | FileCheck %s

// A column split makes the results a share, a row split takes one and gives a partial
// sum. What lies between follows: the activation and, unasked, the other factor.
// CHECK-LABEL: module @column_then_row
// CHECK: cleave.weight @up : {{.*}} sharding <[{"tp"}, {}]>
// CHECK: cleave.weight @gate : {{.*}} sharding <[{"tp"}, {}]>
// CHECK: cleave.weight @down : {{.*}} sharding <[{}, {"tp"}]>
// CHECK: func.func @f(%{{.*}}: tensor<4x64xf32> {cleave.sharding = #cleave.sharding<[{}, {}]>})
// CHECK: %up = cleave.use @up {cleave.sharding = [#cleave.sharding<[{"tp"}, {}]>]}
// CHECK: cleave.linear {{.*}} {cleave.sharding = [#cleave.sharding<[{}, {"tp"}]>]}
// CHECK: cleave.linear {{.*}} {cleave.sharding = [#cleave.sharding<[{}, {"tp"}]>]}
// CHECK: cleave.silu {{.*}} {cleave.sharding = [#cleave.sharding<[{}, {"tp"}]>]}
// CHECK: cleave.mul {{.*}} {cleave.sharding = [#cleave.sharding<[{}, {"tp"}]>]}
// The value that the row split leaves is the reduced one: its user is not linear in a
// partial sum.
// CHECK: cleave.linear {{.*}} {cleave.sharding = [#cleave.sharding<[{}, {}]>]}
module @column_then_row {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @up : tensor<172x64xf32> from none split [#cleave.split<column "tp">]
  cleave.weight @gate : tensor<172x64xf32> from none
  cleave.weight @down : tensor<64x172xf32> from none split [#cleave.split<row "tp">]
  func.func @f(%x: tensor<4x64xf32>) -> tensor<4x64xf32> {
    %up = cleave.use @up : tensor<172x64xf32>
    %u = cleave.linear %x, %up : (tensor<4x64xf32>, tensor<172x64xf32>) -> tensor<4x172xf32>
    %gate = cleave.use @gate : tensor<172x64xf32>
    %g = cleave.linear %x, %gate : (tensor<4x64xf32>, tensor<172x64xf32>) -> tensor<4x172xf32>
    %s = cleave.silu %g : tensor<4x172xf32>
    %m = cleave.mul %u, %s : tensor<4x172xf32>, tensor<4x172xf32>
    %down = cleave.use @down : tensor<64x172xf32>
    %d = cleave.linear %m, %down : (tensor<4x172xf32>, tensor<64x172xf32>) -> tensor<4x64xf32>
    return %d : tensor<4x64xf32>
  }
}

// -----

// Backward: a row split alone makes the weight before it a column split.
// CHECK-LABEL: module @backward
// CHECK: cleave.weight @up : {{.*}} sharding <[{"tp"}, {}]>
// CHECK: cleave.weight @bias : {{.*}} sharding <[{"tp"}]>
module @backward {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @up : tensor<16x8xf32> from none
  cleave.weight @bias : tensor<16xf32> from none
  cleave.weight @down : tensor<8x16xf32> from none split [#cleave.split<row "tp">]
  func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
    %up = cleave.use @up : tensor<16x8xf32>
    %u = cleave.linear %x, %up : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
    %bias = cleave.use @bias : tensor<16xf32>
    %b = cleave.add %u, %bias : tensor<4x16xf32>, tensor<16xf32>
    %down = cleave.use @down : tensor<8x16xf32>
    %d = cleave.linear %b, %down : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
    return %d : tensor<4x8xf32>
  }
}

// -----

// `none` is the user's word: the weight stays whole whatever its neighbours do.
// CHECK-LABEL: module @none
// CHECK: cleave.weight @up : {{.*}} sharding <[{}, {}]>
// CHECK: cleave.weight @down : {{.*}} sharding <[{}, {"tp"}]>
module @none {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @up : tensor<16x8xf32> from none split [#cleave.split<none>]
  cleave.weight @down : tensor<8x16xf32> from none split [#cleave.split<row "tp">]
  func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
    %up = cleave.use @up : tensor<16x8xf32>
    %u = cleave.linear %x, %up : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
    %down = cleave.use @down : tensor<8x16xf32>
    %d = cleave.linear %u, %down : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
    return %d : tensor<4x8xf32>
  }
}

// -----

// 8 query heads of 8 over 3 ranks: 3, 3 and 2. The 4 key heads cover them, shared where
// a group of 2 query heads is parted: heads 0-1, 1-2 and 3.
// CHECK-LABEL: module @uneven_heads
// CHECK: cleave.weight @q : {{.*}} sharding <[{"tp" : [0:24, 24:48, 48:64]}, {}]>
// CHECK: cleave.weight @k : {{.*}} sharding <[{"tp" : [0:16, 8:24, 24:32]}, {}]>
// CHECK: cleave.state @cache : {{.*}} sharding <[{}, {}, {"tp" : [0:16, 8:24, 24:32]}]>
// CHECK: cleave.weight @o : {{.*}} sharding <[{}, {"tp" : [0:24, 24:48, 48:64]}]>
// CHECK: cleave.rope {{.*}}cleave.sharding = [#cleave.sharding<[{}, {"tp" : [0:24, 24:48, 48:64]}]>]
// CHECK: cleave.state_update {{.*}}cleave.sharding = [#cleave.sharding<[{}, {}, {"tp" : [0:16, 8:24, 24:32]}]>]
// CHECK: cleave.attention {{.*}}cleave.sharding = [#cleave.sharding<[{}, {"tp" : [0:24, 24:48, 48:64]}]>]
#cache = #cleave.dims<slots, context>
module @uneven_heads {
  cleave.mesh @mesh <"tp" = 3>
  cleave.weight @q : tensor<64x64xf32> from none split [#cleave.split<head "tp">]
  cleave.weight @k : tensor<32x64xf32> from none split [#cleave.split<head "tp">]
  cleave.state @cache : tensor<?x?x32xf16, #cache>
  cleave.weight @o : tensor<64x64xf32> from none split [#cleave.split<head "tp">]
  func.func @f(%x: tensor<4x64xf32>, %p: tensor<4xi32>) -> tensor<4x64xf32> {
    %q = cleave.use @q : tensor<64x64xf32>
    %k = cleave.use @k : tensor<32x64xf32>
    %o = cleave.use @o : tensor<64x64xf32>
    %ql = cleave.linear %x, %q : (tensor<4x64xf32>, tensor<64x64xf32>) -> tensor<4x64xf32>
    %qr = cleave.rope %ql, %p {head_dim = 8, rotary_dim = 8, base = 1.0e4 : f32} : tensor<4x64xf32>, tensor<4xi32>
    %kl = cleave.linear %x, %k : (tensor<4x64xf32>, tensor<32x64xf32>) -> tensor<4x32xf32>
    %c = cleave.state_update @cache, %kl at %p, %p : (tensor<4x32xf32>, tensor<4xi32>, tensor<4xi32>) -> tensor<?x?x32xf16, #cache>
    %a = cleave.attention %qr, %c, %c at %p, %p {head_dim = 8, group = 2, scale = 1.0 : f32} : tensor<4x64xf32>, tensor<?x?x32xf16, #cache>, tensor<4xi32>, tensor<4xi32>
    %r = cleave.linear %a, %o : (tensor<4x64xf32>, tensor<64x64xf32>) -> tensor<4x64xf32>
    return %r : tensor<4x64xf32>
  }
}

// -----

// More ranks than key heads: each key head lies on as many ranks as need it. The split
// of the queries alone is enough.
// CHECK-LABEL: module @more_ranks_than_key_heads
// CHECK: cleave.weight @q : {{.*}} sharding <[{"tp"}, {}]>
// CHECK: cleave.weight @k : {{.*}} sharding <[{"tp" : [0:8, 0:8, 8:16, 8:16]}, {}]>
// CHECK: cleave.state @cache : {{.*}} sharding <[{}, {}, {"tp" : [0:8, 0:8, 8:16, 8:16]}]>
#cache = #cleave.dims<slots, context>
module @more_ranks_than_key_heads {
  cleave.mesh @mesh <"tp" = 4>
  cleave.weight @q : tensor<32x64xf32> from none split [#cleave.split<head "tp">]
  cleave.weight @k : tensor<16x64xf32> from none
  cleave.state @cache : tensor<?x?x16xf16, #cache>
  func.func @f(%x: tensor<4x64xf32>, %p: tensor<4xi32>) -> tensor<4x32xf32> {
    %q = cleave.use @q : tensor<32x64xf32>
    %k = cleave.use @k : tensor<16x64xf32>
    %ql = cleave.linear %x, %q : (tensor<4x64xf32>, tensor<32x64xf32>) -> tensor<4x32xf32>
    %kl = cleave.linear %x, %k : (tensor<4x64xf32>, tensor<16x64xf32>) -> tensor<4x16xf32>
    %c = cleave.state_update @cache, %kl at %p, %p : (tensor<4x16xf32>, tensor<4xi32>, tensor<4xi32>) -> tensor<?x?x16xf16, #cache>
    %a = cleave.attention %ql, %c, %c at %p, %p {head_dim = 8, group = 2, scale = 1.0 : f32} : tensor<4x32xf32>, tensor<?x?x16xf16, #cache>, tensor<4xi32>, tensor<4xi32>
    return %a : tensor<4x32xf32>
  }
}

// -----

// Quantization blocks are cut between where there are enough of them: 192 columns are 6
// blocks of 32, over 4 ranks 2, 2, 1 and 1. The rows of the weight before lie alike.
// CHECK-LABEL: module @whole_blocks
// CHECK: cleave.weight @up : {{.*}} sharding <[{"tp" : [0:64, 64:128, 128:160, 160:192]}, {}]>
// CHECK: cleave.weight @down : {{.*}} sharding <[{}, {"tp" : [0:64, 64:128, 128:160, 160:192]}]>
module @whole_blocks {
  cleave.mesh @mesh <"tp" = 4>
  cleave.weight @up : tensor<192x64x!cleave.q8_0> from none
  cleave.weight @down : tensor<64x192x!cleave.q8_0> from none split [#cleave.split<row "tp">]
  func.func @f(%x: tensor<4x64xf32>) -> tensor<4x64xf32> {
    %up = cleave.use @up : tensor<192x64x!cleave.q8_0>
    %u = cleave.linear %x, %up : (tensor<4x64xf32>, tensor<192x64x!cleave.q8_0>) -> tensor<4x192xf32>
    %down = cleave.use @down : tensor<64x192x!cleave.q8_0>
    %d = cleave.linear %u, %down : (tensor<4x192xf32>, tensor<64x192x!cleave.q8_0>) -> tensor<4x64xf32>
    return %d : tensor<4x64xf32>
  }
}

// -----

// The blocks of one use count for all: the activation has none of its own.
// CHECK-LABEL: module @blocks_elsewhere
// CHECK: cleave.linear {{.*}} {cleave.sharding = [#cleave.sharding<[{}, {"tp" : [0:64, 64:96]}]>]}
// CHECK: cleave.silu {{.*}} {cleave.sharding = [#cleave.sharding<[{}, {"tp" : [0:64, 64:96]}]>]}
module @blocks_elsewhere {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @up : tensor<96x64xf32> from none
  cleave.weight @down : tensor<64x96x!cleave.q8_0> from none split [#cleave.split<row "tp">]
  func.func @f(%x: tensor<4x64xf32>) -> (tensor<4x64xf32>, tensor<4x96xf32>) {
    %up = cleave.use @up : tensor<96x64xf32>
    %u = cleave.linear %x, %up : (tensor<4x64xf32>, tensor<96x64xf32>) -> tensor<4x96xf32>
    %down = cleave.use @down : tensor<64x96x!cleave.q8_0>
    %d = cleave.linear %u, %down : (tensor<4x96xf32>, tensor<64x96x!cleave.q8_0>) -> tensor<4x64xf32>
    %s = cleave.silu %u : tensor<4x96xf32>
    return %d, %s : tensor<4x64xf32>, tensor<4x96xf32>
  }
}

// -----

// 2 blocks for 4 ranks: cut inside blocks, for no rank shall be idle.
// CHECK-LABEL: module @inside_blocks
// CHECK: cleave.weight @down : {{.*}} sharding <[{}, {"tp"}]>
module @inside_blocks {
  cleave.mesh @mesh <"tp" = 4>
  cleave.weight @down : tensor<64x64x!cleave.q4_0> from none split [#cleave.split<row "tp">]
  func.func @f(%x: tensor<4x64xf32>) -> tensor<4x64xf32> {
    %down = cleave.use @down : tensor<64x64x!cleave.q4_0>
    %d = cleave.linear %x, %down : (tensor<4x64xf32>, tensor<64x64x!cleave.q4_0>) -> tensor<4x64xf32>
    return %d : tensor<4x64xf32>
  }
}

// -----

// Sizes that do not divide, and more ranks than elements.
// CHECK-LABEL: module @uneven
// CHECK: cleave.weight @w : {{.*}} sharding <[{"tp" : [0:58, 58:115, 115:172]}, {}]>
// CHECK: cleave.weight @tiny : {{.*}} sharding <[{"tp" : [0:1, 1:2, 2:2]}, {}]>
module @uneven {
  cleave.mesh @mesh <"tp" = 3>
  cleave.weight @w : tensor<172x8xf32> from none split [#cleave.split<column "tp">]
  cleave.weight @tiny : tensor<2x8xf32> from none split [#cleave.split<column "tp">]
  func.func @f(%x: tensor<4x8xf32>) -> (tensor<4x172xf32>, tensor<4x2xf32>) {
    %w = cleave.use @w : tensor<172x8xf32>
    %y = cleave.linear %x, %w : (tensor<4x8xf32>, tensor<172x8xf32>) -> tensor<4x172xf32>
    %t = cleave.use @tiny : tensor<2x8xf32>
    %z = cleave.linear %x, %t : (tensor<4x8xf32>, tensor<2x8xf32>) -> tensor<4x2xf32>
    return %y, %z : tensor<4x172xf32>, tensor<4x2xf32>
  }
}

// -----

// Shares of 2 and 1, in blocks: 6 blocks of 32 are 4 and 2.
// CHECK-LABEL: module @shares
// CHECK: cleave.weight @w : {{.*}} sharding <[{"tp" : [0:6, 6:9]}, {}]>
// CHECK: cleave.weight @q : {{.*}} sharding <[{}, {"tp" : [0:128, 128:192]}]>
module @shares {
  cleave.mesh @mesh <"tp" = 2> shares {tp = array<i64: 2, 1>}
  cleave.weight @w : tensor<9x8xf32> from none split [#cleave.split<column "tp">]
  cleave.weight @q : tensor<8x192x!cleave.q8_0> from none split [#cleave.split<row "tp">]
  func.func @f(%x: tensor<4x8xf32>, %y: tensor<4x192xf32>) -> (tensor<4x9xf32>, tensor<4x8xf32>) {
    %w = cleave.use @w : tensor<9x8xf32>
    %a = cleave.linear %x, %w : (tensor<4x8xf32>, tensor<9x8xf32>) -> tensor<4x9xf32>
    %q = cleave.use @q : tensor<8x192x!cleave.q8_0>
    %b = cleave.linear %y, %q : (tensor<4x192xf32>, tensor<8x192x!cleave.q8_0>) -> tensor<4x8xf32>
    return %a, %b : tensor<4x9xf32>, tensor<4x8xf32>
  }
}

// -----

// Two axes: one weight over each of them, or a dim over both, major first.
// CHECK-LABEL: module @two_axes
// CHECK: cleave.weight @both : {{.*}} sharding <[{"a"}, {"b"}]>
// CHECK: cleave.weight @product : {{.*}} sharding <[{"b", "a" : [0:2, 2:3, 3:4, 4:5, 5:6, 6:7]}, {}]>
module @two_axes {
  cleave.mesh @mesh <"a" = 2, "b" = 3>
  cleave.weight @both : tensor<8x9xf32> from none split [#cleave.split<column "a">, #cleave.split<row "b">]
  cleave.weight @product : tensor<7x9xf32> from none split [#cleave.split<column "b">, #cleave.split<column "a">]
  func.func @f(%x: tensor<4x9xf32>) -> (tensor<4x8xf32>, tensor<4x7xf32>) {
    %w = cleave.use @both : tensor<8x9xf32>
    %y = cleave.linear %x, %w : (tensor<4x9xf32>, tensor<8x9xf32>) -> tensor<4x8xf32>
    %p = cleave.use @product : tensor<7x9xf32>
    %z = cleave.linear %x, %p : (tensor<4x9xf32>, tensor<7x9xf32>) -> tensor<4x7xf32>
    return %y, %z : tensor<4x8xf32>, tensor<4x7xf32>
  }
}

// -----

// A partial sum stays one through an addition of two, and no longer: the norm is not
// linear in it.
// CHECK-LABEL: module @partial
// CHECK: cleave.linear {{.*}} {cleave.name = "one", cleave.sharding = [#cleave.sharding<[{}, {}], partial = {"tp" : sum}>]}
// CHECK: cleave.linear {{.*}} {cleave.name = "two", cleave.sharding = [#cleave.sharding<[{}, {}], partial = {"tp" : sum}>]}
// CHECK: cleave.add {{.*}} {cleave.name = "sum", cleave.sharding = [#cleave.sharding<[{}, {}]>]}
// An addition to a whole value takes it reduced.
// CHECK: cleave.linear {{.*}} {cleave.name = "three", cleave.sharding = [#cleave.sharding<[{}, {}]>]}
module @partial {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @u : tensor<8x16xf32> from none split [#cleave.split<row "tp">]
  cleave.weight @v : tensor<8x16xf32> from none split [#cleave.split<row "tp">]
  cleave.weight @n : tensor<8xf32> from none
  func.func @f(%x: tensor<4x16xf32>) -> tensor<4x8xf32> {
    %u = cleave.use @u : tensor<8x16xf32>
    %v = cleave.use @v : tensor<8x16xf32>
    %n = cleave.use @n : tensor<8xf32>
    %a = cleave.linear %x, %u {cleave.name = "one"} : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
    %b = cleave.linear %x, %v {cleave.name = "two"} : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
    %s = cleave.add %a, %b {cleave.name = "sum"} : tensor<4x8xf32>, tensor<4x8xf32>
    %h = cleave.rms_norm %s, %n {epsilon = 1.0e-5 : f32} : tensor<4x8xf32>, tensor<8xf32>
    %c = cleave.linear %x, %v {cleave.name = "three"} : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
    %r = cleave.add %h, %c : tensor<4x8xf32>, tensor<4x8xf32>
    return %r : tensor<4x8xf32>
  }
}

// -----

// A vocabulary cut by rows: the look-up gives a partial sum, the head a share. The rows
// of a step's tokens are not cut.
// CHECK-LABEL: module @vocabulary
// CHECK: cleave.weight @embedding : {{.*}} sharding <[{"tp" : [0:257, 257:513]}, {}]>
// CHECK: cleave.gather {{.*}}cleave.name = "look_up", cleave.sharding = [#cleave.sharding<[{}, {}]>]
// CHECK: cleave.linear {{.*}}cleave.sharding = [#cleave.sharding<[{}, {"tp" : [0:257, 257:513]}]>]
#tokens = #cleave.dims<tokens>
#rows = #cleave.dims<rows>
module @vocabulary {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @embedding : tensor<513x8xf32> from none split [#cleave.split<column "tp">]
  func.func @f(%t: tensor<?xi32, #tokens>, %r: tensor<?xi32, #rows>) -> tensor<?x513xf32, #rows> {
    %e = cleave.use @embedding : tensor<513x8xf32>
    %x = cleave.gather %e, %t {cleave.name = "look_up"} : (tensor<513x8xf32>, tensor<?xi32, #tokens>) -> tensor<?x8xf32, #tokens>
    %s = cleave.silu %x : tensor<?x8xf32, #tokens>
    %y = cleave.gather %s, %r {cleave.name = "select"} : (tensor<?x8xf32, #tokens>, tensor<?xi32, #rows>) -> tensor<?x8xf32, #rows>
    %l = cleave.linear %y, %e : (tensor<?x8xf32, #rows>, tensor<513x8xf32>) -> tensor<?x513xf32, #rows>
    return %l : tensor<?x513xf32, #rows>
  }
}

// -----

// An argument may come sharded.
// CHECK-LABEL: module @argument
// CHECK: cleave.weight @w : {{.*}} sharding <[{}, {"tp"}]>
module @argument {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @w : tensor<8x16xf32> from none
  func.func @f(%x: tensor<4x16xf32> {cleave.sharding = #cleave.sharding<[{}, {"tp"}]>}) -> tensor<4x8xf32> {
    %w = cleave.use @w : tensor<8x16xf32>
    %y = cleave.linear %x, %w : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
    return %y : tensor<4x8xf32>
  }
}

// -----

// An input is whole on every rank unless it says otherwise: a share is sliced from it.
// CHECK-LABEL: module @input
// CHECK: func.func @f(%{{.*}}: tensor<4x16xf32> {cleave.sharding = #cleave.sharding<[{}, {}]>})
// CHECK: cleave.silu {{.*}} {cleave.sharding = [#cleave.sharding<[{}, {"tp"}]>]}
module @input {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @w : tensor<8x16xf32> from none split [#cleave.split<row "tp">]
  func.func @f(%x: tensor<4x16xf32>) -> tensor<4x8xf32> {
    %w = cleave.use @w : tensor<8x16xf32>
    %a = cleave.linear %x, %w : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
    %s = cleave.silu %x : tensor<4x16xf32>
    %b = cleave.linear %s, %w : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
    %r = cleave.add %a, %b : tensor<4x8xf32>, tensor<4x8xf32>
    return %r : tensor<4x8xf32>
  }
}

// -----

// One key head on two ranks: what sums over the keys' width would count it twice, and so
// is not cut along it.
// CHECK-LABEL: module @overlap
// CHECK: cleave.weight @k : {{.*}} sharding <[{"tp" : [0:8, 0:8]}, {}]>
// CHECK: cleave.weight @w : {{.*}} sharding <[{}, {}]>
module @overlap {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @q : tensor<16x6xf32> from none split [#cleave.split<head "tp">]
  cleave.weight @k : tensor<8x6xf32> from none
  cleave.weight @w : tensor<5x8xf32> from none
  cleave.state @s : tensor<?x?x8xf32, #cleave.dims<slots, context>>
  func.func @f(%x: tensor<4x6xf32>, %p: tensor<4xi32>) -> (tensor<4x16xf32>, tensor<4x5xf32>) {
    %q = cleave.use @q : tensor<16x6xf32>
    %k = cleave.use @k : tensor<8x6xf32>
    %w = cleave.use @w : tensor<5x8xf32>
    %ql = cleave.linear %x, %q : (tensor<4x6xf32>, tensor<16x6xf32>) -> tensor<4x16xf32>
    %kl = cleave.linear %x, %k : (tensor<4x6xf32>, tensor<8x6xf32>) -> tensor<4x8xf32>
    %s = cleave.state_update @s, %kl at %p, %p : (tensor<4x8xf32>, tensor<4xi32>, tensor<4xi32>) -> tensor<?x?x8xf32, #cleave.dims<slots, context>>
    %a = cleave.attention %ql, %s, %s at %p, %p {head_dim = 8, group = 2, scale = 1.0 : f32} : tensor<4x16xf32>, tensor<?x?x8xf32, #cleave.dims<slots, context>>, tensor<4xi32>, tensor<4xi32>
    %y = cleave.linear %kl, %w : (tensor<4x8xf32>, tensor<5x8xf32>) -> tensor<4x5xf32>
    return %a, %y : tensor<4x16xf32>, tensor<4x5xf32>
  }
}
