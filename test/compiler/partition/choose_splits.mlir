// The default plan of a graph of no known family: pairs of products are found by rules, not by names.
// RUN: split-file %s %t
// RUN: cleave-opt %t/encoder.mlir -cleave-apply-plan="tp=2" -cleave-choose-splits | FileCheck %s --check-prefix=SPLITS
// RUN: partition-tool %t/encoder.mlir --tp 2 --emit=ranks | FileCheck %s --check-prefix=RANKS
// RUN: partition-tool %t/encoder.mlir --tp 8 --emit=ranks | FileCheck %s --check-prefix=HEADS
// RUN: partition-tool %t/images.mlir --tp 2 --emit=ranks | FileCheck %s --check-prefix=IMAGES
// RUN: partition-tool %t/tied.mlir --tp 2 --emit=ranks | FileCheck %s --check-prefix=TIED
// RUN: partition-tool %t/tables.mlir --tp 3 --emit=ranks | FileCheck %s --check-prefix=TABLES
// RUN: cleave-opt %t/small_tables.mlir -cleave-apply-plan="tp=2" -cleave-choose-splits | FileCheck %s --check-prefix=SMALL
// RUN: partition-tool %t/refused.mlir --tp 2 --emit=ranks | FileCheck %s --check-prefix=REFUSED
// RUN: partition-tool %t/mask.mlir --tp 3 --emit=ranks | FileCheck %s --check-prefix=MASK
// RUN: cleave-opt %t/encoder.mlir -cleave-apply-plan="tp=2 split=up=column" -cleave-choose-splits | FileCheck %s --check-prefix=PLANNED
// RUN: not cleave-opt %t/encoder.mlir -cleave-apply-plan="mesh=x=2;y=2" -cleave-choose-splits 2>&1 | FileCheck %s --check-prefix=AXES
// RUN: cleave-opt %t/given.mlir -cleave-choose-splits | FileCheck %s --check-prefix=GIVEN
// RUN: not partition-tool %t/nothing.mlir --tp 2 --emit=ranks 2>&1 | FileCheck %s --check-prefix=NOTHING

// The table by words, each first product by its outputs; what has two rows only stays whole.
// SPLITS: cleave.weight @words {{.*}} split [#cleave.split<column "tp">]
// SPLITS-NOT: split
// SPLITS: cleave.weight @query {{.*}} split [#cleave.split<column "tp">]
// SPLITS-NEXT: cleave.weight @key {{.*}} split [#cleave.split<column "tp">]
// SPLITS-NEXT: cleave.weight @value {{.*}} split [#cleave.split<column "tp">]
// SPLITS-NOT: split
// SPLITS: cleave.weight @up {{.*}} split [#cleave.split<column "tp">]
// SPLITS-NOT: split
// SPLITS: cleave.weight @classes {{.*}} split [#cleave.split<column "tp">]

// One sum for the embedding, one for attention, one for the feed-forward block, and the classes
// joined.
// RANKS-LABEL: module @rank0
// RANKS: cleave.weight @words : tensor<2048x16xf32>
// RANKS: cleave.weight @sides : tensor<2x16xf32> from none{{$}}
// RANKS: cleave.weight @query : tensor<8x16xf32>
// RANKS: cleave.weight @query_bias : tensor<8xf32>
// RANKS: cleave.weight @mix : tensor<16x8xf32>
// RANKS: cleave.weight @down : tensor<16x20xf32>
// RANKS: cleave.gather masked
// RANKS-NEXT: {{.*}} = cleave.all_reduce sum
// RANKS-NOT: cleave.all
// RANKS: cleave.attention
// RANKS: cleave.linear
// RANKS-NEXT: {{.*}} = cleave.all_reduce
// RANKS-NOT: cleave.all
// RANKS: cleave.silu
// RANKS: cleave.linear
// RANKS-NEXT: {{.*}} = cleave.all_reduce
// RANKS-NOT: cleave.all
// RANKS: cleave.all_gather {{.*}} ranges [0:2, 2:3]
// RANKS-NOT: cleave.all
// RANKS-LABEL: module @rank1

// There are four heads: attention is whole on each of eight ranks.
// HEADS-LABEL: module @rank0
// HEADS: cleave.weight @query : tensor<16x16xf32>
// HEADS: cleave.weight @up : tensor<5x16xf32>

