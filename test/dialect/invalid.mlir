// What the parsers and verifiers of the dialect refuse, each check once.
// RUN: cleave-opt %s -split-input-file -verify-diagnostics

// === Types ===

// expected-error@+1 {{unknown block type 'q8_9', expected one of}}
func.func private @f(tensor<4x32x!cleave.q8_9>)

// -----

// f32 is in the table of element types, but has no blocks.
// expected-error@+1 {{unknown block type 'f32', expected one of}}
func.func private @f(tensor<4x32x!cleave.f32>)

// -----

// === Attributes ===

// expected-error@+1 {{names 2 run-time sizes of a tensor that has 1}}
func.func private @f(tensor<?x4xf32, #cleave.dims<a, b>>)

// -----

// expected-error@+1 {{names 1 run-time sizes of a tensor that has 0}}
func.func private @f(tensor<4xf32, #cleave.dims<a>>)

// -----

// expected-error@+1 {{axis "tp" appears twice in a sharding}}
func.func private @f() attributes {a = #cleave.sharding<[{"tp"}, {"tp"}]>}

// -----

// expected-error@+1 {{axis "tp" appears twice in a sharding}}
func.func private @f() attributes {a = #cleave.sharding<[{"tp"}], partial = {"tp" : sum}>}

// -----

// expected-error@+1 {{range 8:4 is not of the form begin:end with 0 <= begin <= end}}
func.func private @f() attributes {a = #cleave.sharding<[{"tp" : [0:8, 8:4]}]>}

// -----

// expected-error@+1 {{range -1:4 is not of the form begin:end}}
func.func private @f() attributes {a = #cleave.sharding<[{"tp" : [-1:4]}]>}

// -----

// expected-error@+1 {{unknown split type 'colunm', expected column, row, head, expert or none}}
func.func private @f() attributes {a = #cleave.split<colunm "tp">}

// -----

// expected-error@+1 {{unknown source 'onnx', expected gguf, npy, random or none}}
cleave.weight @w : tensor<4x4xf32> from onnx<"a">

// -----

// === Discardable attributes ===

func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{has attribute 'cleave.name' = 3 : i64, expected a string}}
  %y = cleave.silu %x {cleave.name = 3 : i64} : tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{has attribute 'cleave.stage' = "one", expected an integer}}
  %y = cleave.silu %x {cleave.stage = "one"} : tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

// expected-error@+1 {{has attribute 'cleave.coordinate' = 0 : i64, expected an integer for each axis}}
module attributes {cleave.coordinate = 0 : i64} {}

// -----

func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{expects attribute 'cleave.sharding' to hold one sharding for each result}}
  %y = cleave.silu %x {cleave.sharding = []} : tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{has a sharding of 2 dims for a value of type 'tensor<4xf32>'}}
  %y = cleave.silu %x {cleave.sharding = [#cleave.sharding<[{}, {}]>]} : tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

// expected-error@+1 {{has unknown attribute 'cleave.nmae'}}
module attributes {cleave.nmae = "a"} {}

// -----

// expected-error@+1 {{has attribute 'cleave.input' = 1 : i64, expected a string}}
func.func private @f(tensor<4xf32> {cleave.input = 1 : i64})

// -----

// expected-error@+1 {{has attribute 'cleave.sharding' = "tp", expected a sharding}}
func.func private @f(tensor<4xf32> {cleave.sharding = "tp"})

// -----

// expected-error@+1 {{has a sharding of 1 dims for a value of type 'tensor<4x4xf32>'}}
func.func private @f(tensor<4x4xf32> {cleave.sharding = #cleave.sharding<[{}]>})

// -----

// expected-error@+1 {{has a sharding for a value of type 'i32', which is no tensor}}
func.func private @f(i32 {cleave.sharding = #cleave.sharding<[]>})

// -----

// expected-error@+1 {{has unknown argument attribute 'cleave.output'}}
func.func private @f(tensor<4xf32> {cleave.output = "x"})

// -----

// expected-error@+1 {{has attribute 'cleave.output' = 1 : i64, expected a string}}
func.func private @f() -> (tensor<4xf32> {cleave.output = 1 : i64})

// -----

// expected-error@+1 {{has attribute 'cleave.owner' = "me", expected an integer}}
func.func private @f() -> (tensor<4xf32> {cleave.owner = "me"})

// -----

// expected-error@+1 {{has unknown result attribute 'cleave.input'}}
func.func private @f() -> (tensor<4xf32> {cleave.input = "x"})

// -----

// === mesh ===

// expected-error@+1 {{has 1 axes and 2 sizes}}
"cleave.mesh"() <{sym_name = "m", axes = ["tp"], sizes = array<i64: 1, 2>}> : () -> ()

// -----

// expected-error@+1 {{names axis "tp" twice}}
cleave.mesh @m <"tp" = 2, "tp" = 3>

// -----

// expected-error@+1 {{gives axis "tp" the size 0, expected at least 1}}
cleave.mesh @m <"tp" = 0>

// -----

// expected-error@+1 {{has more than 65536 coordinates}}
cleave.mesh @m <"a" = 65536, "b" = 2>

// -----

// expected-error@+1 {{has more than 65536 coordinates}}
cleave.mesh @m <"a" = 9223372036854775807, "b" = 2>

// -----

// expected-error@+1 {{has shares for "dp", which is no axis of it}}
cleave.mesh @m <"tp" = 2> shares {dp = array<i64: 1, 1>}

// -----

// expected-error@+1 {{has shares array<i64: 2, 1, 1> for axis "tp", expected 2 positive numbers}}
cleave.mesh @m <"tp" = 2> shares {tp = array<i64: 2, 1, 1>}

// -----

// expected-error@+1 {{has shares array<i64: 1, 0> for axis "tp", expected 2 positive numbers}}
cleave.mesh @m <"tp" = 2> shares {tp = array<i64: 1, 0>}

// -----

// expected-error@+1 {{has shares "2,1" for axis "tp", expected 2 positive numbers}}
cleave.mesh @m <"tp" = 2> shares {tp = "2,1"}

// -----

// === weight, use, state ===

// expected-error@+1 {{expected static sizes and at least one dim}}
cleave.weight @w : tensor<?x4xf32, #cleave.dims<a>> from none

// -----

// expected-error@+1 {{expected static sizes and at least one dim}}
cleave.weight @w : tensor<f32> from none

// -----

// expected-error@+1 {{has a last dim of size 48, which is no whole number of blocks of 32}}
cleave.weight @w : tensor<4x48x!cleave.q8_0> from none

// -----

// expected-error@+1 {{has a slice of 1 ranges for type 'tensor<4x8xf32>'}}
cleave.weight @w : tensor<4x8xf32> from none slice [0:4]

// -----

// expected-error@+1 {{has a slice whose range 4:8 is not of the size 8 of dim 1}}
cleave.weight @w : tensor<4x8xf32> from none slice [0:4, 4:8]

// -----

// expected-error@+1 {{has a sharding of 1 dims for type 'tensor<4x8xf32>'}}
cleave.weight @w : tensor<4x8xf32> from none sharding <[{"tp"}]>

// -----

// expected-error@+1 {{cannot hold partial sums}}
cleave.weight @w : tensor<4x8xf32> from none sharding <[{}, {}], partial = {"tp" : sum}>

// -----

// expected-error@+1 {{attribute 'type' failed to satisfy constraint}}
cleave.weight @w : tensor<4x8xi32> from none

// -----

func.func @f() {
  // expected-error@+1 {{refers to @w, which is no cleave.weight}}
  %w = cleave.use @w : tensor<4xf32>
  return
}

// -----

// expected-note@+1 {{the weight is declared here}}
cleave.weight @w : tensor<4xf32> from none
func.func @f() {
  // expected-error@+1 {{has type 'tensor<8xf32>', expected 'tensor<4xf32>'}}
  %w = cleave.use @w : tensor<8xf32>
  return
}

// -----

// expected-error@+1 {{expected [slots, context, width] with the first two known at run time}}
cleave.state @s : tensor<?x4xf16, #cleave.dims<slots>>

// -----

// expected-error@+1 {{expected [slots, context, width] with the first two known at run time}}
cleave.state @s : tensor<?x16x4xf16, #cleave.dims<slots>>

// -----

// expected-error@+1 {{has a sharding of 1 dims for type}}
cleave.state @s : tensor<?x?x4xf16, #cleave.dims<slots, context>> sharding <[{}]>

// -----

func.func @f(%x: tensor<4x8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{refers to @s, which is no cleave.state}}
  %k = cleave.state_update @s, %x at %i, %i : (tensor<4x8xf32>, tensor<4xi32>, tensor<4xi32>) -> tensor<?x?x8xf16>
  return
}

// -----

// expected-note@+1 {{the state is declared here}}
cleave.state @s : tensor<?x?x8xf32, #cleave.dims<slots, context>>
func.func @f(%x: tensor<4x8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{has type 'tensor<?x?x8xf16, #cleave.dims<slots, context>>', expected 'tensor<?x?x8xf32}}
  %k = cleave.state_update @s, %x at %i, %i : (tensor<4x8xf32>, tensor<4xi32>, tensor<4xi32>) -> tensor<?x?x8xf16, #cleave.dims<slots, context>>
  return
}

// -----

// === gather ===

func.func @f(%w: tensor<8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{expects a source of rank 2, found 'tensor<8xf32>'}}
  %x = cleave.gather %w, %i : (tensor<8xf32>, tensor<4xi32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%w: tensor<8x8xf32>, %i: tensor<4x1xi32>) {
  // expected-error@+1 {{expects indices of rank 1}}
  %x = cleave.gather %w, %i : (tensor<8x8xf32>, tensor<4x1xi32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%w: tensor<8x8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{expects a result of rank 2}}
  %x = cleave.gather %w, %i : (tensor<8x8xf32>, tensor<4xi32>) -> tensor<8xf32>
  return
}

// -----

func.func @f(%w: tensor<8x8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{expects dim 0 of the result to be dim 0 of the indices}}
  %x = cleave.gather %w, %i : (tensor<8x8xf32>, tensor<4xi32>) -> tensor<5x8xf32>
  return
}

// -----

// Sizes known at run time are equal only if their names are.
func.func @f(%w: tensor<8x8xf32>, %i: tensor<?xi32, #cleave.dims<tokens>>) {
  // expected-error@+1 {{expects dim 0 of the result to be dim 0 of the indices}}
  %x = cleave.gather %w, %i : (tensor<8x8xf32>, tensor<?xi32, #cleave.dims<tokens>>) -> tensor<?x8xf32, #cleave.dims<rows>>
  return
}

// -----

func.func @f(%w: tensor<8x8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{expects dim 1 of the result to be dim 1 of the source}}
  %x = cleave.gather %w, %i : (tensor<8x8xf32>, tensor<4xi32>) -> tensor<4x7xf32>
  return
}

// -----

func.func @f(%w: tensor<8x8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{has the negative offset -1}}
  %x = cleave.gather masked %w, %i {offset = -1 : i64} : (tensor<8x8xf32>, tensor<4xi32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%w: tensor<8x8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{has offset 8 but is not masked}}
  %x = cleave.gather %w, %i {offset = 8 : i64} : (tensor<8x8xf32>, tensor<4xi32>) -> tensor<4x8xf32>
  return
}

// -----

// === linear ===

func.func @f(%x: tensor<4xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects x of rank 2}}
  %y = cleave.linear %x, %w : (tensor<4xf32>, tensor<8x4xf32>) -> tensor<8x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x4xf32>, %w: tensor<8xf32>) {
  // expected-error@+1 {{expects a weight of rank 2}}
  %y = cleave.linear %x, %w : (tensor<4x4xf32>, tensor<8xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x4xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects a result of rank 2}}
  %y = cleave.linear %x, %w : (tensor<4x4xf32>, tensor<8x4xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4x4xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects dim 0 of the result to be dim 0 of x}}
  %y = cleave.linear %x, %w : (tensor<4x4xf32>, tensor<8x4xf32>) -> tensor<5x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x4xf32>, %w: tensor<8x4xf32>) {
  // expected-error@+1 {{expects dim 1 of the result to be dim 0 of the weight}}
  %y = cleave.linear %x, %w : (tensor<4x4xf32>, tensor<8x4xf32>) -> tensor<4x4xf32>
  return
}

// -----

func.func @f(%x: tensor<4x4xf32>, %w: tensor<8x5xf32>) {
  // expected-error@+1 {{has a weight of 5 columns for an x of 4 with pad_before = 0: at most 0 columns before it and after it may meet zero}}
  %y = cleave.linear %x, %w : (tensor<4x4xf32>, tensor<8x5xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %w: tensor<8x64x!cleave.q8_0>) {
  // expected-error@+1 {{pad_before = 32: at most 31 columns before it}}
  %y = cleave.linear %x, %w {pad_before = 32 : i64} : (tensor<4x8xf32>, tensor<8x64x!cleave.q8_0>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %w: tensor<8x64x!cleave.q8_0>) {
  // expected-error@+1 {{has a weight of 64 columns for an x of 8 with pad_before = 8}}
  %y = cleave.linear %x, %w {pad_before = 8 : i64} : (tensor<4x8xf32>, tensor<8x64x!cleave.q8_0>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x?xf32, #cleave.dims<t>>, %w: tensor<8x64xf32>) {
  // expected-error@+1 {{expects input features of static size}}
  %y = cleave.linear %x, %w : (tensor<4x?xf32, #cleave.dims<t>>, tensor<8x64xf32>) -> tensor<4x8xf32>
  return
}

// -----

// === rms_norm ===

func.func @f(%x: tensor<8xf32>, %w: tensor<8xf32>) {
  // expected-error@+1 {{expects x of rank 2}}
  %y = cleave.rms_norm %x, %w {epsilon = 1.0e-5 : f32} : tensor<8xf32>, tensor<8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %w: tensor<1x8xf32>) {
  // expected-error@+1 {{expects a weight of rank 1}}
  %y = cleave.rms_norm %x, %w {epsilon = 1.0e-5 : f32} : tensor<4x8xf32>, tensor<1x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %w: tensor<4xf32>) {
  // expected-error@+1 {{expects dim 1 of x to be dim 0 of the weight}}
  %y = cleave.rms_norm %x, %w {epsilon = 1.0e-5 : f32} : tensor<4x8xf32>, tensor<4xf32>
  return
}

// -----

// === rope ===

func.func @f(%x: tensor<8xf32>, %p: tensor<8xi32>) {
  // expected-error@+1 {{expects x of rank 2}}
  %y = cleave.rope %x, %p {head_dim = 8, rotary_dim = 8, base = 1.0 : f32} : tensor<8xf32>, tensor<8xi32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %p: tensor<4x1xi32>) {
  // expected-error@+1 {{expects positions of rank 1}}
  %y = cleave.rope %x, %p {head_dim = 8, rotary_dim = 8, base = 1.0 : f32} : tensor<4x8xf32>, tensor<4x1xi32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %p: tensor<5xi32>) {
  // expected-error@+1 {{expects dim 0 of x to be dim 0 of the positions}}
  %y = cleave.rope %x, %p {head_dim = 8, rotary_dim = 8, base = 1.0 : f32} : tensor<4x8xf32>, tensor<5xi32>
  return
}

// -----

func.func @f(%x: tensor<4x12xf32>, %p: tensor<4xi32>) {
  // expected-error@+1 {{expects an x of whole heads of 8}}
  %y = cleave.rope %x, %p {head_dim = 8, rotary_dim = 8, base = 1.0 : f32} : tensor<4x12xf32>, tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %p: tensor<4xi32>) {
  // expected-error@+1 {{expects an x of whole heads of 0}}
  %y = cleave.rope %x, %p {head_dim = 0, rotary_dim = 0, base = 1.0 : f32} : tensor<4x8xf32>, tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %p: tensor<4xi32>) {
  // expected-error@+1 {{has rotary_dim 10, expected an even number of at most head_dim = 8}}
  %y = cleave.rope %x, %p {head_dim = 8, rotary_dim = 10, base = 1.0 : f32} : tensor<4x8xf32>, tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %p: tensor<4xi32>) {
  // expected-error@+1 {{has rotary_dim 3, expected an even number}}
  %y = cleave.rope %x, %p {head_dim = 8, rotary_dim = 3, base = 1.0 : f32} : tensor<4x8xf32>, tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %p: tensor<4xi32>, %f: tensor<3xf32>) {
  // expected-error@+1 {{expects 4 factors, found 'tensor<3xf32>'}}
  %y = cleave.rope %x, %p factors %f {head_dim = 8, rotary_dim = 8, base = 1.0 : f32} : tensor<4x8xf32>, tensor<4xi32>, tensor<3xf32>
  return
}

// -----

// === state_update ===

cleave.state @s : tensor<?x?x8xf32, #cleave.dims<slots, context>>
func.func @f(%x: tensor<8xf32>, %i: tensor<8xi32>) {
  // expected-error@+1 {{expects x of rank 2}}
  %k = cleave.state_update @s, %x at %i, %i : (tensor<8xf32>, tensor<8xi32>, tensor<8xi32>) -> tensor<?x?x8xf32, #cleave.dims<slots, context>>
  return
}

// -----

cleave.state @s : tensor<?x?x8xf32, #cleave.dims<slots, context>>
func.func @f(%x: tensor<4x8xf32>, %i: tensor<5xi32>, %p: tensor<4xi32>) {
  // expected-error@+1 {{expects dim 0 of x to be dim 0 of the slots}}
  %k = cleave.state_update @s, %x at %i, %p : (tensor<4x8xf32>, tensor<5xi32>, tensor<4xi32>) -> tensor<?x?x8xf32, #cleave.dims<slots, context>>
  return
}

// -----

cleave.state @s : tensor<?x?x8xf32, #cleave.dims<slots, context>>
func.func @f(%x: tensor<4x8xf32>, %i: tensor<4xi32>, %p: tensor<5xi32>) {
  // expected-error@+1 {{expects dim 0 of x to be dim 0 of the positions}}
  %k = cleave.state_update @s, %x at %i, %p : (tensor<4x8xf32>, tensor<4xi32>, tensor<5xi32>) -> tensor<?x?x8xf32, #cleave.dims<slots, context>>
  return
}

// -----

cleave.state @s : tensor<?x?x8xf32, #cleave.dims<slots, context>>
func.func @f(%x: tensor<4x6xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{expects dim 2 of the result to be dim 1 of x}}
  %k = cleave.state_update @s, %x at %i, %i : (tensor<4x6xf32>, tensor<4xi32>, tensor<4xi32>) -> tensor<?x?x8xf32, #cleave.dims<slots, context>>
  return
}

// -----

// === attention ===

func.func @f(%q: tensor<8xf32>, %k: tensor<1x16x8xf32>, %i: tensor<8xi32>) {
  // expected-error@+1 {{expects q of rank 2}}
  %a = cleave.attention %q, %k, %k at %i, %i {head_dim = 8, group = 1, scale = 1.0 : f32} : tensor<8xf32>, tensor<1x16x8xf32>, tensor<8xi32>, tensor<8xi32>
  return
}

// -----

func.func @f(%q: tensor<4x8xf32>, %k: tensor<16x8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{expects k of rank 3}}
  %a = cleave.attention %q, %k, %k at %i, %i {head_dim = 8, group = 1, scale = 1.0 : f32} : tensor<4x8xf32>, tensor<16x8xf32>, tensor<4xi32>, tensor<4xi32>
  return
}

// -----

func.func @f(%q: tensor<4x8xf32>, %k: tensor<1x16x8xf32>, %i: tensor<5xi32>, %p: tensor<4xi32>) {
  // expected-error@+1 {{expects dim 0 of q to be dim 0 of the slots}}
  %a = cleave.attention %q, %k, %k at %i, %p {head_dim = 8, group = 1, scale = 1.0 : f32} : tensor<4x8xf32>, tensor<1x16x8xf32>, tensor<5xi32>, tensor<4xi32>
  return
}

// -----

func.func @f(%q: tensor<4x8xf32>, %k: tensor<1x16x8xf32>, %i: tensor<4xi32>, %p: tensor<5xi32>) {
  // expected-error@+1 {{expects dim 0 of q to be dim 0 of the positions}}
  %a = cleave.attention %q, %k, %k at %i, %p {head_dim = 8, group = 1, scale = 1.0 : f32} : tensor<4x8xf32>, tensor<1x16x8xf32>, tensor<4xi32>, tensor<5xi32>
  return
}

// -----

func.func @f(%q: tensor<4x12xf32>, %k: tensor<1x16x8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{expects whole heads of 8}}
  %a = cleave.attention %q, %k, %k at %i, %i {head_dim = 8, group = 1, scale = 1.0 : f32} : tensor<4x12xf32>, tensor<1x16x8xf32>, tensor<4xi32>, tensor<4xi32>
  return
}

// -----

func.func @f(%q: tensor<4x16xf32>, %k: tensor<1x16x8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{has group 2 and first_head 2, expected 0 <= first_head < group}}
  %a = cleave.attention %q, %k, %k at %i, %i {head_dim = 8, group = 2, first_head = 2, scale = 1.0 : f32} : tensor<4x16xf32>, tensor<1x16x8xf32>, tensor<4xi32>, tensor<4xi32>
  return
}

// -----

func.func @f(%q: tensor<4x16xf32>, %k: tensor<1x16x8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{has 2 query heads in groups of 2 from place 1, which read 2 key heads, but k has 1}}
  %a = cleave.attention %q, %k, %k at %i, %i {head_dim = 8, group = 2, first_head = 1, scale = 1.0 : f32} : tensor<4x16xf32>, tensor<1x16x8xf32>, tensor<4xi32>, tensor<4xi32>
  return
}

// -----

func.func @f(%q: tensor<4x8xf32>, %k: tensor<1x16x8xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{has group 2305843009213693952 and first_head 0, expected 0 <= first_head < group <= 65536}}
  %a = cleave.attention %q, %k, %k at %i, %i {head_dim = 8, group = 2305843009213693952, scale = 1.0 : f32} : tensor<4x8xf32>, tensor<1x16x8xf32>, tensor<4xi32>, tensor<4xi32>
  return
}

// -----

// === add, mul ===

func.func @f(%x: tensor<4x8xf32>, %y: tensor<4xf32>) {
  // expected-error@+1 {{expects y to be like x or to have x's last dim alone, found 'tensor<4x8xf32>' and 'tensor<4xf32>'}}
  %z = cleave.add %x, %y : tensor<4x8xf32>, tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %y: tensor<4x1xf32>) {
  // expected-error@+1 {{expects y to be like x or to have x's last dim alone}}
  %z = cleave.mul %x, %y : tensor<4x8xf32>, tensor<4x1xf32>
  return
}

// -----

// === slice ===

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{has dim 2 of 'tensor<4x8xf32>' and result 'tensor<4x2xf32>'}}
  %y = cleave.slice %x dim 2 from 0 : tensor<4x8xf32> -> tensor<4x2xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{changes dim 0 of 'tensor<4x8xf32>' in result 'tensor<3x2xf32>'}}
  %y = cleave.slice %x dim 1 from 0 : tensor<4x8xf32> -> tensor<3x2xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8xf32, #cleave.dims<t>>) {
  // expected-error@+1 {{cannot slice run-time dim 0}}
  %y = cleave.slice %x dim 0 from 0 : tensor<?x8xf32, #cleave.dims<t>> -> tensor<2x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{takes 2 elements from 7 on of dim 1 of 'tensor<4x8xf32>'}}
  %y = cleave.slice %x dim 1 from 7 : tensor<4x8xf32> -> tensor<4x2xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{takes 2 elements from -1 on of dim 1}}
  %y = cleave.slice %x dim 1 from -1 : tensor<4x8xf32> -> tensor<4x2xf32>
  return
}

// -----

// The sum of begin and size does not fit 64 bits.
func.func @f(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{of dim 1 of 'tensor<4x8xf32>'}}
  %y = cleave.slice %x dim 1 from 9223372036854775807 : tensor<4x8xf32> -> tensor<4x2xf32>
  return
}

// -----

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
  // expected-error@+1 {{joins along run-time dim 0}}
  %y = cleave.all_gather %x dim 0 ranges [0:3, 3:5] group [0, 1] : tensor<3x5xf32> -> tensor<?x5xf32, #cleave.dims<t>>
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
