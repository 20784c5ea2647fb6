// What the logical form says of a value goes before what follows from its neighbours.
// RUN: cleave-opt %s -split-input-file -cleave-propagate-shardings | FileCheck %s
// RUN: cleave-opt %s -split-input-file -cleave-propagate-shardings -cleave-insert-reshards \
// RUN:   | FileCheck %s --check-prefix=MOVED

// Rows over ranks in the middle of a graph whose weights are whole: the op before is cut as the
// value wants it, and the input sliced for it; what comes after stays cut.
// CHECK-LABEL: module @rows
// CHECK: cleave.weight @a : {{.*}} sharding <[{}, {}]>
// CHECK: cleave.linear {{.*}} {cleave.sharding = [#cleave.sharding<[{"tp"}, {}]>]}
// CHECK: cleave.silu {{.*}} {cleave.sharding = [#cleave.sharding<[{"tp"}, {}]>]}
// CHECK: cleave.linear {{.*}} {cleave.sharding = [#cleave.sharding<[{"tp"}, {}]>]}
// MOVED-LABEL: module @rows
// MOVED: %[[X:.*]] = cleave.reshard %{{.*}} {cleave.sharding = [#cleave.sharding<[{"tp"}, {}]>]}
// MOVED: cleave.linear %[[X]]
// MOVED-NOT: cleave.reshard
// MOVED: %[[Y:.*]] = cleave.linear
// MOVED: %[[WHOLE:.*]] = cleave.reshard %[[Y]] {cleave.sharding = [#cleave.sharding<[{}, {}]>]}
// MOVED: return %[[WHOLE]]
module @rows {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @a : tensor<16x8xf32> from none
  cleave.weight @b : tensor<8x16xf32> from none
  func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
    %a = cleave.use @a : tensor<16x8xf32>
    %b = cleave.use @b : tensor<8x16xf32>
    %u = cleave.linear %x, %a : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
    %s = cleave.silu %u {cleave.sharding = [#cleave.sharding<[{"tp"}, {}]>]} : tensor<4x16xf32>
    %d = cleave.linear %s, %b : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
    return %d : tensor<4x8xf32>
  }
}

// -----

// It decides how weights of which nothing is said are cut.
// CHECK-LABEL: module @weights_follow
// CHECK: cleave.weight @a : {{.*}} sharding <[{"tp"}, {}]>
// CHECK: cleave.weight @b : {{.*}} sharding <[{}, {"tp"}]>
module @weights_follow {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @a : tensor<16x8xf32> from none
  cleave.weight @b : tensor<8x16xf32> from none
  func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
    %a = cleave.use @a : tensor<16x8xf32>
    %b = cleave.use @b : tensor<8x16xf32>
    %u = cleave.linear %x, %a : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
    %s = cleave.silu %u {cleave.sharding = [#cleave.sharding<[{}, {"tp"}]>]} : tensor<4x16xf32>
    %d = cleave.linear %s, %b : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
    return %d : tensor<4x8xf32>
  }
}

// -----

// A value that is to be whole between a pair of split weights: it is joined, and its shares taken
// again.
// CHECK-LABEL: module @whole
// CHECK: cleave.silu {{.*}} {cleave.sharding = [#cleave.sharding<[{}, {}]>]}
// MOVED-LABEL: module @whole
// MOVED: %[[S:.*]] = cleave.silu {{.*}} {cleave.sharding = [#cleave.sharding<[{}, {"tp"}]>]}
// MOVED: %[[W:.*]] = cleave.reshard %[[S]] {cleave.sharding = [#cleave.sharding<[{}, {}]>]}
// MOVED: %[[C:.*]] = cleave.reshard %[[W]] {cleave.sharding = [#cleave.sharding<[{}, {"tp"}]>]}
// MOVED: cleave.linear %[[C]]
module @whole {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @a : tensor<16x8xf32> from none split [#cleave.split<column "tp">]
  cleave.weight @b : tensor<8x16xf32> from none split [#cleave.split<row "tp">]
  func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
    %a = cleave.use @a : tensor<16x8xf32>
    %b = cleave.use @b : tensor<8x16xf32>
    %u = cleave.linear %x, %a : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
    %s = cleave.silu %u {cleave.sharding = [#cleave.sharding<[{}, {}]>]} : tensor<4x16xf32>
    %d = cleave.linear %s, %b : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
    return %d : tensor<4x8xf32>
  }
}

// -----

// Weights cannot be moved and a value can: the product of a weight that is split by `column` goes
// over to rows, the sum of one that is split by `row` is scattered to them.
// CHECK-LABEL: module @against_weights
// MOVED-LABEL: module @against_weights
// MOVED: %[[U:.*]] = cleave.linear {{.*}} {cleave.sharding = [#cleave.sharding<[{}, {"tp"}]>]}
// MOVED: cleave.reshard %[[U]] {cleave.sharding = [#cleave.sharding<[{"tp"}, {}]>]}
// MOVED: %[[D:.*]] = cleave.linear {{.*}} {cleave.sharding = [#cleave.sharding<[{}, {}], partial = {"tp" : sum}>]}
// MOVED: cleave.reshard %[[D]] {cleave.sharding = [#cleave.sharding<[{"tp"}, {}]>]}
module @against_weights {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @a : tensor<16x8xf32> from none split [#cleave.split<column "tp">]
  cleave.weight @b : tensor<8x16xf32> from none split [#cleave.split<row "tp">]
  func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
    %a = cleave.use @a : tensor<16x8xf32>
    %b = cleave.use @b : tensor<8x16xf32>
    %u = cleave.linear %x, %a {cleave.sharding = [#cleave.sharding<[{"tp"}, {}]>]} : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
    %d = cleave.linear %u, %b {cleave.sharding = [#cleave.sharding<[{"tp"}, {}]>]} : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
    return %d : tensor<4x8xf32>
  }
}

// -----

// What is to be whole may be a sum that comes later: it is the same value.
// CHECK-LABEL: module @late_sum
// CHECK: cleave.linear {{.*}} {cleave.sharding = [#cleave.sharding<[{}, {}], partial = {"tp" : sum}>]}
// CHECK: cleave.linear {{.*}} {cleave.sharding = [#cleave.sharding<[{}, {}], partial = {"tp" : sum}>]}
// CHECK: cleave.add {{.*}} {cleave.sharding = [#cleave.sharding<[{}, {}]>]}
module @late_sum {
  cleave.mesh @mesh <"tp" = 2>
  cleave.weight @a : tensor<8x16xf32> from none split [#cleave.split<row "tp">]
  cleave.weight @b : tensor<8x16xf32> from none split [#cleave.split<row "tp">]
  func.func @f(%x: tensor<4x16xf32>) -> tensor<4x8xf32> {
    %a = cleave.use @a : tensor<8x16xf32>
    %b = cleave.use @b : tensor<8x16xf32>
    %u = cleave.linear %x, %a {cleave.sharding = [#cleave.sharding<[{}, {}]>]} : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
    %v = cleave.linear %x, %b {cleave.sharding = [#cleave.sharding<[{}, {}]>]} : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
    %s = cleave.add %u, %v : tensor<4x8xf32>, tensor<4x8xf32>
    return %s : tensor<4x8xf32>
  }
}

// -----

// An op of two results may say it of one. What it needs whole is cut behind it.
// CHECK-LABEL: module @one_result
// CHECK: cleave.top_elements {{.*}}cleave.sharding = [#cleave.sharding<[{}, {}]>, #cleave.sharding<[{}, {"tp"}]>]
// MOVED-LABEL: module @one_result
// MOVED: %[[T:.*]]:2 = cleave.top_elements {{.*}}cleave.sharding = [#cleave.sharding<[{}, {}]>, #cleave.sharding<[{}, {}]>]
// MOVED: cleave.reshard %[[T]]#1 {cleave.sharding = [#cleave.sharding<[{}, {"tp"}]>]}
module @one_result {
  cleave.mesh @mesh <"tp" = 2>
  func.func @f(%x: tensor<4x8xf32>) -> (tensor<4x4xf32>, tensor<4x4xi64>) {
    %v, %i = cleave.top_elements %x dim 1 {cleave.sharding = [unit, #cleave.sharding<[{}, {"tp"}]>]} : tensor<4x8xf32> -> tensor<4x4xf32>, tensor<4x4xi64>
    return %v, %i : tensor<4x4xf32>, tensor<4x4xi64>
  }
}

// -----

// Tokens over ranks leave out what is to be whole.
// CHECK-LABEL: module @sequence
// CHECK: cleave.linear {{.*}} {cleave.name = "first", cleave.sharding = [#cleave.sharding<[{"tp"}, {}]>]}
// CHECK: cleave.linear {{.*}} {cleave.name = "second", cleave.sharding = [#cleave.sharding<[{}, {}]>]}
#tokens = #cleave.dims<tokens>
module @sequence {
  cleave.mesh @mesh <"tp" = 2> sequence "tp"
  cleave.weight @a : tensor<8x16xf32> from none split [#cleave.split<row "tp">]
  cleave.weight @b : tensor<8x16xf32> from none split [#cleave.split<row "tp">]
  func.func @f(%x: tensor<?x16xf32, #tokens>) -> (tensor<?x8xf32, #tokens>, tensor<?x8xf32, #tokens>) {
    %a = cleave.use @a : tensor<8x16xf32>
    %b = cleave.use @b : tensor<8x16xf32>
    %u = cleave.linear %x, %a {cleave.name = "first"} : (tensor<?x16xf32, #tokens>, tensor<8x16xf32>) -> tensor<?x8xf32, #tokens>
    %v = cleave.linear %x, %b {cleave.name = "second", cleave.sharding = [#cleave.sharding<[{}, {}]>]} : (tensor<?x16xf32, #tokens>, tensor<8x16xf32>) -> tensor<?x8xf32, #tokens>
    return %u, %v : tensor<?x8xf32, #tokens>, tensor<?x8xf32, #tokens>
  }
}
