// RUN: cleave-opt %s -split-input-file -verify-diagnostics -allow-unregistered-dialect -cleave-verify-logical

// expected-error@+1 {{has no function to execute}}
module @empty {}

// -----

// What an importer makes passes.
#tokens = #cleave.dims<tokens>
cleave.weight @w : tensor<8x8xf32> from none
func.func @well_formed(%x: tensor<?x8xf32, #tokens> {cleave.input = "x"})
    -> (tensor<?x8xf32, #tokens> {cleave.output = "y"}) {
  %w = cleave.use @w : tensor<8x8xf32>
  %y = cleave.linear %x, %w : (tensor<?x8xf32, #tokens>, tensor<8x8xf32>) -> tensor<?x8xf32, #tokens>
  return %y : tensor<?x8xf32, #tokens>
}

// -----

// expected-error@+1 {{has a value of type 'tensor<?xf32>' whose run-time sizes have no names; write them as #cleave.dims<...>}}
func.func @argument_without_names(%x: tensor<?xf32> {cleave.input = "x"}) {
  return
}

// -----

// expected-error@+1 {{has a value of type 'i32', expected a ranked tensor}}
func.func @scalar_argument(%x: i32 {cleave.input = "x"}) {
  return
}

// -----

// expected-error@+1 {{has a value of type 'tensor<*xf32>', expected a ranked tensor}}
func.func @unranked_argument(%x: tensor<*xf32> {cleave.input = "x"}) {
  return
}

// -----

// expected-error@+1 {{argument 1 has no name; give it {cleave.input = "..."}}}
func.func @nameless_argument(%x: tensor<4xf32> {cleave.input = "x"}, %y: tensor<4xf32>) {
  return
}

// -----

// expected-error@+1 {{result 0 has no name; give it {cleave.output = "..."}}}
func.func @nameless_result(%x: tensor<4xf32> {cleave.input = "x"}) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

// expected-error@+1 {{has no body}}
func.func private @external(tensor<4xf32> {cleave.input = "x"})

// -----

// expected-error@+1 {{has control flow, expected one block}}
func.func @control_flow(%x: tensor<4xf32> {cleave.input = "x"}) {
  "test.branch"()[^end] : () -> ()
^end:
  return
}

// -----

cleave.state @s : tensor<?x?x8xf32, #cleave.dims<slots, context>>
func.func @result_without_names(%x: tensor<4x8xf32> {cleave.input = "x"}, %w: tensor<?xi32, #cleave.dims<t>> {cleave.input = "w"}) {
  // expected-error@+1 {{has a value of type 'tensor<?xf32>' whose run-time sizes have no names}}
  %y = "test.op"(%x) : (tensor<4x8xf32>) -> tensor<?xf32>
  return
}

// -----

// Each op of the other forms is refused, and all of them are reported.
func.func @communicates(%x: tensor<4xf32> {cleave.input = "x"}) {
  // expected-error@+1 {{'cleave.reshard' op has no place in the logical form}}
  %a = cleave.reshard %x : tensor<4xf32>
  // expected-error@+1 {{'cleave.transfer' op has no place in the logical form}}
  %b = cleave.transfer %a to 1 : tensor<4xf32>
  // expected-error@+1 {{'cleave.send' op has no place in the logical form}}
  cleave.send %b to 1 tag 0 : tensor<4xf32>
  // expected-error@+1 {{'cleave.recv' op has no place in the logical form}}
  %c = cleave.recv from 1 tag 0 : tensor<4xf32>
  // expected-error@+1 {{'cleave.all_reduce' op has no place in the logical form}}
  %d = cleave.all_reduce sum %c group [0] : tensor<4xf32>
  // expected-error@+1 {{'cleave.all_gather' op has no place in the logical form}}
  %e = cleave.all_gather %d dim 0 ranges [0:4, 4:8] group [0, 1] : tensor<4xf32> -> tensor<8xf32>
  // expected-error@+1 {{'cleave.reduce_scatter' op has no place in the logical form}}
  %f = cleave.reduce_scatter sum %e dim 0 ranges [0:4, 4:8] group [0, 1] : tensor<8xf32> -> tensor<4xf32>
  // expected-error@+1 {{'cleave.broadcast' op has no place in the logical form}}
  %g = cleave.broadcast %f group [0] : tensor<4xf32>
  return
}

// -----

func.func @step(%x: tensor<4xf32> {cleave.input = "x"}) {
  return
}
// expected-error@+1 {{stands inside a module, expected the logical form}}
module @rank0 {}

// -----

// expected-error@+1 {{has a value of type 'tensor<?x4xf32, #cleave.dims<tokens[0 of 2]>>', a share, which has no place in the logical form}}
func.func @share(%x: tensor<?x4xf32, #cleave.dims<tokens[0 of 2]>> {cleave.input = "x"}) {
  return
}

// -----

// How a value is to lie is said in axes; weights and states say it where they are declared.
cleave.weight @w : tensor<8x8xf32> from none
cleave.state @cache : tensor<?x?x8xf16, #cleave.dims<slots, context>>
func.func @given(%x: tensor<4x8xf32> {cleave.input = "x", cleave.sharding = #cleave.sharding<[{}, {"tp"}]>},
                 %p: tensor<4xi32> {cleave.input = "p"}) {
  %fine = cleave.silu %x {cleave.sharding = [#cleave.sharding<[{"tp"}, {}]>]} : tensor<4x8xf32>
  // expected-error@+1 {{'cleave.use' op has a sharding, but gives a weight, which lies as its 'split' says}}
  %w = cleave.use @w {cleave.sharding = [#cleave.sharding<[{"tp"}, {}]>]} : tensor<8x8xf32>
  // expected-error@+1 {{'cleave.state_update' op has a sharding, but gives a state, which lies as the weights behind it are split}}
  %s = cleave.state_update @cache, %x at %p, %p {cleave.sharding = [#cleave.sharding<[{}, {}, {"tp"}]>]} : (tensor<4x8xf32>, tensor<4xi32>, tensor<4xi32>) -> tensor<?x?x8xf16, #cleave.dims<slots, context>>
  // expected-error@+1 {{has a value that is to be #cleave.sharding<[{}, {}], partial = {"tp" : sum}>, a partial sum, which has no place in the logical form}}
  %a = cleave.silu %x {cleave.sharding = [#cleave.sharding<[{}, {}], partial = {"tp" : sum}>]} : tensor<4x8xf32>
  // expected-error@+1 {{has a value that is to be #cleave.sharding<[{}, {"tp" : [0:3, 3:8]}]>, with ranges, which follow from heads and shares; give axes alone}}
  %b = cleave.silu %x {cleave.sharding = [#cleave.sharding<[{}, {"tp" : [0:3, 3:8]}]>]} : tensor<4x8xf32>
  // expected-error@+1 {{has a sharding, but no rule by which to follow it}}
  %c = "test.op"(%x) {cleave.sharding = [#cleave.sharding<[{}, {}]>]} : (tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

// expected-error@+1 {{has a value that is to be #cleave.sharding<[{}, {"tp" : [0:3, 3:8]}]>, with ranges}}
func.func @given_argument(%x: tensor<4x8xf32> {cleave.input = "x", cleave.sharding = #cleave.sharding<[{}, {"tp" : [0:3, 3:8]}]>}) {
  return
}