// Convolutions by channels.
// IMAGES-LABEL: module @rank0
// IMAGES: cleave.weight @first : tensor<4x3x3x3xf32>
// IMAGES: cleave.weight @second : tensor<5x4x3x3xf32>
// IMAGES: cleave.conv
// IMAGES-NOT: cleave.all
// IMAGES: cleave.conv
// IMAGES-NEXT: {{.*}} = cleave.all_reduce sum
// IMAGES-NOT: cleave.all
// IMAGES-LABEL: module @rank1

// A table that a product reads, too, is split for it, and looked up in shares, however small it is;
// one whose elements another op chooses is not.
// TIED-LABEL: module @rank0
// TIED: cleave.weight @words : tensor<8x8xf32>
// TIED: cleave.weight @chosen : tensor<16x8xf32>
// TIED: cleave.take %words, %{{.*}} dim 0 masked from 0 of 16
// TIED-LABEL: module @rank1

// Words, segments and places are added: all tables are cut, down to that of two rows over three
// ranks, so that there is one sum.
// TABLES-LABEL: module @rank2
// TABLES: cleave.weight @words : tensor<1365x16xf32>
// TABLES: cleave.weight @segments : tensor<0x16xf32>
// TABLES: cleave.weight @places : tensor<341x16xf32>
// TABLES-COUNT-3: cleave.take {{.*}} masked
// TABLES: cleave.all_reduce
// TABLES-NOT: cleave.all_reduce

// A table that is small beside another one stays whole, though above the limit by itself; so does
// one that is read by columns.
// SMALL: cleave.weight @words {{.*}} split [#cleave.split<column "tp">]
// SMALL-NOT: split

// The pair would split the second matrix by its inputs, which a norm of its rows needs whole: so the
// first one stays whole, and the second is split by its outputs.
// REFUSED-LABEL: module @rank0
// REFUSED: cleave.weight @first : tensor<12x8xf32>
// REFUSED: cleave.weight @second : tensor<4x12xf32>
// REFUSED-LABEL: module @rank1

// A head a rank: the mask has one for all heads, of which no rank has a share.
// MASK-COUNT-3: cleave.scaled_dot_product_attention {{.*}}mask_repeats = array<i64: 1>

// Where someone has said something, nothing is chosen.
// What is said of a value is a plan.
// GIVEN-NOT: split

// PLANNED: cleave.mesh
// PLANNED-NOT: split
// PLANNED: cleave.weight @up {{.*}} split [#cleave.split<column "tp">]
// PLANNED-NOT: split

// AXES: axis "x" of size 2 is given, but no weight is split; say how with --split or in a plan (the default plan is for axis 'tp' or for a mesh of one axis)
// NOTHING: command line:1:6: error: axis "tp" of size 2 is given, but the graph has no weight that can be split over it; a weight that a matrix product reads can, where it has as many output features, or heads, as there are ranks

