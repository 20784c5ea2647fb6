// What only constants decide is computed; what a run decides, what is large and what is an output is not.
// RUN: cleave-opt %s -split-input-file -cleave-fold-constants -verify-diagnostics | FileCheck %s

// sqrt([1, 4]) + 1 = [2, 3]: one weight in place of all ops, and of the weights that they alone read.
// CHECK-NOT: @w :
// CHECK-NOT: @one
// CHECK: cleave.weight @sum : tensor<2xf32> from dense<[2], "0x0000004000004040">
// CHECK-LABEL: func.func @chain
// CHECK-NEXT: %[[SUM:.*]] = cleave.use @sum : tensor<2xf32>
// CHECK-NEXT: cleave.mul %arg0, %[[SUM]]
cleave.weight @w : tensor<2xf32> from dense<[2], "0x0000803f00008040">
cleave.weight @one : tensor<f32> from dense<[], "0x0000803f">
func.func @chain(%x: tensor<2xf32>) -> tensor<2xf32> {
  %w = cleave.use @w : tensor<2xf32>
  %one = cleave.use @one : tensor<f32>
  %r = cleave.sqrt %w {cleave.name = "root"} : tensor<2xf32>
  %s = cleave.add %r, %one {cleave.name = "sum"} : tensor<2xf32>, tensor<f32>
  %y = cleave.mul %x, %s : tensor<2xf32>, tensor<2xf32>
  return %y : tensor<2xf32>
}

// -----

// How a value was to lie is told of where it would have been cut.
// CHECK: cleave.weight @third : tensor<2xf32> from dense
// CHECK-LABEL: func.func @given
cleave.weight @w : tensor<2xf32> from dense<[2], "0x0000803f00008040">
func.func @given(%x: tensor<2xf32>) -> tensor<2xf32> {
  %w = cleave.use @w : tensor<2xf32>
  %a = cleave.sqrt %w {cleave.name = "first", cleave.sharding = [#cleave.sharding<[{}]>]} : tensor<2xf32>
  %b = cleave.sqrt %a {cleave.name = "second", cleave.sharding = [#cleave.sharding<[{"tp"}]>]} : tensor<2xf32>
  // expected-warning@+1 {{'third' is to be #cleave.sharding<[{"tp"}]>, but is known before the model runs: it lies as its readers need it}}
  %c = cleave.sqrt %b {cleave.name = "third", cleave.sharding = [#cleave.sharding<[{"tp"}]>]} : tensor<2xf32>
  %y = cleave.mul %x, %c : tensor<2xf32>, tensor<2xf32>
  return %y : tensor<2xf32>
}

// -----

// Integers stay exact, and names that are taken get a number.
// CHECK: cleave.weight @mask : tensor<3xf32>
// CHECK: cleave.weight @[[MASK:.*]] : tensor<1x3xi1> from dense<[1, 3], "0x010001">
// CHECK-LABEL: func.func @names
// CHECK: cleave.use @[[MASK]] : tensor<1x3xi1>
// CHECK: cleave.where
cleave.weight @places : tensor<3xi64> from dense<[3], "0x000000000000000001000000000000000200000000000000">
cleave.weight @one : tensor<i64> from dense<[], "0x0100000000000000">
cleave.weight @mask : tensor<3xf32> from random<1>
func.func @names(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %p = cleave.use @places : tensor<3xi64>
  %one = cleave.use @one : tensor<i64>
  %e = cleave.equal %p, %one : tensor<3xi64>, tensor<i64>
  %n = cleave.not %e : tensor<3xi1>
  %m = cleave.reshape %n groups [1:2] {cleave.name = "mask"} : tensor<3xi1> -> tensor<1x3xi1>
  %w = cleave.use @mask : tensor<3xf32>
  %y = cleave.where %m, %x, %w : tensor<1x3xi1>, tensor<2x3xf32>, tensor<3xf32>
  return %y : tensor<2x3xf32>
}

// -----

// CHECK-LABEL: func.func @kept
// CHECK: cleave.expand
// CHECK: cleave.neg {{.*}} tensor<20000xf32>
// CHECK: cleave.neg {{.*}} tensor<2xf32>
// CHECK: cleave.neg {{.*}} tensor<3xf32>
cleave.weight @one : tensor<f32> from dense<[], "0x0000803f">
cleave.weight @seed : tensor<2xf32> from random<7>
cleave.weight @three : tensor<3xf32> from dense<[3], "0x0000803f0000803f0000803f">
func.func @kept() -> (tensor<20000xf32>, tensor<2xf32>, tensor<3xf32>) {
  %one = cleave.use @one : tensor<f32>
  %many = cleave.expand %one : tensor<f32> -> tensor<20000xf32>
  %large = cleave.neg %many : tensor<20000xf32>
  %a = cleave.abs %large : tensor<20000xf32>
  %w = cleave.use @seed : tensor<2xf32>
  %random = cleave.neg %w : tensor<2xf32>
  %b = cleave.abs %random : tensor<2xf32>
  %t = cleave.use @three : tensor<3xf32>
  %output = cleave.neg %t : tensor<3xf32>
  return %a, %b, %output : tensor<20000xf32>, tensor<2xf32>, tensor<3xf32>
}

// -----

// An index that does not exist is an error of the run, which the op makes.
// CHECK-LABEL: func.func @fails
// CHECK: cleave.take
cleave.weight @table : tensor<2xf32> from dense<[2], "0x0000803f00008040">
cleave.weight @far : tensor<1xi64> from dense<[1], "0x0700000000000000">
func.func @fails(%x: tensor<1xf32>) -> tensor<1xf32> {
  %t = cleave.use @table : tensor<2xf32>
  %i = cleave.use @far : tensor<1xi64>
  %r = cleave.take %t, %i dim 0 : (tensor<2xf32>, tensor<1xi64>) -> tensor<1xf32>
  %y = cleave.add %x, %r : tensor<1xf32>, tensor<1xf32>
  return %y : tensor<1xf32>
}

// -----

// A weight that cannot be read is nothing to complain of here.
// CHECK: cleave.weight @w : tensor<2xf32> from onnx<"absent.onnx", "w">
// CHECK-LABEL: func.func @unreadable
// CHECK: cleave.sqrt
cleave.weight @w : tensor<2xf32> from onnx<"absent.onnx", "w">
func.func @unreadable(%x: tensor<2xf32>) -> tensor<2xf32> {
  %w = cleave.use @w : tensor<2xf32>
  %r = cleave.sqrt %w {cleave.name = "root"} : tensor<2xf32>
  %y = cleave.mul %x, %r : tensor<2xf32>, tensor<2xf32>
  return %y : tensor<2xf32>
}
