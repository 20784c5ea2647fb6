// RUN: cleave-opt %s -split-input-file -cleave-propagate-shardings -cleave-insert-reshards -cleave-assign-stages -cleave-verify-sharded -cleave-split-ranks -cleave-verify-ranks | FileCheck %s

// Local shapes, slices of weights, one reduction, results whole on every rank and owned
// by the first.
// CHECK-LABEL: module @columns_and_rows
// CHECK: cleave.mesh @mesh <"tp" = 2>
// CHECK: module @rank0 attributes {cleave.coordinate = {tp = 0 : i64}, cleave.rank = 0 : i64, cleave.stage = 0 : i64}
// CHECK: cleave.weight @up : tensor<3x4xf32> from none slice [0:3, 0:4]
// CHECK: cleave.weight @down : tensor<4x3xf32> from gguf<"f.gguf", "fused"> slice [8:12, 0:3]
// CHECK: func.func @f(%[[X:.*]]: tensor<4x4xf32> {cleave.input = "x"}) -> (tensor<4x4xf32> {cleave.output = "y", cleave.owner = 0 : i64})
// CHECK-NOT: sharding
// CHECK: %[[U:.*]] = cleave.linear %[[X]], %up : (tensor<4x4xf32>, tensor<3x4xf32>) -> tensor<4x3xf32>
// CHECK: %[[P:.*]] = cleave.linear %[[U]], %down {cleave.name = "p"} : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<4x4xf32>
// CHECK: %[[R:.*]] = cleave.all_reduce sum %[[P]] group [0, 1] {cleave.name = "p"} : tensor<4x4xf32>
// CHECK: return %[[R]]
// CHECK: module @rank1 attributes {cleave.coordinate = {tp = 1 : i64}, cleave.rank = 1 : i64, cleave.stage = 0 : i64}
// CHECK: cleave.weight @up : tensor<2x4xf32> from none slice [3:5, 0:4]
// CHECK: cleave.weight @down : tensor<4x2xf32> from gguf<"f.gguf", "fused"> slice [8:12, 3:5]
// CHECK: cleave.output = "y", cleave.owner = 0 : i64
// CHECK: cleave.all_reduce sum %{{.*}} group [0, 1] {cleave.name = "p"} : tensor<4x4xf32>
// CHECK-NOT: module @rank2
module @columns_and_rows {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @up : tensor<5x4xf32> from none split [#cleave.split<column "tp">]
  cleave.weight @down : tensor<4x5xf32> from gguf<"f.gguf", "fused"> slice [8:12, 0:5]
  func.func @f(%x: tensor<4x4xf32> {cleave.input = "x"}) -> (tensor<4x4xf32> {cleave.output = "y"}) {
    %up = cleave.use @up : tensor<5x4xf32>
    %down = cleave.use @down : tensor<4x5xf32>
    %u = cleave.linear %x, %up : (tensor<4x4xf32>, tensor<5x4xf32>) -> tensor<4x5xf32>
    %p = cleave.linear %u, %down {cleave.name = "p"} : (tensor<4x5xf32>, tensor<4x5xf32>) -> tensor<4x4xf32>
    return %p : tensor<4x4xf32>
  }
}

// -----

// Shares that begin inside a quantization block: the rank has the block whole, and its
// features meet the columns after `pad_before`. A slice of a slice counts from the file.
// CHECK-LABEL: module @inside_blocks
// CHECK: module @rank0
// CHECK: cleave.weight @down : tensor<8x32x!cleave.q8_0> from none slice [0:8, 64:96]
// CHECK: %[[S:.*]] = cleave.slice %{{.*}} dim 1 from 0 : tensor<4x64xf32> -> tensor<4x22xf32>
// CHECK: cleave.linear %[[S]], %down : (tensor<4x22xf32>, tensor<8x32x!cleave.q8_0>)
// CHECK: module @rank1
// CHECK: cleave.weight @down : tensor<8x64x!cleave.q8_0> from none slice [0:8, 64:128]
// CHECK: %[[S:.*]] = cleave.slice %{{.*}} dim 1 from 22 : tensor<4x64xf32> -> tensor<4x21xf32>
// CHECK: cleave.linear %[[S]], %down {pad_before = 22 : i64} : (tensor<4x21xf32>, tensor<8x64x!cleave.q8_0>)
// CHECK: module @rank2
// CHECK: cleave.weight @down : tensor<8x32x!cleave.q8_0> from none slice [0:8, 96:128]
// CHECK: %[[S:.*]] = cleave.slice %{{.*}} dim 1 from 43 : tensor<4x64xf32> -> tensor<4x21xf32>
// CHECK: cleave.linear %[[S]], %down {pad_before = 11 : i64} : (tensor<4x21xf32>, tensor<8x32x!cleave.q8_0>)
module @inside_blocks {
  cleave.mesh @mesh <"tp" = 3>
  cleave.weight @down : tensor<8x64x!cleave.q8_0> from none slice [0:8, 64:128] split [#cleave.split<row "tp">]
  func.func @f(%x: tensor<4x64xf32> {cleave.input = "x"}) -> (tensor<4x8xf32> {cleave.output = "y"}) {
    %down = cleave.use @down : tensor<8x64x!cleave.q8_0>
    %p = cleave.linear %x, %down : (tensor<4x64xf32>, tensor<8x64x!cleave.q8_0>) -> tensor<4x8xf32>
    return %p : tensor<4x8xf32>
  }
}

// -----

// A split vocabulary: each rank looks up what it has, and the logits are joined.
// CHECK-LABEL: module @vocabulary
// CHECK: module @rank0
// CHECK: cleave.weight @e : tensor<4x8xf32> from none slice [0:4, 0:8]
// CHECK: %[[X:.*]] = cleave.gather masked %e, %{{.*}} : (tensor<4x8xf32>, tensor<?xi32, #[[T:.*]]>)
// CHECK: cleave.all_reduce sum %[[X]] group [0, 1] : tensor<?x8xf32, #[[T]]>
// CHECK: %[[L:.*]] = cleave.linear {{.*}} -> tensor<?x4xf32, #[[T]]>
// CHECK: cleave.all_gather %[[L]] dim 1 ranges [0:4, 4:7] group [0, 1] : tensor<?x4xf32, #[[T]]> -> tensor<?x7xf32, #[[T]]>
// CHECK: module @rank1
// CHECK: cleave.weight @e : tensor<3x8xf32> from none slice [4:7, 0:8]
// CHECK: cleave.gather masked %e, %{{.*}} {offset = 4 : i64} : (tensor<3x8xf32>,
// CHECK: cleave.all_gather %{{.*}} dim 1 ranges [0:4, 4:7] group [0, 1] : tensor<?x3xf32, #[[T]]> -> tensor<?x7xf32, #[[T]]>
#tokens = #cleave.dims<tokens>
module @vocabulary {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @e : tensor<7x8xf32> from none split [#cleave.split<column "tp">]
  func.func @f(%t: tensor<?xi32, #tokens> {cleave.input = "t"}) -> (tensor<?x7xf32, #tokens> {cleave.output = "y"}) {
    %e = cleave.use @e : tensor<7x8xf32>
    %x = cleave.gather %e, %t : (tensor<7x8xf32>, tensor<?xi32, #tokens>) -> tensor<?x8xf32, #tokens>
    %l = cleave.linear %x, %e : (tensor<?x8xf32, #tokens>, tensor<7x8xf32>) -> tensor<?x7xf32, #tokens>
    return %l : tensor<?x7xf32, #tokens>
  }
}

// -----

// 8 query heads over 3 ranks, 4 key heads: rank 1 has query heads 3 to 5 and key heads 1
// and 2, and begins at the second place in the group of key head 1.
// CHECK-LABEL: module @heads
// CHECK: module @rank0
// CHECK: cleave.state @s : tensor<?x?x16xf16, #[[C:.*]]>
// CHECK: cleave.attention {{.*}} {group = 2 : i64, head_dim = 8 : i64, scale = 1.000000e+00 : f32} : tensor<4x24xf32>, tensor<?x?x16xf16, #[[C]]>
// CHECK: module @rank1
// CHECK: cleave.weight @k : tensor<16x64xf32> from none slice [8:24, 0:64]
// CHECK: cleave.state @s : tensor<?x?x16xf16, #[[C]]>
// CHECK: cleave.attention {{.*}} {first_head = 1 : i64, group = 2 : i64, head_dim = 8 : i64, {{.*}}} : tensor<4x24xf32>, tensor<?x?x16xf16, #[[C]]>
// CHECK: module @rank2
// CHECK: cleave.weight @q : tensor<16x64xf32> from none slice [48:64, 0:64]
// CHECK: cleave.weight @k : tensor<8x64xf32> from none slice [24:32, 0:64]
// CHECK: cleave.state @s : tensor<?x?x8xf16, #[[C]]>
// CHECK: cleave.state_update @s, {{.*}} : (tensor<4x8xf32>,
// CHECK: cleave.attention {{.*}} {group = 2 : i64, head_dim = 8 : i64, scale = 1.000000e+00 : f32} : tensor<4x16xf32>, tensor<?x?x8xf16, #[[C]]>
// CHECK: cleave.all_gather {{.*}} dim 1 ranges [0:24, 24:48, 48:64] group [0, 1, 2] : tensor<4x16xf32> -> tensor<4x64xf32>
#cache = #cleave.dims<slots, context>
module @heads {
  cleave.mesh @mesh <"tp" = 3>
  cleave.weight @q : tensor<64x64xf32> from none split [#cleave.split<head "tp">]
  cleave.weight @k : tensor<32x64xf32> from none split [#cleave.split<head "tp">]
  cleave.state @s : tensor<?x?x32xf16, #cache>
  func.func @f(%x: tensor<4x64xf32> {cleave.input = "x"}, %p: tensor<4xi32> {cleave.input = "p"}) -> (tensor<4x64xf32> {cleave.output = "y"}) {
    %q = cleave.use @q : tensor<64x64xf32>
    %k = cleave.use @k : tensor<32x64xf32>
    %ql = cleave.linear %x, %q : (tensor<4x64xf32>, tensor<64x64xf32>) -> tensor<4x64xf32>
    %kl = cleave.linear %x, %k : (tensor<4x64xf32>, tensor<32x64xf32>) -> tensor<4x32xf32>
    %c = cleave.state_update @s, %kl at %p, %p : (tensor<4x32xf32>, tensor<4xi32>, tensor<4xi32>) -> tensor<?x?x32xf16, #cache>
    %a = cleave.attention %ql, %c, %c at %p, %p {head_dim = 8, group = 2, scale = 1.0 : f32} : tensor<4x64xf32>, tensor<?x?x32xf16, #cache>, tensor<4xi32>, tensor<4xi32>
    return %a : tensor<4x64xf32>
  }
}

// -----

// Two stages of two ranks. Each rank sends its own share to its like in the other stage;
// tags count the transfers; a rank takes only the inputs, weights and outputs of its
// stage.
// CHECK-LABEL: module @stages
// CHECK: module @rank0 attributes {{.*}}cleave.rank = 0 : i64, cleave.stage = 0 : i64}
// CHECK: cleave.weight @up
// CHECK-NOT: cleave.weight @down
// CHECK: func.func @f(%{{.*}}: tensor<4x4xf32> {cleave.input = "x"}) -> (tensor<4x4xf32> {cleave.output = "z", cleave.owner = 0 : i64})
// CHECK: cleave.send %{{.*}} to 2 tag 0 {cleave.name = "u"} : tensor<4x4xf32>
// CHECK: cleave.send %{{.*}} to 2 tag 1 {cleave.name = "z"} : tensor<4x4xf32>
// CHECK: module @rank1 attributes {{.*}}cleave.rank = 1 : i64, cleave.stage = 0 : i64}
// CHECK: cleave.send %{{.*}} to 3 tag 0 {cleave.name = "u"} : tensor<4x4xf32>
// CHECK: module @rank2 attributes {cleave.coordinate = {tp = 0 : i64}, cleave.rank = 2 : i64, cleave.stage = 1 : i64}
// CHECK-NOT: cleave.weight @up
// CHECK: cleave.weight @down : tensor<4x4xf32> from none slice [0:4, 0:4]
// CHECK: func.func @f(%{{.*}}: tensor<4x4xf32> {cleave.input = "late"}) -> (tensor<4x4xf32> {cleave.output = "y", cleave.owner = 2 : i64})
// CHECK: %[[U:.*]] = cleave.recv from 0 tag 0 {cleave.name = "u"} : tensor<4x4xf32>
// CHECK: %[[Z:.*]] = cleave.recv from 0 tag 1 {cleave.name = "z"} : tensor<4x4xf32>
// CHECK: cleave.linear %[[U]]
// CHECK: cleave.all_reduce sum %{{.*}} group [2, 3] : tensor<4x4xf32>
// CHECK: module @rank3
// CHECK: cleave.recv from 1 tag 0
module @stages {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @up : tensor<8x4xf32> from none split [#cleave.split<column "tp">]
  cleave.weight @down : tensor<4x8xf32> from none split [#cleave.split<row "tp">]
  func.func @f(%x: tensor<4x4xf32> {cleave.input = "x"}, %late: tensor<4x4xf32> {cleave.input = "late"})
      -> (tensor<4x4xf32> {cleave.output = "y"}, tensor<4x4xf32> {cleave.output = "z"}) {
    %up = cleave.use @up : tensor<8x4xf32>
    %down = cleave.use @down : tensor<4x8xf32>
    %u = cleave.linear %x, %up {cleave.name = "u"} : (tensor<4x4xf32>, tensor<8x4xf32>) -> tensor<4x8xf32>
    %z = cleave.silu %x {cleave.name = "z"} : tensor<4x4xf32>
    cleave.cut "down"
    %p = cleave.linear %u, %down : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x4xf32>
    %s = cleave.add %p, %late : tensor<4x4xf32>, tensor<4x4xf32>
    %y = cleave.add %s, %z : tensor<4x4xf32>, tensor<4x4xf32>
    return %y, %z : tensor<4x4xf32>, tensor<4x4xf32>
  }
}

// -----

// Two axes, the last varying fastest: neighbours on tp are 0 and 1, on data 0 and 3.
// CHECK-LABEL: module @two_axes
// CHECK: module @rank0 attributes {cleave.coordinate = {data = 0 : i64, tp = 0 : i64}
// CHECK: cleave.all_reduce sum %{{.*}} group [0, 3]
// CHECK: cleave.all_gather {{.*}} ranges [0:2, 2:4, 4:6] group [0, 1, 2]
// CHECK: module @rank4 attributes {cleave.coordinate = {data = 1 : i64, tp = 1 : i64}
// CHECK: cleave.weight @w : tensor<2x4xf32> from none slice [2:4, 4:8]
// CHECK: cleave.all_reduce sum %{{.*}} group [1, 4]
// CHECK: cleave.all_gather {{.*}} ranges [0:2, 2:4, 4:6] group [3, 4, 5]
module @two_axes {
  cleave.mesh @mesh <"data" = 2, "tp" = 3>
  cleave.weight @w : tensor<6x8xf32> from none split [#cleave.split<column "tp">, #cleave.split<row "data">]
  func.func @f(%x: tensor<4x8xf32> {cleave.input = "x"}) -> (tensor<4x6xf32> {cleave.output = "y"}) {
    %w = cleave.use @w : tensor<6x8xf32>
    %p = cleave.linear %x, %w : (tensor<4x8xf32>, tensor<6x8xf32>) -> tensor<4x6xf32>
    return %p : tensor<4x6xf32>
  }
}

// -----

// A partial sum that is wanted in shares of the same axis is reduced and scattered.
// CHECK-LABEL: module @scatter
// CHECK: module @rank1
// CHECK: %[[P:.*]] = cleave.linear
// CHECK-NEXT: %[[S:.*]] = cleave.reduce_scatter sum %[[P]] dim 1 ranges [0:4, 4:8] group [0, 1] : tensor<4x8xf32> -> tensor<4x4xf32>
// CHECK-NEXT: cleave.silu %[[S]] : tensor<4x4xf32>
// CHECK-NOT: all_reduce
// CHECK: cleave.linear {{.*}} (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
module @scatter {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @a : tensor<8x16xf32> from none split [#cleave.split<row "tp">]
  cleave.weight @b : tensor<4x8xf32> from none split [#cleave.split<row "tp">]
  func.func @f(%x: tensor<4x16xf32> {cleave.input = "x"}) -> (tensor<4x4xf32> {cleave.output = "y"}) {
    %a = cleave.use @a : tensor<8x16xf32>
    %b = cleave.use @b : tensor<4x8xf32>
    %p = cleave.linear %x, %a : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
    %s = cleave.silu %p : tensor<4x8xf32>
    %q = cleave.linear %s, %b : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x4xf32>
    return %q : tensor<4x4xf32>
  }
}

// -----

// More ranks than elements: an empty share still joins the collective.
// CHECK-LABEL: module @empty
// CHECK: module @rank2
// CHECK: cleave.weight @w : tensor<0x8xf32> from none slice [2:2, 0:8]
// CHECK: cleave.all_gather {{.*}} ranges [0:1, 1:2, 2:2] group [0, 1, 2] : tensor<4x0xf32> -> tensor<4x2xf32>
module @empty {
  cleave.mesh @mesh <"tp" = 3>
  cleave.weight @w : tensor<2x8xf32> from none split [#cleave.split<column "tp">]
  func.func @f(%x: tensor<4x8xf32> {cleave.input = "x"}) -> (tensor<4x2xf32> {cleave.output = "y"}) {
    %w = cleave.use @w : tensor<2x8xf32>
    %p = cleave.linear %x, %w : (tensor<4x8xf32>, tensor<2x8xf32>) -> tensor<4x2xf32>
    return %p : tensor<4x2xf32>
  }
}

// -----

// An argument that is sharded comes whole like any other: a share is sliced from it.
// CHECK-LABEL: module @argument
// CHECK: module @rank1
// CHECK: func.func @f(%[[X:.*]]: tensor<4x8xf32> {cleave.input = "x"})
// CHECK-NEXT: %[[S:.*]] = cleave.slice %[[X]] dim 1 from 4 : tensor<4x8xf32> -> tensor<4x4xf32>
// CHECK-NEXT: cleave.silu %[[S]] : tensor<4x4xf32>
module @argument {
  cleave.mesh @mesh <"tp" = 2>
  func.func @f(%x: tensor<4x8xf32> {cleave.input = "x", cleave.sharding = #cleave.sharding<[{}, {"tp"}]>})
      -> (tensor<4x8xf32> {cleave.output = "y"}) {
    %s = cleave.silu %x : tensor<4x8xf32>
    return %s : tensor<4x8xf32>
  }
}

// -----

// Shares of a run-time size are named, and joined without ranges; numbers, too.
// CHECK-LABEL: module @run_time
// CHECK: module @rank4
// CHECK: func.func @f(%[[W:.*]]: tensor<9x8xf32> {cleave.input = "w"}, %[[X:.*]]: tensor<?xi32, #tokens> {cleave.input = "x"})
// CHECK-NEXT: %[[S:.*]] = cleave.share %[[X]] dim 0 : tensor<?xi32, #tokens> -> tensor<?xi32, #share_3_of_6_tokens>
// CHECK-NEXT: %[[Y:.*]] = cleave.gather %[[W]], %[[S]] : (tensor<9x8xf32>, tensor<?xi32, #share_3_of_6_tokens>) -> tensor<?x8xf32, #share_3_of_6_tokens>
// CHECK-NEXT: cleave.all_gather %[[Y]] dim 0 group [0, 3, 1, 4, 2, 5] : tensor<?x8xf32, #share_3_of_6_tokens> -> tensor<?x8xf32, #tokens>
module @run_time {
  cleave.mesh @mesh <"a" = 2, "b" = 3>
  func.func @f(%w: tensor<9x8xf32> {cleave.input = "w"},
               %x: tensor<?xi32, #cleave.dims<tokens>> {cleave.input = "x", cleave.sharding = #cleave.sharding<[{"b", "a"}]>})
      -> (tensor<?x8xf32, #cleave.dims<tokens>> {cleave.output = "y"}) {
    %y = cleave.gather %w, %x : (tensor<9x8xf32>, tensor<?xi32, #cleave.dims<tokens>>) -> tensor<?x8xf32, #cleave.dims<tokens>>
    return %y : tensor<?x8xf32, #cleave.dims<tokens>>
  }
}

// -----

// A row of tokens is attended to on its own: with the queries, slots and positions are cut.
// Keys are written by all tokens.
// CHECK-LABEL: module @queries
// CHECK: module @rank1
// CHECK: cleave.state_update @k, %{{.*}} : (tensor<?x8xf32, #tokens>, tensor<?xi32, #tokens>, tensor<?xi32, #tokens>)
// CHECK: cleave.attention %{{.*}} : tensor<?x8xf32, #share_1_of_2_tokens>, tensor<?x?x8xf16, #{{.*}}>, tensor<?xi32, #share_1_of_2_tokens>, tensor<?xi32, #share_1_of_2_tokens>
module @queries {
  cleave.mesh @mesh <"tp" = 2>
  cleave.state @k : tensor<?x?x8xf16, #cleave.dims<slots, context>>
  func.func @f(%q: tensor<?x8xf32, #cleave.dims<tokens>> {cleave.input = "q", cleave.sharding = #cleave.sharding<[{"tp"}, {}]>},
               %x: tensor<?x8xf32, #cleave.dims<tokens>> {cleave.input = "x"},
               %s: tensor<?xi32, #cleave.dims<tokens>> {cleave.input = "slots"},
               %p: tensor<?xi32, #cleave.dims<tokens>> {cleave.input = "positions"})
      -> (tensor<?x8xf32, #cleave.dims<tokens>> {cleave.output = "y"}) {
    %k = cleave.state_update @k, %x at %s, %p : (tensor<?x8xf32, #cleave.dims<tokens>>, tensor<?xi32, #cleave.dims<tokens>>, tensor<?xi32, #cleave.dims<tokens>>) -> tensor<?x?x8xf16, #cleave.dims<slots, context>>
    %a = cleave.attention %q, %k, %k at %s, %p {head_dim = 8, group = 1, scale = 0.35 : f32} : tensor<?x8xf32, #cleave.dims<tokens>>, tensor<?x?x8xf16, #cleave.dims<slots, context>>, tensor<?xi32, #cleave.dims<tokens>>, tensor<?xi32, #cleave.dims<tokens>>
    return %a : tensor<?x8xf32, #cleave.dims<tokens>>
  }
}