//--- encoder.mlir
#t = #cleave.dims<t>
#c = #cleave.dims<slots, context>
cleave.weight @words : tensor<4096x16xf32> from none
cleave.weight @sides : tensor<2x16xf32> from none
cleave.weight @norm : tensor<16xf32> from none
cleave.weight @query : tensor<16x16xf32> from none
cleave.weight @key : tensor<16x16xf32> from none
cleave.weight @value : tensor<16x16xf32> from none
cleave.weight @query_bias : tensor<16xf32> from none
cleave.weight @mix : tensor<16x16xf32> from none
cleave.weight @up : tensor<40x16xf32> from none
cleave.weight @down : tensor<16x40xf32> from none
cleave.weight @classes : tensor<3x16xf32> from none
cleave.state @kc : tensor<?x?x16xf32, #c>
cleave.state @vc : tensor<?x?x16xf32, #c>
func.func @main(%ids: tensor<?xi32, #t> {cleave.input = "ids"},
                 %types: tensor<?xi32, #t> {cleave.input = "types"},
                 %s: tensor<?xi32, #t> {cleave.input = "slots"},
                 %p: tensor<?xi32, #t> {cleave.input = "positions"}) -> (tensor<?x3xf32, #t> {cleave.output = "y"}) {
  %table = cleave.use @words : tensor<4096x16xf32>
  %ty = cleave.use @sides : tensor<2x16xf32>
  %e0 = cleave.gather %table, %ids : (tensor<4096x16xf32>, tensor<?xi32, #t>) -> tensor<?x16xf32, #t>
  %e1 = cleave.gather %ty, %types : (tensor<2x16xf32>, tensor<?xi32, #t>) -> tensor<?x16xf32, #t>
  %e = cleave.add %e0, %e1 : tensor<?x16xf32, #t>, tensor<?x16xf32, #t>
  %n = cleave.use @norm : tensor<16xf32>
  %h = cleave.rms_norm %e, %n {epsilon = 1.0e-5 : f32} : tensor<?x16xf32, #t>, tensor<16xf32>
  %wq = cleave.use @query : tensor<16x16xf32>
  %bq = cleave.use @query_bias : tensor<16xf32>
  %wk = cleave.use @key : tensor<16x16xf32>
  %wv = cleave.use @value : tensor<16x16xf32>
  %q0 = cleave.linear %h, %wq : (tensor<?x16xf32, #t>, tensor<16x16xf32>) -> tensor<?x16xf32, #t>
  %q = cleave.add %q0, %bq : tensor<?x16xf32, #t>, tensor<16xf32>
  %k = cleave.linear %h, %wk : (tensor<?x16xf32, #t>, tensor<16x16xf32>) -> tensor<?x16xf32, #t>
  %v = cleave.linear %h, %wv : (tensor<?x16xf32, #t>, tensor<16x16xf32>) -> tensor<?x16xf32, #t>
  %ks = cleave.state_update @kc, %k at %s, %p : (tensor<?x16xf32, #t>, tensor<?xi32, #t>, tensor<?xi32, #t>) -> tensor<?x?x16xf32, #c>
  %vs = cleave.state_update @vc, %v at %s, %p : (tensor<?x16xf32, #t>, tensor<?xi32, #t>, tensor<?xi32, #t>) -> tensor<?x?x16xf32, #c>
  %a = cleave.attention %q, %ks, %vs at %s, %p {head_dim = 4, group = 1, scale = 0.5 : f32} : tensor<?x16xf32, #t>, tensor<?x?x16xf32, #c>, tensor<?xi32, #t>, tensor<?xi32, #t>
  %wo = cleave.use @mix : tensor<16x16xf32>
  %o = cleave.linear %a, %wo : (tensor<?x16xf32, #t>, tensor<16x16xf32>) -> tensor<?x16xf32, #t>
  %x1 = cleave.add %e, %o : tensor<?x16xf32, #t>, tensor<?x16xf32, #t>
  %h1 = cleave.rms_norm %x1, %n {epsilon = 1.0e-5 : f32} : tensor<?x16xf32, #t>, tensor<16xf32>
  %wu = cleave.use @up : tensor<40x16xf32>
  %u = cleave.linear %h1, %wu : (tensor<?x16xf32, #t>, tensor<40x16xf32>) -> tensor<?x40xf32, #t>
  %us = cleave.silu %u : tensor<?x40xf32, #t>
  %wd = cleave.use @down : tensor<16x40xf32>
  %d = cleave.linear %us, %wd : (tensor<?x40xf32, #t>, tensor<16x40xf32>) -> tensor<?x16xf32, #t>
  %x2 = cleave.add %x1, %d : tensor<?x16xf32, #t>, tensor<?x16xf32, #t>
  %wh = cleave.use @classes : tensor<3x16xf32>
  %y = cleave.linear %x2, %wh : (tensor<?x16xf32, #t>, tensor<3x16xf32>) -> tensor<?x3xf32, #t>
  return %y : tensor<?x3xf32, #t>
}

//--- images.mlir
#n = #cleave.dims<n>
cleave.weight @first : tensor<8x3x3x3xf32> from none
cleave.weight @second : tensor<5x8x3x3xf32> from none
func.func @main(%x: tensor<?x3x8x8xf32, #n> {cleave.input = "x"})
    -> (tensor<?x5x4x4xf32, #n> {cleave.output = "y"}) {
  %f = cleave.use @first : tensor<8x3x3x3xf32>
  %a = cleave.conv %x, %f strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1]
    : (tensor<?x3x8x8xf32, #n>, tensor<8x3x3x3xf32>) -> tensor<?x8x6x6xf32, #n>
  %b = cleave.silu %a : tensor<?x8x6x6xf32, #n>
  %s = cleave.use @second : tensor<5x8x3x3xf32>
  %y = cleave.conv %b, %s strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1]
    : (tensor<?x8x6x6xf32, #n>, tensor<5x8x3x3xf32>) -> tensor<?x5x4x4xf32, #n>
  return %y : tensor<?x5x4x4xf32, #n>
}

//--- nothing.mlir
cleave.weight @norm : tensor<8xf32> from none
func.func @main(%x: tensor<4x8xf32> {cleave.input = "x"})
    -> (tensor<4x8xf32> {cleave.output = "y"}) {
  %w = cleave.use @norm : tensor<8xf32>
  %y = cleave.mul %x, %w : tensor<4x8xf32>, tensor<8xf32>
  return %y : tensor<4x8xf32>
}

//--- given.mlir
cleave.mesh @mesh <"tp" = 2>
cleave.weight @up : tensor<16x8xf32> from none
func.func @main(%x: tensor<4x8xf32> {cleave.input = "x"})
    -> (tensor<4x16xf32> {cleave.output = "y"}) {
  %w = cleave.use @up : tensor<16x8xf32>
  %u = cleave.linear %x, %w : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
  %y = cleave.silu %u {cleave.sharding = [#cleave.sharding<[{"tp"}, {}]>]} : tensor<4x16xf32>
  return %y : tensor<4x16xf32>
}

//--- refused.mlir
cleave.weight @first : tensor<12x8xf32> from none
cleave.weight @second : tensor<8x12xf32> from none
func.func @main(%x: tensor<4x8xf32> {cleave.input = "x"})
    -> (tensor<4x8xf32> {cleave.output = "y"}, tensor<8x12xf32> {cleave.output = "z"}) {
  %f = cleave.use @first : tensor<12x8xf32>
  %s = cleave.use @second : tensor<8x12xf32>
  %a = cleave.linear %x, %f : (tensor<4x8xf32>, tensor<12x8xf32>) -> tensor<4x12xf32>
  %b = cleave.silu %a : tensor<4x12xf32>
  %y = cleave.linear %b, %s : (tensor<4x12xf32>, tensor<8x12xf32>) -> tensor<4x8xf32>
  %z = cleave.softmax %s dim 1 : tensor<8x12xf32>
  return %y, %z : tensor<4x8xf32>, tensor<8x12xf32>
}

//--- mask.mlir
cleave.weight @q : tensor<12x8xf32> from none
cleave.weight @k : tensor<12x8xf32> from none
func.func @main(%x: tensor<2x8xf32> {cleave.input = "x"}, %m: tensor<1x1x2x2xf32> {cleave.input = "m"})
    -> (tensor<1x3x2x4xf32> {cleave.output = "y"}) {
  %wq = cleave.use @q : tensor<12x8xf32>
  %wk = cleave.use @k : tensor<12x8xf32>
  %q0 = cleave.linear %x, %wq : (tensor<2x8xf32>, tensor<12x8xf32>) -> tensor<2x12xf32>
  %k0 = cleave.linear %x, %wk : (tensor<2x8xf32>, tensor<12x8xf32>) -> tensor<2x12xf32>
  %q1 = cleave.reshape %q0 groups [1:2, 1:2] : tensor<2x12xf32> -> tensor<1x2x3x4xf32>
  %k1 = cleave.reshape %k0 groups [1:2, 1:2] : tensor<2x12xf32> -> tensor<1x2x3x4xf32>
  %q = cleave.transpose %q1 [0, 2, 1, 3] : tensor<1x2x3x4xf32> -> tensor<1x3x2x4xf32>
  %k = cleave.transpose %k1 [0, 2, 1, 3] : tensor<1x2x3x4xf32> -> tensor<1x3x2x4xf32>
  %y = cleave.scaled_dot_product_attention %q, %k, %k mask %m {scale = 5.0e-1 : f32}
    : (tensor<1x3x2x4xf32>, tensor<1x3x2x4xf32>, tensor<1x3x2x4xf32>, tensor<1x1x2x2xf32>) -> tensor<1x3x2x4xf32>
  return %y : tensor<1x3x2x4xf32>
}

//--- tables.mlir
cleave.weight @words : tensor<4096x16xf32> from none
cleave.weight @places : tensor<1024x16xf32> from none
cleave.weight @segments : tensor<2x16xf32> from none
func.func @main(%i: tensor<5xi64> {cleave.input = "i"}, %s: tensor<5xi64> {cleave.input = "s"},
                %p: tensor<5xi64> {cleave.input = "p"}) -> (tensor<5x16xf32> {cleave.output = "y"}) {
  %words = cleave.use @words : tensor<4096x16xf32>
  %places = cleave.use @places : tensor<1024x16xf32>
  %segments = cleave.use @segments : tensor<2x16xf32>
  %w = cleave.take %words, %i dim 0 : (tensor<4096x16xf32>, tensor<5xi64>) -> tensor<5x16xf32>
  %t = cleave.take %segments, %s dim 0 : (tensor<2x16xf32>, tensor<5xi64>) -> tensor<5x16xf32>
  %a = cleave.add %w, %t : tensor<5x16xf32>, tensor<5x16xf32>
  %l = cleave.take %places, %p dim 0 : (tensor<1024x16xf32>, tensor<5xi64>) -> tensor<5x16xf32>
  %x = cleave.add %a, %l : tensor<5x16xf32>, tensor<5x16xf32>
  %y = cleave.softmax %x dim 1 : tensor<5x16xf32>
  return %y : tensor<5x16xf32>
}

//--- small_tables.mlir
cleave.weight @words : tensor<65536x32xf32> from none
cleave.weight @sines : tensor<4096x16xf32> from none
cleave.weight @columns : tensor<16x65536xf32> from none
func.func @main(%i: tensor<5xi64> {cleave.input = "i"}, %p: tensor<5xi64> {cleave.input = "p"})
    -> (tensor<5x16xf32> {cleave.output = "y"}, tensor<16x5xf32> {cleave.output = "z"}) {
  %words = cleave.use @words : tensor<65536x32xf32>
  %sines = cleave.use @sines : tensor<4096x16xf32>
  %columns = cleave.use @columns : tensor<16x65536xf32>
  %w = cleave.take %words, %i dim 0 : (tensor<65536x32xf32>, tensor<5xi64>) -> tensor<5x32xf32>
  %h = cleave.slice %w dim 1 from 0 : tensor<5x32xf32> -> tensor<5x16xf32>
  %s = cleave.take %sines, %p dim 0 : (tensor<4096x16xf32>, tensor<5xi64>) -> tensor<5x16xf32>
  %y = cleave.mul %h, %s : tensor<5x16xf32>, tensor<5x16xf32>
  %z = cleave.take %columns, %i dim 1 : (tensor<16x65536xf32>, tensor<5xi64>) -> tensor<16x5xf32>
  return %y, %z : tensor<5x16xf32>, tensor<16x5xf32>
}

//--- tied.mlir
cleave.weight @chosen : tensor<16x8xf32> from none
cleave.weight @words : tensor<16x8xf32> from none
cleave.weight @up : tensor<8x8xf32> from none
func.func @main(%i: tensor<3xi64> {cleave.input = "i"}, %j: tensor<3x8xi64> {cleave.input = "j"})
    -> (tensor<3x16xf32> {cleave.output = "y"}, tensor<3x16xf32> {cleave.output = "z"}) {
  %w = cleave.use @words : tensor<16x8xf32>
  %c = cleave.use @chosen : tensor<16x8xf32>
  %u = cleave.use @up : tensor<8x8xf32>
  %x = cleave.take %w, %i dim 0 : (tensor<16x8xf32>, tensor<3xi64>) -> tensor<3x8xf32>
  %h = cleave.linear %x, %u : (tensor<3x8xf32>, tensor<8x8xf32>) -> tensor<3x8xf32>
  %s = cleave.softmax %h dim 1 : tensor<3x8xf32>
  %e = cleave.gather_elements %c, %j dim 0 : (tensor<16x8xf32>, tensor<3x8xi64>) -> tensor<3x8xf32>
  %y = cleave.linear %s, %w : (tensor<3x8xf32>, tensor<16x8xf32>) -> tensor<3x16xf32>
  %z = cleave.linear %e, %c : (tensor<3x8xf32>, tensor<16x8xf32>) -> tensor<3x16xf32>
  return %y, %z : tensor<3x16xf32>, tensor<3x16xf32>
}
